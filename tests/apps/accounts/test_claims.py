"""An e-mail address is a claim until it is proven, and one account can prove it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core import mail
from django.db import IntegrityError, connections, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import EmailLink, User
from apps.accounts.services.accounts import register
from apps.accounts.services.links import send_link, token_of
from tests.factories.accounts import PASSWORD, make_member
from tests.limits import fresh_address

AUTH = "/api/v1/auth"
OTHER = "nyingine-kabisa-8"
pytestmark = pytest.mark.django_db


def post(name: str, body: dict[str, str]):
    return APIClient(REMOTE_ADDR=fresh_address()).post(f"{AUTH}/{name}/", body, format="json")


def link_of(user: User) -> EmailLink:
    return EmailLink.objects.filter(user=user).latest("created_at")


def prove(user: User):
    return post("verify-email", {"token": token_of(link_of(user))})


def shape(value: object) -> object:
    """A value with every leaf replaced by its type."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return type(value).__name__


@pytest.fixture
def owner() -> User:
    return make_member(email="asha@example.com").user


@pytest.fixture
def claimant(owner) -> User:
    return register(email="asha@example.com", password=OTHER)


@pytest.mark.invariant("I52")
@pytest.mark.parametrize("is_proven", [True, False])
def test_registration_answers_alike_for_known_and_unknown_addresses(owner, is_proven):
    if is_proven:
        prove(owner)

    known, unknown = (
        post("register", {"email": email, "password": OTHER}) for email in ("asha@example.com", "neema@example.com")
    )

    assert known.status_code == unknown.status_code == 201
    assert shape(known.json()) == shape(unknown.json())
    assert known.json()["message"] == unknown.json()["message"]
    assert {name for name, _ in known.items()} == {name for name, _ in unknown.items()}


def test_whoever_follows_the_link_has_the_address_and_the_others_cannot_prove_it_any_more(owner, claimant):
    assert prove(claimant).status_code == 200
    refused = prove(owner)

    assert (refused.status_code, refused.json()["code"]) == (422, "link_invalid")
    assert User.objects.holder_of("asha@example.com") == claimant


def test_while_nobody_has_proven_it_the_address_is_with_who_claimed_it_first(owner, claimant):
    assert User.objects.holder_of("Asha@Example.com ") == owner


def test_the_owner_of_a_proven_address_is_told_and_gets_no_link(owner):
    prove(owner)
    claimant = register(email="asha@example.com", password=OTHER)

    send_link(link_id=link_of(claimant).pk)

    (sent,) = mail.outbox
    assert sent.to == ["asha@example.com"]
    assert "have an account with it already" in sent.body
    assert "token=" not in sent.body


def test_a_reset_proves_the_address_of_its_holder(owner, claimant):
    link = EmailLink.objects.create(
        user=owner, purpose="reset_password", email=owner.email, expires_at=timezone.now() + timedelta(hours=1)
    )

    response = post("reset-password-confirm", {"token": token_of(link), "password": "mpya-kabisa-9"})

    assert response.status_code == 200
    owner.refresh_from_db()
    assert owner.is_email_verified
    assert prove(claimant).status_code == 422


def test_the_database_refuses_a_second_proof(owner, claimant):
    prove(owner)

    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=claimant.pk).update(email_verified_at=timezone.now())


def test_a_third_claimant_takes_no_sign_in_from_the_holder(owner, claimant):
    register(email="asha@example.com", password="ya-tatu-kabisa-9")

    assert post("login", {"email": "asha@example.com", "password": PASSWORD}).status_code == 200


def test_the_fifth_registration_with_one_address_is_the_last_for_now(settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"register_account": (5, settings.RATE_LIMITS["register_account"][1])}
    email = f"{fresh_address()}@example.com"
    answers = [post("register", {"email": email, "password": f"{OTHER}-{number}"}) for number in range(6)]

    assert [answer.status_code for answer in answers] == [201] * 5 + [429]


@pytest.mark.django_db(transaction=True)
def test_of_equal_registrations_at_once_all_get_one_account():
    email = f"{fresh_address()}@example.com"

    def one(_: int) -> str:
        try:
            return str(post("register", {"email": email, "password": OTHER}).json()["data"]["user"]["id"])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(one, range(4)))) == 1
    assert User.objects.filter(email=email).count() == 1
