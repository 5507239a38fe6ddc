from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured
from hypothesis import example, given
from hypothesis import strategies as st
from selcom_apigw_client import apigwClient

from core.money import AmountNotRepresentable, Money
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    Address,
    AmountOutOfRange,
    BalanceNotSupported,
    BankAccount,
    Capability,
    ChargeId,
    ChargeNotFound,
    ChargeRequest,
    ChargeStatus,
    Customer,
    CustomerDetailsMissing,
    GatewayRefused,
    Method,
    PayoutNotSupported,
    PayoutRequest,
    PhoneNotSupported,
    TransferId,
    TransferNotFound,
    TransferResult,
    TransferStatus,
    Trust,
    WebhookRejected,
)
from services.payments.providers.selcom import SelcomGateway
from services.payments.providers.selcom_api import digest, has_right_digest, signed_headers
from services.payments.providers.selcom_payouts import Rail, weigh
from tests.services import wire

CASE = wire.load("selcom", "case")
OPTIONS = CASE["options"]
REFERENCE = "ORD-2026-000123"
CHARGE = ChargeId(reference=REFERENCE)
REQUEST = ChargeRequest(
    reference=REFERENCE,
    money=Money(1_500_000, "TZS"),
    phone="+255712345678",
    customer=Customer(name="Asha Juma", email="asha@example.com"),
    return_url=CASE["requests"]["push"]["return_url"],
    cancel_url=CASE["requests"]["push"]["cancel_url"],
    callback_url=CASE["requests"]["push"]["callback_url"],
    lifetime=timedelta(hours=1),
)
ADDRESS = Address(
    line="Mtaa wa Samora 12", city="Dar es Salaam", country="TZ", region="Dar es Salaam", postal_code="11101"
)
CARD = replace(REQUEST, method=Method.CARD, customer=replace(REQUEST.customer, address=ADDRESS))
CHECKOUT = replace(REQUEST, method=Method.CHECKOUT)
WALLET = PayoutRequest(reference="PAY-2026-000077", money=Money(500_000, "TZS"), phone="+255712345678")
BANK = PayoutRequest(
    reference="PAY-2026-000078",
    money=Money(500_000, "TZS"),
    bank=BankAccount(bank="CRDBBANK", number="0150247891300", name="Asha Juma"),
)
CREATE, PROMPT = wire.exchanges("selcom", "charge_push_accepted")
[STATUS] = wire.exchanges("selcom", "query_pending")
[PAID] = wire.exchanges("selcom", "query_paid")
[CASH_IN] = wire.exchanges("selcom", "payout_phone_accepted")
[ASK_WALLET] = wire.exchanges("selcom", "payout_query_succeeded")
_wallet, ASK_BANK = wire.exchanges("selcom", "payout_query_unknown")
HANG_UP = "hang up"


@pytest.fixture(autouse=True)
def _moment() -> Iterator[None]:
    """The recorded signatures were made at this moment."""
    with time_machine.travel(datetime.fromisoformat(CASE["at"]), tick=False):
        yield


@contextmanager
def selcom(*exchanges: dict[str, Any], **options: str) -> Iterator[SelcomGateway]:
    with wire.playing(*exchanges) as (url, _player):
        yield SelcomGateway(base_url=url + "/v1", **{**OPTIONS, **options})


def offline(**options: str) -> SelcomGateway:
    return SelcomGateway(**{"base_url": wire.refused_url(), **OPTIONS, **options})


def answered(exchange: dict[str, Any], answer: Any, status: int = 200) -> dict[str, Any]:
    """`exchange` with another answer: JSON, text as it stands, or none."""
    if answer == HANG_UP:
        return {**exchange, "answer": HANG_UP}
    return {
        **exchange,
        "answer": {"status": status, **({"text": answer} if isinstance(answer, str) else {"json": answer})},
    }


def said(code: Any, word: str = "FAIL", message: str = "Because", data: Any = (), **more: Any) -> dict[str, Any]:
    """Selcom's envelope."""
    return {"reference": "R1", "resultcode": code, "result": word, "message": message, "data": list(data), **more}


def order(**more: Any) -> dict[str, Any]:
    """One order as Selcom tells it; pending unless said otherwise."""
    facts: dict[str, Any] = STATUS["answer"]["json"]["data"][0]
    return {**facts, **more}


def signing(request: dict[str, Any], exchange: dict[str, Any]) -> dict[str, Any]:
    """`exchange` asking for other fields, signed by Selcom's own client."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apigwClient, "datetime", PinnedClock)
        authorization, moment, right, names = CLIENT.computeHeader(request)
    headers = {"Authorization": authorization, "Timestamp": moment, "Digest": right, "Signed-Fields": names}
    part = "json" if exchange["request"]["method"] == "POST" else "query"
    return {**exchange, "request": {**exchange["request"], part: request, "headers": headers}}


class PinnedClock:
    """Stands in for the module `datetime` in Selcom's client: it prints its time without the colon of ours."""

    class datetime:
        @classmethod
        def now(cls) -> PinnedClock.datetime:
            return cls()

        def astimezone(self) -> PinnedClock.datetime:
            return self

        def strftime(self, _form: str) -> str:
            return str(CASE["at"])


