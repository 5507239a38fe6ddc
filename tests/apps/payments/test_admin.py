"""What operators see of payments and do about them: the story, the search, the actions, the exports, the dashboard."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.payments.admin.redaction import readable_body, readable_headers
from apps.payments.derivation import PaymentStatus
from apps.payments.models.accounts import GatewayHealth
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Attempt, Payment, PaymentEvent
from apps.payments.models.reconciliation import ReconciliationRun
from apps.payments.models.transfers import Refund
from apps.payments.selectors.figures import list_daily_volume, list_gateway_performance
from apps.payments.services.attempts import record_charge, submit_attempt
from apps.payments.services.callbacks import process_callback
from apps.payments.services.payments import expire_payment
from apps.payments.services.refunds import request_refund
from apps.payments.transfers import TransferStatus
from core.audit.actions import Action
from core.money import Money
from core.outbox.models import OutboxEvent
from services.http import GatewayUnavailable
from services.payments.base import ChargeResult, ChargeStatus, GatewayEvent, GatewayRefused
from tests.factories.accounts import Member
from tests.factories.books import (
    make_break,
    make_delivery,
    make_gateway_account,
    make_line,
    make_observation,
    make_payout,
    make_refund,
)
from tests.factories.operators import act, browser_of, lines, list_page, make_operator
from tests.factories.payments import make_failed_payment, make_payment, make_payment_in_review, only_attempt
from tests.fakes import ScriptedGateway, SilentScriptedGateway, scripted_gateway

ASKED = Money(500_000, "TZS")
PAID = ChargeResult(status=ChargeStatus.PAID, provider_reference="P1", money=ASKED)
PENDING = ChargeResult(status=ChargeStatus.PENDING, provider_reference="P1")
PAYMENT = "payments.payment"
MANAGES = ("payments.view_payment", "payments.change_payment")


@pytest.fixture
def operator(db: None) -> Any:
    return make_operator(*MANAGES)


@pytest.fixture
def browser(operator: Any) -> Client:
    return browser_of(operator)


@pytest.fixture
def boss(db: None) -> Client:
    """Somebody who may do everything."""
    return browser_of(make_operator(is_superuser=True))


def page_of(row: Any, button: str = "") -> str:
    opts = row._meta
    name = f"{opts.app_label}_{opts.model_name}_{f'{button}_one' if button else 'change'}"
    return reverse(f"admin:{name}", args=[row.pk])


def text_of(response: Any) -> str:
    """What a page says, without its markup."""
    assert response.status_code == 200, response.status_code
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def found(browser: Client, model: str, **query: str) -> set[str]:
    """The ids of the rows in a list."""
    response = browser.get(list_page(model), query)
    assert response.status_code == 200
    context: Any = response.context_data
    return {str(row.pk) for row in context["cl"].result_list}


def paid(member: Member, **changes: Any) -> Payment:
    payment = make_payment(member, **changes)
    record_charge(attempt_id=only_attempt(payment).pk, source="webhook", result=PAID)
    payment.refresh_from_db()
    return payment


# --- The page of a payment -------------------------------------------------------------------------------------------


def test_the_timeline_tells_what_happened_in_its_order(in_tenant, boss):
    payment = make_payment(in_tenant)
    attempt = only_attempt(payment)
    declined = ChargeResult(status=ChargeStatus.DECLINED, reason="Insufficient balance", provider_reference="LCP7")
    record_charge(attempt_id=attempt.pk, source="reply", result=PENDING)
    make_delivery(subject_id=attempt.pk, outcome="recorded", seen=3)
    record_charge(attempt_id=attempt.pk, source="webhook", result=declined)

    page = text_of(boss.get(page_of(payment)))

    told = [
        "Payment started",
        f"by {in_tenant.user.email}",
        "The gateway replied",
        "A callback of clickpesa arrived",
        "arrived: 3 times",
        "The gateway called back",
        "Insufficient balance",
        "The chain of this history is whole.",
    ]
    places = [page.find(each) for each in told]
    assert -1 not in places, dict(zip(told, places, strict=True))
    assert places == sorted(places)


def test_a_refund_and_the_money_are_in_the_story(in_tenant, boss):
    payment = paid(in_tenant)
    refund = make_refund(payment)
    make_observation(payment, attempt=None, refund=refund, status="pending", reason="Queued at the bank")
    make_line(payment, -100_000, kind=LedgerLine.Kind.REFUND, refund=refund)

    page = text_of(boss.get(page_of(payment)))

    assert "Queued at the bank" in page
    assert "News of a refund" in page
    assert "Money came in + TZS 5,000" in page
    assert "Money went back - TZS 1,000" in page


def test_a_line_of_the_history_that_was_forged_is_noticed(in_tenant, boss):
    payment = make_payment(in_tenant)
    PaymentEvent.objects.create(payment=payment, seq=2, kind="observed", to_status="settled", actor="x", hash="0" * 64)

    page = text_of(boss.get(page_of(payment)))

    assert "The chain of this history is broken" in page


def test_books_that_differ_from_the_ledger_are_shown(in_tenant, boss):
    payment = paid(in_tenant)
    make_line(payment, 70_000, kind=LedgerLine.Kind.ADJUSTMENT)

    page = text_of(boss.get(page_of(payment)))

    assert "Came in TZS 5,700 The books say TZS 5,000." in page


@pytest.mark.parametrize(
    ("language", "told"), [("en", "Another amount was reported than was asked for."), ("sw", "Kiasi kingine")]
)
def test_what_a_person_should_look_at_is_said_in_words(in_tenant, boss, language, told):
    payment = make_payment_in_review(in_tenant)

    assert told in text_of(boss.get(page_of(payment), HTTP_ACCEPT_LANGUAGE=language))


def test_links_lead_only_where_the_operator_may_look(in_tenant, browser, boss):
    payment = paid(in_tenant)
    link = page_of(LedgerLine.objects.get())

    assert link in boss.get(page_of(payment)).content.decode()
    assert link not in browser.get(page_of(payment)).content.decode()


def test_what_a_gateway_says_is_text_and_no_markup(in_tenant, boss):
    payment = make_payment(in_tenant, description="<script>alert(1)</script>")
    said = ChargeResult(status=ChargeStatus.DECLINED, reason="<img src=x onerror=alert(2)>", provider_reference="<b>")
    record_charge(attempt_id=only_attempt(payment).pk, source="webhook", result=said)

    page = boss.get(page_of(payment)).content.decode()

    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(2)&gt;" in page


def test_the_queries_of_a_page_do_not_grow_with_its_story(in_tenant, boss):
    short, long = make_payment(in_tenant), make_payment(in_tenant)
    for number in range(12):
        make_observation(long, provider_reference=f"P{number}")
        make_line(long, 1000 + number)
        make_delivery(subject_id=only_attempt(long).pk)
    boss.get(page_of(short))

    with CaptureQueriesContext(
        connection,
    ) as few:
        boss.get(page_of(short))
    with CaptureQueriesContext(connection) as many:
        boss.get(page_of(long))

    assert len(many) == len(few)


# --- The list --------------------------------------------------------------------------------------------------------


def test_a_payment_is_found_by_whatever_somebody_knows_of_it(in_tenant, browser):
    payment = make_payment(in_tenant, client_reference="order-77", phone="+255754000111")
    other = make_payment(in_tenant, client_reference="order-88", phone="+255712999888")
    attempt = only_attempt(payment)
    record_charge(attempt_id=attempt.pk, source="reply", result=PENDING)
    refund = make_refund(payment)

    known = [
        str(payment.pk),
        payment.pk.hex if connection.vendor == "sqlite" else str(payment.pk),
        attempt.reference,
        "P1",
        "order-77",
        "+255754000111",
        "0754000111",
        " 255754000111 ",
        refund.reference,
    ]

    assert {each: found(browser, PAYMENT, q=each) for each in known} == {each: {str(payment.pk)} for each in known}
    assert found(browser, PAYMENT, q="order-") == {str(payment.pk), str(other.pk)}
    assert found(browser, PAYMENT, q="nothing") == set()


def test_the_filters_of_the_list_leave_what_they_say(in_tenant, browser):
    review, failed, plain = make_payment_in_review(in_tenant), make_failed_payment(in_tenant), make_payment(in_tenant)
    late = make_payment(in_tenant, gateway="selcom")
    expire_payment(payment_id=late.pk)
    record_charge(attempt_id=only_attempt(late).pk, source="webhook", result=PAID)
    everything = {str(row.pk) for row in (review, failed, plain, late)}

    def chosen(**query: str) -> set[str]:
        return found(browser, PAYMENT, **query)

    assert chosen(status="review") == chosen(anomaly="amount_mismatch") == {str(review.pk)}
    assert chosen(anomaly="any") == {str(review.pk), str(late.pk)}
    assert chosen(anomaly="late_settlement") == chosen(gateway="selcom") == {str(late.pk)}
    assert chosen(anomaly="duplicate_capture") == set()
    assert chosen(status="failed") == {str(failed.pk)}
    assert chosen(method="push") == everything
    assert chosen(tenant__id__exact=str(in_tenant.tenant_id)) == everything
    assert chosen(status="nonsense") == chosen(gateway="nobody") == everything


def test_the_queries_of_the_list_do_not_grow_with_its_rows(in_tenant, browser):
    make_payment(in_tenant)
    browser.get(list_page(PAYMENT))
    with CaptureQueriesContext(connection) as few:
        browser.get(list_page(PAYMENT))
    for _ in range(5):
        make_payment_in_review(in_tenant)

    with CaptureQueriesContext(connection) as many:
        browser.get(list_page(PAYMENT))

    assert len(many) == len(few)


# --- Actions ---------------------------------------------------------------------------------------------------------


def press(browser: Client, row: Any, action: str, **said: str) -> Any:
    """Press a button on the page of a row, and send the form that asks."""
    asked = browser.get(page_of(row, action))
    assert asked.status_code == 200
    return browser.post(list_page(row._meta.label_lower), hidden_of(asked.content.decode()) | said, follow=True)


def hidden_of(page: str) -> dict[str, str]:
    """What the form of a page sends without being asked."""
    found = re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


@pytest.fixture
def gateway(in_tenant: Member) -> Any:
    with scripted_gateway() as installed:
        yield installed


def sent(gateway: ScriptedGateway, member: Member) -> Payment:
    payment = make_payment(member, gateway="scripted")
    gateway.charges = [PENDING]
    submit_attempt(attempt_id=only_attempt(payment).pk)
    return payment


def test_the_gateway_is_asked_again_and_its_answer_counts(gateway, in_tenant, operator, browser):
    payment = sent(gateway, in_tenant)
    gateway.queries = [PAID]

    done = press(browser, payment, "ask_again")

    payment.refresh_from_db()
    (line,) = lines(Action.GATEWAY_ASKED)
    assert payment.status == PaymentStatus.SETTLED
    assert done.redirect_chain == [(page_of(payment), 302)]
    assert (line.actor_id, line.actor_kind, line.target_id) == (operator.pk, "staff", str(payment.pk))
    assert line.tenant_id == in_tenant.tenant_id
    assert "The gateway was asked. (1)" in text_of(done)
    assert "The gateway was asked." in text_of(browser.get(f"{page_of(payment).removesuffix('change/')}history/"))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (GatewayUnavailable(), "The provider cannot be reached right now."),
        (GatewayRefused("credentials", "bad key sk-1"), "The gateway refused to answer."),
    ],
)
def test_a_gateway_that_does_not_answer_is_told_to_the_operator(gateway, in_tenant, browser, answer, told):
    payment = sent(gateway, in_tenant)
    gateway.queries = [answer]

    page = text_of(press(browser, payment, "ask_again"))

    assert told in page
    assert "sk-1" not in page
    assert not lines(Action.GATEWAY_ASKED)


def test_what_was_never_sent_and_who_never_answers_is_not_asked(in_tenant, browser):
    with scripted_gateway(SilentScriptedGateway) as gateway:
        payment = make_payment(in_tenant, gateway="scripted")
        Attempt.objects.update(submitted_at=timezone.now())
        page = text_of(press(browser, payment, "ask_again"))

    assert "Nothing was sent to a gateway that answers questions." in page
    assert gateway.calls == []


def test_ten_payments_are_asked_about_at_most(in_tenant, browser):
    payments = [make_payment(in_tenant) for _ in range(11)]

    act(browser, PAYMENT, "ask_again", *payments)

    assert "Choose 10 rows at most." in text_of(browser.get(list_page(PAYMENT)))


@pytest.mark.parametrize(("action", "status"), [("accept", PaymentStatus.SETTLED), ("reject", PaymentStatus.FAILED)])
def test_a_review_is_decided_once_with_a_reason(in_tenant, operator, browser, action, status):
    payment = make_payment_in_review(in_tenant)

    press(browser, payment, action, reason="They called: it was them.")
    again = text_of(press(browser, payment, action, reason="x"))

    payment.refresh_from_db()
    (line,) = lines(Action.PAYMENT_REVIEWED)
    assert payment.status == status
    assert (line.actor_id, line.data["note"]) == (operator.pk, "They called: it was them.")
    assert "There is nothing to decide about this payment." in again
    page = text_of(browser.get(page_of(payment)))
    assert "They called: it was them." in page
    assert f"by {operator.email}" in page


def test_an_operator_calls_a_payment_off(in_tenant, operator, browser):
    payment = make_payment(in_tenant)

    press(browser, payment, "call_off", reason="Typed twice")
    press(browser, payment, "call_off", reason="Again")

    payment.refresh_from_db()
    (line,) = lines(Action.PAYMENT_CALLED_OFF)
    assert payment.status == PaymentStatus.CANCELLED
    assert (line.actor_id, line.data) == (operator.pk, {"reason": "Typed twice"})


REFUNDS = (*MANAGES, "payments.view_refund", "payments.change_refund")


@pytest.mark.parametrize(
    ("typed", "amount"), [("", 500_000), ("1500", 150_000), ("1,500.50", 150_050), ("5 000", 500_000)]
)
def test_an_operator_sends_money_back_with_a_reason(in_tenant, operator, browser, typed, amount):
    payment = paid(in_tenant)

    done = text_of(press(browser, payment, "refund", amount=typed, reason="Sold out"))

    refund, (line,) = Refund.objects.get(), lines(Action.REFUND_REQUESTED)
    payment.refresh_from_db()
    assert (refund.amount, refund.reason, refund.requested_by_id) == (amount, "Sold out", operator.pk)
    assert payment.refund_reserved == amount
    assert (line.actor_id, line.actor_kind) == (operator.pk, "staff")
    assert f"Promised back {refund.money.display}" in done


@pytest.mark.parametrize("typed", ["0", "-1", "x", "1e3", "0.001", "9" * 25, "1500 USD", "\u0661"])
def test_what_is_no_amount_is_said_so_and_sends_nothing(in_tenant, browser, typed):
    payment = paid(in_tenant)

    page = text_of(press(browser, payment, "refund", amount=typed, reason="x"))

    assert "Enter an amount of TZS." in page
    assert not Refund.objects.exists()


def test_more_than_came_in_is_refused_in_words(in_tenant, browser):
    payment = paid(in_tenant)

    page = text_of(press(browser, payment, "refund", amount="5001", reason="x"))

    assert "The refunds of this payment would be more than what came in." in page
    assert not Refund.objects.exists()


def test_a_form_that_is_sent_twice_refunds_once(in_tenant, browser):
    payment = paid(in_tenant)
    asked = browser.get(page_of(payment, "refund")).content.decode()
    wish = hidden_of(asked) | {"amount": "1000", "reason": "Sold out"}

    answers = [text_of(browser.post(list_page(PAYMENT), wish, follow=True)) for _ in range(2)]

    assert Refund.objects.count() == 1
    assert "Refund asked for. (1)" in answers[0]
    assert "The payment has changed since you looked at it." in answers[1]


@pytest.mark.parametrize("seen", ["", "x", "[]", '{"a": "b"}', "[" * 5000])
def test_a_refund_of_a_payment_that_nobody_looked_at_is_refused(in_tenant, browser, seen):
    payment = paid(in_tenant)

    page = text_of(press(browser, payment, "refund", amount="", reason="x", seen=seen))

    assert "The payment has changed since you looked at it." in page
    assert not Refund.objects.exists()


def test_an_amount_is_for_one_payment(in_tenant, browser):
    payments = [paid(in_tenant) for _ in range(2)]
    chosen = {"action": "refund", "_selected_action": [str(each.pk) for each in payments]}
    asked = browser.post(list_page(PAYMENT), chosen)
    wish = hidden_of(asked.content.decode()) | chosen | {"reason": "Closed"}

    refused = text_of(browser.post(list_page(PAYMENT), wish | {"amount": "10"}))
    browser.post(list_page(PAYMENT), wish | {"amount": ""})

    assert "An amount is for one payment." in refused
    assert sorted(Refund.objects.values_list("amount", flat=True)) == [500_000, 500_000]


def test_a_refund_that_a_person_sent_is_written_down_with_its_evidence(in_tenant):
    payment = paid(in_tenant)
    refund = request_refund(actor_id=in_tenant.user.pk, payment_id=payment.pk, money=Money(100_000, "TZS"))
    operator = make_operator(*REFUNDS)
    browser = browser_of(operator)
    assert refund.status == TransferStatus.MANUAL

    nothing = press(browser, refund, "complete", evidence=" ")
    done = text_of(press(browser, refund, "complete", evidence="M-Pesa 9ABC"))
    again = text_of(press(browser, refund, "reject", reason="no"))

    refund.refresh_from_db()
    (line,) = lines(Action.REFUND_COMPLETED)
    assert nothing.redirect_chain == []
    assert (refund.status, refund.evidence) == (TransferStatus.SUCCEEDED, "M-Pesa 9ABC")
    assert (line.actor_id, line.actor_kind, line.data["evidence"]) == (operator.pk, "staff", "M-Pesa 9ABC")
    assert "Went out TZS 1,000" in done
    assert "There is nothing for a person to decide here." in again
    page = text_of(browser.get(page_of(refund)))
    assert page.index("Refund asked for") < page.index("M-Pesa 9ABC")
    assert f"by {operator.email}" in page


def test_a_refund_that_will_not_be_sent_may_be_asked_for_anew(in_tenant):
    payment = paid(in_tenant)
    refund = request_refund(actor_id=in_tenant.user.pk, payment_id=payment.pk)

    press(browser_of(make_operator(*REFUNDS)), refund, "reject", reason="They changed their mind")

    payment.refresh_from_db()
    assert len(lines(Action.REFUND_REJECTED)) == 1
    assert (payment.refund_reserved, payment.refunded) == (0, 0)


@pytest.mark.parametrize(
    ("action", "status"), [("was_sent", TransferStatus.SUCCEEDED), ("was_not_sent", TransferStatus.FAILED)]
)
def test_staff_decide_about_a_payout_that_the_gateway_never_spoke_of(in_tenant, boss, action, status):
    payout = make_payout(in_tenant.user.pk, anomalies=["unanswered"])
    asked_about = make_payout(in_tenant.user.pk)

    press(boss, payout, action, evidence="Their statement, line 7")
    refused = text_of(press(boss, asked_about, action, evidence="x"))

    payout.refresh_from_db()
    asked_about.refresh_from_db()
    (line,) = lines(Action.PAYOUT_DECIDED)
    assert (payout.status, asked_about.status) == (status, TransferStatus.PENDING)
    assert (line.target_id, line.data["evidence"]) == (str(payout.pk), "Their statement, line 7")
    assert "There is nothing for a person to decide here." in refused


def test_what_was_not_sent_is_not_asked_about(in_tenant, boss):
    refund = make_refund(paid(in_tenant))

    assert "Nothing was sent to a gateway that answers questions." in text_of(press(boss, refund, "ask_again"))
    assert not lines(Action.GATEWAY_ASKED)


def test_a_page_offers_what_makes_sense(in_tenant, browser):
    def offered(payment: Payment) -> set[str]:
        page = browser.get(page_of(payment)).content.decode()
        names = ("ask_again", "accept", "reject", "call_off", "refund")
        return {name for name in names if f"{payment.pk}/{name}/" in page}

    assert offered(make_payment_in_review(in_tenant)) >= {"accept", "reject"}
    assert offered(make_payment(in_tenant)) == {"ask_again", "call_off"}
    assert offered(make_failed_payment(in_tenant)) == {"ask_again"}


def test_whoever_may_only_look_presses_nothing(in_tenant):
    payment = make_payment_in_review(in_tenant)
    browser = browser_of(make_operator("payments.view_payment"))

    page = browser.get(page_of(payment)).content.decode()
    act(browser, PAYMENT, "accept", payment)
    answer = browser.get(page_of(payment, "accept"))

    payment.refresh_from_db()
    assert f"{payment.pk}/accept/" not in page
    assert answer.status_code == 403
    assert payment.status == PaymentStatus.REVIEW


def test_a_page_to_go_back_to_is_one_of_the_chosen_rows(in_tenant, browser):
    payment = make_payment(in_tenant)
    wish = {"action": "call_off", "_selected_action": [str(payment.pk)], "confirmed": "yes", "reason": "x"}

    for odd in ("//evil.example", "\n", "../../", "x" * 500):
        done = browser.post(list_page(PAYMENT), wish | {"came_from": odd})
        assert (done.status_code, done.headers["Location"]) == (302, list_page(PAYMENT))
        assert browser.post(list_page(PAYMENT), wish | {"came_from": odd, "reason": ""}).status_code == 200


# --- Callbacks -------------------------------------------------------------------------------------------------------

BODY = {
    "event": "PAYMENT RECEIVED",
    "data": {"orderReference": "K2J3H4K2J3H4K2J3H4K2", "status": "SUCCESS", "amount": "5000", "channel": "M-PESA"},
    "customer": {"phone": "+255712345678", "msisdn": 255712345678, "email": "asha@example.com"},
    "checksum": "3f2a1b",
    "api_key": "abcdefgh12345678",
}


def test_a_callback_is_shown_without_numbers_addresses_and_secrets(boss):
    headers = {"content-type": "application/json", "webhook-signature": "v1,SGVsbG8=", "user-agent": "ClickPesa/1"}
    delivery = make_delivery(body=json.dumps(BODY).encode(), headers=headers)

    page = text_of(boss.get(page_of(delivery)))

    for private in ("712345678", "asha@", "3f2a1b", "abcdefgh12345678", "SGVsbG8"):
        assert private not in page, private
    for told in ("PAYMENT RECEIVED", "K2J3H4K2J3H4K2J3H4K2", "SUCCESS", "5000", "M-PESA", "ClickPesa/1"):
        assert told in page, told


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", ""),
        (b"\xff\xfe\x00", "application/json"),
        (b"[" * 200_000, "application/json"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "application/json"),
        (b"phone=%2B255712345678&status=PAID&token=abc", "application/x-www-form-urlencoded"),
        (b"&" * 5000, "application/x-www-form-urlencoded"),
        (b"phone 255712345678", "text/plain"),
        (b'{"a": NaN, "phone": "255712345678"}', "application/json"),
        (b'{"big": ' + b"9" * 5000 + b"}", "application/json"),
        (b'{"x": "' + b"a" * 200_000 + b'"}', "application/json"),
        (b'{"\\ud800": "\\udfff"}', "application/json"),
        (b"a=%ed%a0%80&b=%ff", "application/x-www-form-urlencoded"),
    ],
)
def test_no_body_is_too_odd_to_be_shown(body, content_type):
    told = readable_body(body, content_type)

    assert "712345678" not in told
    assert len(told.encode()) < 25_000


def test_a_form_is_read_by_its_names():
    told = readable_body(b"status=PAID&phone=%2B255712345678&secret=xyz", "application/x-www-form-urlencoded")

    assert told.splitlines() == ["status = PAID", "phone = +255*****678", "secret = [secret]"]
    assert readable_headers({"x-signature": "a", "b": "c"}) == "b: c\nx-signature: [secret]"


def test_a_callback_that_was_given_up_is_processed_again(in_tenant, boss):
    delivery = make_delivery(parked_at=timezone.now(), outcome="parked", error="ValueError", tries=8)

    press(boss, delivery, "replay")

    delivery.refresh_from_db()
    (line,) = lines(Action.CALLBACK_REPLAYED)
    assert (delivery.parked_at, delivery.tries, delivery.error) == (None, 0, "")
    assert OutboxEvent.objects.filter(name="gateway.callback_received").count() == 1
    assert (line.target_id, line.actor_kind, line.data["error"]) == (str(delivery.pk), "staff", "ValueError")


def test_a_callback_stands_in_the_story_of_what_it_is_about(in_tenant, boss):
    with scripted_gateway() as gateway:
        payment = sent(gateway, in_tenant)
        attempt = only_attempt(payment)
        gateway.events = [GatewayEvent(key="1", reference=attempt.reference, result=PAID)]
        delivery = make_delivery(gateway="scripted", trust="signed")
        process_callback(delivery_id=delivery.pk)

    delivery.refresh_from_db()
    page = text_of(boss.get(page_of(payment)))

    assert (delivery.subject_id, delivery.outcome) == (attempt.pk, "recorded")
    assert "A callback of scripted arrived" in page
    assert found(boss, "payments.inboxdelivery", q=str(attempt.pk)) == {str(delivery.pk)}


# --- Differences, accounts, transfers --------------------------------------------------------------------------------


def test_open_differences_stand_first_and_side_by_side(boss):
    now = timezone.now()
    explained = make_break(resolved_at=now, resolution="rounding", opened_at=now)
    opened = make_break(opened_at=now - timedelta(days=3))

    shown = boss.get(list_page("payments.reconciliationbreak")).context_data["cl"].result_list
    page = boss.get(page_of(opened)).content.decode()

    assert [row.pk for row in shown] == [opened.pk, explained.pk]
    assert found(boss, "payments.reconciliationbreak", state="open") == {str(opened.pk)}
    assert re.search(r'<tr class="fj-differs"><th>amount</th><td>TZS 5,000</td><td>TZS 4,500</td>', page)
    assert '<tr class=""><th>status</th>' in page


def test_a_difference_is_explained_once_by_somebody(in_tenant, boss):
    row = make_break()

    press(boss, row, "explain", explanation="")
    press(boss, row, "explain", explanation="Their rounding")
    again = text_of(press(boss, row, "explain", explanation="No, ours"))

    row.refresh_from_db()
    (line,) = lines(Action.BREAK_RESOLVED)
    assert (row.resolution, row.resolved_by_id) == ("Their rounding", line.actor_id)
    assert "This difference is explained already." in again


def test_a_day_is_compared_again(in_tenant, boss):
    now = timezone.now()
    run = ReconciliationRun.objects.create(gateway="clickpesa", day=now.date(), finished_at=now, error="no answer")

    press(boss, run, "repeat")

    run.refresh_from_db()
    assert (run.finished_at, run.error) == (None, "")
    assert [event.payload for event in OutboxEvent.objects.filter(name="reconciliation.due")] == [
        {"run_id": str(run.pk)}
    ]
    assert len(lines(Action.RECONCILIATION_REPEATED)) == 1


@pytest.mark.parametrize("side", [[], ["x"], "text", None, {"phone": "+255712345678", "deep": {"a": [1]}}])
def test_whatever_a_difference_holds_can_be_shown(boss, side):
    page = text_of(boss.get(page_of(make_break(ours=side or {}, theirs=side if side is not None else {}))))

    assert "712345678" not in page


def test_an_account_shows_how_it_is_doing_and_no_credential(in_tenant, boss):
    account = make_gateway_account()
    GatewayHealth.objects.create(
        gateway=account.gateway,
        account_id=account.pk,
        window_started_at=timezone.now(),
        open_until=timezone.now() + timedelta(seconds=30),
    )

    told = [text_of(boss.get(list_page("payments.gatewayaccount"))), text_of(boss.get(page_of(account)))]

    assert all("does not answer, left alone" in page for page in told)
    assert all(account.credentials not in page for page in told)
    assert "does not answer, left alone" in text_of(boss.get(list_page("payments.gatewayhealth")))


def test_a_payout_tells_its_story(in_tenant, boss):
    payout = make_payout(in_tenant.user.pk)
    LedgerLine.objects.create(
        key="payout:1", kind="payout", amount=-200_000, currency="TZS", gateway="clickpesa", payout=payout
    )

    page = text_of(boss.get(page_of(payout)))

    assert "Money went out - TZS 2,000" in page
    assert "Asha Juma" in page


def test_pages_say_words_and_no_pairs(in_tenant, boss):
    now = timezone.now()
    rows = [
        make_line(make_payment(in_tenant)),
        make_break(),
        make_delivery(),
        make_gateway_account(),
        GatewayHealth.objects.create(gateway="clickpesa", window_started_at=now),
        ReconciliationRun.objects.create(gateway="clickpesa", day=now.date()),
    ]

    assert [row for row in rows if re.search(r"\('[a-z +-]+', '", text_of(boss.get(page_of(row))))] == []


# --- Exports ---------------------------------------------------------------------------------------------------------


def export(browser: Client, model: str, **query: str) -> list[dict[str, str]]:
    response = browser.post(f"{list_page(model)}export/", {"format": "0"}, query_params=query)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/csv"), text_of(response)[-300:]
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def test_an_export_has_exact_amounts_and_runs_no_formula(in_tenant):
    payment = paid(in_tenant, client_reference="=HYPERLINK(1)", phone="+255754000111")
    make_refund(payment, amount=100_050)
    may = [f"payments.{verb}_{name}" for name in ("payment", "refund", "ledgerline") for verb in ("view", "export")]
    browser = browser_of(make_operator(*may))

    (row,) = export(browser, PAYMENT)
    (refund,) = export(browser, "payments.refund")
    (line,) = export(browser, "payments.ledgerline")

    assert (row["amount"], row["captured"], row["currency"]) == ("5000.00", "5000.00", "TZS")
    assert (row["phone"], row["client_reference"]) == ("+255754000111", "'=HYPERLINK(1)")
    assert (row["provider_reference"], row["tenant_id"]) == ("P1", str(in_tenant.tenant_id))
    assert (refund["amount"], refund["payment_id"]) == ("1000.50", str(payment.pk))
    assert (line["kind"], line["amount"], line["payment_id"]) == ("capture", "5000.00", str(payment.pk))
    assert [told.data["rows"] for told in lines(Action.DATA_EXPORTED)] == [1, 1, 1]


@pytest.mark.parametrize("model", ["payment", "refund", "payout", "ledgerline", "reconciliationbreak"])
def test_exporting_takes_its_own_permission_and_a_bounded_number_of_queries(in_tenant, model):
    def rows(number: int) -> None:
        for _ in range(number):
            payment = make_payment(in_tenant)
            make_refund(payment)
            make_line(payment)
            make_payout(in_tenant.user.pk)
            make_break()

    rows(1)
    name = f"payments.{model}"
    refused = browser_of(make_operator(f"payments.view_{model}")).post(f"{list_page(name)}export/", {"format": "0"})
    browser = browser_of(make_operator(f"payments.view_{model}", f"payments.export_{model}"))
    export(browser, name)
    with CaptureQueriesContext(connection) as few:
        assert len(export(browser, name)) == 1
    rows(4)
    with CaptureQueriesContext(connection) as many:
        assert len(export(browser, name)) == 5

    assert refused.status_code == 403
    assert len(many) == len(few)


# --- The dashboard ---------------------------------------------------------------------------------------------------


def took(member: Member, seconds: int, gateway: str = "clickpesa") -> None:
    """A payment that was paid after so many seconds."""
    payment = paid(member, gateway=gateway)
    started = timezone.now() - timedelta(hours=1)
    Payment.objects.filter(pk=payment.pk).update(created_at=started, settled_at=started + timedelta(seconds=seconds))


def test_success_and_speed_are_counted_per_gateway(in_tenant):
    for seconds in (4, 8, 10, 12, 400):
        took(in_tenant, seconds)
    make_failed_payment(in_tenant)
    make_payment(in_tenant)
    took(in_tenant, 30, gateway="selcom")

    clickpesa, selcom = list_gateway_performance(days=30)

    assert (clickpesa.gateway, clickpesa.started, clickpesa.ended, clickpesa.settled) == ("clickpesa", 7, 6, 5)
    assert clickpesa.success == pytest.approx(5 / 6)
    assert (clickpesa.median, clickpesa.slowest) == (timedelta(seconds=10), timedelta(seconds=400))
    assert (selcom.median, selcom.slowest, selcom.success) == (timedelta(seconds=30), timedelta(seconds=30), 1.0)


def test_volume_is_summed_per_day_currency_and_gateway(in_tenant):
    payment = make_payment(in_tenant)
    now = timezone.now()
    make_line(payment, 500)
    make_line(payment, 700)
    make_line(payment, -200, kind=LedgerLine.Kind.ADJUSTMENT)
    make_line(payment, -300, kind=LedgerLine.Kind.REFUND)
    make_line(payment, 900, currency="USD", at=now - timedelta(days=29))
    make_line(payment, 900, at=now - timedelta(days=31))

    usd, tzs = list_daily_volume(days=30)

    assert (tzs.day, tzs.currency, tzs.gateway, tzs.amount) == (timezone.localdate(), "TZS", "clickpesa", 1000)
    assert (usd.currency, usd.amount) == ("USD", 900)


def test_the_dashboard_says_what_waits_for_a_person(in_tenant, boss):
    payment = make_payment_in_review(in_tenant)
    make_refund(payment)
    make_break()
    make_delivery(parked_at=timezone.now())
    GatewayHealth.objects.create(gateway="selcom", window_started_at=timezone.now(), open_until=timezone.now())

    page = text_of(boss.get("/admin/"))

    for told in (
        "Payments in review 1",
        "Differences to explain 1",
        "Refunds to send by hand 1",
        "Callbacks given up 1",
        "selcom left alone until",
    ):
        assert told in page, told


def test_the_dashboard_asks_the_same_number_of_questions_however_much_there_is(in_tenant, boss):
    took(in_tenant, 5)
    boss.get("/admin/")
    with CaptureQueriesContext(connection) as few:
        boss.get("/admin/")
    for number in range(5):
        took(in_tenant, number + 1, gateway=("selcom", "polar", "clickpesa")[number % 3] if number != 1 else "selcom")
        make_payment_in_review(in_tenant)

    with CaptureQueriesContext(connection) as many:
        boss.get("/admin/")

    assert len(many) == len(few)


def test_charts_are_for_those_who_may_see_the_rows(in_tenant, browser):
    took(in_tenant, 5)

    page = text_of(browser.get("/admin/"))

    assert "Gateways, the last 30 days" in page
    assert "Money that came in, the last 30 days" not in page
    assert "Differences to explain" not in page
    assert "Gateways that do not answer" not in page


def test_the_dashboard_draws_with_what_the_server_brings(in_tenant, boss):
    took(in_tenant, 5)

    page = boss.get("/admin/").content.decode()

    (data,) = re.findall(r'data-value="([^"]+)"', page)
    chart = json.loads(html.unescape(data))
    assert len(chart["labels"]) == 30
    assert chart["datasets"][0]["data"][-1] == 5000
    assert re.findall(r'(?:src|href)="(?:https?:)?//[^"]*"', page) == []
