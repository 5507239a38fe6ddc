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

_NAMES = r"password|passwd|secret|token|api_?-?key|authorization|checksum|signature|cookie|otp|code"
# Each pattern starts at a boundary or is bounded in length: a hostile text must cost time in proportion to its size.
_SECRETS = [
    # JSON Web Tokens, wherever they stand.
    (re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), "[token]"),
    (re.compile(r"(?i)\b(bearer|basic|api-key)\s+[\w.~+/=-]{6,}"), r"\1 [secret]"),
    # name=value, "name": "value", 'name': ['value']: to the closing quote or bracket, or to the end when there is none.
    (
        re.compile(
            rf"(?i)((?:{_NAMES})[\"']?\s*[:=]\s*)"
            r"(?:\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|\[[^\]]*\]?|(?:(?:basic|bearer)\s+)?[^\s,\"'}&]+)"
        ),
        r"\1[secret]",
    ),
    # Connection strings: scheme://user:password@host. The password may hold anything but white space and quotes.
    (re.compile(r"\b(\w+://[^:/\s@]{0,100}):[^\s\"'<>]{1,200}@"), r"\1:[secret]@"),
    # The text of an API key.
    (re.compile(r"(?<![A-Za-z0-9])(fk_[0-9a-f]{12})_[0-9a-f]{64}"), r"\1_[secret]"),
]
_PERSONAL = [
    # Phone numbers in E.164, with or without the plus, and local ones; three digits are enough to recognise one.
    (re.compile(r"(\+[1-9]\d{1,2})\d{2,9}(\d{3})(?!\d)"), r"\1*****\2"),
    (re.compile(r"(?<![A-Za-z0-9_-])([1-9]\d{2})\d{5,9}(\d{3})(?![A-Za-z0-9_-])"), r"\1*****\2"),
    (re.compile(r"(?<![A-Za-z0-9_.+-])0[1-9]\d{5}(\d{3})(?![A-Za-z0-9_.-])"), r"0*****\1"),
    (re.compile(r"(?<![\w.+!#$%&'*/=?^`{|}~-])[\w.+!#$%&'*/=?^`{|}~-]+(@[\w-]+\.[\w.-]+)"), r"*\1"),
]
_SECRET_NAME = re.compile(rf"(?i){_NAMES.removesuffix('|code')}")
_LARGEST_JSON_INTEGER = 2**63 - 1
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def redact(text: str) -> str:
    """`text` with tokens, passwords, keys, phone numbers and e-mail addresses masked."""
    if not text.isascii():
        # A lone surrogate (from somebody's JSON) is no UTF-8, and would cost the whole line.
        text = text.encode("utf-8", "backslashreplace").decode()
    return _mask(text, *_SECRETS, *_PERSONAL)


def redact_secrets(text: str) -> str:
    """`text` with tokens, passwords and keys masked. For records that have to name people."""
    return _mask(text, *_SECRETS)


def is_secret_name(name: str) -> bool:
    """Whether what stands under this name is not to be told."""
    return _SECRET_NAME.search(name) is not None


def _mask(text: str, *patterns: tuple[re.Pattern[str], str]) -> str:
    for pattern, replacement in patterns:
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
            found[key] = _printable(key, value)
    return found


def _printable(key: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) <= _LARGEST_JSON_INTEGER:
        return value
    return "[secret]" if is_secret_name(key) else redact(str(value))


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
