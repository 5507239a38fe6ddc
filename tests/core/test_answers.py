"""Between a view and the wire: the envelope, the refusals, request ids and the line in the log."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
from django.utils.translation import gettext_lazy as _
from rest_framework.test import APIClient

from apps.accounts.services.sessions import SessionRevoked
from apps.tenants.permissions import NotAMember
from core import framework_errors
from core.catalogue import all_codes, as_markdown, entries
from core.exception_handler import http_status
from core.exceptions import (
    DomainError,
    NotFound,
)
from core.idempotency.decorator import IdempotencyInProgress, IdempotencyKeyRequired, IdempotencyKeyReused
from core.logging import JsonFormatter
from core.parsers import PayloadTooLarge
from core.renderers import dump_json
from core.response_wrapper import error_envelope, success_envelope
from services.http import GatewayUnavailable
from tests.core import planted
from tests.envelope import faults_in, refusal_of

pytestmark = pytest.mark.urls("tests.core.planted")
TOKEN = "a-callback-secret-in-the-path"


@pytest.fixture
def client(db: None) -> APIClient:
    return APIClient(raise_request_exception=False)


# --- The envelope ----------------------------------------------------------------------------------------------------


def test_a_plain_response_is_wrapped(client):
    response = client.get("/plain/")

    assert response.json() == {"status": "success", "message": "", "data": {"a": 1}}


def test_a_plain_error_response_is_reworded_and_its_text_kept_from_the_client(client):
    response = client.get("/plain-error/")

    assert refusal_of(response) == (404, "not_found")
    assert planted.SECRET.encode() not in response.content


def test_a_third_partys_view_speaks_the_envelope_too(member_client):
    member_client.raise_request_exception = False

    assert member_client.get("/third/").json() == {"status": "success", "message": "", "data": [1, 2]}
    assert refusal_of(member_client.post("/third/")) == (400, "validation_error")
    assert refusal_of(member_client.delete("/third/")) == (405, "method_not_allowed")
    # Stock DRF would look for a parser and a renderer for these.
    assert faults_in(member_client.get("/third/", HTTP_ACCEPT="text/html")) == []
    assert refusal_of(APIClient().get("/third/"))[0] == 401


def test_no_content_has_no_content(client):
    response = client.get("/nothing/")

    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["X-Request-ID"]


def test_lazy_words_become_text(client):
    response = client.get("/lazy/")

    assert response.json() == {
        "status": "success",
        "message": "Not found.",
        "data": {"word": "Not found.", "words": ["Not found."]},
    }


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("forbidden", 403, "permission_denied"),
        ("not-allowed", 405, "method_not_allowed"),
        ("teapot", 418, "bad_request"),
        ("http404", 404, "not_found"),
        ("permission-denied", 403, "permission_denied"),
        ("suspicious", 400, "bad_request"),
        ("rule-violated", 422, "rule_violated"),
        ("operational", 503, "temporarily_unavailable"),
        ("defect", 500, "internal_error"),
    ],
)
def test_a_view_outside_drf_is_put_in_our_words(client, what, status, code):
    response = client.get(f"/django/{what}/")

    body = response.json()
    assert (response.status_code, body["code"]) == (status, code)
    assert set(body) == {"status", "message", "data", "code", "errors"}
    assert b"html" not in response.content
    assert response.headers.get("Allow") == ("GET" if what == "not-allowed" else None)


def test_the_envelopes_have_the_same_keys_every_time():
    assert success_envelope() == {"status": "success", "message": "", "data": None}
    assert error_envelope(message="m", code="c") == {
        "status": "error",
        "message": "m",
        "data": None,
        "code": "c",
        "errors": {},
    }


def test_an_answer_that_is_no_json_is_an_error_of_ours_and_not_half_an_answer():
    assert dump_json({"a": _("Not found."), 1: {"x"}}) == b'{"a":"Not found.","1":["x"]}'
    with pytest.raises(TypeError):
        dump_json({"a": object()})


# --- Refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("malformed", 400, "bad_request"),
        ("not-authenticated", 401, "not_authenticated"),
        ("not-permitted", 403, "permission_denied"),
        ("not-found", 404, "not_found"),
        ("conflict", 409, "idempotency_in_progress"),
        ("rule-violated", 422, "rule_violated"),
        ("unavailable", 503, "temporarily_unavailable"),
        ("drf-validation", 400, "validation_error"),
        ("drf-validation-list", 400, "validation_error"),
        ("drf-parse", 400, "malformed_json"),
        ("drf-not-authenticated", 403, "permission_denied"),  # nobody to challenge: the view has no authenticator
        ("drf-permission", 403, "permission_denied"),
        ("drf-not-found", 404, "not_found"),
        ("drf-not-acceptable", 406, "not_acceptable"),
        ("drf-media-type", 415, "unsupported_media_type"),
        ("drf-throttled", 429, "throttled"),
        ("drf-unknown", 418, "bad_request"),
        ("http404", 404, "not_found"),
        ("permission-denied", 403, "permission_denied"),
        ("suspicious", 400, "bad_request"),
        ("operational", 503, "temporarily_unavailable"),
        ("interface", 503, "temporarily_unavailable"),
        ("defect", 500, "internal_error"),
    ],
)
def test_a_refusal_has_the_status_of_its_kind_and_its_own_code(client, what, status, code):
    response = client.get(f"/raises/{what}/")

    body = response.json()
    assert (response.status_code, body["code"]) == (status, code)
    assert set(body) == {"status", "message", "data", "code", "errors"}
    assert planted.SECRET.encode() not in response.content


def test_a_refusal_carries_what_its_use_case_told(client):
    response = client.get("/raises/conflict/")

    assert response.json() == {
        "status": "error",
        "message": "Not found.",
        "data": {"id": 1},
        "code": "idempotency_in_progress",
        "errors": {"field": ["taken"]},
    }
    assert response.headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("what", "header", "value"),
    [
        ("not-authenticated", "WWW-Authenticate", 'Bearer realm="api"'),
        ("unavailable", "Retry-After", "2"),
        ("unavailable-for-9", "Retry-After", "9"),
        ("operational", "Retry-After", "2"),
        ("interface", "Retry-After", "2"),
        ("drf-throttled", "Retry-After", "5"),
        ("not-found", "Retry-After", None),
        ("malformed", "WWW-Authenticate", None),
    ],
)
def test_the_headers_of_http_go_with_their_status(client, what, header, value):
    assert client.get(f"/raises/{what}/").headers.get(header) == value


@pytest.mark.parametrize("what", ["drf-validation", "drf-validation-list"])
def test_field_errors_stand_in_an_object(client, what):
    field = "field" if what == "drf-validation" else "non_field_errors"

    assert client.get(f"/raises/{what}/").json()["errors"] == {field: ["wrong"]}


@pytest.mark.parametrize(
    ("leaf", "status"),
    [
        (IdempotencyKeyRequired, 400),
        (SessionRevoked, 401),
        (NotAMember, 403),
        (NotFound, 404),
        (IdempotencyInProgress, 409),
        (PayloadTooLarge, 413),
        (IdempotencyKeyReused, 422),
        (GatewayUnavailable, 503),
        (DomainError, 400),
    ],
)
def test_a_leaf_has_the_status_of_its_kind(leaf, status):
    assert http_status(leaf) == status


def test_a_code_has_one_status_and_every_framework_error_is_listed():
    listed = entries()

    assert len({entry.code for entry in listed}) == len(listed) > 30
    assert {error.code for error in framework_errors.ALL} <= all_codes()
    assert all(entry.message.strip() for entry in listed)
    for entry in listed:
        assert f"| {entry.status} | `{entry.code}` |" in as_markdown()


# --- Request ids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["a", "0f8d1a52-3f6b-4d0e-8a53-6a5e4f0f2b77", "Trace_1.2-3", "x" * 64])
def test_a_plain_request_id_is_kept(client, given):
    assert client.get("/plain/", HTTP_X_REQUEST_ID=given).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", " ", "x" * 65, "a b", "a\nb", "\xff", "<script>", 'a"b', "a;b"])
def test_a_request_id_that_could_hurt_a_log_is_replaced(client, given):
    answered = client.get("/plain/", HTTP_X_REQUEST_ID=given).headers["X-Request-ID"]

    assert answered != given
    assert re.fullmatch(r"[0-9a-f]{32}", answered)


@pytest.mark.parametrize("path", ["/raises/defect/", "/raises/not-found/", "/nowhere/", "/django/forbidden/"])
def test_a_refusal_carries_the_request_id_too(client, path):
    assert client.get(path, HTTP_X_REQUEST_ID="mine-1").headers["X-Request-ID"] == "mine-1"


def test_two_requests_have_two_ids(client):
    assert client.get("/plain/").headers["X-Request-ID"] != client.get("/plain/").headers["X-Request-ID"]


# --- The log ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def lines() -> Any:
    """What production would print, a parsed object per line."""
    printed: list[str] = []

    class Printer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            printed.append(self.format(record))

    printer = Printer()
    printer.setFormatter(JsonFormatter())
    loggers = [logging.getLogger(name) for name in ("", "django.server")]
    for logger in loggers:
        logger.addHandler(printer)
    yield lambda: [json.loads(line) for line in printed]
    for logger in loggers:
        logger.removeHandler(printer)


def test_a_request_is_one_line_with_its_id_status_and_time(client, lines):
    client.get("/plain/", HTTP_X_REQUEST_ID="mine-1")

    (line,) = lines()
    assert line["message"] == "GET /plain/"
    assert (line["status"], line["request_id"], line["level"]) == (200, "mine-1", "info")
    assert line["ms"] >= 0


@pytest.mark.urls("config.urls")
def test_a_request_line_names_the_person_and_the_tenant(member, member_client, lines):
    member_client.get("/api/v1/payments/")

    (line,) = lines()
    assert (line["user_id"], line["tenant_id"]) == (str(member.user.pk), str(member.tenant_id))


def test_the_route_is_logged_and_not_the_path(client, lines):
    client.get(f"/secret/{TOKEN}/?token={TOKEN}")

    assert any(line["message"] == "GET /secret/<slug:token>/" for line in lines())
    assert TOKEN not in str(lines())


@pytest.mark.urls("config.urls")
@pytest.mark.parametrize("kind", ["webhooks/clickpesa", "messaging/reports/beem"])
def test_a_callbacks_secret_is_in_no_log(client, lines, kind, monkeypatch):
    from django.db import OperationalError

    from apps.messaging.views import callbacks as messaging
    from apps.payments.views import callbacks as payments

    def away(**_kwargs: object) -> None:
        raise OperationalError("away")

    def broken(**_kwargs: object) -> None:
        raise RuntimeError("broken")

    for behaviour in (None, away, broken):
        if behaviour is not None:
            monkeypatch.setattr(payments, "receive_callback", behaviour)
            monkeypatch.setattr(messaging, "receive_callback", behaviour)
        for method in ("POST", "GET", "FOO"):
            client.generic(method, f"/api/v1/{kind}/{TOKEN}/", data="{}", content_type="application/json")

    assert len(lines()) > 9
    assert TOKEN not in str(lines())


def test_an_unknown_path_is_not_logged_as_it_came(client, lines):
    client.get(f"/nowhere/{TOKEN}/")

    (line,) = lines()
    assert (line["message"], line["status"]) == ("GET (no route)", 404)


def test_a_defect_is_logged_with_its_traceback_and_without_its_secrets(client, lines):
    response = client.get("/raises/defect/")

    assert refusal_of_500(response) == "internal_error"
    (told,) = [line for line in lines() if "exception" in line]
    assert told["level"] == "error"
    assert "RuntimeError" in told["exception"]
    assert "planted.py" in told["exception"]
    assert planted.SECRET not in str(lines())
    assert "712345" not in str(lines())
    assert told["request_id"] == response.headers["X-Request-ID"]


def refusal_of_500(response: Any) -> str:
    assert response.status_code == 500
    body = response.json()
    assert set(body) == {"status", "message", "data", "code", "errors"}
    return str(body["code"])


@pytest.mark.parametrize("what", ["operational", "interface"])
def test_a_database_that_is_away_is_logged_without_its_address(client, lines, what):
    client.get(f"/raises/{what}/")

    assert any("database unavailable" in line["message"] for line in lines())
    assert planted.SECRET not in str(lines())
