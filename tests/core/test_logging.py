"""No secret and no whole phone number or address reaches a log, whatever stands around it."""

from __future__ import annotations

import json
import logging
import re
import sys
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import context
from core.logging import JsonFormatter, TextFormatter, redact
from tests.factories.accounts import make_member

# Nothing that a name, a number or a token could go on with.
AROUND = st.text(st.sampled_from(" \n\t,;()<>\u00e9\u4e2d"), max_size=6)
PRINTABLE = st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"',}&[]")
SECRET = st.text(PRINTABLE, min_size=9, max_size=40).filter(
    lambda text: "secret" not in text.lower() and len(set(text)) > 5
)
PHRASE = st.lists(SECRET, min_size=1, max_size=3).map(" ".join)
NAMES = st.sampled_from(
    [
        "password",
        "PASSWORD",
        "new_password",
        "passwd",
        "secret",
        "client_secret",
        "token",
        "access_token",
        "api_key",
        "apiKey",
        "checksum",
        "signature",
        "x-clickpesa-signature",
        "otp",
        "authorization",
        "Cookie",
    ]
)
BASE64URL = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"), min_size=8)


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "faraja.test", "levelname": "INFO", "msg": message, "args": args})
    vars(made).update(extra)
    return made


@given(before=AROUND, name=NAMES, secret=SECRET, after=AROUND)
def test_a_named_secret_is_masked(before, name, secret, after):
    for written in (f"{name}={secret}", f"{name}: {secret}", f"{name} = {secret}"):
        told = redact(f"{before}{written}{after}")
        assert secret not in told
        assert name in told


@given(name=NAMES, phrase=PHRASE)
@example(name="password", phrase='a "quoted\\" word')
@example(name="password", phrase="mwana'mke mrefu")
def test_a_quoted_secret_is_masked_to_its_end(name, phrase):
    for written in (json.dumps({name: phrase}), repr({name: phrase}), repr({name: [phrase]})):
        told = redact(written)
        assert phrase not in told
        assert all(part not in told for part in phrase.split() if len(part) > 8)


@given(before=AROUND, parts=st.tuples(BASE64URL, BASE64URL, BASE64URL), after=AROUND)
def test_a_web_token_is_masked_wherever_it_stands(before, parts, after):
    token = f"eyJ{parts[0]}.{parts[1]}.{parts[2]}"

    assert parts[2] not in redact(f"{before}{token}{after}").replace("[token]", "")


def test_a_real_token_is_masked(db):
    tokens = make_member().tokens

    for token in (tokens.access, tokens.refresh):
        for written in (token, f"Bearer {token}", f"'{token}'", f"?t={token}&x", f"{{'refresh': '{token}'}}"):
            assert token.rpartition(".")[2] not in redact(written)


@given(scheme=st.sampled_from(["Bearer", "bearer", "Basic", "Api-Key"]), secret=BASE64URL, after=AROUND)
def test_a_credential_of_http_is_masked(scheme, secret, after):
    told = redact(f"sent {scheme} {secret}{after}")

    assert secret not in told


@pytest.mark.parametrize("header", ["Authorization: Basic YTpi", "'HTTP_AUTHORIZATION': 'Bearer x'", "authorization=x"])
def test_a_short_credential_is_masked_too(header):
    assert not re.search(r"YTpi|'Bearer x'|=x$", redact(header))


@given(
    scheme=st.sampled_from(["postgres", "redis", "amqp", "https"]),
    user=st.text(st.sampled_from("abcdefgh_"), max_size=8),
    password=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'<>"), min_size=6),
)
@example(scheme="postgres", user="u", password="p@ss/word:1")
def test_a_connection_string_keeps_its_host_and_loses_its_password(scheme, user, password):
    told = redact(f"cannot reach {scheme}://{user}:{password}@db.internal:5432/x")

    assert f":{password}@" not in told
    assert told.endswith("@db.internal:5432/x")


