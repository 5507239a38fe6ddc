"""What operators do about people and sessions: who may, what happens at once, and which line stays."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import openpyxl
import pytest
from django.conf import settings
from django.core import signing
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import AuthSession, EmailLink, User
from apps.accounts.services.links import issue_reset_link, request_email_change, reset_password, token_of, verify_email
from apps.accounts.services.sessions import open_session, refresh_session
from apps.accounts.tokens import read_refresh
from apps.tenants.models import Membership
from core.audit.actions import Action
from core.audit.models import AuditEntry
from core.exceptions import DomainError, NotPermitted
from core.exports import safe_cell
from core.outbox.models import OutboxEvent
from tests.envelope import refusal_of
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.operators import act, browser_of, lines, list_page, make_operator

NEW_PASSWORD = "chai-na-kahawa-8"
ME = "/api/v1/auth/me/"
MANAGES = ("accounts.view_user", "accounts.change_user", "accounts.add_user")
IMPORT, PROCESS = "/admin/accounts/user/import/", "/admin/accounts/user/process_import/"
EXPORT = "/admin/accounts/user/export/"


@pytest.fixture
def operator(db: None) -> User:
    """Staff who manage people, and are no superuser."""
    return make_operator(*MANAGES)


@pytest.fixture
def browser(operator: User) -> Client:
    return browser_of(operator)


@pytest.fixture
def superuser(db: None) -> User:
    return make_operator(is_superuser=True)


def page_of(person: User) -> str:
    return reverse("admin:accounts_user_change", args=[person.pk])


def form_of(person: User, **changes: Any) -> dict[str, Any]:
    """What the page of a person sends back, without its inlines' rows."""
    told = {name: getattr(person, name) for name in ("email", "first_name", "last_name", "phone", "language")}
    inline = {f"sessions-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")}
    return told | inline | changes


# --- The lines of what people do themselves --------------------------------------------------------------------------


