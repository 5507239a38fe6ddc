from __future__ import annotations

from services.sms.base import Refusal
from tests.services.sms.stage import Played, Wish


class Case(Played):
    secret = "secret_key"
    refusals = {
        Refusal.NUMBER: Wish(phone="+255700000111"),
        Refusal.TEXT: Wish(text=" "),
        Refusal.SENDER: Wish(sender="NOBODY"),
        Refusal.ACCOUNT: Wish(options={"secret_key": "not-the-secret"}),
    }
