"""Reads the messages that Django's file-based e-mail backend wrote, so that a test or a demo can see them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses, parsedate_to_datetime
from pathlib import Path

# The backend ends every message with a line of 79 dashes. A text may contain such a line too, so one only counts at
# the end of the file or before the first header of the next message.
_SEPARATOR = re.compile(rb"^-{79}\r?\n(?=\Z|[A-Za-z][A-Za-z-]*: )", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One message; `at` is its Date header as Unix time, 0 without one."""

    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    at: float
    file: str


def list_mail(directory: Path, to: str | None = None) -> list[Mail]:
    """Newest first; only messages to the address `to` when given. Empty when the directory does not exist."""
    found: list[tuple[float, int, int, Mail]] = []
    for path in directory.glob("*"):
        try:
            content, changed = path.read_bytes(), path.stat().st_mtime_ns
        except OSError:  # a folder, or a file that was just removed
            continue
        # What follows the last separator is a message still being written.
        for position, raw in enumerate(_SEPARATOR.split(content)[:-1]):
            mail = read_mail(raw, path.name)
            found.append((mail.at, changed, position, mail))
    found.sort(key=lambda entry: entry[:3], reverse=True)
    wanted = to.strip().lower() if to else None
    return [mail for *_, mail in found if wanted is None or wanted in (address.lower() for address in mail.to)]


def read_mail(raw: bytes, file: str = "") -> Mail:
    """Parse one message. The text is its plain part, or its only part."""
    message = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(raw)
    part = message.get_body(preferencelist=("plain", "html"))
    try:
        at = parsedate_to_datetime(str(message["date"])).timestamp()
    except ValueError:
        at = 0.0
    return Mail(
        sender=str(message.get("from", "")),
        to=tuple(address for _, address in getaddresses([str(value) for value in message.get_all("to", [])])),
        subject=str(message.get("subject", "")),
        text="" if part is None else str(part.get_content()).rstrip("\r\n"),
        at=at,
        file=file,
    )
