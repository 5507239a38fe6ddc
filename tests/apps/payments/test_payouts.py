"""Payouts: checked before anything is stored, sent once, heard of in any order, bounded."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils import timezone

from apps.payments.history import is_intact
from apps.payments.models.accounts import GatewayAccount, GatewayReference
from apps.payments.models.payments import PaymentEvent
from apps.payments.models.transfers import Payout
from apps.payments.services import transfers
from apps.payments.services.books import derive_totals_again
from apps.payments.services.payments import ClientReferenceTaken
from apps.payments.services.payouts import (
    AccountNotYours,
    PayoutExceedsEarnings,
    PayoutLimitExceeded,
    _desk,
    decide_payout,
    poll_payout,
    record_payout,
    submit_payout,
)
from apps.payments.services.transfers import NotWaitingForAPerson
from apps.payments.transfers import ShownStatus, TransferStatus
from apps.tenants.models import Membership
from config.settings.payouts import limits_by_currency
from core.audit.models import AuditEntry
from core.money import Money
from core.outbox.models import OutboxEvent
from core.sealing import seal
from core.tenancy import tenant_scope
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments import base
from services.payments.base import GatewayRefused, PayoutNotSupported, TransferNotFound, TransferResult
from tests.factories.accounts import Member, make_member
from tests.factories.payments import (
    a_wish_to_pay_out,
    count_of,
    lines_of,
    make_payment,
    make_payout,
    make_settled_payment,
)
from tests.factories.tenants import add_member, key_client, make_api_key, membership_of
from tests.fakes import GenerousScriptedGateway, IdempotentPayoutGateway, ScriptedGateway, scripted_gateway
from tests.outbox import work_off_outbox

URL = "/api/v1/payouts/"
PENDING = TransferResult(status=base.TransferStatus.PENDING, provider_reference="O1")
SENT = TransferResult(status=base.TransferStatus.SUCCEEDED, provider_reference="O1")
RETURNED = TransferResult(status=base.TransferStatus.RETURNED, provider_reference="O1")
FAILED = TransferResult(status=base.TransferStatus.FAILED, provider_reference="O1")
BANK = {"bank": "CORUTZTZ", "number": "0150123456789", "name": "Asha Mushi"}


@pytest.fixture
def gateway(db: None) -> Iterator[ScriptedGateway]:
    cache.clear()
    with scripted_gateway(GenerousScriptedGateway) as installed:
        yield installed


@pytest.fixture
def idempotent_gateway(db: None) -> Iterator[ScriptedGateway]:
    with scripted_gateway(IdempotentPayoutGateway) as installed:
        yield installed


def calls_of(gateway: ScriptedGateway) -> list[str]:
    return [call for call, _reference in gateway.calls]


def fresh(payout: Payout) -> Payout:
    payout.refresh_from_db()
    return payout


# --- The machine -----------------------------------------------------------------------------------------------------


def test_asking_writes_everything_and_calls_nobody(gateway, in_tenant):
    payout = make_payout(in_tenant, name="Asha", metadata={"for": "wages"})

    assert payout.shown_status is ShownStatus.PROCESSING
    assert GatewayReference.objects.get(reference=payout.reference).subject_id == payout.pk
    assert [event.name for event in OutboxEvent.objects.all()] == ["payout.requested"]
    assert AuditEntry.objects.get(action="payout.requested").target_id == str(payout.pk)
    assert not gateway.calls
    assert lines_of(in_tenant) == []


@pytest.mark.parametrize("changes", [{}, {"phone": "", "bank": BANK}])
def test_a_gateway_that_cannot_pay_out_leaves_no_trace(in_tenant, changes):
    with scripted_gateway(ScriptedGateway), pytest.raises(PayoutNotSupported):
        make_payout(in_tenant, **changes)

    assert not Payout.objects.exists()
    assert not GatewayReference.objects.exists()


def test_a_payout_that_succeeds_is_one_line_and_one_event(gateway, in_tenant):
    gateway.payouts = [PENDING]
    payout = make_payout(in_tenant)
    work_off_outbox()
    assert fresh(payout).status == TransferStatus.PENDING

    for source in ("webhook", "poll", "webhook"):
        record_payout(payout_id=payout.pk, source=source, result=SENT)

    assert calls_of(gateway) == ["payout"]
    assert fresh(payout).shown_status is ShownStatus.SUCCEEDED
    assert lines_of(in_tenant) == [("payout", -300_000)]
    history = list(PaymentEvent.objects.filter(payout=payout).order_by("seq"))
    assert [line.to_status for line in history] == ["queued", "pending", "succeeded"]
    assert is_intact(history)
    assert payout.version == 3


def test_money_that_comes_back_after_success_is_returned(gateway, in_tenant):
    payout = make_payout(in_tenant)

    for result in (SENT, RETURNED, SENT, FAILED):
        record_payout(payout_id=payout.pk, source="webhook", result=result)

    assert fresh(payout).shown_status is ShownStatus.RETURNED
    assert sorted(lines_of(in_tenant)) == [("payout", -300_000), ("return", 300_000)]
    assert derive_totals_again().differences == []


def test_a_worker_that_died_after_claiming_asks_and_does_not_pay_again(gateway, in_tenant):
    payout = make_payout(in_tenant)
    transfers._claim(_desk, payout.pk)  # and then the power went
    gateway.payout_queries = [TransferNotFound()]

    submit_payout(payout_id=payout.pk)

    assert calls_of(gateway) == ["query_payout"]
    assert fresh(payout).status == TransferStatus.UNKNOWN


def test_a_gateway_that_pays_once_per_reference_gets_the_same_one_again(idempotent_gateway, in_tenant):
    payout = make_payout(in_tenant)
    transfers._claim(_desk, payout.pk)
    idempotent_gateway.payout_queries, idempotent_gateway.payouts = [TransferNotFound()], [PENDING]

    submit_payout(payout_id=payout.pk)

    assert idempotent_gateway.calls == [("query_payout", payout.reference), ("payout", payout.reference)]
    assert fresh(payout).status == TransferStatus.PENDING


def test_a_refused_repetition_does_not_fail_what_the_first_one_may_have_sent(idempotent_gateway, in_tenant):
    payout = make_payout(in_tenant)
    idempotent_gateway.payouts = [OutcomeUnknown(), GatewayRefused("reference", "already used")]
    idempotent_gateway.payout_queries = [TransferNotFound(), SENT]
    submit_payout(payout_id=payout.pk)

    poll_payout(payout_id=payout.pk, poll=0)
    assert fresh(payout).status == TransferStatus.UNKNOWN
    poll_payout(payout_id=payout.pk, poll=1)

    assert fresh(payout).status == TransferStatus.SUCCEEDED


def test_a_gateway_that_is_gone_from_the_settings_has_sent_nothing(gateway, in_tenant, settings):
    payout = make_payout(in_tenant)
    settings.PAYMENT_GATEWAYS = {}

    submit_payout(payout_id=payout.pk)

    assert (fresh(payout).shown_status, payout.refusal) == (ShownStatus.FAILED, "gateway_not_enabled")


def test_a_person_decides_only_after_a_week_in_vain(gateway, in_tenant):
    payout = make_payout(in_tenant)
    gateway.payouts, gateway.payout_queries = [OutcomeUnknown()], [TransferNotFound()]
    submit_payout(payout_id=payout.pk)
    wish = {"actor_id": in_tenant.user.pk, "payout_id": payout.pk, "is_sent": True, "evidence": "statement 17"}
    with pytest.raises(NotWaitingForAPerson):
        decide_payout(**wish, is_platform=True)
    Payout.objects.update(submitted_at=timezone.now() - timedelta(days=8), polls=99)
    poll_payout(payout_id=payout.pk, poll=99)
    assert fresh(payout).anomalies == ["unanswered"]

    with pytest.raises(NotWaitingForAPerson):
        decide_payout(**wish)
    decide_payout(**wish, is_platform=True)

    assert fresh(payout).shown_status is ShownStatus.SUCCEEDED
    assert lines_of(in_tenant) == [("payout", -300_000)]


def test_a_client_reference_is_taken_once_for_ever(gateway, in_tenant):
    make_payout(in_tenant, client_reference="wages-1")

    with pytest.raises(ClientReferenceTaken):
        make_payout(in_tenant, client_reference="wages-1")

    assert Payout.objects.count() == 1


# --- Limits ----------------------------------------------------------------------------------------------------------


def test_one_payout_has_a_limit_by_currency(gateway, in_tenant, settings):
    settings.PAYOUT_MAX = {"TZS": 300_000}

    make_payout(in_tenant)
    make_payout(in_tenant, money=Money(900_000, "USD"))
    with pytest.raises(PayoutLimitExceeded):
        make_payout(in_tenant, money=Money(300_001, "TZS"))


def test_a_day_has_a_limit_of_which_failures_take_nothing(gateway, in_tenant, settings):
    settings.PAYOUT_DAILY = {"TZS": 700_000}
    first = make_payout(in_tenant)
    make_payout(in_tenant)
    with pytest.raises(PayoutLimitExceeded):
        make_payout(in_tenant)

    record_payout(payout_id=first.pk, source="poll", result=FAILED)
    make_payout(in_tenant)
    with pytest.raises(PayoutLimitExceeded):
        make_payout(in_tenant)
    Payout.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
    make_payout(in_tenant)


@pytest.mark.parametrize("told", ["TZS", "EUR=5", "TZS=-5", "TZS=5.0", "tzs=5", "TZS=5;USD=6"])
def test_a_limit_that_cannot_be_understood_is_refused(told):
    with pytest.raises(ImproperlyConfigured):
        limits_by_currency("PAYOUT_MAX", told.split(","))


def test_a_limit_that_can_be_understood_is_read():
    assert limits_by_currency("PAYOUT_MAX", ["TZS=500", " USD=0"]) == {"TZS": 500, "USD": 0}


def test_through_the_installations_account_goes_what_was_brought_in(gateway, in_tenant, settings):
    settings.PAYOUTS_FROM_SHARED_ACCOUNT = "earned"
    with pytest.raises(PayoutExceedsEarnings):
        make_payout(in_tenant)
    make_settled_payment(in_tenant, gateway="scripted")

    payout = make_payout(in_tenant)
    with pytest.raises(PayoutExceedsEarnings):  # 200,000 are left, whether that one is under way or there
        make_payout(in_tenant, money=Money(200_001, "TZS"))
    record_payout(payout_id=payout.pk, source="poll", result=SENT)
    with pytest.raises(PayoutExceedsEarnings):
        make_payout(in_tenant, money=Money(200_001, "TZS"))
    with pytest.raises(PayoutExceedsEarnings):
        make_payout(in_tenant, money=Money(1, "USD"))
    make_payout(in_tenant, money=Money(200_000, "TZS"))


def test_where_the_installation_says_so_nothing_goes_through_its_account(gateway, in_tenant, settings):
    settings.PAYOUTS_FROM_SHARED_ACCOUNT = "never"
    make_settled_payment(in_tenant, gateway="scripted")

    with pytest.raises(AccountNotYours):
        make_payout(in_tenant)


def test_an_account_of_ones_own_is_ones_own_business(gateway, in_tenant, settings):
    settings.PAYOUTS_FROM_SHARED_ACCOUNT = "never"
    own = GatewayAccount.objects.create(gateway="scripted", credentials=seal("{}"))

    assert make_payout(in_tenant).account_id == own.pk


@pytest.mark.django_db(transaction=True)
def test_two_payouts_at_once_do_not_both_fit_under_a_limit_for_one(figure, settings):
    settings.PAYOUT_DAILY = {"TZS": 300_000}
    count = 8

    with scripted_gateway(GenerousScriptedGateway):
        for _ in range(figure(quick=2, full=50)):
            member, barrier = make_member(), threading.Barrier(count)
            outcomes: list[str] = []
            with ThreadPoolExecutor(count) as pool:
                done = [pool.submit(_pay_out, member, barrier, outcomes) for _number in range(count)]
                for each in done:
                    each.result()

            assert sorted(outcomes) == ["paid"] + ["refused"] * (count - 1)


def _pay_out(member: Member, barrier: threading.Barrier, outcomes: list[str]) -> None:
    try:
        barrier.wait()
        make_payout(member)
        outcomes.append("paid")
    except PayoutLimitExceeded:
        outcomes.append("refused")
    finally:
        connections.close_all()


# --- Over HTTP -------------------------------------------------------------------------------------------------------


def ask_for(client: Any, key: str = "", **changes: Any) -> Any:
    wish = {name: value for name, value in a_wish_to_pay_out(gateway="scripted", **changes).items() if value != ""}
    return client.post(URL, wish, format="json", headers={"Idempotency-Key": key or uuid.uuid4().hex})


def test_a_payout_to_a_phone_and_one_to_a_bank(gateway, member_client):
    phone = ask_for(member_client, metadata={"for": "wages"}, client_reference="w-1")
    bank = ask_for(member_client, phone="", name="", bank=BANK)

    assert phone.status_code == bank.status_code == 201, (phone.json(), bank.json())
    data = phone.json()["data"]
    assert (data["phone"], data["bank"], data["metadata"]) == ("+255712345678", None, {"for": "wages"})
    assert (bank.json()["data"]["phone"], bank.json()["data"]["bank"]) == ("", BANK)
    assert member_client.get(f"{URL}{data['id']}/").json()["data"] == data
    assert len(member_client.get(URL).json()["data"]["results"]) == 2
    assert len(member_client.get(f"{URL}?client_reference=w-1").json()["data"]["results"]) == 1


def test_the_same_key_pays_once(gateway, member, member_client):
    first, again = (ask_for(member_client, key="k") for _ in range(2))

    assert first.content == again.content
    assert count_of(member, Payout) == 1


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"phone": ""}, 400, "validation_error"),
        ({"bank": BANK}, 400, "validation_error"),
        ({"phone": "", "bank": {"bank": "X"}}, 400, "validation_error"),
        ({"phone": "", "bank": BANK | {"number": 150}}, 400, "validation_error"),
        ({"phone": "", "bank": BANK | {"number": "1 OR 1"}}, 400, "validation_error"),
        ({"metadata": {"a": 1.5}}, 400, "validation_error"),
        ({"metadata": ["a"]}, 400, "validation_error"),
        ({"metadata": {"x" * 41: "a"}}, 400, "validation_error"),
        ({"metadata": {str(number): "a" for number in range(21)}}, 400, "validation_error"),
        ({"amount": {"amount": 1.5, "currency": "TZS"}}, 400, "validation_error"),
        ({"gateway": "acmepay"}, 422, "gateway_not_enabled"),
    ],
)
def test_a_wish_that_cannot_be_read_or_met_leaves_nothing(gateway, member, member_client, changes, status, code):
    wish = a_wish_to_pay_out(gateway="scripted") | changes
    wish = {name: value for name, value in wish.items() if value != ""}

    response = member_client.post(URL, wish, format="json", headers={"Idempotency-Key": uuid.uuid4().hex})

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert count_of(member, Payout) == 0


def test_who_may_send_money_out(gateway, member):
    colleague, admin = add_member(member), add_member(member, "admin")
    _key, reading = make_api_key(member, "payments:read", "payments:write")
    _key, paying = make_api_key(admin, "payouts:write")

    assert ask_for(colleague.client()).json()["code"] == "admins_only"
    assert ask_for(key_client(reading)).json()["code"] == "scope_missing"
    assert key_client(reading).get(URL).status_code == 200
    assert key_client(paying).get(URL).json()["code"] == "scope_missing"
    assert ask_for(admin.client()).status_code == 201
    assert ask_for(key_client(paying)).status_code == 201
    Membership.objects.filter(pk=membership_of(admin).pk).update(role="member")
    assert ask_for(key_client(paying)).json()["code"] == "admins_only"
    assert count_of(member, Payout) == 2


def test_who_may_send_money_back(member):
    payment = make_settled_payment(member)
    colleague = add_member(member)
    _key, machine = make_api_key(member, "payments:write")
    url = f"/api/v1/payments/{payment.pk}/refunds/"

    def asked_by(client: Any, url: str = url, **wish: Any) -> Any:
        return client.post(url, wish, format="json", headers={"Idempotency-Key": uuid.uuid4().hex})

    assert asked_by(colleague.client()).json()["code"] == "admins_only"
    assert colleague.client().get(url).status_code == 200
    refund = asked_by(key_client(machine)).json()["data"]
    complete = f"/api/v1/refunds/{refund['id']}/complete/"
    assert asked_by(key_client(machine), complete, evidence="x").json()["code"] == "api_key_not_accepted"
    assert asked_by(colleague.client(), complete, evidence="x").json()["code"] == "admins_only"
    assert asked_by(member.client(), complete, evidence="").json()["code"] == "validation_error"
    done = asked_by(member.client(), complete, evidence="M-Pesa QK27X8Y1").json()["data"]
    assert (done["status"], done["evidence"]) == ("succeeded", "M-Pesa QK27X8Y1")
    assert asked_by(member.client(), complete, evidence="x").status_code == 409


def test_of_another_tenants_payout_nothing_shows(gateway, member, stranger):
    payout = make_payout(member)

    foreign, random = (stranger.client().get(f"{URL}{each}/") for each in (payout.pk, uuid.uuid4()))

    assert foreign.status_code == random.status_code == 404
    assert foreign.json() == random.json()
    assert stranger.client().get(URL).json()["data"]["results"] == []


def test_whoever_waits_is_answered_304_until_there_is_news(gateway, member, member_client):
    payout = make_payout(member)
    url = f"{URL}{payout.pk}/"
    tag = member_client.get(url).headers["ETag"]

    assert member_client.get(url, headers={"If-None-Match": tag}).status_code == 304
    with tenant_scope(member.tenant_id):
        record_payout(payout_id=payout.pk, source="poll", result=SENT)
    news = member_client.get(url, headers={"If-None-Match": tag})

    assert (news.status_code, news.json()["data"]["status"]) == (200, "succeeded")


# --- Balance ---------------------------------------------------------------------------------------------------------

BALANCE = "/api/v1/payments/gateways/scripted/balance/"


def test_a_balance_is_asked_once_in_ten_seconds(gateway, member_client):
    gateway.account = [[Money(100, "TZS"), Money(200, "USD")]]

    first, again = member_client.get(BALANCE), member_client.get(BALANCE)

    assert first.json()["data"] == again.json()["data"]
    assert [each["display"] for each in first.json()["data"]["balances"]] == ["TZS 1", "USD 2"]
    assert calls_of(gateway) == ["balances"]


@pytest.mark.parametrize(
    "silence", [GatewayUnavailable(), OutcomeUnknown(), GatewayRefused("credentials", "wrong key sk_live_1")]
)
def test_a_gateway_that_does_not_tell_is_a_503_without_its_words(gateway, member_client, silence):
    gateway.account = [silence]

    response = member_client.get(BALANCE)

    assert (response.status_code, response.json()["code"]) == (503, "gateway_unavailable")
    assert b"sk_live" not in response.content


def test_a_balance_of_the_installations_account_is_not_everybodys_business(gateway, member, settings):
    settings.PAYOUTS_FROM_SHARED_ACCOUNT = "earned"

    assert member.client().get(BALANCE).json()["code"] == "account_not_yours"
    assert add_member(member).client().get(BALANCE).json()["code"] == "admins_only"
    assert not gateway.calls


def test_a_gateway_without_balances_says_so(db, member_client):
    cache.clear()
    response = member_client.get("/api/v1/payments/gateways/nothing/balance/")

    assert (response.status_code, response.json()["code"]) == (422, "gateway_not_enabled")


# --- Ledger and totals -----------------------------------------------------------------------------------------------


def test_the_ledger_and_its_totals(gateway, member, member_client, stranger):
    payment, payout = make_settled_payment(member, gateway="scripted"), make_payout(member)
    make_payment(member, gateway="scripted")
    with tenant_scope(member.tenant_id):
        record_payout(payout_id=payout.pk, source="poll", result=SENT)

    def found(**query: str) -> list[int]:
        response = member_client.get("/api/v1/payments/ledger/", query)
        assert response.status_code == 200, response.json()
        return [each["amount"]["amount"] for each in response.json()["data"]["results"]]

    assert found() == [-300_000, 500_000]
    assert found(kind="payout") == found(payout=str(payout.pk)) == [-300_000]
    assert found(payment=str(payment.pk), gateway="scripted") == [500_000]
    assert found(at_until="2020-01-01T00:00:00Z") == found(gateway="other") == []
    (total,) = member_client.get("/api/v1/payments/totals/").json()["data"]["totals"]
    assert (total["gateway"], total["currency"]) == ("scripted", "TZS")
    sums = {name: total[name]["amount"] for name in ("captured", "refunded", "paid_out", "net")}
    assert sums == {"captured": 500_000, "refunded": 0, "paid_out": 300_000, "net": 200_000}
    assert stranger.client().get("/api/v1/payments/totals/").json()["data"] == {"totals": []}
