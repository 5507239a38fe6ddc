"""Faults by script and by chance, on calls and on callbacks."""

from __future__ import annotations

import time

import httpx
import pytest

from services.simulators import signing
from services.simulators.faults import ASKING, BY_CHANCE, CallbackFault, Fault, FaultBook, Rates
from tests.services.simulators.conftest import CHECKSUM_KEY, ClickPesa, wait_for

OPERATION = "push"


def script(clickpesa: ClickPesa, fault: str, **more: object) -> None:
    clickpesa.simulator.control("faults", provider="clickpesa", fault=fault, **more)


def outcome(clickpesa: ClickPesa, reference: str = "ORD1") -> str | int:
    """How a push was answered: a status, or the name of what the client raised."""
    try:
        return clickpesa.initiate(clickpesa.order(reference)).status_code
    except httpx.HTTPError as error:
        return type(error).__name__


# Calls


@pytest.mark.parametrize(
    ("fault", "answer", "is_accepted"),
    [
        ("refuse", 404, False),
        ("silence_before", "ReadTimeout", False),
        ("silence_after", "ReadTimeout", True),
        ("error_before", 500, False),
        ("error_after", 500, True),
        ("reset", "RemoteProtocolError", True),
    ],
)
def test_a_scripted_fault_strikes_once_and_the_ledger_knows_the_truth(clickpesa, fault, answer, is_accepted):
    script(clickpesa, fault, operation=OPERATION)
    clickpesa.simulator.http.timeout = 0.2

    struck = outcome(clickpesa)

    clickpesa.simulator.http.timeout = 10
    assert struck == answer
    charge = clickpesa.simulator.charge("ORD1")
    assert (charge["submitted"], charge["pushes"]) == (1, int(is_accepted))
    assert clickpesa.query("ORD1").status_code == (200 if is_accepted else 404)
    assert outcome(clickpesa, "ORD2") == 200
    if is_accepted:
        wait_for(lambda: clickpesa.simulator.charge("ORD1")["captured"] == 1)


def test_a_slow_answer_is_an_answer(clickpesa):
    script(clickpesa, "slow")
    began = time.monotonic()

    assert outcome(clickpesa) == 200
    assert time.monotonic() - began >= 0.3


def test_a_malformed_answer_cannot_be_read_and_was_accepted(clickpesa):
    script(clickpesa, "malformed")

    answer = clickpesa.initiate(clickpesa.order())

    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r".+"):
        answer.json()
    assert clickpesa.simulator.charge("ORD1")["pushes"] == 1


@pytest.mark.parametrize(
    ("fault", "amount", "currency"), [("wrong_amount", 4500, "TZS"), ("wrong_currency", 5000, "KES")]
)
def test_other_money_than_asked_for_is_collected_and_told(clickpesa, receiver, fault, amount, currency):
    script(clickpesa, fault)
    clickpesa.initiate(clickpesa.order())

    [callback] = wait_for(lambda: receiver.about("ORD1"))

    told = callback["data"]
    assert (told["collectedAmount"], told["collectedCurrency"]) == (str(amount), currency)
    charge = clickpesa.simulator.charge("ORD1")
    assert (charge["collected"], charge["collected_currency"], charge["amount"]) == (amount, currency, 5000)
    [row] = clickpesa.query("ORD1").json()
    assert (row["collectedAmount"], row["collectedCurrency"]) == (amount, currency)


def test_a_script_waits_for_its_phone_reference_and_operation(clickpesa):
    script(clickpesa, "refuse", phone="255712345009")
    script(clickpesa, "error_before", reference="ORD2", times=2)
    script(clickpesa, "error_after", operation="query")

    assert outcome(clickpesa) == 200
    assert clickpesa.initiate(clickpesa.order("ORD3", "255712345009")).status_code == 404
    assert [outcome(clickpesa, "ORD2") for _ in range(3)] == [500, 500, 200]
    assert [clickpesa.query("ORD1").status_code for _ in range(2)] == [500, 200]
    assert clickpesa.simulator.http.get("/simulator/faults").json()["faults"] == []


def test_scripts_are_listed_and_cleared(clickpesa):
    script(clickpesa, "lost", times=3)

    [listed] = clickpesa.simulator.http.get("/simulator/faults").json()["faults"]
    clickpesa.simulator.http.delete("/simulator/faults").raise_for_status()

    assert (listed["provider"], listed["fault"], listed["times"]) == ("clickpesa", "lost", 3)
    assert clickpesa.simulator.http.get("/simulator/faults").json()["faults"] == []


@pytest.mark.parametrize(
    "wish",
    [
        {"provider": "nobody", "fault": "slow"},
        {"provider": "clickpesa", "fault": "thunder"},
        {"provider": "clickpesa", "fault": "slow", "times": 0},
        {"provider": "clickpesa", "fault": "slow", "times": True},
        {"provider": "clickpesa", "fault": "slow", "operation": "dance"},
        {"provider": "clickpesa", "fault": ["slow"]},
    ],
)
def test_a_script_that_could_never_strike_is_refused(simulator, wish):
    answer = simulator.http.post("/simulator/faults", json=wish)

    assert answer.status_code in (400, 404)
    assert answer.json()["message"]


