"""A person's own number: a claim until it is proven, changed only when the new one is, the newest proof counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import AuthSession, EmailLink, User, VerificationCode
from apps.accounts.services.codes import code_of
from apps.accounts.services.links import token_of
from apps.accounts.services.phones import confirm_phone
from apps.tenants.models import Membership, Tenant
from config.settings import base
from tests.envelope import refusal_of
from tests.factories.accounts import PASSWORD, Member, fresh_phone, make_member, with_proven_phone
from tests.factories.tenants import add_member
from tests.fakes import ScriptedSms, scripted_sms
from tests.limits import at_once
from tests.outbox import work_off_outbox

AUTH = "/api/v1/auth"
pytestmark = pytest.mark.django_db


def post(member: Member, name: str, **body: Any):
    return member.client().post(f"{AUTH}/{name}/", body, format="json")


def me(access: str):
    return APIClient().get(f"{AUTH}/me/", headers={"Authorization": f"Bearer {access}"})


def answer_to(response: Any) -> dict[str, str]:
    """The right answer to the challenge in a response."""
    assert response.status_code == 200, response.content
    challenge = response.json()["data"]["challenge"]
    return {"challenge": challenge, "code": code_of(VerificationCode.objects.get(pk=challenge))}


def wrong(answer: dict[str, str]) -> dict[str, str]:
    return answer | {"code": f"{(int(answer['code']) + 1) % 1_000_000:06d}"}


def claim(member: Member, phone: str = "") -> str:
    """Give `member` a number that nobody has proven."""
    member.user.phone = phone or fresh_phone()
    member.user.save()
    return member.user.phone


def current(member: Member) -> User:
    return User.objects.get(pk=member.user.pk)


@pytest.fixture
def sms() -> Iterator[ScriptedSms]:
    with scripted_sms() as gateway:
        yield gateway


# --- Proving --------------------------------------------------------------------------------------------------------


def test_a_number_given_at_registration_is_a_claim(client):
    body = {"email": "asha@example.com", "password": PASSWORD, "phone": "0712345678"}

    user = client.post(f"{AUTH}/register/", body, format="json").json()["data"]["user"]

    assert (user["phone"], user["is_phone_verified"]) == ("+255712345678", False)


def test_a_number_is_proven_by_the_code_that_was_texted_to_it(member, sms):
    phone = claim(member)
    asked = post(member, "verify-phone")
    work_off_outbox()
    assert [(each.phone, answer_to(asked)["code"] in each.text) for each in sms.sent] == [(phone, True)]

    response = post(member, "verify-phone-confirm", **answer_to(asked))

    assert response.status_code == 200
    assert response.json()["data"] == member.client().get(f"{AUTH}/me/").json()["data"]
    assert response.json()["data"]["is_phone_verified"] is True
    assert AuthSession.objects.get(user=member.user).revoked_at is None
    work_off_outbox()
    assert [(each.to, each.subject) for each in mail.outbox] == [([member.user.email], "A phone number was confirmed")]


def test_proving_the_same_number_again_tells_nobody_anything_new(member):
    with_proven_phone(member)

    assert post(member, "verify-phone-confirm", **answer_to(post(member, "verify-phone"))).status_code == 200

    work_off_outbox()
    assert mail.outbox == []


def test_without_a_number_there_is_nothing_to_prove(member):
    assert refusal_of(post(member, "verify-phone")) == (422, "phone_missing")
    assert not VerificationCode.objects.exists()


@pytest.mark.parametrize("field", ["phone", "phone_verified_at", "is_phone_verified"])
@pytest.mark.parametrize(("path", "method"), [("me", "patch"), ("update-profile", "put"), ("update-profile", "patch")])
def test_a_profile_change_does_not_touch_the_number(member, path, method, field):
    phone = with_proven_phone(member).user.phone

    response = getattr(member.client(), method)(f"{AUTH}/{path}/", {field: fresh_phone()}, format="json")

    assert refusal_of(response) == (400, "validation_error")
    assert (current(member).phone, current(member).is_phone_verified) == (phone, True)


@pytest.mark.invariant("I66")
def test_a_code_proves_the_number_it_was_sent_to_and_no_later_one(member):
    claim(member)
    answer = answer_to(post(member, "verify-phone"))
    claim(member)

    assert refusal_of(post(member, "verify-phone-confirm", **answer)) == (422, "otp_invalid")
    assert not current(member).is_phone_verified


@pytest.mark.invariant("I66")
@pytest.mark.parametrize(("asked", "answered"), [("verify-phone", "change-phone"), ("change-phone", "verify-phone")])
def test_a_code_for_one_purpose_is_none_for_the_other(member, asked, answered):
    phone = claim(member)
    body = {"phone": phone, "password": PASSWORD} if asked == "change-phone" else {}
    answer = answer_to(post(member, asked, **body))

    assert refusal_of(post(member, f"{answered}-confirm", **answer)) == (422, "otp_invalid")
    assert not current(member).is_phone_verified


@pytest.mark.invariant("I66")
def test_somebody_elses_code_proves_nothing(member, stranger):
    answer = answer_to(claim(member) and post(member, "verify-phone"))
    claim(stranger, member.user.phone)

    assert refusal_of(post(stranger, "verify-phone-confirm", **answer)) == (422, "otp_invalid")
    assert post(member, "verify-phone-confirm", **answer).status_code == 200


@pytest.mark.invariant("I65")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["verify-phone", "change-phone"])
def test_wrong_answers_of_somebody_signed_in_are_counted_though_they_are_refused(name):
    member = make_member()
    phone = claim(member)
    body = {"phone": phone, "password": PASSWORD} if name == "change-phone" else {}
    answer = answer_to(post(member, name, **body))

    answers = at_once(20, lambda _: post(member, f"{name}-confirm", **wrong(answer)))

    assert sorted(each.status_code for each in answers) == [422] * 5 + [429] * 15
    assert VerificationCode.objects.get().guesses == 5
    assert refusal_of(post(member, f"{name}-confirm", **answer)) == (429, "otp_locked")
    assert not current(member).is_phone_verified


# --- Changing -------------------------------------------------------------------------------------------------------


@pytest.fixture
def owner(member) -> Member:
    return with_proven_phone(member)


def change(member: Member, phone: str):
    return post(
        member, "change-phone-confirm", **answer_to(post(member, "change-phone", phone=phone, password=PASSWORD))
    )


@pytest.mark.invariant("I44")
def test_a_changed_number_ends_every_session_and_goes_on_in_a_new_one(owner):
    other = make_session(owner)

    response = change(owner, fresh_phone())

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    fresh = response.json()["data"]
    for dead in (owner.tokens.access, other["access"]):
        assert me(dead).json()["code"] == "session_revoked"
    assert refresh(owner.tokens.refresh) == refresh(other["refresh"]) == (401, "session_revoked")
    assert me(fresh["access"]).status_code == 200
    assert refresh(fresh["refresh"])[0] == 200


def make_session(member: Member) -> dict[str, str]:
    body = {"email": member.user.email, "password": PASSWORD}
    data: dict[str, str] = APIClient().post(f"{AUTH}/login/", body, format="json").json()["data"]
    return data


def refresh(token: str) -> tuple[int, str]:
    response = APIClient().post(f"{AUTH}/refresh/", {"refresh": token}, format="json")
    return response.status_code, response.json().get("code", "")


@pytest.mark.invariant("I44")
def test_the_new_session_is_like_the_old_one(owner, stranger):
    there = add_member(owner)  # in the owner's tenant, which is not the one that they joined first
    before = AuthSession.objects.get(user=there.user)

    data = change(there, fresh_phone()).json()["data"]

    after = AuthSession.objects.get(user=there.user, revoked_at=None)
    assert data["tenant"]["id"] == str(owner.tenant_id)
    for kept in ("tenant_id", "transport", "absolute_expires_at", "authenticated_at", "user_agent"):
        assert getattr(after, kept) == getattr(before, kept)
    assert after.pk != before.pk
    before.refresh_from_db()
    assert before.revoked_reason == "new_phone"


def test_the_new_number_moves_in_only_when_it_is_proven(owner, sms):
    old, new = owner.user.phone, fresh_phone()
    asked = post(owner, "change-phone", phone=new, password=PASSWORD)
    work_off_outbox()
    assert [each.phone for each in sms.sent] == [new]
    refused = post(owner, "change-phone-confirm", **wrong(answer_to(asked)))
    assert refusal_of(refused) == (422, "otp_invalid")
    assert (current(owner).phone, current(owner).is_phone_verified) == (old, True)
    assert AuthSession.objects.get(user=owner.user).revoked_at is None

    assert post(owner, "change-phone-confirm", **answer_to(asked)).status_code == 200

    assert (current(owner).phone, current(owner).is_phone_verified) == (new, True)


def test_the_old_number_and_the_mailbox_are_told(owner, sms):
    old = owner.user.phone
    User.objects.update(language="sw")

    change(owner, fresh_phone())
    work_off_outbox()

    told = {each.phone: each.text for each in sms.sent}
    # The code's own text came too late to be sent: the code had been used by then.
    assert told.keys() == {old}
    assert told[old] == "Namba ya simu ya akaunti yako imebadilishwa. Kama si wewe, wasiliana nasi mara moja."
    assert [(each.to, each.subject) for each in mail.outbox] == [([owner.user.email], "Namba ya simu imethibitishwa")]


def test_a_number_that_was_only_claimed_gets_no_notice(member, sms):
    old = claim(member)

    change(member, fresh_phone())
    work_off_outbox()

    assert old not in [each.phone for each in sms.sent]


def test_a_wrong_password_changes_nothing_and_texts_nobody(owner, sms):
    response = post(owner, "change-phone", phone=fresh_phone(), password="si-hiyo-kabisa-1")

    assert refusal_of(response) == (422, "wrong_password")
    work_off_outbox()
    assert sms.sent == []


def test_without_a_password_the_proof_of_identity_has_to_be_fresh(owner):
    assert post(owner, "change-phone", phone=fresh_phone()).status_code == 200
    AuthSession.objects.update(authenticated_at=timezone.now() - timedelta(minutes=11))

    assert refusal_of(post(owner, "change-phone", phone=fresh_phone())) == (403, "reauthentication_required")
    assert post(owner, "reauthenticate", password=PASSWORD).status_code == 200
    assert post(owner, "change-phone", phone=fresh_phone()).status_code == 200


def test_asking_does_not_tell_whether_a_number_belongs_to_somebody(owner, stranger):
    theirs = with_proven_phone(stranger).user.phone

    answers = [post(owner, "change-phone", phone=phone, password=PASSWORD) for phone in (theirs, fresh_phone())]

    told = [(each.status_code, each.json()["message"], sorted(each.json()["data"])) for each in answers]
    assert told[0] == told[1]


def test_whoever_asks_for_too_many_texts_is_slowed_down(owner, settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"otp_person": base.RATE_LIMITS["otp_person"]}

    answers = [post(owner, "change-phone", phone=fresh_phone()).status_code for _ in range(6)]

    assert answers == [200] * 5 + [429]


@pytest.mark.parametrize("name", ["verify-phone", "change-phone", "change-phone-confirm"])
@pytest.mark.parametrize("why", ["not_a_member", "tenant_suspended"])
def test_texts_are_sent_in_the_name_of_a_live_tenant(owner, name, why):
    if why == "not_a_member":
        Membership.objects.filter(user=owner.user).delete()
    else:
        Tenant.objects.update(suspended_at=timezone.now())

    assert refusal_of(post(owner, name, phone=fresh_phone())) == (403, why)


# --- Whose number it is ---------------------------------------------------------------------------------------------


def test_several_may_claim_a_number_and_none_of_them_signs_in_by_it(member, stranger, client):
    claim(stranger, claim(member))
    asked = client.post(f"{AUTH}/request-otp/", {"phone": member.user.phone}, format="json")

    response = client.post(f"{AUTH}/verify-otp/", answer_to(asked), format="json")

    assert refusal_of(response) == (422, "otp_invalid")


def test_the_newest_proof_counts_and_the_one_before_is_told(owner, stranger, client):
    phone = claim(stranger, owner.user.phone)

    assert post(stranger, "verify-phone-confirm", **answer_to(post(stranger, "verify-phone"))).status_code == 200

    assert not current(owner).is_phone_verified
    assert current(stranger).is_phone_verified
    asked = client.post(f"{AUTH}/request-otp/", {"phone": phone}, format="json")
    signed_in = client.post(f"{AUTH}/verify-otp/", answer_to(asked), format="json").json()["data"]
    assert signed_in["user"]["id"] == str(stranger.user.pk)
    assert me(owner.tokens.access).status_code == 200  # losing a number ends no session
    work_off_outbox()
    told = {each.to[0]: each.subject for each in mail.outbox}
    assert told[owner.user.email] == "Your phone number is no longer confirmed"


def test_the_database_refuses_a_second_proof_and_the_proof_of_nothing(owner, stranger):
    now = timezone.now()
    for phone in (owner.user.phone, ""):
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.filter(pk=stranger.user.pk).update(phone=phone, phone_verified_at=now)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_several_who_prove_one_number_at_once_one_has_it():
    people, phone = [make_member() for _ in range(4)], fresh_phone()
    answers = []
    for person in people:
        claim(person, phone)
        answers.append(answer_to(post(person, "verify-phone")))

    def prove(number: int) -> None:
        answer = answers[number]
        user = User.objects.get(pk=people[number].user.pk)
        confirm_phone(user=user, challenge=UUID(answer["challenge"]), guess=answer["code"])

    at_once(4, prove)

    assert User.objects.filter(phone=phone, phone_verified_at__isnull=False).count() == 1


def test_a_reset_password_takes_the_proof_of_whoever_claimed_the_address_before(owner, client):
    """Who registered with somebody's address, and proved a number of their own, must not keep a way in."""
    link = EmailLink.objects.create(
        user=owner.user,
        purpose="reset_password",
        email=owner.user.email,
        expires_at=timezone.now() + timedelta(hours=1),
    )
    body = {"token": token_of(link), "password": "mpya-kabisa-9"}

    assert client.post(f"{AUTH}/reset-password-confirm/", body, format="json").status_code == 200

    asked = client.post(f"{AUTH}/request-otp/", {"phone": owner.user.phone}, format="json")
    assert refusal_of(client.post(f"{AUTH}/verify-otp/", answer_to(asked), format="json")) == (422, "otp_invalid")
