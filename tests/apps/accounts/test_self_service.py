"""Passwords, e-mail links, profile and sessions, as a signed-in person uses them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import AuthSession, EmailLink, User
from apps.accounts.services.links import issue_reset_link, send_link, tell_email_changed, token_of
from apps.accounts.services.passwords import tell_password_changed
from apps.accounts.services.sessions import open_session
from apps.accounts.tasks import purge_sessions_task
from core.outbox.models import OutboxEvent
from tests.factories.accounts import PASSWORD, Member, make_member

pytestmark = pytest.mark.django_db

AUTH = "/api/v1/auth"
NEW_PASSWORD = "chai-na-kahawa-8"


def call(client: APIClient, path: str, body: dict | None = None, method: str = "post"):
    return getattr(client, method)(f"{AUTH}/{path}/", body or {}, format="json")


def signs_in(email: str, password: str) -> bool:
    return bool(call(APIClient(), "login", {"email": email, "password": password}).status_code == 200)


def deliver_mail() -> None:
    """What the worker does with the events of accounts."""
    for event in OutboxEvent.objects.filter(done_at=None).order_by("id"):
        if event.name == "account.reset_requested":
            issue_reset_link(**event.payload)
        elif event.name == "account.link_requested":
            send_link(**event.payload)
        elif event.name == "account.email_changed":
            tell_email_changed(**event.payload)
        elif event.name == "account.password_changed":
            tell_password_changed(**event.payload)
        OutboxEvent.objects.filter(pk=event.pk).update(done_at=datetime.now(UTC))


def mailed_token() -> str:
    deliver_mail()
    deliver_mail()  # the reset link is issued by the first event and sent by the second
    found = re.search(r"token=(\w+)", str(mail.outbox[-1].body))
    assert found
    return found.group(1)


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(datetime(2026, 3, 1, 9, 0, tzinfo=UTC), tick=False) as travelling:
        yield travelling


# --- Passwords ------------------------------------------------------------------------------------------------------


@pytest.mark.invariant("I44")
def test_a_changed_password_ends_every_session_and_opens_a_new_one(member, member_client):
    other = call(APIClient(), "login", {"email": member.user.email, "password": PASSWORD}).json()["data"]

    response = call(member_client, "change-password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD})

    assert response.status_code == 200
    fresh = response.json()["data"]
    for dead in (member.tokens.access, other["access"]):
        answer = APIClient().get(f"{AUTH}/me/", headers={"Authorization": f"Bearer {dead}"})
        assert answer.json()["code"] == "session_revoked"
    assert APIClient().get(f"{AUTH}/me/", headers={"Authorization": f"Bearer {fresh['access']}"}).status_code == 200
    assert signs_in(member.user.email, NEW_PASSWORD)
    assert not signs_in(member.user.email, PASSWORD)


def test_the_person_is_told_that_their_password_changed(member, member_client):
    call(member_client, "change-password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD})

    deliver_mail()

    assert [(each.to, each.subject) for each in mail.outbox] == [([member.user.email], "Your password was changed")]


@pytest.mark.parametrize(
    ("current", "new", "status", "field"),
    [
        ("wrong", NEW_PASSWORD, 422, "current_password"),
        (PASSWORD, "short", 400, "new_password"),
        (PASSWORD, "password", 400, "new_password"),
    ],
)
def test_a_refused_change_changes_nothing(member, member_client, current, new, status, field):
    response = call(member_client, "change-password", {"current_password": current, "new_password": new})

    assert response.status_code == status
    assert field in response.json()["errors"]
    assert signs_in(member.user.email, PASSWORD)
    assert member_client.get(f"{AUTH}/me/").status_code == 200


@pytest.mark.invariant("I44")
def test_a_reset_link_sets_a_new_password_and_ends_every_session(member, member_client):
    assert call(APIClient(), "reset-password", {"email": member.user.email.upper()}).status_code == 200

    response = call(APIClient(), "reset-password-confirm", {"token": mailed_token(), "password": NEW_PASSWORD})

    assert response.status_code == 200
    assert signs_in(member.user.email, NEW_PASSWORD)
    assert member_client.get(f"{AUTH}/me/").json()["code"] == "session_revoked"
    assert User.objects.get().is_email_verified  # whoever follows the link has the mailbox


@pytest.mark.invariant("I52")
def test_asking_for_a_reset_says_the_same_for_known_and_unknown_addresses(member):
    known = call(APIClient(), "reset-password", {"email": member.user.email})
    unknown = call(APIClient(), "reset-password", {"email": "nobody@example.com"})

    assert known.status_code == unknown.status_code == 200
    assert known.json() == unknown.json()
    deliver_mail()
    deliver_mail()
    assert [each.to for each in mail.outbox] == [[member.user.email]]


def test_a_link_works_once(member):
    call(APIClient(), "reset-password", {"email": member.user.email})
    token = mailed_token()
    call(APIClient(), "reset-password-confirm", {"token": token, "password": NEW_PASSWORD})

    again = call(APIClient(), "reset-password-confirm", {"token": token, "password": "another-password-9"})

    assert again.status_code == 422
    assert again.json()["code"] == "link_invalid"
    assert signs_in(member.user.email, NEW_PASSWORD)


def test_a_weak_password_does_not_use_up_the_link(member):
    call(APIClient(), "reset-password", {"email": member.user.email})
    token = mailed_token()

    assert call(APIClient(), "reset-password-confirm", {"token": token, "password": "short"}).status_code == 400
    assert call(APIClient(), "reset-password-confirm", {"token": token, "password": NEW_PASSWORD}).status_code == 200


def test_a_newer_link_replaces_the_older_one(member):
    call(APIClient(), "reset-password", {"email": member.user.email})
    older = mailed_token()
    call(APIClient(), "reset-password", {"email": member.user.email})
    newer = mailed_token()

    answers = [
        call(APIClient(), "reset-password-confirm", {"token": token, "password": NEW_PASSWORD}).status_code
        for token in (older, newer)
    ]

    assert answers == [422, 200]


def test_a_reset_link_is_good_for_half_an_hour(clock):
    member = make_member()
    call(APIClient(), "reset-password", {"email": member.user.email})
    token = mailed_token()
    clock.shift(timedelta(minutes=31))

    response = call(APIClient(), "reset-password-confirm", {"token": token, "password": NEW_PASSWORD})

    assert response.json()["code"] == "link_invalid"


@pytest.mark.parametrize("token", ["", "x", "0" * 64, "é" * 64, "f" * 200])
@pytest.mark.parametrize("path", ["reset-password-confirm", "verify-email"])
def test_a_made_up_token_opens_nothing(member, token, path):
    body = {"token": token} | ({"password": NEW_PASSWORD} if path.startswith("reset") else {})

    response = call(APIClient(), path, body)

    assert response.status_code in {400, 422}
    assert signs_in(member.user.email, PASSWORD)


def test_a_reset_ends_a_change_of_address_that_was_asked_for_before(member, member_client):
    """Who claimed the address first, without having it, must not move the account to another one afterwards."""
    call(member_client, "change-email", {"email": "mine@example.com", "password": PASSWORD})
    change = mailed_token()
    call(APIClient(), "reset-password", {"email": member.user.email})
    call(APIClient(), "reset-password-confirm", {"token": mailed_token(), "password": NEW_PASSWORD})

    assert call(APIClient(), "verify-email", {"token": change}).json()["code"] == "link_invalid"
    assert User.objects.get().email == member.user.email


def test_a_link_for_one_purpose_is_no_link_for_another(member):
    call(APIClient(), "reset-password", {"email": member.user.email})

    assert call(APIClient(), "verify-email", {"token": mailed_token()}).json()["code"] == "link_invalid"


@pytest.mark.invariant("I55")
def test_no_token_is_stored(member):
    call(APIClient(), "reset-password", {"email": member.user.email})
    token = mailed_token()

    stored = str(list(EmailLink.objects.values())) + str(list(OutboxEvent.objects.values()))

    assert token[32:] not in stored


# --- E-mail addresses -----------------------------------------------------------------------------------------------


def test_registration_sends_a_link_that_proves_the_address(client):
    data = call(client, "register", {"email": "asha@example.com", "password": PASSWORD}).json()["data"]
    assert data["user"]["is_email_verified"] is False

    assert call(client, "verify-email", {"token": mailed_token()}).status_code == 200

    assert mail.outbox[-1].to == ["asha@example.com"]
    assert User.objects.get().is_email_verified


def test_the_link_can_be_sent_again_until_it_was_used(member, member_client):
    call(member_client, "resend-verification")
    call(APIClient(), "verify-email", {"token": mailed_token()})
    before = len(mail.outbox)

    assert call(member_client, "resend-verification").status_code == 200
    deliver_mail()

    assert len(mail.outbox) == before


def test_a_new_address_moves_in_when_its_link_is_followed(member, member_client):
    wish = {"email": "New@example.com", "password": PASSWORD}
    assert call(member_client, "change-email", wish).status_code == 200
    token = mailed_token()
    assert mail.outbox[-1].to == ["new@example.com"]
    assert User.objects.get().email == member.user.email

    call(APIClient(), "verify-email", {"token": token})

    user = User.objects.get()
    assert user.email == "new@example.com"
    assert user.is_email_verified


def test_an_address_that_was_taken_meanwhile_stays_with_its_owner(member, member_client):
    call(member_client, "change-email", {"email": "new@example.com", "password": PASSWORD})
    token = mailed_token()
    owner = make_member(email="new@example.com").user
    User.objects.filter(pk=owner.pk).update(email_verified_at=timezone.now())

    response = call(APIClient(), "verify-email", {"token": token})

    assert response.json()["code"] == "link_invalid"
    assert User.objects.get(pk=member.user.pk).email == member.user.email


@pytest.mark.invariant("I44")
def test_a_new_address_ends_every_other_session_and_the_old_one_is_told(member, member_client):
    before = member.user.email
    open_session(user=member.user, transport="body")
    call(member_client, "change-email", {"email": "new@example.com", "password": PASSWORD})
    call(APIClient(), "verify-email", {"token": mailed_token()})
    deliver_mail()

    (live,) = AuthSession.objects.filter(revoked_at=None)
    assert member_client.get("/api/v1/auth/me/").json()["data"]["email"] == "new@example.com"
    assert list(AuthSession.objects.exclude(pk=live.pk).values_list("revoked_reason", flat=True)) == ["new_email"]
    assert (mail.outbox[-1].to, mail.outbox[-1].subject) == ([before], "Your e-mail address was changed")


def test_a_new_address_needs_the_password(member, member_client):
    response = call(member_client, "change-email", {"email": "new@example.com", "password": "wrong"})

    assert response.json()["code"] == "wrong_password"
    assert not EmailLink.objects.filter(purpose="change_email").exists()


def test_mails_speak_the_persons_language(member, member_client):
    call(member_client, "me", {"language": "sw"}, method="patch")

    call(APIClient(), "reset-password", {"email": member.user.email})
    mailed_token()

    assert mail.outbox[-1].subject == "Chagua nenosiri jipya"


# --- Profile and sessions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "method"), [("me", "patch"), ("update-profile", "put"), ("update-profile", "patch")])
def test_names_and_language_are_the_persons_own(member, member_client, path, method):
    response = call(member_client, path, {"first_name": "Neema", "language": "sw"}, method=method)

    data = response.json()["data"]
    assert response.status_code == 200
    assert (data["first_name"], data["language"]) == ("Neema", "sw")
    assert member_client.get(f"{AUTH}/me/").json()["data"] == data


@pytest.mark.parametrize("field", ["email", "is_staff", "is_active", "id", "phone", "email_verified_at"])
def test_nothing_else_is_changed_this_way(member, member_client, field):
    response = call(member_client, "me", {field: "x"}, method="patch")

    assert response.status_code == 400
    assert field in response.json()["errors"]


@pytest.mark.invariant("I43")
def test_a_person_sees_their_sessions_and_ends_one(member, member_client):
    other = call(APIClient(), "login", {"email": member.user.email, "password": PASSWORD}).json()["data"]
    sessions = member_client.get(f"{AUTH}/sessions/").json()["data"]
    assert [each["is_current"] for each in sessions].count(True) == 1
    target = next(each["id"] for each in sessions if not each["is_current"])

    assert member_client.delete(f"{AUTH}/sessions/{target}/").status_code == 200

    dead = APIClient().get(f"{AUTH}/me/", headers={"Authorization": f"Bearer {other['access']}"})
    assert dead.json()["code"] == "session_revoked"
    assert len(member_client.get(f"{AUTH}/sessions/").json()["data"]) == 1


def test_somebody_elses_session_is_not_found(member: Member, stranger: Member):
    foreign = AuthSession.objects.get(user=stranger.user)

    response = member.client().delete(f"{AUTH}/sessions/{foreign.pk}/")

    assert response.status_code == 404
    foreign.refresh_from_db()
    assert foreign.revoked_at is None


@pytest.mark.invariant("I43")
def test_signing_out_everywhere_ends_every_session(member, member_client):
    other = call(APIClient(), "login", {"email": member.user.email, "password": PASSWORD}).json()["data"]

    assert call(member_client, "logout-all").status_code == 200

    assert member_client.get(f"{AUTH}/me/").json()["code"] == "session_revoked"
    assert call(APIClient(), "refresh", {"refresh": other["refresh"]}).json()["code"] == "session_revoked"


def test_the_twenty_first_session_ends_the_oldest(member):
    for _ in range(20):
        call(APIClient(), "login", {"email": member.user.email, "password": PASSWORD})

    assert AuthSession.objects.filter(revoked_at=None).count() == 20
    assert member.client().get(f"{AUTH}/me/").json()["code"] == "session_revoked"


def test_the_links_token_is_a_function_of_its_row(member):
    call(APIClient(), "reset-password", {"email": member.user.email})

    token = mailed_token()

    assert token_of(EmailLink.objects.get(purpose="reset_password")) == token


@pytest.mark.invariant("I54")
def test_housekeeping_forgets_only_what_can_never_be_used_again(member):
    kept = AuthSession.objects.get()
    old = open_session(user=member.user, transport="body")[0].session
    AuthSession.objects.filter(pk=old.pk).update(absolute_expires_at=datetime.now(UTC) - timedelta(minutes=1))
    fresh, ancient = (
        EmailLink.objects.create(
            user=member.user, purpose="verify_email", email="a@example.com", expires_at=datetime.now(UTC) - age
        )
        for age in (timedelta(days=29), timedelta(days=31))
    )

    purge_sessions_task()

    assert list(AuthSession.objects.values_list("pk", flat=True)) == [kept.pk]
    links = set(EmailLink.objects.values_list("pk", flat=True))
    assert fresh.pk in links
    assert ancient.pk not in links
