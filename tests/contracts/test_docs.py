"""What the documents point at exists: links, make targets, files, management commands, environment variables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.envelope import known_codes

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
FOLDERS = ("apps", "config", "core", "docker", "docs", "locale", "requirements", "services", "tests", "tools")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# A path in running text. What is named as an example (`apps/billing`) does not exist, and is not meant to.
PATH = re.compile(rf"(?<![\w/.-])((?:{'|'.join(FOLDERS)})/[\w./-]*\w\.(?:py|sh|toml|yml|yaml|md|po|mo|txt|html))\b")
EXAMPLES = "apps/billing/"


def text_of(page: Path) -> str:
    return page.read_text()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def ids(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def broken_links(page: Path, text: str) -> list[str]:
    broken = []
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(link)
    return broken


def missing_paths(text: str) -> list[str]:
    return [path for path in PATH.findall(text) if not path.startswith(EXAMPLES) and not (ROOT / path).exists()]


def unknown_targets(text: str) -> list[str]:
    known = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    code = "\n".join(re.findall(r"`+[^`]*`+", text))
    return [target for target in re.findall(r"\bmake ([a-z][a-z-]*)", code) if target not in known]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_leads_somewhere(page):
    assert broken_links(page, text_of(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_file_that_is_named_exists(page):
    assert missing_paths(text_of(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_make_target_that_is_named_exists(page):
    assert unknown_targets(text_of(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_management_command_that_is_named_exists(page):
    named = re.findall(r"manage\.py ([a-z_]+)", text_of(page))

    assert [command for command in named if command not in get_commands()] == []


def test_every_page_is_in_the_index():
    listed = set(LINK.findall(text_of(DOCS / "README.md")))
    pages = {path.name for path in DOCS.glob("*.md")} | {"openapi.yaml"}

    assert sorted(pages - {"README.md"} - listed) == []


def test_every_decision_is_in_its_index_and_has_its_three_parts():
    listed = set(LINK.findall(text_of(DOCS / "adr" / "README.md")))
    decisions = sorted((DOCS / "adr").glob("[0-9]*.md"))

    assert {path.name for path in decisions} == listed
    for path in decisions:
        assert re.findall(r"^## (.+)$", text_of(path), re.M) == ["Context", "Decision", "Consequences"], path.name


def test_the_variables_and_settings_that_operators_read_about_exist():
    """Names in capitals with an underscore, in code style."""
    listed = set(re.findall(r"^([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.M))
    listed |= set(re.findall(r"^([A-Z][A-Z0-9_]*)(?:: .*)? =", (ROOT / "config/settings/base.py").read_text(), re.M))
    named = set()
    for page in PAGES:
        if page.name != "dependencies.md":
            named |= set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", text_of(page)))

    assert sorted(named - listed) == []


def test_the_guide_to_sessions_explains_codes_that_exist_and_every_401():
    rows = re.findall(r"^\| (?:401|403|429) \| ([^|]+) \|", text_of(DOCS / "sessions.md"), re.M)
    explained = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row)}
    of_programs = {"api_key_invalid", "webhook_rejected"}
    refusals = set(re.findall(r"^\| 401 \| `([a-z_]+)` \|", text_of(DOCS / "errors.md"), re.M))

    assert explained <= known_codes()
    assert refusals - of_programs <= explained


def test_every_picture_is_small():
    pictures = sorted((DOCS / "images").glob("*.png"))

    assert len(pictures) >= 3
    assert [path.name for path in pictures if path.stat().st_size > 200_000] == []


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (broken_links(DOCS / "README.md", "[a](nowhere.md) [b](quickstart.md#nothing) [c](errors.md)"), 2),
        (missing_paths("see core/nothing.py and core/views.py, and `services/http.py`"), 1),
        (unknown_targets("`make sense` and `make run`, and make up your mind"), 1),
    ],
    ids=["links", "paths", "targets"],
)
def test_what_is_missing_is_noticed(found, wrong):
    assert len(found) == wrong
