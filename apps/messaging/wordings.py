"""What a wording is made of, and what may be put into it. Nothing here knows which wordings there are.

A text has placeholders (`{amount}`) and nothing else that means anything: there are no expressions, no attributes and
no formats, so a text cannot reach what it was not given. Values are put in once and never read again, so what stands in
a value means nothing either.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext as _

from apps.messaging.channels import Channel
from apps.messaging.kinds import MessageKind

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    Text = str | _StrPromise

MAX_TEXT: Final = {Channel.SMS: 600, Channel.EMAIL: 10_000, Channel.INBOX: 1_000}
MAX_SUBJECT: Final = 150
# How often one value may stand in a text: what is bounded once is bounded altogether.
MAX_USES: Final = 3
# What a text message may come to with the longest values. One part less than 67 UTF-16 units, for a letter of two units
# is not cut in the middle (3GPP TS 23.040, section 9.2.3.24.1, leaves 134 octets).
MAX_SMS_PARTS: Final = 8
UNITS_PER_PART: Final = 66

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_ANY_BRACES = re.compile(r"\{[^{}]*\}|[{}]")
_PERCENT = re.compile(r"%\(\w*\)[a-z]?|%\{\w*\}")
# Control, format (among them those that turn the direction of writing), surrogate, private use.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co"})
_BRACES: Final = str.maketrans("{}", "()")
ELLIPSIS: Final = "..."


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """Something that a wording can tell. Longer values than `max_length` are cut.

    `is_exact`: made by the kit itself (a code, a link) and needed once, neither more nor less, in every text; its value
    goes in as it is. Others are somebody's words: see `clean_value`.
    """

    name: str
    example: str
    description: Text
    max_length: int = 60
    is_required: bool = True
    is_exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A wording for one channel. `subject` is an e-mail's subject, or the title in the inbox; texts have none."""

    text: Text
    subject: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One thing that the kit says, with its default wording (translated by gettext) for each channel that it takes."""

    key: str
    kind: MessageKind
    description: Text
    variables: tuple[Variable, ...]
    defaults: Mapping[Channel, Form]

    def __str__(self) -> str:
        return self.key

    @property
    def examples(self) -> dict[str, str]:
        return {each.name: each.example for each in self.variables}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What is said, ready to be sent. `version` 0 is the default of the code."""

    subject: str
    text: str
    version: int = 0


def clean_value(value: object, *, max_length: int) -> str:
    """Somebody's words as they go into a text: one line, visible, without braces, and at most `max_length` characters.

    Line ends become spaces, so nobody adds a line (or a header); what cannot be seen or turns the direction of writing
    is left out; braces become parentheses, so that nothing looks like a placeholder to whatever reads the text next.
    """
    # Enough to fill it whatever is left out, and no work with megabytes.
    told = str(value)[: max_length * 4 + 100]
    seen = "".join(" " if each.isspace() else each for each in told if _is_shown(each))
    line = " ".join(seen.translate(_BRACES).split())
    return line if len(line) <= max_length else line[: max_length - len(ELLIPSIS)].rstrip() + ELLIPSIS


def _is_shown(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) not in _UNSEEN


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with its placeholders replaced, once. One that is not in `values` stays as it is."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def values_for(template: Template, values: Mapping[str, object]) -> dict[str, str]:
    """`values` as they go in. `ValueError` unless they are those that the template names: a defect of the caller."""
    known = {each.name: each for each in template.variables}
    if values.keys() != known.keys():
        raise ValueError(f"{template.key} takes {sorted(known)}, not {sorted(values)}.")
    return {
        name: str(values[name]) if each.is_exact else clean_value(values[name], max_length=each.max_length)
        for name, each in known.items()
    }


def normal(text: str) -> str:
    """A text as it is kept: line ends of one kind, nothing around it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def faults_in(template: Template, channel: Channel, form: Form) -> Iterator[tuple[str, str]]:
    """What is wrong with a wording: the part at fault (`subject` or `text`) and a sentence for whoever wrote it."""
    subject, text = str(form.subject), str(form.text)
    if channel == Channel.SMS:
        if subject:
            yield "subject", _("A text message has no subject.")
    elif not subject:
        yield "subject", _("This field is required.")
    if not text:
        yield "text", _("This field is required.")
        return
    yield from (("subject", each) for each in _faults_of_letters(subject, MAX_SUBJECT, is_one_line=True))
    yield from (("text", each) for each in _faults_of_letters(text, MAX_TEXT[channel], is_one_line=False))
    yield from (("subject", each) for each in _faults_of_braces(template, subject))
    yield from (("text", each) for each in _faults_of_braces(template, text))
    yield from _faults_of_variables(template, subject, text)
    if channel == Channel.SMS and (parts := _most_parts(template, text)) > MAX_SMS_PARTS:
        told = {"parts": parts, "max": MAX_SMS_PARTS}
        yield "text", _("With the longest values this comes to %(parts)d text messages; %(max)d are allowed.") % told


def _faults_of_letters(text: str, max_length: int, *, is_one_line: bool) -> Iterator[str]:
    if len(text) > max_length:
        yield _("This has %(count)d characters; %(max)d are allowed.") % {"count": len(text), "max": max_length}
    for each in text:
        if each == "\n" and not is_one_line:
            continue
        if unicodedata.category(each) in {*_UNSEEN, "Zl", "Zp"}:
            yield _("There is a character in it that cannot be seen: U+%(code)s.") % {"code": f"{ord(each):04X}"}
            return


def _faults_of_braces(template: Template, text: str) -> Iterator[str]:
    known = {f"{{{each.name}}}" for each in template.variables}
    told = {"known": " ".join(sorted(known)) or "-"}
    for found in dict.fromkeys([*_ANY_BRACES.findall(text), *_PERCENT.findall(text)]):
        if found in "{}":
            yield _("A brace stands alone. Braces are for placeholders: %(known)s.") % told
        elif found not in known:
            unknown = {"found": found[:40], **told}
            yield _("%(found)s is not a placeholder of this template. There are: %(known)s.") % unknown


def _faults_of_variables(template: Template, subject: str, text: str) -> Iterator[tuple[str, str]]:
    uses = Counter(_PLACEHOLDER.findall(text))
    for each in template.variables:
        told = {"name": f"{{{each.name}}}", "max": MAX_USES}
        if each.is_exact and f"{{{each.name}}}" in subject:
            yield "subject", _("%(name)s may not stand in the subject.") % told
        if each.is_exact and uses[each.name] != 1:
            yield "text", _("%(name)s must stand in the text exactly once.") % told
        elif each.is_required and not uses[each.name]:
            yield "text", _("%(name)s is missing.") % told
        elif uses[each.name] > MAX_USES:
            yield "text", _("%(name)s may stand in the text %(max)d times at most.") % told


def _most_parts(template: Template, text: str) -> int:
    """How many text messages the longest values make of it, when each of their letters takes two UTF-16 units."""
    units = len(_PLACEHOLDER.sub("", text).encode("utf-16-le", "surrogatepass")) // 2
    longest = {each.name: len(each.example) if each.is_exact else each.max_length * 2 for each in template.variables}
    units += sum(longest.get(name, 0) for name in _PLACEHOLDER.findall(text))
    return max(1, -(-units // UNITS_PER_PART))
