"""What an organisation's owners and admins read about what happened to it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import transaction
from rest_framework.test import APIClient

from apps.tenants.models import ApiKey
from apps.tenants.services.members import make_owner_for_safety
from apps.tenants.services.tenants import suspend_tenant, unsuspend_tenant
from core.audit.actions import TENANT_ACTIONS, Action
from core.audit.record import record
from core.exceptions import NotFound
from tests.envelope import faults_in, refusal_of
from tests.factories.accounts import Member
from tests.factories.operators import make_operator
from tests.factories.tenants import add_member, make_api_key, make_invitation, membership_of, tokens_sent

URL = "/api/v1/tenants/current/audit/"
TENANTS = "/api/v1/tenants/"


def read(client: APIClient, **filters: Any) -> list[dict[str, Any]]:
    response = client.get(URL, filters)
    assert response.status_code == 200, response.content
    results: list[dict[str, Any]] = response.json()["data"]["results"]
    return results


def last(client: APIClient) -> tuple[str, str, str, dict[str, Any]]:
    """The newest line: action, actor, target, details."""
    line = read(client)[0]
    return line["action"], line["actor_email"], line["target_label"], line["details"]


def test_a_changed_role_is_told_with_who_whom_and_what(member):
    other = add_member(member)

    member.client().patch(f"{TENANTS}members/{membership_of(other).pk}/", {"role": "admin"}, format="json")

    told = ("member.role_changed", member.user.email, other.user.email, {"from": "member", "to": "admin"})
    assert last(member.client()) == told


def test_removing_and_leaving_are_different_lines(member):
    removed, leaver = add_member(member), add_member(member, "admin")

    member.client().delete(f"{TENANTS}members/{membership_of(removed).pk}/")
    told_removed = last(member.client())
    leaver.client().post(f"{TENANTS}leave/")

    assert told_removed == ("member.removed", member.user.email, removed.user.email, {"role": "member"})
    assert last(member.client()) == ("member.left", leaver.user.email, leaver.user.email, {"role": "admin"})


def test_handing_the_organisation_over_is_one_line(member):
    heir = add_member(member)

    member.client().post(f"{TENANTS}transfer-ownership/", {"member": str(membership_of(heir).pk)}, format="json")

    assert last(heir.client())[:3] == ("tenant.ownership_transferred", member.user.email, heir.user.email)
    assert len(read(heir.client())) == 1


def test_renaming_is_told(member):
    before = read(member.client())

    member.client().patch(f"{TENANTS}current/", {"name": "Duka"}, format="json")

    assert before == []
    assert last(member.client()) == ("tenant.renamed", member.user.email, "Duka", {"from": "Asha", "to": "Duka"})


def test_the_life_of_an_api_key_is_told_without_its_secret(member):
    key, text = make_api_key(member)

    made = last(member.client())
    member.client().delete(f"{TENANTS}api-keys/{key.pk}/")
    member.client().delete(f"{TENANTS}api-keys/{key.pk}/")

    assert made[:3] == ("api_key.created", member.user.email, f"Zapier ({key.shown_prefix})")
    assert [line["action"] for line in read(member.client())] == ["api_key.revoked", "api_key.created"]
    assert text.rpartition("_")[2] not in str(read(member.client()))
    assert ApiKey.objects.get().secret_hash not in str(read(member.client()))


def test_the_life_of_an_invitation_is_told_without_its_token(member, stranger):
    invitation = make_invitation(member)
    member.client().post(f"{TENANTS}invitations/{invitation.pk}/resend/")
    token = tokens_sent(member)[-1]
    stranger.client().post(f"{TENANTS}invitations/accept/", {"token": token}, format="json")
    second = make_invitation(member)
    member.client().delete(f"{TENANTS}invitations/{second.pk}/")

    told = read(member.client())

    assert [line["action"] for line in told] == [
        "invitation.revoked",
        "invitation.created",
        "member.joined",
        "invitation.resent",
        "invitation.created",
    ]
    assert told[2]["actor_email"] == stranger.user.email
    assert token not in str(told)


def test_of_what_staff_did_only_that_they_did_it_is_told(member):
    operator = make_operator()
    suspend_tenant(tenant_id=member.tenant_id, operator_id=operator.pk, reason="fraud case 7")
    unsuspend_tenant(tenant_id=member.tenant_id, operator_id=operator.pk)

    told = read(member.client())

    assert [line["action"] for line in told] == ["tenant.reinstated", "tenant.suspended"]
    for line in told:
        assert (line["actor_kind"], line["actor_id"], line["actor_email"], line["details"]) == ("staff", None, "", {})
    assert read(member.client(), actor=str(operator.pk)) == []


def test_staff_can_make_an_owner_where_no_owner_can(member):
    other, operator = add_member(member), make_operator()

    changed = [make_owner_for_safety(membership_id=membership_of(other).pk, operator_id=operator.pk) for _ in range(2)]

    assert changed == [True, False]
    assert membership_of(other).role == "owner"
    assert [line["action"] for line in read(member.client())] == ["member.role_changed"]
    with pytest.raises(NotFound):
        make_owner_for_safety(membership_id=uuid.uuid4(), operator_id=operator.pk)


def test_a_stranger_reads_nothing_of_it(member, stranger):
    make_api_key(member)
    make_invitation(member)

    assert read(stranger.client()) == []
    assert read(stranger.client(), actor=str(member.user.pk)) == []
    assert len(read(member.client())) == 2


def test_what_a_person_does_to_their_own_account_is_no_line_of_a_tenant(member):
    with transaction.atomic():
        record(Action.PASSWORD_CHANGED, actor=member.user, target=member.user)

    assert read(member.client()) == []


def test_plain_members_do_not_read_it(member):
    assert refusal_of(add_member(member).client().get(URL)) == (403, "admins_only")
    assert read(add_member(member, "admin").client()) == []


def test_it_can_be_filtered_and_paged(member):
    other = add_member(member, "admin")
    for _ in range(3):
        make_api_key(member)
    make_invitation(other)
    client = member.client()
    newest = read(client)[0]["at"]

    assert len(read(client, action="api_key.created")) == 3
    assert len(read(client, actor=str(other.user.pk))) == 1
    assert len(read(client, at_from=newest)) == 1
    assert len(read(client, at_until=newest)) == 3
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(URL, {"page_size": 3} | ({"cursor": cursor} if cursor else {}))
        assert faults_in(page) == []
        seen += [line["id"] for line in page.json()["data"]["results"]]
        cursor = page.json()["data"]["pagination"]["next_cursor"]
    assert len(seen) == len(set(seen)) == 4


@pytest.mark.parametrize(
    "filters",
    [
        {"action": "password.changed"},
        {"actor": "x"},
        {"at_from": "x"},
        {"at_until": "0"},
        {"tenant": "x"},
        {"cursor": "x"},
    ],
    ids=str,
)
def test_a_filter_that_is_none_is_refused_in_swahili_too(member_client, filters):
    english = member_client.get(URL, filters)
    swahili = member_client.get(URL, filters, HTTP_ACCEPT_LANGUAGE="sw")

    assert refusal_of(english) == refusal_of(swahili) == (400, "validation_error")
    assert english.json()["errors"] != swahili.json()["errors"]


def test_a_key_does_not_read_it(member):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Api-Key {make_api_key(member)[1]}")

    assert refusal_of(client.get(URL)) == (403, "api_key_not_accepted")


def test_only_what_happens_to_tenants_can_be_asked_for():
    assert {str(name).partition(".")[0] for name, _label in TENANT_ACTIONS} == {
        "member",
        "tenant",
        "api_key",
        "invitation",
        "payment",
        "refund",
        "payout",
        "gateway_account",
        "message",
    }


def test_lines_of_a_removed_member_stay(member: Member):
    other = add_member(member, "admin")
    make_invitation(other)
    member.client().delete(f"{TENANTS}members/{membership_of(other).pk}/")

    assert [line["actor_email"] for line in read(member.client(), action="invitation.created")] == [other.user.email]
