"""A session that has ended, a person who may no longer, a cookie without proof: asked of every operation there is."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import AuthSession, EmailLink, User, VerificationCode
from apps.accounts.services.codes import code_of
from apps.accounts.services.deletion import request_deletion
from apps.accounts.services.links import reset_password, token_of
from apps.accounts.services.passwords import change_password
from apps.accounts.services.phones import confirm_phone_change
from apps.accounts.services.sessions import end_all_sessions, end_session, end_session_of
from apps.accounts.tokens import read_access
from apps.tenants.models import Membership, Tenant
from core.tenancy import tenant_scope
from tests.contracts.schema import Operation, operations
from tests.contracts.sweep import right_request
from tests.contracts.test_routes import ask, made_up
from tests.contracts.world import undone
from tests.envelope import faults_in
from tests.factories.accounts import PASSWORD, Member, fresh_phone, make_member
from tests.factories.tenants import add_member
from tests.figures import RecordFigure

pytestmark = pytest.mark.django_db

SIGNED_IN = [operation for operation in operations() if not operation.is_public]
UNSAFE = [operation for operation in SIGNED_IN if not operation.is_read]
ORIGIN = "https://app.faraja.test"
NEW_PASSWORD = "chai-na-kahawa-8"


def session_of(member: Member) -> uuid.UUID:
    return read_access(member.tokens.access).session_id


def follow_a_reset_link(member: Member) -> None:
    link = EmailLink.objects.create(
        user=member.user,
        purpose=EmailLink.Purpose.RESET_PASSWORD,
        email=member.user.email,
        expires_at=timezone.now() + timedelta(hours=1),
    )
    reset_password(token=token_of(link), password=NEW_PASSWORD)


def change_phone(member: Member) -> None:
    code = VerificationCode.objects.create(
        user=member.user, purpose="change_phone", phone=fresh_phone(), expires_at=timezone.now() + timedelta(minutes=1)
    )
    with tenant_scope(member.tenant_id):
        session = AuthSession.objects.select_related("user").get(pk=session_of(member))
        confirm_phone_change(session=session, challenge=code.pk, guess=code_of(code))


# How a session ends while its tokens are still fresh, and by which invariant.
ENDINGS: dict[str, tuple[str, Callable[[Member], Any]]] = {
    "signed out": ("I43", lambda member: end_session(session_id=session_of(member))),
    "signed out everywhere": ("I43", lambda member: end_all_sessions(user_id=member.user.pk)),
    "ended from another device": (
        "I43",
        lambda member: end_session_of(user_id=member.user.pk, session_id=session_of(member)),
    ),
    "a new password": (
        "I44",
        lambda member: change_password(user=member.user, current_password=PASSWORD, new_password=NEW_PASSWORD),
    ),
    "a reset password": ("I44", follow_a_reset_link),
    "a new phone number": ("I44", change_phone),
}
# What may happen to a person or their tenant, with the answer to operations of a tenant and to the others.
FALLS: dict[str, tuple[Callable[[Member], Any], tuple[int, str], tuple[int, str] | None]] = {
    "deactivated": (
        lambda member: User.objects.filter(pk=member.user.pk).update(is_active=False),
        (401, "account_inactive"),
        (401, "account_inactive"),
    ),
    "leaving": (
        lambda member: request_deletion(session=AuthSession.objects.get(pk=session_of(member))),
        (401, "account_inactive"),
        (401, "account_inactive"),
    ),
    "suspended": (
        lambda member: Tenant.objects.filter(pk=member.tenant_id).update(suspended_at=timezone.now()),
        (403, "tenant_suspended"),
        None,
    ),
    "removed": (
        lambda member: Membership.objects.filter(tenant_id=member.tenant_id, user=member.user).delete(),
        (403, "not_a_member"),
        None,
    ),
}


def marked(cases: dict[str, Any]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.invariant(case[0]), id=name) for name, case in cases.items()]


def answer(operation: Operation, client: APIClient, body: Any = b"{}", **headers: str) -> tuple[Any, str]:
    """What a request that names no row is answered, and its code."""
    client.raise_request_exception = False
    path = operation.route.paths(made_up(operation.route))[0]
    headers = {"HTTP_IDEMPOTENCY_KEY": uuid.uuid4().hex} | headers
    with undone():
        response = ask(client, operation.method, path, body, **headers)
    assert faults_in(response) == [], (operation, response.content[:200])
    return response, json.loads(response.content).get("code", "")


@pytest.mark.parametrize("ending", marked(ENDINGS))
def test_no_operation_accepts_the_tokens_of_a_session_that_has_ended(member, ending, record_figure: RecordFigure):
    other = make_member()

    ENDINGS[ending][1](member)

    client, accepted = member.client(), []
    for operation in SIGNED_IN:
        response, code = answer(operation, client)
        if (response.status_code, code) != (401, "session_revoked"):
            accepted.append((str(operation), response.status_code, code))
    assert accepted == []
    refresh = APIClient().post("/api/v1/auth/refresh/", {"refresh": member.tokens.refresh}, format="json")
    assert refresh.json()["code"] == "session_revoked"
    assert other.client().get("/api/v1/auth/me/").status_code == 200
    record_figure(f"{ending}: {len(SIGNED_IN)} operations and refresh, 0 accepted")


@pytest.mark.invariant("I45")
@pytest.mark.parametrize("fall", FALLS)
def test_what_happens_to_a_person_acts_on_every_operations_next_request(member, fall, record_figure: RecordFigure):
    happen, of_tenants, of_persons = FALLS[fall]
    person = add_member(member)
    client, accepted = person.client(), []

    happen(person)

    for operation in SIGNED_IN:
        response, code = answer(operation, client)
        expected = of_tenants if "not_a_member" in operation.codes(403) else of_persons
        if expected is not None and (response.status_code, code) != expected:
            accepted.append((str(operation), response.status_code, code))
    assert accepted == []
    assert len([operation for operation in SIGNED_IN if "not_a_member" in operation.codes(403)]) >= 10
    record_figure(f"{fall}: {len(SIGNED_IN)} operations, 0 x 200 where there must be none, 0 x 500")


@pytest.mark.invariant("I46")
def test_no_operation_for_admins_obeys_a_token_from_before_the_demotion(member, record_figure: RecordFigure):
    for_admins = [operation for operation in SIGNED_IN if operation.codes(403) & {"admins_only", "owners_only"}]
    admin = add_member(member, "admin")
    requests = []
    for operation in for_admins:
        with undone():  # the rows that a path names are another thing; who may ask comes first
            requests.append((str(operation), right_request(operation, member)))
    Membership.objects.filter(tenant_id=member.tenant_id, user=admin.user).update(role="member")

    answers = [(name, request.by(admin).status_code) for name, request in requests]

    assert [(name, status) for name, status in answers if status != 403] == []
    assert len(for_admins) >= 8
    record_figure(f"{len(for_admins)} operations for admins, 0 stale")


# --- Cookies ---------------------------------------------------------------------------------------------------------

# What another page can send with the visitor's cookies; it knows everything but the proof.
FORGERIES: dict[str, dict[str, str]] = {
    "no proof at all": {},
    "our origin, no proof": {"HTTP_ORIGIN": ORIGIN},
    "a foreign origin with the proof": {"HTTP_ORIGIN": "https://evil.example", "proof": "right"},
    "an origin that looks like ours": {"HTTP_ORIGIN": f"{ORIGIN}.evil.example", "proof": "right"},
    "no origin with the proof": {"proof": "right"},
    "the null origin": {"HTTP_ORIGIN": "null", "proof": "right"},
    "a cross-site fetch": {"HTTP_ORIGIN": ORIGIN, "HTTP_SEC_FETCH_SITE": "cross-site", "proof": "right"},
    "somebody else's proof": {"HTTP_ORIGIN": ORIGIN, "proof": "foreign"},
    "an empty proof": {"HTTP_ORIGIN": ORIGIN, "HTTP_X_CSRF_TOKEN": ""},
    "a referer only": {"HTTP_REFERER": f"{ORIGIN}/pay"},
}
# A form can be sent across sites without asking first; these are its content types, and JSON disguised as one.
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "application/json")


def browser_of(member: Member) -> tuple[APIClient, str]:
    """A browser with all of its tokens in cookies, and its proof."""
    client = APIClient()
    body = {"email": member.user.email, "password": PASSWORD, "transport": "cookies"}
    response = client.post("/api/v1/auth/login/", body, format="json", headers={"Origin": ORIGIN})
    return client, response.json()["data"]["csrf_token"]


@pytest.mark.invariant("I50")
def test_no_unsafe_operation_obeys_a_cookie_without_proof(member, stranger, record_figure: RecordFigure):
    client, proof = browser_of(member)
    proofs = {"right": proof, "foreign": browser_of(stranger)[1]}
    passed = []

    for operation in UNSAFE:
        for name, forgery in FORGERIES.items():
            headers = {key: value for key, value in forgery.items() if key != "proof"}
            if "proof" in forgery:
                headers["HTTP_X_CSRF_TOKEN"] = proofs[forgery["proof"]]
            response, code = answer(operation, client, **headers)
            if (response.status_code, code) != (403, "csrf_failed") or response.cookies:
                passed.append((str(operation), name, response.status_code, code))

    assert passed == []
    record_figure(f"{len(UNSAFE)} unsafe operations x {len(FORGERIES)} forgeries, 0 passes")


@pytest.mark.invariant("I50")
def test_no_form_of_another_page_gets_past_the_cookie(member, record_figure: RecordFigure):
    client, _proof = browser_of(member)
    client.raise_request_exception = False
    passed = []

    for operation in UNSAFE:
        path = operation.route.paths(made_up(operation.route))[0]
        for content_type in FORMS:
            with undone():
                origin = {"HTTP_ORIGIN": "https://evil.example", "HTTP_SEC_FETCH_SITE": "cross-site"}
                response = ask(client, operation.method, path, b'{"x": "="}', content_type, **origin)
            if response.status_code != 403 or json.loads(response.content)["code"] != "csrf_failed":
                passed.append((str(operation), content_type, response.status_code))

    assert passed == []
    record_figure(f"{len(UNSAFE)} unsafe operations x {len(FORMS)} content types of forms, 0 passes")


@pytest.mark.invariant("I50")
def test_with_proof_the_cookie_and_without_a_cookie_the_bearer_are_obeyed(member):
    """The control: otherwise the refusals above might have another reason."""
    client, proof = browser_of(member)

    for operation in UNSAFE:
        ours = {"HTTP_ORIGIN": ORIGIN, "HTTP_SEC_FETCH_SITE": "same-site", "HTTP_X_CSRF_TOKEN": proof}
        assert answer(operation, client, **ours)[1] != "csrf_failed"
        assert answer(operation, member.client(), HTTP_ORIGIN="https://evil.example")[1] != "csrf_failed"
        beside = answer(operation, client, HTTP_AUTHORIZATION="Bearer nonsense", **ours)
        assert (beside[0].status_code, beside[1]) == (401, "token_invalid")
