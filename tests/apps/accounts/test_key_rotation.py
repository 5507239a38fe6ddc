"""Changing keys signs nobody out; removing one signs out exactly its own people.

The values of `JWT_KEYS` come from `manage.py jwt_keys`, at the moments that it tells.
"""

from __future__ import annotations

import io
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts import token_backend
from apps.accounts.models import AuthSession
from core.keyring import read_ring
from tests.envelope import refusal_of
from tests.factories.accounts import PASSWORD, make_member
from tests.factories.tokens import ed_entry, hs_entry, part_of, ring, rs_entry

AUTH = "/api/v1/auth"
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
CLIENTS = 6
ACCESS, REFRESH = timedelta(minutes=15), timedelta(days=14)


def jwt_keys(*arguments: str) -> str:
    """The next value of `JWT_KEYS`, as an operator gets it."""
    out = io.StringIO()
    call_command("jwt_keys", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def me(client: APIClient, access: str) -> Any:
    return client.get(f"{AUTH}/me/", headers={"Authorization": f"Bearer {access}"})


def refresh(client: APIClient, token: str) -> Any:
    return client.post(f"{AUTH}/refresh/", {"refresh": token}, format="json")


def kid_of(token: str) -> str:
    return str(part_of(token, 0)["kid"])


class Installation:
    """Processes behind a load balancer. While a value is rolled out some have the old ring, and some the new one.

    In the place of the settings, it gives each thread the `JWT_KEYS` of the process that its request was sent to.
    """

    def __init__(self, value: str) -> None:
        self.values = [value]
        self._chosen = threading.local()

    def roll_out(self, value: str) -> None:
        self.values = [self.values[-1], value]

    def finish(self) -> None:
        self.values = self.values[-1:]

    def send_to_a_process(self, place: int | None = None) -> None:
        """The next requests of this thread go to one of them; without this, to one with the newest value."""
        self._chosen.value = random.choice(self.values) if place is None else self.values[place]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chosen, "value", self.values[-1]) if name == "JWT_KEYS" else getattr(settings, name)


@pytest.fixture
def installation(monkeypatch: pytest.MonkeyPatch) -> Installation:
    found = Installation(ring(hs_entry("first")))
    monkeypatch.setattr(token_backend, "settings", found)
    return found


@dataclass
class Phone:
    """A client that behaves: refreshes when its access token is old (or, if lazy, when its refresh token nearly is)."""

    installation: Installation
    access: str
    refresh: str
    is_lazy: bool
    http: APIClient = field(default_factory=APIClient)
    got_access: datetime = field(default_factory=timezone.now)
    got_refresh: datetime = field(default_factory=timezone.now)
    answers: Counter[str] = field(default_factory=Counter)
    false_refusals: list[Any] = field(default_factory=list)

    def use(self, times: int = 3) -> None:
        """Ask who I am, a few times, refreshing when it is time to."""
        if not self.is_lazy or timezone.now() - self.got_refresh > REFRESH - timedelta(days=1):
            self.renew()
        for _ in range(times):
            if timezone.now() - self.got_access < ACCESS:
                self._expect(200, self._ask(me, self.access))
        connections.close_all()

    def renew(self) -> None:
        """Refresh, and once more with the same token, as if the answer was lost, at another process."""
        old = self.refresh
        first = self._ask(refresh, old)
        again = self._ask(refresh, old)
        if self._expect(200, first) and self._expect(200, again):
            got = random.choice((first, again)).json()["data"]
            self.access, self.refresh = got["access"], got["refresh"]
            self.got_access = self.got_refresh = timezone.now()
        connections.close_all()

    def _ask(self, what: Any, token: str) -> Any:
        self.installation.send_to_a_process()
        return what(self.http, token)

    def _expect(self, status: int, response: Any) -> bool:
        self.answers[str(response.status_code)] += 1
        if response.status_code != status:
            self.false_refusals.append((timezone.now(), response.json()))
        return bool(response.status_code == status)


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(START) as found:
        yield found


