"""ClickPesa's payouts, balance and statement."""

from __future__ import annotations

import httpx
import pytest

from tests.services.simulators.conftest import ClickPesa, running, wait_for

OPENING = 10_000_000


def pay_out(
    clickpesa: ClickPesa, reference: str = "PAY1", phone: str = "255712345678", **changes: object
) -> httpx.Response:
    body = {"amount": 20_000, "currency": "TZS", "orderReference": reference, "phoneNumber": phone, **changes}
    return clickpesa.call("payouts/create-mobile-money-payout", **body)


def to_bank(clickpesa: ClickPesa, operation: str = "create", **changes: object) -> httpx.Response:
    body = {
        "amount": 20_000,
        "currency": "TZS",
        "orderReference": "BANK1",
        "accountNumber": "0150123456789",
        "accountName": "John Doe",
        "bic": "CORUTZTZ",
        "accountCurrency": "TZS",
        **changes,
    }
    return clickpesa.call(f"payouts/{operation}-bank-payout", **body)


def balance(clickpesa: ClickPesa, currency: str = "TZS") -> int:
    found = {each["currency"]: each["balance"] for each in clickpesa.get("account/balance").json()["balances"]}
    return int(found[currency])


def payout(clickpesa: ClickPesa, reference: str = "PAY1") -> dict:
    [row] = clickpesa.get(f"payouts/{reference}").json()
    return dict(row)


def test_a_payout_leaves_the_balance_with_its_fee_and_arrives(clickpesa, receiver):
    created = pay_out(clickpesa).json()
    wait_for(lambda: payout(clickpesa)["status"] == "SUCCESS")

    assert (created["status"], created["amount"], created["fee"]) == ("AUTHORIZED", "20050.00", "50.00")
    assert created["order"] == {"amount": "20000", "currency": "TZS"}
    assert created["beneficiary"]["accountNumber"] == "255712345678"
    assert balance(clickpesa) == OPENING - 20_050
    [callback] = wait_for(lambda: [each.body for each in receiver.callbacks])
    assert callback["event"] == "PAYOUT INITIATED"
    assert callback["data"]["orderReference"] == "PAY1"
    [transfer] = clickpesa.simulator.http.get("/simulator/transfers").json()["transfers"]
    assert (transfer["kind"], transfer["amount"], transfer["fee"], transfer["state"]) == ("payout", 20_000, 50, "sent")


def test_a_payout_to_101_fails_and_its_money_comes_back(clickpesa):
    pay_out(clickpesa, phone="255712345101")
    assert balance(clickpesa) == OPENING - 20_050

    wait_for(lambda: payout(clickpesa)["status"] == "FAILED")

    assert balance(clickpesa) == OPENING


def test_a_bank_payout_names_the_bank(clickpesa):
    banks = {bank["bic"]: bank["name"] for bank in clickpesa.get("list/banks").json()}

    preview, created = to_bank(clickpesa, "preview", accountName=None), to_bank(clickpesa)

    assert preview.json()["fee"] == 2360
    assert preview.json()["receiver"]["accountNumber"] == "0150123456789"
    assert created.json()["channelProvider"] == banks["CORUTZTZ"]
    assert (created.json()["channel"], created.json()["transferType"]) == ("BANK TRANSFER", "ACH")


def test_a_preview_says_what_it_costs_and_uses_nothing_up(clickpesa):
    body = {"amount": 1000, "currency": "TZS", "orderReference": "PAY1", "phoneNumber": "255712345678"}

    preview = clickpesa.call("payouts/preview-mobile-money-payout", **body).json()

    assert (preview["amount"], preview["fee"], preview["balance"]) == (1050, 50, OPENING)
    assert preview["order"] == {"amount": 1000, "currency": "TZS", "id": "PAY1"}
    assert clickpesa.get("payouts/PAY1").status_code == 404


def test_a_payout_reference_is_used_once(clickpesa):
    pay_out(clickpesa)

    again = pay_out(clickpesa, amount=1)

    assert (again.status_code, again.json()["message"]) == (
        409,
        "Order reference PAY1 already used: Create a different reference",
    )
    assert balance(clickpesa) == OPENING - 20_050


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "20000"},
        {"amount": 0},
        {"amount": -1},
        {"amount": 10.5},
        {"amount": True},
        {"amount": 1e300},
        {"currency": "KES"},
        {"orderReference": "A_1"},
        {"orderReference": "A" * 21},
        {"phoneNumber": "0712345678"},
        {"amount": OPENING},  # not enough for the fee
    ],
)
def test_a_wrong_payout_is_refused(clickpesa, changes):
    assert pay_out(clickpesa, **changes).status_code == 400
    assert clickpesa.get("payouts/all").json() == {"data": [], "totalCount": 0}


