"""What every payment gateway promises, held against each provider's recorded traffic in `tests/providers/<code>/`.

The tests follow from the capabilities that an adapter declares; `provider_case.py` says which recordings each demands
and what they look like. A gateway that lacks one fails here, by name.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from core.exceptions import RuleViolated
from core.money import EXPONENTS, AmountNotRepresentable, Money
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    AmountOutOfRange,
    BalanceNotSupported,
    BankAccount,
    CancelNotSupported,
    Capability,
    ChargeId,
    ChargeNotFound,
    ChargeRequest,
    ChargeStatus,
    CurrencyNotSupported,
    GatewayEvent,
    GatewayRefused,
    Method,
    MethodNotSupported,
    PaymentGateway,
    PayoutNotSupported,
    PayoutRequest,
    PhoneNotSupported,
    RefundNotSupported,
    RefundRequest,
    Subject,
    TransferId,
    TransferNotFound,
    TransferResult,
    TransferStatus,
    Trust,
    WebhookRejected,
)
from tests.figures import Figure, RecordFigure
from tests.services import wire
from tests.services.payments.provider_case import (
    CHARGED_BY,
    PAYOUTS,
    ProviderCase,
    demanded_recordings,
    gateways_with,
    recorded,
)

WEBHOOKS = tuple(f"webhook_{end}" for end in ("paid", "declined", "cancelled", "expired", "refund", "payout"))
ENDS = {
    "query_paid": ChargeStatus.PAID,
    "query_pending": ChargeStatus.PENDING,
    "query_declined": ChargeStatus.DECLINED,
    "query_cancelled": ChargeStatus.CANCELLED,
    "query_expired": ChargeStatus.EXPIRED,
}
TRANSFER_ENDS = {
    "succeeded": {TransferStatus.SUCCEEDED},
    "pending": {TransferStatus.PENDING, TransferStatus.UNKNOWN},
    "failed": {TransferStatus.FAILED, TransferStatus.RETURNED},
}
METHODS_OFFERED = [
    (code, method) for method, needed in CHARGED_BY.items() for code in gateways_with() if code in gateways_with(needed)
]
METHODS_LACKING = [
    (code, method)
    for method, needed in CHARGED_BY.items()
    for code in gateways_with()
    if code not in gateways_with(needed)
]
PAYOUTS_OFFERED = [(code, kind) for kind in PAYOUTS for code in gateways_with(kind)]


@pytest.fixture(params=gateways_with())
def provider(request: pytest.FixtureRequest) -> Iterator[ProviderCase]:
    """A provider's recorded traffic. A gateway added without any fails here, by name."""
    with ExitStack() as stack:
        yield ProviderCase(request.param, stack)


def offering(*wanted: Capability) -> pytest.MarkDecorator:
    """Only for the gateways that declare all of `wanted`."""
    return pytest.mark.parametrize("provider", gateways_with(*wanted), indirect=True)


def lacking(capability: Capability) -> pytest.MarkDecorator:
    """Only for the gateways that do not declare it."""
    codes = [code for code in gateways_with() if code not in gateways_with(capability)]
    return pytest.mark.parametrize("provider", codes, indirect=True)


def having(*names: str) -> pytest.MarkDecorator:
    """For each of these recordings that a gateway has; for those that no capability demands."""
    return pytest.mark.parametrize(("provider", "recording"), recorded(*names), indirect=["provider"])


paying_out = pytest.mark.parametrize("provider", sorted({code for code, _kind in PAYOUTS_OFFERED}), indirect=True)


# --- What it says of itself ---


def test_a_gateway_introduces_itself(provider):
    gateway = provider.gateway()

    assert gateway.code == provider.code
    assert gateway.name
    assert gateway.currencies
    assert gateway.currencies <= set(EXPONENTS)
    assert gateway.trust in Trust
    assert gateway.capabilities == type(gateway).capabilities, "record an account that offers all there is"
    assert gateway.capabilities <= set(Capability)
    assert {each.name for each in gateway.credentials} <= set(provider.options)