CLIENT = apigwClient.Client("", OPTIONS["api_key"], OPTIONS["api_secret"])


# --- The signature ---

V0 = ("202cb962ac59075b964b07152d234b70", "81dc9bdb52d04dc20036dbd8313ed055")
DEMO = (OPTIONS["api_key"], OPTIONS["api_secret"])
CALLBACK = {
    "transid": "TXN-7781",
    "order_id": REFERENCE,
    "reference": "0289999288",
    "result": "SUCCESS",
    "resultcode": "000",
    "payment_status": "COMPLETED",
}


@pytest.mark.parametrize(
    ("account", "moment", "fields", "right"),
    [
        (
            V0,
            "2019-02-26T09:30:46+03:00",
            {"utilityref": "12345", "transid": "transid", "amount": 5000},
            "TFHAyQ1k1d601bVfimp+GJsgiBPzMmmV0QJl0bX1c1Q=",
        ),
        (
            DEMO,
            "2026-03-04T11:22:33+03:00",
            CREATE["request"]["json"],
            "zWQm3iHtEhDWNcPKQbzPL60P2WhhB0RUcHOmgiHEBFA=",
        ),
        (
            DEMO,
            "2026-03-04T11:25:00+0300",
            {"order_id": REFERENCE},
            "793NWM9S7h6EUMbYZyfE5lGUwlgB+4X89VMfoiznS3E=",
        ),
        (
            DEMO,
            "2026-03-04T11:23:10+03:00",
            {"transid": "TXN-7781", "order_id": REFERENCE, "msisdn": "255712345678"},
            "meUcDuaZnqjF0uyf5LWeQ/OM2LyV7LnbdVOyWb0ImuU=",
        ),
        (DEMO, "2026-04-03 11:24:02", CALLBACK, "gWalPXEsCQgtrJq9EIZpt13DJdsAVfyYyDYO/YOqnqI="),
        (
            DEMO,
            "2026-03-04T11:30:00+03:00",
            {
                "vendor": "DEMOTILL001",
                "buyer_name": "Zoë Mkámbala",
                "buyer_remarks": "Chakula & vinywaji = 2",
                "billing.firstname": "Zoë",
                "amount": 2500,
            },
            "S+pLgONdkbG61SqXJ26gXIz9HpjNSG1nmURkwnReX5g=",
        ),
    ],
    ids=["V0", "V1", "V2", "V3", "V4", "V5"],
)
def test_the_signature_of_the_known_vectors(account, moment, fields, right):
    key, secret = account

    headers = signed_headers(fields, api_key=key, api_secret=secret, timestamp=moment)

    assert headers["Digest"] == right
    assert headers["Signed-Fields"] == ",".join(fields)
    assert headers["Timestamp"] == moment


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(
    key=PRINTABLE,
    secret=TEXT,
    fields=st.dictionaries(TEXT.filter(bool), TEXT | st.integers(), min_size=1, max_size=8),
)
def test_any_call_is_signed_as_selcoms_own_client_signs_it(key, secret, fields):
    authorization, moment, right, names = apigwClient.Client("", key, secret).computeHeader(fields)

    headers = signed_headers(fields, api_key=key, api_secret=secret, timestamp=moment)

    assert (headers["Authorization"], headers["Digest"], headers["Signed-Fields"]) == (authorization, right, names)


# --- The account ---


@pytest.mark.parametrize("option", ["vendor", "api_key", "api_secret"])
@pytest.mark.parametrize("value", ["", "  "])
def test_an_unusable_credential_is_named_at_start(option, value):
    with pytest.raises(ImproperlyConfigured, match=option):
        offline(**{option: value})


def test_an_account_offers_what_its_credentials_allow():
    everything = SelcomGateway.capabilities
    money_out = {Capability.PAYOUT_PHONE, Capability.PAYOUT_BANK, Capability.PAYOUT_QUERY, Capability.BALANCE}

    assert offline().capabilities == everything
    assert offline(pin="").capabilities == everything - money_out
    assert offline(sender_name="").capabilities == everything - {Capability.PAYOUT_BANK}
    assert offline(sender_phone="").capabilities == everything - {Capability.PAYOUT_BANK}
    assert SelcomGateway.capabilities == everything


def test_without_a_pin_no_money_goes_out_and_no_balance_is_told():
    gateway = offline(pin="")

    for request in (WALLET, BANK):
        with pytest.raises(PayoutNotSupported):
            gateway.payout(request)
    with pytest.raises(BalanceNotSupported):
        gateway.balances()
    with pytest.raises(NotImplementedError):
        gateway.query_payout(TransferId(reference=WALLET.reference))


# --- What can never be charged ---


