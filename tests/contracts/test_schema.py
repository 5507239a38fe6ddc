"""The schema tells the truth: every operation has its examples, and real answers are what it says."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # comes with drf-spectacular, without types
from schemathesis.checks import not_a_server_error
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.python._constants.orchestrator import make_constants_value_source
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.contracts.routes import all_routes
from tests.contracts.schema import SCHEMA
from tests.contracts.test_routes import RIGHT, TOKENS, ask, made_up, quiet_client
from tests.envelope import known_codes
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.payments import a_wish_to_pay, make_payment
from tests.figures import Figure

OPERATIONS = [(path, method, spec) for path, methods in SCHEMA["paths"].items() for method, spec in methods.items()]
EACH_OPERATION = pytest.mark.parametrize(
    ("path", "method", "spec"), OPERATIONS, ids=[spec["operationId"] for _, _, spec in OPERATIONS]
)


def faults_against(schema: dict[str, Any], value: Any) -> list[str]:
    validator = Draft202012Validator({**schema, "components": SCHEMA["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def content_of(spec: dict[str, Any], status: int | str) -> dict[str, Any]:
    """The JSON content of one of an operation's answers."""
    content = spec["responses"][str(status)]["content"]
    assert list(content) == ["application/json"]
    found: dict[str, Any] = content["application/json"]
    return found


# --- What stands in it -----------------------------------------------------------------------------------------------


def test_there_is_something_to_check():
    assert len(OPERATIONS) >= 12
    assert len({spec["operationId"] for _, _, spec in OPERATIONS}) == len(OPERATIONS)


@EACH_OPERATION
def test_an_operation_has_one_success_with_an_example_that_fits_it(path, method, spec):
    if "304" in spec["responses"]:
        assert all(spec["responses"][each]["headers"]["ETag"]["required"] for each in ("200", "304"))
        assert "content" not in spec["responses"]["304"]
    (status,) = [each for each in spec["responses"] if each < "4" and each != "304"]
    if status == "302":
        assert spec["responses"][status]["headers"]["Location"]["required"]
        return
    content = content_of(spec, status)

    assert content["examples"]
    for example in content["examples"].values():
        assert faults_against(content["schema"], example["value"]) == []
        assert example["value"]["message"]


@EACH_OPERATION
def test_each_refusal_has_an_example_with_a_code_of_the_catalogue(path, method, spec):
    refusals = {status: content_of(spec, status) for status in spec["responses"] if status >= "4"}

    assert refusals.keys() >= {"400", "500", "503"}
    for status, content in refusals.items():
        assert content["examples"], status
        for code, example in content["examples"].items():
            assert faults_against(content["schema"], example["value"]) == [], (status, code)
            assert example["value"]["code"] == code
            assert code in known_codes()


@EACH_OPERATION
def test_a_body_has_an_example_that_fits_it(path, method, spec):
    if "requestBody" not in spec:
        return
    (content,) = spec["requestBody"]["content"].values()

    assert content["examples"]
    for example in content["examples"].values():
        assert faults_against(content["schema"], example["value"]) == []


@EACH_OPERATION
def test_an_operation_is_described_and_its_answers_carry_a_request_id(path, method, spec):
    assert spec["summary"]
    assert spec["tags"]
    assert all("X-Request-ID" in response["headers"] for response in spec["responses"].values())


def test_the_codes_of_the_schema_are_the_catalogue():
    assert SCHEMA["components"]["schemas"]["Refusal"]["properties"]["code"]["enum"] == sorted(known_codes())


def test_refusals_that_a_sign_in_can_meet_are_told_on_every_operation_that_needs_one():
    for path, method, spec in OPERATIONS:
        if any(spec.get("security", [])):
            told = set(content_of(spec, 401)["examples"])
            assert {"not_authenticated", "token_invalid", "token_expired", "session_revoked"} <= told, (method, path)


# --- Whether it is so ------------------------------------------------------------------------------------------------