def test_a_changed_password_leaves_a_line(member):
    member.client().post(
        "/api/v1/auth/change-password/",
        {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
        format="json",
        HTTP_X_REQUEST_ID="request-9",
    )

    (line,) = lines(Action.PASSWORD_CHANGED)
    assert (line.actor_email, line.actor_kind, line.target_id) == (member.user.email, "person", str(member.user.pk))
    assert (line.request_id, line.tenant_id) == ("request-9", None)
    assert len(line.client_key) == 32
    assert NEW_PASSWORD not in str(vars(line))


def test_a_refused_change_leaves_no_line(member):
    wrong = {"current_password": "wrong", "new_password": NEW_PASSWORD}
    member.client().post("/api/v1/auth/change-password/", wrong, format="json")

    assert not AuditEntry.objects.exists()


def test_a_reset_password_leaves_a_line(member):
    issue_reset_link(email=member.user.email)
    token = token_of(EmailLink.objects.get(purpose="reset_password"))

    reset_password(token=token, password=NEW_PASSWORD)

    (line,) = lines(Action.PASSWORD_RESET)
    assert (line.actor_id, line.target_label) == (member.user.pk, member.user.email)
    assert token not in str(vars(line))


def test_a_changed_address_is_told_with_the_old_and_the_new_one(member):
    before = member.user.email
    request_email_change(session=AuthSession.objects.get(), email="moved@example.com", password=PASSWORD)

    verify_email(token=token_of(EmailLink.objects.get(purpose="change_email")))

    assert lines(Action.EMAIL_CHANGED)[0].data == {"from": before, "to": "moved@example.com"}


def test_proving_an_address_is_no_change_of_it(member):
    verify_email(token=token_of(EmailLink.objects.get(purpose="verify_email")))

    assert not AuditEntry.objects.exists()


def test_signing_out_everywhere_leaves_a_line(member):
    member.client().post("/api/v1/auth/logout-all/")

    assert [line.actor_email for line in lines(Action.SESSIONS_ENDED)] == [member.user.email]


def test_a_replayed_token_is_told_by_the_system(member):
    claims = read_refresh(member.tokens.refresh)
    refresh_session(claims=claims)
    refresh_session(claims=read_refresh(refresh_session(claims=claims)[1].refresh))
    AuthSession.objects.update(rotated_at=timezone.now() - settings.AUTH_REFRESH_GRACE * 2)

    with pytest.raises(DomainError):
        refresh_session(claims=claims)

    (line,) = lines(Action.SESSION_REUSED)
    assert (line.actor_kind, line.actor_id, line.target_label) == ("system", None, member.user.email)
    assert line.data["session"] == str(AuthSession.objects.get().pk)


# --- Signing in to the admin, and an operator's own password ---------------------------------------------------------


def test_signing_in_to_the_admin_leaves_a_line_and_a_wrong_password_none(superuser):
    browser = Client()

    for password in ("wrong", "mlango-wa-nyuma-3"):
        browser.post("/admin/login/", {"username": superuser.email, "password": password})

    (line,) = lines(Action.ADMIN_SIGNED_IN)
    assert (line.actor_email, line.actor_kind) == (superuser.email, "staff")
    assert len(line.client_key) == 32


def test_an_operators_new_password_ends_their_sessions_and_leaves_a_line(superuser):
    open_session(user=superuser, transport="body")
    browser = browser_of(superuser)
    wish = {"old_password": "mlango-wa-nyuma-3", "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}

    answer = browser.post("/admin/password_change/", wish)

    superuser.refresh_from_db()
    assert answer.status_code == 302
    assert superuser.check_password(NEW_PASSWORD)
    assert AuthSession.objects.get().revoked_reason == "new_password"
    assert [line.actor_kind for line in lines(Action.PASSWORD_CHANGED)] == ["staff"]
    assert browser.get("/admin/").status_code == 200


# --- Actions on people -----------------------------------------------------------------------------------------------


def test_deactivating_acts_on_the_next_request_and_leaves_the_reason(browser, operator, member):
    answer = act(browser, "accounts.user", "deactivate", member.user, reason="asked by phone")

    assert answer.status_code == 302
    assert refusal_of(member.client().get(ME)) == (401, "account_inactive")
    assert AuthSession.objects.get(user=member.user).revoked_reason == "deactivated"
    (line,) = lines(Action.ACCOUNT_DEACTIVATED)
    assert (line.actor_id, line.actor_kind, line.target_id) == (operator.pk, "staff", str(member.user.pk))
    assert line.data == {"reason": "asked by phone", "sessions": 1}


def test_without_a_reason_nobody_is_deactivated(browser, member):
    answer = act(browser, "accounts.user", "deactivate", member.user, reason="")

    assert answer.status_code == 200
    assert member.client().get(ME).status_code == 200
    assert not lines(Action.ACCOUNT_DEACTIVATED)


def test_following_a_link_does_nothing(browser, member):
    for name in ("deactivate", "reactivate", "end_sessions", "send_reset"):
        path = reverse(f"admin:accounts_user_{name}_one", args=[member.user.pk])
        assert browser.get(path, {"confirmed": "yes", "reason": "x"}).status_code == 200

    assert member.client().get(ME).status_code == 200
    assert not AuditEntry.objects.exclude(action=Action.ADMIN_SIGNED_IN).exists()


def test_a_reactivated_person_signs_in_again_and_old_sessions_stay_ended(browser, member):
    act(browser, "accounts.user", "deactivate", member.user)

    act(browser, "accounts.user", "reactivate", member.user)
    act(browser, "accounts.user", "reactivate", member.user)

    assert refusal_of(member.client().get(ME)) == (401, "session_revoked")
    login = {"email": member.user.email, "password": PASSWORD}
    assert Member.client(member).post("/api/v1/auth/login/", login, format="json").status_code == 200
    assert len(lines(Action.ACCOUNT_REACTIVATED)) == 1


def test_ending_all_sessions_signs_out_and_leaves_one_line(browser, member):
    for _ in range(2):
        act(browser, "accounts.user", "end_sessions", member.user)

    assert refusal_of(member.client().get(ME)) == (401, "session_revoked")
    assert [line.data for line in lines(Action.SESSIONS_ENDED)] == [{"sessions": 1}]


def test_a_reset_link_is_sent_by_the_use_case(browser, member):
    act(browser, "accounts.user", "send_reset", member.user)

    link = EmailLink.objects.get(purpose="reset_password")
    assert link.user_id == member.user.pk
    assert OutboxEvent.objects.filter(name="account.link_requested").exists()
    assert len(lines(Action.PASSWORD_RESET_SENT)) == 1
    assert token_of(link) not in str(vars(lines(Action.PASSWORD_RESET_SENT)[0]))


@pytest.mark.parametrize("action", ["deactivate", "reactivate", "end_sessions", "send_reset"])
@pytest.mark.parametrize("target", ["a superuser", "other staff"])
def test_staff_are_not_touched_by_staff(browser, action, target):
    person = make_operator(is_superuser=target == "a superuser")
    open_session(user=person, transport="body")
    User.objects.filter(pk=person.pk).update(is_active=action != "reactivate")

    answer = browser.post(
        list_page("accounts.user"),
        {"action": action, "_selected_action": [str(person.pk)], "confirmed": "yes", "reason": "x"},
        follow=True,
    )
    button = browser.get(reverse(f"admin:accounts_user_{action}_one", args=[person.pk]))

    assert "1 refused" in answer.content.decode()
    assert button.status_code == 403
    assert AuthSession.objects.get(user=person).revoked_at is None
    assert not AuditEntry.objects.exclude(action=Action.ADMIN_SIGNED_IN).exists()
    assert not EmailLink.objects.exists()


def test_an_action_takes_a_hundred_rows_at_most(browser, member, stranger, monkeypatch):
    monkeypatch.setattr("core.admin.MAX_CHOSEN", 1)

    answer = browser.post(
        list_page("accounts.user"),
        {"action": "deactivate", "_selected_action": [str(member.user.pk), str(stranger.user.pk)], "confirmed": "yes"}
        | {"reason": "x"},
        follow=True,
    )

    assert "Choose 1 rows at most." in answer.content.decode()
    assert not lines(Action.ACCOUNT_DEACTIVATED)


def test_nobody_deactivates_themselves(superuser):
    act(browser_of(superuser), "accounts.user", "deactivate", superuser)

    superuser.refresh_from_db()
    assert superuser.is_active
    assert not lines(Action.ACCOUNT_DEACTIVATED)


def test_a_superuser_deactivates_staff(superuser, operator):
    act(browser_of(superuser), "accounts.user", "deactivate", operator)

    assert browser_of(superuser).get(page_of(operator)).status_code == 200
    assert [line.target_label for line in lines(Action.ACCOUNT_DEACTIVATED)] == [operator.email]


# --- The page of a person --------------------------------------------------------------------------------------------


def test_another_address_is_unproven_and_ends_the_sessions(browser, member):
    before = member.user.email
    User.objects.filter(pk=member.user.pk).update(email_verified_at=timezone.now())

    answer = browser.post(page_of(member.user), form_of(member.user, email="Moved@Example.com", first_name="Neema"))

    person = User.objects.get(pk=member.user.pk)
    assert answer.status_code == 302
    assert (person.email, person.email_verified_at, person.first_name) == ("moved@example.com", None, "Neema")
    assert refusal_of(member.client().get(ME)) == (401, "session_revoked")
    assert lines(Action.EMAIL_CHANGED)[0].data == {"from": before, "to": "moved@example.com"}
    assert lines(Action.ACCOUNT_CHANGED)[0].data == {"fields": ["first_name"]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"phone": "0712"}, "Enter a valid phone number"),
        ({"email": "x"}, "valid email"),
        ({"language": "xx"}, "valid choice"),
    ],
    ids=str,
)
def test_a_wrong_value_is_told_and_changes_nothing(browser, member, change, told):
    answer = browser.post(page_of(member.user), form_of(member.user, **change))

    assert told in answer.content.decode()
    assert not lines(Action.ACCOUNT_CHANGED)