@pytest.mark.parametrize("phone", ["+255222123456", "+254712345678", "255712345678"])
def test_only_tanzanian_mobiles_are_prompted(phone):
    with pytest.raises(PhoneNotSupported):
        offline().charge(replace(REQUEST, phone=phone))


def test_a_page_wants_a_tanzanian_number_of_any_kind():
    gateway = offline()

    gateway.check(replace(CHECKOUT, phone="+255222123456"))
    with pytest.raises(PhoneNotSupported):
        gateway.check(replace(CHECKOUT, phone="+254712345678"))
    with pytest.raises(CustomerDetailsMissing) as caught:
        gateway.check(replace(CHECKOUT, phone=""))

    assert set(caught.value.errors) == {"phone"}


def test_without_any_email_nothing_is_ordered():
    nameless = replace(REQUEST, customer=Customer())

    offline().check(nameless)
    for gateway in (offline(fallback_email=""), offline(fallback_email="nobody")):
        with pytest.raises(CustomerDetailsMissing) as caught:
            gateway.charge(nameless)
        assert set(caught.value.errors) == {"customer.email"}


@pytest.mark.parametrize(
    ("customer", "missing"),
    [
        (Customer(), {"customer.name", "customer.address"}),
        (Customer(name="Asha", address=ADDRESS), {"customer.name"}),
        (Customer(name="Asha Juma"), {"customer.address"}),
        (Customer(name="Asha Juma", address=replace(ADDRESS, line=" ")), {"customer.address.line"}),
        (Customer(name="Asha Juma", address=replace(ADDRESS, country="TZA")), {"customer.address.country"}),
        (
            Customer(name="Asha Juma", address=Address(line="", city="", country="")),
            {f"customer.address.{part}" for part in ("line", "city", "country", "region", "postal_code")},
        ),
    ],
)
def test_a_card_wants_a_whole_name_and_address(customer, missing):
    with pytest.raises(CustomerDetailsMissing) as caught:
        offline().charge(replace(CARD, customer=customer))

    assert set(caught.value.errors) == missing


@pytest.mark.parametrize("reference", ["", "a" * 41, "-A", "A B", "ÅÄ", "A\n", "A/B"])
def test_a_reference_it_might_not_take_is_our_mistake(reference):
    gateway = offline()

    for ask in (
        lambda: gateway.charge(replace(REQUEST, reference=reference)),
        lambda: gateway.query(ChargeId(reference=reference)),
        lambda: gateway.cancel(ChargeId(reference=reference)),
        lambda: gateway.payout(replace(WALLET, reference=reference)),
        lambda: gateway.query_payout(TransferId(reference=reference)),
    ):
        with pytest.raises(ValueError, match="1 to 40"):
            ask()


@pytest.mark.parametrize(
    ("name", "told"),
    [("", "Mobile Customer"), ("Asha", "Asha Asha"), (" Asha  Juma ", "Asha Juma"), ("Zoë \ud800", "Zoë \ufffd")],
)
def test_selcom_is_always_told_two_words_and_an_address(name, told):
    bare = {
        "vendor": "DEMOTILL001",
        "order_id": REFERENCE,
        "buyer_email": "customers@example.com",
        "buyer_name": told,
        "buyer_phone": "255712345678",
        "amount": 15000,
        "currency": "TZS",
        "buyer_remarks": "Chakula & vinywaji",
        "no_of_items": 1,
        "expiry": 2,
    }
    request = ChargeRequest(
        reference=REFERENCE,
        money=REQUEST.money,
        phone=REQUEST.phone,
        customer=Customer(name=name),
        description=" Chakula & vinywaji ",
        lifetime=timedelta(seconds=61),
    )

    with selcom(signing(bare, CREATE), PROMPT) as gateway:
        assert gateway.charge(request).status is ChargeStatus.PENDING


# --- Charging ---


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (said("111", "PENDING"), ChargeStatus.PENDING),
        (said("111", "INPROGRESS"), ChargeStatus.PENDING),
        (said("927", "INPROGRESS"), ChargeStatus.PENDING),
        (said("000", "SUCCESS"), ChargeStatus.PENDING),
        (said(0, "SUCCESS"), ChargeStatus.PENDING),
        (said(111, "PENDING"), ChargeStatus.PENDING),
        (said("999", "AMBIGUOUS"), ChargeStatus.UNKNOWN),
        (said("999", "AMBIGOUS"), ChargeStatus.UNKNOWN),
        (said("999", "FAIL"), ChargeStatus.UNKNOWN),
        (said("000", "FAIL"), ChargeStatus.UNKNOWN),
        (said("777", "MAYBE"), ChargeStatus.UNKNOWN),
    ],
    ids=lambda each: str(each)[:60],
)
def test_a_prompt_that_was_sent_is_pending_and_one_that_nobody_knows_of_unknown(answer, status):
    with selcom(CREATE, answered(PROMPT, answer)) as gateway:
        assert gateway.charge(REQUEST).status is status


