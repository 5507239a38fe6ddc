"""How a mail looks: the plain text is the truth, and the HTML beside it says the same."""

from __future__ import annotations

import re
import unicodedata

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.html import escape


def one_line(subject: str) -> str:
    """A subject without line ends and other control characters: nothing in it can begin a header of its own."""
    clean = "".join(" " if unicodedata.category(each) in ("Cc", "Zl", "Zp") else each for each in subject)
    return " ".join(clean.split())


def is_address(address: str) -> bool:
    """Whether `address` is one mailbox and nothing more: no list, no display name, no line end."""
    try:
        validate_email(address)
    except ValidationError:
        return False
    return not any(each in address for each in ',;<>"()') and len(address) <= 254


def as_html(text: str) -> str:
    """The same text as HTML: paragraphs and line ends, everything escaped, nothing loaded from anywhere."""
    paragraphs = re.split(r"\n{2,}", text.replace("\r\n", "\n").replace("\r", "\n").strip("\n"))
    body = "\n".join("<p>" + "<br>\n".join(escape(paragraph).split("\n")) + "</p>" for paragraph in paragraphs)
    return f'<!doctype html>\n<html>\n<head><meta charset="utf-8"></head>\n<body>\n{body}\n</body>\n</html>\n'
