"""Whatever arrives, the answer is a 4xx in the envelope that says what was wrong, and nothing is stored."""

from __future__ import annotations

import base64
import json
import uuid
from io import BytesIO
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from apps.payments.models.inbox import InboxDelivery
from apps.payments.models.payments import Payment
from core.parsers import PayloadTooLarge, parse_json, read_limited
from core.tenancy import tenant_scope
from tests.envelope import faults_in, refusal_of
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.payments import a_wish_to_pay

PAYMENTS, LOGIN, REGISTER = "/api/v1/payments/", "/api/v1/auth/login/", "/api/v1/auth/register/"
CALLBACK = "/api/v1/webhooks/clickpesa/demo-clickpesa-callback-token/"
REPORT = "/api/v1/messaging/reports/beem/demo-beem-callback-token/"
MANY = hypothesis_settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=100
)


@pytest.fixture
def hostile(member: Member) -> APIClient:
    """A member with bad intentions. A 500 is shown, not raised."""
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {member.tokens.access}")
    return client


@pytest.fixture
def nobody() -> APIClient:
    return APIClient(raise_request_exception=False)


def send(client: APIClient, body: Any, path: str = PAYMENTS, **headers: Any) -> Any:
    """POST exactly these bytes as JSON, under a new idempotency key."""
    content_type = headers.pop("content_type", "application/json")
    extra = {"HTTP_IDEMPOTENCY_KEY": uuid.uuid4().hex} | headers
    return client.generic("POST", path, data=body, content_type=content_type, **extra)


def a_body(**changes: Any) -> bytes:
    """An accepted wish to pay, changed. ASCII only, so that hostile text travels as escapes."""
    return json.dumps(a_wish_to_pay(**changes)).encode()


def payments_of(member: Member) -> int:
    with tenant_scope(member.tenant_id):
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('app.tenant_id', %s, true)", [str(member.tenant_id)])
        return Payment.objects.count()


# --- Characters ------------------------------------------------------------------------------------------------------


def test_the_body_that_is_made_hostile_below_is_accepted_as_it_is(hostile, member):
    assert send(hostile, a_body()).status_code == 201
    assert payments_of(member) == 1


@pytest.mark.parametrize(
    "address",
    [
        f"{PAYMENTS}%00/",
        f"{PAYMENTS}a%00b/",
        "/%00",
        f"{PAYMENTS}?status=%00",
        f"{PAYMENTS}?%00=1",
        f"{PAYMENTS}?gateway=a%00b&status=settled",
        f"{PAYMENTS}?cursor=%00",
        "/health/ready?x=%00",
        "/docs/?lang=%00",
        "/api/v1/webhooks/clickpesa/%00/",
    ],
)
def test_a_nul_in_the_address_is_refused(hostile, address):
    for method in ("GET", "POST", "FOO"):
        assert refusal_of(hostile.generic(method, address)) == (400, "invalid_characters"), method


HOSTILE_TEXTS = ["\x00", "a\x00b", "\ud800", "a\udfffb", "\udc00\ud800"]


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=ascii)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda text: a_wish_to_pay(description=text), id="value"),
        pytest.param(lambda text: a_wish_to_pay(**{text: "x"}), id="key"),
        pytest.param(lambda text: a_wish_to_pay(amount={"amount": 1, text: "TZS"}), id="nested key"),
        pytest.param(lambda text: a_wish_to_pay(description=[["x", {"y": text}]]), id="nested value"),
        pytest.param(lambda text: text, id="root"),
        pytest.param(lambda text: [text], id="list"),
    ],
)
def test_a_text_that_nothing_can_store_is_refused(hostile, member, text, body):
    response = send(hostile, json.dumps(body(text)).encode())

    assert refusal_of(response) == (400, "invalid_characters")
    assert payments_of(member) == 0


@pytest.mark.parametrize("path", [LOGIN, REGISTER])
@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=ascii)
def test_hostile_text_is_refused_where_nobody_has_signed_in_yet(db, nobody, path, text):
    body = json.dumps({"email": f"a{text}@example.com", "password": f"x{text}"}).encode()

    assert refusal_of(send(nobody, body, path)) == (400, "invalid_characters")


