from __future__ import annotations

import hmac
import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import example, given
from hypothesis import strategies as st

from core.money import AmountNotRepresentable, Money
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    BankAccount,
    Capability,
    ChargeRequest,
    ChargeStatus,
    CurrencyNotSupported,
    GatewayRefused,
    Method,
    MethodNotSupported,
    PayoutNotSupported,
    PayoutRequest,
    PhoneNotSupported,
    TransferStatus,
    Trust,
    WebhookRejected,
)
from services.payments.providers.beem import BeemPayGateway, transaction_id
from services.payments.providers.beem_payouts import BeemPayWithPayouts
from tests.services import wire

CASE = wire.load("beem_pay", "case")
OPTIONS: dict[str, Any] = CASE["options"]
TOKEN = OPTIONS["secure_token"]
REFERENCE = "ORD2026000123"
REQUEST = ChargeRequest(
    reference=REFERENCE, money=Money(1_500_000, "TZS"), method=Method.CHECKOUT, phone="+255712345678"
)
PAYOUT = PayoutRequest(reference="PAY2026000001", money=Money(1_000_000, "TZS"), phone="+255712345678")
[CHECKOUT] = wire.exchanges("beem_pay", "charge_checkout_accepted")
[BALANCE] = wire.exchanges("beem_pay", "balance")
[TRANSFER] = wire.exchanges("beem_pay", "payout_phone_accepted")
LINK = CHECKOUT["answer"]["json"]["src"]
PAID = wire.load("beem_pay", "webhook_paid")


def at(server: str, **options: Any) -> BeemPayWithPayouts:
    urls = {option: server + path for option, path in CASE["urls"].items()}
    return BeemPayWithPayouts(**urls, **{**OPTIONS, **options})


def offline(**options: Any) -> BeemPayWithPayouts:
    return at(wire.refused_url(), **options)


@contextmanager
def beem(*exchanges: dict[str, Any], **options: Any) -> Iterator[BeemPayWithPayouts]:
    with wire.playing(*exchanges) as (url, _player):
        yield at(url, **options)


def answered(exchange: dict[str, Any], status: int, body: Any, **headers: str) -> dict[str, Any]:
    """`exchange` with another answer: JSON, or text as it stands."""
    content = {"text": body} if isinstance(body, str) else {"json": body}
    return {**exchange, "answer": {"status": status, "headers": headers, **content}}


def token_of(reference: str) -> str:
    """The token of one charge, derived by other code than ours."""
    return hmac.new(TOKEN.encode(), f"beem-secure-token:{reference}".encode(), sha256).hexdigest()[:32]


def told(*, token: str | None = None, **changes: Any) -> Delivery:
    """The recorded callback with some fields changed (None: taken away)."""
    body = {name: value for name, value in {**PAID["json"], **changes}.items() if value is not None}
    headers = {"beem-secure-token": token_of(REFERENCE) if token is None else token}
    return Delivery(body=json.dumps(body).encode(), headers=headers if token != "" else {})


# --- What it is made of ---


@pytest.mark.parametrize("option", ["api_key", "secret_key", "secure_token", "reference_prefix"])
@pytest.mark.parametrize("value", ["", "  "])
def test_a_missing_credential_is_named_at_start(option, value):
    with pytest.raises(ImproperlyConfigured, match=option):
        offline(**{option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("token_mode", "sometimes"),
        ("secure_token", "secret\n"),
        ("reference_prefix", "SAM PLE"),
        ("wallet_codes", {}),
        ("wallet_codes", {"0712": "X"}),
        ("wallet_codes", {"25571": " "}),
    ],
)
def test_an_unusable_option_is_named_at_start_without_its_value(option, value):
    with pytest.raises(ImproperlyConfigured, match=option) as caught:
        offline(**{option: value})

    assert "secret" not in str(caught.value).replace("secret_key", "")


def test_without_wallet_codes_or_a_wallet_no_payout_is_declared():
    without = {name: OPTIONS[name] for name in OPTIONS if name not in ("account_no", "wallet_codes")}
    gateway = BeemPayGateway(checkout_url="http://127.0.0.1:1", balance_url="http://127.0.0.1:1", **without)

    assert gateway.capabilities == {Capability.CHECKOUT, Capability.BALANCE}
    assert offline().capabilities - gateway.capabilities == {Capability.PAYOUT_PHONE}
    for each in (gateway, offline(account_no=""), offline(account_no=" ")):
        assert Capability.PAYOUT_PHONE not in each.capabilities
        for ask in (each.check_payout, each.payout):
            with pytest.raises(PayoutNotSupported):
                ask(PAYOUT)