@pytest.mark.parametrize(
    "changes", [{"bic": "NOWHERE"}, {"accountName": ""}, {"accountNumber": 1}, {"accountCurrency": "USD"}]
)
def test_a_wrong_bank_payout_is_refused(clickpesa, changes):
    assert to_bank(clickpesa, **changes).status_code == 400


def test_a_payout_whose_answer_was_lost_was_made(clickpesa):
    clickpesa.simulator.control("faults", provider="clickpesa", operation="payout", fault="error_after")

    assert pay_out(clickpesa).status_code == 500

    assert payout(clickpesa)["amount"] == "20050.00"
    assert pay_out(clickpesa).status_code == 409


@pytest.mark.parametrize(
    ("state", "name", "moment"), [("reversed", "reverse", "reversedAt"), ("refunded", "refund", "refundedAt")]
)
def test_money_that_came_back_is_told_and_is_on_the_account(clickpesa, receiver, state, name, moment):
    pay_out(clickpesa)
    wait_for(lambda: payout(clickpesa)["status"] == "SUCCESS")

    clickpesa.simulator.control("transfers/clickpesa/PAY1/flip", state=state, tells=True)

    told = wait_for(
        lambda: [each.body for each in receiver.callbacks if each.body["event"] == f"PAYOUT {state.upper()}"]
    )
    assert told[0]["data"]["status"] == state.upper()
    assert moment in told[0]["data"][name]
    assert payout(clickpesa)["status"] == state.upper()
    assert balance(clickpesa) == OPENING
    assert clickpesa.simulator.http.post("/simulator/transfers/clickpesa/NOPE/flip", json={}).status_code == 404


def test_payouts_are_listed_and_filtered(clickpesa):
    pay_out(clickpesa, "PAY1")
    to_bank(clickpesa)

    def listed(**params: str) -> list[str]:
        return [row["orderReference"] for row in clickpesa.get("payouts/all", **params).json()["data"]]

    assert listed() == ["BANK1", "PAY1"]
    assert listed(channel="BANK TRANSFER") == ["BANK1"]
    assert listed(orderReference="PAY1", orderBy="ASC") == ["PAY1"]
    assert listed(endDate="2020-01-01") == []


def test_a_payout_a_while_can_be_the_rule():
    with running({"SIMULATOR_CLICKPESA_PAYOUT_EVERY": "60", "SIMULATOR_CLICKPESA_CALLBACK_URL": ""}) as simulator:
        caller = ClickPesa(simulator=simulator)
        caller.sign_in()

        first, second = pay_out(caller, "PAY1"), pay_out(caller, "PAY2")

    assert (first.status_code, second.status_code) == (200, 429)
    assert "60 seconds" in second.json()["message"]


def test_the_statement_adds_up(clickpesa):
    clickpesa.simulator.control("charges/clickpesa/invent", reference="ORD1", amount=7000)
    pay_out(clickpesa)

    statement = clickpesa.get("account/statement", currency="TZS").json()

    assert [(row["entry"], row["amount"]) for row in statement["transactions"]] == [("Credit", 7000), ("Debit", 20_050)]
    details = statement["accountDetails"]
    assert (details["openingBalance"], details["totalCredits"], details["totalDebits"]) == (OPENING, 7000, 20_050)
    assert details["closingBalance"] == balance(clickpesa) == OPENING + 7000 - 20_050
    assert clickpesa.get("account/statement", currency="KES").status_code == 400


def test_exchange_rates_are_listed(clickpesa):
    [rate] = clickpesa.get("exchange-rates/all", source="USD", target="TZS").json()

    assert rate["rate"] == 2510


def test_every_call_about_money_needs_a_token(clickpesa):
    clickpesa.token = ""

    answers = [
        pay_out(clickpesa),
        clickpesa.get("payouts/PAY1"),
        clickpesa.get("payouts/all"),
        clickpesa.get("account/balance"),
        clickpesa.get("account/statement"),
        clickpesa.get("list/banks"),
        clickpesa.get("exchange-rates/all"),
        clickpesa.call("checkout-link/generate-checkout-url"),
        clickpesa.call("payments/initiate-card-payment"),
    ]

    assert {answer.status_code for answer in answers} == {401}
