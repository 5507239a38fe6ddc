"""Invitations: sent, sent again, revoked, accepted once by whoever holds the token, never shown."""

from __future__ import annotations

import re
import threading
import uuid
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from apps.messaging.models.messages import Message
from apps.messaging.services.sending import send_message
from apps.tenants.models import Invitation, Membership, Tenant
from apps.tenants.services.invitations import InvitationInvalid, accept_invitation
from core.outbox.models import OutboxEvent
from core.tenancy import tenant_scope, tenant_transaction
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.payments import a_wish_to_pay
from tests.factories.tenants import add_member, deliver_messages, membership_of, messages_of, tokens_sent

URL = "/api/v1/tenants/invitations/"
ACCEPT = f"{URL}accept/"

db = pytest.mark.django_db


def invite(member: Member, **body: str):
    address = {} if {"email", "phone"} & set(body) else {"email": "juma@example.com"}
    return member.client().post(URL, address | body, format="json")


def accept(person: Member, token: str):
    return person.client().post(ACCEPT, {"token": token}, format="json")


def refusal(response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@db
def test_an_invitation_by_e_mail_goes_out_through_the_outbox(member):
    response = invite(member, email="Juma@Example.com", role="admin")

    assert response.status_code == 201
    data = response.json()["data"]
    assert (data["email"], data["role"], data["status"], data["sends"]) == ("juma@example.com", "admin", "pending", 1)
    (message,) = messages_of(member)
    assert (message.channel, message.to, message.tenant_id) == ("email", "juma@example.com", member.tenant_id)
    assert OutboxEvent.objects.filter(name="message.queued", payload={"message_id": str(message.pk)}).count() == 1


@db
def test_an_invitation_by_phone_is_a_text(member):
    data = invite(member, phone="0712 345 678").json()["data"]

    assert (data["phone"], data["email"]) == ("+255712345678", "")
    assert [(each.channel, each.to) for each in messages_of(member)] == [("sms", "+255712345678")]


@db
@pytest.mark.parametrize(
    "body",
    [
        {"role": "member"},
        {"email": "juma@example.com", "phone": "0712345678"},
        {"email": "juma"},
        {"phone": "12"},
        {"email": "juma@example.com", "role": "owner"},
        {"email": "juma@example.com", "tenant": str(uuid.uuid4())},
    ],
)
def test_a_bad_invitation_is_refused_and_sends_nothing(member, body):
    assert refusal(member.client().post(URL, body, format="json")) == (400, "validation_error")
    assert not Invitation.objects.exists()
    assert messages_of(member) == []


@db
@pytest.mark.invariant("I55")
def test_the_token_is_stored_and_shown_nowhere(member):
    created = invite(member)
    (token,) = tokens_sent(member)
    signature = token[32:]

    listed = member.client().get(URL)

    assert len(signature) == 32
    kept = [list(Invitation.objects.values()), list(OutboxEvent.objects.values())]
    with tenant_scope(member.tenant_id), tenant_transaction():
        kept.append(list(Message.objects.values()))
    for where in (created.content.decode(), listed.content.decode(), *map(str, kept)):
        assert signature not in where
    assert messages_of(member)[0].shown_text.endswith("token=******")


@db
def test_the_mail_that_goes_out_holds_the_token(member):
    invite(member)

    deliver_messages(member)

    assert str(mail.outbox[0].body).endswith(f"/accept-invitation?token={tokens_sent(member)[0]}")


@db
@pytest.mark.parametrize("why", ["replaced", "revoked", "accepted", "expired"])
def test_an_invitation_that_opens_nothing_any_more_is_not_sent(member, stranger, why):
    created = invite(member).json()["data"]
    message = messages_of(member)[0]
    if why == "replaced":
        member.client().post(f"{URL}{created['id']}/resend/")
    elif why == "revoked":
        member.client().delete(f"{URL}{created['id']}/")
    elif why == "accepted":
        accept(stranger, tokens_sent(member)[0])
    else:
        Invitation.objects.update(expires_at=timezone.now())

    with tenant_scope(member.tenant_id):
        send_message(message_id=message.pk)

    assert mail.outbox == []
    assert messages_of(member)[0].status == "expired"


@db
@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: token[:32],
        lambda token: token + "0",
        lambda token: uuid.uuid4().hex + token[32:],
        lambda token: "\u00e9" * 64,
    ],
)
def test_one_changed_character_opens_nothing(member, stranger, change):
    invite(member)

    answer = accept(stranger, change(tokens_sent(member)[0]))

    assert refusal(answer) == (422, "invitation_invalid")


