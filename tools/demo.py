"""Plays a frontend against the kit, over HTTP only, and shows every step with its answer. `make demo` calls it.

    python -m tools.demo --base-url http://127.0.0.1:8000

Each step says what it expects. The first answer that differs ends the demo with exit code 1. When nothing answers at
the base URL, a server is started for the demo (SQLite, the bundled Valkey, the simulators) and stopped afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tools.processes import Guard, ToolError, stop_all
from tools.services import find_redis, start_redis
from tools.stack import running_stack

PASSWORD = "kahawa-na-chai-7"  # noqa: S105  of a person who exists for this demo only
AMOUNT = {"amount": 500_000, "currency": "TZS"}
SHILLINGS = 5_000
PATIENCE = 45.0  # seconds; a push that nobody answers ends after 8 s and is asked about 15 s after it began
LOOK_EVERY = 0.2
# The demo's own server hurries, so that nobody waits for a customer who never answers.
HURRY = {
    "PAYMENT_POLL_SECONDS": "1,1,2,2,5",
    "SIMULATOR_APPROVE_AFTER": "0.7",
    "SIMULATOR_PUSH_TIMEOUT": "2",
    "SIMULATOR_DELIVER_AFTER": "0.3",
}
SHOWN = 40  # characters of one value without a space in it; tokens and addresses are longer
ONE_LINE = 100  # characters up to which an object is shown in one line


class Differs(Exception):
    """Something is not as expected. The text is the sentence that the reader sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment this demo started, and the phone that pays it."""

    id: str
    phone: str
    reference: str


class Demo:
    """The frontend: one person, their tokens, and a look into the simulators for what the providers saw."""

    def __init__(self, api: httpx.Client, simulators: httpx.Client, *, patience: float) -> None:
        self._api, self._simulators, self._patience = api, simulators, patience
        self._mark = secrets.token_hex(4)
        self._email = f"asha-{self._mark}@example.com"
        self._steps = 0
        self._access = self._refresh = ""

    def run(self) -> None:
        """The whole story; `Differs` at the first answer that is not as expected."""
        self._check_simulators()
        self._register()
        self._login()
        payment = self._start_and_repeat()
        self._show_settling(payment)
        self._show_callback(payment)
        self._show_receipts(payment)
        self._show_swahili(payment)
        self._refresh_tokens()
        self._logout()
        self._show_bad_endings()

    # The steps

    def _check_simulators(self) -> None:
        try:
            answer = self._simulators.get("/simulator/health")
        except httpx.HTTPError as error:
            raise Differs(
                f"The provider simulators do not answer at {self._simulators.base_url} ({type(error).__name__}): "
                "start them, or say where they are with --simulators-url."
            ) from error
        if answer.status_code != 200:
            raise Differs(f"What answers at {self._simulators.base_url} is not the provider simulators.")

    def _register(self) -> None:
        self._step("Register somebody new")
        body = {"email": self._email, "password": PASSWORD, "first_name": "Asha", "last_name": "Juma"}
        data = self._data(self._call("POST", "/api/v1/auth/register/", body), 201)
        self._expect("the person is the owner of a tenant of their own", data["tenant"]["role"] == "owner")
        self._expect("both tokens came in the body, as a phone needs them", data["access"] and data["refresh"])

    def _login(self) -> None:
        self._step("Sign in")
        body = {"email": self._email, "password": PASSWORD}
        data = self._data(self._call("POST", "/api/v1/auth/login/", body), 200)
        self._expect("it is the same person", data["user"]["email"] == self._email)
        self._access, self._refresh = data["access"], data["refresh"]

    def _start_and_repeat(self) -> Payment:
        self._step("Start a payment of TZS 5,000: a push to the customer's phone")
        phone, key = new_phone(), f"demo-{self._mark}"
        first = self._start(phone, key)
        payment = self._started(first, phone)
        self._expect("the amount is TZS 5,000", self._data_of(first)["amount"]["display"] == "TZS 5,000")

        self._step("Send the same request again, as a phone does that lost the answer")
        second = self._request_payment(phone, key)
        say(f"   POST /api/v1/payments/ -> {second.status_code}, {len(second.content)} bytes")
        self._expect("the answer has the same bytes", second.content == first.content)
        self._expect("and says that it is a replay", second.headers.get("Idempotent-Replayed") == "true")
        return payment

    def _show_settling(self, payment: Payment) -> None:
        self._step("Look again until the customer has answered")
        data = self._await_end(payment)
        self._expect("the payment is settled", data["status"] == "settled", data["status"])
        self._expect("TZS 5,000 were captured", data["captured"]["amount"] == AMOUNT["amount"])

    def _show_callback(self, payment: Payment) -> None:
        self._step("What ClickPesa (the simulator) saw")
        charges = self._charges(payment)
        self._show(charges)
        self._expect("one push, asked for once", [charge["submitted"] for charge in charges] == [1])
        self._expect(
            "the money was taken once, TZS 5,000",
            [(charge["accepted"], charge["collected"]) for charge in charges] == [(1, SHILLINGS)],
        )
        callbacks = self._until(lambda: self._callbacks(charges[0]["reference"]), "The callback")
        self._show([{**callbacks[0], "body": json.loads(callbacks[0]["body"])}])
        self._expect("its callback was acknowledged with 200", callbacks[0]["status"] == 200, callbacks[0]["status"])

    def _receipts(self) -> list[dict[str, Any]]:
        """The receipts among this person's mail; registration sends one of its own."""
        mails = self._look("/simulator/mail", to=self._email)["messages"]
        return [mail for mail in mails if mail["subject"].startswith("Receipt")]

    def _show_receipts(self, payment: Payment) -> None:
        self._step("The SMS, as Beem (the simulator) received it")
        texts = self._until(lambda: self._texts(payment), "The SMS")
        self._show(texts)
        self._expect("one text went to the phone that paid", len(texts) == 1, len(texts))
        told = f"Received TZS 5,000. Reference {payment.reference}. Thank you."
        self._expect(f"it says: {told}", texts[0]["text"] == told, texts[0]["text"])

        self._step("The e-mail, as Django wrote it to a file")
        mails = self._until(self._receipts, "The e-mail")
        self._show(mails)
        self._expect("one e-mail went to the person who started the payment", len(mails) == 1, len(mails))
        self._expect("its subject: Receipt for TZS 5,000", mails[0]["subject"] == "Receipt for TZS 5,000")
        self._expect("it names the reference", payment.reference in mails[0]["text"])

    def _show_swahili(self, payment: Payment) -> None:
        self._step("The same payment for somebody who reads Swahili")
        answer = self._call("GET", f"/api/v1/payments/{payment.id}/", language="sw")
        data = self._data(answer, 200)
        self._expect("only the words may change, not the data", data["status"] == "settled", data["status"])

    def _refresh_tokens(self) -> None:
        self._step("Exchange the refresh token for new tokens")
        data = self._data(self._call("POST", "/api/v1/auth/refresh/", {"refresh": self._refresh}, token=""), 200)
        self._expect("the refresh token is another one", data["refresh"] != self._refresh)
        self._access, self._refresh = data["access"], data["refresh"]
        me = self._data(self._call("GET", "/api/v1/auth/me/"), 200)
        self._expect("the new access token works", me["email"] == self._email)

    def _logout(self) -> None:
        self._step("Sign out")
        self._data(self._call("POST", "/api/v1/auth/logout/", {"refresh": self._refresh}), 200)

        self._step("The old tokens are refused")
        self._refused(self._call("GET", "/api/v1/auth/me/"), 401, "session_revoked")
        again = self._call("POST", "/api/v1/auth/refresh/", {"refresh": self._refresh}, token="")
        self._refused(again, 401, "session_revoked")

    def _show_bad_endings(self) -> None:
        self._step("Sign in again, and ask two more phones: one declines, one never answers")
        body = {"email": self._email, "password": PASSWORD}
        data = self._data(self._call("POST", "/api/v1/auth/login/", body, token=""), 200)
        self._access, self._refresh = data["access"], data["refresh"]
        declining, silent = new_phone("101"), new_phone("102")
        declined = self._started(self._start(declining, f"demo-{self._mark}-101"), declining)
        ignored = self._started(self._start(silent, f"demo-{self._mark}-102"), silent)

        self._step("The customer who declined")
        data = self._await_end(declined)
        self._expect("the payment failed", data["status"] == "failed", data["status"])
        self._expect_no_money(declined)

        self._step("The customer who never answered: no callback comes, so only asking finds out")
        data = self._await_end(ignored)
        self._expect("the payment failed", data["status"] == "failed", data["status"])
        charge = self._expect_no_money(ignored)
        self._expect("no callback was ever sent", charge["callbacks_sent"] == 0, charge["callbacks_sent"])

    def _expect_no_money(self, payment: Payment) -> dict[str, Any]:
        charges = self._charges(payment)
        self._expect("the phone was asked once", [each["submitted"] for each in charges] == [1], len(charges))
        self._expect("no money was taken", charges[0]["accepted"] == 0, charges[0]["accepted"])
        self._expect("no receipt went out", not self._texts(payment))
        return charges[0]

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
        self._expect("the payment is processing", data["status"] == "processing", data["status"])
        return Payment(id=data["id"], phone=phone, reference=data["client_reference"])

    def _await_end(self, payment: Payment) -> dict[str, Any]:
        """The payment once it is no longer processing. Its last answer is shown, the ones before are counted."""
        end, looks = time.monotonic() + self._patience, 0
        while True:
            answer = self._request("GET", f"/api/v1/payments/{payment.id}/")
            looks += 1
            if self._data_of(answer).get("status") != "processing":
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

    def _until(self, look: Callable[[], list[dict[str, Any]]], what: str) -> list[dict[str, Any]]:
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


