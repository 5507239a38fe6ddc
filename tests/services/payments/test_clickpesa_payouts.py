"""ClickPesa's payouts, and the callbacks about them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from core.money import AmountNotRepresentable, Money
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    BankAccount,
    CurrencyNotSupported,
    GatewayRefused,
    PayoutNotSupported,
    PayoutRequest,
    PhoneNotSupported,
    Subject,
    TransferId,
    TransferNotFound,
    TransferStatus,
    WebhookRejected,
)
from services.payments.providers.clickpesa import ClickPesaGateway
from tests.services import wire
from tests.services.payments.clickpesa_case import KEY, OPTIONS, TOKEN, answered, clickpesa, offline, signed

PHONE = PayoutRequest(reference="PAY2026000001", money=Money(100_000, "TZS"), phone="+255712345678", name="Asha Juma")
BANK = PayoutRequest(
    reference="PAY2026000002",
    money=Money(2_000_000, "TZS"),
    bank=BankAccount(bank="EQBLTZTZ", number="123456789", name="John Doe"),
)
PAYOUT = TransferId(reference=PHONE.reference)
[_token, CREATE] = wire.exchanges("clickpesa", "payout_phone_accepted")
[_token, QUERY] = wire.exchanges("clickpesa", "payout_query_succeeded")
ROW = QUERY["answer"]["json"][0]


@pytest.mark.parametrize(("request_", "kind"), [(PHONE, "phone"), (BANK, "bank")], ids=["phone", "bank"])
def test_a_payout_is_on_its_way_and_its_money_is_what_was_ordered_without_the_fee(request_, kind):
    with clickpesa(*wire.exchanges("clickpesa", f"payout_{kind}_accepted")) as gateway:
        result = gateway.payout(request_)

    assert result.status is TransferStatus.PENDING
    assert result.money == request_.money
    assert result.provider_reference


def test_an_amount_leaves_as_a_whole_number():
    with wire.playing(*wire.exchanges("clickpesa", "payout_phone_accepted")) as (url, player):
        ClickPesaGateway(base_url=url + "/third-parties", **OPTIONS).payout(PHONE)

    assert b'"amount":1000,' in player.heard[1].body


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (replace(PHONE, money=Money(100_050, "TZS")), AmountNotRepresentable),
        (replace(PHONE, money=Money(0, "TZS")), AmountNotRepresentable),
        (replace(PHONE, money=Money(-100, "TZS")), AmountNotRepresentable),
        (replace(PHONE, money=Money(1_050, "USD")), AmountNotRepresentable),
        (replace(PHONE, money=Money(1_000, "KES")), CurrencyNotSupported),
        (replace(BANK, money=Money(1_000, "KES")), CurrencyNotSupported),
        (replace(PHONE, phone="+254712345678"), PhoneNotSupported),
        (replace(PHONE, phone=""), PhoneNotSupported),
        (replace(BANK, bank=BankAccount(bank="CRDB", number="1234", name="x")), PayoutNotSupported),
        (replace(BANK, bank=BankAccount(bank="EQBLTZTZ", number="12 34", name="x")), PayoutNotSupported),
        (replace(BANK, bank=BankAccount(bank="EQBLTZTZ", number="1234", name=" ")), PayoutNotSupported),
    ],
)
def test_what_cannot_be_paid_out_is_refused_without_a_call(request_, refusal):
    gateway = offline()

    for ask in (gateway.check_payout, gateway.payout):
        with pytest.raises(refusal):
            ask(request_)


def test_a_bank_account_is_told_what_is_wrong_with_it():
    with pytest.raises(PayoutNotSupported) as caught:
        offline().check_payout(replace(BANK, bank=BankAccount(bank="nmb", number="1", name="")))

    assert list(caught.value.errors) == ["bank", "number", "name"]


def test_whole_dollars_are_paid_out():
    offline().check_payout(replace(PHONE, money=Money(1_000, "USD")))


@pytest.mark.parametrize("reference", ["", "a" * 21, "PAY-1", "all"])
def test_a_reference_it_would_not_take_is_our_mistake(reference):
    with pytest.raises(ValueError, match="1 to 20"):
        offline().payout(replace(PHONE, reference=reference))
    with pytest.raises(ValueError, match="1 to 20"):
        offline().query_payout(TransferId(reference=reference))


def test_an_empty_account_is_a_refusal():
    with clickpesa(*wire.exchanges("clickpesa", "payout_refused")) as gateway, pytest.raises(GatewayRefused) as caught:
        gateway.payout(PHONE)

    assert caught.value.reason == "insufficient_funds"


@pytest.mark.parametrize(
    ("status", "message", "wait"),
    [
        (429, "Only one payout is allowed per 60 seconds. Please wait 42 seconds", 42),
        (400, "Please wait 42 seconds before creating another payout", 42),
        (400, ["You can create a payout once every 60 seconds, try again in 7s"], 7),
        (400, "Too many requests, retry in 1 minute", 60),
        (403, "Rate limit: one payout per minute. Try again later", 60),
        (400, "One payout per 60s", 60),
        (429, "", 60),
        (429, "Please wait 0 seconds", 1),
    ],
)
def test_a_payout_too_soon_after_another_was_not_looked_at_and_waits(status, message, wait):
    with (
        clickpesa(TOKEN, answered(CREATE, status, {"message": message})) as gateway,
        pytest.raises(GatewayUnavailable) as caught,
    ):
        gateway.payout(PHONE)

    assert caught.value.retry_after == wait


def test_the_wait_in_a_header_counts_before_the_one_in_words():
    busy = answered(CREATE, 429, {"message": "Please wait 42 seconds"})
    busy["answer"]["headers"] = {"Retry-After": "9"}

    with clickpesa(TOKEN, busy) as gateway, pytest.raises(GatewayUnavailable) as caught:
        gateway.payout(PHONE)

    assert caught.value.retry_after == 9


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Insufficient balance, top up and try again", "insufficient_funds"),
        ("Invalid / unsupported phone number", "phone"),
        ("Application has no access to PAYOUT API feature. Enable it on your application.", "not_enabled"),
        ("Invalid bic", "invalid_request"),
        ("Invalid bic, correct it and try again", "invalid_request"),
        ("The minimum is one thousand per transaction", "invalid_request"),
    ],
)
def test_other_refusals_are_not_taken_for_haste(message, reason):
    with (
        clickpesa(TOKEN, answered(CREATE, 400, {"message": message})) as gateway,
        pytest.raises(GatewayRefused) as caught,
    ):
        gateway.payout(PHONE)

    assert caught.value.reason == reason


def test_a_repeated_payout_is_answered_with_the_first_one():
    with clickpesa(*wire.exchanges("clickpesa", "payout_repeated")) as gateway:
        assert gateway.payout(PHONE).status is TransferStatus.SUCCEEDED


@pytest.mark.parametrize(
    "question",
    [
        answered(QUERY, 404, {"message": "Invalid or missing payout"}),
        answered(QUERY, 200, []),
        answered(QUERY, 500, {}),
        answered(QUERY, 403, {}),
        {**QUERY, "answer": "hang up"},
    ],
    ids=lambda question: str(question["answer"])[:40],
)
def test_a_used_reference_that_cannot_be_asked_about_is_an_unknown_outcome(question):
    used = answered(CREATE, 409, {"message": "Order reference already used"})

    with clickpesa(TOKEN, used, question) as gateway, pytest.raises(OutcomeUnknown):
        gateway.payout(PHONE)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"message": "wait 5 seconds"}),
        (200, "<html>"),
        (200, []),
        (200, {}),
        (200, {"success": True}),
        (200, {**CREATE["answer"]["json"], "orderReference": "SOMEONEELSES"}),
        (302, "{}"),
        (408, {}),
    ],
)
def test_an_answer_that_says_nothing_about_our_payout_leaves_it_unknown(status, body):
    with clickpesa(TOKEN, answered(CREATE, status, body)) as gateway, pytest.raises(OutcomeUnknown):
        gateway.payout(PHONE)


def test_silence_after_a_payout_is_an_unknown_outcome():
    with clickpesa(*wire.exchanges("clickpesa", "payout_hang_up")) as gateway, pytest.raises(OutcomeUnknown):
        gateway.payout(PHONE)


# --- Asking ---


@pytest.mark.parametrize("end", ["succeeded", "pending", "failed", "returned"])
def test_a_payout_is_asked_about(end):
    with clickpesa(*wire.exchanges("clickpesa", f"payout_query_{end}")) as gateway:
        result = gateway.query_payout(PAYOUT)

    assert result.status == end
    assert result.money == PHONE.money
    assert result.reason == ("Account closed" if end in ("failed", "returned") else "")


@pytest.mark.parametrize(
    "question", [wire.exchanges("clickpesa", "payout_query_unknown")[1], answered(QUERY, 200, [])], ids=["404", "empty"]
)
def test_a_payout_nobody_knows_is_not_found(question):
    with clickpesa(TOKEN, question) as gateway, pytest.raises(TransferNotFound):
        gateway.query_payout(PAYOUT)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {}),
        (200, "<html>"),
        (200, [1]),
        (200, [{**ROW, "orderReference": "OTHER"}]),
        (404, "<html>"),
        (500, {}),
        (429, {}),
    ],
)
def test_an_answer_about_something_else_does_not_say_that_ours_was_never_sent(status, body):
    with clickpesa(TOKEN, answered(QUERY, status, body)) as gateway, pytest.raises(GatewayUnavailable):
        gateway.query_payout(PAYOUT)


def row(minute: int, word: str) -> dict[str, Any]:
    return {**ROW, "id": f"{word}{minute}", "status": word, "createdAt": f"2026-03-04T08:{minute:02}:00.000Z"}


@pytest.mark.parametrize(
    ("found", "winner"),
    [
        ([row(1, "SUCCESS"), row(2, "FAILED")], "SUCCESS1"),
        ([row(1, "PROCESSING"), row(2, "REVERSED")], "PROCESSING1"),
        ([row(1, "TELEPORTED"), row(2, "FAILED")], "TELEPORTED1"),
        ([row(2, "FAILED"), row(1, "FAILED")], "FAILED2"),
    ],
)
def test_of_several_payouts_the_one_with_money_out_is_told(found, winner):
    with clickpesa(TOKEN, answered(QUERY, 200, found)) as gateway:
        assert gateway.query_payout(PAYOUT).provider_reference == winner


def test_a_word_nobody_knows_is_no_failure():
    with clickpesa(TOKEN, answered(QUERY, 200, [row(1, "TELEPORTED")])) as gateway:
        assert gateway.query_payout(PAYOUT).status is TransferStatus.UNKNOWN


# --- Callbacks ---


@pytest.mark.parametrize("name", ["webhook_payout", "webhook_payout_initiated", "webhook_payout_refunded"])
def test_a_callback_about_a_payout_is_read_in_our_words(name):
    recorded = wire.load("clickpesa", name)

    [event] = offline().read_webhook(Delivery(body=wire.delivery_body(recorded)))

    assert event.subject is Subject.PAYOUT
    assert event.reference == recorded["reference"]
    assert event.result.status == recorded["status"]
    # The amount in a callback has the fee in it, and no order beside it: nothing is claimed.
    assert event.result.money is None
    assert "20000" in str(event.result.raw) or "1047.10" in str(event.result.raw)


def test_the_reason_of_a_return_stands_where_clickpesa_puts_it():
    recorded = wire.load("clickpesa", "webhook_payout_refunded")

    [event] = offline().read_webhook(Delivery(body=wire.delivery_body(recorded)))

    assert event.result.reason == "Provider unavailable"


def test_a_reversal_after_a_success_is_news_of_its_own():
    gateway = offline()
    data = {"id": "P1", "orderReference": "PAY1"}

    keys = {
        gateway.read_webhook(Delivery(body=signed({"event": event, "data": {**data, "status": word}})))[0].key
        for event, word in [
            ("PAYOUT INITIATED", "AUTHORIZED"),
            ("PAYOUT INITIATED", "AUTHORIZED"),
            ("PAYOUT REVERSED", "REVERSED"),
        ]
    }

    assert keys == {"PAYOUT INITIATED:P1:AUTHORIZED", "PAYOUT REVERSED:P1:REVERSED"}


@pytest.mark.parametrize("change", [{"orderReference": None}, {"orderReference": "a b"}, {"status": "S\0"}])
def test_a_callback_that_names_no_payout_is_rejected(change):
    payload = {"event": "PAYOUT REVERSED", "data": {"id": "P1", "orderReference": "PAY1", "status": "X", **change}}

    with pytest.raises(WebhookRejected):
        offline().read_webhook(Delivery(body=signed(payload)))


def test_one_changed_byte_of_a_payouts_callback_is_rejected_or_changes_nothing():
    gateway, body = offline(), wire.delivery_body(wire.load("clickpesa", "webhook_payout"))
    [told] = gateway.read_webhook(Delivery(body=body))
    rejected = 0

    for position in range(len(body)):
        changed = bytearray(body)
        changed[position] ^= 0x01
        try:
            [read] = gateway.read_webhook(Delivery(body=bytes(changed)))
        except WebhookRejected:
            rejected += 1
        else:
            assert (read.key, read.reference, read.result.status) == (told.key, told.reference, told.result.status)

    assert rejected > len(body) * 0.9
    assert KEY not in json.dumps(told.result.raw)