def test_every_recording_that_the_capabilities_demand_is_there(provider):
    present = {path.stem for path in (wire.PROVIDERS / provider.code).glob("*.json")}

    missing = sorted(demanded_recordings(provider.kind.capabilities) - present)

    assert missing == [], f"add to tests/providers/{provider.code}/"


def test_every_recording_says_where_it_comes_from(provider):
    names = {path.stem for path in (wire.PROVIDERS / provider.code).glob("*.json")} - {"case"}

    assert [name for name in sorted(names) if not wire.load(provider.code, name).get("source")] == []


def test_callbacks_that_prove_nothing_are_only_believed_after_a_question(provider):
    assert provider.gateway().trust is not Trust.HINT or Capability.QUERY in provider.kind.capabilities


# --- What is refused before any call. Nobody listens: a call would be `GatewayUnavailable`. ---


def foreign_money(gateway: PaymentGateway) -> Money:
    return Money(100_000, next(code for code in ("RWF", "UGX", "KES", "USD", "TZS") if code not in gateway.currencies))


@pytest.mark.parametrize(("provider", "method"), METHODS_OFFERED, indirect=["provider"])
def test_a_good_charge_passes_the_check_and_one_in_a_strange_currency_does_not(provider, method):
    gateway, request = provider.gateway(), provider.charge_request(method)

    gateway.check(request)
    for ask in (gateway.check, gateway.charge):
        with pytest.raises(CurrencyNotSupported) as caught:
            ask(replace(request, money=foreign_money(gateway)))
        assert isinstance(caught.value, RuleViolated)


@pytest.mark.parametrize("amount", [0, -100, -100_000])
def test_nothing_and_less_than_nothing_cannot_be_charged(provider, amount):
    gateway = provider.gateway()
    request = replace(provider.request, money=Money(amount, provider.request.money.currency))

    for ask in (gateway.check, gateway.charge):
        with pytest.raises((AmountNotRepresentable, AmountOutOfRange)):
            ask(request)


@offering(Capability.PUSH)
@pytest.mark.parametrize("phone", ["", "+15005550006", "0712345678", "+255 712 345 678", "+25571234567٨"])
def test_a_push_to_a_number_it_cannot_reach_is_refused(provider, phone):
    gateway = provider.gateway()
    request = replace(provider.charge_request(Method.PUSH), phone=phone)

    for ask in (gateway.check, gateway.charge):
        with pytest.raises(PhoneNotSupported):
            ask(request)


@pytest.mark.parametrize(("provider", "method"), METHODS_LACKING, indirect=["provider"])
def test_a_way_to_pay_that_is_not_offered_is_refused(provider, method):
    gateway = provider.gateway()

    for ask in (gateway.check, gateway.charge):
        with pytest.raises(MethodNotSupported):
            ask(replace(provider.request, method=method))


@lacking(Capability.QUERY)
def test_a_gateway_without_a_status_query_says_so(provider):
    with pytest.raises(NotImplementedError):
        provider.gateway().query(ChargeId(reference=provider.request.reference))


@lacking(Capability.CANCEL)
def test_a_gateway_that_cannot_cancel_says_so(provider):
    with pytest.raises(CancelNotSupported):
        provider.gateway().cancel(ChargeId(reference=provider.request.reference))


@lacking(Capability.REFUND)
def test_a_gateway_that_cannot_refund_says_so(provider):
    gateway, charge = provider.gateway(), ChargeId(reference=provider.request.reference)
    request = RefundRequest(reference="REFUND1", charge=charge, money=provider.request.money)
    asks: list[Callable[[], object]] = [
        lambda: gateway.check_refund(request),
        lambda: gateway.refund(request),
        lambda: gateway.query_refund(TransferId(reference="REFUND1", charge=charge)),
    ]

    for ask in asks:
        with pytest.raises(RefundNotSupported):
            ask()


