"""`manage.py jwt_keys`: what an operator sees, pastes and must not see."""

from __future__ import annotations

import io
import json
import logging

import pytest
import time_machine
from django.core.management import CommandError, call_command

from core.keyring import read_ring
from tests.factories.tokens import SECRET, ed_entry, hs_entry, ring, rs_entry


def run(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("jwt_keys", *arguments, stdout=out, stderr=err, no_color=True)
    return out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def three_keys(settings):
    settings.JWT_KEYS = ring(hs_entry("main"), ed_entry("next"), rs_entry("old", retire_at="2030-01-01T00:00:00Z"))


def test_show_tells_names_algorithms_and_states_and_no_secret(settings):
    out, err = run("show")

    assert [line.split() for line in out.splitlines()] == [
        ["main", "HS256", "signs"],
        ["next", "EdDSA", "checks"],
        ["old", "RS256", "checks", "until", "2030-01-01T00:00:00Z"],
    ]
    assert err == ""
    assert [entry["kid"] for entry in json.loads(settings.JWT_KEYS) if entry["key"] in out] == []


@pytest.mark.parametrize("step", [["add"], ["add", "--alg", "RS256"], ["promote"], ["retire", "next", "--now"]])
def test_standard_output_is_the_value_and_nothing_else(settings, step, caplog):
    with caplog.at_level(logging.DEBUG):
        out, err = run(*step)

    found = read_ring(out.strip(), "")
    assert out.count("\n") == 1
    for key in found.keys:
        assert key.entry["key"] not in err
        assert key.entry["key"] not in caplog.text
    assert "Set JWT_KEYS to the line above in web, worker and beat" in err


def test_a_new_key_is_of_the_kind_that_signs_unless_another_is_named():
    assert read_ring(run("add")[0].strip(), "").keys[-1].alg == "HS256"
    assert read_ring(run("add", "--alg", "EdDSA")[0].strip(), "").keys[-1].alg == "EdDSA"


def test_each_step_tells_when_the_next_one_is_safe():
    with time_machine.travel("2026-03-01T09:00:00Z", tick=False):
        assert "From 2026-03-01T09:10:00Z on" in run("add")[1]
        assert "refused from 2026-03-16T09:00:00Z on" in run("promote", "next")[1]
        assert "From then on: jwt_keys retire" in run("promote", "next")[1]


def test_the_first_ring_holds_the_single_key(settings):
    settings.JWT_KEYS, settings.JWT_SIGNING_KEY = "", SECRET

    found = read_ring(run("add")[0].strip(), "")

    assert found.signing.private == SECRET.encode()
    assert len(found.keys) == 2


@pytest.mark.parametrize(
    "step", [["promote", "main"], ["retire"], ["retire", "main"], ["retire", "--now"], ["promote", "x"]]
)
def test_a_refused_step_prints_no_value(step):
    out = io.StringIO()

    with pytest.raises(CommandError) as refusal:
        call_command("jwt_keys", *step, stdout=out, stderr=out)

    assert out.getvalue() == ""
    assert SECRET not in str(refusal.value)
