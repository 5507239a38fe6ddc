"""Who works in the admin."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest

from apps.accounts.models import User


def operator_of(request: HttpRequest) -> User:
    """Who works in the admin."""
    return cast(User, request.user)