def test_the_basic_vector_of_an_independent_client():
    assert CHECKOUT["request"]["headers"]["Authorization"] == "Basic ZGVtb2tleTpkZW1vc2VjcmV0"
    assert b64decode("ZGVtb2tleTpkZW1vc2VjcmV0") == f"{OPTIONS['api_key']}:{OPTIONS['secret_key']}".encode()


@given(st.from_regex(r"[0-9A-Z]{20}", fullmatch=True), st.from_regex(r"[0-9A-Z]{20}", fullmatch=True))
def test_each_reference_has_one_transaction_id_of_version_4(one, other):
    found = UUID(transaction_id(one))

    assert found.version == 4
    assert found.variant == "specified in RFC 4122"
    assert transaction_id(one) == str(found)
    assert (transaction_id(other) == str(found)) == (one == other)


def test_the_transaction_id_never_changes():
    # Pages may be open while the kit is replaced by a newer one.
    assert transaction_id("ORD2026000123") == "be96be4b-ce79-452e-9839-9450263c3c47"


# --- Charging ---


@pytest.mark.parametrize("recording", ["charge_checkout_accepted", "charge_checkout_redirected"])
def test_a_page_waits_for_the_customer(recording):
    with wire.playing(*wire.exchanges("beem_pay", recording)) as (url, _player):
        result = at(url).charge(REQUEST)

    assert result.status is ChargeStatus.REQUIRES_ACTION
    assert urlsplit(result.checkout_url).path == "/v1/checkout/page"
    assert parse_qs(urlsplit(result.checkout_url).query) == parse_qs(urlsplit(LINK).query)
    assert result.provider_reference == transaction_id(REFERENCE)
    assert result.money is None  # Beem has said nothing about it


@pytest.mark.parametrize("phone", ["", "+254712345678"])
def test_a_number_that_beem_does_not_know_is_left_to_the_customer(phone):
    query = {name: value for name, value in CHECKOUT["request"]["query"].items() if name != "mobile"}

    with beem({**CHECKOUT, "request": {**CHECKOUT["request"], "query": query}}) as gateway:
        assert gateway.charge(replace(REQUEST, phone=phone)).checkout_url


@pytest.mark.parametrize(("mode", "token"), [("global", TOKEN), ("off", None)])
def test_the_token_that_leaves_is_the_one_of_the_mode(mode, token):
    headers = {**CHECKOUT["request"]["headers"], "beem-secure-token": token}

    with beem({**CHECKOUT, "request": {**CHECKOUT["request"], "headers": headers}}, token_mode=mode) as gateway:
        assert gateway.charge(REQUEST).checkout_url


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"method": Method.PUSH}, MethodNotSupported),
        ({"method": Method.CARD}, MethodNotSupported),
        ({"money": Money(1_000, "USD")}, CurrencyNotSupported),
        ({"money": Money(1_500_050, "TZS")}, AmountNotRepresentable),
        ({"money": Money(0, "TZS")}, AmountNotRepresentable),
        ({"money": Money(-100, "TZS")}, AmountNotRepresentable),
    ],
)
def test_what_can_never_be_charged_is_refused_without_a_call(change, refusal):
    gateway = offline()

    for ask in (gateway.check, gateway.charge):
        with pytest.raises(refusal):
            ask(replace(REQUEST, **change))


@pytest.mark.parametrize("reference", ["", "a" * 21, "ORD-1", "ORD 1", "ÅÄ", "A\n"])
def test_a_reference_that_is_none_of_ours_is_our_mistake(reference):
    with pytest.raises(ValueError, match="1 to 20"):
        offline().charge(replace(REQUEST, reference=reference))


ERROR_PAGE = "https://checkout.beem.africa/v1/checkout/error"


