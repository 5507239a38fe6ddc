"""`manage.py gateways`: the accounts at payment gateways, for whoever has a shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.payments.services.accounts import Account, check_account, every_account, reseal_accounts
from core.sealing import SealBroken


class Command(BaseCommand):
    help = "List the accounts at payment gateways, see whether each works, encrypt them under the newest key."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        what.add_parser("list", help="Every account, the installation's and the tenants', without secrets.")
        what.add_parser("check", help="One call to each that changes nothing. Exit status 1 when one does not work.")
        what.add_parser("reseal", help="After a new key in front of ENCRYPTION_KEYS; older keys can go afterwards.")

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        if what == "reseal":
            self._reseal()
        elif what == "list":
            for account in every_account():
                self.stdout.write(_line(account, account.gateway.trust.value))
        else:
            self._check()

    def _check(self) -> None:
        faults = 0
        for account in every_account():
            fault = check_account(account)
            faults += bool(fault)
            self.stdout.write(_line(account, fault or "ok"))
        if faults:
            raise CommandError(f"{faults} accounts do not work.", returncode=1)

    def _reseal(self) -> None:
        try:
            count = reseal_accounts()
        except SealBroken:
            raise CommandError("A secret opens with no key: put the key that sealed it into ENCRYPTION_KEYS.") from None
        self.stdout.write(f"{count} accounts are encrypted under the newest key.")


def _line(account: Account, told: str) -> str:
    whose = f"tenant {account.tenant_id}" if account.tenant_id else "shared"
    state = " (retired)" if account.is_retired else ""
    return f"{account.code:<12} {whose:<44} {told}{state}"
