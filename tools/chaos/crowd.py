"""The frontends and the customers of a chaos run: many merchants' tills at once, who repeat what got no answer."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

PASSWORD = "kahawa-na-chai-7"  # noqa: S105  of people who exist for one run
PATIENCE = 60.0  # seconds for which a till repeats a request that gets no answer
PAGE_PATIENCE = 12.0  # seconds for which a customer waits for the address of a page
PUSH, CHECKOUT = "push", "checkout"
# Of a hundred customers so many are asked in this way; Beem and Polar have pages only.
SHARES = (("clickpesa", PUSH, 35), ("selcom", PUSH, 35), ("polar", CHECKOUT, 15), ("beem_pay", CHECKOUT, 15))
REPEATS = 0.02  # of the tills send each request twice at once, as an impatient finger does
DECLINES = 0.1  # of the customers on a page press "decline"
# Of the customers who are prompted: the last three digits of a phone choose what happens at the simulators. From 200 on
# they mean nothing special: the customer approves.
ENDINGS = (("", 0.86), ("101", 0.07), ("102", 0.02), ("109", 0.05))  # approves, declines, never answers, is imitated
# Smallest, largest, step, in cents: whole shillings, above Polar's least, and not more than what is believed of Beem's
# callbacks (PAYMENT_TOKEN_LIMIT), so that nobody has to confirm them by hand.
AMOUNTS = (200_000, 5_000_000, 100)


@dataclass(slots=True)
class Wish:
    """One payment as its till knows it."""

    key: str
    tenant_id: str
    gateway: str
    method: str
    amount: int
    phone: str
    payment_id: str = ""
    answers: list[str] = field(default_factory=list)  # payment ids of every 2xx answer to this key
    refusal: str = ""


@dataclass(slots=True)
class Merchant:
    """One tenant and its token."""

    tenant_id: str
    access: str


class Crowd:
    """`wishes` fills while `begin` runs; nobody gives up before an answer came."""

    def __init__(self, base_url: str, *, seed: int) -> None:
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=32)
        self._api = httpx.Client(base_url=base_url, timeout=10, trust_env=False, limits=limits)
        self._browser = httpx.Client(timeout=10, trust_env=False, limits=limits, follow_redirects=False)
        self._chance = random.Random(seed)
        self._merchants: list[Merchant] = []
        self.wishes: list[Wish] = []
        self.server_errors: list[str] = []

    def register(self, count: int) -> None:
        """Sign up `count` merchants, each with a tenant of its own."""
        for _number in range(count):
            email = f"till-{secrets.token_hex(6)}@example.com"
            answer = self._api.post("/api/v1/auth/register/", json={"email": email, "password": PASSWORD})
            answer.raise_for_status()
            data = answer.json()["data"]
            self._merchants.append(Merchant(data["tenant"]["id"], data["access"]))

    @property
    def tenant_ids(self) -> list[str]:
        return [merchant.tenant_id for merchant in self._merchants]

    def pay(self, count: int, *, hands: int = 32) -> None:
        """Start `count` payments, `hands` at a time, and send the customers who need one to their page."""
        plans = [self._plan(number) for number in range(count)]
        with ThreadPoolExecutor(hands) as pool:
            list(pool.map(self._one, plans))

    def _plan(self, number: int) -> tuple[Merchant, Wish, float]:
        draw, gateway, method = self._chance.uniform(0, sum(share for *_, share in SHARES)), "", ""
        for gateway, method, share in SHARES:  # noqa: B007  the last one stands when none was drawn
            draw -= share
            if draw < 0:
                break
        smallest, largest, step = AMOUNTS
        merchant = self._merchants[number % len(self._merchants)]
        [ending] = self._chance.choices([text for text, _ in ENDINGS], [share for _, share in ENDINGS])
        ending = ending or str(self._chance.randrange(200, 1000))
        wish = Wish(
            key=f"till-{number}-{secrets.token_hex(6)}",
            tenant_id=merchant.tenant_id,
            gateway=gateway,
            method=method,
            amount=self._chance.randrange(smallest, largest, step),
            phone=f"+25571{self._chance.randrange(10_000):04d}{ending}",
        )
        self.wishes.append(wish)
        return merchant, wish, self._chance.random()

    def _one(self, plan: tuple[Merchant, Wish, float]) -> None:
        merchant, wish, luck = plan
        body = {
            "amount": {"amount": wish.amount, "currency": "TZS"},
            "gateway": wish.gateway,
            "method": wish.method,
            "phone": wish.phone,
            "client_reference": wish.key,
            "customer": {"name": "Asha Juma", "email": "asha@example.com"},
            "return_url": "https://shop.example.com/return",
        }
        if luck < REPEATS:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda _: self._start(merchant, wish, body), range(2)))
        else:
            self._start(merchant, wish, body)
        if wish.method == CHECKOUT and wish.payment_id:
            self._visit(merchant, wish, declines=luck > 1 - DECLINES)

    def _start(self, merchant: Merchant, wish: Wish, body: Mapping[str, Any]) -> None:
        answer = self._ask("POST", "/api/v1/payments/", merchant, json=body, headers=_key(wish.key), wants=(201, 200))
        if answer is None:
            wish.refusal = "no answer"
        elif answer.is_success:
            wish.payment_id = answer.json()["data"]["id"]
            wish.answers.append(wish.payment_id)
        else:
            wish.refusal = f"{answer.status_code} {answer.json().get('code')}"

    def _visit(self, merchant: Merchant, wish: Wish, *, declines: bool) -> None:
        """The customer opens the page, once there is one, and presses a button until somebody has heard it."""
        end = time.monotonic() + PAGE_PATIENCE
        while time.monotonic() < end:
            answer = self._ask("GET", f"/api/v1/payments/{wish.payment_id}/", merchant, params={"wait": "5"})
            payment = answer.json()["data"] if answer is not None and answer.is_success else {}
            if payment.get("checkout_url"):
                break
            if payment.get("status") in ("failed", "expired", "cancelled"):
                return
            time.sleep(0.5)
        else:
            return
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                answer = self._browser.post(payment["checkout_url"], data={"action": "decline" if declines else "pay"})
            except httpx.HTTPError:
                time.sleep(0.5)
                continue
            if answer.status_code < 500:
                break
            time.sleep(0.5)

    def _ask(
        self, method: str, path: str, merchant: Merchant, *, wants: tuple[int, ...] = (200,), **wire: Any
    ) -> httpx.Response | None:
        """An answer, repeating the request while there is none, or one that says to come back."""
        headers = {"Authorization": f"Bearer {merchant.access}"} | wire.pop("headers", {})
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                answer = self._api.request(method, path, headers=headers, **wire)
            except httpx.HTTPError:
                time.sleep(0.3)
                continue
            if answer.status_code == 500:
                self.server_errors.append(f"{method} {path}: {answer.text[:200]}")
            if answer.status_code in wants or not (answer.status_code >= 500 or answer.status_code in (409, 429)):
                return answer
            time.sleep(0.3)
        return None

    def close(self) -> None:
        self._api.close()
        self._browser.close()


def _key(text: str) -> dict[str, str]:
    return {"Idempotency-Key": text}
