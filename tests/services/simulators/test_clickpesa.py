"""ClickPesa's side of the wire: tokens, validation, queries, and an independent client."""

from __future__ import annotations

import time

import clickpesa as independent
import pytest

from services.simulators.signing import LEGACY, checksum
from tests.services.simulators.conftest import CHECKSUM_KEY, ClickPesa, running, wait_for

UNAUTHORIZED = {"message": "Unauthorized"}


def refused_fields(message: str) -> dict:
    return {"statusCode": 400, "message": [message], "error": "Bad Request"}


def test_an_independent_client_completes_preview_push_and_query(simulator):
    client = independent.ClickPesaClient(
        "demo-client", "demo-api-key", base_url=f"{simulator.url}/clickpesa/third-parties"
    )
    push = {
        "amount": "5000",
        "currency": "TZS",
        "orderReference": "ORD2026000123",
        "phoneNumber": "255712345678",
    }
    look = {**push, "fetchSenderDetails": True}

    preview = client.preview_ussd_push(
        "5000",
        independent.Currency.TZS,
        "ORD2026000123",
        "255712345678",
        fetch_sender_details=True,
        checksum=checksum(CHECKSUM_KEY, look),
    )
    started = client.initiate_ussd_push(
        "5000", independent.Currency.TZS, "ORD2026000123", "255712345678", checksum=checksum(CHECKSUM_KEY, push)
    )
    [payment] = wait_for(
        lambda: [p for p in client.query_payment_status("ORD2026000123") if p["status"] != "PROCESSING"]
    )

    assert {method["name"] for method in preview["activeMethods"]} >= {"TIGO-PESA", "M-PESA"}
    assert preview["sender"]["accountNumber"] == "255712345678"
    assert started["status"] == "PROCESSING"
    assert started["collectedAmount"] == "5000"
    assert payment["status"] == "SUCCESS"
    assert payment["collectedAmount"] == 5000
    assert client.query_all_payments({"orderReference": "ORD2026000123"})["totalCount"] == 1


def test_an_independent_client_reads_our_errors(simulator):
    base_url = f"{simulator.url}/clickpesa/third-parties"
    client = independent.ClickPesaClient("demo-client", "demo-api-key", base_url=base_url)
    stranger = independent.ClickPesaClient("demo-client", "another", base_url=base_url)

    with pytest.raises(independent.ClickPesaNotFoundError, match="Invalid or missing payment: NOPE"):
        client.query_payment_status("NOPE")
    with pytest.raises(independent.ClickPesaAuthError, match="Invalid or Expired API-Key"):
        stranger.query_payment_status("NOPE")
    with pytest.raises(independent.ClickPesaValidationError, match="checksum is required"):
        client.initiate_ussd_push("5000", independent.Currency.TZS, "ORD1", "255712345678")


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ({}, 401, UNAUTHORIZED),
        ({"client-id": "demo-client"}, 401, UNAUTHORIZED),
        ({"client-id": "x", "api-key": "demo-api-key"}, 403, {"message": "Invalid client details"}),
        ({"client-id": "demo-client", "api-key": "x"}, 403, {"message": "Invalid or Expired API-Key"}),
    ],
)
def test_a_token_needs_the_right_credentials(clickpesa, headers, status, body):
    answer = clickpesa.get_token(**headers)

    assert (answer.status_code, answer.json()) == (status, body)


@pytest.mark.parametrize("token", ["", "Bearer x", "x"])
def test_every_call_needs_a_token(clickpesa, token):
    clickpesa.token = token

    answers = [
        clickpesa.initiate(clickpesa.order()),
        clickpesa.preview(clickpesa.order()),
        clickpesa.query("ORD1"),
        clickpesa.query("all"),
    ]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(401, UNAUTHORIZED)] * 4
    assert clickpesa.simulator.http.get("/simulator/clickpesa/charges").json() == {"charges": []}