@db
def test_an_existing_person_accepts_under_another_address_and_can_work_there(member):
    invite(member, role="admin")
    juma = make_member(email="another@example.com")
    (token,) = tokens_sent(member)

    response = accept(juma, token)

    assert response.status_code == 200
    assert (response.json()["data"]["id"], response.json()["data"]["role"]) == (str(member.tenant_id), "admin")
    switched = (
        juma.client()
        .post("/api/v1/auth/switch-tenant/", {"tenant": str(member.tenant_id)}, format="json")
        .json()["data"]
    )
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {switched['access']}")
    started = client.post(
        "/api/v1/payments/", a_wish_to_pay(), format="json", headers={"Idempotency-Key": uuid.uuid4().hex}
    )
    assert started.status_code == 201
    assert member.client().get(f"/api/v1/payments/{started.json()['data']['id']}/").status_code == 200


@db
def test_a_new_person_registers_and_then_accepts(member, client):
    invite(member)
    (token,) = tokens_sent(member)
    body = {"email": "juma@example.com", "password": PASSWORD}
    access = client.post("/api/v1/auth/register/", body, format="json").json()["data"]["access"]
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")

    response = client.post(ACCEPT, {"token": token}, format="json")

    assert response.status_code == 200
    assert Membership.objects.get(tenant_id=member.tenant_id, user__email="juma@example.com").role == "member"


@db
def test_nobody_accepts_without_signing_in(member, client):
    invite(member)

    response = client.post(ACCEPT, {"token": tokens_sent(member)[0]}, format="json")

    assert refusal(response) == (401, "not_authenticated")
    assert Invitation.objects.get().accepted_at is None


@db
def test_somebody_in_no_tenant_at_all_can_accept(member):
    invite(member)
    juma = make_member()
    membership_of(juma).delete()

    assert accept(juma, tokens_sent(member)[0]).status_code == 200


@db
def test_a_token_is_good_once(member, stranger):
    invite(member)
    (token,) = tokens_sent(member)
    accept(make_member(), token)

    assert refusal(accept(stranger, token)) == (422, "invitation_invalid")
    assert Membership.objects.filter(tenant_id=member.tenant_id).count() == 2


@db
@pytest.mark.parametrize("why", ["made up", "expired", "revoked", "replaced", "suspended", "its sender is gone"])
def test_a_token_that_is_not_good_opens_nothing(member, stranger, why):
    admin = add_member(member, "admin")
    created = invite(admin).json()["data"]
    (token,) = tokens_sent(member)
    if why == "made up":
        token = "x" * 43
    elif why == "expired":
        Invitation.objects.update(expires_at=timezone.now())
    elif why == "revoked":
        assert member.client().delete(f"{URL}{created['id']}/").status_code == 200
    elif why == "replaced":
        assert member.client().post(f"{URL}{created['id']}/resend/").status_code == 200
    elif why == "suspended":
        Tenant.objects.update(suspended_at=timezone.now())
    else:
        member.client().delete(f"/api/v1/tenants/members/{membership_of(admin).pk}/")

    assert refusal(accept(stranger, token)) == (422, "invitation_invalid")
    assert not Membership.objects.filter(tenant_id=member.tenant_id, user=stranger.user).exists()


@db
def test_a_demoted_admins_invitations_die(member):
    admin = add_member(member, "admin")
    invite(admin)

    path = f"/api/v1/tenants/members/{membership_of(admin).pk}/"
    member.client().patch(path, {"role": "member"}, format="json")

    assert Invitation.objects.get().status == "revoked"


