from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polar.v2026_04.webhooks import validate_event
from polar.webhooks import PolarWebhookUnknownTypeError, PolarWebhookVerificationError
from standardwebhooks import Webhook

from services.http import Delivery
from services.payments.base import WebhookRejected
from services.payments.providers.polar import PolarGateway
from services.payments.providers.polar_signing import signing_keys
from tests.services import wire

NOW = datetime(2026, 10, 1, 8, 5, 2, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
MESSAGE_ID = "0b3f7c9e-6d1a-4c55-9a0e-2f6f6f0f1c11"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
VECTORS = wire.load("polar", "signature_vectors")["vectors"]


@pytest.fixture(autouse=True, scope="module")
def _the_recorded_moment() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def polar(secret: str = SECRET) -> PolarGateway:
    return PolarGateway(base_url="http://127.0.0.1:1", access_token="t", webhook_secret=secret, product_id="p")


def signed(text: str, key: str = SECRET, *, message_id: str = MESSAGE_ID, at: datetime = NOW) -> Delivery:
    """A delivery signed by the reference library."""
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(key).sign(message_id, at, text),
    }
    return Delivery(body=text.encode(), headers=headers)


def whole(secret: str) -> str:
    """The secret by which the reference library signs with the whole text of `secret` as its key."""
    return base64.b64encode(secret.encode()).decode()


def is_accepted(gateway: PolarGateway, delivery: Delivery) -> bool:
    try:
        gateway.verify(delivery)
    except WebhookRejected:
        return False
    return True


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_vectors_of_both_keys_are_accepted(vector):
    gateway = polar(vector["secret"])

    for signature in vector["signatures"]:
        headers = {
            "webhook-id": vector["id"],
            "webhook-timestamp": vector["timestamp"],
            "webhook-signature": signature,
        }
        delivery = Delivery(body=vector["text"].encode(), headers=headers)
        with time_machine.travel(int(vector["timestamp"]), tick=False):
            gateway.verify(delivery)
            with pytest.raises(WebhookRejected):
                polar("whsec_another").verify(delivery)


SECRETS = st.binary(min_size=1, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode()) | st.text(
    min_size=1, max_size=60
).filter(lambda text: bool(text.strip()))
TEXTS = st.text(max_size=200)
IDS = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=60)


@settings(deadline=None)  # the first gateway of a process reads the TLS roots
@given(secret=SECRETS, text=TEXTS, message_id=IDS)
@example(secret="whsec_demo", text="Zoë", message_id="a.b")
def test_what_the_reference_library_signs_is_accepted_with_either_key(secret, text, message_id):
    gateway = polar(secret)

    assert is_accepted(gateway, signed(text, whole(secret), message_id=message_id))
    for key in signing_keys(secret)[1:]:
        assert is_accepted(gateway, signed(text, base64.b64encode(key).decode(), message_id=message_id))


def test_a_new_secret_in_base64_has_two_keys_and_any_other_text_one():
    assert signing_keys(SECRET) == (SECRET.encode(), bytes(range(32)))
    assert signing_keys(SECRET.rstrip("=")) == (SECRET.rstrip("=").encode(), bytes(range(32)))
    assert signing_keys("demo-polar-webhook-secret") == (b"demo-polar-webhook-secret",)
    # An empty key would let anybody sign.
    assert signing_keys("whsec_") == (b"whsec_",)