def test_the_token_starts_with_bearer_and_goes_verbatim(clickpesa):
    assert clickpesa.token.startswith("Bearer ")

    clickpesa.token = clickpesa.token.removeprefix("Bearer ")

    assert clickpesa.query("ORD1").status_code == 401


def test_a_token_expires(receiver):
    with running({"SIMULATOR_CLICKPESA_TOKEN_LIFETIME": "0.5"}) as simulator:
        caller = ClickPesa(simulator=simulator)
        caller.sign_in()
        assert caller.query("ORD1").status_code == 404

        wait_for(lambda: caller.query("ORD1").status_code == 401)
        caller.sign_in()

        assert caller.query("ORD1").status_code == 404


@pytest.mark.parametrize("operation", ["initiate", "preview"])
@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"amount": 5000}, refused_fields("amount must be a string")),
        *(
            ({"amount": amount}, refused_fields("amount must be a whole number of shillings greater than zero"))
            for amount in ("", "0", "-5", "5000.00", "5e3", "05000", " 5000", "5,000", "\u0665")
        ),
        ({"currency": "USD"}, refused_fields("currency must be TZS")),
        *(
            (
                {"orderReference": reference},
                {"message": "Invalid Order Reference, should only contain alphanumeric characters and cannot be blank"},
            )
            for reference in ("", "ORD-1", "ORD_1", "ORD 1", "ORD1\n", "\u00c9", None, 5)
        ),
        (
            {"orderReference": "A" * 21},
            {"message": "Order Reference should be less than or equal to 20 characters"},
        ),
        *(
            ({"phoneNumber": phone}, {"message": "Invalid / unsupported phone number"})
            for phone in ("+255712345000", "0712345000", "25571234500", "254712345000", "255212345000", 255712345000)
        ),
    ],
)
def test_a_wrong_field_is_refused_in_the_documented_words(clickpesa, operation, changes, body):
    answer = getattr(clickpesa, operation)(clickpesa.order(**{"reference": "ORD1", **changes}))

    assert (answer.status_code, answer.json()) == (400, body)
    assert clickpesa.query("all").json() == {"data": [], "totalCount": 0}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"a": NaN}'])
def test_a_body_that_is_no_json_object_is_refused(clickpesa, body):
    answer = clickpesa.initiate(body)

    assert answer.status_code == 400
    assert answer.json()["error"] == "Bad Request"


@pytest.mark.parametrize("operation", ["initiate", "preview"])
def test_a_missing_or_wrong_checksum_is_refused(clickpesa, operation):
    call = getattr(clickpesa, operation)
    order = clickpesa.order()
    unsigned = {key: value for key, value in order.items() if key != "checksum"}

    assert call(unsigned).json() == refused_fields("checksum is required")
    assert call({**order, "amount": "6000"}).json() == refused_fields("Invalid checksum")
    assert call({**order, "checksumMethod": "legacy"}).json() == refused_fields("Invalid checksum")
    assert clickpesa.query("ORD1").status_code == 404


def test_the_legacy_method_is_accepted_when_it_is_named(clickpesa):
    order = clickpesa.order()
    legacy = {**order, "checksum": checksum(CHECKSUM_KEY, order, LEGACY), "checksumMethod": "legacy"}

    assert clickpesa.initiate(legacy).status_code == 200


def test_without_a_key_neither_requests_nor_callbacks_are_signed(receiver):
    environ = {"SIMULATOR_CLICKPESA_CHECKSUM_KEY": "", "SIMULATOR_CLICKPESA_CALLBACK_URL": receiver.url}
    with running(environ) as simulator:
        caller = ClickPesa(simulator=simulator)
        caller.sign_in()
        order = caller.order("UNSIGNED1")
        del order["checksum"]

        answer = caller.initiate(order)
        [callback] = wait_for(lambda: receiver.about("UNSIGNED1"))

    assert answer.status_code == 200
    assert callback.keys() == {"event", "data"}


