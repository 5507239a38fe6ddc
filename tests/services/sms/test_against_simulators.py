"""Every SMS adapter against its simulator, over HTTP: what each says of the wire, the other understands.

An adapter and its simulator are written from the vendor's document without looking at each other, so where they
disagree one of them has read it wrongly. What is played follows from the capabilities that an adapter declares and
from its case file; `cases/__init__.py` says how a gateway plugs in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from services.http import GatewayUnavailable, OutcomeUnknown
from services.sms.base import (
    MessageStatus,
    Refusal,
    SmsCallbackRejected,
    SmsCapability,
    SmsGateway,
    SmsId,
    SmsRefused,
    SmsReport,
    SmsRequest,
)
from tests.services.payments.stage import at_once
from tests.services.simulators.conftest import wait_for
from tests.services.sms.provider_case import GATEWAYS, gateways_with, recorded_reasons
from tests.services.sms.stage import Played, Stage, Wish, played

BEFORE, AFTER = ("silence_before", "error_before"), ("silence_after", "error_after", "malformed", "reset")
UNDERWAY = {MessageStatus.QUEUED, MessageStatus.SENT}
# The special numbers of docs/simulators.md.
ENDS = {
    "": {MessageStatus.DELIVERED},
    "+255700000101": {MessageStatus.UNDELIVERABLE, MessageStatus.FAILED},
    "+255700000105": {MessageStatus.EXPIRED, MessageStatus.UNDELIVERABLE},
}
TEXTS = {
    "GSM with its extension": "Habari {Asha} [1] ~ 5\u20ac",
    "a line of its own": "Karibu\nAsante & kwaheri + 100% = sawa",
    "UCS-2": "Mk\u00e1mbala \u2013 \u4f60\u597d",
    "beyond the basic plane": "Asante \U0001f600",
    "several parts": "Habari ya asubuhi. " * 20,
    "several parts of UCS-2": "Kar\u00edbu sana \u2713 " * 20,
}
PARTS = {"several parts": 3, "several parts of UCS-2": 5}


@pytest.fixture(params=gateways_with())
def case(request: pytest.FixtureRequest, stage: Stage) -> Played:
    return played(request.param, stage)


def offering(*wanted: SmsCapability) -> pytest.MarkDecorator:
    """Only for the gateways that declare all of `wanted`."""
    return pytest.mark.parametrize("case", gateways_with(*wanted), indirect=True)


def raised(ask: Callable[[], Any]) -> Any:
    """What `ask` raises, or else answers."""
    try:
        return ask()
    except (GatewayUnavailable, OutcomeUnknown, SmsRefused) as error:
        return type(error)


def text_id(request: SmsRequest, reference: str) -> SmsId:
    return SmsId(key=request.key, phone=request.phone, provider_reference=reference)


def needs_faults(case: Played) -> None:
    if not case.has_faults:
        pytest.skip("no simulator of ours")


# --- Who is there ---


def test_a_gateway_that_nobody_plays_fails_by_name(stage):
    with pytest.raises(AssertionError, match=r"add tests/services/sms/cases/nobody\.py"):
        played("nobody", stage)


def test_the_demo_account_is_let_in_and_a_wrong_secret_is_not(case):
    case.gateway().probe()

    with pytest.raises(SmsRefused) as caught:
        case.gateway(**{case.secret: "not-the-secret"}).probe()

    assert caught.value.reason is Refusal.ACCOUNT


# --- Sending ---


def test_an_accepted_text_is_taken_once_exactly_as_it_was_written(case):
    gateway, wishes = case.gateway(), {name: case.request(Wish(text=text)) for name, text in TEXTS.items()}

    results = {name: gateway.send(request) for name, request in wishes.items()}

    for name, request in wishes.items():
        [taken] = case.taken(request.phone)
        assert taken.text == request.text, name
        assert results[name].provider_reference
        assert results[name].parts in (None, PARTS.get(name, 1)), name
    assert len({result.provider_reference for result in results.values()}) == len(results)


def test_a_text_may_go_out_under_another_sender(case):
    request = case.request(Wish(sender=case.sender))

    case.gateway().send(request)

    assert [each.sender for each in case.taken(request.phone)] == [case.sender]


def test_every_refusal_is_read_as_what_would_help_and_nothing_is_sent(case):
    for reason, wish in case.refusals.items():
        request = case.request(wish)

        with pytest.raises(SmsRefused) as caught:
            case.gateway(**wish.options).send(request)

        assert caught.value.reason is reason
        assert caught.value.code
        assert case.taken(request.phone) == []


def test_every_reason_that_the_recordings_know_is_played(case):
    assert set(case.refusals) | case.unplayable == recorded_reasons(case.code)


def test_a_text_whose_answer_is_lost_is_an_unknown_outcome(case):
    needs_faults(case)
    gateway, wishes = case.gateway(), {fault: case.request() for fault in (*BEFORE, *AFTER)}
    for fault, request in wishes.items():
        case.fault(fault, "send", request.phone)

    answers = at_once(lambda request: raised(lambda: gateway.send(request)), wishes.values())

    assert dict(zip(wishes, answers, strict=True)) == dict.fromkeys(wishes, OutcomeUnknown)
    for fault, request in wishes.items():
        assert len(case.taken(request.phone)) == (fault in AFTER), fault


@offering(SmsCapability.IDEMPOTENT_SEND)
def test_a_text_sent_again_after_a_lost_answer_is_one_text(case):
    needs_faults(case)
    gateway, request = case.gateway(), case.request()
    case.fault("reset", "send", request.phone)

    with pytest.raises(OutcomeUnknown):
        gateway.send(request)
    gateway.send(request)

    assert len(case.taken(request.phone)) == 1


def test_a_refusal_that_a_script_orders_is_a_refusal(case):
    needs_faults(case)
    request = case.request()
    case.fault("refuse", "send", request.phone)

    with pytest.raises(SmsRefused):
        case.gateway().send(request)

    assert case.taken(request.phone) == []


# --- Asking ---


@offering(SmsCapability.QUERY)
@pytest.mark.parametrize("phone", ENDS)
def test_the_end_of_a_text_can_be_asked_for(case, phone):
    gateway, request = case.gateway(), case.request(Wish(phone=phone))
    text = text_id(request, gateway.send(request).provider_reference)

    def ended() -> SmsReport | None:
        report = gateway.query(text)
        return None if report is None or report.status in UNDERWAY else report

    report: SmsReport = wait_for(ended)

    assert report.status in ENDS[phone]
    assert (report.phone, report.provider_reference) == (request.phone, text.provider_reference)


@offering(SmsCapability.QUERY)
def test_a_text_that_stays_on_its_way_has_not_ended(case):
    gateway, request = case.gateway(), case.request(Wish(phone="+255700000102"))
    text = text_id(request, gateway.send(request).provider_reference)

    report: SmsReport = wait_for(lambda: gateway.query(text))

    assert report.status in UNDERWAY


@offering(SmsCapability.QUERY)
def test_a_text_that_was_never_sent_is_unknown(case):
    gateway, request = case.gateway(), case.request()
    other = gateway.send(case.request()).provider_reference

    # One digit more or less: no text of this account, in the provider's own spelling.
    assert gateway.query(text_id(request, other[:-1] + ("0" if other[-1] != "0" else "1"))) is None


@offering(SmsCapability.QUERY)
def test_a_question_whose_answer_is_lost_can_be_asked_again(case):
    needs_faults(case)
    gateway, request = case.gateway(), case.request()
    text = text_id(request, gateway.send(request).provider_reference)
    wait_for(lambda: case.has_ended(request.phone))

    for fault in case.of_questions:
        case.fault(fault, "query")
        with pytest.raises(GatewayUnavailable):
            gateway.query(text)

    assert gateway.query(text) is not None


# --- What comes by itself ---


@offering(SmsCapability.REPORTS)
@pytest.mark.parametrize("phone", ENDS)
def test_the_end_of_a_text_is_reported(case, phone):
    gateway, request = case.gateway(), case.request(Wish(phone=phone))

    reference = gateway.send(request).provider_reference

    def ended() -> list[SmsReport]:
        told = case.reports(gateway, request.phone, reference)
        return [report for report in told if report.status not in UNDERWAY]

    [report] = wait_for(ended)
    assert report.status in ENDS[phone]
    assert report.key == (request.key if case.has_key else "")


@offering(SmsCapability.REPORTS)
def test_a_report_may_come_twice_and_says_the_same(case):
    gateway, request = case.gateway(), case.request(Wish(phone="+255700000103"))

    reference = gateway.send(request).provider_reference

    def twice() -> list[SmsReport] | None:
        told = case.reports(gateway, request.phone, reference)
        ended = [report for report in told if report.status not in UNDERWAY]
        return ended if len(ended) > 1 else None

    first, again = wait_for(twice)
    assert first == again


@offering(SmsCapability.REPORTS)
def test_a_report_may_come_before_the_answer(case):
    needs_faults(case)
    gateway, request = case.gateway(), case.request(Wish(phone="+255700000104"))

    reference = gateway.send(request).provider_reference

    told = case.reports(gateway, request.phone, reference)
    assert MessageStatus.DELIVERED in {report.status for report in told}


@offering(SmsCapability.REPORTS)
def test_a_forged_report_is_rejected_where_the_provider_signs(case):
    needs_faults(case)
    gateway, request = case.gateway(), case.request(Wish(phone="+255700000101"))
    # The forgeries of the script come first, and claim what is not so.
    case.fault("forged", "send", request.phone)
    reference = gateway.send(request).provider_reference

    def claims() -> list[bool] | None:
        found = []
        for delivery in case.deliveries():
            reports = gateway.parse(delivery).reports
            if any((each.provider_reference, each.status) == (reference, MessageStatus.DELIVERED) for each in reports):
                found.append(raised_rejection(gateway, delivery))
        return found if len(found) > 1 else None

    rejected = wait_for(claims)

    assert all(rejected) is (GATEWAYS[case.code].verify is not SmsGateway.verify)


def raised_rejection(gateway: SmsGateway, delivery: Any) -> bool:
    try:
        gateway.verify(delivery)
    except SmsCallbackRejected:
        return True
    return False


@offering(SmsCapability.INBOUND)
@pytest.mark.parametrize("said", ["STOP", "Asante sana \U0001f600 & kwaheri"])
def test_what_somebody_texts_to_us_arrives_as_it_was_written(case, said):
    gateway, phone = case.gateway(), case.request().phone

    case.say(phone, said)

    [text] = wait_for(lambda: case.heard(gateway, phone))
    assert text.text == said
    assert text.to
    assert text.provider_reference


def test_who_tells_the_provider_to_stop_is_named(case):
    if not case.has_opt_out:
        pytest.skip("this provider does not tell")
    gateway, phone = case.gateway(), case.request().phone

    case.opt_out(phone)

    assert wait_for(lambda: [each for news in case.news(gateway) for each in news.opted_out if each == phone])


# --- What nobody may see ---


def test_no_text_no_phone_and_no_secret_is_logged(case, caplog):
    caplog.set_level(logging.DEBUG)
    gateway, request = case.gateway(), case.request(Wish(text="Msimbo wako ni 123456"))

    gateway.send(request)
    if case.has_faults:
        for fault in ("error_after", "reset", "refuse"):
            case.fault(fault, "send", request.phone)
            raised(lambda: gateway.send(request))

    for private in (request.text, "123456", request.phone.removeprefix("+"), str(case.options()[case.secret])):
        assert private not in caplog.text
        assert private not in repr(gateway)
