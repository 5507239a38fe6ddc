"""Selcom's digest against the vendor notes' vectors (section 2), which the vendor's own clients computed."""

from __future__ import annotations

import pytest

from services.simulators.selcom.signing import NotSignable, authorization, digest, headers, is_valid, read_timestamp

SECRET = "demo-secret-9a8b7c6d"
V0 = {"utilityref": "12345", "transid": "transid", "amount": 5000}
V1 = {
    "vendor": "DEMOTILL001",
    "order_id": "ORD-2026-000123",
    "buyer_email": "asha@example.com",
    "buyer_name": "Asha Juma",
    "buyer_phone": "255712345678",
    "amount": 15000,
    "currency": "TZS",
    "redirect_url": "aHR0cHM6Ly9zaG9wLmV4YW1wbGUuY29tL3BheS9yZXR1cm4/cj1PUkQtMjAyNi0wMDAxMjM=",
    "cancel_url": "aHR0cHM6Ly9zaG9wLmV4YW1wbGUuY29tL3BheS9jYW5jZWw=",
    "webhook": "aHR0cHM6Ly9zaG9wLmV4YW1wbGUuY29tL3dlYmhvb2tzL3NlbGNvbQ==",
    "no_of_items": 1,
    "expiry": 60,
}
V2 = {"order_id": "ORD-2026-000123"}
V3 = {"transid": "TXN-7781", "order_id": "ORD-2026-000123", "msisdn": "255712345678"}
V4 = {
    "transid": "TXN-7781",
    "order_id": "ORD-2026-000123",
    "reference": "0289999288",
    "result": "SUCCESS",
    "resultcode": "000",
    "payment_status": "COMPLETED",
}
V5 = {
    "vendor": "DEMOTILL001",
    "buyer_name": "Zo\u00eb Mk\u00e1mbala",
    "buyer_remarks": "Chakula & vinywaji = 2",
    "billing.firstname": "Zo\u00eb",
    "amount": 2500,
}


@pytest.mark.parametrize(
    ("secret", "timestamp", "fields", "expected"),
    [
        pytest.param(
            "81dc9bdb52d04dc20036dbd8313ed055",
            "2019-02-26T09:30:46+03:00",
            V0,
            "TFHAyQ1k1d601bVfimp+GJsgiBPzMmmV0QJl0bX1c1Q=",
            id="V0",
        ),
        pytest.param(SECRET, "2026-03-04T11:22:33+03:00", V1, "zWQm3iHtEhDWNcPKQbzPL60P2WhhB0RUcHOmgiHEBFA=", id="V1"),
        pytest.param(SECRET, "2026-03-04T11:25:00+0300", V2, "793NWM9S7h6EUMbYZyfE5lGUwlgB+4X89VMfoiznS3E=", id="V2"),
        pytest.param(SECRET, "2026-03-04T11:23:10+03:00", V3, "meUcDuaZnqjF0uyf5LWeQ/OM2LyV7LnbdVOyWb0ImuU=", id="V3"),
        pytest.param(SECRET, "2026-04-03 11:24:02", V4, "gWalPXEsCQgtrJq9EIZpt13DJdsAVfyYyDYO/YOqnqI=", id="V4"),
        pytest.param(SECRET, "2026-03-04T11:30:00+03:00", V5, "S+pLgONdkbG61SqXJ26gXIz9HpjNSG1nmURkwnReX5g=", id="V5"),
    ],
)
def test_the_digest_is_the_vendors(secret, timestamp, fields, expected):
    signed = headers("DEMOKEY-1f2e3d4c5b6a", secret, timestamp, fields, fields)

    assert digest(secret, timestamp, fields) == expected
    assert signed["Digest"] == expected
    assert signed["Signed-Fields"] == ",".join(fields)
    assert is_valid(secret, {name.lower(): value for name, value in signed.items()}, fields)


def test_the_authorization_is_the_vendors():
    key = "202cb962ac59075b964b07152d234b70"

    assert authorization(key) == "SELCOM MjAyY2I5NjJhYzU5MDc1Yjk2NGIwNzE1MmQyMzRiNzA="
    assert authorization("DEMOKEY-1f2e3d4c5b6a") == "SELCOM REVNT0tFWS0xZjJlM2Q0YzViNmE="


@pytest.mark.parametrize("value", [1.5, 8000.0, True, None, ["a"], {"a": "b"}])
def test_what_two_clients_would_write_differently_cannot_be_signed(value):
    with pytest.raises(NotSignable):
        digest(SECRET, "2026-03-04T11:22:33+03:00", {"amount": value})


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-04T11:22:33+03:00", 1772612553.0),
        ("2026-03-04T11:22:33+0300", 1772612553.0),
        ("2026-03-04T08:22:33+00:00", 1772612553.0),
        ("2026-03-04T08:22:33.000Z", None),
        ("2026-03-04 11:22:33", None),
        ("2026-13-04T11:22:33+03:00", None),
        ("", None),
    ],
)
def test_a_timestamp_has_an_offset_and_no_fractions(text, moment):
    assert read_timestamp(text) == moment