def bodies_signed_by(key: bytes) -> Delivery:
    body = b'{"type":"x"}'
    mac = hmac.new(key, f"{MESSAGE_ID}.{STAMP}.".encode() + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(mac).decode()
    headers = {"webhook-id": MESSAGE_ID, "webhook-timestamp": STAMP, "webhook-signature": signature}
    return Delivery(body=body, headers=headers)


@pytest.mark.parametrize("secret", [SECRET, "whsec_", "demo-polar-webhook-secret", "whsec_===="])
def test_nobody_signs_with_an_empty_key(secret):
    assert not is_accepted(polar(secret), bodies_signed_by(b""))


@settings(deadline=None)  # the first gateway of a process reads the TLS roots
@given(
    text=st.text(min_size=1, max_size=120),
    position=st.integers(min_value=0),
    bit=st.integers(0, 7),
    header=st.sampled_from(["", "webhook-id", "webhook-timestamp", "webhook-signature"]),
)
def test_one_changed_bit_anywhere_is_rejected(text, position, bit, header):
    delivery = signed(text)
    raw = bytearray(delivery.headers[header].encode() if header else delivery.body)
    raw[position % len(raw)] ^= 1 << bit
    changed = (
        replace(delivery, headers={**delivery.headers, header: raw.decode("latin-1")})
        if header
        else replace(delivery, body=bytes(raw))
    )

    assert not is_accepted(polar(), changed)


@pytest.mark.invariant("I24")
@pytest.mark.parametrize(
    ("seconds", "is_good"),
    [(0, True), (240, True), (-240, True), (300, True), (-300, True), (301, False), (-301, False), (86_400, False)],
)
def test_a_delivery_counts_for_five_minutes_either_way(seconds, is_good):
    delivery = signed('{"type":"order.paid"}')

    with time_machine.travel(NOW.timestamp() + seconds, tick=False):
        assert is_accepted(polar(), delivery) is is_good


@pytest.mark.parametrize(
    "header",
    [
        "{good}",
        "v1,AAAA {good}",
        "{good} v1,AAAA",
        "v2,zzzz  v1a,{bare} {good}",
        "{old} {good}",
        "nonsense {good}",
    ],
)
def test_one_good_signature_among_several_is_enough(header):
    text = '{"type":"order.paid"}'
    good = signed(text).headers["webhook-signature"]
    old = signed(text, "whsec_" + base64.b64encode(b"the secret before this one").decode()).headers["webhook-signature"]
    value = header.format(good=good, bare=good.removeprefix("v1,"), old=old)
    delivery = signed(text)

    polar().verify(replace(delivery, headers={**delivery.headers, "webhook-signature": value}))


GOOD = signed('{"type":"order.paid"}')


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-id": ""},
        {"webhook-id": "a b"},
        {"webhook-id": "x" * 101},
        {"webhook-id": MESSAGE_ID + "\n"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": STAMP + ".0"},
        {"webhook-timestamp": "+" + STAMP},
        {"webhook-timestamp": " " + STAMP},
        {"webhook-timestamp": "٣" * 10},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": GOOD.headers["webhook-signature"].removeprefix("v1,")},
        {"webhook-signature": GOOD.headers["webhook-signature"].replace("v1,", "v2,")},
        {"webhook-signature": GOOD.headers["webhook-signature"].replace("v1,", "v1,v1,")},
        {"webhook-signature": "v1,é\ud800"},
    ],
    ids=ascii,
)
def test_malformed_headers_are_rejected_and_raise_nothing_else(headers):
    gateway = polar()
    assert is_accepted(gateway, GOOD)

    assert not is_accepted(gateway, replace(GOOD, headers={**GOOD.headers, **headers} if headers else {}))
    for name in headers:
        without = {other: value for other, value in GOOD.headers.items() if other != name}
        assert not is_accepted(gateway, replace(GOOD, headers=without))


@settings(deadline=None)  # the first gateway of a process reads the TLS roots
@given(
    body=st.binary(max_size=60),
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "other"]),
        st.text(st.characters(exclude_categories=()), max_size=60) | st.just(STAMP) | st.just(MESSAGE_ID),
        max_size=4,
    ),
)
def test_nobody_guesses_a_signature_and_nothing_else_is_raised(body, headers):
    assert not is_accepted(polar(), Delivery(body=body, headers=headers))


@settings(deadline=None)  # the first gateway of a process reads the TLS roots
@given(
    secret=st.sampled_from([SECRET, "whsec_demoLegacySecret0123456789abcdefghijklmnopq", "demo-polar-webhook-secret"]),
    is_whole=st.booleans(),
    note=st.text(max_size=40),
    seconds=st.integers(-600, 600),
)
def test_polars_own_client_agrees_on_every_delivery(secret, is_whole, note, seconds):
    keys = signing_keys(secret)
    key = keys[0] if is_whole else keys[-1]
    text = json.dumps({"type": "unheard.of", "note": note}, ensure_ascii=False)
    delivery = signed(text, base64.b64encode(key).decode(), at=datetime.fromtimestamp(int(STAMP) + seconds, UTC))

    assert is_accepted(polar(secret), delivery) is _client_accepts(delivery, secret)


def _client_accepts(delivery: Delivery, secret: str) -> bool:
    try:
        headers: dict[str, Any] = dict(delivery.headers)
        validate_event(delivery.body, headers, secret)
    except PolarWebhookVerificationError:
        return False
    except PolarWebhookUnknownTypeError:
        return True  # it looks at the type only after the signature
    raise AssertionError("The client knows every type.")