DEFINITE = [
    (said("412", message="Parameter msisdn is invalid or missing"), 412, "invalid_request"),
    (said("403", message="API endpoint not enabled for the vendor (4035)"), 403, "not_enabled"),
    (said("403", message="API endpoint not enabled for the vendor (4035)"), 200, "not_enabled"),
    (said("403", message="Source IP not whitelisted (4032)"), 403, "credentials"),
    (said("403", "ERROR"), 403, "credentials"),
    ("<html>", 403, "credentials"),
    (said("401"), 401, "credentials"),
    ("", 401, "credentials"),
    ("<html>", 404, "invalid_request"),
]
# Of an order these may be the refusal of a duplicate: see below.
DEFINITE_OF_A_PROMPT = [
    (said("010", message="Invalid mobile number or operator not supported"), 200, "phone"),
    (said("014", "FAILED"), 200, "amount"),
    (said("555"), 200, "invalid_request"),
]


@pytest.mark.parametrize(
    ("exchanges", "refusal"),
    [([CREATE], each) for each in DEFINITE] + [([CREATE, PROMPT], each) for each in DEFINITE + DEFINITE_OF_A_PROMPT],
    ids=lambda each: str(each)[:60] if isinstance(each, tuple) else str(len(each)),
)
def test_a_definite_refusal_is_told_in_a_short_word(exchanges, refusal):
    (answer, http, reason), (*before, refused) = refusal, exchanges

    with selcom(*before, answered(refused, answer, http)) as gateway, pytest.raises(GatewayRefused) as caught:
        gateway.charge(REQUEST)

    assert caught.value.reason == reason
    assert caught.value.detail


@pytest.mark.parametrize(
    ("answer", "http"),
    [
        (HANG_UP, 200),
        ("<html>", 200),
        ([], 200),
        ({}, 200),
        ({"message": "no code"}, 200),
        (said("500"), 500),
        (said("000", "SUCCESS"), 503),
        (said("000", "SUCCESS"), 404),
        ("", 302),
        (said("111", "PENDING", transid="SOMEONEELSES"), 200),
    ],
    ids=lambda each: str(each)[:60],
)
def test_silence_after_the_prompt_is_an_unknown_outcome(answer, http):
    with selcom(CREATE, answered(PROMPT, answer, http)) as gateway, pytest.raises(OutcomeUnknown):
        gateway.charge(REQUEST)


SILENT = [
    answered(CREATE, HANG_UP),
    answered(CREATE, said("500"), 500),
    answered(CREATE, "<html>"),
    answered(CREATE, said("999", "AMBIGUOUS")),
    answered(CREATE, said("111", "INPROGRESS")),
]
REFUSED = [answered(CREATE, said("400", message="Order exists")), answered(CREATE, said("409"), 409)]
UNCLEAR = SILENT + REFUSED


@pytest.mark.parametrize("unclear", UNCLEAR, ids=lambda each: str(each["answer"])[:60])
def test_an_order_that_may_have_been_made_is_looked_up_before_the_one_prompt(unclear):
    with selcom(unclear, STATUS, PROMPT) as gateway:
        assert gateway.charge(REQUEST).status is ChargeStatus.PENDING

    with selcom(unclear, PAID) as gateway:
        assert gateway.charge(REQUEST) == offline_result(PAID)


def offline_result(exchange: dict[str, Any]) -> Any:
    with selcom(exchange) as gateway:
        return gateway.query(CHARGE)


@pytest.mark.parametrize("unclear", UNCLEAR, ids=lambda each: str(each["answer"])[:60])
@pytest.mark.parametrize(
    "lookup",
    [
        answered(STATUS, HANG_UP),
        answered(STATUS, said("999", "AMBIGUOUS")),
        answered(STATUS, said("403"), 403),
        answered(STATUS, said("000", "SUCCESS", data=[order(order_id="OTHER")])),
        answered(STATUS, said("000", "SUCCESS", data=[order(amount="900")])),
        answered(STATUS, said("000", "SUCCESS", data=[order(amount=None)])),
    ],
    ids=lambda each: str(each["answer"])[:60],
)
def test_nobody_is_prompted_on_a_guess(unclear, lookup):
    with selcom(unclear, lookup) as gateway, pytest.raises(OutcomeUnknown):
        gateway.charge(REQUEST)


@pytest.mark.parametrize(
    ("unclear", "error"),
    [(each, OutcomeUnknown) for each in SILENT] + [(each, GatewayRefused) for each in REFUSED],
    ids=lambda each: str(each)[-60:],
)
def test_an_order_that_is_not_there_was_refused_or_after_silence_may_still_come(unclear, error):
    absent = answered(STATUS, said("400", message="Order not found"))

    with selcom(unclear, absent) as gateway, pytest.raises(error):
        gateway.charge(REQUEST)


def test_a_prompt_that_never_left_is_sent_when_the_reference_is_charged_again():
    busy = answered(PROMPT, "{}", 429)
    exists = answered(CREATE, said("400", message="Order exists"))

    with selcom(CREATE, busy, exists, STATUS, PROMPT) as gateway:
        with pytest.raises(GatewayUnavailable):
            gateway.charge(REQUEST)

        assert gateway.charge(REQUEST).status is ChargeStatus.PENDING


