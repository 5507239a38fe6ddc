"""Deleting one's account: shut at once, deleted after the days of grace, and what stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import mail
from django.db import IntegrityError, connections, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import AuthSession, EmailLink, TotpSetup, User, VerificationCode
from apps.accounts.selectors import subject_of
from apps.accounts.services.accounts import create_operator, register
from apps.accounts.services.deletion import erase_account, redact_person, request_deletion, tell_deletion
from apps.accounts.services.links import issue_reset_link
from apps.accounts.services.operators import deactivate_person, reactivate_person
from apps.accounts.services.sessions import open_session
from apps.accounts.tokens import TokenPair, read_access
from apps.messaging.services.messages import queue_message
from apps.payments.models.payments import Payment
from apps.payments.services.attempts import record_charge
from apps.tenants.models import Membership, Tenant
from apps.tenants.services.deletion import CLOSED_NAME
from config.personal_data import PERSONAL_DATA
from core.audit.models import AuditEntry
from core.money import Money
from core.outbox.models import OutboxEvent
from core.personal_data import PersonalData
from core.tenancy import TenantModel, tenant_scope, tenant_transaction
from services.payments.base import ChargeResult, ChargeStatus
from tests.envelope import refusal_of
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.payments import make_payment, only_attempt
from tests.factories.tenants import add_member, key_client, make_api_key, make_invitation, membership_of, messages_of
from tests.limits import fresh_address

AUTH = "/api/v1/auth"
pytestmark = pytest.mark.django_db


def delete_account(member: Member):
    return member.client().post(f"{AUTH}/delete-account/")


def post(name: str, **body: str):
    return APIClient(REMOTE_ADDR=fresh_address()).post(f"{AUTH}/{name}/", body, format="json")


def login(member: Member, password: str = PASSWORD):
    return post("login", email=member.user.email, password=password)


def restore(member: Member, password: str = PASSWORD):
    return post("restore-account", email=member.user.email, password=password)


def the_grace_ends(member: Member) -> None:
    """Carry the deletion out, as its event does when it is due."""
    past = timezone.now() - timedelta(seconds=1)
    assert User.objects.filter(pk=member.user.pk, deletion_due_at__isnull=False).update(deletion_due_at=past)
    erase_account(user_id=member.user.pk)


def as_stored(member: Member) -> User:
    return User.objects.get(pk=member.user.pk)


def session_of(member: Member) -> AuthSession:
    return AuthSession.objects.select_related("user").get(pk=read_access(member.tokens.access).session_id)


def open_session_of(member: Member) -> TokenPair:
    return open_session(user=member.user, transport="body")[1]


# --- The request ------------------------------------------------------------------------------------------------------


@pytest.mark.invariant("I45")
def test_from_the_next_request_on_the_account_is_shut(member):
    other = APIClient()
    other.credentials(HTTP_AUTHORIZATION=f"Bearer {login(member).json()['data']['access']}")
    _key, text = make_api_key(member)

    answer = delete_account(member)

    assert answer.status_code == 200, answer.content
    due_at = as_stored(member).deletion_due_at
    assert due_at is not None
    assert timedelta(days=13, hours=23) < due_at - timezone.now() <= timedelta(days=14)
    assert answer.json()["data"] == {"deletion_due_at": due_at.isoformat().replace("+00:00", "Z")}
    for client in (member.client(), other):
        for path in (f"{AUTH}/me/", "/api/v1/users/", "/api/v1/payments/"):
            assert refusal_of(client.get(path)) == (401, "account_inactive")
    assert refusal_of(post("refresh", refresh=member.tokens.refresh)) == (401, "account_inactive")
    assert refusal_of(key_client(text).get("/api/v1/payments/")) == (401, "api_key_invalid")
    assert set(AuthSession.objects.values_list("revoked_reason", flat=True)) == {"deletion"}


def test_a_session_that_slips_in_beside_the_request_is_shut_too(member):
    delete_account(member)
    AuthSession.objects.update(revoked_at=None)

    assert refusal_of(member.client().get(f"{AUTH}/me/")) == (401, "account_inactive")


def test_the_cookies_of_a_page_are_cleared():
    client = APIClient(HTTP_ORIGIN="http://testserver", REMOTE_ADDR=fresh_address())
    body = {"email": "page@example.com", "password": PASSWORD, "transport": "cookies"}
    csrf = client.post(f"{AUTH}/register/", body, format="json").json()["data"]["csrf_token"]

    answer = client.post(f"{AUTH}/delete-account/", headers={"X-CSRF-Token": csrf})

    assert answer.status_code == 200
    assert answer.cookies
    assert all(cookie.value == "" for cookie in answer.cookies.values())


def test_an_old_proof_of_identity_is_not_enough(member):
    AuthSession.objects.update(authenticated_at=timezone.now() - timedelta(minutes=11))

    for answer in (delete_account(member), member.client().delete(f"/api/v1/users/{member.user.pk}/")):
        assert refusal_of(answer) == (403, "reauthentication_required")
    assert as_stored(member).is_active
    member.client().post(f"{AUTH}/reauthenticate/", {"password": PASSWORD}, format="json")
    assert delete_account(member).status_code == 200


def test_deleting_oneself_among_the_users_is_deleting_the_account(member):
    answer = member.client().delete(f"/api/v1/users/{member.user.pk}/")

    assert answer.status_code == 200
    assert answer.json()["message"].startswith("Your account will be deleted")
    assert as_stored(member).is_leaving


def test_the_last_owner_of_others_hands_over_first(member):
    add_member(member)
    Tenant.objects.filter(pk=member.tenant_id).update(name="Duka la Asha")

    answer = delete_account(member)

    assert refusal_of(answer) == (422, "sole_owner")
    assert answer.json()["errors"] == {"tenants": ["Duka la Asha"]}
    assert as_stored(member).is_active
    assert not OutboxEvent.objects.filter(name__startswith="account.deletion").exists()
    add_member(member, "owner")
    assert delete_account(member).status_code == 200


def test_an_owner_who_is_leaving_is_no_owner_to_rely_on(member):
    other = add_member(member, "owner")
    add_member(member)
    assert delete_account(other).status_code == 200

    assert refusal_of(delete_account(member)) == (422, "sole_owner")


def test_a_suspended_tenant_holds_nobody(member):
    add_member(member)
    Tenant.objects.filter(pk=member.tenant_id).update(suspended_at=timezone.now())

    assert delete_account(member).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_leave_at_once_one_stays():
    first = make_member()
    second, _plain = add_member(first, "owner"), add_member(first)

    def one(member: Member) -> int:
        try:
            return int(delete_account(member).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, (first, second))) == [200, 422]


def test_two_requests_are_one_deletion(member):
    session = session_of(member)
    delete_account(member)

    assert refusal_of(delete_account(member)) == (401, "account_inactive")
    with pytest.raises(Exception, match="not active"):
        request_deletion(session=session)
    assert OutboxEvent.objects.filter(name="account.deletion_due").count() == 1


def test_the_notice_says_when_and_how_to_keep_the_account(member):
    User.objects.filter(pk=member.user.pk).update(language="sw")
    delete_account(member)
    User.objects.filter(pk=member.user.pk).update(deletion_due_at="2026-12-04T12:00:00Z")

    tell_deletion(user_id=member.user.pk)

    (sent,) = mail.outbox
    assert sent.to == [member.user.email]
    assert "2026" in sent.body
    assert "/restore-account" in sent.body
    assert sent.subject == "Akaunti yako itafutwa"


def test_the_database_keeps_who_is_leaving_inactive(member):
    delete_account(member)

    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=member.user.pk).update(is_active=True)


# --- Taking it back ---------------------------------------------------------------------------------------------------


def test_who_signs_in_during_the_grace_is_told_and_can_come_back(member):
    delete_account(member)

    assert refusal_of(login(member)) == (401, "deletion_pending")
    assert restore(member).status_code == 200
    assert login(member).status_code == 200
    assert as_stored(member).deletion_due_at is None
    assert Membership.objects.filter(user=member.user, role="owner").count() == 1


@pytest.mark.invariant("I52")
@pytest.mark.parametrize("name", ["login", "restore-account"])
def test_without_the_password_nobody_learns_that_somebody_is_leaving(member, name):
    delete_account(member)

    known = post(name, email=member.user.email, password="si-hiyo-kabisa-1")
    unknown = post(name, email="nobody@example.com", password="si-hiyo-kabisa-1")

    assert refusal_of(known) == refusal_of(unknown) == (401, "invalid_credentials")
    assert known.content == unknown.content


def test_restoring_what_is_active_is_fine_and_what_staff_has_shut_stays_shut(member):
    assert restore(member).status_code == 200
    User.objects.filter(pk=member.user.pk).update(is_active=False)

    assert refusal_of(restore(member)) == (401, "account_inactive")
    assert not as_stored(member).is_active


def test_restoring_is_a_guess_at_the_password_like_signing_in(member, settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"login_account": (2, timedelta(hours=1))}
    delete_account(member)

    answers = [restore(member, "si-hiyo-kabisa-1"), login(member, "si-hiyo-kabisa-1"), restore(member)]

    assert [answer.status_code for answer in answers] == [401, 401, 429]


def test_who_forgot_the_password_can_still_come_back(member):
    delete_account(member)

    issue_reset_link(email=member.user.email)

    assert EmailLink.objects.filter(user=member.user, purpose="reset_password").count() == 1


def test_a_deletion_that_was_taken_back_does_not_happen(member):
    delete_account(member)
    restore(member)

    erase_account(user_id=member.user.pk)

    assert as_stored(member).email == member.user.email


def test_a_deletion_asked_for_again_happens_at_the_later_date(member):
    """The event of the first request comes early for the second."""
    delete_account(member)
    restore(member)
    login(member)
    User.objects.filter(pk=member.user.pk).update(
        is_active=False, deletion_due_at=timezone.now() + timedelta(minutes=1)
    )

    erase_account(user_id=member.user.pk)

    assert as_stored(member).email == member.user.email


# --- The deletion -----------------------------------------------------------------------------------------------------


def test_the_event_comes_when_the_grace_is_over(member):
    delete_account(member)

    event = OutboxEvent.objects.get(name="account.deletion_due")
    due_at = as_stored(member).deletion_due_at
    assert due_at is not None
    assert event.next_at >= due_at


def everything_stored() -> str:
    """Every row of every table but the audit log, in every tenant, as text."""
    told = []
    for model in apps.get_models():
        if model is AuditEntry:
            continue  # tells what people were called at each deed, and is pruned by its own rule
        if issubclass(model, TenantModel):
            for tenant in Tenant.objects.all():
                with tenant_scope(tenant.pk), tenant_transaction():
                    told += [str(row) for row in model._default_manager.values()]
        else:
            told += [str(row) for row in model._default_manager.values()]
    return "\n".join(told)


def test_nothing_of_the_person_remains_anywhere(member):
    """But what they wrote for others: the books of the tenant, and the names that they gave to keys and tenants."""
    host, user = make_member(), member.user
    User.objects.filter(pk=user.pk).update(
        email="canary@example.com",
        first_name="Canarina",
        last_name="Canariski",
        phone="+255700000999",
        phone_verified_at=timezone.now(),
    )
    user.refresh_from_db()
    Tenant.objects.filter(pk=member.tenant_id).update(name="Canarina Canariski")
    Membership.objects.create(tenant_id=host.tenant_id, user=user)
    AuthSession.objects.filter(user=user).update(user_agent="Canarina's phone", client_key="canary")
    post("reset-password", email="canary@example.com")
    OutboxEvent.objects.update(done_at=timezone.now())
    EmailLink.objects.create(user=user, purpose="verify_email", email=user.email, expires_at=timezone.now())
    for asker in (user, None):
        VerificationCode.objects.create(user=asker, purpose="login", phone=user.phone, expires_at=timezone.now())
    TotpSetup.objects.create(user=user, secret="canary", expires_at=timezone.now())
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": "canary"})
    for tenant_id in (host.tenant_id, member.tenant_id):
        with tenant_scope(tenant_id):
            queue_message(channel="email", to=user.email, subject="Canarina", text="Dear Canarina", key="greeting")
    LogEntry.objects.create(
        user=host.user,
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(user.pk),
        object_repr=user.email,
        action_flag=CHANGE,
    )
    assert "anar" in everything_stored()

    delete_account(member)
    OutboxEvent.objects.update(done_at=timezone.now())
    the_grace_ends(member)

    left = [line for line in everything_stored().splitlines() if "anar" in line or "+255700000999" in line]
    assert left == []
    gone = as_stored(member)
    assert not gone.is_active
    assert gone.deleted_at is not None
    assert gone.email.endswith("@deleted.invalid")
    assert not gone.has_usable_password()
    assert [message.status for message in messages_of(host)] == ["failed"]


def test_invitations_and_keys_of_the_person_open_nothing_any_more(member):
    host = make_member()
    User.objects.filter(pk=member.user.pk).update(email_verified_at=timezone.now())
    sent = make_invitation(member)
    came = make_invitation(host, email=member.user.email)
    other = make_invitation(host)
    key, text = make_api_key(member)
    delete_account(member)
    the_grace_ends(member)

    for invitation in (sent, came, other):
        invitation.refresh_from_db()
    key.refresh_from_db()
    assert sent.status == came.status == "revoked"
    assert came.email.endswith("@deleted.invalid")
    assert (other.status, sent.email != "") == ("pending", True)
    assert key.revoked_at is not None
    assert refusal_of(key_client(text).get("/api/v1/payments/")) == (401, "api_key_invalid")


@pytest.mark.parametrize("is_proven_by_another", [True, False])
def test_what_goes_to_an_address_that_was_merely_claimed_stays(member, is_proven_by_another):
    """A claim must not empty somebody's invitations, nor the messages of whoever has proven the address."""
    if is_proven_by_another:
        owner = register(email=member.user.email, password="nyingine-kabisa-8")
        User.objects.filter(pk=owner.pk).update(email_verified_at=timezone.now())
    host = make_member()
    invitation = make_invitation(host, email=member.user.email)
    Membership.objects.create(tenant_id=host.tenant_id, user=member.user)
    delete_account(member)
    the_grace_ends(member)

    invitation.refresh_from_db()
    assert (invitation.status, invitation.email) == ("pending", member.user.email)
    (message,) = messages_of(host)
    assert (message.to == member.user.email) is is_proven_by_another