def test_the_address_of_somebody_else_is_refused_in_words(browser, member, stranger):
    answer = browser.post(page_of(member.user), form_of(member.user, email=stranger.user.email.upper()))

    assert answer.status_code == 200
    assert "exists already" in answer.content.decode()


def test_a_local_spelling_of_a_phone_becomes_the_international_one(browser, member):
    browser.post(page_of(member.user), form_of(member.user, phone="0712 345 678"))

    assert User.objects.get(pk=member.user.pk).phone == "+255712345678"


def test_rights_are_given_by_superusers_only_and_leave_a_line(browser, superuser, member):
    rights = {"is_staff": "on", "is_superuser": "on"}

    browser.post(page_of(member.user), form_of(member.user, **rights))
    refused = User.objects.get(pk=member.user.pk)
    permission = superuser.user_permissions.model.objects.get(codename="view_user")
    browser_of(superuser).post(
        page_of(member.user), form_of(member.user, is_staff="on", user_permissions=[permission.pk])
    )

    given = User.objects.get(pk=member.user.pk)
    assert (refused.is_staff, refused.is_superuser) == (False, False)
    assert (given.is_staff, given.is_superuser) == (True, False)
    (line,) = lines(Action.STAFF_RIGHTS_CHANGED)
    assert line.data == {"is_staff": [False, True], "given": ["accounts.view_user"]}
    assert line.actor_id == superuser.pk


