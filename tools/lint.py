"""Every check that needs no server, one after another: its name, its verdict, and its words only when it fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.stack import ROOT

BIN = Path(sysconfig.get_path("scripts"))
MANAGE = (sys.executable, "manage.py")
WORKFLOWS = ".github/workflows"
HOST_IN_LOCK = re.compile(r"[a-z][a-z0-9+.-]*://|^\s*(?:-i|-f|--(?:extra-)?index-url|--find-links)\b|\bfile:", re.I)


@dataclass(frozen=True, slots=True)
class Step:
    """One check: what a person calls it, and the command that fails when it is not kept."""

    name: str
    command: tuple[str, ...]


def steps() -> list[Step]:
    """All checks, quick ones first."""

    def tool(name: str, *arguments: str) -> tuple[str, ...]:
        return (str(BIN / name), *arguments)

    return [
        Step("ruff check", tool("ruff", "check", "-q", ".")),
        Step("ruff format", tool("ruff", "format", "-q", "--check", "--diff", ".")),
        Step("lock files", (sys.executable, "-m", "tools.lint", "--locks")),
        Step("yamllint", tool("yamllint", "--strict", ".")),
        Step("hadolint", tool("hadolint", "Dockerfile")),
        Step(
            "workflow", tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", f"{WORKFLOWS}/ci.yml")
        ),
        Step("compose", tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")),
        Step(
            "captain",
            tool("check-jsonschema", "--schemafile", "tools/captain-definition.schema.json", "captain-definition"),
        ),
        Step("zizmor", tool("zizmor", "--offline", "--no-progress", "-q", WORKFLOWS)),
        Step("lint-imports", tool("lint-imports", "--no-logo")),
        Step("mypy", tool("mypy", ".")),
        Step("manage.py check", (*MANAGE, "check", "--fail-level", "WARNING")),
        Step("migrations", (*MANAGE, "makemigrations", "--check", "--dry-run")),
        Step("docs", (*MANAGE, "build_docs", "--check")),
        Step("messages", (sys.executable, "-m", "tools.messages", "check")),
    ]


def hosts_in_locks(folder: Path) -> list[str]:
    """Lines of lock files that name a host, an index or a folder, as `file:line: text`.

    A lock holds names, versions and hashes. Where a package comes from is the business of whoever installs it.
    """
    found = []
    for lock in sorted(folder.glob("*.txt")):
        for number, line in enumerate(lock.read_text().splitlines(), start=1):
            if HOST_IN_LOCK.search(line):
                found.append(f"{lock.name}:{number}: {line.strip()}")
    return found


def run(chosen: Sequence[Step]) -> list[str]:
    """Run the steps, print a line for each, and return the names of those that failed."""
    failed = []
    # Models are compared with migrations without anybody's database.
    env = {**os.environ, "DATABASE_URL": "sqlite://:memory:"}
    for step in chosen:
        print(f"{step.name:<16}", end=" ", flush=True)
        began = time.monotonic()
        try:
            done = subprocess.run(
                step.command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            is_kept, words = done.returncode == 0, (done.stdout + done.stderr).strip()
        except OSError as error:
            is_kept, words = False, str(error)
        print(f"{'ok' if is_kept else 'FAILED':<6} {time.monotonic() - began:5.1f} s", flush=True)
        if not is_kept:
            failed.append(step.name)
            print(words, flush=True)
    return failed


def main(arguments: Sequence[str]) -> int:
    """Run every step, or those named in `arguments`; `--locks` is the one check that is written here."""
    if list(arguments) == ["--locks"]:
        found = hosts_in_locks(ROOT / "requirements")
        print("\n".join(found))
        return 1 if found else 0
    chosen = [step for step in steps() if not arguments or step.name in arguments]
    if not chosen:
        print(f"No such step. The steps: {', '.join(step.name for step in steps())}", file=sys.stderr)
        return 2
    if failed := run(chosen):
        print(f"Not kept: {', '.join(failed)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
