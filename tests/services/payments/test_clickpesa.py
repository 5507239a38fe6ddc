from __future__ import annotations

import hashlib
import hmac
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import example, given
from hypothesis import strategies as st

from core.money import AmountNotRepresentable, Money
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    ChargeId,
    ChargeNotFound,
    ChargeRequest,
    ChargeStatus,
    CurrencyNotSupported,
    GatewayRefused,
    PhoneNotSupported,
    Trust,
    WebhookRejected,
)
from services.payments.providers.clickpesa import ClickPesaGateway
from tests.services import wire
from tests.services.payments.clickpesa_case import (
    KEY,
    OPTIONS,
    TOKEN,
    answered,
    clickpesa,
    offline,
    signed,
    tokened,
    with_token,
)

REFERENCE = "ORD2026000123"
CHARGE = ChargeId(reference=REFERENCE)
REQUEST = ChargeRequest(reference=REFERENCE, money=Money(1_500_000, "TZS"), phone="+255712345678")
_token, PUSH = wire.exchanges("clickpesa", "charge_push_accepted")
[_token, QUERY] = wire.exchanges("clickpesa", "query_paid")
PAYMENT = QUERY["answer"]["json"][0]


def news(**data: Any) -> dict[str, Any]:
    return {"event": "PAYMENT RECEIVED", "data": {"id": "P1", "status": "SUCCESS", "orderReference": REFERENCE, **data}}


@pytest.mark.parametrize("option", ["client_id", "api_key"])
@pytest.mark.parametrize("value", ["", "  ", "secret\n"])
def test_an_unusable_credential_is_named_at_start(option, value):
    with pytest.raises(ImproperlyConfigured, match=option) as caught:
        offline(**{option: value})

    assert "secret" not in str(caught.value)


def test_without_a_checksum_key_nothing_is_signed_and_callbacks_are_hints():
    plain = {name: value for name, value in PUSH["request"]["json"].items() if name != "checksum"}

    with wire.playing(TOKEN, {**PUSH, "request": {**PUSH["request"], "json": plain}}) as (url, _player):
        gateway = ClickPesaGateway(base_url=url + "/third-parties", **{**OPTIONS, "checksum_key": ""})
        gateway.charge(REQUEST)

    assert gateway.trust is Trust.HINT
    assert offline().trust is Trust.SIGNED


# --- What can never be charged ---


@pytest.mark.parametrize("phone", ["+255712345678", "+255612345678"])
def test_tanzanian_mobile_numbers_are_taken(phone):
    offline().check(replace(REQUEST, phone=phone))


@pytest.mark.parametrize(
    "phone", ["", "255712345678", "+254712345678", "+255222123456", "+25571234567", "+2557123456789", "+25571234567٨"]
)
def test_other_numbers_are_not(phone):
    with pytest.raises(PhoneNotSupported):
        offline().check(replace(REQUEST, phone=phone))


@pytest.mark.parametrize(
    ("money", "refusal"),
    [
        (Money(1_500_000, "USD"), CurrencyNotSupported),
        (Money(1_500_050, "TZS"), AmountNotRepresentable),
        (Money(0, "TZS"), AmountNotRepresentable),
        (Money(-100, "TZS"), AmountNotRepresentable),
    ],
)
def test_only_whole_shillings_are_charged(money, refusal):
    gateway = offline()

    with pytest.raises(refusal):
        gateway.check(replace(REQUEST, money=money))
    with pytest.raises(refusal):
        gateway.charge(replace(REQUEST, money=money))


@pytest.mark.parametrize(("amount", "text"), [(100, "1"), (1_500_000, "15000"), (10**14, "1000000000000")])
def test_an_amount_leaves_as_text_in_shillings(amount, text):
    wish = {**PUSH["request"]["json"], "amount": text}
    del wish["checksum"]
    wish["checksum"] = json.loads(signed(wish))["checksum"]

    with clickpesa(TOKEN, {**PUSH, "request": {**PUSH["request"], "json": wish}}) as gateway:
        gateway.charge(replace(REQUEST, money=Money(amount, "TZS")))


