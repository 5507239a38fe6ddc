"""Log lines that an operator can search and that never hold a secret.

Production writes one JSON object per line; development writes plain text. Both pass through `redact`.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import Any

import orjson

from core import context

_SECRETS = [
    # JSON Web Tokens, wherever they stand.
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*"), "[token]"),
    (re.compile(r"(?i)\b(bearer|basic|api-key)\s+[\w.~+/=-]{6,}"), r"\1 [secret]"),
    (
        re.compile(
            r"(?i)([\"']?(?:password|secret|token|api_?key|authorization|checksum|signature|otp|code)[\"']?\s*[:=]\s*)([\"']?)[^\s,\"'}&]+"
        ),
        r"\1\2[secret]",
    ),
    # Connection strings: scheme://user:password@host
    (re.compile(r"(\w+://[^:/\s]*):[^@/\s]+@"), r"\1:[secret]@"),
    # Phone numbers in E.164, with or without the plus; the last three digits are enough to recognise one.
    (re.compile(r"(?<![\w-])(\+?[1-9]\d{2})\d{5,9}(\d{3})(?![\w-])"), r"\1*****\2"),
    (re.compile(r"\b[\w.+-]{1,64}(@[\w-]+\.[\w.-]+)"), r"*\1"),
]
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def redact(text: str) -> str:
    """`text` with tokens, passwords, keys, phone numbers and e-mail addresses masked."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _message(record: logging.LogRecord) -> str:
    """The message, with the route in place of a request's path: the path may hold a callback's secret."""
    message = record.getMessage()
    request = getattr(record, "request", None)
    path = getattr(request, "path", "")
    if not path or path not in message:
        return message
    match = getattr(request, "resolver_match", None)
    return message.replace(path, f"/{match.route}" if match is not None else "(no route)")


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    found = {}
    for key, value in vars(record).items():
        if key not in _STANDARD and not key.startswith("_"):
            found[key] = value if isinstance(value, int | float | bool) or value is None else redact(str(value))
    return found


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, request, tenant, user, and the record's extras."""

    def format(self, record: logging.LogRecord) -> str:
        tenant = context.tenant_id.get()
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(_message(record)),
            "request_id": context.request_id.get() or None,
            "tenant_id": str(tenant) if tenant else None,
            "user_id": context.user_id.get() or None,
        }
        extras = _extras(record)
        if record.exc_info:
            extras["exception"] = redact(self.formatException(record.exc_info))
        line.update((key, value) for key, value in extras.items() if key not in {"request", "status_code"})
        return orjson.dumps({key: value for key, value in line.items() if value is not None}, default=str).decode()


class TextFormatter(logging.Formatter):
    """For a terminal: `12:00:01 info faraja.request GET /api/v1/payments/ 200 3.1 ms`."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        message = _message(record)
        extras = " ".join(
            f"{key}={value}" for key, value in _extras(record).items() if key not in {"request", "status_code", "data"}
        )
        line = f"{time} {record.levelname.lower()} {record.name} {message} {extras}".rstrip()
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact(line)
