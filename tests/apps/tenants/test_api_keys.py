"""Keys for machines: shown once, bound to a tenant and to scopes, dead when revoked."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from apps.accounts.services.accounts import create_operator
from apps.payments.models.payments import Payment
from apps.tenants.models import ApiKey, Tenant
from apps.tenants.services import api_keys
from core.tenancy import tenant_scope, tenant_transaction
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.payments import a_wish_to_pay, make_payment
from tests.factories.tenants import add_member, key_client, make_api_key, membership_of

pytestmark = pytest.mark.django_db

URL = "/api/v1/tenants/api-keys/"
PAYMENTS = "/api/v1/payments/"


def create(member: Member, **changes: object):
    return member.client().post(URL, {"name": "Zapier", "scopes": ["payments:read"]} | changes, format="json")


def start(client: APIClient, key: str = ""):
    return client.post(PAYMENTS, a_wish_to_pay(), format="json", headers={"Idempotency-Key": key or uuid.uuid4().hex})


def refusal(response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_a_new_key_is_shown_once_and_opens_its_tenant(member):
    payment = make_payment(member)

    created = create(member)

    assert created.status_code == 201
    assert created.headers["Cache-Control"] == "no-store"
    data = created.json()["data"]
    assert data["key"].startswith(f"{data['prefix']}_")
    assert [each["id"] for each in key_client(data["key"]).get(PAYMENTS).json()["data"]["results"]] == [str(payment.pk)]
    listed = member.client().get(URL)
    assert listed.json()["data"]["results"][0]["prefix"] == data["prefix"]
    secret = data["key"].rpartition("_")[2]
    stored = json.dumps(list(ApiKey.objects.values()), default=str)
    assert secret not in listed.content.decode() + stored
    assert ApiKey.objects.get().secret_hash not in listed.content.decode()


@pytest.mark.parametrize(
    "change",
    [{"scopes": []}, {"scopes": ["everything"]}, {"scopes": "payments:read"}, {"name": ""}, {"created_by": "me"}],
)
def test_a_bad_wish_makes_no_key(member, change):
    assert refusal(create(member, **change)) == (400, "validation_error")
    assert not ApiKey.objects.exists()


def test_a_key_that_has_expired_already_is_refused(member):
    response = create(member, expires_at="2020-01-01T00:00:00Z")

    assert refusal(response) == (422, "expiry_passed")
    assert not ApiKey.objects.exists()


def test_a_tenant_has_a_limited_number_of_live_keys(member, monkeypatch):
    monkeypatch.setattr(api_keys, "MAX_LIVE_KEYS", 2)
    keys = [create(member).json()["data"] for _ in range(2)]

    assert refusal(create(member)) == (422, "too_many_api_keys")
    member.client().delete(f"{URL}{keys[0]['id']}/")
    assert create(member).status_code == 201


def test_a_payment_started_by_a_key_is_started_by_whoever_made_the_key(member):
    admin = add_member(member, "admin")
    _key, text = make_api_key(admin)

    response = start(key_client(text))

    assert response.status_code == 201
    with tenant_scope(member.tenant_id), tenant_transaction():
        payment = Payment.objects.get()
    assert (payment.started_by_id, str(payment.pk)) == (admin.user.pk, response.json()["data"]["id"])


@pytest.mark.parametrize(("scope", "reading", "starting"), [("payments:read", 200, 403), ("payments:write", 403, 201)])
def test_a_key_does_what_its_scopes_say_and_no_more(member, scope, reading, starting):
    payment = make_payment(member)
    client = key_client(make_api_key(member, scope)[1])

    answers = [client.get(PAYMENTS), client.get(f"{PAYMENTS}{payment.pk}/"), client.head(PAYMENTS), start(client)]

    assert [each.status_code for each in answers] == [reading, reading, reading, starting]
    assert {each.json()["code"] for each in answers if each.status_code == 403 and each.content} == {"scope_missing"}
    with tenant_scope(member.tenant_id), tenant_transaction():
        assert Payment.objects.count() == (2 if starting == 201 else 1)


def test_a_key_opens_nothing_that_is_for_people(member):
    client = key_client(make_api_key(member)[1])

    answers = [
        client.get("/api/v1/auth/me/"),
        client.get("/api/v1/tenants/"),
        client.get("/api/v1/tenants/members/"),
        client.post(URL, {"name": "Another", "scopes": ["payments:read"]}, format="json"),
        client.post("/api/v1/auth/switch-tenant/", {"tenant": str(member.tenant_id)}, format="json"),
    ]

    assert {refusal(each) for each in answers} == {(403, "api_key_not_accepted")}
    assert ApiKey.objects.count() == 1


@pytest.mark.invariant("I56")
def test_a_key_sees_its_own_tenant_only(member, stranger):
    foreign = make_payment(stranger)
    client = key_client(make_api_key(member)[1])

    assert client.get(PAYMENTS).json()["data"]["results"] == []
    answers = [client.get(f"{PAYMENTS}{pk}/") for pk in (foreign.pk, uuid.uuid4())]
    assert [refusal(each) for each in answers] == [(404, "not_found")] * 2


def test_a_revoked_keys_next_request_is_refused(member):
    key, text = make_api_key(member)
    client = key_client(text)
    assert client.get(PAYMENTS).status_code == 200

    answers = [member.client().delete(f"{URL}{key.pk}/") for _ in range(2)]

    assert [each.status_code for each in answers] == [200, 200]
    assert refusal(client.get(PAYMENTS)) == (401, "api_key_invalid")
    assert client.get(PAYMENTS).headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
        lambda text: text[:3] + "0" * 12 + text[15:],
        lambda text: text.rpartition("_")[0] + "_",
        lambda text: text + "0",
        lambda text: text.upper(),
        lambda text: text.replace("fk_", "sk_"),
        lambda text: "\u0660" * 80,
        lambda _: "",
    ],
)
def test_an_altered_key_opens_nothing(member, spoil):
    _key, text = make_api_key(member)

    assert refusal(key_client(spoil(text)).get(PAYMENTS)) == (401, "api_key_invalid")
    assert ApiKey.objects.get().last_used_at is None


def test_a_key_dies_when_its_time_is_up(member):
    now = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        client = key_client(make_api_key(member, expires_at=now + timedelta(hours=1))[1])
        assert client.get(PAYMENTS).status_code == 200

    with time_machine.travel(now + timedelta(hours=1), tick=False):
        assert refusal(client.get(PAYMENTS)) == (401, "api_key_invalid")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("suspended", (403, "tenant_suspended")),
        ("removed", (403, "not_a_member")),
        ("deactivated", (401, "api_key_invalid")),
    ],
)
@pytest.mark.invariant("I45")
def test_a_key_is_worth_no_more_than_its_tenant_and_its_maker(member, change, expected):
    admin = add_member(member, "admin")
    client = key_client(make_api_key(admin)[1])
    assert client.get(PAYMENTS).status_code == 200

    if change == "suspended":
        Tenant.objects.filter(pk=member.tenant_id).update(suspended_at=timezone.now())
    elif change == "removed":
        member.client().delete(f"/api/v1/tenants/members/{membership_of(admin).pk}/")
    else:
        type(admin.user).objects.filter(pk=admin.user.pk).update(is_active=False)

    assert refusal(client.get(PAYMENTS)) == expected


def test_the_last_use_is_written_at_most_once_a_minute(member):
    client = key_client(make_api_key(member)[1])
    now = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    writes = []

    for seconds in (0, 30, 59, 61, 100):
        with (
            time_machine.travel(now + timedelta(seconds=seconds), tick=False),
            CaptureQueriesContext(connection) as asked,
        ):
            client.get(PAYMENTS)
        writes.append(any(each["sql"].startswith("UPDATE") for each in asked.captured_queries))

    assert writes == [True, False, False, True, False]
    assert ApiKey.objects.get().last_used_at == now + timedelta(seconds=61)


def test_plain_members_neither_see_nor_make_nor_revoke_keys(member):
    key, _text = make_api_key(member)
    person = add_member(member)

    answers = [person.client().get(URL), create(person), person.client().delete(f"{URL}{key.pk}/")]

    assert [refusal(each) for each in answers] == [(403, "admins_only")] * 3
    assert ApiKey.objects.get().revoked_at is None


def test_a_strangers_key_and_a_random_one_look_the_same(member, stranger):
    key, _text = make_api_key(member)

    answers = [stranger.client().delete(f"{URL}{pk}/") for pk in (key.pk, uuid.uuid4())]

    assert refusal(answers[0]) == (404, "not_found")
    assert answers[0].content == answers[1].content
    assert stranger.client().get(URL).json()["data"]["results"] == []
    assert ApiKey.objects.get().revoked_at is None


def test_staff_can_revoke_a_key_and_that_leaves_an_audit_line(member):
    key, text = make_api_key(member)
    client = APIClient()
    client.force_login(create_operator(email="operator@example.com", password=PASSWORD))

    shown = client.get(reverse("admin:tenants_apikey_change", args=[key.pk])).content.decode()
    wish = {"action": "revoke", "_selected_action": [str(key.pk)], "confirmed": "yes"}
    client.post(reverse("admin:tenants_apikey_changelist"), wish)

    assert key.secret_hash not in shown
    assert refusal(key_client(text).get(PAYMENTS)) == (401, "api_key_invalid")
    assert LogEntry.objects.get(object_id=str(key.pk)).change_message == "Revoked."


def test_the_same_idempotency_key_of_a_person_and_of_their_machine_is_one_request(member):
    text = make_api_key(member)[1]

    answers = [start(client, "k") for client in (member.client(), key_client(text))]

    assert answers[0].content == answers[1].content
    assert answers[1].headers["Idempotent-Replayed"] == "true"


def test_the_schema_names_keys_where_they_open_and_nowhere_else(db):
    schema = SchemaGenerator().get_schema(request=None, public=True)

    taking = {
        spec["operationId"]
        for methods in schema["paths"].values()
        for spec in methods.values()
        if any("apiKey" in each for each in spec.get("security", []))
    }

    assert taking == {
        "payments_list",
        "payments_start",
        "payments_get",
        "payments_cancel",
        "payments_retry",
        "payments_refund",
        "payments_refunds_list",
        "refunds_list",
        "refunds_get",
        "payouts_list",
        "payouts_request",
        "payouts_get",
        "payments_ledger",
        "payments_totals",
        "gateways_list",
        "messages_send",
        "messages_send_many",
        "messages_list",
        "messages_get",
        "messages_price",
        "messaging_spend",
    }
    assert schema["components"]["securitySchemes"]["apiKey"]["name"] == "Authorization"


@pytest.mark.invariant("I55")
def test_a_key_never_reaches_the_log(member, caplog):
    from core.logging import redact

    text = make_api_key(member)[1]
    key_client(text).get(PAYMENTS)

    assert text.rpartition("_")[2] not in caplog.text
    assert text.rpartition("_")[2] not in redact(f"Authorization: Api-Key {text}")


@pytest.mark.invariant("I60")
def test_somebody_elses_tenant_is_out_of_reach_whatever_a_machine_says(member):
    other = make_member()
    client = key_client(make_api_key(member)[1])
    make_payment(other)

    response = client.get(PAYMENTS, headers={"X-Tenant": str(other.tenant_id)})

    assert response.json()["data"]["results"] == []
