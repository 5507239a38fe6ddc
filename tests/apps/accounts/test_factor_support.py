"""Around second factors: the admin's door, lost phones, keys, notices, and what lies in the database."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from io import StringIO

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.core import mail
from django.core.management import CommandError, call_command
from django.core.serializers import serialize
from django.test import Client

from apps.accounts.management.commands import mfa as command
from apps.accounts.models import AuthSession, TotpSetup, User
from apps.accounts.services.accounts import create_operator
from apps.accounts.services.factors import offer_totp, reset_factors
from apps.accounts.tasks import tell_factors_changed_task
from config.settings import base
from core.audit.actions import Action
from core.audit.models import AuditEntry
from core.boot import weaknesses
from core.checks import check_admin_needs_second_factor
from core.logging import JsonFormatter
from tests.core.test_boot import STRONG
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.factors import Phone, enable_with_the_code_before, phone_being_set_up, with_second_factor
from tests.limits import fresh_address

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

LOGIN = "/admin/login/"


@pytest.fixture
def operator(clock: object) -> User:
    return create_operator(email=f"{fresh_address()}@example.com", password=PASSWORD)


def give_factor(user: User) -> Phone:
    secret = offer_totp(user=user).secret
    return Phone(secret, enable_with_the_code_before(user_id=user.pk, secret=secret))


def sign_in(user: User, code: str = "", browser: Client | None = None):
    body = {"username": user.email, "password": PASSWORD, "code": code, "next": "/admin/"}
    return (browser or Client(REMOTE_ADDR=fresh_address())).post(LOGIN, body)


def run(*args: str) -> str:
    out = StringIO()
    call_command("mfa", *args, stdout=out)
    return out.getvalue()


# --- The admin -------------------------------------------------------------------------------------------------------


def test_an_operator_with_a_factor_gives_a_code_and_each_code_once(operator):
    assert sign_in(operator).status_code == 302
    phone = give_factor(operator)

    for code in ("", phone.wrong_code(), "12", "x", "12345678"):
        page = sign_in(operator, code)
        assert page.status_code == 200, code
        assert "_auth_user_id" not in page.client.session
    assert sign_in(operator, phone.code()).status_code == 302
    assert sign_in(operator, phone.code()).status_code == 200
    assert sign_in(operator, phone.recovery_codes[0]).status_code == 302
    assert sign_in(operator, phone.recovery_codes[0]).status_code == 200


def test_the_admins_page_has_one_form_with_room_for_the_code():
    page = Client().get(LOGIN).content.decode()

    form = page.partition('id="login-form"')[2].partition("</form>")[0]
    for name in ("csrfmiddlewaretoken", "username", "password", "code"):
        assert f'name="{name}"' in form
    assert 'autocomplete="one-time-code"' in form


def test_a_wrong_password_is_told_alike_whatever_the_code(operator):
    phone = give_factor(operator)
    browser = Client(REMOTE_ADDR=fresh_address())
    body = {"username": operator.email, "password": "si-hiyo-kabisa-1"}

    pages = [browser.post(LOGIN, body | {"code": code}).content.decode() for code in ("", phone.code())]

    assert all("correct" in page for page in pages)
    assert sign_in(operator, phone.code()).status_code == 302, "a code is looked at after the password only"


def test_codes_at_the_admin_are_counted_with_those_of_the_api(operator, settings):
    settings.RATE_LIMITS = base.RATE_LIMITS | {"mfa_account": (3, timedelta(hours=1))}
    phone = give_factor(operator)
    for _ in range(3):
        sign_in(operator, phone.wrong_code())

    assert "Too many requests" in sign_in(operator, phone.code()).content.decode()


def test_where_a_factor_is_demanded_nobody_works_without_one(operator, settings):
    before = Client()
    sign_in(operator, browser=before)
    assert before.get("/admin/").status_code == 200
    settings.ADMIN_REQUIRES_MFA = True

    assert before.get("/admin/").status_code == 302
    assert sign_in(operator).status_code == 200
    phone = give_factor(operator)
    after = Client()
    assert sign_in(operator, phone.code(), browser=after).status_code == 302
    assert after.get("/admin/").status_code == 200


@pytest.mark.invariant("I44")
def test_a_change_of_factors_ends_the_admins_sessions_too(operator):
    browser = Client()
    sign_in(operator, browser=browser)
    assert browser.get("/admin/").status_code == 200

    phone = give_factor(operator)

    assert browser.get("/admin/").status_code == 302
    sign_in(operator, phone.code(), browser=browser)
    assert browser.get("/admin/").status_code == 200
    reset_factors(user_id=operator.pk)
    assert browser.get("/admin/").status_code == 302


def remove_by_action(browser: Client, person: User):
    body = {"action": "remove_factor", "_selected_action": [str(person.pk)], "confirmed": "yes"}
    return browser.post("/admin/accounts/user/", body)


def test_superusers_remove_the_factor_of_somebody_who_lost_their_phone(operator):
    member, _phone = with_second_factor(make_member())
    browser = Client()
    sign_in(operator, browser=browser)

    assert remove_by_action(browser, member.user).status_code == 302

    assert not Authenticator.objects.exists()
    assert not AuthSession.objects.filter(user=member.user, revoked_at=None).exists()
    line = AuditEntry.objects.get(action=Action.MFA_REMOVED)
    assert (line.actor_id, line.target_id) == (operator.pk, str(member.user.pk))


def test_other_staff_do_not(operator):
    member, _phone = with_second_factor(make_member())
    clerk = User.objects.create_user(f"{fresh_address()}@example.com", PASSWORD, is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    browser = Client()
    sign_in(clerk, browser=browser)
    assert "remove_factor" not in browser.get("/admin/accounts/user/").content.decode()

    remove_by_action(browser, member.user)

    assert Authenticator.objects.count() == 2


def test_the_admin_shows_nobodys_secrets():
    registered = set(admin.site._registry)

    assert not {Authenticator, EmailAddress, TotpSetup} & registered


# --- The command -----------------------------------------------------------------------------------------------------


def test_the_command_sets_a_factor_up_by_typing(operator, monkeypatch):
    offer = offer_totp(user=operator)
    phone = Phone(offer.secret)
    monkeypatch.setattr(command, "offer_totp", lambda user: offer)
    typed = iter(["nonsense", phone.wrong_code(), phone.code(), phone.code(1)])
    monkeypatch.setattr("builtins.input", lambda _question: next(typed))

    told = run("set-up", operator.email)

    assert offer.secret in told
    assert len(told.partition("shown this once:\n")[2].split()) == 10
    assert run("status", operator.email) == f"{operator.email}: on, 10 recovery codes left\n"
    with pytest.raises(CommandError, match="Remove it first"):
        run("set-up", operator.email)


def test_the_command_gives_up_after_three_wrong_codes(operator, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _question: "000")

    with pytest.raises(CommandError, match="Nothing was changed"):
        run("set-up", operator.email)
    assert not Authenticator.objects.exists()


def test_the_command_removes_the_factor_of_who_has_lost_it_deactivated_or_not():
    member, _phone = with_second_factor(make_member())
    User.objects.update(is_active=False)

    assert run("reset", member.user.email) == "Second factor removed; every session ended.\n"
    assert run("reset", member.user.email) == "There was no second factor.\n"
    assert run("status", member.user.email) == f"{member.user.email}: off\n"
    with pytest.raises(CommandError, match="Nobody"):
        run("reset", "nobody@example.com")


def test_keys_change_without_anybody_noticing(settings):
    member, phone = with_second_factor(make_member())
    settings.ENCRYPTION_KEYS = ["k" * 40]

    assert run("reseal") == "2 rows are encrypted under the newest key.\n"

    settings.SECRET_KEY = "another secret key of this installation"
    answer = prove(member, code=phone.code())
    assert answer.status_code == 200
    assert prove(member, recovery_code=phone.recovery_codes[0]).status_code == 200


def test_a_key_removed_too_early_is_an_outage_and_not_an_error(settings):
    member, phone = with_second_factor(make_member())
    settings.SECRET_KEY = "another secret key of this installation"

    answer = prove(member, code=phone.code())

    assert (answer.status_code, answer.json()["code"]) == (503, "temporarily_unavailable")
    with pytest.raises(CommandError, match="ENCRYPTION_KEYS"):
        run("reseal")


def prove(member: Member, **proof: str):
    return member.client().post("/api/v1/auth/reauthenticate/", proof, format="json")


# --- What is kept, and what is told ----------------------------------------------------------------------------------


@pytest.mark.invariant("I55")
def test_neither_secrets_nor_codes_lie_in_the_database_or_the_log(caplog):
    with caplog.at_level(logging.DEBUG):
        pending = phone_being_set_up(make_member())
        member, phone = with_second_factor(make_member())
        prove(member, code=phone.code())
        prove(member, recovery_code=phone.recovery_codes[0])
        prove(member, recovery_code=phone.recovery_codes[1][:-1] + "x")

    rows = serialize("json", [*Authenticator.objects.all(), *TotpSetup.objects.all(), *AuthSession.objects.all()])
    log = "\n".join(JsonFormatter().format(record) for record in caplog.records)
    plain = [code.replace("-", "") for code in phone.recovery_codes]
    for secret in (pending.secret, phone.secret, phone.code(), *phone.recovery_codes, *plain):
        assert secret not in rows
        assert secret not in log
    assert {row["model"] for row in json.loads(rows)} >= {"mfa.authenticator", "accounts.totpsetup"}


def test_every_change_leaves_an_audit_line_of_its_person():
    member = make_member()
    client = member.client()
    phone = Phone(client.post("/api/v1/auth/mfa/totp/").json()["data"]["secret"])
    for path, body in (("totp/confirm/", {"code": phone.code()}), ("recovery-codes/", {})):
        data = client.post(f"/api/v1/auth/mfa/{path}", body, format="json").json()["data"]
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {data['access']}")
    client.post("/api/v1/auth/reauthenticate/", {"recovery_code": data["recovery_codes"][0]}, format="json")
    client.delete("/api/v1/auth/mfa/totp/")

    lines = list(AuditEntry.objects.filter(action__startswith="mfa.").order_by("at"))
    told = ["mfa.enabled", "mfa.recovery_codes_made", "mfa.recovery_code_used", "mfa.disabled"]
    assert [line.action for line in lines] == told
    assert {(line.actor_id, line.actor_kind) for line in lines} == {(member.user.pk, "person")}


@pytest.mark.parametrize("language", ["en", "sw"])
@pytest.mark.parametrize("change", ["enabled", "disabled", "reset", "recovery_codes", "recovery_code_used"])
def test_every_change_is_told_by_mail_in_the_persons_language(change, language):
    member, _phone = with_second_factor(make_member())
    User.objects.filter(pk=member.user.pk).update(language=language)

    tell_factors_changed_task(user_id=str(member.user.pk), change=change)

    (message,) = mail.outbox
    assert message.to == [member.user.email]
    assert ("contact us" in message.body) == (language == "en")
    assert message.subject
    assert change != "recovery_code_used" or "10" in message.body


# --- Settings --------------------------------------------------------------------------------------------------------


def test_a_deployment_whose_admin_asks_for_a_password_alone_is_warned(settings):
    settings.ADMIN_REQUIRES_MFA = False
    (warning,) = check_admin_needs_second_factor()
    assert "ADMIN_REQUIRES_MFA" in str(warning.hint)

    settings.ADMIN_REQUIRES_MFA = True
    assert check_admin_needs_second_factor() == []


def test_weak_encryption_keys_are_refused_at_start(monkeypatch):
    monkeypatch.setenv("EMAIL_URL", "smtp+tls://user:password@mail.example.org:587")
    strong = "mGf8Zt1nq0rVbX5yK3sW7cJ2hD9aPeLu4iOxQ6wT+zR="
    named = list(weaknesses(STRONG | {"ENCRYPTION_KEYS": [strong, "short", STRONG["SECRET_KEY"]]}))

    assert list(weaknesses(STRONG | {"ENCRYPTION_KEYS": [strong]})) == []
    assert [told.partition(" in place ")[2][0] for told in named] == ["2", "3"]
    assert all("ENCRYPTION_KEYS" in told for told in named)