@pytest.mark.parametrize("body", [b'{"a": "\x00"}', b"\x00", b'{"\x00": 1}'])
def test_a_raw_nul_is_refused(hostile, body):
    assert refusal_of(send(hostile, body)) == (400, "invalid_characters")


def test_escapes_that_only_look_hostile_are_text(hostile):
    """A backslash before the u, and a proper pair of surrogates, are characters like any other."""
    response = send(hostile, a_body(description="\\u0000 \\ud800 \U0001f600"))

    assert response.status_code == 201
    assert response.json()["data"]["description"] == "\\u0000 \\ud800 \U0001f600"


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"\xff\xfe{\x00}\x00",
        b'{"description": "\xff"}',
        b'{"description": "\xc0\x80"}',
        b'{"description": "\xed\xa0\x80"}',
        b'{"\xf5": 1}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
    ],
    ids=ascii,
)
def test_a_body_that_is_no_utf8_is_refused(hostile, body):
    status, code = refusal_of(send(hostile, body))

    assert (status, code) in {(400, "malformed_json"), (400, "invalid_characters")}


# --- Depth and size --------------------------------------------------------------------------------------------------

DEEP = {
    "lists": lambda depth: b"[" * depth + b"]" * depth,
    "objects": lambda depth: b'{"a":' * depth + b"1" + b"}" * depth,
    "mixed": lambda depth: b'[{"a":' * (depth // 2) + b"1" + b"}]" * (depth // 2),
    "lists never closed": lambda depth: b"[" * depth,
    "inside a field": lambda depth: b'{"description":' + b"[" * depth + b"]" * depth + b"}",
}


@pytest.mark.parametrize("shape", DEEP)
@pytest.mark.parametrize("depth", [9_000, 100_000])
def test_deep_json_is_refused_before_anything_recurses(hostile, shape, depth):
    body = DEEP[shape](depth)
    response = send(hostile, body)

    assert refusal_of(response) == ((400, "payload_too_deep") if len(body) <= 2**20 else (413, "payload_too_large"))


def test_the_limit_of_depth_is_exact():
    limit = settings.API_MAX_JSON_DEPTH

    assert parse_json(DEEP["lists"](limit))
    with pytest.raises(Exception, match="nested"):
        parse_json(DEEP["lists"](limit + 1))


def test_brackets_in_text_are_not_depth(hostile):
    assert send(hostile, a_body(description='[{"\\' * 40)).status_code == 201


@pytest.mark.parametrize("path", [PAYMENTS, LOGIN, REGISTER, CALLBACK, REPORT, "/", "/nothing"])
def test_an_oversize_body_is_refused(hostile, path):
    response = send(hostile, b" " * (settings.API_MAX_BODY_BYTES + 1), path)

    assert refusal_of(response) == (413, "payload_too_large")


@pytest.mark.parametrize("length", [str(2**20 + 1), str(2**63), "9" * 30, "9" * 5_000])
def test_an_announced_oversize_is_refused_before_it_is_read(hostile, length):
    assert refusal_of(send(hostile, b"{}", CONTENT_LENGTH=length)) == (413, "payload_too_large")


@pytest.mark.parametrize("path", [CALLBACK, REPORT])
def test_a_callback_is_held_to_its_own_smaller_limit(db, nobody, path):
    response = send(nobody, b" " * (settings.CALLBACK_MAX_BODY_BYTES + 1), path)

    assert refusal_of(response) == (413, "payload_too_large")


def test_a_stream_that_never_ends_is_read_to_the_limit_only():
    stream = BytesIO(b"x" * 100)

    with pytest.raises(PayloadTooLarge):
        read_limited(stream, 10)

    assert stream.tell() == 11
    assert read_limited(BytesIO(b"x" * 10), 10) == b"x" * 10


@pytest.mark.parametrize("length", ["abc", "-1", "+5", "1.5", "0x10", " ", "1 1", "\u0661", "\u00b2", "1,1", "1\n"])
def test_an_invalid_content_length_is_refused(hostile, length):
    assert refusal_of(send(hostile, b"{}", CONTENT_LENGTH=length)) == (400, "bad_request")


@pytest.mark.parametrize("path", [PAYMENTS, LOGIN])
def test_two_thousand_form_fields_are_refused(hostile, path):
    form = "&".join(f"field{number}=1" for number in range(2_000)).encode()

    response = send(hostile, form, path, content_type="application/x-www-form-urlencoded")

    assert refusal_of(response) == (415, "unsupported_media_type")


@pytest.mark.parametrize("path", [PAYMENTS, "/docs/", "/schema/", "/health/ready", "/"])
def test_two_thousand_query_parameters_harm_nobody(hostile, path):
    query = "&".join(f"field{number}=1" for number in range(2_000))

    response = hostile.get(f"{path}?{query}")

    assert response.status_code < 500
    if response.status_code >= 400:
        assert refusal_of(response)[0] == 400


def test_a_multipart_body_with_two_thousand_parts_is_refused(hostile):
    parts = b"".join(b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' for _ in range(2_000)) + b"--x--"

    response = send(hostile, parts, content_type="multipart/form-data; boundary=x")

    assert refusal_of(response) == (415, "unsupported_media_type")


# --- Numbers and types -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "amount",
    [
        *("5.0", "5e3", "1e400", '"5"', '"500000"', '"\u0665"', "true", "null", "[]", "{}", "-1", "0", "-0", "0.1"),
        *("9007199254740992", "9223372036854775808", "18446744073709551616", "9" * 400),
    ],
)
def test_an_amount_is_a_whole_positive_json_number_or_refused(hostile, member, amount):
    body = a_body().replace(b"500000", amount.encode())

    status, code = refusal_of(send(hostile, body))

    # 1e400 and 400 digits are more than a JSON number of ours holds.
    assert (status, code) in {(400, "validation_error"), (400, "malformed_json")}
    assert payments_of(member) == 0


@pytest.mark.parametrize(
    "word", [b"NaN", b"Infinity", b"-Infinity", b"nan", b"01", b"+1", b".5", b"5.", b"0x10", b"1_0"]
)
def test_a_word_that_is_no_json_number_is_malformed(hostile, word):
    assert refusal_of(send(hostile, a_body().replace(b"500000", word))) == (400, "malformed_json")


def test_of_two_equal_keys_one_meaning_is_taken_everywhere(hostile):
    """The last one counts, for the payment as for its fingerprint; what must not happen is that they differ."""
    twice = a_body().replace(b'"gateway"', b'"description": "first", "description": "last", "gateway"')
    key = {"HTTP_IDEMPOTENCY_KEY": "one-key"}

    first = send(hostile, twice, **key)
    again = send(hostile, a_body(description="last"), **key)

    assert first.json()["data"]["description"] == "last"
    assert again.content == first.content


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "x" * 201},
        {"description": "x" * 500_000},
        {"client_reference": "x" * 101},
        {"gateway": "x" * 51},
        {"gateway": "../etc/passwd"},
        {"gateway": "click\npesa"},
        {"gateway": "\u0441lickpesa"},
        {"phone": "+" + "9" * 10_000},
        {"phone": ["+255712345678"]},
        {"phone": None},
        {"phone": 255712345678},
        {"description": 5},
        {"description": True},
        {"description": ["x"]},
        {"amount": [500000, "TZS"]},
        {"amount": {"amount": 500000}},
        {"amount": {"amount": 500000, "currency": "tzs"}},
        {"amount": {"amount": 500000, "currency": ["TZS"]}},
        {"amount": {"amount": 500000, "currency": {"a": 1}}},
        {"amount": {"amount": 500000, "currency": "TZS", "display": "x"}},
        {"x" * 500_000: 1},
        {f"field{number}": number for number in range(5_000)},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_value_of_the_wrong_shape_is_named_in_errors(hostile, member, changes):
    response = send(hostile, a_body(**changes))

    assert refusal_of(response) == (400, "validation_error")
    assert response.json()["errors"]
    assert payments_of(member) == 0


