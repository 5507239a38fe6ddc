"""`manage.py scaffold KIND NAME`: what it makes is clean and passes what every gateway must."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from core.scaffolding import CannotScaffold, kinds, plan
from tests.tools.conftest import ROOT

TEMPLATES = ROOT / "tools" / "scaffold"
BIN = Path(sysconfig.get_path("scripts"))
# As short and as long as names are: lines break elsewhere.
SHORT, LONG = "zuri", "kilimanjaro_mobile_money_tz_ke"
SHORT_SMS, LONG_SMS = "haraka", "kilimanjaro_bulk_messages_tzke"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this tree that git knows or would take, where anything may be written."""
    folder = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source = ROOT / name
        if source.is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    return folder


@pytest.fixture(scope="module")
def run(copy: Path) -> Run:
    """Run a program in the copy, on SQLite."""

    def start(*command: object) -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "ENV_FILE": "",
            "DATABASE_URL": f"sqlite:///{copy / 'test.sqlite3'}",
            "PYTHONPATH": str(copy),
        }
        env.pop("DJANGO_SETTINGS_MODULE", None)
        return subprocess.run([*map(str, command)], cwd=copy, env=env, capture_output=True, text=True, check=False)

    return start


@pytest.fixture(scope="module")
def made(run: Run, copy: Path) -> str:
    """What the command said when it made gateways with short names; some with long names are there too."""
    done, told = run(sys.executable, "manage.py", "scaffold", "gateway", SHORT), StringIO()
    assert done.returncode == 0, done.stderr
    with override_settings(BASE_DIR=copy):
        call_command("scaffold", "gateway", LONG, stdout=StringIO())
        call_command("scaffold", "sms-gateway", SHORT_SMS, stdout=told)
        call_command("scaffold", "sms-gateway", LONG_SMS, stdout=StringIO())
    return done.stdout + told.getvalue()


def test_a_dry_run_lists_the_files_and_writes_none(copy):
    before, told = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}, StringIO()

    with override_settings(BASE_DIR=copy):
        call_command("scaffold", "gateway", "looked_at", "--dry-run", stdout=told)

    assert "new  services/payments/providers/looked_at.py\n" in told.getvalue()
    assert "edit config/settings/payment_gateways.py\n" in told.getvalue()
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_what_it_makes_is_in_the_house_style(run, made):
    checked = run(BIN / "ruff", "check", "-q", "--no-cache", ".")
    formatted = run(BIN / "ruff", "format", "--check", "--no-cache", ".")

    assert checked.returncode == 0, checked.stdout
    assert formatted.returncode == 0, formatted.stdout


def test_what_it_makes_passes_what_every_gateway_must(run, made):
    """The conformance suite, its simulator over HTTP, its own tests, and whatever compares lists."""
    own = [f"tests/services/payments/test_{name}.py" for name in ("contract", "against_simulators", "registry", SHORT)]
    own += [f"tests/services/sms/test_{name}.py" for name in ("contract", "against_simulators", "registry", SHORT_SMS)]
    lists = ["tests/contracts/test_env_example.py", "tests/services/simulators/test_control.py"]
    lists += ["tests/tools/test_gateway_table.py"]
    chosen = f"{SHORT} or {SHORT_SMS} or on_the_page or every_variable or no_variable"

    done = run(sys.executable, "-m", "pytest", "-q", "-n", "0", *own, *lists, "-k", chosen)

    assert done.returncode == 0, done.stdout[-4000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 150


def test_it_says_what_is_left_to_do(made):
    assert "tests/providers/zuri/" in made
    assert "services/simulators/zuri/" in made
    assert "tests/services/sms/cases/haraka.py" in made


def test_what_is_there_is_never_made_again(made, copy):
    before = (copy / "services/payments/providers/zuri.py").read_bytes()

    with override_settings(BASE_DIR=copy), pytest.raises(CommandError, match=r"zuri exists: services/payments"):
        call_command("scaffold", "gateway", SHORT)

    assert (copy / "services/payments/providers/zuri.py").read_bytes() == before
    assert (copy / "config/settings/payment_gateways.py").read_text().count('"zuri": _zuri(read)') == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is no name"),
        ("Azam", "is no name"),
        ("azam-pay", "is no name"),
        ("1azam", "is no name"),
        ("azam_", "is no name"),
        ("../azam", "is no name"),
        ("a" * 31, "is no name"),
        ("class", "means something else"),
        ("match", "means something else"),
        ("simulator", "means something else"),
        ("json", "means something else"),
        ("clickpesa", "exists"),
        ("beem", "exists"),
        ("contract", "exists"),
        ("till", "exists"),
        ("google", "confused with GOOGLE_"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(name, why):
    with pytest.raises(CannotScaffold, match=why):
        plan(TEMPLATES / "gateway", name, ROOT)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("beem", "exists"),
        ("africastalking", "exists"),
        ("contract", "exists"),
        ("texts", "means something else"),
        ("clickpesa", "exists"),
        ("selcom", "exists"),
        ("google", "confused with"),
    ],
)
def test_a_name_of_an_sms_gateway_that_cannot_be_used_is_refused(name, why):
    with pytest.raises(CannotScaffold, match=why):
        plan(TEMPLATES / "sms-gateway", name, ROOT)


def test_a_tree_in_which_a_place_is_missing_is_told_by_name(tmp_path):
    kind = tmp_path / "kind"
    kind.mkdir()
    (tmp_path / "list.txt").write_text("one\n")
    manifest = 'help = "a"\nlongest = 9\ntaken = []\nunused = []\nnext = ""\n[[insert]]\nfile = "list.txt"\n'
    (kind / "scaffold.toml").write_text(manifest + "after = '^two\\n'\ntext = '@code@'\n")

    with pytest.raises(CannotScaffold, match=r"list\.txt has no match"):
        plan(kind, "three", tmp_path)


def test_another_kind_is_another_folder(tmp_path):
    kind = tmp_path / "kinds" / "note"
    kind.mkdir(parents=True)
    (tmp_path / "list.txt").write_text("one\ntwo\n")
    (kind / "@code@.txt.tmpl").write_text("@Title@ @CODE@ @Class@ me@example.com\n")
    manifest = 'help = "a note"\nlongest = 9\ntaken = []\nunused = []\nnext = "Read @code@."\n'
    insert = '[[insert]]\nfile = "list.txt"\nbefore = \'^two\'\ntext = "@code@\\n"\n'
    (kind / "scaffold.toml").write_text(manifest + insert)

    planned = plan(kind, "my_note", tmp_path)

    assert kinds(tmp_path / "kinds") == {"note": "a note"}
    assert planned.new == {"my_note.txt": "My Note MY_NOTE MyNote me@example.com\n"}
    assert planned.edited == {"list.txt": "one\nmy_note\ntwo\n"}
    assert planned.next_steps == "Read my_note."