def test_the_refusal_of_a_second_prompt_is_not_the_end_of_the_first():
    exists = answered(CREATE, said("400", message="Order exists"))

    with (
        selcom(exists, STATUS, answered(PROMPT, said("010", message="Duplicate transid"))) as gateway,
        pytest.raises(OutcomeUnknown),
    ):
        gateway.charge(REQUEST)


PAGE = "https://pg.example.com/pg/t12222"


@pytest.mark.parametrize(
    ("told", "page"),
    [
        (b64encode(PAGE.encode()).decode(), PAGE),
        (b64encode(PAGE.encode()).decode().rstrip("="), PAGE),
        (PAGE, PAGE),
        ("aHR0cDpleGFtcGxlLmNvbS9wZy90MTIyMjI=", "http:example.com/pg/t12222"),
    ],
)
def test_the_page_comes_in_base64_or_as_it_is(told, page):
    with selcom(answered(CREATE, said("000", "SUCCESS", data=[{"payment_gateway_url": told}]))) as gateway:
        result = gateway.charge(CHECKOUT)

    assert (result.status, result.checkout_url) == (ChargeStatus.REQUIRES_ACTION, page)


@pytest.mark.parametrize(
    "data",
    [
        [],
        ["x"],
        [{}],
        [{"payment_gateway_url": None}],
        [{"payment_gateway_url": "%%%"}],
        [{"payment_gateway_url": b64encode(b"javascript:alert(1)").decode()}],
        [{"payment_gateway_url": "https://a b"}],
        [{"payment_gateway_url": "/w=="}],
    ],
)
def test_an_order_without_a_usable_page_is_an_unknown_outcome(data):
    with selcom(answered(CREATE, said("000", "SUCCESS", data=data))) as gateway, pytest.raises(OutcomeUnknown):
        gateway.charge(CHECKOUT)


# --- Asking ---


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("PENDING", ChargeStatus.PENDING),
        ("INPROGRESS", ChargeStatus.PENDING),
        ("COMPLETED", ChargeStatus.PAID),
        ("COMPLETE", ChargeStatus.PAID),
        ("completed ", ChargeStatus.PAID),
        ("CANCELLED", ChargeStatus.CANCELLED),
        ("CANCEL", ChargeStatus.CANCELLED),
        ("USERCANCELLED", ChargeStatus.CANCELLED),
        ("USERCANCELED", ChargeStatus.CANCELLED),
        ("REJECTED", ChargeStatus.DECLINED),
        ("REFUNDED", ChargeStatus.UNKNOWN),
        ("", ChargeStatus.UNKNOWN),
        (None, ChargeStatus.UNKNOWN),
        (["COMPLETED"], ChargeStatus.UNKNOWN),
    ],
)
def test_each_word_has_one_meaning_everywhere(word, status):
    told = order(payment_status=word)
    [listing] = wire.exchanges("selcom", "list")
    found = said("000", "SUCCESS", data=[told])
    since = datetime(2026, 3, 4, tzinfo=UTC) - timedelta(hours=3)

    with selcom(answered(STATUS, found), answered(listing, found)) as gateway:
        asked = gateway.query(CHARGE)
        [listed] = gateway.list_charges(since=since, until=since + timedelta(hours=24))
    [event] = offline().read_webhook(Delivery(body=json.dumps(told).encode()))

    assert asked == listed.result == event.result
    assert asked.status is status
    assert asked.money == REQUEST.money
    assert asked.reason == ("REJECTED" if status is ChargeStatus.DECLINED else "")


@pytest.mark.parametrize(
    ("answer", "http", "error"),
    [
        (said("400"), 200, ChargeNotFound),
        (said("010"), 200, ChargeNotFound),
        (said("404"), 404, ChargeNotFound),
        (said("000", "SUCCESS", data=[]), 200, ChargeNotFound),
        (said("000", "SUCCESS", data=["x", order(order_id="OTHER")]), 200, GatewayUnavailable),
        (said("111", "INPROGRESS"), 200, GatewayUnavailable),
        (said("927", "INPROGRESS"), 200, GatewayUnavailable),
        (said("999", "AMBIGUOUS"), 200, GatewayUnavailable),
        (said("900"), 200, GatewayUnavailable),
        ("<html>", 404, GatewayUnavailable),
        ("{}", 429, GatewayUnavailable),
        ([], 200, GatewayUnavailable),
        (said("403", message="Source IP not whitelisted (4032)"), 403, GatewayRefused),
        (said("412"), 412, GatewayRefused),
    ],
    ids=lambda each: str(each)[:60],
)
def test_a_question_without_an_answer_about_ours(answer, http, error):
    with selcom(answered(STATUS, answer, http)) as gateway, pytest.raises(error):
        gateway.query(CHARGE)