def test_a_tenant_without_anybody_is_closed_and_others_go_on(member):
    host = make_member()
    Membership.objects.create(tenant_id=host.tenant_id, user=member.user, role="admin")
    delete_account(member)
    the_grace_ends(member)

    closed, open_one = Tenant.objects.get(pk=member.tenant_id), Tenant.objects.get(pk=host.tenant_id)
    assert (closed.name, closed.suspended_at is None) == (CLOSED_NAME, False)
    assert (open_one.name, open_one.suspended_at) == ("Asha", None)
    assert not Membership.objects.filter(user=member.user).exists()
    assert len(host.client().get("/api/v1/users/").json()["data"]["results"]) == 1


def test_whoever_joined_in_the_days_of_grace_inherits_the_tenant(member):
    delete_account(member)
    plain, admin = add_member(member), add_member(member, "admin")
    the_grace_ends(member)

    assert (membership_of(admin).role, membership_of(plain).role) == ("owner", "member")
    assert Tenant.objects.get(pk=member.tenant_id).suspended_at is None


@pytest.mark.invariant("I45")
def test_a_payment_under_way_still_settles_and_keeps_its_history(member):
    payment = make_payment(member)
    delete_account(member)
    the_grace_ends(member)

    paid = ChargeResult(status=ChargeStatus.PAID, provider_reference="P1", money=Money(500_000, "TZS"))
    with tenant_scope(member.tenant_id), tenant_transaction():
        attempt_id = only_attempt(payment).pk
    with tenant_scope(member.tenant_id):
        record_charge(attempt_id=attempt_id, source="webhook", result=paid)

    with tenant_scope(member.tenant_id), tenant_transaction():
        kept = Payment.objects.get(pk=payment.pk)
    assert (kept.captured, kept.started_by_id, kept.phone) == (500_000, member.user.pk, payment.phone)