def test_taken_rights_leave_a_line_too(superuser, operator):
    browser_of(superuser).post(page_of(operator), form_of(operator))

    (line,) = lines(Action.STAFF_RIGHTS_CHANGED)
    assert line.data == {"is_staff": [True, False], "taken": sorted(MANAGES)}


def test_staff_look_at_a_superuser_and_cannot_change_them(browser, superuser):
    shown = browser.get(page_of(superuser))
    answer = browser.post(page_of(superuser), form_of(superuser, email="mine@example.com"))

    assert shown.status_code == 200
    assert 'name="email"' not in shown.content.decode()
    assert answer.status_code == 403
    assert User.objects.filter(email="mine@example.com").count() == 0


def test_a_person_made_here_has_a_tenant_and_chooses_a_password_by_mail(browser):
    answer = browser.post(
        "/admin/accounts/user/add/",
        {"email": "Neema@Example.com", "first_name": "Neema", "phone": "0712345678", "language": "sw"},
    )

    person = User.objects.get(email="neema@example.com")
    assert answer.status_code == 302
    assert (person.phone, person.language, person.has_usable_password()) == ("+255712345678", "sw", False)
    assert Membership.objects.get(user=person).role == "owner"
    assert [line.target_id for line in lines(Action.ACCOUNT_CREATED)] == [str(person.pk)]


@pytest.mark.parametrize("email", ["x", "", "taken"])
def test_a_person_who_cannot_be_made_is_told(browser, member, email):
    email = member.user.email if email == "taken" else email

    answer = browser.post("/admin/accounts/user/add/", {"email": email, "language": "en"})

    assert answer.status_code == 200
    assert "errors" in answer.content.decode()
    assert not lines(Action.ACCOUNT_CREATED)


def test_people_are_found_by_address_name_and_phone(browser, member):
    User.objects.filter(pk=member.user.pk).update(first_name="Zuhura", phone="+255712000111")
    make_member()

    for words in (member.user.email, "zuhura", "712000111", str(member.user.pk)):
        shown = browser.get(list_page("accounts.user"), {"q": words}).content.decode()
        assert shown.count("/change/?") + shown.count('/change/"') >= 1, words
        assert page_of(member.user) in shown


def test_filters_of_people(browser, member, stranger):
    User.objects.filter(pk=member.user.pk).update(email_verified_at=timezone.now())
    User.objects.filter(pk=stranger.user.pk).update(is_active=False)

    def shown(**query: str) -> Any:
        return browser.get(list_page("accounts.user"), query).content.decode()

    assert page_of(member.user) in shown(verified="yes")
    assert page_of(stranger.user) not in shown(verified="yes")
    assert page_of(stranger.user) in shown(is_active__exact="0")
    assert page_of(member.user) not in shown(is_active__exact="0")


def test_the_page_shows_sessions_and_organisations(browser, operator, member):
    operator.user_permissions.add(operator.user_permissions.model.objects.get(codename="view_authsession"))

    shown = browser.get(page_of(member.user)).content.decode()

    assert str(AuthSession.objects.get(user=member.user)) in shown
    assert reverse("admin:tenants_tenant_change", args=[member.tenant_id]) in shown


# --- Sessions --------------------------------------------------------------------------------------------------------