def test_a_push_is_answered_as_documented(clickpesa):
    answer = clickpesa.initiate(clickpesa.order(amount="15000"))

    body = answer.json()
    assert answer.status_code == 200
    assert body.pop("id").startswith("LCPPAY")
    assert body.pop("createdAt").endswith("Z")
    assert body == {
        "status": "PROCESSING",
        "channel": "TIGO-PESA",
        "orderReference": "ORD1",
        "collectedAmount": "15000",
        "collectedCurrency": "TZS",
        "clientId": "demo-client",
    }


def test_a_reference_is_good_for_one_push(clickpesa):
    first = clickpesa.initiate(clickpesa.order())
    again = clickpesa.initiate(clickpesa.order())
    changed = clickpesa.initiate(clickpesa.order(amount="6000"))

    refusal = {"message": "Order reference ORD1 already used: Create a different reference"}
    assert first.status_code == 200
    assert [(answer.status_code, answer.json()) for answer in (again, changed)] == [(409, refusal)] * 2
    charge = clickpesa.simulator.charge("ORD1")
    assert (charge["submitted"], charge["pushes"], charge["amount"]) == (3, 1, 5000)


def test_a_preview_does_not_use_the_reference_up(clickpesa):
    assert clickpesa.preview(clickpesa.order()).status_code == 200
    assert clickpesa.query("ORD1").status_code == 404
    assert clickpesa.initiate(clickpesa.order()).status_code == 200


def test_a_preview_needs_no_phone_and_then_names_no_sender(clickpesa):
    body = {"amount": "5000", "currency": "TZS", "orderReference": "ORD1", "fetchSenderDetails": True}

    answer = clickpesa.preview({**body, "checksum": checksum(CHECKSUM_KEY, body)})

    assert answer.status_code == 200
    assert answer.json().keys() == {"activeMethods"}


def test_the_amount_is_a_number_only_when_queried(clickpesa):
    clickpesa.initiate(clickpesa.order())

    [payment] = clickpesa.query("ORD1").json()

    assert payment["collectedAmount"] == 5000
    assert isinstance(payment["collectedAmount"], int)
    assert payment["status"] == "PROCESSING"
    assert "paymentReference" not in payment


def test_an_unknown_payment_is_404_in_the_documented_words(clickpesa):
    answer = clickpesa.query("NOPE")

    assert (answer.status_code, answer.json()) == (404, {"message": "Invalid or missing payment: NOPE"})


def test_all_payments_are_listed_filtered_and_cut(clickpesa):
    for number, phone in enumerate(("255712345000", "255754345101", "255754345000")):
        clickpesa.initiate(clickpesa.order(f"ORD{number}", phone))
        time.sleep(0.01)
    wait_for(lambda: clickpesa.status("ORD2") == "SUCCESS")

    def listed(**params: str) -> list[str]:
        return [payment["orderReference"] for payment in clickpesa.query("all", **params).json()["data"]]

    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert listed() == ["ORD2", "ORD1", "ORD0"]
    assert listed(orderBy="ASC") == ["ORD0", "ORD1", "ORD2"]
    assert listed(status="FAILED") == ["ORD1"]
    assert listed(channel="M-PESA", status="SUCCESS") == ["ORD2"]
    assert listed(skip="1", limit="1") == ["ORD1"]
    assert listed(startDate="2020-01-01", endDate="31-12-2020") == []
    assert "ORD0" in listed(startDate="2020-01-01")
    assert clickpesa.query("all", limit="1").json()["totalCount"] == 3
    assert clickpesa.query("all", startDate=f"{today}T00").status_code == 400
    assert clickpesa.query("all", skip="-1").status_code == 400
    assert clickpesa.query("all", orderBy="UP").status_code == 400


def test_an_unknown_path_and_a_wrong_method_answer_json(simulator):
    unknown = simulator.http.get("/clickpesa/third-parties/nothing")
    wrong = simulator.http.get("/clickpesa/third-parties/generate-token")

    assert (unknown.status_code, unknown.json()["statusCode"]) == (404, 404)
    assert (wrong.status_code, wrong.json()["statusCode"]) == (405, 405)