@pytest.mark.parametrize("kind", PAYOUTS)
def test_a_payout_that_is_not_offered_is_refused(provider, kind):
    gateway = provider.gateway()
    if kind in gateway.capabilities:
        gateway.check_payout(provider.payout_request(kind))
        return
    bank = BankAccount(bank="CRDBBANK", number="0150000000", name="Asha Juma")
    request = PayoutRequest(
        reference="PAYOUT1",
        money=provider.request.money,
        phone="+255712345678",
        bank=bank if kind is Capability.PAYOUT_BANK else None,
    )

    for ask in (gateway.check_payout, gateway.payout):
        with pytest.raises(PayoutNotSupported):
            ask(request)


@lacking(Capability.PAYOUT_QUERY)
def test_a_gateway_without_a_payout_query_says_so(provider):
    with pytest.raises(NotImplementedError):
        provider.gateway().query_payout(TransferId(reference="PAYOUT1"))


@lacking(Capability.BALANCE)
def test_a_gateway_that_tells_no_balance_says_so(provider):
    with pytest.raises(BalanceNotSupported):
        provider.gateway().balances()


@lacking(Capability.LIST)
def test_a_gateway_without_a_list_says_so(provider):
    now = datetime.now(UTC)

    with pytest.raises(NotImplementedError):
        list(provider.gateway().list_charges(since=now - timedelta(days=1), until=now))


@pytest.mark.parametrize(("provider", "kind"), PAYOUTS_OFFERED, indirect=["provider"])
def test_a_payout_in_a_strange_currency_or_of_nothing_is_refused(provider, kind):
    gateway, request = provider.gateway(), provider.payout_request(kind)

    for ask in (gateway.check_payout, gateway.payout):
        with pytest.raises(CurrencyNotSupported):
            ask(replace(request, money=foreign_money(gateway)))
        with pytest.raises((AmountNotRepresentable, AmountOutOfRange)):
            ask(replace(request, money=Money(0, request.money.currency)))


@offering(Capability.REFUND)
def test_a_good_refund_passes_the_check(provider):
    provider.gateway().check_refund(provider.refund_request)


# --- Money on the wire ---


def sent_amounts(heard: list[wire.Heard], field: list[str | int]) -> list[Any]:
    """What stands at `field` in the JSON or the query of the requests that have it."""
    found = []
    for request in heard:
        query: Mapping[str, Any] = {
            name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()
        }
        for part in (json.loads(request.body) if request.body.startswith(b"{") else {}, query):
            value: Any = part
            try:
                for step in field:
                    value = value[step]
            except (KeyError, IndexError, TypeError):
                continue
            found.append(value)
    return found


def test_an_amount_is_written_as_the_golden_vectors_say(provider):
    amounts = provider.recording("amounts")
    request = provider.request_of("amounts")
    gateway, heard = provider.gateway_heard(f"charge_{request.method}_accepted")

    for vector in amounts["vectors"]:
        wish = replace(request, money=Money(vector["amount"], vector["currency"]))
        heard.clear()
        if vector["sent"] is None:
            with pytest.raises((AmountNotRepresentable, AmountOutOfRange)):
                gateway.charge(wish)
            assert heard == []
        else:
            gateway.charge(wish)
            [sent] = sent_amounts(heard, amounts["field"])
            assert (type(sent), sent) == (type(vector["sent"]), vector["sent"])