def test_one_session_is_ended_at_once(member):
    operator = make_operator("accounts.view_authsession", "accounts.change_authsession")
    session = AuthSession.objects.get(user=member.user)
    other, _tokens = open_session(user=member.user, transport="body")

    for _ in range(2):
        act(browser_of(operator), "accounts.authsession", "end", session)

    assert refusal_of(member.client().get(ME)) == (401, "session_revoked")
    assert AuthSession.objects.get(pk=session.pk).revoked_reason == "staff"
    assert AuthSession.objects.get(pk=other.session.pk).revoked_at is None
    (line,) = lines(Action.SESSION_ENDED)
    assert (line.data, line.target_label) == ({"session": str(session.pk)}, member.user.email)


def test_a_superusers_session_is_not_ended_by_staff(superuser):
    operator = make_operator("accounts.view_authsession", "accounts.change_authsession")
    principal, _tokens = open_session(user=superuser, transport="body")

    act(browser_of(operator), "accounts.authsession", "end", principal.session)

    assert AuthSession.objects.get().revoked_at is None


@pytest.mark.parametrize("state", ["live", "expired", "ended"])
def test_sessions_are_filtered_by_their_state(superuser, state):
    found = {
        name: open_session(user=make_member().user, transport="body")[0].session
        for name in ("live", "expired", "ended")
    }
    AuthSession.objects.filter(pk=found["expired"].pk).update(expires_at=timezone.now())
    AuthSession.objects.filter(pk=found["ended"].pk).update(revoked_at=timezone.now(), revoked_reason="logout")

    shown = browser_of(superuser).get(list_page("accounts.authsession"), {"state": state}).content.decode()

    assert [name for name, session in found.items() if str(session.pk) in shown] == [state]


# --- Export ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def exporter(db: None) -> Client:
    return browser_of(make_operator("accounts.view_user", "accounts.export_user"))


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_an_export_holds_what_the_list_shows_and_no_hash(exporter, member, stranger):
    User.objects.filter(pk=member.user.pk).update(phone="+255712345678")

    answer = exporter.post(f"{EXPORT}?q={member.user.email}", {"format": "0"})

    (row,) = rows_of(answer.content)
    assert answer.headers["Content-Type"] == "text/csv"
    assert (row["email"], row["phone"]) == (member.user.email, "+255712345678")
    assert "password" not in row
    assert member.user.password.encode() not in answer.content
    (line,) = lines(Action.DATA_EXPORTED)
    assert line.data == {
        "model": "user",
        "rows": 1,
        "format": "csv",
        "filters": f"q={member.user.email}".replace("@", "%40"),
    }


def test_an_export_for_spreadsheets_holds_the_same(exporter, member):
    User.objects.filter(pk=member.user.pk).update(first_name="=1+1", last_name="bell\x07")

    answer = exporter.post(EXPORT, {"format": "1"})

    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
    assert sheet is not None
    names = {cell.value: cell.column - 1 for cell in sheet[1]}
    found = {row[names["email"]].value: row for row in sheet.iter_rows(min_row=2)}
    assert found[member.user.email][names["first_name"]].value == "'=1+1"
    assert found[member.user.email][names["first_name"]].data_type == "s"
    assert found[member.user.email][names["last_name"]].value == "bell"
    assert lines(Action.DATA_EXPORTED)[0].data["format"] == "xlsx"


def test_no_cell_of_an_export_is_a_formula(exporter, member):
    User.objects.filter(pk=member.user.pk).update(first_name='=HYPERLINK("http://evil")', last_name="@SUM(A1)")

    answer = exporter.post(EXPORT, {"format": "0"})

    row = next(row for row in rows_of(answer.content) if row["email"] == member.user.email)
    assert (row["first_name"], row["last_name"]) == ('\'=HYPERLINK("http://evil")', "'@SUM(A1)")


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1", "'=1"),
        ("+1+1", "'+1+1"),
        ("-cmd", "'-cmd"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        (" =1", "' =1"),
        ("\uff1d1", "'\uff1d1"),
        ("+255712345678", "+255712345678"),
        ("-5", "-5"),
        ("a=b", "a=b"),
        (None, ""),
        ("a\x00b", "ab"),
    ],
)
def test_what_a_spreadsheet_would_run_begins_with_an_apostrophe(value, cell):
    assert safe_cell(value) == cell


