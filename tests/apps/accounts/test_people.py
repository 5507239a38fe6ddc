"""The people of a tenant: `/api/v1/users/`."""

from __future__ import annotations

import uuid

import pytest
from rest_framework.test import APIClient

from apps.accounts.models import User
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.tenants import add_member, membership_of
from tests.limits import fresh_address

USERS = "/api/v1/users/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> Member:
    return make_member()


@pytest.fixture
def admin(owner) -> Member:
    return add_member(owner, "admin", first_name="Neema")


@pytest.fixture
def juma(owner) -> Member:
    return add_member(owner, first_name="Juma")


def url(person: Member) -> str:
    return f"{USERS}{person.user.pk}/"


def code_of(response) -> tuple[int, str]:
    return response.status_code, response.json().get("code", "")


def names_in(response) -> list[str]:
    assert response.status_code == 200, response.content
    return [each["first_name"] for each in response.json()["data"]["results"]]


def test_everybody_in_a_tenant_sees_its_people_and_nobody_else(owner, admin, juma):
    make_member(email="stranger@example.com")

    for person in (owner, admin, juma):
        response = person.client().get(USERS)
        assert names_in(response) == ["Juma", "Neema", "Asha"]

    assert response.json()["data"]["results"][1] == {
        "id": str(admin.user.pk),
        "email": admin.user.email,
        "first_name": "Neema",
        "last_name": "",
        "phone": "",
        "is_email_verified": False,
        "is_phone_verified": False,
        "role": "admin",
        "joined_at": membership_of(admin).created_at.isoformat().replace("+00:00", "Z"),
    }


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"role": "admin"}, ["Neema"]),
        ({"search": "jum"}, ["Juma"]),
        ({"search": "  JUMA   example.com "}, ["Juma"]),
        ({"search": "%"}, []),
        ({"search": "a", "role": "owner"}, ["Asha"]),
        ({"page": "2", "page_size": "2"}, ["Asha"]),
    ],
)
def test_people_are_found_by_words_and_role(owner, admin, juma, query, names):
    assert names_in(owner.client().get(USERS, query)) == names


@pytest.mark.parametrize("query", [{"role": "boss"}, {"q": "juma"}, {"page": "0"}])
def test_a_filter_that_cannot_be_is_refused(owner, query):
    assert code_of(owner.client().get(USERS, query)) == (400, "validation_error")


def test_me_is_myself_as_the_others_see_me(admin, juma):
    mine = admin.client().get(f"{USERS}me/").json()["data"]

    assert mine == juma.client().get(url(admin)).json()["data"]
    assert mine["id"] == str(admin.user.pk)


def test_registering_here_is_registering_there():
    client = APIClient(REMOTE_ADDR=fresh_address(), HTTP_ORIGIN="http://testserver")
    body = {"email": "new@example.com", "password": PASSWORD, "transport": "refresh_cookie"}

    response = client.post(USERS, body, format="json")

    assert response.status_code == 201
    assert response.json()["data"]["access"]
    assert response.cookies["refresh"]["path"] == "/api/v1/auth/"
    assert response.headers["Cache-Control"] == "no-store"
    assert client.post("/api/v1/auth/refresh/", {}, format="json").status_code == 200


def test_a_junk_token_does_not_disturb_registering():
    client = APIClient(REMOTE_ADDR=fresh_address())
    client.credentials(HTTP_AUTHORIZATION="Bearer junk")

    assert client.post(USERS, {"email": "n@example.com", "password": PASSWORD}, format="json").status_code == 201
    assert code_of(client.get(USERS)) == (401, "token_invalid")


def test_people_change_their_own_names_and_an_admin_changes_those_of_others(owner, admin, juma):
    assert juma.client().patch(url(juma), {"last_name": "Ali"}, format="json").status_code == 200
    response = admin.client().put(url(juma), {"first_name": "Jumaa", "role": "admin"}, format="json")

    assert response.json()["data"]["first_name"] == "Jumaa"
    assert response.json()["data"]["last_name"] == "Ali"
    assert response.json()["data"]["role"] == "admin"
    assert juma.client().get("/api/v1/auth/me/").json()["data"]["tenant"]["role"] == "admin"


def test_nobody_takes_over_an_account_from_here(owner, juma):
    before = dict(User.objects.values().get(pk=juma.user.pk))
    body = {"email": "evil@example.com", "phone": "+255712000000", "password": "nyingine-8", "is_staff": True}

    owner.client().patch(url(juma), body | {"is_active": False}, format="json")

    after = dict(User.objects.values().get(pk=juma.user.pk))
    assert {name for name in after if after[name] != before[name]} <= {"updated_at"}


def test_plain_members_change_and_remove_nobody_else(owner, admin, juma):
    for person in (owner, admin):
        for response in (
            juma.client().patch(url(person), {"first_name": "X"}, format="json"),
            juma.client().delete(url(person)),
        ):
            assert code_of(response) == (403, "admins_only")
    assert code_of(juma.client().patch(url(juma), {"role": "owner"}, format="json")) == (403, "admins_only")
    assert names_in(owner.client().get(USERS)) == ["Juma", "Neema", "Asha"]


def test_an_admin_touches_no_owner_and_makes_none(owner, admin, juma):
    client = admin.client()

    assert code_of(client.patch(url(owner), {"first_name": "X"}, format="json")) == (403, "owners_only")
    assert code_of(client.delete(url(owner))) == (403, "owners_only")
    assert code_of(client.patch(url(juma), {"role": "owner"}, format="json")) == (403, "owners_only")
    assert code_of(client.patch(url(admin), {"role": "owner"}, format="json")) == (403, "owners_only")


def test_a_refused_role_leaves_the_name_as_it_was(admin, juma):
    admin.client().patch(url(juma), {"first_name": "X", "role": "owner"}, format="json")

    assert juma.client().get(f"{USERS}me/").json()["data"]["first_name"] == "Juma"


def test_the_last_owner_stays_one(owner):
    response = owner.client().patch(url(owner), {"role": "member"}, format="json")

    assert code_of(response) == (422, "last_owner")


def test_who_is_removed_keeps_the_account_and_loses_the_tenant_at_once(admin, juma):
    assert admin.client().delete(url(juma)).status_code == 200

    assert code_of(juma.client().get(USERS)) == (403, "not_a_member")
    assert code_of(admin.client().get(url(juma))) == (404, "not_found")
    assert juma.client().get("/api/v1/auth/me/").json()["data"]["tenant"] is None


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_people_of_other_tenants_do_not_exist(owner, method):
    stranger, client = make_member(), owner.client()
    bodies = []
    for user_id in (stranger.user.pk, uuid.uuid4()):
        response = getattr(client, method)(f"{USERS}{user_id}/", {"first_name": "X"}, format="json")
        assert code_of(response) == (404, "not_found")
        bodies.append(response.content)

    assert bodies[0] == bodies[1]
