"""Reading a gateway's OPTIONS: a wrong one is named at start, not at the first payment."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from services.http import is_header_safe


def required(gateway: str, option: str, value: str, *, is_header: bool = False) -> str:
    """`value`, or `ImproperlyConfigured` naming the option (never its value) when it is blank or no text.

    `is_header`: it will stand in a request header, so it must be printable ASCII without padding.
    """
    if not isinstance(value, str) or not value.strip():
        raise ImproperlyConfigured(f"The gateway {gateway} needs the option {option}; it is empty.")
    if is_header and not is_header_safe(value):
        raise ImproperlyConfigured(f"The gateway {gateway} cannot send the option {option}: a stray space or newline?")
    return value