@pytest.mark.parametrize("reference", ["", "a" * 21, "ORD-1", "ORD_1", "ORD 1", "ÅÄ", "../all", "all", "ALL", "A\n"])
def test_a_reference_it_would_not_take_is_our_mistake(reference):
    gateway = offline()

    with pytest.raises(ValueError, match="1 to 20"):
        gateway.charge(replace(REQUEST, reference=reference))
    with pytest.raises(ValueError, match="1 to 20"):
        gateway.query(ChargeId(reference=reference))


# --- The token ---


def test_one_token_serves_many_calls_from_many_threads():
    with clickpesa(TOKEN, *[QUERY] * 16) as gateway, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(gateway.query, [CHARGE] * 16))

    assert {result.status for result in results} == {ChargeStatus.PAID}


def test_a_token_is_renewed_before_it_ends(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("services.payments.providers.clickpesa_api.monotonic", lambda: now[0])

    with clickpesa(TOKEN, QUERY, QUERY, TOKEN, QUERY) as gateway:
        gateway.query(CHARGE)
        now[0] += 50 * 60 - 1
        gateway.query(CHARGE)
        now[0] += 1
        gateway.query(CHARGE)


def test_a_token_without_its_prefix_gets_one():
    bare = tokened(200, {"success": True, "token": "eyJhbGciOi.demo.token"})

    with clickpesa(bare, QUERY) as gateway:
        assert gateway.query(CHARGE).status is ChargeStatus.PAID


@pytest.mark.parametrize("exchange", [PUSH, QUERY], ids=["charge", "query"])
def test_an_expired_token_is_renewed_once_and_the_call_repeated(exchange):
    renewed = tokened(200, {"token": "Bearer second"})

    with clickpesa(
        TOKEN, answered(exchange, 401, {"message": "Unauthorized"}), renewed, with_token(exchange, "Bearer second")
    ) as gateway:
        result = gateway.charge(REQUEST) if exchange is PUSH else gateway.query(CHARGE)

    assert result.money == REQUEST.money


@pytest.mark.parametrize("exchange", [PUSH, QUERY], ids=["charge", "query"])
def test_a_second_401_means_that_the_credentials_are_bad(exchange):
    refused = answered(exchange, 401, {"message": "Unauthorized"})
    renewed = tokened(200, {"token": "Bearer second"})

    played = clickpesa(TOKEN, refused, renewed, with_token(refused, "Bearer second"))
    with played as gateway, pytest.raises(GatewayRefused, match="credentials") as caught:
        gateway.charge(REQUEST) if exchange is PUSH else gateway.query(CHARGE)

    assert (caught.value.reason, caught.value.detail) == ("credentials", "Unauthorized")


@pytest.mark.parametrize(
    ("status", "message"), [(401, "Unauthorized"), (403, "Invalid or Expired API-Key"), (400, "No")]
)
def test_refused_credentials_are_a_refusal(status, message):
    with clickpesa(tokened(status, {"message": message})) as gateway, pytest.raises(GatewayRefused) as caught:
        gateway.charge(REQUEST)

    assert (caught.value.reason, caught.value.detail) == ("credentials", message)


@pytest.mark.parametrize(
    "failure",
    [
        tokened(500, {"message": "Internal server error"}),
        tokened(429, "{}"),
        tokened(302, "{}"),
        tokened(200, "<html>"),
        tokened(200, {"success": True}),
        tokened(200, {"token": ""}),
        tokened(200, {"token": "two\nlines"}),
        tokened(200, []),
        {**TOKEN, "answer": "hang up"},
    ],
    ids=lambda failure: str(failure["answer"])[:40],
)
def test_without_a_token_nothing_was_charged(failure):
    with clickpesa(failure) as gateway, pytest.raises(GatewayUnavailable):
        gateway.charge(REQUEST)


def test_without_a_second_token_nothing_was_charged_either():
    played = clickpesa(TOKEN, answered(PUSH, 401, {}), {**TOKEN, "answer": "hang up"})
    with played as gateway, pytest.raises(GatewayUnavailable):
        gateway.charge(REQUEST)


def test_threads_that_meet_an_expired_token_together_share_the_renewal():
    issued: list[str] = []
    met = threading.Barrier(4)

    def handler(connection):
        while (request := wire.hear(connection)) is not None:
            if request.target.endswith("/generate-token"):
                issued.append(f"Bearer {len(issued) + 1}")
                connection.sendall(wire.answer(200, json.dumps({"token": issued[-1]}).encode()))
            elif request.headers["authorization"] == "Bearer 1":
                met.wait(5)
                connection.sendall(wire.answer(401))
            else:
                connection.sendall(wire.answer(200, json.dumps([PAYMENT]).encode()))

    with wire.listening(handler) as url, ThreadPoolExecutor(4) as pool:
        gateway = ClickPesaGateway(base_url=url + "/third-parties", **OPTIONS)
        results = list(pool.map(gateway.query, [CHARGE] * 4))

    assert {result.status for result in results} == {ChargeStatus.PAID}
    assert issued == ["Bearer 1", "Bearer 2"]


# --- Charging ---


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("PENDING", ChargeStatus.PENDING),
        ("PROCESSING", ChargeStatus.PENDING),
        ("ON-HOLD", ChargeStatus.PENDING),
        ("SUCCESS", ChargeStatus.PAID),
        ("SETTLED", ChargeStatus.PAID),
        ("FAILED", ChargeStatus.DECLINED),
        ("REFUNDED", ChargeStatus.PAID),
        ("REVERSED", ChargeStatus.PAID),
        ("TELEPORTED", ChargeStatus.UNKNOWN),
        (None, ChargeStatus.UNKNOWN),
        (["SUCCESS"], ChargeStatus.UNKNOWN),
    ],
)
def test_each_word_has_one_meaning_everywhere(word, status):
    body = {**PUSH["answer"]["json"], "status": word, "message": "Because"}

    with clickpesa(TOKEN, answered(PUSH, 200, body), answered(QUERY, 200, [body])) as gateway:
        charged, asked = gateway.charge(REQUEST), gateway.query(CHARGE)
    [told] = gateway.read_webhook(Delivery(body=signed({"event": "PAYMENT RECEIVED", "data": body})))

    assert charged == asked == told.result
    assert charged.status is status
    assert charged.raw["status"] == word
    assert charged.refunded == (REQUEST.money if word in ("REFUNDED", "REVERSED") else None)
    assert charged.reason == ("Because" if status is ChargeStatus.DECLINED else "")


