"""Platform staff, and their browser."""

from __future__ import annotations

from itertools import count
from typing import Any

from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from core.audit.actions import Action
from core.audit.models import AuditEntry

_numbers = count(1)


def make_operator(*permissions: str, is_superuser: bool = False) -> User:
    """Somebody of the staff with `permissions` (`accounts.view_user`)."""
    operator = User.objects.create_user(
        f"operator{next(_numbers)}@example.com", "mlango-wa-nyuma-3", is_staff=True, is_superuser=is_superuser
    )
    for permission in permissions:
        app, _dot, codename = permission.partition(".")
        operator.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return operator


def browser_of(operator: User) -> Client:
    """A browser in which `operator` is signed in to the admin."""
    browser = Client(raise_request_exception=False)
    browser.force_login(operator)
    return browser


def list_page(model: str) -> str:
    """The address of a list: `accounts.user`."""
    return reverse(f"admin:{model.replace('.', '_')}_changelist")


def act(browser: Client, model: str, action: str, *rows: Any, reason: str = "because") -> Any:
    """Choose rows of a list and an action, and say yes."""
    wish = {"action": action, "_selected_action": [str(row.pk) for row in rows], "confirmed": "yes", "reason": reason}
    return browser.post(list_page(model), wish)


def lines(action: Action) -> list[AuditEntry]:
    """Audit lines of an action, oldest first."""
    return list(AuditEntry.objects.filter(action=action).order_by("at"))
