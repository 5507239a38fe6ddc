"""Several SMS providers at once, each of which answers as its test says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.test import override_settings

from services.sms.base import SmsCapability, SmsId, SmsReport
from services.sms.registry import get_sms_gateway
from tests.fakes import ScriptedSms

TOKEN = "r" * 22


@dataclass
class AskedSms(ScriptedSms):
    """A provider that can be asked; it answers from `news`, and knows nothing when that is empty."""

    capabilities: frozenset[SmsCapability] = frozenset({SmsCapability.QUERY})
    news: list[Any] = field(default_factory=list)
    asked: list[SmsId] = field(default_factory=list)

    def query(self, text: SmsId) -> SmsReport | None:
        self.asked.append(text)
        answer = self.news.pop(0) if self.news else None
        if isinstance(answer, Exception):
            raise answer
        report: SmsReport | None = answer
        return report


@dataclass
class KeyedSms(ScriptedSms):
    """A provider that makes one text of two under one key."""

    capabilities: frozenset[SmsCapability] = frozenset({SmsCapability.IDEMPOTENT_SEND})


KINDS = {"plain": ScriptedSms, "asked": AskedSms, "keyed": KeyedSms}


@contextmanager
def providers(**kinds: str) -> Iterator[dict[str, Any]]:
    """Install providers by name, in this order: `providers(one="plain", two="keyed")`."""
    config = {
        name: {"BACKEND": f"{KINDS[kind].__module__}.{KINDS[kind].__name__}", "OPTIONS": {}, "CALLBACK_TOKEN": TOKEN}
        for name, kind in kinds.items()
    }
    with override_settings(SMS_GATEWAYS=config):
        yield {name: get_sms_gateway(name) for name in kinds}
