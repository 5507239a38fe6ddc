"""What is true of every story: the derivation of transfers, the sums of the ledger, and races for the same money."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, connections, transaction
from django.db.models import F, Sum
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Payment
from apps.payments.models.transfers import Payout, Refund
from apps.payments.selectors.ledger import list_totals
from apps.payments.services.books import derive_totals_again
from apps.payments.services.payouts import record_payout
from apps.payments.services.refunds import RefundExceedsCaptured, RefundSpansAttempts, record_refund
from apps.payments.transfers import RANK, RELEASED, SENT, Heard, TransferStatus, derive_transfer
from core.append_only import removal_allowed
from core.money import Money
from core.tenancy import tenant_scope, tenant_transaction
from services.payments import base
from services.payments.base import TransferResult
from tests.factories.accounts import Member, make_member
from tests.factories.payments import make_payout, make_refund, make_settled_payment, pay_again
from tests.fakes import GenerousScriptedGateway, scripted_gateway

ASKED = Money(500_000, "TZS")
WORDS = [status for status in TransferStatus if status not in {TransferStatus.QUEUED, TransferStatus.SUBMITTING}]
NEWS = st.lists(st.builds(Heard, st.sampled_from(WORDS), st.sampled_from([ASKED, Money(1, "TZS"), None])), max_size=8)


# --- The derivation --------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(NEWS, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(heard: list[Heard], chance: random.Random):
    shuffled = heard * chance.randint(1, 3)
    chance.shuffle(shuffled)

    told = [derive_transfer(TransferStatus.SUBMITTING, each, asked=ASKED) for each in (heard, shuffled)]

    assert told[0] == told[1]


@settings(max_examples=300)
@given(NEWS, NEWS)
def test_money_that_went_out_is_never_forgotten(before: list[Heard], after: list[Heard]):
    first = derive_transfer(TransferStatus.SUBMITTING, before, asked=ASKED).status
    then = derive_transfer(TransferStatus.SUBMITTING, before + after, asked=ASKED).status

    assert RANK[then] >= RANK[first]
    if first in SENT:
        assert then in SENT
    if first is TransferStatus.RETURNED:
        assert then is TransferStatus.RETURNED


def test_a_silent_gateway_leaves_our_own_mark():
    for mark in (TransferStatus.QUEUED, TransferStatus.SUBMITTING, TransferStatus.MANUAL):
        assert derive_transfer(mark, [], asked=ASKED).status is mark


# --- Sums ------------------------------------------------------------------------------------------------------------

RESULTS = {
    "failed": TransferResult(status=base.TransferStatus.FAILED),
    "sent": TransferResult(status=base.TransferStatus.SUCCEEDED),
    "returned": TransferResult(status=base.TransferStatus.RETURNED),
    "pending": TransferResult(status=base.TransferStatus.PENDING),
}
# As gateways speak: what failed was not sent, and only what was sent comes back.
STORIES: tuple[list[str], ...] = (
    ["failed"],
    ["pending", "sent"],
    ["sent"],
    ["sent", "returned"],
    ["pending"],
    ["returned", "sent"],
    [],
)


def assert_sums_hold() -> None:
    for payment in Payment.objects.all():
        lines = LedgerLine.objects.filter(payment=payment)
        sums = dict(lines.values_list("kind").annotate(total=Sum("amount")))
        live = Refund.objects.filter(payment=payment).exclude(status__in=RELEASED)
        assert payment.captured == sums.get("capture", 0)
        assert payment.refunded == -sums.get("refund", 0) - sums.get("return", 0)
        assert payment.refund_reserved == (live.aggregate(total=Sum("amount"))["total"] or 0)
        assert 0 <= payment.refunded <= payment.refund_reserved <= payment.captured
    whole = LedgerLine.objects.aggregate(total=Sum("amount"))["total"] or 0
    totals = list_totals()
    assert sum(total.net.amount for total in totals) == whole
    assert all(
        total.net.amount == total.captured.amount - total.refunded.amount - total.paid_out.amount for total in totals
    )


def test_whatever_happens_the_sums_hold(in_tenant, figure, record_figure):
    seed = random.randrange(10**6)
    chance, steps = random.Random(seed), figure(quick=60, full=2_000)
    with scripted_gateway(GenerousScriptedGateway):
        payments: list[Payment] = []
        open_news: list[tuple[str, Any, str]] = []
        for step in range(steps):
            what = chance.choice(["pay", "pay again", "refund", "refund", "refund", "pay out", *["news"] * 5])
            if what == "pay" or not payments:
                payments.append(make_settled_payment(in_tenant, gateway="scripted"))
            elif what == "pay again":
                payment = chance.choice(payments)
                if payment.attempts.count() == 1:
                    pay_again(in_tenant, payment)
            elif what == "refund":
                try:
                    money = chance.choice([None, Money(chance.randint(1, 500_000), "TZS")])
                    refund = make_refund(in_tenant, chance.choice(payments), money=money)
                except (RefundExceedsCaptured, RefundSpansAttempts):
                    continue
                open_news += [("refund", refund.pk, word) for word in chance.choice(STORIES)]
            elif what == "pay out":
                payout = make_payout(in_tenant, money=Money(chance.randint(1, 500_000), "TZS"))
                open_news += [("payout", payout.pk, word) for word in chance.choice(STORIES)]
            elif open_news:
                kind, pk, word = open_news.pop(chance.randrange(len(open_news)))
                _record(kind, pk, word)
                if chance.random() < 0.2:
                    _record(kind, pk, word)
            if step % 10 == 0:
                assert_sums_hold()

    assert_sums_hold()
    books = derive_totals_again()
    assert books.differences == [], f"seed {seed}"
    assert books.payments == len(payments)
    record_figure(f"{steps} steps, seed {seed}")


def _record(kind: str, pk: Any, word: str) -> None:
    if kind == "refund":
        record_refund(refund_id=pk, source="webhook", result=RESULTS[word])
    else:
        record_payout(payout_id=pk, source="webhook", result=RESULTS[word])


# --- Races -----------------------------------------------------------------------------------------------------------


@pytest.mark.invariant("I14")
@pytest.mark.django_db(transaction=True)
def test_refunds_at_once_never_exceed_what_came_in(figure, record_figure):
    """Twenty people refund 1,000 of 5,000 each, at the same moment."""
    races, racers = figure(quick=5, full=1_000), 20
    with scripted_gateway(GenerousScriptedGateway), ThreadPoolExecutor(racers) as pool:
        member = make_member()
        for _ in range(races):
            payment = make_settled_payment(member, gateway="scripted")
            barrier = threading.Barrier(racers)
            outcomes: list[str] = []
            done = [pool.submit(_refund_a_fifth, member, payment, barrier, outcomes) for _ in range(racers)]
            for each in done:
                each.result()
            granted = outcomes.count("granted")
            with tenant_scope(member.tenant_id), tenant_transaction():
                payment.refresh_from_db()
                reserved = Refund.objects.filter(payment=payment).aggregate(total=Sum("amount"))["total"]
            assert (granted, reserved, payment.refund_reserved) == (5, 500_000, 500_000)
        meeting = threading.Barrier(racers)  # so that each of the pool's threads closes its own
        for _ in range(racers):
            pool.submit(_hang_up, meeting)
    assert derive_totals_again().differences == []
    record_figure(f"{races} races of {racers}: 0 over-refunds")


def _hang_up(meeting: threading.Barrier) -> None:
    meeting.wait()
    connections.close_all()


def _refund_a_fifth(member: Member, payment: Payment, barrier: threading.Barrier, outcomes: list[str]) -> None:
    try:
        barrier.wait()
        make_refund(member, payment, money=Money(100_000, "TZS"))
        outcomes.append("granted")
    except RefundExceedsCaptured:
        outcomes.append("refused")


@pytest.mark.invariant("I14")
@pytest.mark.parametrize("reserved", [500_001, -1])
def test_the_database_itself_refuses_to_reserve_more_than_came_in(in_tenant, reserved):
    payment = make_settled_payment(in_tenant)

    with pytest.raises(IntegrityError), transaction.atomic():
        Payment.objects.filter(pk=payment.pk).update(refund_reserved=reserved)


# --- The check of the books ------------------------------------------------------------------------------------------


def check() -> tuple[int, str, str]:
    out, err, code = StringIO(), StringIO(), 0
    try:
        call_command("ledger", "check", stdout=out, stderr=err)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, out.getvalue(), err.getvalue()


def test_books_in_order_are_said_to_be(member, stranger):
    make_refund(member)
    make_settled_payment(stranger)

    code, out, err = check()

    assert (code, err) == (0, "")
    assert "2 payments, 0 payouts, 2 lines." in out
    assert "capture: TZS 10,000" in out
    assert "0 differences." in out


CHANGES: dict[str, Callable[[Payment], dict[str, Any]]] = {
    "captured is 500001": lambda payment: {"captured": F("captured") + 1},
    "refunded is 1": lambda payment: {"refunded": 1},
    "refund_reserved is 1": lambda payment: {"refund_reserved": 1},
    "its status is failed": lambda payment: {"status": "failed"},
    "were written": lambda payment: {"version": F("version") + 1},
}


@pytest.mark.parametrize("told", CHANGES)
def test_a_number_that_somebody_changed_is_found(in_tenant, told):
    payment = make_settled_payment(in_tenant)
    Payment.objects.filter(pk=payment.pk).update(**CHANGES[told](payment))

    code, _out, err = check()

    assert code == 1
    assert told in err
    assert str(payment.pk) in err


def test_a_line_that_was_removed_or_invented_is_found(in_tenant):
    with scripted_gateway(GenerousScriptedGateway):
        payout = make_payout(in_tenant)
    record_payout(payout_id=payout.pk, source="poll", result=RESULTS["sent"])
    LedgerLine.objects.create(
        key="invented", kind="return", amount=300_000, currency="TZS", gateway="scripted", payout=payout
    )

    code, _out, err = check()

    assert code == 1
    assert "its lines are" in err


def test_a_refund_whose_status_was_changed_is_found(in_tenant):
    refund = make_refund(in_tenant)
    Refund.objects.filter(pk=refund.pk).update(status="failed")

    assert f"refund {refund.pk}: its status is failed" in check()[2]


def test_a_history_that_was_rewritten_is_found(in_tenant):
    payment = make_settled_payment(in_tenant)

    with removal_allowed("payments_paymentevent"), connection.cursor() as cursor:
        cursor.execute("UPDATE payments_paymentevent SET actor = 'nobody' WHERE seq = 1")

    assert f"payment {payment.pk}" in check()[2]
    assert "its history was changed" in check()[2]


def test_a_payout_is_looked_at_too(in_tenant):
    with scripted_gateway(GenerousScriptedGateway):
        payout = make_payout(in_tenant)
    Payout.objects.filter(pk=payout.pk).update(status="succeeded")

    assert f"payout {payout.pk}" in check()[2]
