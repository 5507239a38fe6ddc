"""A frontend at the keyboard: asks the API and the simulators, shows every answer, and says what it expected."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

AMOUNT = {"amount": 500_000, "currency": "TZS"}
LOOK_EVERY = 0.2
UNDER_WAY = ("processing", "requires_action")
SHOWN = 40  # characters of one value without a space in it; tokens and addresses are longer
ONE_LINE = 100  # characters up to which an object is shown in one line
T = TypeVar("T")


class Differs(Exception):
    """Something is not as expected. The text is the sentence that the reader sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment this demo started, and the phone that pays it."""

    id: str
    phone: str
    reference: str


class Frontend:
    """One person, their tokens, and a look into the simulators for what the providers saw."""

    def __init__(self, api: httpx.Client, simulators: httpx.Client, *, patience: float) -> None:
        self._api, self._simulators, self._patience = api, simulators, patience
        self._mark = secrets.token_hex(4)
        self._email = f"asha-{self._mark}@example.com"
        self._steps = 0
        self._access = self._refresh = ""

    # Asking

    def _start(self, phone: str, key: str) -> httpx.Response:
        answer = self._request_payment(phone, key)
        self._print_answer("POST", answer)
        return answer

    def _request_payment(self, phone: str, key: str) -> httpx.Response:
        body = {"amount": AMOUNT, "phone": phone, "gateway": "clickpesa", "client_reference": key}
        return self._request("POST", "/api/v1/payments/", body, key=key)

    def _started(self, answer: httpx.Response, phone: str) -> Payment:
        data = self._data(answer, 201)
        self._expect("the payment is under way", data["status"] in UNDER_WAY, data["status"])
        return Payment(id=data["id"], phone=phone, reference=data["client_reference"])

    def _await_end(self, payment: Payment) -> dict[str, Any]:
        """The payment once it is no longer under way. Its last answer is shown, the ones before are counted."""
        end, looks = time.monotonic() + self._patience, 0
        while True:
            answer = self._request("GET", f"/api/v1/payments/{payment.id}/")
            looks += 1
            if self._data_of(answer).get("status") not in UNDER_WAY:
                break
            if time.monotonic() > end:
                raise Differs(self._why_it_hangs(payment))
            time.sleep(LOOK_EVERY)
        self._print_answer("GET", answer, note=f"look number {looks}")
        return self._data(answer, 200)

    def _why_it_hangs(self, payment: Payment) -> str:
        told = f"The payment is still processing after {self._patience:.0f} s"
        if not self._charges(payment):
            return (
                f"{told}, and no push has reached the payment simulator: no worker is running "
                "(make run starts one; by hand: celery -A config worker)."
            )
        return (
            f"{told}, although its push reached the payment simulator: either the worker has stopped, or the "
            f"simulator's callbacks do not reach {self._api.base_url} and polling is slower than this demo waits."
        )

    def _charges(self, payment: Payment) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._look("/simulator/clickpesa/charges")["charges"]
        return [charge for charge in found if charge["phone"] == payment.phone.removeprefix("+")]

    def _callbacks(self, reference: str) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = self._look("/simulator/calls")["calls"]
        return [call for call in calls if call["note"] == "clickpesa genuine" and reference in call["body"]]

    def _texts(self, payment: Payment) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._look("/simulator/beem/messages", phone=payment.phone)["messages"]
        return found

    def _until(self, look: Callable[[], list[T]], what: str) -> list[T]:
        """What `look` finds, as soon as it finds anything."""
        end = time.monotonic() + self._patience
        while not (found := look()):
            if time.monotonic() > end:
                raise Differs(f"{what} has not come within {self._patience:.0f} s: is the worker still running?")
            time.sleep(LOOK_EVERY)
        return found

    def _look(self, path: str, **params: str) -> dict[str, Any]:
        answer = self._simulators.get(path, params=params)
        if answer.status_code != 200:
            raise Differs(f"GET {path} of the simulators answered {answer.status_code}.")
        found: dict[str, Any] = answer.json()
        return found

    def _call(self, method: str, path: str, body: Any = None, **how: str) -> httpx.Response:
        answer = self._request(method, path, body, **how)
        self._print_answer(method, answer)
        return answer

    def _request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        key: str = "",
        language: str = "",
    ) -> httpx.Response:
        """One request. `token` None: the present access token; "": none."""
        token = self._access if token is None else token
        headers = {
            name: value
            for name, value in (
                ("Authorization", f"Bearer {token}" if token else ""),
                ("Idempotency-Key", key),
                ("Accept-Language", language),
            )
            if value
        }
        try:
            return self._api.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise Differs(f"{method} {path} got no answer ({type(error).__name__}).") from error

    # Expecting and showing

    def _data_of(self, answer: httpx.Response) -> dict[str, Any]:
        """`data` of an answer in the envelope; empty for a refusal."""
        try:
            body = answer.json()
            return body["data"] or {}
        except (ValueError, KeyError, TypeError) as error:
            raise Differs(f"The answer {answer.status_code} is not in the envelope: {answer.text[:200]!r}") from error

    def _data(self, answer: httpx.Response, status: int) -> dict[str, Any]:
        self._expect(f"it is answered {status}", answer.status_code == status, answer.status_code)
        return self._data_of(answer)

    def _refused(self, answer: httpx.Response, status: int, code: str) -> None:
        told = (answer.status_code, answer.json().get("code"))
        self._expect(f"it is refused with {status} {code}", told == (status, code), told)

    def _step(self, title: str) -> None:
        self._steps += 1
        say(f"\n{self._steps}. {title}")

    def _expect(self, what: str, is_so: object, got: object = None) -> None:
        """Say that `what` is so, or raise `Differs`."""
        if not is_so:
            raise Differs(f"Expected: {what}." + ("" if got is None else f" It was: {got!r}."))
        say(f"   ok  {what}")

    def _print_answer(self, method: str, answer: httpx.Response, note: str = "") -> None:
        milliseconds = round(answer.elapsed.total_seconds() * 1000)
        say(f"   {method} {answer.url.path} -> {answer.status_code} ({note or f'{milliseconds} ms'})")
        with contextlib.suppress(ValueError, AttributeError):
            self._show({name: value for name, value in answer.json().items() if name != "status"})

    def _show(self, value: Any) -> None:
        for line in lines_of(value):
            say(f"     {line}")


def new_phone(ending: str = "") -> str:
    """A Tanzanian number nobody used before; its last three digits choose what happens (docs/simulators.md)."""
    return f"+25571{secrets.randbelow(10_000):04d}{ending or 200 + secrets.randbelow(800)}"


def lines_of(value: Any) -> Iterator[str]:
    """JSON for people: a line for each small thing, nothing for what is empty, long tokens cut."""
    named = value.items() if isinstance(value, dict) else (("-", item) for item in value)
    for name, item in named:
        if item in (None, "", {}, []):
            continue
        text = json.dumps(shortened(item), ensure_ascii=False)
        is_small = not isinstance(item, dict | list) or len(text) <= ONE_LINE
        yield f"{name} {text}" if is_small else str(name)
        if not is_small:
            yield from (f"  {line}" for line in lines_of(item))


def shortened(value: Any) -> Any:
    """`value` with every long word in it cut."""
    if isinstance(value, dict):
        return {name: shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shortened(item) for item in value]
    is_long = isinstance(value, str) and len(value) > SHOWN and " " not in value
    return f"{value[:SHOWN]}..." if is_long else value


def say(text: str) -> None:
    print(text, flush=True)