def test_an_export_that_is_too_large_is_refused_in_words(exporter, monkeypatch):
    monkeypatch.setattr("core.exports.MAX_ROWS", 1)
    make_member()

    answer = exporter.post(EXPORT, {"format": "0"}, follow=True)

    assert "1 rows at most" in answer.content.decode()
    assert not lines(Action.DATA_EXPORTED)


@pytest.mark.parametrize("permissions", [("accounts.view_user",), ("accounts.export_user",), MANAGES], ids=str)
def test_exporting_takes_its_own_permission(db, permissions):
    browser = browser_of(make_operator(*permissions))

    assert browser.get(EXPORT).status_code == 403
    assert browser.post(EXPORT, {"format": "0"}).status_code == 403
    assert EXPORT not in browser.get(list_page("accounts.user")).content.decode()
    assert not lines(Action.DATA_EXPORTED)


@pytest.mark.parametrize("model", ["tenants.tenant", "tenants.membership", "audit.auditentry"])
def test_the_other_exports_leave_their_line_too(superuser, member, model):
    answer = browser_of(superuser).post(f"{list_page(model)}export/", {"format": "0"})

    rows = rows_of(answer.content)
    assert answer.status_code == 200
    assert [line.data["model"] for line in lines(Action.DATA_EXPORTED)] == [model.partition(".")[2]]
    assert lines(Action.DATA_EXPORTED)[0].data["rows"] == len(rows) >= 1


# --- Import ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def importer(db: None) -> Client:
    return browser_of(make_operator("accounts.view_user", "accounts.import_user"))


def upload(browser: Client, text: str | bytes, **headers: str) -> str:
    """The page that follows the choice of a file."""
    content = text if isinstance(text, bytes) else text.encode()
    file = SimpleUploadedFile("people.csv", content, content_type="text/csv")
    answer = browser.post(IMPORT, {"import_file": file, "format": "0", "resource": "0"}, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def confirm(browser: Client, preview: str, **changes: str) -> Any:
    """Say yes to a preview."""
    told = dict(re.findall(r'name="(import_file_name|original_file_name|format|resource)" value="([^"]*)"', preview))
    return browser.post(PROCESS, told | changes, follow=True)


GOOD = (
    "email,first_name,last_name,phone,language\nNeema@Example.com,Neema,Juma,0712345678,sw\njuma@example.com,Juma,,,\n"
)


def test_a_preview_stores_nothing_and_its_confirmation_everything(importer):
    before = User.objects.count()
    preview = upload(importer, GOOD)
    people_after_preview = User.objects.count()
    lines_after_preview = AuditEntry.objects.exclude(action=Action.ADMIN_SIGNED_IN).count()

    answer = confirm(importer, preview)

    assert "Confirm import" in preview
    assert (people_after_preview, lines_after_preview) == (before, 0)
    assert "2 people imported" in answer.content.decode()
    neema = User.objects.get(email="neema@example.com")
    assert (neema.first_name, neema.phone, neema.language) == ("Neema", "+255712345678", "sw")
    assert not neema.has_usable_password()
    assert neema.email_verified_at is None
    assert Membership.objects.get(user=neema).role == "owner"
    assert len(lines(Action.ACCOUNT_CREATED)) == 2
    assert [line.data for line in lines(Action.DATA_IMPORTED)] == [{"model": "user", "rows": 2, "file": "people.csv"}]
    assert not OutboxEvent.objects.exists()


def test_an_imported_person_resets_their_password_and_signs_in(importer, client):
    confirm(importer, upload(importer, "email\nneema@example.com\n"))
    issue_reset_link(email="neema@example.com")

    reset_password(token=token_of(EmailLink.objects.get()), password=NEW_PASSWORD)

    login = {"email": "neema@example.com", "password": NEW_PASSWORD}
    assert client.post("/api/v1/auth/login/", login, format="json").status_code == 200


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("x,A,0712345678,sw", "Enter a valid email address"),
        (",A,,", "This field is required"),
        ("a@example.com,A,0712,en", "Enter a valid phone number"),
        ("a@example.com,A,,fr", "is not a valid choice"),
        (f"a@example.com,{'a' * 101},,", "no more than 100 characters"),
        ("good@example.com,A,,", "exists already"),
        ("TAKEN,A,,", "exists already"),
        ("a@example.com,a\x00b,,", "Null characters"),
    ],
)
def test_one_bad_row_is_told_in_words_and_nobody_is_made(importer, member, row, told):
    before = User.objects.count()
    text = (
        f"email,first_name,phone,language\ngood@example.com,Good,,\n{row.replace('TAKEN', member.user.email.upper())}\n"
    )

    preview = upload(importer, text)

    assert told in preview
    assert "Confirm import" not in preview
    assert "Traceback" not in preview
    assert User.objects.count() == before


