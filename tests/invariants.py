"""What must never stop being true of payments, accounts and tenants: one line each, and the figure for its proof.

Tests name what they prove by `@pytest.mark.invariant("I39")`; `make invariants` runs those tests with full figures and
prints this table beside what they measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Invariant:
    """`says` is the promise; `required` the figure that `make invariants` has to show."""

    says: str
    required: str


INVARIANTS: dict[str, Invariant] = {
    "I1": Invariant(
        "One key and one body from many clients: one payment, one submission, every answer equal to the byte.",
        "2,000 keys x 5 requests, 0 keys with two bodies",
    ),
    "I2": Invariant(
        "The same key with another body, method or route is refused; of another tenant or person it is another key.",
        "100 %",
    ),
    "I3": Invariant(
        "A request that died midway never blocks its key: the retry finishes the work; a 500 is never stored.", "100 %"
    ),
    "I4": Invariant("A missing, empty, overlong or unprintable key is a 400 with its own code.", "1,000 headers"),
    "I5": Invariant(
        "Whoever repeats a request that still runs waits, and then is told to come back; nothing is done twice.",
        "0 duplicates",
    ),
    "I6": Invariant(
        "Silence after the bytes left is `unknown` and never `failed`, and nobody submits again by themselves.",
        "0 second submissions",
    ),
    "I7": Invariant("What was not sent is sent again; what may have been sent is not.", "1 submission per reference"),
    "I8": Invariant(
        'Killed between "about to submit" and "answer stored", the gateway is asked and not charged again.',
        "1,000 kills, 0 double charges",
    ),
    "I9": Invariant(
        "News before the answer, after it, twice, reversed or a day late end in the same state.",
        "100,000 random orders, 0 differences",
    ),
    "I10": Invariant(
        "Settled stays settled; money after the end settles late, says so, and is told once.", "0 exits from settled"
    ),
    "I11": Invariant(
        "Of two attempts that are both paid one is applied, the other is in the books and raises an alarm.", "100 %"
    ),
    "I12": Invariant("Another amount or currency than asked for is never settled by itself.", "100 %, every source"),
    "I13": Invariant("That a browser comes back proves nothing.", "0 changes"),
    "I14": Invariant(
        "All refunds of a payment together never exceed what came in, however many are asked for at once.",
        "1,000 races of 20, 0 over-refunds",
    ),
    "I15": Invariant("Cancelled and paid at once: one of them wins, and money wins over cancel.", "500 races, 0 mixed"),
    "I16": Invariant("The history is gapless and chained, and the database refuses to change a line of it.", "refused"),
    "I17": Invariant("Money is whole numbers; an amount is carried exactly or refused.", "10,000 values, 0 drift"),
    "I18": Invariant(
        "Reconciliation finds every difference between our books and a gateway's list, and makes none up.",
        "1 % of the news dropped, 5 flipped, 3 invented: 100 % found, 0 made up",
    ),
    "I19": Invariant("Without any callback, polling alone ends every payment.", "10,000 of 10,000 within the schedule"),
    "I20": Invariant(
        "While a gateway is down payments are taken or refused at once, and it is found within 30 s of its return.",
        "p95 of a start < 300 ms; 1 call while half-open",
    ),
    "I21": Invariant(
        "A callback is acknowledged only once its bytes are committed; without a database the answer is 503.",
        "0 acknowledged and missing",
    ),
    "I22": Invariant("The same callback from many at once is one row and one effect.", "race of 10: 1"),
    "I23": Invariant(
        "A callback that is forged, altered, truncated or another tenant's is refused, and never an error of ours.",
        "10,000 mutations, 0 accepted, 0 x 5xx",
    ),
    "I24": Invariant("A signed callback's timestamp counts within five minutes, and no longer.", "exact"),
    "I25": Invariant("What an unsigned callback says settles nothing before the gateway confirms it.", "0 settled"),
    "I26": Invariant(
        "News of a payment that nobody knows yet waits for it, and after a day is a difference to be explained.",
        "100 % matched",
    ),
    "I27": Invariant("What cannot be processed is parked after eight tries and delays no other callback.", "0 delayed"),
    "I28": Invariant("Acknowledging a callback asks nobody outside and is quick.", "200 per s: p99 < 250 ms, 0 calls"),
    "I29": Invariant("A callback that is too large, no JSON or no text is a 4xx.", "0 x 5xx"),
    "I39": Invariant(
        "Many refreshes at once with one token all succeed with one successor, and the session lives.",
        "200 rounds, 0 exceptions",
    ),
    "I40": Invariant(
        "Whoever loses the answer to a refresh repeats it within 10 s and gets the same successor.", "100 %"
    ),
    "I41": Invariant(
        "The predecessor after 10 s, or an older token at any time, ends the session; its owner is told.",
        "generations 1 to 5, 100 %",
    ),
    "I42": Invariant("A refresh that loses or fails never clears the cookies of the one that won.", "500 tries"),
    "I43": Invariant("After signing out, here or everywhere, no operation accepts the old tokens.", "0 accepted"),
    "I44": Invariant(
        "A new password or phone number ends every other session; the current one gets new tokens.", "0 accepted"
    ),
    "I45": Invariant(
        "Deactivation, deletion, suspension and removal act on the next request; payments under way still finish.",
        "0 x 200 after the commit, 0 x 500",
    ),
    "I46": Invariant("A new role or tenant applies to the next request and the next token.", "0 stale"),
    "I47": Invariant("A session ends after 14 idle days, and after 90 days however it is used.", "exact"),
    "I48": Invariant("No forged, confused or malformed token is accepted, and none is an error of ours.", "40 tokens"),
    "I49": Invariant("Rotating the signing keys under load refuses no good token; a removed key opens nothing.", "0"),
    "I50": Invariant("With cookies, no unsafe method does anything without proof that our own page asked.", "0 passes"),
    "I51": Invariant(
        "Cookies carry exactly their flags; no token of theirs shows in a body, an address or the log.", "exact"
    ),
    "I52": Invariant("Known and unknown people are answered alike: status, body, headers, time.", "n = 200, < 10 %"),
    "I53": Invariant("Of any number of guesses at once exactly five are looked at.", "race of 100: exactly 5"),
    "I54": Invariant(
        "Sessions take one row each and are purged in batches, by an index.", "1,000,000 rows, no statement > 1 s"
    ),
    "I55": Invariant("No refresh token, code, key or secret is stored or logged as it is.", "0 hits"),
    "I56": Invariant(
        "Of another tenant's rows nothing shows: an id of theirs is answered like one that nobody has.",
        "100 % of operations, 0 leaks",
    ),
    "I57": Invariant("Another tenant's id in a body or a query is answered like one that nobody has.", "0 accepted"),
    "I58": Invariant("Outside a tenant managers raise and SQL sees nothing.", "0 rows"),
    "I59": Invariant(
        "A tenant's scope ends with its request or task, whatever becomes of it.",
        "20,000 requests over 4 connections, 0 crossings",
    ),
    "I60": Invariant("A tenant named by a header, a query, a body or a path chooses nothing.", "0 differences"),
    "I61": Invariant("Tasks, idempotency keys and whatever else outlives a request carry the tenant.", "0 exceptions"),
    "I62": Invariant("The application's role owns no table and every tenant table has a forced policy.", "100 %"),
    "I63": Invariant("The database refuses a key to another tenant's row; what is unique is so per tenant.", "refused"),
    "I64": Invariant("The sweep notices a filter that is gone: each planted defect makes it fail.", "every mutant"),
    "I65": Invariant("Five guesses at a texted code are looked at; then even the right one is refused.", "exactly 5"),
    "I66": Invariant(
        "A texted code works once, for ten minutes, and only for its challenge, purpose, number and person.",
        "race of 20: 1 winner",
    ),
    "I67": Invariant(
        "A texted code is any of a million numbers with equal chance, and stands nowhere.", "chi-square, 100,000 codes"
    ),
    "I73": Invariant(
        "Whatever stands in a text, its parts are bounded and its cost is known before it is sent.",
        "<= SMS_MAX_PARTS",
    ),
}


class Verdict(StrEnum):
    """What a run says about one invariant."""

    PROVEN = "proven"
    FAILED = "FAILED"
    NOT_RUN = "NOT RUN"  # every test of it was skipped or left out
    NO_TEST = "NO TEST"


@dataclass(slots=True)
class Proof:
    """What the tests of one invariant did in this run."""

    outcomes: dict[str, str] = field(default_factory=dict)  # node id to the worst of its phases
    figures: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        if not self.outcomes:
            return Verdict.NO_TEST
        if "failed" in self.outcomes.values():
            return Verdict.FAILED
        return Verdict.PROVEN if "passed" in self.outcomes.values() else Verdict.NOT_RUN

    def tests(self) -> list[str]:
        """Tests without their parameters, each with how many of its cases ran."""
        names = [node.partition("[")[0] for node in self.outcomes]
        counted = {name: names.count(name) for name in names}
        return [name if count == 1 else f"{name} ({count} cases)" for name, count in counted.items()]


_WORSE = ("passed", "skipped", "failed")


class Ledger:
    """Collects the outcomes of marked tests, from one process or several, and writes the table."""

    def __init__(self) -> None:
        self.proofs = {name: Proof() for name in INVARIANTS}

    def add(self, node: str, outcome: str, names: Iterable[str], figures: Iterable[str]) -> None:
        """One phase of one test: its outcome, the invariants it is marked with, and what it measured so far."""
        told = list(figures)
        for name in names:
            proof = self.proofs[name]
            before = proof.outcomes.get(node, "passed")
            proof.outcomes[node] = max(before, outcome, key=_WORSE.index)
            proof.figures += [figure for figure in told if figure not in proof.figures]

    def unproven(self) -> list[str]:
        """Invariants of the table without a test that passed, or with one that failed."""
        return [name for name in INVARIANTS if self.proofs[name].verdict != Verdict.PROVEN]

    def lines(self, *, chosen_only: bool = False) -> list[str]:
        """The table, as a person reads it; `chosen_only` leaves out what no test of this run is about."""
        found = []
        for name, invariant in INVARIANTS.items():
            proof = self.proofs[name]
            if chosen_only and not proof.outcomes:
                continue
            found += [
                f"{name}  {proof.verdict:<8}  {invariant.says}",
                f"     required  {invariant.required}",
                *(f"     measured  {figure}" for figure in proof.figures),
                *(f"     test      {test}" for test in proof.tests()),
            ]
        proven = len(INVARIANTS) - len(self.unproven())
        return [*found, f"{proven} of {len(INVARIANTS)} invariants proven."]