@pytest.mark.parametrize("error", wire.load("clickpesa", "errors")["errors"], ids=lambda error: str(error["json"])[:60])
def test_a_client_error_is_a_refusal_with_a_short_reason(error):
    with (
        clickpesa(TOKEN, answered(PUSH, error["status"], error["json"])) as gateway,
        pytest.raises(GatewayRefused) as caught,
    ):
        gateway.charge(REQUEST)

    assert caught.value.reason == error["reason"]
    message = error["json"].get("message", "HTTP 422")
    assert caught.value.detail == (message[0] if isinstance(message, list) else message)


def test_too_many_requests_charged_nothing():
    busy = answered(PUSH, 429, {})
    busy["answer"]["headers"] = {"Retry-After": "7"}

    with clickpesa(TOKEN, busy) as gateway, pytest.raises(GatewayUnavailable) as caught:
        gateway.charge(REQUEST)

    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"message": "Error validating fee, try again later"}),
        (502, "<html>"),
        (200, "<html>"),
        (200, []),
        (200, {}),
        (200, {"success": True}),
        (200, {**PUSH["answer"]["json"], "orderReference": "SOMEONEELSES"}),
        (200, "[" * 5000),
        (302, "{}"),
        (408, {}),
    ],
)
def test_an_answer_that_says_nothing_about_our_charge_leaves_it_unknown(status, body):
    with clickpesa(TOKEN, answered(PUSH, status, body)) as gateway, pytest.raises(OutcomeUnknown):
        gateway.charge(REQUEST)