def test_bad_rows_are_told_in_swahili(importer):
    preview = upload(importer, "email,phone\na@example.com,0712\n", **{"Accept-Language": "sw"})

    assert "Weka namba sahihi ya simu" in preview


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00x", "not text in UTF-8"),
        (b"first_name\nA\n", "must name the columns"),
        (b"email,is_superuser\na@example.com,1\n", "must name the columns"),
        (b"email,email\na@example.com,b@example.com\n", "must name the columns"),
        (b"email,first_name\na@example.com\n", "Row 1 has 1 columns instead of 2"),
        (b"email\n", "No valid data"),
        (b"email\n" + b"a@example.com\n" * 1001, "more than 1000 people"),
        (b"email\n" + b"x" * 400_000, "larger than 300 kB"),
        (b'email\n"' + b"x" * 200_000, "cannot be read as CSV"),
        (b"PK\x03\x04" + bytes(100), "must name the columns"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_file_that_is_no_list_of_people_is_refused_in_words(importer, content, told):
    before = User.objects.count()

    assert told in upload(importer, content)
    assert User.objects.count() == before


def test_semicolons_a_byte_order_mark_and_our_own_apostrophes_are_read(importer):
    confirm(importer, upload(importer, "\ufeffEmail;First_name\r\n neema@example.com ;'=Neema\r\n\r\n"))

    assert User.objects.get(email="neema@example.com").first_name == "=Neema"


def test_when_people_have_changed_since_the_preview_nobody_is_made(importer):
    preview = upload(importer, GOOD)
    make_member(email="juma@example.com")
    before = User.objects.count()

    answer = confirm(importer, preview)

    assert "Nothing was imported" in answer.content.decode()
    assert User.objects.count() == before
    assert not lines(Action.DATA_IMPORTED)
    assert not lines(Action.ACCOUNT_CREATED)


@pytest.mark.parametrize("name", ["", "x", "/etc/passwd", "forged"])
def test_only_a_file_that_was_previewed_is_imported(importer, name):
    preview = upload(importer, GOOD)
    forged = signing.dumps("email\na@example.com\n", salt="something else", compress=True)

    answer = confirm(importer, preview, import_file_name=forged if name == "forged" else name)

    assert answer.status_code == 200
    assert "The preview has expired" in answer.content.decode()
    assert not lines(Action.DATA_IMPORTED)


def test_a_confirmation_with_other_words_in_it_is_still_an_import_of_people(importer):
    answer = confirm(importer, upload(importer, GOOD), format="7", resource="9")

    assert "2 people imported" in answer.content.decode()


@pytest.mark.parametrize("permissions", [("accounts.view_user",), MANAGES, ("accounts.import_user",)], ids=str)
def test_importing_takes_its_own_permission(db, importer, permissions):
    preview = upload(importer, GOOD)
    browser = browser_of(make_operator(*permissions))

    assert browser.get(IMPORT).status_code == 403
    assert confirm(browser, preview).status_code == 403
    assert not lines(Action.ACCOUNT_CREATED)


def test_the_use_cases_refuse_staff_whatever_the_admin_asks(operator, superuser):
    from apps.accounts.services import operators

    for refused in (
        lambda: operators.deactivate_person(operator=operator, user_id=superuser.pk),
        lambda: operators.reactivate_person(operator=operator, user_id=superuser.pk),
        lambda: operators.end_sessions_of_person(operator=operator, user_id=superuser.pk),
        lambda: operators.send_reset_to_person(operator=operator, user_id=superuser.pk),
        lambda: operators.change_person(operator=operator, user=superuser, changed=["email"]),
        lambda: operators.change_person(operator=operator, user=make_member().user, changed=["is_staff"]),
    ):
        with pytest.raises(NotPermitted):
            refused()
