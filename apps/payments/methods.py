"""How a customer can pay, as the API spells it."""

from __future__ import annotations

from typing import Final

from services.payments.base import Method

METHODS: Final = tuple(method.value for method in Method)