@pytest.mark.parametrize(
    "question",
    [
        answered(QUERY, 404, {"message": "Invalid or missing payment"}),
        answered(QUERY, 200, []),
        answered(QUERY, 500, {}),
        answered(QUERY, 403, {}),
        {**QUERY, "answer": "hang up"},
    ],
    ids=lambda question: str(question["answer"])[:40],
)
def test_a_used_reference_that_cannot_be_asked_about_is_an_unknown_outcome(question):
    used = answered(PUSH, 409, {"message": f"Order reference {REFERENCE} already used: Create a different reference"})

    with clickpesa(TOKEN, used, question) as gateway, pytest.raises(OutcomeUnknown):
        gateway.charge(REQUEST)


def test_a_push_is_given_its_own_patience():
    release = threading.Event()

    def slow_push(connection):
        while (request := wire.hear(connection)) is not None:
            if request.target.endswith("/generate-token"):
                connection.sendall(wire.answer(200, json.dumps(TOKEN["answer"]["json"]).encode()))
            elif not release.wait(0.6):
                connection.sendall(wire.answer(200, json.dumps(PUSH["answer"]["json"]).encode()))

    with wire.listening(slow_push) as url:
        patient = ClickPesaGateway(base_url=url + "/third-parties", read_timeout=5.0, **OPTIONS)
        hasty = ClickPesaGateway(base_url=url + "/third-parties", read_timeout=0.2, **OPTIONS)

        assert patient.charge(REQUEST).status is ChargeStatus.PENDING
        with pytest.raises(OutcomeUnknown):
            hasty.charge(REQUEST)


# --- Asking ---


def at(minute: int, status: str, **more: Any) -> dict[str, Any]:
    created = f"2026-03-04T08:{minute:02}:00.000Z"
    return {**PAYMENT, "id": f"{status}{minute}", "status": status, "createdAt": created, **more}


@pytest.mark.parametrize(
    ("found", "winner"),
    [
        ([at(1, "FAILED"), at(2, "SUCCESS"), at(3, "FAILED")], "SUCCESS2"),
        ([at(3, "PROCESSING"), at(1, "SETTLED")], "SETTLED1"),
        ([at(2, "SETTLED"), at(1, "SUCCESS")], "SUCCESS1"),
        ([at(1, "FAILED"), at(2, "PROCESSING")], "PROCESSING2"),
        ([at(2, "PROCESSING"), at(1, "FAILED")], "PROCESSING2"),
        ([at(1, "PROCESSING"), at(2, "SUCCESS", orderReference="OTHER")], "PROCESSING1"),
        ([at(1, "PROCESSING"), at(2, "SUCCESS", orderReference=f"{REFERENCE}retry1")], "PROCESSING1"),
        (["junk", None, at(1, "PROCESSING")], "PROCESSING1"),
        ([at(1, "REFUNDED"), at(2, "SUCCESS")], "SUCCESS2"),
        ([at(1, "REVERSED"), at(2, "REFUNDED"), at(3, "FAILED")], "REVERSED1"),
    ],
)
def test_of_several_payments_a_paid_one_of_ours_wins_and_else_the_newest(found, winner):
    with clickpesa(TOKEN, answered(QUERY, 200, found)) as gateway:
        assert gateway.query(CHARGE).provider_reference == winner


def test_a_payment_that_went_back_stays_paid_and_says_how_much_did():
    with clickpesa(*wire.exchanges("clickpesa", "query_reversed")) as gateway:
        result = gateway.query(CHARGE)

    assert result.status is ChargeStatus.PAID
    assert result.money == result.refunded == REQUEST.money


def test_a_payment_that_went_back_without_an_amount_claims_nothing():
    with clickpesa(TOKEN, answered(QUERY, 200, [at(1, "REFUNDED", collectedAmount=None)])) as gateway:
        result = gateway.query(CHARGE)

    assert (result.status, result.money, result.refunded) == (ChargeStatus.UNKNOWN, None, None)


def test_an_empty_list_is_not_found():
    with clickpesa(TOKEN, answered(QUERY, 200, [])) as gateway, pytest.raises(ChargeNotFound):
        gateway.query(CHARGE)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {}),
        (200, "<html>"),
        (200, [1]),
        (200, [{**PAYMENT, "orderReference": "OTHER"}]),
        (500, {}),
        (429, {}),
        (302, "{}"),
        (404, "<html>"),
    ],
)
def test_an_answer_about_something_else_does_not_say_that_ours_was_never_made(status, body):
    with clickpesa(TOKEN, answered(QUERY, status, body)) as gateway, pytest.raises(GatewayUnavailable):
        gateway.query(CHARGE)


