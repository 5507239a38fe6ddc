"""Our checksum beside the one that JavaScript itself makes: ClickPesa's side prints with `JSON.stringify`.

Node comes with playwright, or stands on the machine. Without one, only the vectors of `test_clickpesa_checksum.py`
(made with Node too) hold the line.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.payments.providers.clickpesa_checksum import canonical_checksum, canonical_json
from services.reading import read_json

# ClickPesa docs, "checksum": take the two fields away, sort the keys at every level, stringify, HMAC-SHA256, hex.
REFERENCE = """
const crypto = require("crypto");
const sorted = (value) => {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(sorted);
  const result = {};
  for (const key of Object.keys(value).sort()) result[key] = sorted(value[key]);
  return result;
};
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { key, body } = JSON.parse(line);
  const payload = JSON.parse(body);
  delete payload.checksum;
  delete payload.checksumMethod;
  const text = JSON.stringify(sorted(payload));
  const digest = crypto.createHmac("sha256", key).update(text).digest("hex");
  console.log(JSON.stringify([text, digest]));
});
"""


def node() -> str:
    """The path of a Node, or nothing."""
    found = find_spec("playwright")
    driver = Path(found.origin).parent / "driver" / "node" if found and found.origin else None
    return str(driver) if driver and driver.exists() else shutil.which("node") or ""


@pytest.fixture(scope="module")
def javascript() -> Iterator[Callable[[str, str], list[str]]]:
    """Asks Node for the canonical text of a body, and for its checksum under a key."""
    program = node()
    if not program:
        pytest.skip("there is no Node here")
    with subprocess.Popen(
        [program, "-e", REFERENCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdin
        assert process.stdout
        to, back = process.stdin, process.stdout

        def ask(body: str, key: str) -> list[str]:
            to.write(json.dumps({"key": key, "body": body}) + "\n")
            to.flush()
            answer: list[str] = json.loads(back.readline())
            return answer

        yield ask
        to.close()


ANY_CHARACTER = st.characters(exclude_categories=())  # halves of surrogate pairs too
# Assigned in the reference above, "__proto__" is no key but the prototype; no field is called so.
KEYS = (st.text(ANY_CHARACTER, max_size=8) | st.integers(0, 2**33).map(str)).filter(lambda key: key != "__proto__")


class Number(str):
    """A JSON number as it is spelled."""

    __slots__ = ()


NUMBERS = (
    st.integers(-(10**25), 10**25).map(str)
    | st.decimals(-(10**9), 10**9, places=3).map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.sampled_from(["-0", "0.0", "1e21", "1e-7", "1E400", "1000.0", "123456789012345678901234567890"])
).map(Number)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(ANY_CHARACTER, max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def spelled(value: Any) -> str:
    """`value` as JSON, its numbers as they are spelled and its text in escapes."""
    match value:
        case Number():
            return str(value)
        case dict():
            return "{" + ",".join(f"{json.dumps(key)}:{spelled(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ",".join(map(spelled, value)) + "]"
        case _:
            return json.dumps(value)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    payload=st.dictionaries(KEYS | st.sampled_from(["checksum", "checksumMethod"]), VALUES, max_size=5),
    key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
)
@example(payload={"customerName": "Zoë Mkámbala", "description": 'A/B <test> & "quoted"'}, key="CHKdemo-0123456789")
@example(payload={"10": 1, "9": {"b": "\u2028", "a": "😀"}, "\ud83d": "\ude00"}, key="k")
def test_any_body_is_signed_as_javascript_signs_it(javascript, payload, key):
    body = spelled(payload)

    text, digest = javascript(body, key)

    read = read_json(body)
    signed = {name: value for name, value in read.items() if name not in ("checksum", "checksumMethod")}
    assert canonical_json(signed) == text
    assert canonical_checksum(read, key) == digest


def test_the_reference_itself_makes_the_published_vector(javascript):
    body = (
        '{"totalPrice":"500","orderReference":"ORD2026000125","orderCurrency":"TZS",'
        '"description":"A/B <test> & \\"quoted\\"","customerName":"Zoë Mkámbala"}'
    )

    text, digest = javascript(body, "CHKdemo-0123456789")

    assert digest == "9bc81ee2fff71069814b37a127c60a234e93282f78582f8d73cca50ad7f8253e"
    assert hmac.new(b"CHKdemo-0123456789", text.encode(), hashlib.sha256).hexdigest() == digest
