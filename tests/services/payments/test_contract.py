"""What every payment gateway promises, held against each provider's recorded traffic in tests/providers/<code>/."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from core.exceptions import RuleViolated
from core.money import Money
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    Capability,
    ChargeId,
    ChargeNotFound,
    ChargeRequest,
    ChargeStatus,
    CurrencyNotSupported,
    GatewayRefused,
    PaymentGateway,
    PhoneNotSupported,
    Trust,
    WebhookRejected,
)
from tests.services import wire


class ProviderCase:
    """One provider's recorded traffic, and its gateway pointed at a server that plays it."""

    def __init__(self, code: str, stack: ExitStack) -> None:
        self.code, self._stack = code, stack
        self._facts = wire.load(code, "case")
        request = self._facts["requests"]["push"]
        self.request = ChargeRequest(
            reference=request["reference"], money=Money(request["amount"], request["currency"]), phone=request["phone"]
        )

    def gateway(self, recording: str = "") -> PaymentGateway:
        """The gateway; with a `recording`, every exchange in it must happen. Without, nobody is listening."""
        server = wire.refused_url()
        if recording:
            server, _player = self._stack.enter_context(wire.playing(*wire.exchanges(self.code, recording)))
        urls = {option: server + path for option, path in self._facts["urls"].items()}
        backend = import_string(settings.PAYMENT_GATEWAYS[self.code]["BACKEND"])
        gateway: PaymentGateway = backend(**self._facts["options"], **urls)
        return gateway

    def callback(self, name: str) -> tuple[Delivery, dict[str, Any]]:
        """A recorded callback and what it should be read as."""
        recorded = wire.load(self.code, name)
        return Delivery(body=wire.delivery_body(recorded), headers=recorded["headers"]), recorded


@pytest.fixture(params=sorted(settings.PAYMENT_GATEWAYS))
def provider(request: pytest.FixtureRequest) -> Iterator[ProviderCase]:
    """A provider's recorded traffic. A gateway added without any fails here, by name."""
    with ExitStack() as stack:
        yield ProviderCase(request.param, stack)


def test_a_gateway_introduces_itself(provider):
    gateway = provider.gateway()

    assert gateway.code == provider.code
    assert gateway.name
    assert gateway.currencies
    assert provider.request.money.currency in gateway.currencies
    assert gateway.capabilities <= set(Capability)
    assert gateway.trust in Trust


def test_every_recording_says_where_it_comes_from(provider):
    names = {path.stem for path in (wire.PROVIDERS / provider.code).glob("*.json")} - {"case"}

    assert [name for name in sorted(names) if not wire.load(provider.code, name).get("source")] == []


def test_a_good_request_passes_the_check_without_a_call(provider):
    provider.gateway().check(provider.request)


def test_what_the_provider_can_never_do_is_refused_without_a_call(provider):
    gateway = provider.gateway()

    with pytest.raises(CurrencyNotSupported) as currency:
        gateway.check(replace(provider.request, money=Money(1_000, "RWF")))
    with pytest.raises(PhoneNotSupported) as phone:
        gateway.charge(replace(provider.request, phone="+15005550006"))

    assert isinstance(currency.value, RuleViolated)
    assert isinstance(phone.value, RuleViolated)


def test_an_accepted_charge_is_pending_and_echoes_the_money(provider):
    result = provider.gateway("charge_push_accepted").charge(provider.request)

    assert result.status is ChargeStatus.PENDING
    assert result.provider_reference
    assert result.money == provider.request.money


def test_a_decline_is_an_answer_not_an_error(provider):
    assert provider.gateway("charge_declined").charge(provider.request).status is ChargeStatus.DECLINED


def test_a_request_that_the_provider_will_not_take_is_refused_with_a_short_word(provider):
    with pytest.raises(GatewayRefused) as caught:
        provider.gateway("charge_refused").charge(provider.request)

    assert caught.value.reason.isidentifier()
    assert caught.value.detail


