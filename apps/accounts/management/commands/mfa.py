"""`manage.py mfa`: second factors, for whoever has a shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.selectors import find_user_by_email, summarise_factors
from apps.accounts.services.factors import (
    MfaAlreadyEnabled,
    enable_totp_for,
    offer_totp,
    reseal_factors,
    reset_factors,
)
from apps.accounts.services.proofs import MfaCodeInvalid
from core.sealing import SealBroken

TRIES = 3


class Command(BaseCommand):
    help = "Look at, set up or remove somebody's second factor; encrypt all of them under the newest key."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        told = {
            "status": "Say what second factor somebody has.",
            "set-up": "Give somebody a second factor, here in this terminal: the way into an admin that demands one.",
            "reset": "Remove the second factor of somebody who has lost it. Ends their sessions and tells them.",
        }
        for name, text in told.items():
            what.add_parser(name, help=text).add_argument("email")
        what.add_parser("reseal", help="After a new key in front of ENCRYPTION_KEYS; older keys can go afterwards.")

    def handle(self, *args: Any, what: str, email: str = "", **options: Any) -> None:
        if what == "reseal":
            self._reseal()
            return
        user = find_user_by_email(email=email)
        if user is None:
            raise CommandError(f"Nobody has the address {email}.")
        if what == "reset":
            done = reset_factors(user_id=user.pk)
            self.stdout.write("Second factor removed; every session ended." if done else "There was no second factor.")
        elif what == "set-up":
            self._set_up(user)
        else:
            told = summarise_factors(user=user)
            state = f"on, {told.recovery_codes_left} recovery codes left" if told.is_enabled else "off"
            self.stdout.write(f"{user.email}: {state}")

    def _set_up(self, user: Any) -> None:
        offer = offer_totp(user=user)
        self.stdout.write(f"Secret for the authenticator app: {offer.secret}\nOr by address: {offer.otpauth_url}")
        for _try in range(TRIES):
            try:
                codes = enable_totp_for(user_id=user.pk, secret=offer.secret, code=input("Code that it shows: "))
            except MfaCodeInvalid as refusal:
                self.stdout.write(str(refusal.message))
            except MfaAlreadyEnabled as refusal:
                raise CommandError(f"{refusal.message} Remove it first: manage.py mfa reset {user.email}") from None
            else:
                self.stdout.write("Second factor switched on. Recovery codes, shown this once:\n" + "\n".join(codes))
                return
        raise CommandError("Nothing was changed. Is the clock of this computer, or of the phone, wrong?")

    def _reseal(self) -> None:
        try:
            count = reseal_factors()
        except SealBroken:
            raise CommandError("A secret opens with no key: put the key that sealed it into ENCRYPTION_KEYS.") from None
        self.stdout.write(f"{count} rows are encrypted under the newest key.")