def documented(route: Any, method: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = SCHEMA["paths"].get(route.documented_path, {}).get(method.lower())
    return found


@pytest.mark.parametrize(
    "route", [route for route in all_routes() if route.documented_path in SCHEMA["paths"]], ids=str
)
def test_a_real_success_is_what_the_schema_says(route, member):
    for method in route.operations:
        right = RIGHT[(route.view_name, method)]
        (path, *_) = route.paths(made_up(route) | right.values(member))
        body = right.body(member) if right.body else b""

        response = ask(quiet_client(member), method, path + right.query, body, **right.headers())
        if response.status_code == 302:
            continue

        spec = documented(route, method)
        assert spec is not None
        assert faults_against(content_of(spec, response.status_code)["schema"], response.json()) == []


def refusals_of_main_operations(member: Member) -> Iterator[tuple[str, str, Any]]:
    client, nobody = quiet_client(member), quiet_client()
    pay, key = "/api/v1/payments/", {"HTTP_IDEMPOTENCY_KEY": "one"}
    login = "/api/v1/auth/login/"
    yield "post", pay, ask(client, "POST", pay, a_wish_to_pay())
    yield "post", pay, ask(nobody, "POST", pay, a_wish_to_pay())
    yield "post", pay, ask(client, "POST", pay, {}, HTTP_IDEMPOTENCY_KEY="two")
    yield "post", pay, ask(client, "POST", pay, b"{", HTTP_IDEMPOTENCY_KEY="two")
    yield "post", pay, ask(client, "POST", pay, b"[" * 99 + b"]" * 99, HTTP_IDEMPOTENCY_KEY="two")
    yield "post", pay, ask(client, "POST", pay, a_wish_to_pay(gateway="none"), **key)
    yield "post", pay, ask(client, "POST", pay, a_wish_to_pay(), **key)
    yield "post", pay, ask(client, "POST", pay, b"{}", "text/plain", HTTP_IDEMPOTENCY_KEY="two")
    yield "post", pay, ask(client, "POST", pay, b" " * 2_000_000)
    yield "get", pay, ask(client, "GET", f"{pay}?page_size=0")
    yield "get", pay, ask(client, "GET", f"{pay}?status=%00")
    yield "get", "/api/v1/payments/{payment_id}/", ask(client, "GET", f"{pay}{uuid.uuid4()}/")
    yield "post", login, ask(nobody, "POST", login, {"email": member.user.email, "password": "wrong"})
    yield "post", "/api/v1/auth/refresh/", ask(nobody, "POST", "/api/v1/auth/refresh/", {"refresh": "x"})
    yield "post", "/api/v1/auth/refresh/", ask(nobody, "POST", "/api/v1/auth/refresh/", {})
    register = {"email": member.user.email, "password": PASSWORD}
    yield "post", "/api/v1/auth/register/", ask(nobody, "POST", "/api/v1/auth/register/", register | {"password": "a"})
    yield "get", "/api/v1/auth/me/", ask(quiet_client(), "GET", "/api/v1/auth/me/", HTTP_AUTHORIZATION="Bearer x")


def test_a_real_refusal_is_one_that_the_schema_lists(member):
    checked = 0

    for method, path, response in refusals_of_main_operations(member):
        content = content_of(SCHEMA["paths"][path][method], response.status_code)
        assert faults_against(content["schema"], response.json()) == []
        assert response.json()["code"] in content["examples"], (method, path, response.json()["code"])
        checked += 1

    assert checked == 17


# --- Schemathesis ----------------------------------------------------------------------------------------------------

FUZZED = schemathesis.openapi.from_dict(SCHEMA)
FUZZED.app = WSGIHandler()
FEEDBACK = FeedbackSources(constants_value_source=make_constants_value_source(FUZZED))


@pytest.fixture
def in_one_transaction(db: None) -> Iterator[None]:
    """Raw WSGI calls would close the connection that holds the test's transaction (Django's client does the same)."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@EACH_OPERATION
def test_what_the_schema_allows_and_forbids_is_answered_as_it_says(
    path, method, spec, in_one_transaction, token, figure: Figure
):
    """The quick run makes fewer cases and asks a third of them, the same whenever a failure is repeated.

    Not `FUZZED.parametrize()`: its tests have one node id for all operations, and xdist runs one test of each id.
    """
    share, examples = figure(quick=3, full=1), figure(quick=8, full=25)
    asked: list[str] = []

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    def is_answered_as_it_says(case: schemathesis.Case) -> None:
        told = repr((case.path_parameters, case.query, case.headers, case.cookies, case.media_type, case.body))
        if asked and crc32(told.encode(errors="surrogatepass")) % share:
            return
        asked.append(told)
        ask_and_compare(case, token)

    build_operation_test(
        config=FUZZED.config,
        operation=FUZZED[path][method],
        test_func=is_answered_as_it_says,
        given_kwargs={},
        feedback=FEEDBACK,
    )()

    assert asked


def ask_and_compare(case: Any, token: str) -> None:
    """Send it, and hold the answer against the schema."""
    case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}
    if "token" in (case.path_parameters or {}):
        # Made-up addresses are swept elsewhere; here the callbacks themselves are asked.
        gateway = "clickpesa" if "webhooks" in case.path else "beem"
        case.path_parameters = {"gateway": gateway, "token": TOKENS[gateway]}
        if "reports/email" in case.path:
            case.path_parameters = {"provider": "azure", "token": "demo-azure-email-callback-token"}

    case.call_and_validate(
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ]
    )


@pytest.fixture
def token(db: None) -> str:
    member = make_member()
    make_payment(member)
    return member.tokens.access
