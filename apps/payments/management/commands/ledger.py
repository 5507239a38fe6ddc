"""`manage.py ledger check`: derive every total again from what was observed, and say what differs."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.payments.services.books import derive_totals_again
from core.money import Money


class Command(BaseCommand):
    help = "Look at the ledger of every organisation. Changes nothing; safe while everything runs."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        what.add_parser("check", help="Derive all totals and statuses again. Ends with 1 when something differs.")

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        books = derive_totals_again()
        self.stdout.write(f"{books.payments} payments, {books.payouts} payouts, {books.lines} lines.")
        for (currency, kind), amount in sorted(books.totals.items()):
            self.stdout.write(f"{kind}: {Money(amount, currency).display}")
        for difference in books.differences:
            self.stderr.write(str(difference))
        self.stdout.write(f"{len(books.differences)} differences.")
        if books.differences:
            sys.exit(1)