@given(before=AROUND, number=st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True), after=AROUND)
def test_a_phone_number_is_masked_but_for_its_end(before, number, after):
    told = redact(f"{before}+{number}{after}")

    assert number not in told
    assert number[-3:] in told


@given(before=AROUND, number=st.from_regex(r"255[67][0-9]{8}", fullmatch=True), after=AROUND)
def test_a_phone_number_without_its_plus_is_masked(before, number, after):
    assert number not in redact(f"{before}{number}{after}")
    assert "0" + number[3:] not in redact(f"{before}0{number[3:]}{after}")


@given(before=AROUND, email=st.emails(), after=AROUND)
def test_an_email_address_loses_its_name(before, email, after):
    name, _at, domain = email.rpartition("@")

    told = redact(f"{before}{email}{after}")

    assert f"{name}@" not in told or name == "*"
    assert domain in told or "*" in told


@pytest.mark.parametrize(
    "harmless",
    [
        "GET /api/v1/payments/<uuid:payment_id>/",
        "0f8d1a52-3f6b-4d0e-8a53-712345678901",
        "2026-11-20T13:00:00+00:00",
        "event will be retried",
        "status=200 ms=3.1",
        "TZS 5,000",
        "http://127.0.0.1:8001/clickpesa/third-parties",
    ],
)
def test_what_is_no_secret_stays(harmless):
    assert redact(harmless) == harmless


def test_masking_takes_time_in_proportion_to_the_text():
    """A hostile text must not hold a thread: no pattern may backtrack without bound."""
    long = 10**5
    hostile = [
        "a",
        "0",
        "1-",
        "eyJ",
        "eyJa.",
        "password=",
        '"token": "',
        "token:[",
        "token ",
        "a@",
        "a@a",
        "a://a:",
        ".@",
    ]
    for text in (*hostile, "bearer ", "+1", "'password': '\\\\"):
        began = time.thread_time()
        redact((text * long)[:long])
        assert time.thread_time() - began < 1, text


# --- Lines -----------------------------------------------------------------------------------------------------------


@given(message=st.text(), value=st.text())
@example(message='a\r\n{"level": "info"}', value="b\nc")
@example(message="\u2028\u2029\x85", value="\x00\x1b[31m")
@example(message="\ud800", value="a\udfff")
def test_a_record_is_one_line_of_json_whatever_it_says(message, value):
    printed = JsonFormatter().format(record("%s", message, about=value))

    assert "\n" not in printed
    assert "\r" not in printed
    printed.encode()
    assert json.loads(printed)["logger"] == "faraja.test"


@given(value=st.one_of(st.integers(), st.floats(), st.none(), st.booleans(), st.binary(), st.lists(st.integers())))
@example(value=2**63)
@example(value=-(2**70))
def test_extras_of_any_kind_fit_into_the_line(value):
    line = json.loads(JsonFormatter().format(record("x", about=value)))

    assert line["message"] == "x"


def test_an_extra_with_a_secrets_name_is_masked():
    line = json.loads(JsonFormatter().format(record("x", api_key="abc", password="d e", refresh_token="f", about="g")))

    assert (line["api_key"], line["password"], line["refresh_token"]) == ("[secret]",) * 3
    assert line["about"] == "g"


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()], ids=["json", "text"])
def test_both_formats_mask_message_extras_and_traceback(formatter):
    try:
        raise RuntimeError("password=mango-tree-42 +255712345678")
    except RuntimeError:
        made = record("token=%s", "mango-tree-42", about="asha@example.com", exc_info=sys.exc_info())

    printed = formatter.format(made)

    assert "mango-tree-42" not in printed
    assert "712345" not in printed
    assert "asha@" not in printed
    assert "RuntimeError" in printed


def test_a_line_names_its_request():
    context.request_id.set("mine-1")
    try:
        line = json.loads(JsonFormatter().format(record("x")))
    finally:
        context.request_id.set("")

    assert line["request_id"] == "mine-1"
    assert set(json.loads(JsonFormatter().format(record("x")))) == {"time", "level", "logger", "message"}
