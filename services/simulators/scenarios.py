"""What happens to a charge or a text, chosen by the phone number. The one table of it.

The code acts on these rows, `GET /simulator/scenarios` prints them, and docs/simulators.md contains them:
`python -m services.simulators.scenarios` writes the table into that file again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from services.simulators.faults import CallbackFault, Fault
from services.simulators.ledger.charges import State
from services.simulators.ledger.texts import TextEnd
from services.simulators.people import PEOPLE


class Ending(StrEnum):
    """When a charge ends."""

    APPROVE_AFTER = "approve_after"
    PUSH_TIMEOUT = "push_timeout"
    PERSON = "person"  # when somebody decides at the page


class Callback(StrEnum):
    """One callback to send about a charge."""

    GENUINE = "genuine"
    LATE = "late"  # genuine, but long after the charge ended
    UNSIGNED = "unsigned"  # a forgery
    WRONGLY_SIGNED = "wrongly_signed"  # a forgery


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeScenario:
    """One row for pushes. `ending` is compared with the last three digits of the payer's phone; "" is the rest."""

    ending: str
    name: str
    description: str
    outcome: State = State.PAID
    ends: Ending = Ending.APPROVE_AFTER
    reply: Fault | None = None
    callback_fault: CallbackFault | None = None
    callbacks: tuple[Callback, ...] = (Callback.GENUINE,)
    collected_percent: int = 100
    settles: bool = False


class TextRefusal(StrEnum):
    """Why a provider does not take a text, as far as it has a word for that."""

    NUMBER = "number"
    OPTED_OUT = "opted_out"
    ROUTE = "route"
    LATER = "later"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScenario:
    """One row for SMS, of any provider. `phone` is the whole number; "" is the rest."""

    phone: str
    name: str
    description: str
    end: TextEnd = TextEnd.DELIVERED
    callbacks: int = 1
    callback_first: bool = False
    reply: Fault | None = None
    refusal: TextRefusal | None = None


CHARGE_SCENARIOS = (
    ChargeScenario(
        ending="",
        name="approved",
        description="Approved after SIMULATOR_APPROVE_AFTER seconds; one callback.",
    ),
    ChargeScenario(
        ending="100",
        name="asks_a_person",
        description="Waits for somebody to press Approve, Decline or Ignore at `/simulator/`, for "
        "SIMULATOR_ASK_TIMEOUT seconds; then it has ended unanswered.",
        outcome=State.EXPIRED,
        ends=Ending.PERSON,
    ),
    ChargeScenario(
        ending="101",
        name="declined",
        description="The customer declines after SIMULATOR_APPROVE_AFTER seconds; one callback, where the provider "
        "tells of a decline.",
        outcome=State.DECLINED,
    ),
    ChargeScenario(
        ending="102",
        name="never_answered",
        description="The customer never answers. The push ends unpaid by itself after SIMULATOR_PUSH_TIMEOUT seconds; "
        "no callback ever, so only a status query finds out.",
        outcome=State.EXPIRED,
        ends=Ending.PUSH_TIMEOUT,
        callbacks=(),
    ),
    ChargeScenario(
        ending="103",
        name="callback_twice",
        description="Approved; the same callback is sent twice.",
        callbacks=(Callback.GENUINE, Callback.GENUINE),
    ),
    ChargeScenario(
        ending="104",
        name="callback_late",
        description="Approved; the callback comes only SIMULATOR_LATE_CALLBACK seconds after the push.",
        callbacks=(Callback.LATE,),
    ),
    ChargeScenario(
        ending="105",
        name="answer_lost",
        description="Accepted, but the initiate call gets no answer: the connection is held SIMULATOR_HANG seconds and "
        "then dropped. Approved as usual meanwhile, with a callback.",
        reply=Fault.SILENCE_AFTER,
    ),
    ChargeScenario(
        ending="106",
        name="callback_lost",
        description="Approved; no callback ever, so only a status query finds out.",
        callbacks=(),
    ),
    ChargeScenario(
        ending="107",
        name="error_before_acceptance",
        description="The initiate call is answered 500 and nothing is accepted: no push, no money, no callback.",
        reply=Fault.ERROR_BEFORE,
        callbacks=(),
    ),
    ChargeScenario(
        ending="108",
        name="error_after_acceptance",
        description="The initiate call is answered 500 although it was accepted; approved as usual, with a callback.",
        reply=Fault.ERROR_AFTER,
    ),
    ChargeScenario(
        ending="109",
        name="forged_callback",
        description="Declined, with no genuine callback; two forged ones claim success: the first unsigned, the second "
        "signed with a wrong key.",
        outcome=State.DECLINED,
        callbacks=(Callback.UNSIGNED, Callback.WRONGLY_SIGNED),
    ),
    ChargeScenario(
        ending="110",
        name="smaller_amount",
        description="Approved, but 10 % less than asked for is collected (rounded down to a whole shilling); "
        "one callback with the smaller amount.",
        collected_percent=90,
    ),
    ChargeScenario(
        ending="111",
        name="callback_first",
        description="Approved at once; the callback is delivered before the initiate call is answered "
        "(which still says that it is under way).",
        callback_fault=CallbackFault.BEFORE_REPLY,
    ),
    ChargeScenario(
        ending="112",
        name="settled_later",
        description="Approved with one callback; SIMULATOR_SETTLE_AFTER seconds later it is settled (ClickPesa: "
        "status queries say SETTLED).",
        settles=True,
    ),
)

