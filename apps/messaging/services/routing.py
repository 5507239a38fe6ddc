"""Whom to give a text to, and under which sender name: in order, and past what has refused it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from apps.messaging.models.messages import MessageTry
from services.sms.base import Refusal, SmsCapability
from services.sms.numbers import Number
from services.sms.registry import get_sms_gateway


@dataclass(frozen=True, slots=True)
class Leg:
    """One provider, and the sender name there; empty is the account's own."""

    provider: str
    sender: str = ""


def legs_for(number: Number) -> list[Leg]:
    """Every way to `number`, the best first. A route that names no provider we have falls back to all of them."""
    wanted = number.find_in(settings.SMS_ROUTES) or ()
    providers = [code for code in wanted if code in settings.SMS_GATEWAYS] or list(settings.SMS_GATEWAYS)
    return [Leg(code, sender) for code in dict.fromkeys(providers) for sender in _senders(code, number)]


def next_leg(number: Number, *, tries: Iterable[MessageTry], away: Collection[str]) -> Leg | None:
    """The first way that nothing speaks against: its provider is not `away`, and `tries` hold no refusal of it."""
    refused = [each for each in tries if each.outcome == MessageTry.Outcome.REFUSED]
    no_route = {each.provider for each in refused if each.reason == Refusal.ROUTE}
    no_sender = {Leg(each.provider, each.sender) for each in refused if each.reason == Refusal.SENDER}
    free = (leg for leg in legs_for(number) if leg.provider not in no_route and leg not in no_sender)
    return next((leg for leg in free if leg.provider not in away), None)


def can(provider: str, capability: SmsCapability) -> bool:
    """Whether a provider that we still have can do that."""
    return provider in settings.SMS_GATEWAYS and capability in get_sms_gateway(provider).capabilities


def callback_url(provider: str) -> str:
    """Where `provider` reports."""
    token = settings.SMS_GATEWAYS[provider]["CALLBACK_TOKEN"]
    return f"{settings.PUBLIC_URL}/api/v1/messaging/reports/{provider}/{token}/"


def _senders(provider: str, number: Number) -> list[str]:
    table: Mapping[str, Any] = settings.SMS_SENDERS.get(provider, {})
    return list(number.find_in(table) or [""])
