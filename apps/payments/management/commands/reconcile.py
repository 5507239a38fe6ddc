"""`manage.py reconcile`: compare one day with the gateways' lists now, whether or not that has been done."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.payments.services.reconciliation import reconcile_day


class Command(BaseCommand):
    help = "Compare our books with the gateways' lists of one day. Exit status 1 when a list could not be had."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--gateway", default="", help="Only this one, for example clickpesa.")
        parser.add_argument("--day", type=date.fromisoformat, help="2026-11-20, in UTC. Without it: yesterday.")

    def handle(self, *args: Any, gateway: str, day: date | None, **options: Any) -> None:
        day = day or timezone.now().date() - timedelta(days=1)
        failed, found = 0, 0
        for run in reconcile_day(day, gateway=gateway):
            found += 1
            failed += run.finished_at is None
            whose = f"tenant {run.tenant_id}" if run.tenant_id else "shared"
            told = run.error or f"{run.compared} compared, {run.breaks} new differences"
            self.stdout.write(f"{run.gateway:<12} {whose:<44} {day} {told}")
        if not found:
            self.stdout.write("No account there has a list of its charges.")
        if failed:
            raise CommandError(f"{failed} lists could not be had.", returncode=1)
