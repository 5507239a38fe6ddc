from __future__ import annotations

from services.sms.base import Refusal
from tests.services.sms.stage import Played, Wish


class Case(Played):
    secret = "auth_token"
    refusals = {
        Refusal.NUMBER: Wish(phone="+255700000111"),
        Refusal.OPTED_OUT: Wish(phone="+255700000112"),
        Refusal.LATER: Wish(phone="+255700000114"),
        Refusal.TEXT: Wish(text="x" * 1601),
        Refusal.SENDER: Wish(sender="NOBODY"),
        Refusal.ACCOUNT: Wish(options={"auth_token": "not-the-secret"}),
    }
    # What Twilio accepted and then gave up at once.
    unplayable = frozenset({Refusal.ROUTE})