def test_only_a_valid_phone_is_stored_whatever_its_digits(hostile):
    """Arabic digits are digits to people and to phonenumbers; what is stored is ASCII, or nothing."""
    response = send(hostile, a_body(phone="+255\u0667\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668"))

    if response.status_code == 201:
        assert response.json()["data"]["phone"] == "+255712345678"
    else:
        assert refusal_of(response) == (400, "validation_error")


# --- Lists -----------------------------------------------------------------------------------------------------------


def a_cursor(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


ANY_ID = str(uuid.UUID(int=1))


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "!!!!",
        "\u0661\u0662",
        "A" * 100_000,
        a_cursor(b"\xff\xff"),
        a_cursor(None),
        a_cursor([]),
        a_cursor({}),
        a_cursor({"a": 1, "b": 2, "c": 3}),
        a_cursor([0, "2026-01-01T00:00:00+00:00"]),
        a_cursor([0, "2026-01-01T00:00:00", ANY_ID]),
        a_cursor([0, "2026-01-01T00:00:00+00:00", "1"]),
        a_cursor([0, "2026-01-01T00:00:00+00:00", 1]),
        a_cursor([0, 5, ANY_ID]),
        a_cursor([0, None, None]),
        a_cursor([0, "2026-01-01T00:00:00+00:00", ANY_ID, 4]),
        a_cursor([0, "0001-01-01T00:00:00+23:59", ANY_ID]),
        a_cursor([1, "9999-12-31T23:59:59-23:59", ANY_ID]),
        a_cursor([[], "2026-01-01T00:00:00+00:00", [ANY_ID]]),
        a_cursor(b"[" * 300),
    ],
    ids=lambda cursor: cursor[:30],
)
def test_a_made_up_cursor_is_refused(hostile, cursor):
    response = hostile.get(PAYMENTS, {"cursor": cursor})

    assert refusal_of(response) == (400, "validation_error")
    assert set(response.json()["errors"]) == {"cursor"}


