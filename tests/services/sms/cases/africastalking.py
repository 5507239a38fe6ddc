from __future__ import annotations

from services.sms.base import Refusal
from tests.services.sms.stage import Played, Wish


class Case(Played):
    secret = "api_key"
    refusals = {
        Refusal.NUMBER: Wish(phone="+255700000111"),
        Refusal.OPTED_OUT: Wish(phone="+255700000112"),
        Refusal.ROUTE: Wish(phone="+255700000113"),
        Refusal.LATER: Wish(phone="+255700000114"),
        Refusal.SENDER: Wish(sender="NOBODY"),
        Refusal.ACCOUNT: Wish(options={"api_key": "not-the-key"}),
    }
    has_key = False
    has_opt_out = True
