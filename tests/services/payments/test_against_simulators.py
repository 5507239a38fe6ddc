"""Every adapter against its simulator, over HTTP: what each says of the wire, the other understands.

An adapter and its simulator are written from the vendor's document without looking at each other, so where they
disagree one of them has read it wrongly. What is played follows from the capabilities that an adapter declares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings

from core.money import Money
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    Capability,
    ChargeId,
    ChargeNotFound,
    ChargeRequest,
    ChargeResult,
    ChargeStatus,
    GatewayRefused,
    Method,
    PaymentGateway,
    PayoutRequest,
    RefundRequest,
    Subject,
    TransferId,
    TransferNotFound,
    TransferResult,
    TransferStatus,
    Trust,
    WebhookRejected,
)
from services.simulators.app import PROVIDERS
from tests.services.payments.provider_case import CHARGED_BY, PAYOUTS, gateways_with
from tests.services.payments.stage import OPEN, Stage, at_once, staged
from tests.services.simulators.conftest import wait_for

# The one without a simulator is named by the first test; the others have nothing to play against.
SIMULATED = {provider.code for provider in PROVIDERS}
PAGES = (Method.CHECKOUT, Method.CARD)
# The names under which simulators know the call that moves or promises money.
CALLS = {
    Method.PUSH: ("push",),
    Method.CHECKOUT: ("checkout", "order"),
    Method.CARD: ("card", "checkout", "order"),
}
BEFORE, AFTER = ("silence_before", "error_before"), ("silence_after", "error_after", "malformed", "reset")
OF_QUESTIONS = ("silence_before", "error_before", "malformed", "reset")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as running:
        yield running


def playing(*wanted: Capability) -> pytest.MarkDecorator:
    """For each gateway with a simulator that declares all of `wanted`."""
    return pytest.mark.parametrize("code", [code for code in gateways_with(*wanted) if code in SIMULATED])


def charging(*methods: Method) -> pytest.MarkDecorator:
    """For each of the ways to pay that such a gateway offers."""
    found = [(code, each) for each in methods for code in gateways_with(CHARGED_BY[each]) if code in SIMULATED]
    return pytest.mark.parametrize(("code", "method"), found)


def paying_out() -> pytest.MarkDecorator:
    """For each of the ways in which such a gateway pays out."""
    found = [(code, kind) for kind in PAYOUTS for code in gateways_with(kind) if code in SIMULATED]
    return pytest.mark.parametrize(("code", "kind"), found)


def charge_id(request: ChargeRequest, result: ChargeResult | None = None) -> ChargeId:
    return ChargeId(reference=request.reference, provider_reference=result.provider_reference if result else "")


def raised(ask: Callable[[], Any]) -> Any:
    """What `ask` raises, or else answers."""
    try:
        return ask()
    except (GatewayUnavailable, OutcomeUnknown, GatewayRefused, ChargeNotFound, TransferNotFound) as error:
        return type(error)


def paid(stage: Stage, gateway: PaymentGateway, method: Method) -> tuple[ChargeRequest, ChargeResult]:
    """A charge that the customer has paid."""
    request = stage.request(gateway.code, method)
    result = gateway.charge(request)
    if result.checkout_url:
        stage.act(result.checkout_url, "pay")
    return request, stage.outcome(gateway, result, request.reference)


def first_method(code: str) -> Method:
    return next(method for method, needed in CHARGED_BY.items() if code in gateways_with(needed))


# --- Who is there ---


@pytest.mark.parametrize("code", sorted(settings.PAYMENT_GATEWAYS))
def test_every_gateway_has_a_simulator(stage, code):
    playing_now = stage.simulator.http.get("/simulator/health").json()["simulators"]

    assert code in playing_now, f"The gateway {code} has no simulator: add services/simulators/{code}/ to app.PROVIDERS"


@playing()
def test_the_demo_account_is_let_in_and_a_wrong_secret_is_not(stage, code):
    secret = next(each.name for each in stage.gateway(code).credentials if each.is_secret)

    stage.gateway(code).probe()
    with pytest.raises(GatewayRefused) as caught:
        stage.gateway(code, **{secret: "not-the-secret"}).probe()

    assert caught.value.reason == "credentials"


# --- Charging ---


@charging(Method.PUSH)
def test_a_push_that_the_customer_approves_is_paid_once(stage, code, method):
    gateway, request = stage.gateway(code), stage.request(code, method)

    started = gateway.charge(request)
    ended = stage.outcome(gateway, started, request.reference)

    assert started.status is ChargeStatus.PENDING
    assert (ended.status, ended.money) == (ChargeStatus.PAID, request.money)
    assert stage.captures(code, request.reference) == 1
    assert stage.captured(code, request.reference) == request.money


@charging(Method.PUSH)
def test_a_push_that_the_customer_declines_has_ended_unpaid(stage, code, method):
    gateway, request = stage.gateway(code), stage.request(code, method, ending="101")

    ended = stage.outcome(gateway, gateway.charge(request), request.reference)

    assert ended.status in {ChargeStatus.DECLINED, ChargeStatus.CANCELLED}
    assert ended.refunded is None
    assert stage.captures(code, request.reference) == 0


@charging(Method.PUSH)
def test_a_push_that_nobody_answers_is_never_paid(stage, code, method):
    gateway, request = stage.gateway(code), stage.request(code, method, ending="102")
    gateway.charge(request)

    wait_for(lambda: [row["state"] for row in stage.rows(code, request.reference)] == ["expired"])

    if Capability.QUERY in gateway.capabilities:
        # Not every provider has a word for it: then it stays open there, and our own clock ends it.
        over = {ChargeStatus.DECLINED, ChargeStatus.EXPIRED, ChargeStatus.CANCELLED}
        assert gateway.query(charge_id(request)).status in OPEN | over
    assert stage.captures(code, request.reference) == 0


@charging(*PAGES)
def test_a_page_on_which_the_customer_pays_is_paid_once(stage, code, method):
    gateway, request = stage.gateway(code), stage.request(code, method)

    opened = gateway.charge(request)
    stage.act(opened.checkout_url, "pay")
    ended = stage.outcome(gateway, opened, request.reference)

    assert opened.status is ChargeStatus.REQUIRES_ACTION
    assert (ended.status, ended.money) == (ChargeStatus.PAID, request.money)
    assert stage.captures(code, request.reference) == 1
    assert stage.captured(code, request.reference) == request.money


@charging(*PAGES)
@pytest.mark.parametrize("action", ["decline", "abandon"])
def test_a_page_that_the_customer_leaves_is_not_paid(stage, code, method, action):
    gateway, request = stage.gateway(code), stage.request(code, method)
    opened = gateway.charge(request)

    stage.act(opened.checkout_url, action)

    told = {event.result.status for event in stage.news(gateway, request.reference)}
    if Capability.QUERY in gateway.capabilities:
        answer = raised(lambda: gateway.query(charge_id(request, opened)))
        # A gateway may know nothing of a page on which nobody has tried to pay.
        told.add(ChargeStatus.UNKNOWN if answer is ChargeNotFound else answer.status)
    assert told <= OPEN | {ChargeStatus.DECLINED, ChargeStatus.CANCELLED}
    assert stage.captures(code, request.reference) == 0


@charging(*Method)
def test_a_charge_that_was_only_begun_is_not_over(stage, code, method):
    gateway, request = stage.gateway(code), stage.request(code, method, ending="100" if method is Method.PUSH else "")

    started = gateway.charge(request)

    assert started.status in OPEN
    if Capability.QUERY in gateway.capabilities:
        answer = raised(lambda: gateway.query(charge_id(request, started)))
        assert answer is ChargeNotFound or answer.status in OPEN


@charging(Method.PUSH)
def test_a_smaller_amount_than_asked_for_is_reported_as_it_is(stage, code, method):
    gateway, request = stage.gateway(code), stage.request(code, method, ending="110")

    ended = stage.outcome(gateway, gateway.charge(request), request.reference)

    assert ended.status is ChargeStatus.PAID
    assert ended.money == stage.captured(code, request.reference)
    assert ended.money == Money(request.money.amount * 9 // 10, request.money.currency)


@charging(*Method)
def test_a_reference_charged_twice_is_never_paid_twice(stage, code, method):
    gateway, request = stage.gateway(code), stage.request(code, method)
    started = gateway.charge(request)

    again = raised(lambda: gateway.charge(request))

    assert again is OutcomeUnknown or again is GatewayRefused or again.status in OPEN | {ChargeStatus.PAID}
    if Capability.IDEMPOTENT_CHARGE in gateway.capabilities and method is Method.PUSH:
        stage.outcome(gateway, started, request.reference)
        assert gateway.charge(request).status is ChargeStatus.PAID
        assert stage.captures(code, request.reference) == 1


# --- Asking and cancelling ---


@playing(Capability.QUERY)
def test_a_reference_that_was_never_used_is_not_found(stage, code):
    with pytest.raises(ChargeNotFound):
        stage.gateway(code).query(charge_id(stage.request(code, first_method(code))))


@playing(Capability.CANCEL)
def test_a_page_can_be_cancelled_and_not_be_paid_afterwards(stage, code):
    gateway, request = stage.gateway(code), stage.request(code, Method.CHECKOUT)
    opened = gateway.charge(request)

    cancelled = gateway.cancel(charge_id(request, opened))

    assert cancelled.status in {ChargeStatus.CANCELLED, ChargeStatus.EXPIRED}
    assert gateway.query(charge_id(request, opened)).status in {ChargeStatus.CANCELLED, ChargeStatus.EXPIRED}
    with pytest.raises(AssertionError):
        stage.act(opened.checkout_url, "pay")
    assert stage.captures(code, request.reference) == 0


@playing(Capability.CANCEL)
def test_what_is_paid_cannot_be_cancelled(stage, code):
    gateway = stage.gateway(code)
    request, ended = paid(stage, gateway, Method.CHECKOUT)

    assert gateway.cancel(charge_id(request, ended)).status is ChargeStatus.PAID
    assert gateway.query(charge_id(request, ended)).status is ChargeStatus.PAID


# --- Money that goes out ---


def refund_of(request: ChargeRequest, ended: ChargeResult, money: Money, reference: str) -> RefundRequest:
    return RefundRequest(reference=reference, charge=charge_id(request, ended), money=money, reason="customer_request")


def refunded(gateway: PaymentGateway, request: RefundRequest) -> TransferResult:
    """A refund that has come to its end."""
    gateway.refund(request)
    refund = TransferId(reference=request.reference, charge=request.charge)
    ended: TransferResult = wait_for(lambda: over(gateway.query_refund(refund)))
    return ended


def over(result: TransferResult) -> TransferResult | None:
    return None if result.status in {TransferStatus.PENDING, TransferStatus.UNKNOWN} else result


@playing(Capability.REFUND)
def test_a_whole_payment_goes_back_once(stage, code):
    gateway = stage.gateway(code)
    request, ended = paid(stage, gateway, first_method(code))
    wish = refund_of(request, ended, request.money, f"{request.reference}R")

    first, again = refunded(gateway, wish), refunded(gateway, wish)

    assert (first.status, first.money) == (TransferStatus.SUCCEEDED, request.money)
    assert again.provider_reference == first.provider_reference
    assert stage.sent(code, wish.reference) == 1
    after = gateway.query(charge_id(request, ended))
    assert (after.status, after.refunded) == (ChargeStatus.PAID, request.money)


@playing(Capability.REFUND)
def test_parts_of_a_payment_go_back_and_never_more_than_was_paid(stage, code):
    gateway = stage.gateway(code)
    request, ended = paid(stage, gateway, first_method(code))
    half = Money(request.money.amount // 200 * 100, request.money.currency)
    parts = [refund_of(request, ended, half, f"{request.reference}{part}") for part in "AB"]
    more = refund_of(request, ended, half, f"{request.reference}C")

    ends = [refunded(gateway, part) for part in parts[:1]]
    between = gateway.query(charge_id(request, ended))
    ends += [refunded(gateway, part) for part in parts[1:]]
    refusal = raised(lambda: gateway.refund(more))

    assert [(end.status, end.money) for end in ends] == [(TransferStatus.SUCCEEDED, half)] * 2
    assert (between.status, between.refunded) == (ChargeStatus.PAID, half)
    assert refusal is GatewayRefused or refusal.status is TransferStatus.FAILED
    assert stage.sent(code, more.reference) == 0


@playing(Capability.REFUND)
def test_a_refund_that_was_never_asked_for_is_not_found(stage, code):
    gateway = stage.gateway(code)
    request, ended = paid(stage, gateway, first_method(code))

    with pytest.raises(TransferNotFound):
        gateway.query_refund(TransferId(reference=f"{request.reference}R", charge=charge_id(request, ended)))


def payout_ended(gateway: PaymentGateway, wish: PayoutRequest, sent: TransferResult) -> TransferResult:
    """What became of a payout: by asking where that is possible."""
    if Capability.PAYOUT_QUERY not in gateway.capabilities:
        return sent
    payout = TransferId(reference=wish.reference, provider_reference=sent.provider_reference)
    ended: TransferResult = wait_for(lambda: over(gateway.query_payout(payout)))
    return ended


@paying_out()
def test_a_payout_arrives_once(stage, code, kind):
    gateway, wish = stage.gateway(code), stage.payout_request(code, kind)

    ended = payout_ended(gateway, wish, gateway.payout(wish))

    assert ended.status in {TransferStatus.SUCCEEDED} | (
        set() if Capability.PAYOUT_QUERY in gateway.capabilities else {TransferStatus.PENDING}
    )
    assert ended.money in (None, wish.money)
    assert stage.sent(code, wish.reference) == 1


@paying_out()
def test_a_payout_that_fails_is_said_to_have_failed(stage, code, kind):
    gateway, wish = stage.gateway(code), stage.payout_request(code, kind, ending="101")

    sent = raised(lambda: gateway.payout(wish))

    if sent is not GatewayRefused and Capability.PAYOUT_QUERY in gateway.capabilities:
        ended = payout_ended(gateway, wish, sent)
        assert ended.status in {TransferStatus.FAILED, TransferStatus.RETURNED}


@paying_out()
def test_a_payout_beyond_what_the_account_holds_is_refused(stage, code, kind):
    gateway = stage.gateway(code)
    wish = replace(stage.payout_request(code, kind), money=Money(10**13, "TZS"))

    answer = raised(lambda: gateway.payout(wish))

    assert answer is GatewayRefused or answer.status is TransferStatus.FAILED
    assert stage.sent(code, wish.reference) == 0


@playing(Capability.PAYOUT_QUERY)
def test_a_payout_that_was_never_made_is_not_found_or_unclear_but_never_failed(stage, code):
    answer = raised(lambda: stage.gateway(code).query_payout(TransferId(reference="NEVERSENT1")))

    assert answer in (TransferNotFound, GatewayUnavailable) or answer.status is TransferStatus.UNKNOWN


# --- The account ---


@playing(Capability.BALANCE)
def test_the_balance_grows_by_what_is_paid(stage, code):
    gateway = stage.gateway(code)
    before = {money.currency: money.amount for money in gateway.balances()}

    request, _ended = paid(stage, gateway, first_method(code))

    currency = request.money.currency
    after = {money.currency: money.amount for money in gateway.balances()}
    assert after[currency] - before[currency] == request.money.amount


@playing(Capability.LIST)
def test_what_was_paid_is_in_the_list_once(stage, code):
    gateway, since = stage.gateway(code), datetime.now(UTC) - timedelta(seconds=2)
    request, _ended = paid(stage, gateway, first_method(code))

    listed = list(gateway.list_charges(since=since, until=datetime.now(UTC) + timedelta(minutes=1)))
    earlier = list(gateway.list_charges(since=since - timedelta(days=2), until=since))

    [ours] = [each for each in listed if each.reference == request.reference]
    assert (ours.result.status, ours.result.money) == (ChargeStatus.PAID, request.money)
    assert request.reference not in {each.reference for each in earlier}


# --- Callbacks ---


@charging(*Method)
def test_the_callback_about_a_payment_is_believed_and_read(stage, code, method):
    gateway = stage.gateway(code)
    request, _ended = paid(stage, gateway, method)

    wait_for(lambda: any(each.result.status is ChargeStatus.PAID for each in stage.news(gateway, request.reference)))

    for delivery in stage.deliveries(code, request.reference):
        gateway.read_webhook(delivery)
    news = stage.news(gateway, request.reference)
    assert {each.subject for each in news} == {Subject.CHARGE}
    [money] = {each.result.money for each in news if each.result.status is ChargeStatus.PAID}
    assert money == request.money


@charging(*Method)
def test_a_callback_sent_twice_is_one_piece_of_news(stage, code, method):
    gateway, request = stage.gateway(code), stage.request(code, method)
    stage.fault(code, "duplicate", reference=request.reference)
    started = gateway.charge(request)
    if started.checkout_url:
        stage.act(started.checkout_url, "pay")

    def came_twice() -> bool:
        # One payment may be told by several pieces of news.
        keys = [each.key for each in stage.news(gateway, request.reference)]
        return len(keys) > len(set(keys))

    assert wait_for(came_twice)


@charging(*Method)
def test_a_forged_callback_is_rejected_or_only_makes_us_ask(stage, code, method):
    gateway, request = stage.gateway(code), stage.request(code, method, ending="109" if method is Method.PUSH else "")
    if method is not Method.PUSH:
        stage.fault(code, "forged", reference=request.reference)

    gateway.charge(request)

    def claims() -> list[bool]:
        """Of each delivery that claims a success: whether it was accepted."""
        found = []
        for delivery in stage.deliveries(code, request.reference):
            claimed = gateway.parse(delivery)
            if any(each.result.status is ChargeStatus.PAID for each in claimed):
                found.append(raised_rejection(gateway, delivery))
        return found

    rejected = wait_for(lambda: claims() if len(claims()) > 1 else None)

    assert all(rejected) or gateway.trust is Trust.HINT
    assert stage.captures(code, request.reference) == 0


def raised_rejection(gateway: PaymentGateway, delivery: Any) -> bool:
    try:
        gateway.verify(delivery)
    except WebhookRejected:
        return True
    return False


@playing(Capability.REFUND)
def test_the_callback_about_a_refund_is_believed_and_read(stage, code):
    gateway = stage.gateway(code)
    request, ended = paid(stage, gateway, first_method(code))
    wish = refund_of(request, ended, request.money, f"{request.reference}R")

    refunded(gateway, wish)

    def told() -> bool:
        news = stage.news(gateway, wish.reference)
        return any(each.subject is Subject.REFUND and each.result.status is TransferStatus.SUCCEEDED for each in news)

    assert wait_for(told)


@paying_out()
def test_every_callback_about_a_payout_is_believed_and_about_it(stage, code, kind):
    gateway, wish = stage.gateway(code), stage.payout_request(code, kind)
    payout_ended(gateway, wish, gateway.payout(wish))

    for delivery in stage.deliveries(code, wish.reference):
        [event] = gateway.read_webhook(delivery)
        assert (event.subject, event.reference) == (Subject.PAYOUT, wish.reference)


# --- When the wire fails ---


@charging(*Method)
def test_a_charge_whose_answer_is_lost_is_an_unknown_outcome_and_never_paid_twice(stage, code, method):
    gateway, operation = stage.gateway(code), stage.operation(code, *CALLS[method])
    wishes = {fault: stage.request(code, method) for fault in (*BEFORE, *AFTER)}
    for fault, wish in wishes.items():
        stage.fault(code, fault, operation, wish.reference)

    answers = dict(
        zip(wishes, at_once(lambda wish: raised(lambda: gateway.charge(wish)), wishes.values()), strict=True)
    )

    for fault, answer in answers.items():
        # An adapter may have asked by itself what it began; then it says so, and that it is not over.
        assert answer is OutcomeUnknown or answer.status in {ChargeStatus.PENDING, ChargeStatus.UNKNOWN}, fault
    is_repeatable = Capability.IDEMPOTENT_CHARGE in gateway.capabilities and method is Method.PUSH
    for wish in wishes.values():
        if is_repeatable:
            gateway.charge(wish)
    for fault, wish in wishes.items():
        if method is Method.PUSH and (is_repeatable or fault in AFTER):
            ended = stage.outcome(gateway, ChargeResult(status=ChargeStatus.UNKNOWN), wish.reference)
            assert ended.status is ChargeStatus.PAID, fault
            assert stage.captures(code, wish.reference) == 1, fault
        else:
            # Nobody has the address of the page, or nothing was accepted at all.
            assert stage.captures(code, wish.reference) == 0, fault


@charging(*Method)
def test_a_charge_that_is_refused_is_refused_in_our_words(stage, code, method):
    gateway, request = stage.gateway(code), stage.request(code, method)
    stage.fault(code, "refuse", stage.operation(code, *CALLS[method]), request.reference)

    with pytest.raises(GatewayRefused) as caught:
        gateway.charge(request)

    assert caught.value.reason.isidentifier()
    assert stage.captures(code, request.reference) == 0


@playing(Capability.QUERY)
def test_a_question_whose_answer_is_lost_can_be_asked_again(stage, code):
    gateway = stage.gateway(code)
    request, ended = paid(stage, gateway, first_method(code))

    for fault in OF_QUESTIONS:
        stage.fault(code, fault, reference=request.reference)
        with pytest.raises(GatewayUnavailable):
            gateway.query(charge_id(request, ended))

    assert gateway.query(charge_id(request, ended)).status is ChargeStatus.PAID


@playing(Capability.CANCEL)
@pytest.mark.parametrize("fault", ["silence_after", "error_after", "malformed"])
def test_a_cancellation_whose_answer_is_lost_is_known_by_asking(stage, code, fault):
    gateway, request = stage.gateway(code), stage.request(code, Method.CHECKOUT)
    opened = gateway.charge(request)
    stage.fault(code, fault, "cancel", request.reference)

    with pytest.raises(OutcomeUnknown):
        gateway.cancel(charge_id(request, opened))

    assert gateway.query(charge_id(request, opened)).status is ChargeStatus.CANCELLED


@paying_out()
def test_a_payout_whose_answer_is_lost_is_an_unknown_outcome_and_never_sent_twice(stage, code, kind):
    gateway, operation = stage.gateway(code), stage.operation(code, "payout")
    wishes = {fault: stage.payout_request(code, kind) for fault in (*BEFORE, *AFTER)}
    for fault, wish in wishes.items():
        stage.fault(code, fault, operation, wish.reference)

    answers = dict(
        zip(wishes, at_once(lambda wish: raised(lambda: gateway.payout(wish)), wishes.values()), strict=True)
    )

    for fault, answer in answers.items():
        assert answer is OutcomeUnknown or answer.status in {TransferStatus.PENDING, TransferStatus.UNKNOWN}, fault
    is_repeatable = Capability.IDEMPOTENT_PAYOUT in gateway.capabilities
    for fault, wish in wishes.items():
        if is_repeatable:
            gateway.payout(wish)
        assert stage.sent(code, wish.reference) == int(is_repeatable or fault in AFTER), fault


@playing(Capability.REFUND)
def test_a_refund_whose_answer_is_lost_is_an_unknown_outcome_and_never_made_twice(stage, code):
    gateway, operation = stage.gateway(code), stage.operation(code, "refund")
    faults = (*BEFORE, *AFTER)
    charges = at_once(lambda _fault: paid(stage, gateway, first_method(code)), faults)
    wishes = {
        fault: refund_of(request, ended, request.money, f"{request.reference}R")
        for fault, (request, ended) in zip(faults, charges, strict=True)
    }
    for fault, wish in wishes.items():
        stage.fault(code, fault, operation, wish.reference)

    answers = dict(
        zip(wishes, at_once(lambda wish: raised(lambda: gateway.refund(wish)), wishes.values()), strict=True)
    )

    assert answers == dict.fromkeys(faults, OutcomeUnknown)
    for fault, wish in wishes.items():
        found = raised(partial(gateway.query_refund, TransferId(reference=wish.reference, charge=wish.charge)))
        assert (found is TransferNotFound) == (fault in BEFORE), fault
        assert stage.sent(code, wish.reference) == int(fault in AFTER), fault


@pytest.mark.parametrize(
    ("code", "capability"),
    [(code, can) for can in (Capability.BALANCE, Capability.LIST) for code in gateways_with(can) if code in SIMULATED],
)
def test_the_account_can_be_asked_about_again_when_an_answer_is_lost(stage, code, capability):
    gateway, now = stage.gateway(code), datetime.now(UTC)
    paid(stage, gateway, first_method(code))

    def ask() -> list[Any]:
        if capability is Capability.BALANCE:
            return list(gateway.balances())
        return list(gateway.list_charges(since=now - timedelta(minutes=1), until=now + timedelta(minutes=1)))

    for fault in OF_QUESTIONS:
        stage.fault(code, fault, capability)
        with pytest.raises(GatewayUnavailable):
            ask()

    assert ask()