@MANY
@given(cursor=st.one_of(st.text(max_size=80), st.binary(max_size=60).map(a_cursor)))
def test_no_cursor_is_an_error_of_ours(hostile, cursor):
    response = hostile.get(PAYMENTS, {"cursor": cursor})

    assert faults_in(response) == []
    assert response.status_code in {200, 400}


@pytest.mark.parametrize(
    "size",
    ["0", "-1", "101", "1e2", "10.0", " 10", "+10", "\u0661\u0660", "ten", "", "9" * 5_000, "0x10", "1_0", "\u00b2"],
)
def test_a_page_size_is_a_number_from_1_to_100_or_refused(hostile, size):
    response = hostile.get(PAYMENTS, {"page_size": size})

    assert refusal_of(response) == (400, "validation_error")
    assert set(response.json()["errors"]) == {"page_size"}


@pytest.mark.parametrize(
    "query",
    [
        "status=nothing",
        "status=settled&status[]=x",
        "created_from=yesterday",
        "created_from=0001-01-01T00:00:00%2B14:00",
        "created_until=9999-12-31T23:59:59-14:00",
        "created_from=99999-01-01T00:00:00Z",
        "gateway=%ED%A0%80",
        "tenant=0f8d1a52-3f6b-4d0e-8a53-6a5e4f0f2b77",
        "tenant_id=1",
        "ordering=phone",
        "unknown=1",
        "=1",
    ],
)
def test_a_filter_that_means_nothing_is_refused(hostile, query):
    response = hostile.get(f"{PAYMENTS}?{query}")

    assert refusal_of(response) == (400, "validation_error")
    assert response.json()["errors"]