@pytest.mark.parametrize(
    ("status", "body", "reason", "detail"),
    [
        (
            404,
            {"src": f"{ERROR_PAGE}?message=No%20payment%20method%20set%20by%20client"},
            "not_enabled",
            "No payment method set by client",
        ),
        (200, {"src": f"{ERROR_PAGE}?message=No payment method set"}, "not_enabled", "No payment method set"),
        (200, {"src": ERROR_PAGE}, "invalid_request", "HTTP 200"),
        (401, {"code": 120, "message": "Invalid Authentication Parameters"}, "credentials", None),
        (200, {"code": "120", "message": "Invalid Authentication Parameters"}, "credentials", None),
        (401, "<html>", "credentials", "HTTP 401"),
        (403, {}, "credentials", "HTTP 403"),
        (400, {"code": 100, "message": "Invalid Mobile Number"}, "phone", "100 Invalid Mobile Number"),
        (200, {"code": 101, "message": "Invalid Amount"}, "amount", "101 Invalid Amount"),
        (400, {"code": 999, "message": "New"}, "invalid_request", "999 New"),
        (404, {"src": LINK}, "invalid_request", "HTTP 404"),
        (422, {"message": ["x"]}, "invalid_request", "HTTP 422"),
    ],
)
def test_a_refusal_has_a_short_reason_and_keeps_beems_words_for_operators(status, body, reason, detail):
    with beem(answered(CHECKOUT, status, body)) as gateway, pytest.raises(GatewayRefused) as caught:
        gateway.charge(REQUEST)

    assert caught.value.reason == reason
    assert caught.value.detail == (detail or "120 Invalid Authentication Parameters")


def test_a_redirect_to_the_error_page_is_a_refusal():
    moved = answered(CHECKOUT, 302, "", Location="/v1/checkout/error?message=Merchant%20blocked")

    with beem(moved) as gateway, pytest.raises(GatewayRefused, match="Merchant blocked"):
        gateway.charge(REQUEST)


@pytest.mark.parametrize(
    "answer",
    [
        answered(CHECKOUT, 200, "<html><body>Pay</body></html>"),
        answered(CHECKOUT, 200, {}),
        answered(CHECKOUT, 200, []),
        answered(CHECKOUT, 200, {"src": None}),
        answered(CHECKOUT, 200, {"src": "javascript:alert(1)"}),
        answered(CHECKOUT, 200, {"src": "/relative"}),
        answered(CHECKOUT, 200, {"code": 999}),
        answered(CHECKOUT, 302, ""),
        answered(CHECKOUT, 302, "", Location="http://[x/"),
        answered(CHECKOUT, 302, "", Location="javascript:alert(1)"),
        answered(CHECKOUT, 304, ""),
        answered(CHECKOUT, 500, {"src": LINK}),
        answered(CHECKOUT, 502, "<html>"),
        answered(CHECKOUT, 408, {}),
        answered(CHECKOUT, 400, {"code": 102, "message": "Invalid Transaction ID"}),
        answered(CHECKOUT, 200, {"code": 102}),
        {**CHECKOUT, "answer": "hang up"},
    ],
    ids=lambda exchange: str(exchange["answer"])[:60],
)
def test_an_answer_without_a_page_leaves_the_outcome_unknown_though_the_call_is_a_get(answer):
    with beem(answer) as gateway, pytest.raises(OutcomeUnknown):
        gateway.charge(REQUEST)


def test_too_many_requests_opened_nothing():
    busy = answered(CHECKOUT, 429, {}, **{"Retry-After": "7"})

    with beem(busy) as gateway, pytest.raises(GatewayUnavailable) as caught:
        gateway.charge(REQUEST)

    assert caught.value.retry_after == 7


def test_a_beem_that_cannot_be_reached_opened_nothing():
    with pytest.raises(GatewayUnavailable):
        offline().charge(REQUEST)


def test_neither_the_number_nor_a_secret_is_logged(caplog):
    with beem(CHECKOUT) as gateway:
        gateway.charge(REQUEST)
        said = caplog.text + repr(gateway)

    for secret in ("255712345678", OPTIONS["secret_key"], TOKEN, token_of(REFERENCE), "ZGVtb2tleTpkZW1vc2VjcmV0"):
        assert secret not in said


