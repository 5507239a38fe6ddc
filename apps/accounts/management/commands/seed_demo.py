"""`manage.py seed_demo`: people to sign in with on one computer."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.accounts.selectors import find_user_by_email
from apps.accounts.services.accounts import create_operator, register

PASSWORDS = {"demo@faraja.test": "demo-password-1", "admin@faraja.test": "admin-password-1"}


class Command(BaseCommand):
    help = "Create the demo user and the demo operator, unless they exist. Refused outside development."

    def handle(self, *args: Any, **options: Any) -> None:
        if not getattr(settings, "DEMO_ACCOUNTS_ALLOWED", False):
            raise CommandError("Demo accounts have public passwords: they exist in development only.")
        demo, operator = PASSWORDS
        if find_user_by_email(email=demo) is None:
            register(email=demo, password=PASSWORDS[demo], first_name="Demo", last_name="Person", phone="+255712345678")
        if find_user_by_email(email=operator) is None:
            create_operator(email=operator, password=PASSWORDS[operator])
        for email, password in PASSWORDS.items():
            self.stdout.write(f"{email} / {password}")
