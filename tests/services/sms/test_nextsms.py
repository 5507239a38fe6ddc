"""NextSMS's adapter beyond what every gateway promises: its words, its two versions, and reports that come once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from services.http import GatewayUnavailable, OutcomeUnknown
from services.sms.base import MessageStatus, SmsId, SmsRefused
from services.sms.providers.nextsms import WORDS, Meaning, NextSmsGateway
from tests.services import wire
from tests.services.sms.provider_case import SmsCase

SENT_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)  # 15:00 in Tanzania


@pytest.fixture
def case() -> Iterator[SmsCase]:
    with ExitStack() as stack:
        yield SmsCase("nextsms", stack)


def answered(case: SmsCase, recording: str, *answers: Any) -> list[dict[str, Any]]:
    """The exchanges of a recording with other answers."""
    return [
        {"request": exchange["request"], "answer": {"status": 200, "json": answer}}
        for exchange, answer in zip(wire.exchanges(case.code, recording), answers, strict=True)
    ]


def message(name: str, **changes: Any) -> dict[str, Any]:
    status = {"groupId": 1, "groupName": "", "id": 1, "name": name, "description": "d"}
    return {"messages": [{"to": "255712345678", "status": status, "smsCount": 1, **changes}]}


def line(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "messageId": "m1",
        "to": "255712345678",
        "sentAt": "2026-11-20T15:00:10.000+0300",
        "status": {"groupName": name, "name": name},
        "error": None,
        "text": "Habari",
        **changes,
    }


def asked(case: SmsCase, reports: list[Any], logged: list[Any], text: SmsId | None = None) -> Any:
    """What `query` says when these reports are served and these lines stand in the log."""
    with wire.playing(*answered(case, "report_read_before", {"results": reports}, {"results": logged})) as (url, _):
        return case.gateway_at(url).query(text or case.text_id())


# --- Sending ---


@pytest.mark.parametrize("name", sorted(WORDS))
def test_each_documented_word_has_a_meaning_for_a_text_and_for_a_report(case, name):
    meaning, status = WORDS[name]

    with wire.playing(*answered(case, "send_accepted", message(name))) as (url, _player):
        gateway = case.gateway_at(url)
        if meaning is Meaning.ACCEPTED:
            assert gateway.send(case.request).provider_reference == case.request.key
        elif meaning is Meaning.UNCERTAIN:
            with pytest.raises(OutcomeUnknown):
                gateway.send(case.request)
        else:
            with pytest.raises(SmsRefused) as caught:
                gateway.send(case.request)
            assert (caught.value.reason, caught.value.code) == (meaning, name)
    with wire.playing(*answered(case, "report_delivered", {"results": [line(name)]})) as (url, _player):
        report = case.gateway_at(url).query(case.text_id())
    assert report is not None
    assert (report.status, report.raw_status) == (status, name)


def test_a_message_that_is_named_is_asked_about_by_its_name(case):
    with wire.playing(*answered(case, "send_accepted", message("PENDING_ENROUTE", messageId=28))) as (url, _player):
        assert case.gateway_at(url).send(case.request).provider_reference == "28"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"messages": []},
        {"messages": [5]},
        {"messages": [{"to": "255712345678"}]},
        {"messages": [*message("PENDING")["messages"], *message("PENDING")["messages"]]},
        message("PENDING", to="255700000000"),
        message("TELEPORTED"),
    ],
)
def test_an_answer_that_does_not_say_what_became_of_this_text_leaves_it_unknown(case, answer):
    with (
        wire.playing(*answered(case, "send_accepted", answer)) as (url, _player),
        pytest.raises(OutcomeUnknown),
    ):
        case.gateway_at(url).send(case.request)


def test_the_first_version_is_spoken_with_user_and_password(case):
    handler, heard = wire.answering(b"".join([wire.answer(200, b'{"sms_balance": 5}')]))
    with wire.listening(handler) as url:
        NextSmsGateway(base_url=url, sender="X", username="a", password="b").probe()
        gateway = NextSmsGateway(base_url=url, sender="X", username="a", password="b")
        with pytest.raises(OutcomeUnknown):
            gateway.send(case.request)

    assert [each.target for each in heard] == ["/api/sms/v1/balance", "/api/sms/v1/text/single"]
    assert {each.headers["authorization"] for each in heard} == {"Basic YTpi"}
    assert heard[1].json == {"from": "X", "to": "255712345678", "text": "Habari", "reference": case.request.key}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"sender": "", "token": "t"}, "sender"),
        ({"sender": "X"}, "username"),
        ({"sender": "X", "username": "a"}, "password"),
        ({"sender": "X", "token": "t\n"}, "token"),
    ],
)
def test_a_missing_option_is_named_at_start(options, named):
    with pytest.raises(ImproperlyConfigured, match=named):
        NextSmsGateway(base_url="http://127.0.0.1:1", **options)


# --- Reports, once ---


def test_a_report_that_was_read_before_is_found_in_the_log(case):
    assert asked(case, [], [line("DELIVERED")]).status is MessageStatus.DELIVERED


def test_a_text_has_arrived_when_one_of_its_tries_has(case):
    found = [line("DELIVERED"), line("EXPIRED")]

    with wire.playing(*answered(case, "report_delivered", {"results": found})) as (url, _player):
        report = case.gateway_at(url).query(case.text_id())

    assert report is not None
    assert report.status is MessageStatus.DELIVERED


@pytest.mark.parametrize(
    ("changes", "logged"),
    [
        ({}, [line("DELIVERED"), line("EXPIRED", messageId="m2")]),  # which of them?
        ({}, [line("DELIVERED", to="255700000000")]),
        ({"text": "Habari"}, [line("DELIVERED", text="Kwaheri")]),
        ({"sent_at": SENT_AT + timedelta(hours=1)}, [line("DELIVERED")]),
        ({"sent_at": SENT_AT}, [line("DELIVERED", sentAt="yesterday")]),
        ({"provider_reference": ""}, [line("DELIVERED")]),  # it may never have been accepted
    ],
)
def test_a_line_of_the_log_that_may_be_about_another_text_is_not_taken(case, changes, logged):
    assert asked(case, [], logged, replace(case.text_id(), **changes)) is None


def test_a_text_whose_answer_was_lost_is_found_in_the_log_by_its_moment_and_wording(case):
    text = replace(case.text_id(), provider_reference="", sent_at=SENT_AT, text="Habari")
    lines = [line("SENT", text="Kwaheri"), line("DELIVERED"), line("SENT", sentAt="2026-11-20 09:00:00")]

    assert asked(case, [], lines, text).provider_reference == "m1"


def test_a_time_without_a_zone_is_tanzanias(case):
    text = replace(case.text_id(), sent_at=SENT_AT)

    assert asked(case, [], [line("DELIVERED", sentAt="2026-11-20 15:00:10")], text) is not None


@pytest.mark.parametrize("answer", [{}, [], {"results": None}, {"results": [1]}, {"results": [line("", status=None)]}])
def test_an_answer_without_results_is_no_answer(case, answer):
    with (
        wire.playing(*answered(case, "report_delivered", answer)) as (url, _player),
        pytest.raises(GatewayUnavailable),
    ):
        case.gateway_at(url).query(case.text_id())