@pytest.mark.parametrize(
    ("amount", "currency", "money"),
    [
        ("15000", "TZS", Money(1_500_000, "TZS")),
        ("15000.50", "TZS", Money(1_500_050, "TZS")),
        ("15000.505", "TZS", None),
        ("1.5e4", "TZS", Money(1_500_000, "TZS")),
        ('"15000"', "TZS", Money(1_500_000, "TZS")),
        ('"15,000"', "TZS", None),
        ("null", "TZS", None),
        ("true", "TZS", None),
        ("[1]", "TZS", None),
        ("15000", "XXX", None),
        ("1e30", "TZS", None),
    ],
)
def test_an_amount_is_read_exactly_or_not_at_all(amount, currency, money):
    payment = {**PAYMENT, "collectedAmount": "AMOUNT", "collectedCurrency": currency}
    text = json.dumps([payment]).replace('"AMOUNT"', amount)

    with clickpesa(TOKEN, answered(QUERY, 200, text)) as gateway:
        assert gateway.query(CHARGE).money == money


# --- Callbacks ---


def test_the_checksum_may_come_in_a_header():
    payload = json.loads(signed(news()))
    checksum = payload.pop("checksum")
    delivery = Delivery(body=json.dumps(payload).encode(), headers={"x-clickpesa-signature": checksum})

    [event] = offline().read_webhook(delivery)

    assert event.reference == REFERENCE


@pytest.mark.parametrize("claim", [None, "", "0" * 64, 5, ["x"], "é", "\ud800"])
def test_a_callback_without_the_right_checksum_is_rejected(claim):
    body = json.dumps({**news(), "checksum": claim}).encode()

    with pytest.raises(WebhookRejected):
        offline().verify(Delivery(body=body))
    with pytest.raises(WebhookRejected):
        offline().verify(Delivery(body=body, headers={"x-clickpesa-signature": "é"}))


def test_a_checksum_made_with_another_key_is_rejected():
    with pytest.raises(WebhookRejected):
        offline().verify(Delivery(body=signed(news(), key="another")))


def test_the_legacy_method_vouches_for_flat_bodies_only():
    def legacy(payload: dict[str, Any], text: str) -> Delivery:
        checksum = hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
        return Delivery(body=json.dumps({**payload, "checksum": checksum, "checksumMethod": "legacy"}).encode())

    gateway = offline()

    gateway.verify(legacy({"b": "2", "a": 1}, "12"))
    # What JavaScript prints for any nested `data`: such a checksum would be the same for every amount.
    with pytest.raises(WebhookRejected):
        gateway.verify(legacy(news(), "[object Object]PAYMENT RECEIVED"))


def test_without_a_key_any_json_object_passes_and_nothing_else():
    gateway = offline(checksum_key="")

    gateway.verify(Delivery(body=b'{"event": "x"}'))
    for body in (b"", b"[]", b'"x"', b"{", b"\xff"):
        with pytest.raises(WebhookRejected):
            gateway.verify(Delivery(body=body))


def test_a_callback_in_letters_beyond_ascii_is_verified():
    body = signed(news(message="Zoë Mkámbala / <karibu>", customer={"customerName": "\u2028 😀"}))

    [event] = offline().read_webhook(Delivery(body=body))

    assert event.result.raw["message"] == "Zoë Mkámbala / <karibu>"


def test_the_form_of_2025_is_read():
    recorded = wire.load("clickpesa", "webhook_paid_2025")

    [event] = offline().read_webhook(Delivery(body=wire.delivery_body(recorded)))

    assert event.result.provider_reference == "ORD123456LCP7890"
    assert (event.result.status, event.result.money) == (ChargeStatus.PAID, REQUEST.money)


def test_news_about_deposits_is_nobodys_news():
    assert offline().read_webhook(Delivery(body=signed({"event": "DEPOSIT RECEIVED", "data": {}}))) == []


