"""`make chaos`: many payments while processes are killed and connections cut; then the oracle speaks.

    python -m tools.chaos -n 1000 --seed 1

Exit code 0 when nothing is lost, nothing is charged twice and no difference is unexplained; 1 otherwise, with a line
for each fault found.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import django
import httpx

from tools.chaos.crowd import Crowd
from tools.chaos.mutants import MUTANTS, REST
from tools.chaos.oracle import Books, await_rest, charges_of, judge
from tools.chaos.stage import Stage, set_stage
from tools.chaos.storm import Storm
from tools.processes import ToolError
from tools.stack import manage

TENANTS = 3
SHOWN = 20
TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a run ended. Times are in seconds."""

    payments: int
    statuses: Counter[str]
    blows: Counter[str]
    faults: list[str]
    started_in: float
    paid_in: float
    rested_in: float
    seconds: float

    def lines(self) -> list[str]:
        told = ", ".join(f"{count} {status}" for status, count in self.statuses.most_common())
        return [
            f"{self.payments} payments: {told}",
            "blows: " + ", ".join(f"{count} x {blow}" for blow, count in sorted(self.blows.items())),
            f"{self.started_in:.0f} s to start, {self.paid_in:.0f} s of payments, {self.rested_in:.0f} s until all was "
            f"quiet, {self.seconds:.0f} s in all",
            *(f"  {fault}" for fault in self.faults[:SHOWN]),
            f"{len(self.faults)} faults" if self.faults else "0 lost, 0 charged twice, 0 unexplained breaks",
        ]


def play(*, payments: int, seed: int, rate: float, pause: float, mutant: str = "", patience: float = 120.0) -> Verdict:
    """One run. `rate` is how many of the calls and callbacks fail (0 to 1), `pause` the seconds between two blows."""
    begun, begun_on = time.monotonic(), datetime.now(UTC).date()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")
    django.setup()  # the oracle knows the hashes of a history by the model
    extra = {"DJANGO_SETTINGS_MODULE": "tools.chaos.settings", "CHAOS_MUTANT": mutant}
    with set_stage(extra) as stage:
        started_in = time.monotonic() - begun
        _let_providers_fail(stage, seed=seed, rate=rate)
        crowd = Crowd(stage.base_url, seed=seed)
        crowd.register(TENANTS)
        books = Books(stage.database_url, crowd.tenant_ids)
        storm = Storm(stage, seed=seed, pause=pause)
        storm.begin()
        try:
            crowd.pay(payments)
        finally:
            storm.end()
        paid_in = time.monotonic() - begun - started_in
        _let_providers_fail(stage, seed=seed, rate=0.0)
        rested_in = await_rest(books, limit=patience)
        days = sorted({begun_on, datetime.now(UTC).date()})
        faults = [fault for day in days for fault in _compare(stage, day)]
        faults += judge(books, charges_of(stage.simulators_url), crowd.wishes) + crowd.server_errors
        statuses = Counter(row["status"] for row in books.everywhere("SELECT status FROM payments_payment"))
        crowd.close()
        books.close()
        return Verdict(
            payments=payments,
            statuses=statuses,
            blows=Counter(storm.blows),
            faults=faults,
            started_in=started_in,
            paid_in=paid_in,
            rested_in=rested_in,
            seconds=time.monotonic() - begun,
        )


def _compare(stage: Stage, day: date) -> list[str]:
    """Have our books compared with the gateways' lists of that day; the fault, when no list could be had."""
    told = ""
    for _ in range(TRIES):
        try:
            manage({**stage.env, "DATABASE_URL": stage.database_url}, "reconcile", "--day", day.isoformat())
        except ToolError as error:
            told = str(error).splitlines()[-1]
            time.sleep(REST.total_seconds())  # a gateway may still be left alone
        else:
            return []
    return [f"{day} could not be compared with the gateways: {told}"]


def _let_providers_fail(stage: Stage, *, seed: int, rate: float) -> None:
    with httpx.Client(base_url=stage.simulators_url, timeout=10, trust_env=False) as http:
        wish = {"rate": rate, "callback_rate": rate, "seed": str(seed)}
        http.post("/simulator/faults/rates", json=wish).raise_for_status()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument("-n", "--payments", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.05, help="of the providers' calls and callbacks that fail")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two blows, on average")
    parser.add_argument("--mutant", default="", choices=["", *MUTANTS], help="a defect that the oracle has to find")
    options = parser.parse_args(arguments)
    faulthandler.register(signal.SIGUSR1)
    verdict = play(
        payments=options.payments, seed=options.seed, rate=options.rate, pause=options.pause, mutant=options.mutant
    )
    print("\n".join(verdict.lines()), flush=True)
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