TEXT_SCENARIOS = (
    TextScenario(
        phone="",
        name="delivered",
        description="Delivered after SIMULATOR_DELIVER_AFTER seconds; one report callback.",
    ),
    TextScenario(
        phone="255700000101",
        name="undelivered",
        description="Not delivered, known after SIMULATOR_DELIVER_AFTER seconds; one report callback.",
        end=TextEnd.UNDELIVERED,
    ),
    TextScenario(
        phone="255700000102",
        name="stays_pending",
        description="On its way for ever; one report callback that says so.",
        end=TextEnd.PENDING,
    ),
    TextScenario(
        phone="255700000103",
        name="report_twice",
        description="Delivered; the same report callback is sent twice.",
        callbacks=2,
    ),
    TextScenario(
        phone="255700000104",
        name="report_first",
        description="Delivered at once; the report callback comes before the send call is answered.",
        callback_first=True,
    ),
    TextScenario(
        phone="255700000105",
        name="expired",
        description="Not delivered in time, known after SIMULATOR_DELIVER_AFTER seconds; one report callback.",
        end=TextEnd.EXPIRED,
    ),
    TextScenario(
        phone="255700000106",
        name="report_lost",
        description="Delivered; no report callback ever.",
        callbacks=0,
    ),
    TextScenario(
        phone="255700000107",
        name="answer_lost",
        description="Accepted, but the send call gets no answer: the connection is held SIMULATOR_HANG seconds and "
        "then dropped. Delivered and reported as usual.",
        reply=Fault.SILENCE_AFTER,
    ),
    TextScenario(
        phone="255700000111",
        name="number_refused",
        description="Refused: no such number.",
        refusal=TextRefusal.NUMBER,
    ),
    TextScenario(
        phone="255700000112",
        name="opted_out",
        description="Refused: this person wants no texts. By a provider without a word for it, taken.",
        refusal=TextRefusal.OPTED_OUT,
    ),
    TextScenario(
        phone="255700000113",
        name="no_route",
        description="Refused: the provider does not reach this number. By a provider without a word for it, taken.",
        refusal=TextRefusal.ROUTE,
    ),
    TextScenario(
        phone="255700000114",
        name="busy",
        description="Refused for now. By a provider without a word for it, taken.",
        refusal=TextRefusal.LATER,
    ),
)

_CHARGES = {row.ending: row for row in CHARGE_SCENARIOS}
_TEXTS = {row.phone: row for row in TEXT_SCENARIOS}


def charge_scenario(phone: str) -> ChargeScenario:
    """The row for a payer's phone."""
    return _CHARGES.get(phone[-3:]) or _CHARGES[""]


def text_scenario(phone: str) -> TextScenario:
    """The row for a recipient's phone."""
    return _TEXTS.get(phone) or _TEXTS[""]


def as_data() -> dict[str, list[dict[str, Any]]]:
    """The table for programs."""
    return {
        "pushes": [
            {
                "phone_ends_with": row.ending or None,
                "name": row.name,
                "description": row.description,
                "outcome": None if row.reply is Fault.ERROR_BEFORE else row.outcome,
                "callbacks": len(row.callbacks),
            }
            for row in CHARGE_SCENARIOS
        ],
        "texts": [
            {
                "phone": row.phone or None,
                "name": row.name,
                "description": row.description,
                "end": row.end,
                "callbacks": row.callbacks,
                "refusal": row.refusal,
            }
            for row in TEXT_SCENARIOS
        ],
        "people": [
            {
                "person": row.key,
                "providers": list(row.providers),
                "email": row.email or None,
                "is_verified": row.is_verified,
                "description": row.description,
            }
            for row in PEOPLE
        ],
    }


def as_markdown() -> str:
    """The table for people, between the two markers of docs/simulators.md."""
    lines = ["| Payer's phone ends with | Name | What happens |", "| --- | --- | --- |"]
    lines += [
        f"| {f'`{row.ending}`' if row.ending else 'anything else'} | `{row.name}` | {row.description} |"
        for row in CHARGE_SCENARIOS
    ]
    lines += ["", "| SMS recipient | Name | What happens |", "| --- | --- | --- |"]
    lines += [
        f"| {f'`{row.phone}`' if row.phone else 'anything else'} | `{row.name}` | {row.description} |"
        for row in TEXT_SCENARIOS
    ]
    lines += ["", "| Who signs in | Where | Address | What happens |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{row.key}` | {', '.join(row.providers)} | {row.email or 'none'} | {row.description} |" for row in PEOPLE
    ]
    return "\n".join(lines)


START, END = "<!-- scenarios: generated -->", "<!-- scenarios: end -->"


def with_table(page: str) -> str:
    """`page` with the text between its two markers replaced by the present table. `ValueError` without markers."""
    head, _, rest = page.partition(START)
    old, _, tail = rest.partition(END)
    if not old:
        raise ValueError(f"The page needs the lines {START} and {END}.")
    return f"{head}{START}\n{as_markdown()}\n{END}{tail}"


if __name__ == "__main__":
    path = Path(__file__).parents[2] / "docs" / "simulators.md"
    path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")