@db
def test_sending_again_makes_a_new_token_and_another_week(member, stranger):
    created = invite(member).json()["data"]
    Invitation.objects.update(expires_at=timezone.now())

    response = member.client().post(f"{URL}{created['id']}/resend/")

    assert response.json()["data"]["sends"] == 2
    assert Invitation.objects.get().expires_at - timezone.now() > timedelta(days=6, hours=23)
    first, second = tokens_sent(member)
    assert first != second
    assert accept(stranger, second).status_code == 200


@db
def test_an_address_has_one_open_invitation_at_a_time(member):
    created = invite(member).json()["data"]

    assert refusal(invite(member, email="JUMA@example.com")) == (409, "invitation_pending")
    member.client().delete(f"{URL}{created['id']}/")
    assert invite(member).status_code == 201
    assert [each["status"] for each in member.client().get(URL).json()["data"]["results"]] == ["pending", "revoked"]


@db
def test_an_expired_invitation_gives_way_to_a_new_one(member):
    invite(member)
    Invitation.objects.update(expires_at=timezone.now())

    assert invite(member).status_code == 201


@db
def test_a_member_cannot_be_invited_or_accept_again(member):
    person = add_member(member)
    invite(member)

    assert refusal(invite(member, email=person.user.email)) == (422, "already_member")
    assert refusal(accept(person, tokens_sent(member)[0])) == (422, "already_member")
    assert Invitation.objects.get().status == "pending"


@db
def test_what_is_accepted_or_revoked_is_neither_sent_again_nor_revoked(member, stranger):
    created = invite(member).json()["data"]
    accept(stranger, tokens_sent(member)[0])

    path = f"{URL}{created['id']}/"
    assert refusal(member.client().post(f"{path}resend/")) == (422, "invitation_closed")
    assert refusal(member.client().delete(path)) == (422, "invitation_closed")
    assert Invitation.objects.get().status == "accepted"


@db
def test_plain_members_neither_see_nor_send_invitations(member):
    created = invite(member).json()["data"]
    person = add_member(member)

    answers = [
        person.client().get(URL),
        invite(person, email="x@example.com"),
        person.client().post(f"{URL}{created['id']}/resend/"),
        person.client().delete(f"{URL}{created['id']}/"),
    ]

    assert [refusal(each) for each in answers] == [(403, "admins_only")] * 4
    assert Invitation.objects.get().sends == 1


@db
def test_a_strangers_invitation_and_a_random_one_look_the_same(member, stranger):
    created = invite(member).json()["data"]

    for ask in (
        lambda pk: stranger.client().post(f"{URL}{pk}/resend/"),
        lambda pk: stranger.client().delete(f"{URL}{pk}/"),
    ):
        answers = [ask(pk) for pk in (created["id"], uuid.uuid4())]
        assert refusal(answers[0]) == (404, "not_found")
        assert answers[0].content == answers[1].content
    assert stranger.client().get(URL).json()["data"]["results"] == []
    assert Invitation.objects.get().status == "pending"


@db
def test_the_message_says_who_invites_to_what_and_where_to_go(member):
    invite(member)

    text = messages_of(member)[0].text

    assert re.search(r"Asha invites you to .+: http\S+/accept-invitation\?token=\{secret\}$", text)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_two_people_with_one_token_one_gets_in():
    owner, people, outcomes = make_member(), [make_member(), make_member()], []
    invite(owner)
    (token,), start = tokens_sent(owner), threading.Barrier(2)

    def race(person: Member) -> None:
        start.wait()
        try:
            accept_invitation(user_id=person.user.pk, token=token)
            outcomes.append("in")
        except InvitationInvalid:
            outcomes.append("out")
        finally:
            connection.close()

    threads = [threading.Thread(target=race, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["in", "out"]
    assert Membership.objects.filter(tenant_id=owner.tenant_id).count() == 2


@pytest.mark.django_db
def test_whoever_invites_too_many_is_slowed_down_before_texts_cost_money(settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"invitations_person": (2, timedelta(hours=1))}
    member = make_member()
    client = member.client()

    answers = [
        client.post("/api/v1/tenants/invitations/", {"email": f"limited{number}@example.com"}, format="json")
        for number in range(3)
    ]

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert len(tokens_sent(member)) == 2