@pytest.mark.parametrize(
    ("amount", "currency", "money"),
    [
        ("15000", None, Money(1_500_000, "TZS")),
        (15000, None, Money(1_500_000, "TZS")),
        ("15000.50", None, Money(1_500_050, "TZS")),
        ("15000", "USD", Money(1_500_000, "USD")),
        ("15,000", None, None),
        (None, None, None),
        (True, None, None),
        ("15000", "XXX", None),
    ],
)
def test_an_amount_is_read_exactly_or_not_at_all(amount, currency, money):
    found = said("000", "SUCCESS", data=[order(amount=amount, currency=currency)])

    with selcom(answered(STATUS, found)) as gateway:
        assert gateway.query(CHARGE).money == money


def test_a_charge_that_selcom_will_not_cancel_is_still_what_it_was():
    too_late, _status = wire.exchanges("selcom", "cancel_too_late")

    with selcom(too_late, STATUS) as gateway:
        assert gateway.cancel(CHARGE).status is ChargeStatus.PENDING
    with selcom(answered(too_late, HANG_UP)) as gateway, pytest.raises(OutcomeUnknown):
        gateway.cancel(CHARGE)


def test_the_list_is_asked_for_by_the_days_of_east_africa():
    [listing] = wire.exchanges("selcom", "list")
    asked = signing({"fromdate": "2026-03-04", "todate": "2026-03-05"}, listing)
    lines = [order(order_id="UNDATED", creation_date="soon"), order(order_id=None), "junk"]
    until = datetime(2026, 3, 4, 21, 0, 0, 1, tzinfo=UTC)

    with selcom(answered(asked, said("000", "SUCCESS", data=lines))) as gateway:
        [listed] = gateway.list_charges(since=until - timedelta(hours=24), until=until)

    assert (listed.reference, listed.created_at) == ("UNDATED", None)


@pytest.mark.parametrize("answer", [said("400"), said("999", "AMBIGUOUS"), HANG_UP, "<html>"])
def test_a_list_that_fails_is_not_an_empty_list(answer):
    [listing] = wire.exchanges("selcom", "list")
    since = datetime(2026, 3, 3, 21, tzinfo=UTC)

    with selcom(answered(listing, answer)) as gateway, pytest.raises(GatewayUnavailable):
        list(gateway.list_charges(since=since, until=since + timedelta(hours=24)))


# --- Payouts ---


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"money": Money(99_900, "TZS")}, AmountOutOfRange),
        ({"money": Money(500_050, "TZS")}, AmountNotRepresentable),
        ({"phone": "+254712345678"}, PhoneNotSupported),
        ({"bank": BankAccount(bank="", number="0150247891300", name="Asha")}, CustomerDetailsMissing),
        ({"bank": BankAccount(bank="NMB", number="0150 24", name="Asha")}, CustomerDetailsMissing),
        ({"bank": BankAccount(bank="NMB", number="0150247891300", name=" ")}, CustomerDetailsMissing),
    ],
)
def test_a_payout_that_selcom_could_not_make_is_refused_before_any_call(changes, refusal):
    gateway = offline()

    for ask in (gateway.check_payout, gateway.payout):
        with pytest.raises(refusal):
            ask(replace(WALLET, **changes))


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (said("000", "SUCCESS"), TransferStatus.SUCCEEDED),
        (said("111", "INPROGRESS"), TransferStatus.PENDING),
        (said("927", "INPROGRESS"), TransferStatus.PENDING),
        (said("001", "INPROGRESS"), TransferStatus.PENDING),
        (said("999", "AMBIGUOUS"), TransferStatus.UNKNOWN),
        (said("990"), TransferStatus.FAILED),
        (said("010"), TransferStatus.FAILED),
        (said("777", "MAYBE"), TransferStatus.UNKNOWN),
    ],
    ids=lambda each: str(each)[:60],
)
def test_a_payouts_reply_and_the_answer_about_it_mean_the_same(answer, status):
    with selcom(answered(CASH_IN, answer), answered(ASK_WALLET, answer)) as gateway:
        paid = gateway.payout(WALLET)
        asked = gateway.query_payout(TransferId(reference=WALLET.reference, provider_reference=paid.provider_reference))

    assert paid.status is asked.status is status
    assert paid.provider_reference == asked.provider_reference == "wallet:R1"
    assert paid.reason == asked.reason == ("Because" if status is TransferStatus.FAILED else "")


@pytest.mark.parametrize(("answer", "http"), [(HANG_UP, 200), (said("500"), 500), ("<html>", 200)])
def test_silence_after_a_payout_is_an_unknown_outcome(answer, http):
    with selcom(answered(CASH_IN, answer, http)) as gateway, pytest.raises(OutcomeUnknown):
        gateway.payout(WALLET)


def test_an_answer_about_another_payout_says_nothing_of_ours():
    other = said("000", "SUCCESS", transid="SOMEONEELSES")
    payout = TransferId(reference=WALLET.reference, provider_reference="wallet:R1")

    with selcom(answered(CASH_IN, other)) as gateway, pytest.raises(OutcomeUnknown):
        gateway.payout(WALLET)
    with selcom(answered(ASK_WALLET, other)) as gateway, pytest.raises(GatewayUnavailable):
        gateway.query_payout(payout)