def test_a_provider_that_cannot_be_reached_is_unavailable(provider):
    gateway = provider.gateway()

    with pytest.raises(GatewayUnavailable):
        gateway.charge(provider.request)
    with pytest.raises(GatewayUnavailable):
        gateway.query(ChargeId(reference=provider.request.reference))


@pytest.mark.parametrize("recording", ["charge_server_error", "charge_unreadable", "charge_hang_up"])
def test_silence_after_a_charge_is_an_unknown_outcome(provider, recording):
    with pytest.raises(OutcomeUnknown):
        provider.gateway(recording).charge(provider.request)


def test_charging_one_reference_twice_is_answered_with_the_first_charge(provider):
    gateway = provider.gateway("charge_repeated")

    assert Capability.IDEMPOTENT_CHARGE in gateway.capabilities
    assert gateway.charge(provider.request).status is ChargeStatus.PAID


@pytest.mark.parametrize(
    ("recording", "status"), [("query_paid", ChargeStatus.PAID), ("query_declined", ChargeStatus.DECLINED)]
)
def test_a_question_is_answered_in_our_words(provider, recording, status):
    result = provider.gateway(recording).query(ChargeId(reference=provider.request.reference))

    assert result.status is status
    assert result.provider_reference
    if status is ChargeStatus.PAID:
        assert result.money == provider.request.money
    else:
        assert result.reason


def test_a_reference_nobody_knows_is_not_found(provider):
    with pytest.raises(ChargeNotFound):
        provider.gateway("query_unknown").query(ChargeId(reference=provider.request.reference))


@pytest.mark.parametrize("recording", ["query_server_error", "query_hang_up"])
def test_silence_after_a_question_is_only_unavailable(provider, recording):
    with pytest.raises(GatewayUnavailable):
        provider.gateway(recording).query(ChargeId(reference=provider.request.reference))


@pytest.mark.parametrize("name", ["webhook_paid", "webhook_declined"])
def test_a_callback_is_read_in_our_words(provider, name):
    delivery, recorded = provider.callback(name)

    [event] = provider.gateway().read_webhook(delivery)

    assert event.reference == recorded["reference"]
    assert event.result.status == recorded["status"]
    assert event.key


def test_a_repeated_callback_has_the_same_key_and_other_news_another(provider):
    paid, declined = (provider.callback(name)[0] for name in ("webhook_paid", "webhook_declined"))
    gateway = provider.gateway()

    first, again, other = (gateway.read_webhook(delivery)[0].key for delivery in (paid, paid, declined))

    assert first == again
    assert first != other


def test_one_changed_byte_is_rejected_or_changes_no_news(provider):
    delivery, _recorded = provider.callback("webhook_paid")
    gateway = provider.gateway()
    assert gateway.trust is Trust.SIGNED, "the recorded credentials of a provider that signs must let it be verified"
    news = gateway.read_webhook(delivery)
    rejected = 0

    for position in range(len(delivery.body)):
        for change in (0x01, 0x20):
            body = bytearray(delivery.body)
            body[position] ^= change
            try:
                read = gateway.read_webhook(replace(delivery, body=bytes(body)))
            except WebhookRejected:
                rejected += 1
            else:
                # Bytes that carry no meaning: the name of the signing method, a space between tokens.
                assert [(event.key, event.reference, event.result) for event in read] == [
                    (event.key, event.reference, replace(event.result, raw=got.result.raw))
                    for event, got in zip(news, read, strict=True)
                ]

    assert rejected > len(delivery.body)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 50_000, b'{"a": 1e99999999999999999999}'])
def test_junk_is_rejected(provider, body):
    gateway = provider.gateway()

    with pytest.raises(WebhookRejected):
        gateway.verify(Delivery(body=body))
    with pytest.raises(WebhookRejected):
        gateway.parse(Delivery(body=body))


def test_nothing_personal_shows_when_a_result_is_printed(provider):
    delivery, _recorded = provider.callback("webhook_paid")

    printed = repr((provider.gateway().read_webhook(delivery), delivery))

    assert provider.request.phone.removeprefix("+") not in printed
