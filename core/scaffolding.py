"""Starting a new part of the kit from templates: new files, and lines added to those that list what there is.

A kind of part is a folder with `scaffold.toml` and a tree of `*.tmpl` files that stand where the new files will. In
their texts and names `@code@` is the part's name (`azam_pay`), `@CODE@` the same in capitals (`AZAM_PAY`), `@Class@` as
a class begins (`AzamPay`) and `@Title@` for people (`Azam Pay`).

`scaffold.toml` says `help`; `longest`, the characters that a name may have; `taken`, names that would be confused with
something that is there; `unused`, patterns of which no listed file may have a match yet; `next`, what is left for a
person to do; and a list of `insert`: a `file`, the `text` to add, and `before` the first or `after` the last match of
which pattern it belongs.
"""

from __future__ import annotations

import keyword
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST, SUFFIX = "scaffold.toml", ".tmpl"
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
PLACE = re.compile(r"@(code|CODE|Class|Title)@")


class CannotScaffold(Exception):
    """The name cannot be used, or the tree is not as the templates expect; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that will be written, by path from the root of the tree. Nothing has been written yet."""

    new: Mapping[str, str]
    edited: Mapping[str, str]
    next_steps: str = field(default="", repr=False)

    def write(self, root: Path) -> None:
        """Write it below `root`."""
        for path, text in {**self.new, **self.edited}.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


def kinds(folder: Path) -> dict[str, str]:
    """What can be scaffolded from the templates in `folder`, and the sentence about each."""
    return {path.parent.name: _manifest(path.parent)["help"] for path in sorted(folder.glob(f"*/{MANIFEST}"))}


def plan(kind: Path, name: str, root: Path) -> Plan:
    """What a new part called `name` of the kind in folder `kind` means for the tree below `root`.

    Raises `CannotScaffold` for a name that is taken or no name, and for a list in which its place is not found.
    """
    manifest = _manifest(kind)
    _check_name(name, manifest)
    words = {
        "code": name,
        "CODE": name.upper(),
        "Class": "".join(part.capitalize() for part in name.split("_")),
        "Title": " ".join(part.capitalize() for part in name.split("_")),
    }
    new, there = {}, set()
    for template in sorted(kind.rglob(f"*{SUFFIX}")):
        place = template.relative_to(kind).as_posix().removesuffix(SUFFIX)
        path = _filled(place, words)
        new[path] = _filled(template.read_text(encoding="utf-8"), words)
        # Whatever bears the name: a package and a module of one name are in each other's way too.
        steps = range(1, place.count("/") + 2)
        own = [Path(*Path(path).parts[:depth]) for depth in steps if "@" in place.split("/")[depth - 1]]
        there |= {each for mine in own for each in (mine, mine.with_suffix(""), mine.with_suffix(".py"))}
    found = sorted(path.as_posix() for path in there if (root / path).exists())
    if found:
        raise CannotScaffold(f"{name} exists: {', '.join(found)}")
    for each in manifest["insert"]:
        _check_unused(root / each["file"], [_filled(pattern, words) for pattern in manifest["unused"]], name)
    edited: dict[str, str] = {}
    for each in manifest["insert"]:
        path = each["file"]
        text = edited.get(path) or (root / path).read_text(encoding="utf-8")
        edited[path] = _inserted(path, text, each, _filled(each["text"], words))
    return Plan(new=new, edited=edited, next_steps=_filled(manifest["next"], words))


def _manifest(kind: Path) -> dict[str, Any]:
    return tomllib.loads((kind / MANIFEST).read_text(encoding="utf-8"))


def _check_name(name: str, manifest: Mapping[str, Any]) -> None:
    longest = manifest["longest"]
    if not NAME.fullmatch(name) or len(name) > longest:
        raise CannotScaffold(
            f"{name!r} is no name: small letters, digits and single underscores, a letter first, at most {longest}."
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in manifest["taken"]:
        raise CannotScaffold(f"{name} means something else here; choose another name.")


def _check_unused(file: Path, patterns: list[str], name: str) -> None:
    text = file.read_text(encoding="utf-8")
    found = [match[0] for pattern in patterns if (match := re.search(pattern, text, re.M))]
    if found:
        raise CannotScaffold(f"{name} would be confused with {found[0]} in {file.name}; choose another name.")


def _filled(text: str, words: Mapping[str, str]) -> str:
    return PLACE.sub(lambda place: words[place[1]], text)


def _inserted(path: str, text: str, insert: Mapping[str, str], addition: str) -> str:
    """`text` with `addition` at its place."""
    pattern = insert.get("before") or insert["after"]
    matches = list(re.finditer(pattern, text, re.M))
    if not matches:
        raise CannotScaffold(f"{path} has no match of {pattern}, where this would have to be added:\n{addition}")
    place = matches[0].start() if "before" in insert else matches[-1].end()
    return text[:place] + addition + text[place:]