def test_a_payout_the_rail_does_not_know_is_not_found():
    unknown = answered(ASK_WALLET, said("010", message="Transaction not found"))
    payout = TransferId(reference=WALLET.reference, provider_reference="wallet:R1")

    with selcom(unknown) as gateway, pytest.raises(TransferNotFound):
        gateway.query_payout(payout)


def test_after_silence_a_rail_that_is_switched_off_is_not_what_carried_it():
    failed = answered(ASK_WALLET, said("010"))
    off = answered(ASK_BANK, said("403", message="API endpoint not enabled for the vendor (4035)"), 403)
    payout = TransferId(reference=WALLET.reference)

    with selcom(failed, off) as gateway:
        assert gateway.query_payout(payout).status is TransferStatus.FAILED
    with selcom(failed, sender_name="") as gateway:
        assert gateway.query_payout(payout).status is TransferStatus.FAILED
    with (
        selcom(answered(ASK_WALLET, off["answer"]["json"], 403), off) as gateway,
        pytest.raises(GatewayRefused, match="not_enabled"),
    ):
        gateway.query_payout(payout)


@pytest.mark.parametrize(
    ("wallet", "bank", "status", "named"),
    [
        (said("999", "AMBIGUOUS"), said("000", "SUCCESS"), TransferStatus.SUCCEEDED, "qwiksend:"),
        (said("111", "INPROGRESS"), said("010"), TransferStatus.PENDING, "wallet:"),
        (said("010"), said("999", "AMBIGUOUS"), TransferStatus.UNKNOWN, ""),
        (said("010"), said("010"), TransferStatus.FAILED, ""),
    ],
)
def test_after_silence_the_rail_that_knows_the_payout_is_named_for_the_next_question(wallet, bank, status, named):
    with selcom(answered(ASK_WALLET, wallet), answered(ASK_BANK, bank)) as gateway:
        found = gateway.query_payout(TransferId(reference=WALLET.reference))

    assert (found.status, found.provider_reference) == (status, named)


def test_credentials_that_are_refused_are_not_a_rail_that_is_switched_off():
    refused = answered(ASK_WALLET, said("401"), 401)

    with selcom(refused) as gateway, pytest.raises(GatewayRefused, match="credentials"):
        gateway.query_payout(TransferId(reference=WALLET.reference))


SUCCEEDED, PENDING, FAILED, UNKNOWN = (
    TransferResult(status=TransferStatus(word)) for word in ("succeeded", "pending", "failed", "unknown")
)


@pytest.mark.parametrize(
    ("wallet", "bank", "together"),
    [
        (SUCCEEDED, FAILED, SUCCEEDED),
        (UNKNOWN, SUCCEEDED, SUCCEEDED),
        (None, PENDING, PENDING),
        (FAILED, PENDING, PENDING),
        (FAILED, FAILED, FAILED),
        (FAILED, UNKNOWN, UNKNOWN),
        (FAILED, None, UNKNOWN),
        (UNKNOWN, None, UNKNOWN),
        (None, None, None),
    ],
)
def test_after_silence_every_rail_is_heard_and_none_alone_says_that_it_failed(wallet, bank, together):
    assert weigh({Rail.WALLET: wallet, Rail.BANK: bank}) == together
    assert weigh({Rail.BANK: bank, Rail.WALLET: wallet}) == together


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (said("000", "SUCCESS", data=[]), GatewayUnavailable),
        (said("000", "SUCCESS", data=[{"balance": "much"}]), GatewayUnavailable),
        (said("000", "SUCCESS", data=[{"balance": None}]), GatewayUnavailable),
        (said("999", "AMBIGUOUS"), GatewayUnavailable),
        (HANG_UP, GatewayUnavailable),
        (said("400", message="Invalid pin"), GatewayRefused),
    ],
    ids=lambda each: str(each)[:60],
)
def test_a_balance_that_is_not_told_is_no_balance(answer, error):
    [balance] = wire.exchanges("selcom", "balance")

    with selcom(answered(balance, answer)) as gateway, pytest.raises(error):
        gateway.balances()


# --- Callbacks ---

RECORDED = wire.load("selcom", "webhook_paid")


def callback(headers: dict[str, str] | None = None, **changes: Any) -> Delivery:
    body = {name: value for name, value in {**RECORDED["json"], **changes}.items() if value != "absent"}
    return Delivery(body=json.dumps(body).encode(), headers=RECORDED["headers"] if headers is None else headers)


