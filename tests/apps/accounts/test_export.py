"""Everything about oneself, from every tenant, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import AuthSession, User
from apps.accounts.services import exports
from apps.accounts.services.accounts import register
from apps.messaging.services.messages import queue_message
from apps.tenants.models import ApiKey, Invitation, Membership, Tenant
from config.settings import base
from core.tenancy import tenant_scope
from tests.envelope import refusal_of
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.payments import make_payment, make_payout_anywhere, make_refund
from tests.factories.tenants import add_member, make_api_key, make_invitation, tokens_sent

EXPORT = "/api/v1/auth/export/"
pytestmark = pytest.mark.django_db


def export(member: Member):
    answer = member.client().get(EXPORT)
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


@pytest.fixture
def elsewhere(member) -> Member:
    """The owner of another tenant, of which `member` is a member."""
    host = make_member()
    Membership.objects.create(tenant_id=host.tenant_id, user=member.user)
    return host


def test_everything_about_a_person_comes_from_all_their_tenants(member, elsewhere):
    here = make_payment(member, description="Unga")
    there = make_payment(Member(member.user, elsewhere.tenant_id, member.tokens))
    not_mine = make_payment(elsewhere)
    make_api_key(member, name="Zapier")
    make_invitation(member, email="rafiki@example.com")
    make_invitation(make_member(), email=member.user.email)
    User.objects.filter(pk=member.user.pk).update(email_verified_at=timezone.now())
    with tenant_scope(elsewhere.tenant_id):
        queue_message(channel="email", to=member.user.email, subject="Habari", text="siri", key="greeting")

    data = export(member)

    assert data["profile"]["email"] == member.user.email
    records = data["records"]
    assert {row["id"] for row in records["payments"]} == {str(here.pk), str(there.pk)}
    assert str(not_mine.pk) not in str(data)
    assert {row["tenant_id"] for row in records["memberships"]} == {str(member.tenant_id), str(elsewhere.tenant_id)}
    assert [row["name"] for row in records["api_keys"]] == ["Zapier"]
    assert {(row["is_sent_by_me"], row["to"]) for row in records["invitations"]} == {
        (True, None),
        (False, member.user.email),
    }
    assert "Habari" in {row["subject"] for row in records["messages"]}
    assert len(records["sessions"]) == 1
    assert [row["purpose"] for row in records["email_links"]] == ["verify_email"]
    assert data["cut"] == []


def test_money_that_a_person_sent_out_is_in_it_without_who_got_it(member):
    payout = make_payout_anywhere(member, phone="+255754000222", narration="Mshahara")
    refund = make_refund(member, reason="Imerudishwa")

    data = export(member)

    [paid_out], [refunded] = data["records"]["payouts"], data["records"]["refunds"]
    assert (paid_out["id"], paid_out["amount"]["amount"]) == (str(payout.pk), payout.amount)
    assert (refunded["payment_id"], refunded["reason"]) == (str(refund.payment_id), "Imerudishwa")
    assert "+255754000222" not in str(data)


def test_no_secret_and_nobody_elses_address_is_in_it(member):
    key, text = make_api_key(member)
    make_invitation(member, email="rafiki@example.com")
    make_payment(member, phone="+255754000111")
    (token,) = tokens_sent(member)
    user = User.objects.get(pk=member.user.pk)

    answer = member.client().get(EXPORT)

    secrets = (ApiKey.objects.get().secret_hash, text, text.rpartition("_")[2], token, user.password)
    for secret in (*secrets, str(Invitation.objects.get().pk), "rafiki@example.com", "+255754000111", PASSWORD):
        assert secret.encode() not in answer.content
    assert key.shown_prefix.encode() in answer.content
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_tenant_that_somebody_has_left_or_that_is_suspended_shows_no_business(member, elsewhere):
    make_payment(Member(member.user, elsewhere.tenant_id, member.tokens))
    Tenant.objects.filter(pk=elsewhere.tenant_id).update(suspended_at=timezone.now())
    assert export(member)["records"]["payments"] == []

    Tenant.objects.filter(pk=elsewhere.tenant_id).update(suspended_at=None)
    assert len(export(member)["records"]["payments"]) == 1
    Membership.objects.filter(tenant_id=elsewhere.tenant_id, user=member.user).delete()

    assert export(member)["records"]["payments"] == []


@pytest.mark.parametrize("is_proven_by_another", [True, False])
def test_a_claim_shows_nobody_what_goes_to_the_address_elsewhere(member, is_proven_by_another):
    if is_proven_by_another:
        owner = register(email=member.user.email, password="nyingine-kabisa-8")
        User.objects.filter(pk=owner.pk).update(email_verified_at=timezone.now())
    make_invitation(make_member(), email=member.user.email)
    with tenant_scope(member.tenant_id):
        queue_message(channel="email", to=member.user.email, text="x", key="greeting")

    records = export(member)["records"]

    assert records["invitations"] == []
    assert len(records["messages"]) == (0 if is_proven_by_another else 1)


def test_who_belongs_to_no_tenant_has_an_export_too(member):
    Membership.objects.filter(user=member.user).delete()

    assert export(member)["records"]["memberships"] == []


def test_it_is_bounded_and_says_so(member, monkeypatch):
    monkeypatch.setattr(exports, "MAX_ROWS", 2)
    payments = [make_payment(member) for _ in range(3)]

    data = export(member)

    assert [row["id"] for row in data["records"]["payments"]] == [str(each.pk) for each in reversed(payments[1:])]
    assert data["cut"] == ["payments"]


def test_it_needs_a_fresh_proof_of_identity(member):
    AuthSession.objects.update(authenticated_at=timezone.now() - timedelta(minutes=11))

    assert refusal_of(member.client().get(EXPORT)) == (403, "reauthentication_required")


def test_the_sixth_export_within_the_hour_waits(settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"export_person": base.RATE_LIMITS["export_person"]}
    member = make_member()
    colleague = add_member(member)

    answers = [member.client().get(EXPORT).status_code for _ in range(6)]

    assert answers == [200] * 5 + [429]
    assert colleague.client().get(EXPORT).status_code == 200