# --- Headers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "localhost,evil.example",
        "localhost/../",
        "localhost:port",
        "localhost:80:80",
        "localhost\x00",
        "\xff\xfe",
        "a b",
        "",
        "[::1",
        "x" * 9_000,
    ],
    ids=lambda host: ascii(host)[:30],
)
def test_a_bad_host_is_refused_in_the_envelope(hostile, host):
    expected = (400, "invalid_characters") if "\x00" in host else (400, "invalid_host")

    for path in (PAYMENTS, "/", "/nothing", "/docs/", "/admin/", "/health/live"):
        assert refusal_of(hostile.get(path, HTTP_HOST=host)) == expected, path


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "bearer\t",
        "Bearer \xff\xfe",
        "Bearer eyJ\xe9.a.b",
        "Bearer " + "a" * 1_000_000,
        "Bearer " + ".".join(["a" * 1_000] * 3),
        "Bearer " + "." * 4_000,
        "Basic YTpi",
        "Token abc",
        "Bearer a b c",
        "Bearer null",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer " + a_cursor({"alg": "HS256"}) + "." + a_cursor(b"[" * 2_000) + ".x",
        "Bearer " + a_cursor({"alg": ["HS256"]}) + "." + a_cursor({}) + ".x",
        "Bearer " + a_cursor({"alg": "HS256", "crit": ["x"]}) + "." + a_cursor({}) + ".x",
        "\xff",
    ],
    ids=lambda header: ascii(header)[:40],
)
def test_a_hostile_authorization_header_is_no_token(db, nobody, header):
    response = nobody.get("/api/v1/auth/me/", HTTP_AUTHORIZATION=header)

    assert refusal_of(response) == (401, "token_invalid")
    assert "WWW-Authenticate" in response.headers


@pytest.mark.parametrize("header", ["AUTHORIZATION", "COOKIE", "USER_AGENT", "ORIGIN", "ACCEPT_LANGUAGE", "X_ANYTHING"])
def test_a_nul_in_a_header_is_refused(db, nobody, header):
    body = json.dumps({"email": "asha@example.com", "password": PASSWORD}).encode()

    response = send(nobody, body, REGISTER, **{f"HTTP_{header}": "Bearer a\x00b"})

    assert refusal_of(response) == (400, "invalid_characters")


@pytest.mark.parametrize(
    "cookie",
    [
        "access",
        "access=",
        "access=\xff\xfe",
        'access="\\000"',
        'access="\\777"',
        "=;=;=",
        "access=" + "a" * 100_000,
        "; ".join(f"c{number}=1" for number in range(5_000)),
        "access=a.b.c; csrf=\xe9; refresh=..",
    ],
    ids=lambda cookie: ascii(cookie)[:30],
)
def test_hostile_cookies_prove_nobody(db, nobody, cookie):
    for method, name, expected in (("GET", "me", 401), ("POST", "refresh", 401), ("POST", "logout", 200)):
        response = nobody.generic(method, f"/api/v1/auth/{name}/", HTTP_COOKIE=cookie)
        assert faults_in(response) == [], name
        assert response.status_code == expected, name


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_USER_AGENT": "\xff" * 10_000},
        {"HTTP_ACCEPT_LANGUAGE": ",".join(["xx-yy;q=0.1"] * 5_000)},
        {"HTTP_ACCEPT_LANGUAGE": "\xff;q=\xff"},
        {"HTTP_ACCEPT": "text/html;q=x,,;,*/\xff"},
        {"HTTP_ACCEPT_ENCODING": "\xff"},
        {"HTTP_X_REQUEST_ID": "\xff" * 9_000},
        {"HTTP_ORIGIN": "http://["},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_X_FORWARDED_FOR": "\xff" * 9_000},
        {"HTTP_X_FORWARDED_PROTO": "\xff"},
        {"HTTP_RANGE": "bytes=-1-"},
        {"HTTP_IF_MODIFIED_SINCE": "\xff"},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"CONTENT_LENGTH": ""},
        {"HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE"},
    ],
    ids=lambda headers: ascii(headers)[:50],
)
def test_hostile_headers_break_nothing(db, nobody, headers):
    body = json.dumps({"email": "asha@example.com", "password": "x"}).encode()

    for path in (LOGIN, "/", "/docs/", "/schema/", "/nothing"):
        response = send(nobody, body, path, **headers)
        assert faults_in(response) == [], path
        assert 400 <= response.status_code < 500, path


