"""What a page of another origin may ask, and read: every answer, refusals that come before any view included."""

from __future__ import annotations

import pytest
from django.conf import settings

from tests.envelope import refusal_of

ORIGIN = "https://app.faraja.test"
PAYMENTS = "/api/v1/payments/"


def preflight(client, origin: str, *, method: str = "POST", headers: str = ""):
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return client.options(PAYMENTS, headers=asked)


def names(header: str) -> set[str]:
    return {name.strip().lower() for name in header.split(",")}


def test_a_page_of_ours_may_send_what_the_api_understands(client):
    answer = preflight(client, ORIGIN, headers="idempotency-key, x-csrf-token")

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert names(answer.headers["Access-Control-Allow-Headers"]) >= {
        "accept-language",
        "authorization",
        "content-type",
        "idempotency-key",
        "x-csrf-token",
        "x-request-id",
    }
    assert names(answer.headers["Access-Control-Allow-Methods"]) >= {"get", "post", "put", "patch", "delete"}
    assert "origin" in names(answer.headers["Vary"])
    assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://app.faraja.test", f"{ORIGIN}.evil.example"])
def test_a_page_elsewhere_is_promised_nothing(client, origin):
    answer = preflight(client, origin)

    assert not [name for name in answer.headers if name.lower().startswith("access-control-allow")]


@pytest.mark.parametrize(
    ("ask", "status", "code"),
    [
        (lambda client, **headers: client.get(PAYMENTS, **headers), 401, "not_authenticated"),
        (lambda client, **headers: client.get("/nothing", **headers), 404, "not_found"),
        (lambda client, **headers: client.get("/static/nothing.css", **headers), 404, "not_found"),
        (lambda client, **headers: client.get(f"{PAYMENTS}?a=%00", **headers), 400, "invalid_characters"),
        (
            lambda client, **headers: client.generic(
                "POST", PAYMENTS, b"x" * (settings.API_MAX_BODY_BYTES + 1), "application/json", **headers
            ),
            413,
            "payload_too_large",
        ),
    ],
    ids=["no token", "no route", "no file", "early", "too large"],
)
def test_a_refusal_can_be_read_wherever_it_was_made(client, db, ask, status, code):
    answer = ask(client, HTTP_ORIGIN=ORIGIN)

    assert refusal_of(answer) == (status, code)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert names(answer.headers["Access-Control-Expose-Headers"]) >= {
        "x-request-id",
        "retry-after",
        "idempotent-replayed",
    }