# --- The balance ---


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": {"credit_bal": "708.0357"}}, Money(70_803, "TZS")),
        ({"code": {"credit_bal": "5300.0000"}}, Money(530_000, "TZS")),
        ({"data": {"credit_bal": 12}}, Money(1_200, "TZS")),
        ({"code": 100, "data": {"credit_bal": "0.0000"}}, Money(0, "TZS")),
    ],
)
def test_either_form_of_the_balance_is_read(body, expected):
    with beem(answered(BALANCE, 200, body)) as gateway:
        assert gateway.balances() == [expected]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, {}, GatewayUnavailable),
        (200, [], GatewayUnavailable),
        (200, "<html>", GatewayUnavailable),
        (200, {"data": {"credit_bal": "much"}}, GatewayUnavailable),
        (200, {"data": [], "code": 100}, GatewayUnavailable),
        (500, {}, GatewayUnavailable),
        (302, "", GatewayUnavailable),
        (200, {"code": 120, "message": "x"}, GatewayRefused),
        (401, {"code": 120, "message": "x"}, GatewayRefused),
        (401, {"data": {"credit_bal": "1"}}, GatewayRefused),
    ],
)
def test_no_balance_is_silence_or_a_refusal(status, body, error):
    with beem(answered(BALANCE, status, body)) as gateway, pytest.raises(error):
        gateway.balances()
    with beem(answered(BALANCE, status, body)) as gateway, pytest.raises(error):
        gateway.probe()


# --- Payouts ---


def test_a_payout_is_done_when_beem_says_so():
    with beem(TRANSFER) as gateway:
        result = gateway.payout(PAYOUT)

    assert result.status is TransferStatus.SUCCEEDED
    assert result.provider_reference == "1619484193194"


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"money": Money(1_000, "USD")}, CurrencyNotSupported),
        ({"money": Money(1_050, "TZS")}, AmountNotRepresentable),
        ({"money": Money(0, "TZS")}, AmountNotRepresentable),
        ({"phone": ""}, PhoneNotSupported),
        ({"phone": "+254712345678"}, PhoneNotSupported),
        ({"phone": "+255612345678"}, PhoneNotSupported),  # a network without a code
        ({"bank": BankAccount(bank="EQBLTZTZ", number="1", name="x")}, PayoutNotSupported),
    ],
)
def test_what_cannot_be_paid_out_is_refused_without_a_call(change, refusal):
    gateway = offline()

    for ask in (gateway.check_payout, gateway.payout):
        with pytest.raises(refusal):
            ask(replace(PAYOUT, **change))


def test_the_longest_beginning_of_a_number_names_its_network():
    codes = {"2557": "ANY", "25571": "TIGO", "255712": "NEW"}
    destination = {"mobile": {"wallet_number": "255712345678", "wallet_code": "NEW", "currency": "TZS"}}
    wish = {**TRANSFER["request"]["json"], "destination": destination}

    with beem({**TRANSFER, "request": {**TRANSFER["request"], "json": wish}}, wallet_codes=codes) as gateway:
        assert gateway.payout(PAYOUT).status is TransferStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("code", "status"),
    [(100, TransferStatus.SUCCEEDED), ("100", TransferStatus.SUCCEEDED), (114, TransferStatus.PENDING)],
)
def test_a_code_of_a_payout_under_way_has_one_meaning(code, status):
    with beem(answered(TRANSFER, 200, {"code": code, "message": "x", "transaction_id": "a b"})) as gateway:
        result = gateway.payout(PAYOUT)

    assert (result.status, result.provider_reference, result.reason) == (status, "", "")


@pytest.mark.parametrize("status", [200, 400])
def test_a_failed_payout_is_an_answer(status):
    with beem(answered(TRANSFER, status, {"code": 101, "message": "Disbursement failed"})) as gateway:
        result = gateway.payout(PAYOUT)

    assert (result.status, result.reason) == (TransferStatus.FAILED, "Disbursement failed")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (102, "phone"),
        (103, "insufficient_funds"),
        (105, "invalid_request"),
        (106, "amount"),
        (107, "account"),
        (108, "no_route"),
        (109, "credentials"),
        (110, "credentials"),
        (111, "phone"),
        (112, "amount"),
        (113, "amount"),
        ("120", "credentials"),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_a_code_of_refusal_sent_nothing(code, reason, status):
    with (
        beem(answered(TRANSFER, status, {"code": code, "message": "No"})) as gateway,
        pytest.raises(GatewayRefused) as caught,
    ):
        gateway.payout(PAYOUT)

    assert (caught.value.reason, caught.value.detail) == (reason, f"{code} No")