@pytest.mark.invariant("I49")
@pytest.mark.django_db(transaction=True)
def test_no_good_token_is_refused_while_the_key_changes_under_load(installation, clock, record_figure):
    members = [make_member() for _ in range(CLIENTS)]
    phones = [
        Phone(installation, each.tokens.access, each.tokens.refresh, is_lazy=place % 3 == 0)
        for place, each in enumerate(members)
    ]
    early = phones[0].refresh

    with ThreadPoolExecutor(CLIENTS) as pool:

        def load() -> None:
            list(pool.map(Phone.use, phones))

        def change(*step: str) -> None:
            installation.roll_out(jwt_keys(*step))
            load()
            installation.finish()
            load()

        load()
        change("add", "--alg", "EdDSA")
        clock.shift(timedelta(minutes=10))
        list(pool.map(Phone.renew, phones))  # the last tokens of the first key
        last_of_the_first = phones[0].refresh
        change("promote")
        for days in (1, 5.5, 7, 1.5):  # the lazy ones refresh once, when their token of the first key is 13.5 days old
            clock.shift(timedelta(days=days))
            load()
        change("retire")

    answers = sum((phone.answers for phone in phones), Counter())
    record_figure(f"{answers.total()} requests of {CLIENTS} clients while the key changed, 0 refused")
    assert [phone.false_refusals for phone in phones if phone.false_refusals] == []
    assert set(answers) == {"200"}
    assert answers.total() > 30 * CLIENTS
    assert [kid_of(early), kid_of(last_of_the_first)] == ["first", "first"]
    assert "first" not in {kid_of(phone.refresh) for phone in phones}
    assert [key.kid for key in read_ring(installation.values[-1], "").keys] == [kid_of(phones[0].refresh)]
    assert refusal_of(refresh(APIClient(), last_of_the_first)) == (401, "token_invalid")


@pytest.mark.invariant("I49")
@pytest.mark.django_db
def test_a_process_that_was_not_told_of_the_key_refuses_its_tokens(installation):
    """What the ten minutes before a promotion are for: without them the load above would meet refusals."""
    member = make_member()
    installation.values = [jwt_keys("add")]
    with_both = installation.values[0]
    installation.values = [ring(hs_entry("first")), jwt_keys("promote")]
    installation.send_to_a_process(1)
    renewed = refresh(APIClient(), member.tokens.refresh).json()["data"]

    installation.send_to_a_process(0)
    assert refusal_of(me(APIClient(), renewed["access"])) == (401, "token_invalid")
    installation.values = [with_both]
    installation.send_to_a_process(0)
    assert me(APIClient(), renewed["access"]).status_code == 200


@pytest.mark.invariant("I40")
@pytest.mark.django_db
def test_a_lost_answer_is_given_again_after_another_key_was_promoted(settings):
    """The same generation under the same name, signed by another key: either text refreshes the session."""
    settings.JWT_KEYS = ring(hs_entry("old"), ed_entry("new"))
    member, client = make_member(), APIClient()
    before = refresh(client, member.tokens.refresh).json()["data"]
    settings.JWT_KEYS = ring(ed_entry("new"), hs_entry("old"))

    after = refresh(client, member.tokens.refresh).json()["data"]

    assert (kid_of(before["refresh"]), kid_of(after["refresh"])) == ("old", "new")
    assert part_of(before["refresh"], 1) == part_of(after["refresh"], 1)
    assert AuthSession.objects.get().generation == 2
    assert [me(client, each["access"]).status_code for each in (before, after)] == [200, 200]
    for each in (before, after):
        assert refresh(client, each["refresh"]).status_code == 200
    assert AuthSession.objects.get().generation == 3


@pytest.mark.django_db
@pytest.mark.parametrize("entry", [hs_entry, ed_entry, rs_entry], ids=["HS256", "EdDSA", "RS256"])
def test_the_same_generation_is_the_same_text_whatever_the_algorithm(settings, entry):
    settings.JWT_KEYS = ring(entry("only"))
    member, client = make_member(), APIClient()

    texts = {refresh(client, member.tokens.refresh).json()["data"]["refresh"] for _ in range(3)}

    assert len(texts) == 1
    assert kid_of(texts.pop()) == "only"