def test_any_amount_reads_back_as_it_was_or_is_refused(
    provider: ProviderCase, figure: Figure, record_figure: RecordFigure
) -> None:
    amounts = provider.recording("amounts")
    request = provider.request_of("amounts")
    gateway, heard = provider.gateway_heard(f"charge_{request.method}_accepted")
    dice, sent_count, count = random.Random(17), 0, figure(quick=60, full=10_000)

    for _ in range(count):
        currency = dice.choice(sorted(amounts["unit"]))
        unit = amounts["unit"][currency]
        # Half of them whole units, or an adapter of whole shillings would refuse nearly all.
        amount = dice.randrange(1, 10 ** dice.randrange(3, 12)) * dice.choice([1, unit])
        heard.clear()
        try:
            gateway.charge(replace(request, money=Money(amount, currency)))
        except AmountNotRepresentable:
            assert amount % unit, "a whole number of its units was refused"
        except AmountOutOfRange:
            assert heard == []
        else:
            [sent] = sent_amounts(heard, amounts["field"])
            assert not isinstance(sent, float)
            assert int(sent) * unit == amount
            sent_count += 1

    assert sent_count > count / 4
    record_figure(f"{provider.code}: {sent_count} of {count} amounts sent, 0 drift")


# --- Charging ---


@pytest.mark.parametrize(("provider", "method"), METHODS_OFFERED, indirect=["provider"])
def test_an_accepted_charge_waits_for_the_customer(provider, method):
    name, request = f"charge_{method}_accepted", provider.charge_request(method)

    result = provider.gateway(name).charge(request)

    assert result.status is (ChargeStatus.PENDING if method is Method.PUSH else ChargeStatus.REQUIRES_ACTION)
    assert result.checkout_url.startswith("" if method is Method.PUSH else ("http://", "https://"))
    # What the provider says, where it says it; never what we would like to hear.
    assert result.money in (None, request.money)
    assert result.provider_reference == provider.recording(name).get("provider_reference", result.provider_reference)


@having("charge_declined")
def test_a_decline_is_an_answer_not_an_error(provider, recording):
    assert provider.gateway(recording).charge(provider.request_of(recording)).status is ChargeStatus.DECLINED


def test_a_request_that_the_provider_will_not_take_is_refused_with_a_short_word(provider):
    with pytest.raises(GatewayRefused) as caught:
        provider.gateway("charge_refused").charge(provider.request_of("charge_refused"))

    assert caught.value.reason.isidentifier()
    assert caught.value.detail


def test_a_provider_that_cannot_be_reached_is_unavailable(provider):
    gateway, can = provider.gateway(), provider.kind.capabilities
    charge, now = ChargeId(reference=provider.request.reference), datetime.now(UTC)
    asks: list[Callable[[], object]] = [gateway.probe]
    asks += [partial(gateway.charge, provider.charge_request(method)) for method in provider.methods]
    asks += [lambda: gateway.query(charge)] * (Capability.QUERY in can)
    asks += [lambda: gateway.cancel(charge)] * (Capability.CANCEL in can)
    asks += [lambda: gateway.refund(provider.refund_request)] * (Capability.REFUND in can)
    asks += [partial(gateway.payout, provider.payout_request(kind)) for kind in PAYOUTS if kind in can]
    asks += [lambda: gateway.query_payout(provider.payout_id("payout_query_pending"))] * (
        Capability.PAYOUT_QUERY in can
    )
    asks += [gateway.balances] * (Capability.BALANCE in can)
    asks += [lambda: list(gateway.list_charges(since=now - timedelta(days=1), until=now))] * (Capability.LIST in can)

    for ask in asks:
        with pytest.raises(GatewayUnavailable):
            ask()


@pytest.mark.parametrize("name", ["charge_server_error", "charge_unreadable", "charge_hang_up"])
def test_silence_after_a_charge_is_an_unknown_outcome(provider, name):
    with pytest.raises(OutcomeUnknown):
        provider.gateway(name).charge(provider.request_of(name))


@offering(Capability.IDEMPOTENT_CHARGE)
def test_charging_one_reference_twice_is_answered_with_the_first_charge(provider):
    expected = ChargeStatus(provider.recording("charge_repeated").get("status", "paid"))

    assert provider.gateway("charge_repeated").charge(provider.request_of("charge_repeated")).status is expected


