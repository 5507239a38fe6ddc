"""Nobody learns whether an address or a number is known: not from status, body or headers, and not from the time.

Each door is asked about known and unknown people in turn. The time is judged with full figures only (`make invariants`)
and with production's password hasher: a busy computer must not fail the suite.
"""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import User, VerificationCode
from apps.accounts.services.codes import code_of
from config.settings import base
from tests.factories.accounts import PASSWORD
from tests.figures import Figure, RecordFigure
from tests.limits import fresh_address

WRONG = "si-hiyo-kabisa-1"
QUICK, FULL = 8, 200
TOLERANCE = 0.10  # of the median for unknown people
_numbers = count(30_000_000)


@dataclass(frozen=True)
class Somebody:
    """Whom a door is asked about; whether they exist is not among what is said."""

    email: str
    phone: str


def somebody() -> Somebody:
    return Somebody(f"{uuid.uuid4().hex}@example.com", f"+2557{next(_numbers)}")


def a_wrong_guess(person: Somebody) -> dict[str, str]:
    challenge = ask("request-otp", {"phone": person.phone}).json()["data"]["challenge"]
    right = int(code_of(VerificationCode.objects.get(pk=challenge)))
    return {"challenge": challenge, "code": f"{(right + 1) % 1_000_000:06d}"}


# What is sent to each door about a person. Making the body is not part of the time.
DOORS: dict[str, Callable[[Somebody], dict[str, str]]] = {
    "login": lambda person: {"email": person.email, "password": WRONG},
    "register": lambda person: {"email": person.email, "password": WRONG, "phone": person.phone},
    "reset-password": lambda person: {"email": person.email},
    "request-otp": lambda person: {"phone": person.phone},
    "verify-otp": a_wrong_guess,
}


def ask(door: str, body: dict[str, str]):
    return APIClient(REMOTE_ADDR=fresh_address()).post(f"/api/v1/auth/{door}/", body, format="json")


def told(response: Any) -> tuple[int, Any, dict[str, str]]:
    """An answer without what names this one request: leaves of `data` by their type, and no lengths of tokens."""
    body = response.json()
    headers = {
        name: value for name, value in response.headers.items() if name not in {"X-Request-ID", "Content-Length"}
    }
    return response.status_code, body | {"data": shape(body["data"])}, headers


def shape(value: object) -> object:
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return type(value).__name__


@pytest.fixture
def tries(figure: Figure, settings) -> int:
    chosen = figure(quick=QUICK, full=FULL)
    if chosen == FULL:
        settings.PASSWORD_HASHERS = base.PASSWORD_HASHERS
    return chosen


@pytest.fixture
def known(tries) -> list[Somebody]:
    """People who have proven both an address and a number."""
    people = [somebody() for _ in range(tries)]
    proven_at, password = timezone.now(), make_password(PASSWORD)
    User.objects.bulk_create(
        User(
            email=each.email,
            phone=each.phone,
            password=password,
            email_verified_at=proven_at,
            phone_verified_at=proven_at,
        )
        for each in people
    )
    return people


@pytest.mark.invariant("I52")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("door", DOORS)
def test_known_and_unknown_people_are_answered_alike(door, known, record_figure: RecordFigure):
    for warm_up in (known[0], somebody()):
        ask(door, DOORS[door](warm_up))
    seconds: dict[bool, list[float]] = {True: [], False: []}
    answers: list[Any] = []

    for number, person in enumerate(known):
        # In turn, so that neither always comes second: after the other's garbage, or with warmer caches.
        order = [(True, person), (False, somebody())]
        for is_known, whom in order if number % 2 else reversed(order):
            body = DOORS[door](whom)
            started = time.perf_counter()
            response = ask(door, body)
            seconds[is_known].append(time.perf_counter() - started)
            answers.append(told(response))

    assert all(answer == answers[0] for answer in answers)
    if len(known) == FULL:
        for_known, for_unknown = (1000 * statistics.median(seconds[is_known]) for is_known in (True, False))
        difference = abs(for_known - for_unknown) / for_unknown
        figure = f"{door}: n = {len(known)}, medians {for_known:.2f} and {for_unknown:.2f} ms, {difference:.1%} apart"
        record_figure(figure)
        assert difference < TOLERANCE, figure
