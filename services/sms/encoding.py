"""How a text is written on the air, and in how many parts it travels: what a provider bills.

A part carries 140 bytes. In the GSM 7-bit alphabet that is 160 characters, of which those of the extension table count
twice; one character outside it makes the whole text UCS-2, at 70. A text of several parts loses six bytes of each to
the header that puts them together: 153 and 67 (3GPP TS 23.040, 9.2.3.24.1; 3GPP TS 23.038, 6.2.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

# 3GPP TS 23.038 (GSM 03.38), section 6.2.1: the basic table without its escape code, and the extension table.
GSM_BASIC = frozenset(
    "@\u00a3$\u00a5\u00e8\u00e9\u00f9\u00ec\u00f2\u00c7\n\u00d8\u00f8\r\u00c5\u00e5"
    "\u0394_\u03a6\u0393\u039b\u03a9\u03a0\u03a8\u03a3\u0398\u039e\u00c6\u00e6\u00df\u00c9"
    " !\"#\u00a4%&'()*+,-./0123456789:;<=>?"
    "\u00a1ABCDEFGHIJKLMNOPQRSTUVWXYZ\u00c4\u00d6\u00d1\u00dc\u00a7"
    "\u00bfabcdefghijklmnopqrstuvwxyz\u00e4\u00f6\u00f1\u00fc\u00e0"
)
GSM_EXTENSION = frozenset("\f^{}\\[~]|\u20ac")
_GSM = GSM_BASIC | GSM_EXTENSION


class Encoding(StrEnum):
    GSM7 = "gsm7"
    UCS2 = "ucs2"


# Units that fit: in a text of one part, and in each of several. Septets, or 16-bit units.
ROOM = {Encoding.GSM7: (160, 153), Encoding.UCS2: (70, 67)}

_LINE_END = re.compile("\r\n?|[\u0085\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ufeff]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Measure:
    """What a text is billed as."""

    encoding: Encoding
    parts: int


def fits_gsm(text: str) -> bool:
    """Whether every character of `text` is in GSM 03.38, basic or extension table."""
    return _GSM.issuperset(text)


def encoding_of(text: str) -> Encoding:
    """The encoding that a provider chooses for `text`."""
    return Encoding.GSM7 if fits_gsm(text) else Encoding.UCS2


def units_of(text: str, encoding: Encoding) -> int:
    """How much room `text` takes: septets, or 16-bit units."""
    return sum(_units(character, encoding) for character in text)


def split_text(text: str) -> list[str]:
    """The parts in which `text` travels; an empty text is one. No character is ever cut in two.

    An escaped character and a surrogate pair stand in one part, as senders and phones expect (unconfirmed for each
    provider); a text that is cut elsewhere needs as many parts or fewer.
    """
    encoding = encoding_of(text)
    alone, each = ROOM[encoding]
    if units_of(text, encoding) <= alone:
        return [text]
    parts, start, used = [], 0, 0
    for index, character in enumerate(text):
        needed = _units(character, encoding)
        if used + needed > each:
            parts.append(text[start:index])
            start, used = index, 0
        used += needed
    return [*parts, text[start:]]


def measure(text: str) -> Measure:
    """The encoding of `text` and the number of its parts, which is at least one."""
    return Measure(encoding_of(text), len(split_text(text)))


def shorten(text: str, *, parts: int) -> str:
    """`text` itself, or as much of its beginning as fits `parts` parts, with three dots at the end."""
    found = split_text(text)
    if len(found) <= parts:
        return text
    kept = "".join(found[:parts])
    while kept and len(split_text(kept + "...")) > parts:
        kept = kept[:-1]
    return kept.rstrip() + "..."


def clean_text(text: str) -> str:
    """`text` without what no phone shows: line ends become one kind, tabs spaces, other control characters nothing.

    Half a surrogate pair, which no encoding can carry, becomes a question mark.
    """
    text = _LINE_END.sub("\n", text).replace("\t", " ")
    return _LONE_SURROGATE.sub("?", _CONTROL.sub("", text))


def _units(character: str, encoding: Encoding) -> int:
    if encoding is Encoding.GSM7:
        return 2 if character in GSM_EXTENSION else 1
    return 2 if ord(character) > 0xFFFF else 1