@lacking(Capability.IDEMPOTENT_CHARGE)
def test_a_duplicate_is_never_taken_for_the_end_of_the_first_charge(provider):
    gateway = provider.gateway("charge_duplicate")

    try:
        result = gateway.charge(provider.request_of("charge_duplicate"))
    except OutcomeUnknown:
        return

    assert result.status in {ChargeStatus.PENDING, ChargeStatus.REQUIRES_ACTION, ChargeStatus.UNKNOWN}


# --- Asking and cancelling ---


@having(*ENDS)
def test_a_question_is_answered_in_our_words(provider, recording):
    result = provider.gateway(recording).query(provider.charge_id(recording))

    assert result.status is ENDS[recording]
    if result.status is ChargeStatus.PAID:
        assert result.provider_reference
        assert result.money == provider.request_of(recording).money
    if result.status is ChargeStatus.DECLINED:
        assert result.reason


@offering(Capability.QUERY)
def test_an_answer_about_another_charge_is_not_ours(provider):
    charge = provider.charge_id("query_paid")
    *before, last = wire.exchanges(provider.code, "query_paid")
    text = json.dumps(last["answer"]["json"])
    for ours in (charge.reference, charge.provider_reference):
        text = text.replace(ours, "SOMEONE0ELSES") if ours else text
    assert text != json.dumps(last["answer"]["json"]), "an answer that names no charge cannot be trusted to be ours"

    gateway = provider.gateway_playing(*before, {**last, "answer": {"status": 200, "text": text}})

    with pytest.raises((GatewayUnavailable, ChargeNotFound)):
        gateway.query(charge)


@offering(Capability.QUERY)
def test_a_reference_nobody_knows_is_not_found(provider):
    with pytest.raises(ChargeNotFound):
        provider.gateway("query_unknown").query(provider.charge_id("query_unknown"))


@offering(Capability.QUERY)
@pytest.mark.parametrize("name", ["query_server_error", "query_hang_up"])
def test_silence_after_a_question_is_only_unavailable(provider, name):
    with pytest.raises(GatewayUnavailable):
        provider.gateway(name).query(provider.charge_id(name))


@offering(Capability.CANCEL)
def test_a_cancelled_charge_is_cancelled(provider):
    result = provider.gateway("cancel_done").cancel(provider.charge_id("cancel_done"))

    assert result.status in {ChargeStatus.CANCELLED, ChargeStatus.EXPIRED}


@offering(Capability.CANCEL)
def test_cancelling_too_late_tells_what_became_of_the_charge(provider):
    result = provider.gateway("cancel_too_late").cancel(provider.charge_id("cancel_too_late"))

    assert result.status is ChargeStatus(provider.recording("cancel_too_late").get("status", "paid"))


# --- Refunds ---


def said_no(ask: Callable[[], TransferResult]) -> bool:
    """Whether it was refused with a short word, or failed with a reason."""
    try:
        result = ask()
    except GatewayRefused as refusal:
        return refusal.reason.isidentifier()
    return result.status is TransferStatus.FAILED and bool(result.reason)


@offering(Capability.REFUND)
def test_an_accepted_refund_is_on_its_way(provider):
    result = provider.gateway("refund_accepted").refund(provider.refund_request)

    assert result.status in {TransferStatus.PENDING, TransferStatus.SUCCEEDED}
    assert result.money in (None, provider.refund_request.money)


@offering(Capability.REFUND)
def test_a_refund_that_the_provider_will_not_make_is_refused_or_failed(provider):
    gateway = provider.gateway("refund_refused")

    assert said_no(lambda: gateway.refund(provider.refund_request))


@offering(Capability.REFUND)
def test_silence_after_a_refund_is_an_unknown_outcome(provider):
    with pytest.raises(OutcomeUnknown):
        provider.gateway("refund_hang_up").refund(provider.refund_request)


@offering(Capability.REFUND)
def test_a_refund_can_be_asked_about(provider):
    name = "refund_query_succeeded"

    result = provider.gateway(name).query_refund(provider.refund_id(name))

    assert result.status is TransferStatus.SUCCEEDED
    assert result.money in (None, provider.refund_request.money)


