"""Create, list, rename, switch: as a frontend sees them. I45, I46 and I60 where a tenant is concerned."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.services.accounts import create_operator
from apps.tenants.models import Membership, Tenant
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.payments import a_wish_to_pay
from tests.factories.tenants import add_member, membership_of

pytestmark = pytest.mark.django_db

URL = "/api/v1/tenants/"
SWITCH = "/api/v1/auth/switch-tenant/"
REFRESH = "/api/v1/auth/refresh/"
ORIGIN = "https://app.faraja.test"


def bearer(access: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
    return client


def create(client: APIClient, name: str = "Duka la Asha") -> str:
    return str(client.post(URL, {"name": name}, format="json").json()["data"]["id"])


def switch(client: APIClient, tenant_id: object, **headers: str):
    return client.post(SWITCH, {"tenant": str(tenant_id)}, format="json", headers=headers)


def test_creating_makes_one_the_owner_and_leaves_the_session_where_it_is(member, member_client):
    response = member_client.post(URL, {"name": "Duka la Asha"}, format="json")

    assert response.status_code == 201
    data = response.json()["data"]
    assert (data["name"], data["role"], data["suspended_at"]) == ("Duka la Asha", "owner", None)
    assert Membership.objects.filter(tenant_id=data["id"], user=member.user, role="owner").count() == 1
    assert member_client.get(f"{URL}current/").json()["data"]["id"] == str(member.tenant_id)


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 201}, {"name": 7}, {"name": "x", "owner": "me"}])
def test_a_tenant_needs_a_proper_name(member_client, body):
    response = member_client.post(URL, body, format="json")

    assert (response.status_code, response.json()["code"]) == (400, "validation_error")
    assert Tenant.objects.count() == 1


def test_one_lists_ones_own_tenants_and_no_others(member, member_client, stranger):
    theirs = create(stranger.client(), "A stranger's")
    mine = create(member_client)

    listed = member_client.get(URL).json()["data"]["results"]

    assert [each["id"] for each in listed] == [mine, str(member.tenant_id)]
    assert theirs not in str(listed)


@pytest.mark.parametrize("role", ["owner", "admin"])
def test_owners_and_admins_rename(member, role):
    person = add_member(member, role)

    response = person.client().patch(f"{URL}current/", {"name": "Jina jipya"}, format="json")

    assert response.status_code == 200
    assert response.json()["data"]["name"] == "Jina jipya"
    assert Tenant.objects.get(pk=member.tenant_id).name == "Jina jipya"


def test_a_member_may_not_rename(member):
    before = Tenant.objects.get(pk=member.tenant_id).name

    response = add_member(member).client().patch(f"{URL}current/", {"name": "Jina jipya"}, format="json")

    assert (response.status_code, response.json()["code"]) == (403, "admins_only")
    assert Tenant.objects.get(pk=member.tenant_id).name == before


# --- Switching -----------------------------------------------------------------------------------------------------


@pytest.mark.invariant("I46")
def test_switching_gives_tokens_for_the_other_tenant_in_the_same_session(member, member_client):
    other = create(member_client)

    data = switch(member_client, other).json()["data"]

    assert data["tenant"] == {"id": other, "name": "Duka la Asha", "role": "owner"}
    assert bearer(data["access"]).get("/api/v1/auth/me/").json()["data"]["tenant"]["id"] == other
    assert member.user.sessions.count() == 1
    refreshed = APIClient().post(REFRESH, {"refresh": data["refresh"]}, format="json").json()["data"]
    assert refreshed["tenant"]["id"] == other


@pytest.mark.invariant("I46")
def test_an_access_token_from_before_the_switch_does_not_act_in_the_other_tenant(member, member_client):
    switch(member_client, create(member_client))

    response = member_client.post(
        "/api/v1/payments/", a_wish_to_pay(), format="json", headers={"Idempotency-Key": uuid.uuid4().hex}
    )

    assert (response.status_code, response.json()["code"]) == (401, "token_expired")


def test_a_refresh_token_from_before_the_switch_still_refreshes(member, member_client):
    other = create(member_client)
    switch(member_client, other)

    response = APIClient().post(REFRESH, {"refresh": member.tokens.refresh}, format="json")

    assert response.status_code == 200
    assert response.json()["data"]["tenant"]["id"] == other


@pytest.mark.invariant("I56")
def test_a_strangers_tenant_and_a_random_one_look_the_same_and_change_nothing(member, member_client, stranger):
    answers = [switch(member_client, wanted) for wanted in (stranger.tenant_id, uuid.uuid4())]

    assert [(each.status_code, each.json()["code"]) for each in answers] == [(404, "not_found")] * 2
    assert answers[0].content == answers[1].content
    assert member_client.get(f"{URL}current/").json()["data"]["id"] == str(member.tenant_id)


def test_after_a_switch_tokens_travel_as_they_did_before(db):
    client = APIClient()
    person = make_member()
    login = {"email": person.user.email, "password": PASSWORD, "transport": "cookies"}
    csrf = client.post("/api/v1/auth/login/", login, format="json", headers={"Origin": ORIGIN}).json()["data"]

    refused = switch(client, person.tenant_id, Origin=ORIGIN)
    response = switch(client, person.tenant_id, **{"Origin": ORIGIN, "X-CSRF-Token": csrf["csrf_token"]})

    assert refused.json()["code"] == "csrf_failed"
    assert response.status_code == 200
    assert (response.json()["data"]["access"], response.json()["data"]["refresh"]) == (None, None)
    assert {"access", "refresh", "csrf"} <= set(response.cookies)
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("header", ["X-Tenant", "X-Tenant-Id", "Tenant", "X-Organisation"])
@pytest.mark.invariant("I60")
def test_a_tenant_in_a_header_or_a_query_is_ignored(member, member_client, stranger, header):
    response = member_client.get(
        f"{URL}current/?tenant={stranger.tenant_id}", headers={header: str(stranger.tenant_id)}
    )

    assert response.json()["data"]["id"] == str(member.tenant_id)


# --- Suspension ----------------------------------------------------------------------------------------------------


def operate(action: str, tenant_id: uuid.UUID) -> None:
    operator = create_operator(email="operator@example.com", password=PASSWORD)
    client = APIClient()
    client.force_login(operator)
    data = {"action": action, "_selected_action": [str(tenant_id)], "confirmed": "yes", "reason": "fraud"}
    assert client.post(reverse("admin:tenants_tenant_changelist"), data).status_code == 302


@pytest.mark.invariant("I45")
def test_suspension_acts_on_the_next_request_and_leaves_an_audit_line(member, member_client):
    operate("suspend", member.tenant_id)

    response = member_client.get("/api/v1/payments/")

    assert (response.status_code, response.json()["code"]) == (403, "tenant_suspended")
    entry = LogEntry.objects.get(object_id=str(member.tenant_id))
    assert (entry.change_message, entry.user.email) == ("Suspended.", "operator@example.com")
    assert member_client.get(URL).json()["data"]["results"][0]["suspended_at"] is not None


def test_the_end_of_a_suspension_acts_on_the_next_request(member, member_client):
    Tenant.objects.filter(pk=member.tenant_id).update(suspended_at=timezone.now())

    operate("unsuspend", member.tenant_id)

    assert member_client.get("/api/v1/payments/").status_code == 200
    assert LogEntry.objects.get(object_id=str(member.tenant_id)).change_message == "Unsuspended."


def test_suspending_what_is_suspended_writes_no_second_audit_line(member):
    Tenant.objects.filter(pk=member.tenant_id).update(suspended_at=timezone.now())

    operate("suspend", member.tenant_id)

    assert not LogEntry.objects.exists()


def test_a_new_session_begins_in_a_tenant_that_is_not_suspended(member, member_client):
    other = create(member_client)
    Tenant.objects.filter(pk=member.tenant_id).update(suspended_at=timezone.now())

    login = {"email": member.user.email, "password": PASSWORD}
    data = APIClient().post("/api/v1/auth/login/", login, format="json").json()["data"]

    assert data["tenant"]["id"] == other


def test_from_a_suspended_tenant_one_can_switch_away(member, member_client):
    other = create(member_client)
    Tenant.objects.filter(pk=member.tenant_id).update(suspended_at=timezone.now())

    response = switch(member_client, other)

    assert response.status_code == 200
    assert bearer(response.json()["data"]["access"]).get("/api/v1/payments/").status_code == 200


def test_a_person_without_any_tenant_is_told_so_everywhere_and_may_make_one(member: Member, member_client):
    membership_of(member).delete()

    refused = [member_client.get(path) for path in (f"{URL}current/", f"{URL}members/", "/api/v1/payments/")]
    created = create(member_client)

    assert [(each.status_code, each.json()["code"]) for each in refused] == [(403, "not_a_member")] * 3
    assert switch(member_client, created).json()["data"]["tenant"]["role"] == "owner"
