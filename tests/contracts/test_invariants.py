"""Every invariant has a test that names it, and the table of `make invariants` says what those tests did."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.figures import names_of
from tests.invariants import INVARIANTS, Ledger, Verdict

ROOT = Path(__file__).resolve().parents[2]
TWO_TESTS = """
import pytest

@pytest.mark.invariant("I39", "I40")
@pytest.mark.parametrize("number", [1, 2])
def test_of_two(number, figure, record_figure):
    record_figure(f"{figure(quick=2, full=200)} rounds")

@pytest.mark.invariant("I41")
def test_of_another():
    assert False

def test_of_nothing():
    raise SystemExit("never chosen")
"""


def named_in_tests() -> Iterator[str]:
    """Arguments of every `invariant(...)` mark below tests/, read without importing anything."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "invariant":
                yield from (str(each.value) for each in node.args if isinstance(each, ast.Constant))


def test_every_invariant_is_named_by_a_test():
    named = set(named_in_tests())

    assert [name for name in INVARIANTS if name not in named] == []
    assert named <= set(INVARIANTS)


def test_the_invariants_of_accounts_and_tenants_are_all_in_the_table():
    assert {f"I{number}" for number in range(39, 65)} <= set(INVARIANTS)


@pytest.mark.parametrize("names", [("I0",), ("I39", "I999"), ()])
def test_a_mark_that_names_no_invariant_is_refused(names):
    with pytest.raises(pytest.UsageError):
        names_of([pytest.mark.invariant(*names).mark])


def test_one_failure_among_many_successes_is_a_failure():
    ledger = Ledger()
    ledger.add("a", "passed", ["I39"], ["1 round"])
    ledger.add("a", "failed", ["I39"], ["1 round"])  # its teardown
    ledger.add("b[1]", "passed", ["I39", "I40"], [])
    ledger.add("b[2]", "skipped", ["I39"], [])
    ledger.add("c", "skipped", ["I41"], [])

    verdicts = {name: ledger.proofs[name].verdict for name in ("I39", "I40", "I41", "I42")}
    assert verdicts == {"I39": Verdict.FAILED, "I40": "proven", "I41": Verdict.NOT_RUN, "I42": Verdict.NO_TEST}
    assert ledger.proofs["I39"].figures == ["1 round"]
    assert ledger.proofs["I39"].tests() == ["a", "b (2 cases)"]
    assert "I40" not in ledger.unproven()
    assert {"I39", "I41", "I42"} <= set(ledger.unproven())


@pytest.mark.parametrize("processes", [(), ("-p", "xdist", "-n", "1")], ids=["one process", "a worker"])
def test_the_table_tells_what_ran_and_a_missing_proof_fails_the_run(tmp_path, processes):
    path = tmp_path / "test_two.py"
    path.write_text(TWO_TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.figures", "-c", "/dev/null", str(path)]

    done = subprocess.run(
        [*command, "-m", "invariant", "--full-figures", "-q", *processes],
        cwd=ROOT,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # they take seconds to import
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    table = done.stdout.partition("= invariants =")[2]
    assert "I39  proven" in table
    assert "measured  200 rounds" in table
    assert "test_of_two (2 cases)" in table
    assert "I41  FAILED" in table
    assert "I42  NO TEST" in table
    assert f"2 of {len(INVARIANTS)} invariants proven." in table