@hypothesis_settings(MANY, max_examples=400)
@given(
    key=st.one_of(
        st.text(st.characters(max_codepoint=255), max_size=300),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300).map(lambda text: f'"{text}"'),
        st.integers(min_value=0, max_value=600).map(lambda length: "k" * length),
    )
)
@example(key="")
@example(key='""')
@example(key='"')
@example(key="\x85key")
@example(key="key\x1f")
def test_no_idempotency_key_is_an_error_of_ours(hostile, key):
    """A body that is refused shows whether the key was taken: `validation_error` comes after the key."""
    status, code = refusal_of(send(hostile, b"{}", HTTP_IDEMPOTENCY_KEY=key))

    bare = key.strip(" \t")
    if "\x00" in key:
        assert (status, code) == (400, "invalid_characters")
    elif any(not " " <= character <= "~" for character in bare) or not bare or bare == '""':
        assert (status, code) == (400, "idempotency_key_invalid")
    else:
        assert (status, code) in {(400, "idempotency_key_invalid"), (400, "validation_error")}
        if len(bare) <= 255 and '"' not in bare:
            assert code == "validation_error"
        if len(bare) > 600:
            assert code == "idempotency_key_invalid"


@pytest.mark.parametrize("lang", ["../../x", '"><script>alert(1)</script>', "\xff", "x" * 5_000, "sw", "en_US\r\nX: y"])
@pytest.mark.parametrize("path", ["/schema/", "/docs/", "/redoc/"])
def test_parameters_of_the_documentation_are_not_echoed_as_markup(db, nobody, path, lang):
    response = nobody.get(path, {"lang": lang, "version": lang})

    assert response.status_code < 500
    assert b"<script>alert" not in response.content


# --- Fuzz ------------------------------------------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["amount", "phone", "gateway", "description", "client_reference", "email", "password", "transport", "currency"]
)
BODIES = st.one_of(
    st.binary(max_size=300),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(FIELDS, JSON_VALUES, max_size=6).map(lambda value: json.dumps(value).encode()),
    st.dictionaries(FIELDS, JSON_VALUES, max_size=3).map(lambda value: a_body(**value)),
)


@MANY
@given(body=BODIES)
def test_any_bytes_to_start_a_payment_are_answered(hostile, body):
    response = send(hostile, body)

    assert faults_in(response) == []
    assert response.status_code in {201, 400, 422}


@MANY
@given(body=BODIES)
def test_any_bytes_to_sign_in_are_answered(db, nobody, body):
    response = send(nobody, body, LOGIN)

    assert faults_in(response) == []
    assert response.status_code in {400, 401}


@MANY
@given(body=BODIES, headers=st.dictionaries(st.sampled_from(["X_CLICKPESA_SIGNATURE"]), st.text(max_size=5)))
def test_any_bytes_from_a_gateway_are_refused_and_not_stored(db, nobody, body, headers):
    told = {f"HTTP_{name}": value.encode().decode("latin-1") for name, value in headers.items()}

    response = send(nobody, body, CALLBACK, **told)

    assert refusal_of(response)[0] in {400, 401}
    assert not InboxDelivery.objects.exists()


@MANY
@given(body=BODIES, content_type=st.sampled_from(["application/json", "application/x-www-form-urlencoded", "x"]))
def test_any_bytes_from_an_sms_provider_are_answered(db, nobody, body, content_type):
    response = send(nobody, body, REPORT, content_type=content_type)

    assert faults_in(response) == []
    assert response.status_code in {200, 400}


def test_a_member_keeps_working_after_all_that(member):
    """Hostile requests leave the connection and the thread as they found them."""
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {member.tokens.access}")
    for body in (b"\x00", b"[" * 100_000, a_body(description="\ud800"), b"{}"):
        send(client, body)

    assert send(client, a_body()).status_code == 201
    assert make_member().client().get(PAYMENTS).json()["data"]["results"] == []
