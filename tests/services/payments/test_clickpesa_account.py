"""ClickPesa's balances and its list of payments."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.money import Money
from services.http import GatewayUnavailable
from services.payments.base import ChargeStatus, GatewayRefused
from services.payments.providers.clickpesa import PAGE_SIZE, ClickPesaGateway
from tests.services import wire
from tests.services.payments.clickpesa_case import OPTIONS, TOKEN, answered, clickpesa

[_token, BALANCE] = wire.exchanges("clickpesa", "balance")
[_token, FIRST, SECOND] = wire.exchanges("clickpesa", "list")
SINCE = datetime(2026, 3, 4, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=1)
LINE = FIRST["answer"]["json"]["data"][2]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"balances": [{"currency": "TZS", "balance": 12345}]}, [Money(1_234_500, "TZS")]),
        ([{"currency": "TZS", "balance": 12345}], [Money(1_234_500, "TZS")]),
        ({"currency": "TZS", "balance": "12345"}, [Money(1_234_500, "TZS")]),
        (
            [{"currency": "EUR", "balance": 1}, None, {"currency": "USD", "balance": 1}, {"currency": "USD"}],
            [Money(100, "USD")],
        ),
        ([{"currency": "TZS", "balance": 0}], [Money(0, "TZS")]),
    ],
)
def test_each_documented_form_of_a_balance_is_read(body, expected):
    with clickpesa(TOKEN, answered(BALANCE, 200, body)) as gateway:
        assert gateway.balances() == expected


def test_a_balance_with_a_fraction_of_a_cent_is_cut():
    text = '{"balances": [{"currency": "TZS", "balance": 708.0399}]}'

    with clickpesa(TOKEN, answered(BALANCE, 200, text)) as gateway:
        assert gateway.balances() == [Money(70_803, "TZS")]


@pytest.mark.parametrize("body", [{}, [], {"balances": 5}, {"balances": []}, "<html>", [{"currency": "EUR"}]])
def test_an_answer_without_a_balance_is_none(body):
    with clickpesa(TOKEN, answered(BALANCE, 200, body)) as gateway, pytest.raises(GatewayUnavailable):
        gateway.balances()


def test_a_refused_balance_is_a_refusal():
    with clickpesa(TOKEN, answered(BALANCE, 403, {"message": "No"})) as gateway, pytest.raises(GatewayRefused):
        gateway.balances()


# --- The list ---


def test_the_list_is_read_over_its_pages_and_its_bounds_are_exact():
    with clickpesa(*wire.exchanges("clickpesa", "list")) as gateway:
        listed = list(gateway.list_charges(since=SINCE, until=UNTIL))

    assert [(each.reference, each.result.status, each.result.refunded) for each in listed] == [
        ("ORD2026000126", ChargeStatus.PAID, Money(4_900, "USD")),
        ("ORD2026000123", ChargeStatus.PAID, None),
        ("ORD2026000122", ChargeStatus.DECLINED, None),
    ]
    assert [each.created_at and each.created_at.hour for each in listed] == [20, 8, 0]


def test_an_empty_list_is_empty():
    with clickpesa(TOKEN, answered(FIRST, 200, {"data": [], "totalCount": 0})) as gateway:
        assert list(gateway.list_charges(since=SINCE, until=UNTIL)) == []


@pytest.mark.parametrize("when", [None, "", "yesterday", 5])
def test_a_payment_without_a_readable_time_is_listed(when):
    page = {"data": [{**LINE, "createdAt": when}], "totalCount": "1"}

    with clickpesa(TOKEN, answered(FIRST, 200, page)) as gateway:
        [listed] = gateway.list_charges(since=SINCE, until=UNTIL)

    assert listed.created_at is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "<html>",
        {"data": [LINE]},
        {"data": [LINE], "totalCount": None},
        {"data": [LINE], "totalCount": True},
        {"data": {}, "totalCount": 1},
        {"data": [LINE, 5], "totalCount": 2},
    ],
)
def test_half_a_list_is_no_list(body):
    with clickpesa(TOKEN, answered(FIRST, 200, body)) as gateway, pytest.raises(GatewayUnavailable):
        list(gateway.list_charges(since=SINCE, until=UNTIL))


def test_a_list_that_does_not_turn_the_page_ends():
    page = {"data": FIRST["answer"]["json"]["data"], "totalCount": 50}
    again = {**SECOND, "answer": {"status": 200, "json": page}}

    with clickpesa(TOKEN, answered(FIRST, 200, page), again) as gateway, pytest.raises(GatewayUnavailable):
        list(gateway.list_charges(since=SINCE, until=UNTIL))


def test_a_failure_between_two_pages_is_heard():
    with clickpesa(TOKEN, FIRST, {**SECOND, "answer": "hang up"}) as gateway, pytest.raises(GatewayUnavailable):
        list(gateway.list_charges(since=SINCE, until=UNTIL))


@pytest.mark.parametrize("cap", [1, 7, 20, PAGE_SIZE, 500])
def test_every_payment_is_listed_once_however_small_the_pages_are(cap):
    rows = [{**LINE, "id": f"P{n}", "orderReference": f"R{n}"} for n in range(23)]

    def handler(connection: Any) -> None:
        while (request := wire.hear(connection)) is not None:
            if request.target.endswith("/generate-token"):
                body: Any = {"token": "Bearer x"}
            else:
                skip = int(request.target.split("skip=")[1].split("&")[0])
                body = {"data": rows[skip : skip + cap], "totalCount": len(rows)}
            connection.sendall(wire.answer(200, json.dumps(body).encode()))

    with wire.listening(handler) as url:
        gateway = ClickPesaGateway(base_url=url, **OPTIONS)
        listed = [each.reference for each in gateway.list_charges(since=SINCE, until=UNTIL)]

    assert listed == [f"R{n}" for n in range(23)]
