"""Proving oneself again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import AuthSession
from apps.accounts.services.sessions import refresh_session
from apps.accounts.services.step_up import ReauthenticationRequired, require_recent_authentication
from apps.accounts.tokens import Claims
from tests.factories.accounts import PASSWORD, Member, make_member

pytestmark = pytest.mark.django_db


@pytest.fixture
def member() -> Member:
    return make_member()


@pytest.fixture
def old_session(member) -> AuthSession:
    AuthSession.objects.update(authenticated_at=timezone.now() - timedelta(minutes=11))
    return AuthSession.objects.get()


def reauthenticate(member: Member, password: str):
    return member.client().post("/api/v1/auth/reauthenticate/", {"password": password}, format="json")


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
