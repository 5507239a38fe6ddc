"""What is installed is declared, explained and locked."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.lint import hosts_in_locks

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def declared(*groups: str) -> set[str]:
    """Names of the direct dependencies of `groups`; "base" is the project's own."""
    found = set()
    for group in groups:
        listed = PROJECT["project"]["dependencies"] if group == "base" else PROJECT["dependency-groups"][group]
        for entry in listed:
            if isinstance(entry, dict):
                found |= declared(entry["include-group"])
            else:
                found.add(canonicalize_name(Requirement(entry).name))
    return found


def locked(lock: str) -> dict[str, set[str]]:
    """Versions by name in a lock file, which may hold one per Python version."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", (LOCKS / lock).read_text(), re.M):
        versions.setdefault(canonicalize_name(name), set()).add(version)
    return versions


def test_every_direct_dependency_is_explained_and_nothing_else_is():
    rows = re.findall(r"^\| ([a-z0-9-]+) \| (.+) \|$", (ROOT / "docs" / "dependencies.md").read_text(), re.M)
    explained = {canonicalize_name(name) for name, why in rows if len(why) > 15}

    assert explained == declared("base", *PROJECT["dependency-groups"]) | {"uv"}


@pytest.mark.parametrize(
    ("lock", "groups"),
    [("base.txt", ["base"]), ("local.txt", ["base", "local"]), ("dev.txt", ["base", *PROJECT["dependency-groups"]])],
)
def test_every_direct_dependency_is_in_its_lock(lock, groups):
    assert declared(*groups) <= set(locked(lock))


@pytest.mark.parametrize("wider", ["local.txt", "dev.txt"])
def test_a_wider_lock_holds_the_same_versions(wider):
    versions = locked(wider)

    assert {name: versions.get(name) for name in locked("base.txt")} == locked("base.txt")


@pytest.mark.parametrize("lock", sorted(path.name for path in LOCKS.glob("*.txt")))
def test_every_locked_version_has_a_hash(lock):
    for block in re.split(r"\n(?=[A-Za-z0-9])", (LOCKS / lock).read_text()):
        if "==" in block.split("\n")[0]:
            assert "--hash=sha256:" in block, block


def test_no_lock_names_a_host():
    assert hosts_in_locks(LOCKS) == []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://example.org/simple",
        "--extra-index-url=example.org",
        "-i example.org",
        "--find-links wheels",
        "thing @ https://example.org/thing.whl",
        "thing @ file:///tmp/thing.whl",
        "thing @ git+ssh://example.org/thing",
        "    # from file:wheels",
    ],
)
def test_a_host_in_a_lock_would_be_seen(tmp_path: Path, line):
    (tmp_path / "base.txt").write_text(f"fine==1 --hash=sha256:00\n{line}\n")

    assert hosts_in_locks(tmp_path) == [f"base.txt:2: {line.strip()}"]