@contextlib.contextmanager
def own_server() -> Iterator[tuple[str, str]]:
    """A server for this demo, and the addresses of its API and of its simulators."""
    with Guard() as guard:
        folder = Path(tempfile.mkdtemp(prefix="faraja-"))
        guard.remove(folder)
        program = find_redis()
        broker = start_redis(program, folder, guard) if program else None
        try:
            with running_stack(redis_url=broker[1].url if broker else None, extra_env=HURRY) as kit:
                yield kit.base_url, kit.simulators_url
        finally:
            stop_all([broker[0]] if broker else [])


@contextlib.contextmanager
def server(base_url: str, simulators_url: str) -> Iterator[tuple[str, str]]:
    """The server at `base_url` when one answers there, else one of our own."""
    try:
        live = httpx.get(f"{base_url}/health/live", timeout=5, trust_env=False)
        is_faraja = live.status_code == 200 and live.json().get("status") == "success"
    except httpx.ConnectError:
        say(f"Nothing answers at {base_url}: this demo starts a server of its own and stops it afterwards.")
        with own_server() as found:
            yield found
        return
    except (httpx.HTTPError, ValueError, AttributeError):
        is_faraja = False
    if not is_faraja:
        raise ToolError(f"What answers at {base_url} is not Faraja: say where it is with BASE_URL=http://...")
    yield base_url, simulators_url


def next_port(base_url: str) -> str:
    """Where `make run` puts the simulators: one port above the API."""
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port + 1}"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description="Play a frontend, step by step.")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000", help="the API")
    parser.add_argument("--simulators-url", default="", help="default: SIMULATORS_URL, else one port above the API")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds to wait for any one thing")
    arguments = parser.parse_args(argv)
    base_url = arguments.base_url.rstrip("/")
    simulators_url = arguments.simulators_url or os.environ.get("SIMULATORS_URL") or next_port(base_url)
    try:
        with (
            server(base_url, simulators_url.rstrip("/")) as (api_url, simulated_url),
            httpx.Client(base_url=api_url, timeout=15, trust_env=False) as api,
            httpx.Client(base_url=simulated_url, timeout=15, trust_env=False) as simulators,
        ):
            say(f"The API is {api_url}, the provider simulators are {simulated_url}.")
            Demo(api, simulators, patience=arguments.patience).run()
    except (Differs, ToolError) as error:
        print(f"\nDIFFERENT  {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    say("\nEverything was as expected.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