@offering(Capability.REFUND)
def test_a_refund_nobody_knows_is_not_found(provider):
    with pytest.raises(TransferNotFound):
        provider.gateway("refund_query_unknown").query_refund(provider.refund_id("refund_query_unknown"))


# --- Payouts, balance, list ---


@pytest.mark.parametrize(("provider", "kind"), PAYOUTS_OFFERED, indirect=["provider"])
def test_an_accepted_payout_is_on_its_way(provider, kind):
    request = provider.payout_request(kind)

    result = provider.gateway(f"{kind}_accepted").payout(request)

    assert result.status in {TransferStatus.PENDING, TransferStatus.SUCCEEDED}
    assert result.money in (None, request.money)


@paying_out
def test_a_payout_that_the_provider_will_not_make_is_refused_or_failed(provider):
    gateway = provider.gateway("payout_refused")

    assert said_no(lambda: gateway.payout(provider.payout_request()))


@paying_out
def test_silence_after_a_payout_is_an_unknown_outcome(provider):
    with pytest.raises(OutcomeUnknown):
        provider.gateway("payout_hang_up").payout(provider.payout_request())


@offering(Capability.PAYOUT_QUERY)
@pytest.mark.parametrize("end", TRANSFER_ENDS)
def test_a_payout_can_be_asked_about(provider, end):
    name = f"payout_query_{end}"

    result = provider.gateway(name).query_payout(provider.payout_id(name))

    assert result.status in TRANSFER_ENDS[end]
    assert result.money in (None, provider.payout_request().money)
    assert result.reason or end != "failed"


@offering(Capability.PAYOUT_QUERY)
def test_a_payout_nobody_knows_is_not_found_or_unclear_but_never_failed(provider):
    name = "payout_query_unknown"
    gateway = provider.gateway(name)

    try:
        result = gateway.query_payout(provider.payout_id(name))
    except (TransferNotFound, GatewayUnavailable):
        return

    assert result.status is TransferStatus.UNKNOWN


@offering(Capability.BALANCE)
def test_a_balance_is_money(provider):
    expected = [Money(amount, currency) for amount, currency in provider.recording("balance")["balances"]]

    assert provider.gateway("balance").balances() == expected


@offering(Capability.LIST)
def test_the_list_of_charges_is_read_to_its_end(provider):
    facts = provider.recording("list")
    since, until = (datetime.fromisoformat(facts[end]) for end in ("since", "until"))

    listed = list(provider.gateway("list").list_charges(since=since, until=until))

    assert [(each.reference, each.result.status, each.result.money) for each in listed] == [
        (reference, ChargeStatus(status), Money(amount, currency))
        for reference, status, amount, currency in facts["listed"]
    ]
    assert all(each.created_at is None or since <= each.created_at < until for each in listed)


# --- Probing ---


def test_a_probe_is_one_call_that_works_or_says_why_not(provider):
    assert len(wire.exchanges(provider.code, "probe")) == 1

    provider.gateway("probe").probe()
    with pytest.raises(GatewayRefused) as caught:
        provider.gateway("probe_refused").probe()

    assert caught.value.reason.isidentifier()


# --- Callbacks ---


def printed(events: list[GatewayEvent]) -> list[tuple[object, ...]]:
    """What an engine acts upon: everything but the raw record."""
    return [(event.key, event.reference, event.subject, replace(event.result, raw={})) for event in events]


@having(*WEBHOOKS)
def test_a_callback_is_read_in_our_words(provider, recording):
    told = provider.recording(recording)
    subject = {"webhook_refund": Subject.REFUND, "webhook_payout": Subject.PAYOUT}.get(recording, Subject.CHARGE)

    events = provider.gateway().read_webhook(provider.callback(recording))

    if "reference" not in told:
        assert events == [], "a callback that tells nothing we act upon says so by naming no reference"
        return
    [event] = events
    assert (event.reference, event.result.status, event.subject) == (told["reference"], told["status"], subject)
    assert event.key


