from __future__ import annotations

from base64 import b64encode

from services.sms.base import Refusal, SmsGateway
from tests.services.sms.stage import Played, Wish


class Case(Played):
    secret = "access_key"
    refusals = {
        Refusal.NUMBER: Wish(phone="+255700000111"),
        Refusal.TEXT: Wish(text=" "),
        Refusal.SENDER: Wish(sender="NOBODY"),
        Refusal.ACCOUNT: Wish(options={"access_key": "not-the-secret"}),
    }

    def gateway(self, **changed: str) -> SmsGateway:
        """Azure's keys are base64."""
        if "access_key" in changed:
            changed["access_key"] = b64encode(changed["access_key"].encode()).decode()
        return super().gateway(**changed)