def test_success_and_settlement_of_one_payment_are_two_pieces_of_news():
    gateway = offline()

    keys = {
        gateway.read_webhook(Delivery(body=signed(payload)))[0].key
        for payload in (news(), news(message="again"), news(status="SETTLED"), news(id="P2"))
    }

    assert keys == {
        "PAYMENT RECEIVED:P1:SUCCESS",
        "PAYMENT RECEIVED:P1:SETTLED",
        "PAYMENT RECEIVED:P2:SUCCESS",
    }


def test_a_payment_without_an_id_is_told_apart_by_its_reference():
    [event] = offline().read_webhook(Delivery(body=signed(news(id=None))))

    assert event.key == f"PAYMENT RECEIVED:{REFERENCE}:SUCCESS"
    assert event.result.provider_reference == ""


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"data": news()["data"]},
        {"event": 5, "data": news()["data"]},
        {"event": "PAYMENT RECEIVED"},
        {"event": "PAYMENT RECEIVED", "data": []},
        news(orderReference=None),
        news(orderReference=""),
        news(orderReference=["x"]),
        news(orderReference="a\0b"),
        news(orderReference="x" * 101),
        news(status="S\0"),
        {**news(), "event": "PAYMENT " + "x" * 200},
    ],
    ids=lambda payload: ascii(payload)[:70],
)
def test_a_callback_that_names_no_payment_is_rejected_though_it_is_signed(payload):
    gateway = offline()
    delivery = Delivery(body=signed(payload))

    gateway.verify(delivery)
    with pytest.raises(WebhookRejected):
        gateway.parse(delivery)


def test_what_is_kept_of_a_callback_can_be_stored():
    body = signed(news(message="a\0b", collectedAmount=15000, collectedCurrency="TZS", status="FAILED"))
    assert b"\\u0000" in body

    [event] = offline().read_webhook(Delivery(body=body))

    assert "\\u0000" not in json.dumps(event.result.raw, ensure_ascii=False)
    assert event.result.reason == "a\ufffdb"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
LOOKALIKE = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from(["PAYMENT RECEIVED", "PAYOUT REVERSED", ""]) | JSON,
        "eventType": JSON,
        "checksum": st.text() | JSON,
        "data": st.fixed_dictionaries(
            {},
            optional={
                "id": JSON,
                "paymentId": JSON,
                "status": st.sampled_from(["SUCCESS", "FAILED"]) | JSON,
                "orderReference": st.just(REFERENCE) | JSON,
                "collectedAmount": JSON,
                "collectedCurrency": st.just("TZS") | JSON,
                "message": JSON,
            },
        )
        | JSON,
    },
)
BODIES = st.binary(max_size=200) | (LOOKALIKE | JSON).map(lambda value: json.dumps(value).encode())
HEADERS = st.dictionaries(st.just("x-clickpesa-signature") | st.text(max_size=9), st.text(max_size=70), max_size=2)


@given(body=BODIES, headers=HEADERS, key=st.sampled_from(["", KEY]))
@example(body=b"[" * 100_000, headers={}, key=KEY)
@example(body=b'{"a":' * 100_000, headers={}, key="")
@example(body=b'{"a": 1e99999999999999999999}', headers={}, key=KEY)
@example(body=b'{"a": ' + b"9" * 5000 + b"}", headers={}, key=KEY)
@example(body=b'{"a": NaN}', headers={}, key="")
@example(body=b'{"checksum": "\\ud800"}', headers={"x-clickpesa-signature": "\ud800"}, key=KEY)
def test_no_delivery_raises_anything_but_a_rejection(body, headers, key):
    gateway = ClickPesaGateway(base_url="http://127.0.0.1:1", **{**OPTIONS, "checksum_key": key})
    delivery = Delivery(body=body, headers=headers)

    try:
        gateway.verify(delivery)
        assert not key, "nobody guesses a checksum"
    except WebhookRejected:
        pass
    try:
        events = gateway.parse(delivery)
    except WebhookRejected:
        return

    for event in events:
        assert event.reference.isascii()
        assert event.reference
        assert "\\u0000" not in json.dumps(event.result.raw, ensure_ascii=False).replace("\\\\", "")
