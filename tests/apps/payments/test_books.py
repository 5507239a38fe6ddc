"""What came in and went back, by the ledger: sums that do not depend on the order of the reports. And who decides."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Sum

from apps.payments.history import is_intact
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Observation, Payment, PaymentEvent
from apps.payments.services.reviews import NothingToReview, review_payment
from core.audit.models import AuditEntry
from core.money import Money
from core.outbox.models import OutboxEvent
from services.payments.base import ChargeResult, ChargeStatus, Trust
from tests.apps.payments.stories import ASKED, DECLINED, OPEN_PAGE, PAID, PENDING, fresh, hear, paid, post, tried_again
from tests.factories.accounts import Member
from tests.factories.payments import make_payment
from tests.factories.tenants import add_member, make_api_key
from tests.fakes import PageScriptedGateway, ScriptedGateway, scripted_gateway

pytestmark = pytest.mark.django_db

NAMELESS = ChargeResult(status=ChargeStatus.PAID, provider_reference="P1")
ALL_BACK = ChargeResult(status=ChargeStatus.PAID, provider_reference="P1", money=ASKED, refunded=ASKED)
SOME_BACK = ChargeResult(status=ChargeStatus.PAID, provider_reference="P1", money=ASKED, refunded=Money(100_000, "TZS"))


@pytest.fixture(autouse=True)
def gateway(in_tenant: Member) -> Iterator[ScriptedGateway]:
    with scripted_gateway(PageScriptedGateway) as installed:
        yield installed


def start(member: Member) -> Payment:
    return make_payment(member, gateway="scripted")


def sums(payment: Payment) -> dict[tuple[str, str], int]:
    """By what it is (came in, went back) and currency; nothing where it comes to nothing."""
    found: dict[tuple[str, str], int] = {}
    for line in LedgerLine.objects.filter(payment=payment):
        kind = "in" if line.kind in {"capture", "adjustment"} else "back"
        found[kind, line.currency] = found.get((kind, line.currency), 0) + line.amount
    return {of: amount for of, amount in found.items() if amount}


# --- What came in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("news", "expected"),
    [
        ([PAID], {("in", "TZS"): 500_000}),
        ([paid(450_000)], {("in", "TZS"): 450_000}),
        ([paid(450_000), PAID], {("in", "TZS"): 500_000}),
        ([paid(450_000), paid(400_000)], {("in", "TZS"): 400_000}),
        ([paid(450_000), paid(600_000), PAID], {("in", "TZS"): 500_000}),
        ([paid(700, "USD")], {("in", "USD"): 700}),
        ([paid(700, "USD"), paid(450_000)], {("in", "TZS"): 450_000}),
        ([paid(700, "USD"), NAMELESS, PAID], {("in", "TZS"): 500_000}),
        ([NAMELESS], {}),
        ([PENDING, DECLINED], {}),
        ([ALL_BACK, PAID], {("in", "TZS"): 500_000, ("back", "TZS"): -500_000}),
        ([SOME_BACK, ALL_BACK, DECLINED], {("in", "TZS"): 500_000, ("back", "TZS"): -500_000}),
    ],
    ids=lambda value: str(len(value)),
)
def test_the_books_say_the_same_whatever_came_first(in_tenant, news, expected):
    for order in permutations(news):
        payment = start(in_tenant)
        for each in order:
            hear(payment, each)

        found = fresh(payment)
        assert sums(payment) == expected, order
        assert found.captured == expected.get(("in", "TZS"), 0)
        assert found.refunded == -expected.get(("back", "TZS"), 0)


def test_one_capture_is_one_line_however_often_it_is_told(in_tenant):
    payment = start(in_tenant)
    for _ in range(3):
        hear(payment, PAID)
        hear(payment, PENDING)

    (line,) = LedgerLine.objects.filter(payment=payment)
    assert (line.kind, line.money, line.gateway) == ("capture", ASKED, "scripted")
    assert line.attempt_id == fresh(payment).applied_attempt_id


@pytest.mark.invariant("I11")
def test_two_paid_attempts_are_both_in_the_books_and_raise_an_alarm(in_tenant, caplog, settings):
    payment = start(in_tenant)
    hear(payment, DECLINED)
    second = tried_again(payment, in_tenant)
    hear(payment, PAID, number=2)

    found = hear(payment, PAID, number=1)

    assert (found.status, found.applied_attempt_id, found.captured) == ("settled", second.pk, 1_000_000)
    assert found.anomalies == ["duplicate_capture"]
    assert LedgerLine.objects.filter(payment=payment, kind="capture").count() == 2
    assert "payment needs a person" in caplog.text
    assert PaymentEvent.objects.filter(payment=payment).latest("seq").data == {"anomalies": ["duplicate_capture"]}
    assert OutboxEvent.objects.filter(name="payment.settled").values("event_id").distinct().count() == 1


@pytest.mark.invariant("I12")
@pytest.mark.parametrize("source", ["reply", "webhook", "poll"])
@pytest.mark.parametrize("money", [Money(499_900, "TZS"), Money(500_100, "TZS"), Money(500_000, "USD"), None])
def test_another_amount_settles_nothing_whoever_says_so(in_tenant, source, money):
    from apps.payments.services.attempts import record_charge
    from tests.factories.payments import only_attempt

    payment = start(in_tenant)

    record_charge(
        attempt_id=only_attempt(payment).pk, source=source, result=ChargeResult(status=ChargeStatus.PAID, money=money)
    )

    found = fresh(payment)
    assert (found.status, found.anomalies) == ("review", ["amount_mismatch"])
    assert found.settled_at is None
    assert not OutboxEvent.objects.filter(name="payment.settled").exists()


def test_money_that_went_back_behind_our_back_is_in_the_books_and_raises_an_alarm(in_tenant):
    payment = start(in_tenant)
    hear(payment, PAID)

    found = hear(payment, SOME_BACK)

    assert (found.status, found.captured, found.refunded) == ("settled", 500_000, 100_000)
    assert found.anomalies == ["refunded_elsewhere"]
    assert hear(payment, ALL_BACK).refunded == 500_000
    kinds = LedgerLine.objects.filter(payment=payment).order_by("at", "pk").values_list("kind", flat=True)
    assert sorted(kinds) == ["capture", "foreign_refund", "foreign_refund"]


def test_a_later_smaller_report_does_not_undo_what_was_promised_back(in_tenant):
    payment = start(in_tenant)
    hear(payment, paid(450_000))
    Payment.objects.filter(pk=payment.pk).update(refund_reserved=450_000)

    found = hear(payment, paid(400_000))

    assert (found.captured, found.anomalies) == (450_000, ["amount_mismatch", "conflicting_amounts"])


@pytest.mark.invariant("I9")
def test_random_news_through_the_database_ends_the_same_in_any_order(in_tenant, figure, record_figure):
    """The smaller half of I9: rows, sums and history. The pure rules are in test_derivation."""
    chance, orders = random.Random(9), figure(quick=6, full=150)
    news = [PENDING, OPEN_PAGE, DECLINED, PAID, NAMELESS, SOME_BACK, paid(450_000), paid(700, "USD")]
    settled_then_not = 0

    for _ in range(orders):
        story = [(chance.randint(1, 2), chance.choice(news)) for _ in range(chance.randint(2, 7))]
        ends = set()
        for _ in range(2):
            payment = start(in_tenant)
            hear(payment, DECLINED)
            tried_again(payment, in_tenant)
            told = story * chance.randint(1, 2)
            chance.shuffle(told)
            for number, each in told:
                was = fresh(payment).status
                settled_then_not += was == "settled" != hear(payment, each, number=number).status
            found = fresh(payment)
            attempts = tuple(found.attempts.order_by("number").values_list("status", flat=True))
            ends.add((found.status, found.captured, found.refunded, tuple(found.anomalies), attempts))
            total = LedgerLine.objects.filter(payment=payment, currency="TZS").aggregate(sum=Sum("amount"))["sum"]
            assert (total or 0) == found.captured - found.refunded
            assert is_intact(list(PaymentEvent.objects.filter(payment=payment).order_by("seq")))
        assert len(ends) == 1, (story, ends)

    assert settled_then_not == 0
    record_figure(f"{orders * 2} orders through the database, 0 differences, 0 exits from settled")


@pytest.mark.invariant("I16")
@pytest.mark.parametrize("table", ["payments_observation", "payments_paymentevent", "payments_ledgerline"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_no_line_of_the_books_can_be_rewritten(in_tenant, table, statement):
    hear(start(in_tenant), PAID)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table))


# --- Callbacks that are only half believed ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "result", "status"),
    [
        ({"TZS": 500_000}, PAID, "settled"),
        ({"TZS": 499_999}, PAID, "review"),
        ({}, PAID, "review"),
        ({"TZS": 10**9}, paid(400_000), "review"),
        ({"TZS": 10**9}, NAMELESS, "review"),
        ({"TZS": 10**9, "USD": 10**9}, paid(500_000, "USD"), "review"),
        ({"TZS": 10**9}, DECLINED, "failed"),
    ],
)
def test_a_token_is_believed_up_to_a_limit_and_only_in_the_asked_amount(in_tenant, settings, limit, result, status):
    settings.PAYMENT_TOKEN_LIMIT = limit
    payment = start(in_tenant)

    found = hear(payment, result, trust=Trust.TOKEN)

    assert found.status == status
    assert found.captured == (500_000 if status == "settled" else 0)
    assert found.anomalies == (["unconfirmed_payment"] if status == "review" else [])


def test_what_can_be_confirmed_later_needs_no_person(in_tenant, settings):
    settings.PAYMENT_TOKEN_LIMIT = {}
    payment = start(in_tenant)
    hear(payment, PAID, trust=Trust.TOKEN)

    found = hear(payment, PAID)

    assert (found.status, found.anomalies) == ("settled", [])


def test_a_hint_settles_nothing_but_a_payment_in_it_is_a_claim_for_a_person(in_tenant):
    payment = start(in_tenant)

    hear(payment, DECLINED, trust=Trust.HINT)
    assert not Observation.objects.exists()

    hear(payment, PAID, trust=Trust.HINT)
    payment.refresh_from_db()
    assert (payment.status, payment.captured) == ("review", 0)


# --- People decide ---------------------------------------------------------------------------------------------------


def in_review(member: Member, how: str) -> Payment:
    payment = start(member)
    if how == "claimed":
        hear(payment, paid(400_000), trust=Trust.TOKEN)
    elif how == "odd":
        hear(payment, paid(400_000))
    return payment


@pytest.mark.parametrize("how", ["claimed", "odd"])
@pytest.mark.parametrize(
    ("decision", "status", "failure"), [("accept", "settled", None), ("reject", "failed", "rejected")]
)
def test_an_admin_decides_and_it_stands_in_history_and_audit(in_tenant, how, decision, status, failure):
    payment = in_review(in_tenant, how)

    response = post(in_tenant.client(), f"{payment.pk}/review/", {"decision": decision, "note": "seen it"})

    data = response.json()["data"]
    assert (response.status_code, data["status"], data["failure_code"]) == (200, status, failure)
    came_in = 0 if (how, decision) == ("claimed", "reject") else 400_000
    assert data["captured"]["amount"] == came_in
    line = PaymentEvent.objects.filter(payment=payment).latest("seq")
    assert (line.kind, line.actor, line.data["note"]) == ("reviewed", str(in_tenant.user.pk), "seen it")
    entry = AuditEntry.objects.get(action="payment.reviewed")
    assert (entry.actor_id, entry.target_id, entry.tenant_id) == (
        in_tenant.user.pk,
        str(payment.pk),
        in_tenant.tenant_id,
    )
    settled = OutboxEvent.objects.filter(name="payment.settled").values("event_id").distinct().count()
    assert settled == (1 if decision == "accept" else 0)


def test_a_claim_of_the_asked_amount_is_accepted_as_such(in_tenant, settings):
    settings.PAYMENT_TOKEN_LIMIT = {}
    payment = start(in_tenant)
    hear(payment, PAID, trust=Trust.TOKEN)

    review_payment(payment_id=payment.pk, actor_id=in_tenant.user.pk, decision="accepted", note="yes")

    found = fresh(payment)
    assert (found.status, found.captured, found.review_decision) == ("settled", 500_000, "")
    assert found.applied_attempt_id is not None


@pytest.mark.invariant("I10")
def test_money_wins_over_a_persons_word(in_tenant):
    payment = in_review(in_tenant, "claimed")
    review_payment(payment_id=payment.pk, actor_id=in_tenant.user.pk, decision="rejected", note="no such payment")

    found = hear(payment, PAID)

    assert (found.status, found.is_late_settlement) == ("settled", True)


def test_a_decision_is_made_once(in_tenant):
    payment = in_review(in_tenant, "odd")
    review_payment(payment_id=payment.pk, actor_id=in_tenant.user.pk, decision="rejected", note="no")

    with pytest.raises(NothingToReview):
        review_payment(payment_id=payment.pk, actor_id=in_tenant.user.pk, decision="accepted", note="yes")

    assert fresh(payment).status == "failed"


@pytest.mark.parametrize("who", ["a member", "a key", "a stranger"])
def test_nobody_else_decides(in_tenant, stranger, who):
    payment = in_review(in_tenant, "odd")
    body: dict[str, Any] = {"decision": "accept", "note": "yes"}
    headers = {"Idempotency-Key": "k"}
    client = {"a member": lambda: add_member(in_tenant).client(), "a stranger": stranger.client}.get(
        who, in_tenant.client
    )()
    if who == "a key":
        client.credentials()
        headers["Authorization"] = f"Api-Key {make_api_key(in_tenant)[1]}"

    response = client.post(f"/api/v1/payments/{payment.pk}/review/", body, format="json", headers=headers)

    code = {"a member": "admins_only", "a key": "api_key_not_accepted", "a stranger": "not_found"}[who]
    assert response.json()["code"] == code
    assert fresh(payment).status == "review"
    assert not AuditEntry.objects.filter(action="payment.reviewed").exists()


@pytest.mark.parametrize(
    "body", [{}, {"decision": "accept"}, {"decision": "maybe", "note": "a"}, {"decision": "accept", "note": ""}]
)
def test_a_decision_needs_its_reason(in_tenant, body):
    payment = in_review(in_tenant, "odd")

    response = post(in_tenant.client(), f"{payment.pk}/review/", body)

    assert (response.status_code, response.json()["code"]) == (400, "validation_error")
    assert fresh(payment).status == "review"
