"""Translations: `python -m tools.messages extract | compile | check`. `make messages` is the first two.

The sentences stand in the code in English. `locale/<language>/LC_MESSAGES/django.po` holds their translations, for
people to edit; the `django.mo` beside it is what the programs read. gettext's own programs are not needed.
"""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tools.stack import ROOT

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

PACKAGES = ("apps", "config", "core", "services")
LANGUAGES = ("sw",)
MARKERS = frozenset({"_", "gettext", "gettext_lazy"})
# The library's own lines of the header, which would change a file in which nothing has changed, or say nothing.
IDLE_HEADERS = (b'"Generated-By:', b'"Last-Translator:', b'"Language-Team:', b'"Report-Msgid-Bugs-To:')
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*(?::\w+)?\}")

# What the frameworks say about fields and passwords of our requests. DRF brings no Swahili along, Django only some.
# A test asks every input field for its sentences, so that none is missing here.
FRAMEWORK_MESSAGES: dict[str, tuple[str | tuple[str, str], ...]] = {
    "django.contrib.auth.password_validation": (
        (
            "This password is too short. It must contain at least %d character.",
            "This password is too short. It must contain at least %d characters.",
        ),
        "The password is too similar to the %(verbose_name)s.",
        "This password is too common.",
    ),
    "django.core.validators": ("Null characters are not allowed.",),
    "rest_framework.fields": (
        '"{input}" is not a valid choice.',
        "A valid integer is required.",
        "Datetime has wrong format. Use one of these formats instead: {format}.",
        "Datetime value out of range.",
        "Ensure this field has at least {min_length} characters.",
        "Ensure this field has at least {min_length} elements.",
        "Ensure this field has no more than {max_length} characters.",
        "Ensure this field has no more than {max_length} elements.",
        "Ensure this value is greater than or equal to {min_value}.",
        "Ensure this value is less than or equal to {max_value}.",
        'Enter a valid "slug" consisting of Unicode letters, numbers, underscores, or hyphens.',
        'Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.',
        "Enter a valid email address.",
        "Expected a datetime but got a date.",
        'Expected a dictionary of items but got type "{input_type}".',
        'Expected a list of items but got type "{input_type}".',
        'Invalid datetime for the timezone "{timezone}".',
        "Must be a valid UUID.",
        "Must be a valid boolean.",
        "Not a valid string.",
        "String value too large.",
        "This field is required.",
        "This field may not be blank.",
        "This field may not be null.",
        "This dictionary may not be empty.",
        "This list may not be empty.",
        "This value does not match the required pattern.",
    ),
    "rest_framework.serializers": ("Invalid data. Expected a dictionary, but got {datatype}.",),
    "rest_framework.validators": ("Surrogate characters are not allowed: U+{code_point:X}.",),
}

Message = str | tuple[str, str]


def messages_in(source: str) -> Iterator[str]:
    """Every sentence that a module marks for translation. `ValueError` for one that is put together."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKERS:
            text = node.args[0] if node.args else None
            if not (isinstance(text, ast.Constant) and isinstance(text.value, str)):
                raise ValueError(f"Line {node.lineno}: only a whole literal sentence can be translated.")
            yield text.value


def collect() -> dict[Message, list[str]]:
    """Every message with the files (or modules of the frameworks) it stands in, in order."""
    found: dict[Message, list[str]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for message in messages_in(path.read_text()):
                places = found.setdefault(message, [])
                if (place := path.relative_to(ROOT).as_posix()) not in places:
                    places.append(place)
    for module, messages in FRAMEWORK_MESSAGES.items():
        for each in messages:
            found.setdefault(each, []).append(module)
    return found


def po_path(language: str) -> Path:
    return ROOT / "locale" / language / "LC_MESSAGES" / "django.po"


def read_catalog(language: str) -> Catalog:
    """The translations of `language` as they stand; empty when there are none yet."""
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import read_po

    path = po_path(language)
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as stream:
        return read_po(stream, locale=language)


def updated(language: str) -> bytes:
    """The `.po` with the code's messages: new ones without translation, those no longer used left out."""
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import write_po

    old = read_catalog(language)
    new = Catalog(locale=language, project="Faraja", version="1", fuzzy=False)
    new.creation_date = new.revision_date = old.creation_date
    for message, places in collect().items():
        known = old.get(message if isinstance(message, str) else message[0])
        told = known.string if known else None
        new.add(message, string=told or "", locations=[(place, 0) for place in places])
    written = io.BytesIO()
    write_po(written, new, width=118, sort_output=True, include_lineno=False)
    lines = written.getvalue().splitlines(keepends=True)
    return b"".join(line for line in lines[_first_entry(lines) :] if not line.startswith(IDLE_HEADERS))


def _first_entry(lines: Sequence[bytes]) -> int:
    """Where the header's comment, a form that nobody filled in, ends."""
    return next(number for number, line in enumerate(lines) if not line.startswith(b"#"))


def compiled(language: str) -> bytes:
    """The `.mo` that belongs to the `.po`."""
    from babel.messages.mofile import write_mo

    written = io.BytesIO()
    write_mo(written, read_catalog(language))
    return written.getvalue()


def translations_in(compiled_file: bytes) -> list[tuple[object, object]]:
    """Message and translation pairs of a `.mo`, without its header."""
    from babel.messages.mofile import read_mo

    return [(message.id, message.string) for message in read_mo(io.BytesIO(compiled_file)) if message.id]


def faults(language: str) -> list[str]:
    """What is wrong with the translations of `language`, one sentence each."""
    found = []
    catalog = read_catalog(language)
    for message in collect():
        texts = (message,) if isinstance(message, str) else message
        known = catalog.get(texts[0])
        told = (known.string if known else "") or ""
        translations = (told,) if isinstance(told, str) else told
        if not all(translations):
            found.append(f"{language}: no translation of {texts[0]!r}.")
        elif any(sorted(PLACEHOLDER.findall(each)) != sorted(PLACEHOLDER.findall(texts[-1])) for each in translations):
            found.append(f"{language}: the placeholders differ in the translation of {texts[0]!r}.")
    if po_path(language).read_bytes() != updated(language):
        found.append(f"{language}: django.po does not list exactly the messages of the code. Run: make messages")
    if translations_in(po_path(language).with_suffix(".mo").read_bytes()) != translations_in(compiled(language)):
        found.append(f"{language}: django.mo is not what django.po compiles to. Run: make messages")
    return found


def main(arguments: Sequence[str]) -> int:
    orders = list(arguments)
    if not orders or set(orders) - {"extract", "compile", "check"}:
        print("usage: python -m tools.messages extract | compile | check ...", file=sys.stderr)
        return 2
    wrong: list[str] = []
    for order in orders:
        for language in LANGUAGES:
            if order == "extract":
                po_path(language).parent.mkdir(parents=True, exist_ok=True)
                po_path(language).write_bytes(updated(language))
            elif order == "compile":
                po_path(language).with_suffix(".mo").write_bytes(compiled(language))
            else:
                wrong += faults(language)
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