def test_a_token_of_a_deleted_person_is_refused_in_the_envelope(member):
    delete_account(member)
    the_grace_ends(member)

    assert refusal_of(member.client().get(f"{AUTH}/me/")) == (401, "account_inactive")
    assert refusal_of(post("refresh", refresh=member.tokens.refresh)) == (401, "account_inactive")
    for answer in (login(member), restore(member)):
        assert refusal_of(answer) == (401, "invalid_credentials")


def test_the_address_is_free_for_a_new_account(member):
    User.objects.filter(pk=member.user.pk).update(email_verified_at=timezone.now())
    delete_account(member)
    the_grace_ends(member)

    anew = register(email=member.user.email, password=PASSWORD)
    User.objects.filter(pk=anew.pk).update(email_verified_at=timezone.now())

    assert anew.pk != member.user.pk
    assert login(member).status_code == 200


def test_a_crash_in_the_middle_leaves_everything_and_the_next_try_finishes(member, settings):
    """The last of the erasers fails once, after the others have done their work."""
    delete_account(member)

    def stumble(*, subject):
        raise RuntimeError("the power fails")

    half_way = PersonalData(PERSONAL_DATA.exports, [*PERSONAL_DATA.erasers, stumble])
    globals()["half_way"] = half_way
    settings.PERSONAL_DATA = f"{__name__}.half_way"
    with pytest.raises(RuntimeError, match="power"), transaction.atomic():
        the_grace_ends(member)
    assert as_stored(member).email == member.user.email
    assert Membership.objects.filter(user=member.user).exists()

    settings.PERSONAL_DATA = "config.personal_data.PERSONAL_DATA"
    the_grace_ends(member)
    before = everything_stored()
    erase_account(user_id=member.user.pk)

    assert as_stored(member).deleted_at is not None
    assert everything_stored() == before


