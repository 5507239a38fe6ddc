"""Proving oneself again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import AuthSession, EmailLink, User
from apps.accounts.services.sessions import refresh_session
from apps.accounts.services.step_up import ReauthenticationRequired, require_recent_authentication
from apps.accounts.tokens import Claims
from apps.tenants.models import ApiKey, Membership
from tests.envelope import refusal_of
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.factors import with_second_factor
from tests.factories.tenants import add_member, membership_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def member(clock: object) -> Member:
    return make_member()


@pytest.fixture
def old_session(member) -> AuthSession:
    grow_old()
    return AuthSession.objects.get()


def grow_old() -> None:
    AuthSession.objects.update(authenticated_at=timezone.now() - timedelta(minutes=11))


def reauthenticate(member: Member, password: str = "", **proof: str):
    body = {"password": password} if password else proof
    return member.client().post("/api/v1/auth/reauthenticate/", body, format="json")


def test_a_fresh_login_is_proof_enough(member):
    require_recent_authentication(AuthSession.objects.get())


def test_after_ten_minutes_a_session_has_to_prove_itself_again(member, old_session):
    with pytest.raises(ReauthenticationRequired):
        require_recent_authentication(old_session)

    assert reauthenticate(member, PASSWORD).status_code == 200
    require_recent_authentication(AuthSession.objects.get())


def test_a_wrong_password_proves_nothing(member, old_session):
    response = reauthenticate(member, "si-hiyo-kabisa-1")

    assert (response.status_code, response.json()["code"]) == (422, "wrong_password")
    with pytest.raises(ReauthenticationRequired):
        require_recent_authentication(AuthSession.objects.get())


def test_a_refresh_is_no_proof(old_session):
    refresh_session(claims=Claims(old_session.pk, old_session.user_id, old_session.generation))

    assert AuthSession.objects.get().authenticated_at == old_session.authenticated_at


def test_who_has_no_second_factor_has_no_code(member, old_session):
    assert refusal_of(reauthenticate(member, code="123456")) == (422, "mfa_not_enabled")
    assert refusal_of(reauthenticate(member, recovery_code="12345678")) == (422, "mfa_not_enabled")


def test_one_proof_is_asked_for_not_none_and_not_two(member):
    assert refusal_of(reauthenticate(member)) == (400, "validation_error")
    assert refusal_of(reauthenticate(member, password="", code="1", recovery_code="2")) == (400, "validation_error")


def test_with_a_second_factor_a_code_is_the_proof_and_the_password_is_none(member):
    member, phone = with_second_factor(member)
    grow_old()

    assert refusal_of(reauthenticate(member, PASSWORD)) == (422, "mfa_code_required")
    assert refusal_of(reauthenticate(member, code=phone.wrong_code())) == (422, "mfa_code_invalid")
    refused = member.client().delete("/api/v1/auth/mfa/totp/")
    assert refusal_of(refused) == (403, "reauthentication_required")
    assert refused.json()["data"] == {"methods": ["code", "recovery_code"]}

    assert reauthenticate(member, code=phone.code()).status_code == 200
    assert AuthSession.objects.get(user=member.user, revoked_at=None).methods == ["otp"]
    grow_old()
    assert reauthenticate(member, recovery_code=phone.recovery_codes[0]).status_code == 200
    assert refusal_of(reauthenticate(member, recovery_code=phone.recovery_codes[0])) == (422, "mfa_code_invalid")
    assert member.client().delete("/api/v1/auth/mfa/totp/").status_code == 200


def test_who_has_neither_password_nor_factor_is_told_to_sign_in_again(member, old_session):
    user = User.objects.get(pk=member.user.pk)
    user.set_unusable_password()
    user.save()

    response = member.client().post("/api/v1/auth/mfa/totp/")

    assert refusal_of(response) == (403, "reauthentication_required")
    assert response.json()["data"] == {"methods": []}
    assert refusal_of(reauthenticate(member, PASSWORD)) == (422, "wrong_password")


def test_what_a_stolen_token_must_not_be_able_to_do(member):
    heir = membership_of(add_member(member))
    grow_old()
    client = member.client()
    closed_list = [
        ("post", "auth/mfa/totp/", {}),
        ("post", "auth/mfa/totp/confirm/", {"code": "123456"}),
        ("delete", "auth/mfa/totp/", {}),
        ("post", "auth/mfa/recovery-codes/", {}),
        ("post", "auth/change-email/", {"email": "mwizi@example.com"}),
        ("post", "tenants/api-keys/", {"name": "Zapier", "scopes": ["payments:read"]}),
        ("post", "tenants/transfer-ownership/", {"member": str(heir.pk)}),
    ]

    for method, path, body in closed_list:
        refused = getattr(client, method)(f"/api/v1/{path}", body, format="json")
        assert refusal_of(refused) == (403, "reauthentication_required"), path
        assert refused.json()["data"] == {"methods": ["password"]}
    assert not EmailLink.objects.filter(purpose="change_email").exists()
    assert not ApiKey.objects.exists()
    assert Membership.objects.get(pk=heir.pk).role == "member"

    assert reauthenticate(member, PASSWORD).status_code == 200
    for method, path, body in closed_list[-3:]:
        done = getattr(client, method)(f"/api/v1/{path}", body, format="json")
        assert done.status_code in {200, 201}, (path, done.json())


def test_the_password_in_the_request_is_proof_of_its_own_without_a_second_factor(member):
    grow_old()
    body = {"email": "asha.juma@example.com", "password": PASSWORD}

    assert member.client().post("/api/v1/auth/change-email/", body, format="json").status_code == 200

    member, _phone = with_second_factor(member)
    assert member.client().post("/api/v1/auth/change-email/", body, format="json").status_code == 200
    grow_old()
    refused = member.client().post("/api/v1/auth/change-email/", body, format="json")
    assert refusal_of(refused) == (403, "reauthentication_required")
    wrong = member.client().post("/api/v1/auth/change-email/", body | {"password": "si-hiyo-1"}, format="json")
    assert refusal_of(wrong) == (422, "wrong_password")