def test_a_repeated_callback_has_the_same_key_and_other_news_another(provider):
    gateway, keys = provider.gateway(), []

    for name in WEBHOOKS:
        if (provider.code, name) in recorded(name):
            first, again = (gateway.read_webhook(provider.callback(name)) for _ in range(2))
            assert [event.key for event in first] == [event.key for event in again]
            keys += [event.key for event in first]

    assert keys
    assert len(set(keys)) == len(keys)


def changed_bytes(text: bytes) -> Iterator[bytes]:
    for position in range(len(text)):
        for change in (0x01, 0x20):
            changed = bytearray(text)
            changed[position] ^= change
            yield bytes(changed)


def forgeries(delivery: Delivery) -> Iterator[Delivery]:
    """The delivery with each one byte of its body, or character of a header's value, changed."""
    for body in changed_bytes(delivery.body):
        yield replace(delivery, body=body)
    for name, value in delivery.headers.items():
        for text in changed_bytes(value.encode("latin-1")):
            yield replace(delivery, headers={**delivery.headers, name: text.decode("latin-1")})


def read_or_rejected(gateway: PaymentGateway, delivery: Delivery) -> list[GatewayEvent] | None:
    try:
        return gateway.read_webhook(delivery)
    except WebhookRejected:
        return None


def test_one_changed_byte_is_rejected_or_settles_nothing(provider):
    """SIGNED: rejected, or news that is the same to the letter. TOKEN: the same of the secret. HINT: only ever a hint.

    Bytes that carry no meaning may change: a space between tokens, the name of the signing method, a header nobody
    reads. What proves nothing must be harmless instead: no byte makes it more than a hint, or anything but a rejection.
    """
    delivery, gateway = provider.callback("webhook_paid"), provider.gateway()
    news, trust = printed(gateway.read_webhook(delivery)), gateway.trust
    read = [read_or_rejected(gateway, forged) for forged in forgeries(delivery)]
    rejected = sum(events is None for events in read)

    assert gateway.trust is trust
    match trust:
        case Trust.SIGNED:
            assert all(events is None or printed(events) == news for events in read)
            assert rejected > len(delivery.body)
        case Trust.TOKEN:
            bare = replace(delivery, headers={})
            assert read_or_rejected(gateway, bare) is None or bare == delivery, "without its secret it passed"
            assert rejected > 0
        case Trust.HINT:
            assert Capability.QUERY in gateway.capabilities
            assert all(event.reference for events in read for event in events or [])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 50_000, b'{"a": 1e99999999999999999999}'])
def test_junk_is_rejected(provider, body):
    gateway = provider.gateway()

    with pytest.raises(WebhookRejected):
        gateway.verify(Delivery(body=body))
    with pytest.raises(WebhookRejected):
        gateway.parse(Delivery(body=body))


# --- Nothing of people, nothing secret ---


def test_nothing_personal_shows_when_things_are_printed(provider):
    gateway, delivery = provider.gateway(), provider.callback("webhook_paid")
    requests: list[object] = [provider.charge_request(method) for method in provider.methods]
    requests += [provider.payout_request(kind) for kind in PAYOUTS if kind in gateway.capabilities]

    shown = repr((gateway, requests, delivery, gateway.read_webhook(delivery)))

    assert provider.personal()
    assert [word for word in provider.personal() if word in shown] == []


def test_neither_people_nor_secrets_are_logged(provider, caplog):
    caplog.set_level(logging.DEBUG)
    request: ChargeRequest = provider.request

    provider.gateway(f"charge_{request.method}_accepted").charge(request)
    provider.gateway().read_webhook(provider.callback("webhook_paid"))

    secrets = [provider.options[each.name] for each in provider.kind.credentials if each.is_secret]
    assert [word for word in provider.personal() + secrets if word in caplog.text] == []