@pytest.mark.parametrize(
    "answer",
    [
        answered(TRANSFER, 200, {"code": 104, "message": "Network timeout"}),
        answered(TRANSFER, 400, {"code": 104, "message": "Network timeout"}),
        answered(TRANSFER, 200, {"code": 115}),
        answered(TRANSFER, 200, {}),
        answered(TRANSFER, 200, []),
        answered(TRANSFER, 200, "<html>"),
        answered(TRANSFER, 400, {"code": 100}),
        answered(TRANSFER, 409, {}),
        answered(TRANSFER, 400, {"message": "Duplicate client_reference_id"}),
        answered(TRANSFER, 200, {"code": 105, "message": "Reference already used"}),
        answered(TRANSFER, 500, {"code": 103}),
        answered(TRANSFER, 302, "", Location="/"),
        {**TRANSFER, "answer": "hang up"},
    ],
    ids=lambda exchange: str(exchange["answer"])[:60],
)
def test_after_an_unclear_answer_nobody_knows_whether_money_left(answer):
    with beem(answer) as gateway, pytest.raises(OutcomeUnknown):
        gateway.payout(PAYOUT)


# --- Callbacks ---


def test_a_callback_with_the_token_of_its_charge_is_believed_as_far_as_a_token_goes():
    [event] = offline().read_webhook(told())

    assert offline().trust is Trust.TOKEN
    assert event.reference == REFERENCE
    assert event.result.status is ChargeStatus.PAID
    assert event.result.money == REQUEST.money
    assert event.result.provider_reference == transaction_id(REFERENCE)
    assert event.result.raw["msisdn"] == "255712345678"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "0" * 32,
        TOKEN,
        token_of("ORD2026000124"),
        token_of(REFERENCE)[:-1],
        token_of(REFERENCE) + "0",
        "é",
        "\ud800",
    ],
)
def test_a_callback_without_the_token_of_its_charge_is_rejected(token):
    with pytest.raises(WebhookRejected):
        offline().verify(told(token=token))


def test_a_token_opens_no_other_charge():
    other = told(
        token=token_of(REFERENCE), referenceNumber="SAMPLE-ORD2026000124", transactionID=transaction_id("ORD2026000124")
    )

    with pytest.raises(WebhookRejected):
        offline().verify(other)


def test_one_token_for_all_and_none_at_all_are_only_hints():
    shared, bare = offline(token_mode="global"), offline(token_mode="off", secure_token="")

    assert (shared.trust, bare.trust) == (Trust.HINT, Trust.HINT)
    shared.verify(told(token=TOKEN))
    bare.verify(told(token=""))
    for token in ("", "0", token_of(REFERENCE)):
        with pytest.raises(WebhookRejected):
            shared.verify(told(token=token))


@pytest.mark.parametrize("mode", ["per_order", "global", "off"])
@pytest.mark.parametrize(
    "changes",
    [
        {"transactionID": None},
        {"transactionID": ""},
        {"transactionID": transaction_id("ORD2026000124")},
        {"transactionID": 5},
        {"transactionID": ["x"]},
        {"referenceNumber": None},
        {"referenceNumber": "SAMPLE-"},
        {"referenceNumber": "SAMPLE-ORD2026000124"},
        {"referenceNumber": "OTHER-ORD2026000123"},
        {"referenceNumber": f"SAMPLE-{'A' * 21}"},
        {"referenceNumber": f"SAMPLE-{REFERENCE}\n"},
        {"amount": None},
        {"amount": "fifteen"},
        {"amount": "15,000"},
        {"amount": True},
        {"amount": ["15000"]},
        {"status": "success\0"},
    ],
    ids=str,
)
def test_a_callback_that_does_not_fit_together_is_rejected(mode, changes):
    token = {"per_order": token_of(REFERENCE), "global": TOKEN, "off": ""}[mode]
    gateway = offline(token_mode=mode)
    gateway.verify(told(token=token))

    for ask in (gateway.verify, gateway.parse):
        with pytest.raises(WebhookRejected):
            ask(told(token=token, **changes))


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("success", ChargeStatus.PAID),
        ("SUCCESS", ChargeStatus.PAID),
        (" Success ", ChargeStatus.PAID),
        ("failed", ChargeStatus.DECLINED),
        ("Failed", ChargeStatus.DECLINED),
        ("successful", ChargeStatus.UNKNOWN),
        ("pending", ChargeStatus.UNKNOWN),
        ("", ChargeStatus.UNKNOWN),
        (True, ChargeStatus.UNKNOWN),
        (None, ChargeStatus.UNKNOWN),
    ],
)
def test_each_word_has_one_meaning(word, status):
    [event] = offline().read_webhook(told(status=word))

    assert event.result.status is status


