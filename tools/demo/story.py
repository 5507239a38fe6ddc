"""What the demo plays: from registering to signing out, with payments that end well and badly."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tools.demo.frontend import AMOUNT, Differs, Frontend, Payment, new_phone, say

PASSWORD = "kahawa-na-chai-7"  # noqa: S105  of a person who exists for this demo only
SHILLINGS = 5_000
HALF = {"amount": 250_000, "currency": "TZS"}


class Demo(Frontend):
    """The story, step by step. Each step says what it expects."""

    def run(self) -> None:
        """The whole story; `Differs` at the first answer that is not as expected."""
        self._check_simulators()
        self._register()
        self._login()
        payment = self._start_and_repeat()
        self._show_settling(payment)
        self._show_callback(payment)
        self._show_receipts(payment)
        self._show_log(payment)
        self._show_swahili(payment)
        self._show_page_and_refund()
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

    def _show_log(self, payment: Payment) -> None:
        self._step("The same two in the log of messages, with what the text cost")
        path = f"/api/v1/messaging/messages/?kind=receipt&to=%2B{payment.phone.lstrip('+')}"
        texts = self._until(lambda: self._delivered(path), "The delivery report")
        self._show(texts)
        self._expect("the text was delivered", texts[0]["status"] == "delivered", texts[0]["status"])
        self._expect("its price is known", texts[0]["price"]["amount"] > 0, texts[0]["price"])
        path = f"/api/v1/messaging/messages/?kind=receipt&to={self._email}"
        mails = self._data(self._call("GET", path), 200)["results"]
        self._expect("the e-mail is there too", [mail["status"] for mail in mails] == ["sent"], len(mails))

    def _delivered(self, path: str) -> list[dict[str, Any]]:
        found = self._data_of(self._request("GET", path)).get("results", [])
        return [each for each in found if each["status"] == "delivered"]

    def _show_swahili(self, payment: Payment) -> None:
        self._step("The same payment for somebody who reads Swahili")
        answer = self._call("GET", f"/api/v1/payments/{payment.id}/", language="sw")
        data = self._data(answer, 200)
        self._expect("only the words may change, not the data", data["status"] == "settled", data["status"])

    def _show_page_and_refund(self) -> None:
        self._step("Start a payment by card: a page of Polar's, on which the customer pays")
        body = {
            "amount": AMOUNT,
            "gateway": "polar",
            "method": "card",
            "customer": {"name": "Asha Juma", "email": self._email},
            "return_url": "https://shop.example.com/thanks",
            "client_reference": f"demo-{self._mark}-card",
        }
        answer = self._request("POST", "/api/v1/payments/", body, key=f"demo-{self._mark}-card")
        self._print_answer("POST", answer)
        payment = self._started(answer, "")
        self._step("Wait for the address of the page, and pay there")
        page = self._until(lambda: self._pages(payment), "The page")[0]
        pressed = httpx.post(page, data={"action": "pay"}, timeout=15, trust_env=False)
        self._expect("the page sends the customer back to the shop", pressed.status_code in (302, 303, 307))
        data = self._await_end(payment)
        self._expect("the payment is settled", data["status"] == "settled", data["status"])

        self._step("Send half of it back")
        path = f"/api/v1/payments/{payment.id}/refunds/"
        answer = self._request(
            "POST", path, {"amount": HALF, "reason": "Half was sold out"}, key=f"demo-{self._mark}-refund"
        )
        self._print_answer("POST", answer)
        refund = self._data(answer, 201)
        self._expect("TZS 2,500 go back", refund["amount"]["display"] == "TZS 2,500")
        self._until(lambda: self._ended(f"/api/v1/refunds/{refund['id']}/"), "The end of the refund")
        data = self._data(self._call("GET", f"/api/v1/payments/{payment.id}/"), 200)
        self._expect("the payment knows it", data["refunded"]["display"] == "TZS 2,500", data["refunded"])

    def _pages(self, payment: Payment) -> list[str]:
        found = self._data_of(self._request("GET", f"/api/v1/payments/{payment.id}/?wait=5"))
        return [page] if (page := found.get("checkout_url")) else []

    def _ended(self, path: str) -> list[dict[str, Any]]:
        found = self._data_of(self._request("GET", path))
        return [found] if found.get("status") == "succeeded" else []

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
