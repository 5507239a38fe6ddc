"""What scanners send, in every field, query and path parameter of every operation: a refusal or a success, in time."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings

from core.parsers import is_storable
from tests.contracts.schema import Operation, operations, put
from tests.contracts.sweep import Asking, right_request
from tests.contracts.test_routes import ask, made_up, quiet_client
from tests.contracts.world import undone
from tests.envelope import faults_in
from tests.factories.accounts import Member
from tests.figures import Figure, RecordFigure

OPERATIONS = operations()
# Longer than this, and something in the text was obeyed or walked over many times (seconds).
TIME_LIMIT = 8.0

INJECTIONS = [
    "'",
    '"',
    "' OR '1'='1",
    "' OR 1=1-- -",
    "') OR ('a'='a",
    "1' ORDER BY 1--+",
    "' UNION SELECT NULL,version(),NULL-- -",
    "'; SELECT pg_sleep(30)-- -",
    "1 AND 1=(SELECT 1 FROM pg_sleep(30))",
    "' || pg_sleep(30) || '",
    "1) AND 8=RANDOMBLOB(500000000/2) AND (1=1",
    "' AND SLEEP(30)#",
    "'; DROP TABLE payments_payment; --",
    "\\'; SELECT 1; --",
    "1/**/AND/**/1=1",
    "%' AND 1=0 AND '%'='",
    "$$; SELECT 1; $$",
    "{{7*7}}${7*7}<%= 7*7 %>#{7*7}",
    "${jndi:ldap://127.0.0.1:1/a}",
    "%(name)s %s %d {0} {name}",
    "../../../../etc/passwd",
    "..\\..\\win.ini",
    "file:///etc/passwd",
    "<script>alert(1)</script>",
    "\r\nSet-Cookie: x=1",
    "; sleep 30; `sleep 30` $(sleep 30)",
    '{"$gt": ""}',
    "__proto__",
    "-1",
    "9" * 40,
    "1e309",
    "NaN",
    "0x7fffffff",
    "true",
    "null",
    "None",
    "",
    " ",
    "\u202e\u200b\ufeff",
    "\U0001f600" * 20,
    "A" * 5_000,
    "a\u0300" * 500,
    "00000000-0000-0000-0000-000000000000",
    "9999-99-99T99:99:99Z",
    "+999999999999999999",
    "a@b@c@example.com",
    "\x00",
    "\ud800",
]
# What is no text at all where a text belongs.
NO_TEXTS: list[Any] = [None, True, 0, -1, 1.5, 2**70, [], {}, [[]], {"a": {"b": []}}, ["x"] * 200, {"$ne": None}]


def requests_to(operation: Operation, member: Member) -> Iterator[tuple[str, list[Any], Any]]:
    """Each place of an operation where a value may stand: its name, the values for it, and how to ask with one."""
    right = right_request(operation, member)

    def in_body(path: tuple[str, ...]) -> Any:
        return lambda value: Asking(right.method, right.path, put(right.body, path, value), right.headers)

    def in_query(name: str) -> Any:
        def build(value: str) -> Asking:
            told = quote(value, safe="", errors="surrogatepass")
            return Asking(right.method, f"{right.path}?{name}={told}", right.body, right.headers)

        return build

    def in_path(name: str) -> Any:
        def build(value: str) -> Asking:
            told = quote(value, safe="", errors="surrogatepass")
            path = operation.route.paths(made_up(operation.route) | {name: told})[0]
            return Asking(right.method, path, right.body, right.headers)

        return build

    def in_header(name: str) -> Any:
        key = f"HTTP_{name.upper().replace('-', '_')}"
        return lambda value: Asking(right.method, right.path, right.body, right.headers | {key: value})

    for path, _schema in operation.body_fields():
        yield ".".join(path), [*INJECTIONS, *NO_TEXTS], in_body(path)
    for name in (*operation.parameters("query"), "unknown"):
        yield f"?{name}", INJECTIONS, in_query(name)
    for name in operation.route.converters:
        yield f"<{name}>", INJECTIONS, in_path(name)
    # Read before any view is chosen, so one operation stands for all; but signing in stores who was asking.
    common = ("Authorization", "Accept-Language", "User-Agent", "X-Request-ID", "X-Forwarded-For", "Origin", "Cookie")
    for name in (*operation.parameters("header"), *(common if str(operation) in {"auth_login", "auth_me"} else ())):
        yield name, [text for text in INJECTIONS if text.isprintable() and text.isascii()], in_header(name)


def faults_of(request: Asking, member: Member) -> list[str]:
    began = time.monotonic()
    with undone():
        response = ask(quiet_client(member), request.method, request.path, _raw(request.body), **request.headers)
    is_report = "/messaging/reports/" in request.path  # its answer says what the provider wants to hear, too
    faults = _faults_in_redirect(response) if response.status_code == 302 else faults_in(response, has_more=is_report)
    if response.status_code == 503:
        faults.append("status 503")
    if (took := time.monotonic() - began) > TIME_LIMIT:
        faults.append(f"took {took:.1f} s")
    return faults


def _faults_in_redirect(response: Any) -> list[str]:
    """Only to a registered return address, or to a provider."""
    registered = (*settings.SOCIAL_REDIRECTS.values(), "http://127.0.0.1:8001/google/o/oauth2/v2/auth")
    target = response.headers["Location"]
    return [] if target.partition("?")[0] in registered and "\n" not in target else [f"redirected to {target}"]


def _raw(body: Any) -> bytes:
    # Escaped, so that what no UTF-8 can hold travels too.
    return body if isinstance(body, bytes) else json.dumps(body).encode()


@pytest.mark.django_db
def test_no_hostile_value_anywhere_is_an_error_of_ours(member, figure: Figure, record_figure: RecordFigure):
    """In the quick run each place meets a few of the values, all of them somewhere; in the full one each meets all."""
    share = figure(quick=2, full=len(INJECTIONS) + len(NO_TEXTS))
    faults, sent, places, turns, met = [], 0, 0, Counter[int](), set()

    for operation in OPERATIONS:
        with undone():
            for place, values, build in requests_to(operation, member):
                places += 1
                for number in range(min(share, len(values))):
                    value = values[(turns[len(values)] + number) % len(values)]
                    met.add(repr(value))
                    sent += 1
                    found = faults_of(build(value), member)
                    faults += [(str(operation), place, str(value)[:40], fault) for fault in found]
                turns[len(values)] += share

    assert faults == []
    assert met >= {repr(value) for value in [*INJECTIONS, *NO_TEXTS]}
    record_figure(f"{sent} requests at {places} places of {len(OPERATIONS)} operations, 0 x 500")


@pytest.mark.django_db
def test_an_injection_that_is_a_proper_text_is_stored_as_it_is(member):
    """The control: the texts do reach the database, and nothing in them is obeyed on the way."""
    client = member.client()
    texts = [text for text in INJECTIONS if is_storable(text) and text.strip() == text and 0 < len(text) <= 200]
    assert len(texts) > 30

    for text in texts:
        body = {
            "amount": {"amount": 500_000, "currency": "TZS"},
            "phone": "+255712345678",
            "gateway": "clickpesa",
            "description": text,
        }
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        response = client.post("/api/v1/payments/", body, format="json", headers=headers)
        assert response.json()["data"]["description"] == text