@pytest.mark.django_db(transaction=True)
def test_either_the_person_comes_back_or_the_deletion_happens():
    """Asked for in the same moment: never half of each."""
    outcomes = set()
    for _ in range(3):
        member = make_member()
        delete_account(member)
        User.objects.filter(pk=member.user.pk).update(deletion_due_at=timezone.now())

        def run(job) -> int:
            try:
                answer = job()
                return answer.status_code if answer is not None else 0
            finally:
                connections.close_all()

        with ThreadPoolExecutor(2) as pool:
            came_back, _none = pool.map(
                run, (lambda m=member: restore(m), lambda m=member: erase_account(user_id=m.user.pk))
            )
        person = as_stored(member)
        outcomes.add((came_back, person.is_active, person.deleted_at is None, login(member).status_code))

    assert outcomes <= {(200, True, True, 200), (401, False, False, 401)}


def test_the_audit_log_tells_the_story_and_not_who_it_was_at_the_end(member):
    host = make_member()
    Membership.objects.create(tenant_id=host.tenant_id, user=member.user)
    make_api_key(member)
    delete_account(member)
    restore(member)
    AuthSession.objects.update(revoked_at=None)
    delete_account(member)
    before = AuditEntry.objects.values_list("pk", flat=True)
    seen = set(before)
    the_grace_ends(member)

    lines = AuditEntry.objects.exclude(pk__in=seen)
    story = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"account.deletion_requested", "account.deletion_cancelled"} <= story
    assert {line.action for line in lines} == {
        "account.deleted",
        "api_key.revoked",
        "member.left",
        "tenant.suspended",
    }
    assert not [line for line in lines.values() if member.user.email in str(line)]


def test_staff_can_bring_back_who_is_leaving_but_not_who_is_gone(member):
    operator = create_operator(email="staff@example.com", password=PASSWORD)
    delete_account(member)
    assert reactivate_person(operator=operator, user_id=member.user.pk)
    assert as_stored(member).deletion_due_at is None
    assert delete_account(Member(member.user, member.tenant_id, open_session_of(member))).status_code == 200
    the_grace_ends(member)

    assert not reactivate_person(operator=operator, user_id=member.user.pk)
    assert not as_stored(member).is_active


def test_whom_staff_shuts_out_while_leaving_cannot_come_back(member):
    operator = create_operator(email="staff@example.com", password=PASSWORD)
    delete_account(member)

    assert deactivate_person(operator=operator, user_id=member.user.pk)

    assert refusal_of(restore(member)) == (401, "account_inactive")
    erase_account(user_id=member.user.pk)
    assert as_stored(member).email == member.user.email


def test_redacting_twice_is_redacting_once(member):
    delete_account(member)
    the_grace_ends(member)
    before = as_stored(member)

    redact_person(subject=subject_of(before))

    assert as_stored(member).email == before.email
    assert not as_stored(member).is_active