@pytest.mark.invariant("I49")
@pytest.mark.django_db
def test_removing_a_leaked_key_refuses_all_its_tokens_and_no_others(settings):
    settings.JWT_KEYS = ring(hs_entry("leaked"), ed_entry("spare"))
    client = APIClient()
    victims = [make_member() for _ in range(5)]
    credentials = {"email": victims[0].user.email, "password": PASSWORD}
    settings.JWT_KEYS = ring(ed_entry("spare"), hs_entry("leaked"))
    others = [make_member() for _ in range(5)]
    settings.JWT_KEYS = ring(hs_entry("leaked"), ed_entry("spare"))

    settings.JWT_KEYS = jwt_keys("retire", "leaked", "--now")

    for victim in victims:
        assert kid_of(victim.tokens.access) == kid_of(victim.tokens.refresh) == "leaked"
        assert refusal_of(me(client, victim.tokens.access)) == (401, "token_invalid")
        assert refusal_of(refresh(client, victim.tokens.refresh)) == (401, "token_invalid")
    for other in others:
        assert me(client, other.tokens.access).status_code == 200
        assert refresh(client, other.tokens.refresh).status_code == 200
    again = client.post(f"{AUTH}/login/", credentials, format="json").json()["data"]
    assert kid_of(again["access"]) == "spare"
    assert me(client, again["access"]).status_code == 200


@pytest.mark.django_db
def test_removing_the_only_key_leaves_a_new_one(settings):
    settings.JWT_KEYS = ""
    client, member = APIClient(), make_member()
    kid = kid_of(member.tokens.access)

    settings.JWT_KEYS = jwt_keys("retire", kid, "--now")

    assert refusal_of(me(client, member.tokens.access)) == (401, "token_invalid")
    assert me(client, make_member().tokens.access).status_code == 200


@pytest.mark.django_db
def test_a_key_is_refused_from_its_retire_at_on(settings):
    with time_machine.travel(START, tick=False) as clock:
        settings.JWT_KEYS = ring(hs_entry("old"), ed_entry("new"))
        member, client = make_member(), APIClient()
        settings.JWT_KEYS = ring(ed_entry("new"), hs_entry("old", retire_at="2026-03-01T09:05:00Z"))

        clock.shift(timedelta(minutes=5, seconds=-1))
        assert me(client, member.tokens.access).status_code == 200
        clock.shift(timedelta(seconds=1))
        assert refusal_of(me(client, member.tokens.access)) == (401, "token_invalid")
        assert refusal_of(refresh(client, member.tokens.refresh)) == (401, "token_invalid")


@pytest.mark.django_db
def test_the_first_ring_of_an_installation_keeps_its_people_signed_in(settings):
    """From `JWT_SIGNING_KEY` to `JWT_KEYS`, after which the variable is not read."""
    member, client = make_member(), APIClient()

    settings.JWT_KEYS = jwt_keys("add", "--alg", "EdDSA")
    settings.JWT_SIGNING_KEY = ""

    assert me(client, member.tokens.access).status_code == 200
    assert refresh(client, member.tokens.refresh).status_code == 200


def test_keys_are_parsed_once(settings):
    settings.JWT_KEYS = ring(rs_entry("only"))

    assert token_backend.current_ring() is token_backend.current_ring()
    assert token_backend.current_backend() is token_backend.current_backend()


def test_a_ring_that_cannot_be_used_stops_the_start(settings):
    """Not the first login: the app looks at it when it is loaded, in development too."""
    settings.JWT_KEYS = ring(hs_entry("a", retire_at="soon"))

    with pytest.raises(ImproperlyConfigured, match="key a: its retire_at must be a time with its zone"):
        apps.get_app_config("accounts").ready()