def test_the_documented_digest_of_a_callback_is_recognised():
    moment = {"timestamp": "2026-04-03 11:24:02", "signed-fields": ",".join(CALLBACK)}
    right = {**moment, "digest": "gWalPXEsCQgtrJq9EIZpt13DJdsAVfyYyDYO/YOqnqI="}

    assert has_right_digest(callback(right, transid="TXN-7781"), OPTIONS["api_secret"]) is True
    assert has_right_digest(callback(right, transid="TXN-7782"), OPTIONS["api_secret"]) is False
    assert has_right_digest(callback({}), OPTIONS["api_secret"]) is None
    assert has_right_digest(callback({**right, "digest-method": "RS256"}), OPTIONS["api_secret"]) is None
    assert digest(CALLBACK, api_secret=OPTIONS["api_secret"], timestamp=moment["timestamp"]) == right["digest"]


def test_a_wrong_digest_is_logged_and_the_callback_is_the_hint_it_would_have_been(caplog):
    gateway = offline()

    with caplog.at_level(logging.WARNING):
        assert len(gateway.read_webhook(callback())) == 1
        assert caplog.records == []
        [event] = gateway.read_webhook(callback(transid="TXN-9"))

    assert [record.getMessage() for record in caplog.records] == ["a callback's digest is wrong"]
    assert event.reference == REFERENCE
    assert gateway.trust is Trust.HINT


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, ChargeStatus.PAID),
        ({"resultcode": "absent"}, ChargeStatus.PAID),
        ({"resultcode": "absent", "resulcode": "000"}, ChargeStatus.PAID),
        ({"resultcode": "absent", "resulcode": "010"}, ChargeStatus.UNKNOWN),
        ({"resultcode": "999"}, ChargeStatus.UNKNOWN),
        ({"payment_status": "absent"}, ChargeStatus.UNKNOWN),
        ({"payment_status": "REJECTED", "resultcode": "010"}, ChargeStatus.DECLINED),
    ],
)
def test_a_callback_says_paid_only_when_nothing_in_it_contradicts_that(changes, status):
    [event] = offline().read_webhook(callback({}, **changes))

    assert event.result.status is status


def test_news_is_told_apart_by_order_attempt_and_status():
    gateway = offline()

    keys = {
        gateway.read_webhook(callback({}, **changes))[0].key
        for changes in ({}, {"amount": "1"}, {"transid": "T2"}, {"payment_status": "PENDING"})
    }

    assert keys == {
        f"{REFERENCE}:{REFERENCE}:COMPLETED",
        f"{REFERENCE}:T2:COMPLETED",
        f"{REFERENCE}:{REFERENCE}:PENDING",
    }


@pytest.mark.parametrize("order_id", ["absent", None, "", True, ["x"], "a b", "a\0b", "x" * 91, "é"])
def test_a_callback_that_names_no_order_is_rejected(order_id):
    delivery = callback({}, order_id=order_id)

    for read in (offline().verify, offline().parse):
        with pytest.raises(WebhookRejected):
            read(delivery)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["order_id", "transid", "reference", "resultcode", "resulcode", "amount", "currency", "payment_status"]
LOOKALIKE = st.fixed_dictionaries(
    {},
    optional={name: st.sampled_from([REFERENCE, "000", "COMPLETED", "15000"]) | JSON for name in NAMES},
)
BODIES = st.binary(max_size=200) | (LOOKALIKE | JSON).map(lambda value: json.dumps(value).encode())
HEADERS = st.dictionaries(
    st.sampled_from(["digest", "digest-method", "timestamp", "signed-fields"]),
    st.sampled_from(["HS256", ",".join(NAMES), "order_id,order_id", ","]) | st.text(st.characters(), max_size=40),
)


@given(body=BODIES, headers=HEADERS)
@example(body=b"[" * 100_000, headers={})
@example(body=b'{"order_id": 1e99999999999999999999}', headers={"digest": "x", "signed-fields": "order_id"})
@example(body=b'{"order_id": "A", "x": "\\ud800"}', headers={"digest": "\ud800", "signed-fields": "x"})
@example(body=b'{"order_id": "A", "amount": "' + b"9" * 5000 + b'"}', headers={})
@example(body=b'{"order_id": ' + b"9" * 5000 + b"}", headers={})
def test_no_delivery_raises_anything_but_a_rejection(body, headers):
    gateway, delivery = hostile_gateway(), Delivery(body=body, headers=headers)

    try:
        events = gateway.read_webhook(delivery)
    except WebhookRejected:
        with pytest.raises(WebhookRejected):
            gateway.parse(delivery)
        return

    [event] = events
    assert event.reference.isascii()
    assert event.reference
    assert "\\u0000" not in json.dumps(event.result.raw, ensure_ascii=False).replace("\\\\", "")


def hostile_gateway() -> SelcomGateway:
    return SelcomGateway(base_url="http://127.0.0.1:1", **OPTIONS)


@given(st.integers(min_value=-(10**6), max_value=10**15))
def test_an_amount_leaves_in_whole_shillings_or_not_at_all(amount):
    request = replace(REQUEST, money=Money(amount, "TZS"))

    if amount > 0 and amount % 100 == 0:
        hostile_gateway().check(request)
    else:
        with pytest.raises(AmountNotRepresentable):
            hostile_gateway().check(request)