@pytest.mark.parametrize(
    ("amount", "money"),
    [
        ("15000", Money(1_500_000, "TZS")),
        (15000, Money(1_500_000, "TZS")),
        ("900", Money(90_000, "TZS")),
        ("15000.00", Money(1_500_000, "TZS")),
    ],
)
def test_the_amount_is_what_beem_says_whatever_was_asked(amount, money):
    [event] = offline().read_webhook(told(amount=amount))

    assert event.result.money == money


def test_a_failure_needs_no_amount():
    [event] = offline().read_webhook(told(status="failed", amount=None))

    assert (event.result.status, event.result.money) == (ChargeStatus.DECLINED, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"transactionID": None, "transactionId": transaction_id(REFERENCE)},
        {"transactionID": transaction_id(REFERENCE).upper()},
        {"referenceNumber": REFERENCE},
    ],
    ids=["transactionId", "capitals", "no prefix"],
)
def test_other_spellings_of_the_same_ids_are_read(changes):
    [event] = offline().read_webhook(told(**changes))

    assert event.reference == REFERENCE


def test_other_news_about_one_charge_has_another_key():
    gateway = offline()

    keys = [
        gateway.read_webhook(delivery)[0].key
        for delivery in (told(), told(amount=15000, timestamp="x"), told(status="failed"), told(amount="900"))
    ]

    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_a_stored_callback_is_read_without_its_headers():
    [event] = offline().parse(Delivery(body=told().body))

    assert event.result.status is ChargeStatus.PAID


def test_a_success_without_an_amount_is_logged_for_operators(caplog):
    with pytest.raises(WebhookRejected):
        offline().verify(told(amount=None))

    assert "without a readable amount" in caplog.text
    assert "255712345678" not in caplog.text


@given(st.integers(0, len(told().body) - 1), st.integers(1, 255), st.integers(0, 31))
def test_a_changed_byte_never_makes_another_charge_of_it(position, change, in_token):
    gateway = at("http://127.0.0.1:1")
    body = bytearray(told().body)
    body[position] ^= change
    token = bytearray(token_of(REFERENCE).encode())
    token[in_token] ^= change

    with pytest.raises(WebhookRejected):
        gateway.read_webhook(replace(told(), headers={"beem-secure-token": token.decode("latin-1")}))
    try:
        [event] = gateway.read_webhook(replace(told(), body=bytes(body)))
    except WebhookRejected:
        return

    assert event.reference == REFERENCE
    assert event.result.provider_reference == transaction_id(REFERENCE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
LOOKALIKE = st.fixed_dictionaries(
    {},
    optional={
        "referenceNumber": st.just(f"SAMPLE-{REFERENCE}") | JSON,
        "transactionID": st.just(transaction_id(REFERENCE)) | JSON,
        "transactionId": JSON,
        "status": st.sampled_from(["success", "failed"]) | JSON,
        "amount": st.just("15000") | JSON,
        "msisdn": JSON,
    },
)
BODIES = st.binary(max_size=200) | (LOOKALIKE | JSON).map(lambda value: json.dumps(value).encode())


@given(
    body=BODIES,
    headers=st.dictionaries(st.just("beem-secure-token") | st.text(max_size=9), st.text(max_size=70), max_size=2),
    mode=st.sampled_from(["per_order", "global", "off"]),
)
@example(body=b"[" * 100_000, headers={}, mode="off")
@example(body=b'{"amount": 1e99999999999999999999}', headers={}, mode="off")
@example(body=b'{"amount": ' + b"9" * 5000 + b"}", headers={}, mode="off")
@example(body=told(amount=10**40).body, headers={}, mode="off")
@example(body=told(status="\ud800").body, headers={}, mode="off")
@example(body=told(msisdn="a\0b").body, headers={"beem-secure-token": "\ud800"}, mode="per_order")
def test_no_delivery_raises_anything_but_a_rejection(body, headers, mode):
    gateway = at("http://127.0.0.1:1", token_mode=mode)
    delivery = Delivery(body=body, headers=headers)

    try:
        gateway.verify(delivery)
        assert mode == "off", "nobody guesses a token"
    except WebhookRejected:
        pass
    try:
        [event] = gateway.parse(delivery)
    except WebhookRejected:
        return

    assert event.reference == REFERENCE
    assert "\\u0000" not in json.dumps(event.result.raw, ensure_ascii=False).replace("\\\\", "")
