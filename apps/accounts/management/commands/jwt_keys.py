"""`manage.py jwt_keys`: the next value of `JWT_KEYS`, for changing the keys that sign tokens."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.accounts.token_backend import current_ring
from core.key_rotation import RotationRefused, Step, add_key, describe, promote_key, remove_key, retire_keys
from core.keyring import ALGORITHMS

SET_IT = "Set JWT_KEYS to the line above in web, worker and beat, and restart them. It is secret, and stored nowhere."


class Command(BaseCommand):
    help = (
        "Show the keys that sign tokens, or print the next value of JWT_KEYS: standard output is that value and nothing"
        " else; standard error says what it does and when the next step is safe. The procedure is in docs/keys.md."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "step",
            choices=("show", "add", "promote", "retire"),
            help="show: the keys, without secrets. add: a new key, which signs nothing yet. promote: another key signs."
            " retire: without the keys whose time is over.",
        )
        parser.add_argument("kid", nargs="?", help="promote, retire: which key, if it is not clear.")
        parser.add_argument("--alg", choices=ALGORITHMS, help="add: of the new key; else that of the key that signs.")
        parser.add_argument(
            "--now", action="store_true", help="retire: at once, whoever it signs out. For a key that has leaked."
        )

    def handle(self, *args: Any, step: str, **options: Any) -> None:
        if step == "show":
            self._show()
            return
        try:
            done = self._next(step, options)
        except RotationRefused as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(done.value)
        self.stderr.write(f"{done.told}\n{SET_IT}")

    def _show(self) -> None:
        ring, now = current_ring(), timezone.now()
        width = max(len(key.kid) for key in ring.keys)
        for key in ring.keys:
            state = describe(key, is_first=key is ring.signing, now=now)
            self.stdout.write(f"{key.kid:<{width}}  {key.alg:<5}  {state}")

    def _next(self, step: str, options: dict[str, Any]) -> Step:
        ring, now = current_ring(), timezone.now()
        if step == "add":
            return add_key(ring, alg=options["alg"] or ring.signing.alg, now=now)
        lifetime, kid = settings.AUTH_REFRESH_LIFETIME, options["kid"]
        if step == "promote":
            return promote_key(ring, kid=kid, refresh_lifetime=lifetime, now=now)
        if not options["now"]:
            return retire_keys(ring, kid=kid, refresh_lifetime=lifetime, now=now)
        if kid is None:
            raise RotationRefused("Say which key must go at once.")
        return remove_key(ring, kid=kid, now=now)