# Callbacks


def are_signed(callbacks: list[dict]) -> list[bool]:
    return [signing.is_valid(CHECKSUM_KEY, callback) for callback in callbacks]


def test_duplicate_sends_the_same_callback_twice(clickpesa, receiver):
    script(clickpesa, "duplicate")
    clickpesa.initiate(clickpesa.order())

    first, second = wait_for(lambda: len(found := receiver.about("ORD1")) > 1 and found)

    assert first == second


def test_lost_and_late_are_told_later_or_never(clickpesa, receiver):
    script(clickpesa, "lost", reference="LOST1")
    script(clickpesa, "late", reference="LATE1")
    for reference in ("LOST1", "LATE1", "ORD1"):
        clickpesa.initiate(clickpesa.order(reference))

    wait_for(lambda: receiver.about("ORD1"))
    early = receiver.about("LATE1")
    wait_for(lambda: receiver.about("LATE1"))

    assert early == []
    assert receiver.about("LOST1") == []
    assert clickpesa.status("LOST1") == "SUCCESS"


def test_reordered_comes_after_the_callbacks_of_later_charges(clickpesa, receiver):
    script(clickpesa, "reordered", reference="ORD1")
    for reference in ("ORD1", "ORD2"):
        clickpesa.initiate(clickpesa.order(reference))

    callbacks = wait_for(lambda: len(receiver.callbacks) == 2 and receiver.callbacks)

    assert [callback.body["data"]["orderReference"] for callback in callbacks] == ["ORD2", "ORD1"]


def test_forgeries_claim_success_before_anything_has_happened(clickpesa, receiver):
    script(clickpesa, "forged")
    clickpesa.initiate(clickpesa.order(phone="255712345101"))

    callbacks = wait_for(lambda: len(found := receiver.about("ORD1")) == 3 and found)

    assert are_signed(callbacks) == [False, False, True]
    assert [callback["data"]["status"] for callback in callbacks] == ["SUCCESS", "SUCCESS", "FAILED"]
    assert clickpesa.simulator.charge("ORD1")["captured"] == 0


def test_before_reply_tells_first(clickpesa, receiver):
    script(clickpesa, "before_reply")

    answer = clickpesa.initiate(clickpesa.order())

    assert answer.json()["status"] == "PROCESSING"
    assert are_signed(receiver.about("ORD1")) == [True]


# By chance


def drawn(book: FaultBook, count: int = 2000) -> list[Fault | None]:
    return [book.draw("clickpesa", "push", f"ORD{number}") for number in range(count)]


def test_chance_repeats_itself_with_its_seed():
    first, second, other = (drawn(FaultBook(rates=Rates(rate=0.05, seed=seed))) for seed in ("1", "1", "2"))

    assert first == second
    assert first != other


def test_chance_strikes_as_often_as_it_should_with_everything_it_may():
    struck = [each for each in drawn(FaultBook(rates=Rates(rate=0.05)), 20_000) if each]

    assert 850 < len(struck) < 1150
    assert set(struck) == set(BY_CHANCE)
    assert not {Fault.WRONG_AMOUNT, Fault.WRONG_CURRENCY} & set(struck)


def test_chance_never_strikes_without_a_rate_and_always_with_a_whole_one():
    assert set(drawn(FaultBook())) == {None}
    assert None not in drawn(FaultBook(rates=Rates(rate=1.0)))


def test_a_question_is_never_refused_by_chance_and_is_answered_in_the_end():
    book = FaultBook(rates=Rates(rate=0.5))

    answers = [book.draw("clickpesa", "query", "ORD1", only_asks=True) for _ in range(200)]

    assert set(answers) - {None} <= set(ASKING)
    assert None in answers


def test_callback_chance_is_apart_from_that_of_calls():
    book = FaultBook(rates=Rates(callback_rate=1.0))

    assert book.draw("clickpesa", "push", "ORD1") is None
    assert book.draw_callback("clickpesa", "ORD1") in CallbackFault


def test_rates_are_set_at_run_time_and_keep_what_is_not_named(clickpesa):
    rates = clickpesa.simulator.control("faults/rates", rate=1, faults=["error_before"])["rates"]
    struck = outcome(clickpesa)
    after = clickpesa.simulator.control("faults/rates", rate=0)["rates"]

    assert (rates["rate"], rates["callback_rate"], rates["seed"]) == (1.0, 0.0, "1")
    assert struck == 500
    assert after["faults"] == ["error_before"]
    clickpesa.simulator.control("faults/rates", faults=[str(each) for each in BY_CHANCE])


@pytest.mark.parametrize("wish", [{"rate": 2}, {"rate": "5"}, {"rate": True}, {"faults": []}, {"faults": ["lost"]}])
def test_rates_that_make_no_sense_are_refused(simulator, wish):
    assert simulator.http.post("/simulator/faults/rates", json=wish).status_code == 400
