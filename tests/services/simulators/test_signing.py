"""The checksum against the vendor notes' vectors (section 2.3), which were made with other people's code."""

from __future__ import annotations

import pytest

from services.simulators.signing import LEGACY, NotSignable, canonical_text, checksum, is_valid, legacy_text

KEY = "CHKdemo-0123456789"
C1 = {"amount": 100, "currency": "USD", "reference": "TX123"}
C2 = {"phoneNumber": "255712345678", "amount": "15000", "orderReference": "ORD2026000123", "currency": "TZS"}
C3 = {
    "orderReference": "ORD2026000124",
    "orderCurrency": "TZS",
    "orderItems": [
        {"quantity": 2, "price": "2500", "name": "Kahawa"},
        {"name": "Chai", "price": "1000", "quantity": 1},
    ],
    "customerName": "Asha Juma",
    "customerPhone": "255712345678",
}
C4 = {
    "event": "PAYMENT RECEIVED",
    "data": {
        "id": "ORD123456LCP7890",
        "status": "SUCCESS",
        "paymentReference": "RCT20260304001",
        "orderReference": "ORD2026000123",
        "collectedAmount": "15000",
        "collectedCurrency": "TZS",
        "message": "Payment completed",
        "channel": "TIGO-PESA",
        "updatedAt": "2026-03-04T08:24:02.000Z",
        "createdAt": "2026-03-04T08:23:10.000Z",
        "customer": {
            "customerName": "Asha Juma",
            "customerEmail": "asha@example.com",
            "customerPhoneNumber": "255712345678",
        },
    },
}
C5 = {
    "customerName": "Zo\u00eb Mk\u00e1mbala",
    "description": 'A/B <test> & "quoted"',
    "orderCurrency": "TZS",
    "orderReference": "ORD2026000125",
    "totalPrice": "500",
}


@pytest.mark.parametrize(
    ("key", "payload", "expected"),
    [
        pytest.param("secret-key", C1, "17c51f37dad20682e08cd556446c7f8e99840f4040b6719712f41f7549287f33", id="C1"),
        pytest.param(KEY, C2, "a89f489c5be877c561afe5edeb3c231abc6d307fea78becd74c60b48e9dd9dfc", id="C2"),
        pytest.param(KEY, C3, "9a60f3add17db1fa5104cf352cce6ec48b0816281a4459c5c86c93ffa63e157f", id="C3"),
        pytest.param(KEY, C4, "2efe1a599d2a38f5da9e151a009d834242b3e622236d40c4e2e04d1649894bbd", id="C4"),
        pytest.param(KEY, C5, "9bc81ee2fff71069814b37a127c60a234e93282f78582f8d73cca50ad7f8253e", id="C5"),
    ],
)
def test_the_canonical_checksum_is_the_vendors(key, payload, expected):
    assert checksum(key, payload) == expected
    assert is_valid(key, {**payload, "checksum": expected})
    assert is_valid(key, {**payload, "checksum": expected, "checksumMethod": "canonical"})


@pytest.mark.parametrize(
    ("key", "payload", "text", "expected"),
    [
        ("secret-key", C1, "100USDTX123", "85b65bf2670dcdcb8ebb8d19939e4fd59b02d5218741be2eaf9f575273b101d1"),
        (
            KEY,
            C2,
            "15000TZSORD2026000123255712345678",
            "eb573d988a9248c3f033645e3c07aaea980268e746a2475c9ab77159ea4c2fce",
        ),
    ],
)
def test_the_legacy_checksum_is_the_vendors(key, payload, text, expected):
    assert legacy_text(payload) == text
    assert checksum(key, payload, LEGACY) == expected
    assert is_valid(key, {**payload, "checksum": expected, "checksumMethod": "legacy"})


def test_a_legacy_checksum_does_not_pass_as_a_canonical_one():
    assert not is_valid(KEY, {**C2, "checksum": checksum(KEY, C2, LEGACY)})


@pytest.mark.parametrize("changed", [{"amount": "15001"}, {"extra": None}, {"checksumMethod": "md5"}])
def test_a_changed_payload_is_not_valid(changed):
    assert not is_valid(KEY, {**C2, "checksum": checksum(KEY, C2), **changed})


@pytest.mark.parametrize("given", [None, 5, "", "\u00e9" * 64, checksum("another key", C2)])
def test_a_wrong_checksum_is_not_valid(given):
    assert not is_valid(KEY, {**C2, "checksum": given})


def test_the_legacy_method_has_no_text_for_nested_values():
    with pytest.raises(NotSignable):
        legacy_text(C3)
    assert not is_valid(KEY, {**C3, "checksum": "0" * 64, "checksumMethod": "legacy"})


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        # Each right side is what Node 20 prints for JSON.stringify of the left side with sorted keys.
        ({"a": 1000.0, "b": 1.5, "c": -0.0}, '{"a":1000,"b":1.5,"c":0}'),
        ({"a": 1e21, "b": 1e-7, "c": 123456789.25}, '{"a":1e+21,"b":1e-7,"c":123456789.25}'),
        ({"a": 12345678901234567890, "b": 1e20}, '{"a":12345678901234567000,"b":100000000000000000000}'),
        ({"b": 1, "10": 2, "9": 3, "01": 4}, '{"9":3,"10":2,"01":4,"b":1}'),
        ({"\ue000": 1, "\U0001f600": 2}, '{"\U0001f600":2,"\ue000":1}'),
        ({"a": "\x00\x1f\x7f\u2028/\b\t"}, '{"a":"\\u0000\\u001f\x7f\u2028/\\b\\t"}'),
        ({"a": [True, None, {"d": False, "c": []}]}, '{"a":[true,null,{"c":[],"d":false}]}'),
        ({"a": "\ud800"}, '{"a":"\\ud800"}'),
    ],
)
def test_the_canonical_text_is_what_javascript_prints(payload, text):
    assert canonical_text(payload) == text
