"""Who belongs to a tenant and as what. Changes act on the very next request (I45, I46)."""

from __future__ import annotations

import threading
import uuid

import pytest
from django.db import connection
from rest_framework.test import APIClient

from apps.tenants.models import Membership
from apps.tenants.services.members import LastOwner, leave_tenant
from core.tenancy import tenant_scope
from tests.factories.accounts import Member, make_member
from tests.factories.tenants import add_member, membership_of

URL = "/api/v1/tenants/members/"
LEAVE = "/api/v1/tenants/leave/"
TRANSFER = "/api/v1/tenants/transfer-ownership/"


def set_role(client: APIClient, member: Member, role: str):
    return client.patch(f"{URL}{membership_of(member).pk}/", {"role": role}, format="json")


def remove(client: APIClient, member: Member):
    return client.delete(f"{URL}{membership_of(member).pk}/")


def refusal(response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@pytest.mark.django_db
def test_any_member_sees_the_members_of_their_tenant_only(member, stranger):
    person = add_member(member, first_name="Juma")
    add_member(stranger, first_name="Mgeni")

    listed = person.client().get(URL).json()["data"]["results"]

    assert {each["user_id"] for each in listed} == {str(member.user.pk), str(person.user.pk)}
    assert {each["role"] for each in listed} == {"owner", "member"}
    assert set(listed[0]) == {"id", "user_id", "email", "first_name", "last_name", "role", "joined_at"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("actor", "target", "role", "expected"),
    [
        ("owner", "member", "admin", 200),
        ("owner", "member", "owner", 200),
        ("owner", "admin", "member", 200),
        ("owner", "owner", "member", 200),
        ("admin", "member", "admin", 200),
        ("admin", "admin", "member", 200),
        ("admin", "member", "owner", (403, "owners_only")),
        ("admin", "owner", "admin", (403, "owners_only")),
        ("admin", "owner", "owner", (403, "owners_only")),
        ("member", "member", "admin", (403, "admins_only")),
        ("member", "owner", "member", (403, "admins_only")),
        ("owner", "member", "king", (400, "validation_error")),
    ],
)
def test_who_may_give_whom_which_role(member, actor, target, role, expected):
    asking, changed = add_member(member, actor), add_member(member, target)

    response = set_role(asking.client(), changed, role)

    if expected == 200:
        assert (response.status_code, response.json()["data"]["role"]) == (200, role)
    else:
        assert refusal(response) == expected
    assert membership_of(changed).role == (role if expected == 200 else target)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("actor", "target", "expected"),
    [
        ("owner", "owner", 200),
        ("owner", "admin", 200),
        ("admin", "admin", 200),
        ("admin", "member", 200),
        ("admin", "owner", (403, "owners_only")),
        ("member", "member", (403, "admins_only")),
    ],
)
def test_who_may_remove_whom(member, actor, target, expected):
    asking, removed = add_member(member, actor), add_member(member, target)
    path = f"{URL}{membership_of(removed).pk}/"

    response = asking.client().delete(path)

    if expected == 200:
        assert response.status_code == 200
        assert refusal(asking.client().delete(path)) == (404, "not_found")
    else:
        assert refusal(response) == expected
    assert Membership.objects.filter(user=removed.user, tenant_id=member.tenant_id).exists() == (expected != 200)


@pytest.mark.django_db
@pytest.mark.invariant("I45")
def test_a_removed_members_next_request_is_refused_while_their_token_lives(member, member_client):
    person = add_member(member)
    client = person.client()
    assert client.get("/api/v1/payments/").status_code == 200

    remove(member_client, person)

    assert refusal(client.get("/api/v1/payments/")) == (403, "not_a_member")
    assert client.get("/api/v1/auth/me/").json()["data"]["tenant"] is None


@pytest.mark.django_db
@pytest.mark.invariant("I46")
def test_a_demotion_acts_on_the_next_request_whatever_the_token_says(member, member_client):
    admin = add_member(member, "admin")
    client = admin.client()
    path, name = "/api/v1/tenants/current/", {"name": "Jina"}
    assert client.patch(path, name, format="json").status_code == 200

    set_role(member_client, admin, "member")

    assert refusal(client.patch(path, name, format="json")) == (403, "admins_only")


@pytest.mark.django_db
def test_the_last_owner_can_neither_leave_nor_be_demoted_nor_removed(member, member_client):
    answers = [
        member_client.post(LEAVE),
        set_role(member_client, member, "admin"),
        remove(member_client, member),
    ]

    assert [refusal(each) for each in answers] == [(422, "last_owner")] * 3
    assert membership_of(member).role == "owner"


@pytest.mark.django_db
def test_one_of_two_owners_can_leave(member, member_client):
    add_member(member, "owner")

    response = member_client.post(LEAVE)

    assert response.status_code == 200
    assert refusal(member_client.get(URL)) == (403, "not_a_member")
    assert refusal(member_client.post(LEAVE)) == (403, "not_a_member")


@pytest.mark.django_db
def test_ownership_is_handed_over_and_the_giver_stays_as_admin(member, member_client):
    heir = add_member(member)

    response = member_client.post(TRANSFER, {"member": str(membership_of(heir).pk)}, format="json")

    assert (response.status_code, response.json()["data"]["role"]) == (200, "owner")
    assert (membership_of(heir).role, membership_of(member).role) == ("owner", "admin")


@pytest.mark.django_db
def test_handing_over_to_oneself_changes_nothing(member, member_client):
    response = member_client.post(TRANSFER, {"member": str(membership_of(member).pk)}, format="json")

    assert response.status_code == 200
    assert membership_of(member).role == "owner"


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["admin", "member"])
def test_only_an_owner_hands_over(member, role):
    person = add_member(member, role)

    response = person.client().post(TRANSFER, {"member": str(membership_of(person).pk)}, format="json")

    assert refusal(response) == (403, "owners_only")
    assert membership_of(person).role == role


@pytest.mark.django_db
def test_a_strangers_member_and_a_random_id_look_the_same(member, member_client, stranger):
    foreign, made_up = membership_of(stranger).pk, uuid.uuid4()

    for ask in (
        lambda pk: member_client.patch(f"{URL}{pk}/", {"role": "member"}, format="json"),
        lambda pk: member_client.delete(f"{URL}{pk}/"),
        lambda pk: member_client.post(TRANSFER, {"member": str(pk)}, format="json"),
    ):
        answers = [ask(pk) for pk in (foreign, made_up)]
        assert refusal(answers[0]) == (404, "not_found")
        assert answers[0].content == answers[1].content
    assert membership_of(stranger).role == "owner"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_leave_at_once_one_stays():
    first = make_member()
    second = add_member(first, "owner")
    start, outcomes = threading.Barrier(2), []

    def leave(person: Member) -> None:
        start.wait()
        try:
            with tenant_scope(person.tenant_id):
                leave_tenant(actor_id=person.user.pk)
            outcomes.append("left")
        except LastOwner:
            outcomes.append("stayed")
        finally:
            connection.close()

    threads = [threading.Thread(target=leave, args=(person,)) for person in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["left", "stayed"]
    assert Membership.objects.filter(tenant_id=first.tenant_id, role="owner").count() == 1
