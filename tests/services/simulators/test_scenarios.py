"""Each row of the table, played over HTTP against a real receiver."""

from __future__ import annotations

import contextlib
import threading
import time

import httpx
import pytest

from services.simulators import signing
from services.simulators.scenarios import CHARGE_SCENARIOS, TEXT_SCENARIOS, as_data, as_markdown, with_table
from tests.services.simulators.conftest import CHECKSUM_KEY, ROOT, ClickPesa, running, wait_for

QUIET = 0.8  # longer than every ordinary callback takes


def push(clickpesa: ClickPesa, ending: str, reference: str = "ORD1") -> httpx.Response:
    return clickpesa.initiate(clickpesa.order(reference, f"255712345{ending}"))


def is_signed(callback: dict) -> bool:
    return callback.get("checksumMethod") == "canonical" and signing.is_valid(CHECKSUM_KEY, callback)


def ended(clickpesa: ClickPesa, reference: str = "ORD1") -> str:
    wait_for(lambda: clickpesa.status(reference) != "PROCESSING")
    return clickpesa.status(reference)


def test_by_default_a_push_is_approved_with_one_signed_callback(clickpesa, receiver):
    started = push(clickpesa, "000").json()
    assert clickpesa.status("ORD1") == "PROCESSING"
    assert clickpesa.simulator.charge("ORD1")["accepted"] == 0

    [callback] = wait_for(lambda: receiver.about("ORD1"))
    time.sleep(QUIET)

    assert is_signed(callback)
    assert callback["event"] == "PAYMENT RECEIVED"
    data = callback["data"]
    assert data["id"] == started["id"]
    assert (data["status"], data["collectedAmount"], data["collectedCurrency"]) == ("SUCCESS", "5000", "TZS")
    assert data["customer"]["customerPhoneNumber"] == "255712345000"
    assert len(receiver.about("ORD1")) == 1
    [payment] = clickpesa.query("ORD1").json()
    assert payment["status"] == "SUCCESS"
    assert payment["paymentReference"] == data["paymentReference"]
    charge = clickpesa.simulator.charge("ORD1")
    assert (charge["accepted"], charge["collected"], charge["callbacks_sent"]) == (1, 5000, 1)
    assert charge["callbacks_acknowledged"] == 1


def test_101_is_declined_and_told_under_the_other_key(clickpesa, receiver):
    push(clickpesa, "101")

    [callback] = wait_for(lambda: receiver.about("ORD1"))

    assert is_signed(callback)
    assert callback["eventType"] == "PAYMENT FAILED"
    assert "event" not in callback
    assert callback["data"].keys() == {"id", "status", "orderReference", "message", "updatedAt", "createdAt"}
    assert clickpesa.status("ORD1") == "FAILED"
    assert clickpesa.simulator.charge("ORD1")["accepted"] == 0


def test_102_ends_failed_by_itself_without_any_callback(clickpesa, receiver):
    push(clickpesa, "102")
    time.sleep(0.5)
    assert clickpesa.status("ORD1") == "PROCESSING"

    assert ended(clickpesa) == "FAILED"

    time.sleep(QUIET)
    assert receiver.about("ORD1") == []
    assert clickpesa.simulator.charge("ORD1")["accepted"] == 0


def test_103_sends_the_same_callback_twice(clickpesa, receiver):
    push(clickpesa, "103")

    callbacks = wait_for(lambda: len(found := receiver.about("ORD1")) > 1 and found)
    time.sleep(QUIET)

    assert callbacks[0] == callbacks[1]
    assert is_signed(callbacks[0])
    assert len(receiver.about("ORD1")) == 2
    assert clickpesa.simulator.charge("ORD1")["accepted"] == 1


def test_104_is_paid_long_before_its_callback(clickpesa, receiver):
    push(clickpesa, "104")

    assert ended(clickpesa) == "SUCCESS"
    assert receiver.about("ORD1") == []
    [callback] = wait_for(lambda: receiver.about("ORD1"))
    assert is_signed(callback)


def test_105_is_accepted_but_never_answered(clickpesa, receiver):
    began = time.monotonic()

    with pytest.raises(httpx.RemoteProtocolError):
        push(clickpesa, "105")

    assert 0.9 < time.monotonic() - began < 5
    [callback] = wait_for(lambda: receiver.about("ORD1"))
    assert is_signed(callback)
    assert clickpesa.status("ORD1") == "SUCCESS"
    assert push(clickpesa, "105").status_code == 409
    charge = clickpesa.simulator.charge("ORD1")
    assert (charge["submitted"], charge["pushes"], charge["accepted"]) == (2, 1, 1)
    assert None in [call["status"] for call in clickpesa.simulator.http.get("/simulator/calls").json()["calls"]]


def test_105_lets_others_be_served_meanwhile(clickpesa):
    def hold() -> None:
        with contextlib.suppress(httpx.HTTPError):
            push(clickpesa, "105", "HELD1")

    held = threading.Thread(target=hold)
    held.start()
    time.sleep(0.1)
    began = time.monotonic()

    assert push(clickpesa, "000").status_code == 200

    assert time.monotonic() - began < 0.5
    assert held.is_alive()
    held.join()


def test_106_is_approved_without_any_callback(clickpesa, receiver):
    push(clickpesa, "106")

    assert ended(clickpesa) == "SUCCESS"
    time.sleep(QUIET)
    assert receiver.about("ORD1") == []


def test_107_fails_before_anything_is_accepted(clickpesa, receiver):
    answer = push(clickpesa, "107")

    time.sleep(QUIET)
    assert (answer.status_code, answer.json()) == (500, {"message": "Error validating fee, try again later"})
    assert clickpesa.query("ORD1").status_code == 404
    assert receiver.about("ORD1") == []
    charge = clickpesa.simulator.charge("ORD1")
    assert (charge["submitted"], charge["pushes"], charge["accepted"], charge["status"]) == (1, 0, 0, None)


def test_108_fails_after_it_was_accepted(clickpesa, receiver):
    answer = push(clickpesa, "108")

    assert answer.status_code == 500
    [callback] = wait_for(lambda: receiver.about("ORD1"))
    assert is_signed(callback)
    assert ended(clickpesa) == "SUCCESS"
    assert push(clickpesa, "108").status_code == 409
    assert clickpesa.simulator.charge("ORD1")["accepted"] == 1


def test_109_claims_success_by_forgery_while_it_was_declined(clickpesa, receiver):
    receiver.answers.extend([401, 401])
    push(clickpesa, "109")

    callbacks = wait_for(lambda: len(found := receiver.about("ORD1")) > 1 and found)
    time.sleep(QUIET)

    unsigned, wrongly_signed = callbacks
    assert "checksum" not in unsigned
    assert not is_signed(wrongly_signed)
    assert len(wrongly_signed["checksum"]) == 64
    assert [callback["data"]["status"] for callback in callbacks] == ["SUCCESS", "SUCCESS"]
    assert len(receiver.about("ORD1")) == 2
    assert clickpesa.status("ORD1") == "FAILED"
    assert clickpesa.simulator.charge("ORD1")["accepted"] == 0


def test_110_collects_a_tenth_less(clickpesa, receiver):
    answer = push(clickpesa, "110")

    [callback] = wait_for(lambda: receiver.about("ORD1"))

    assert answer.json()["collectedAmount"] == "5000"
    assert is_signed(callback)
    assert callback["data"]["collectedAmount"] == "4500"
    [payment] = clickpesa.query("ORD1").json()
    assert payment["collectedAmount"] == 4500
    charge = clickpesa.simulator.charge("ORD1")
    assert (charge["amount"], charge["collected"]) == (5000, 4500)


def test_111_calls_back_before_it_answers(clickpesa, receiver):
    answer = push(clickpesa, "111")

    [callback] = receiver.about("ORD1")
    assert is_signed(callback)
    assert answer.json()["status"] == "PROCESSING"
    assert clickpesa.status("ORD1") == "SUCCESS"
    time.sleep(QUIET)
    assert len(receiver.about("ORD1")) == 1


def test_112_is_settled_later(clickpesa, receiver):
    push(clickpesa, "112")

    [callback] = wait_for(lambda: receiver.about("ORD1"))
    assert callback["data"]["status"] == "SUCCESS"
    assert clickpesa.status("ORD1") == "SUCCESS"
    wait_for(lambda: clickpesa.status("ORD1") == "SETTLED")

    assert len(receiver.about("ORD1")) == 1
    assert clickpesa.simulator.charge("ORD1")["accepted"] == 1


def test_a_callback_is_sent_again_until_it_is_acknowledged(clickpesa, receiver):
    receiver.answers.extend([500, 302])
    push(clickpesa, "000")

    callbacks = wait_for(lambda: len(found := receiver.about("ORD1")) > 2 and found)
    time.sleep(QUIET)

    assert callbacks[0] == callbacks[1] == callbacks[2]
    assert len(receiver.about("ORD1")) == 3
    charge = clickpesa.simulator.charge("ORD1")
    assert (charge["callbacks_sent"], charge["callbacks_acknowledged"]) == (3, 1)


def test_a_slow_receiver_is_not_sent_the_same_callback_meanwhile(clickpesa, receiver):
    receiver.delay = 0.5
    push(clickpesa, "103")

    wait_for(lambda: clickpesa.simulator.charge("ORD1")["callbacks_acknowledged"] == 2)
    time.sleep(QUIET)

    assert len(receiver.about("ORD1")) == 2


def test_a_callback_nobody_takes_is_given_up(clickpesa, receiver):
    receiver.answers.extend([500] * 10)
    push(clickpesa, "000")

    wait_for(lambda: len(receiver.about("ORD1")) == 4)
    time.sleep(1.2)

    assert len(receiver.about("ORD1")) == 4
    assert clickpesa.simulator.charge("ORD1")["callbacks_acknowledged"] == 0


def test_the_ledger_and_waiting_callbacks_survive_a_kill(receiver, tmp_path):
    environ = {
        "SIMULATOR_LEDGER": str(tmp_path / "ledger.sqlite3"),
        "SIMULATOR_CLICKPESA_CALLBACK_URL": receiver.url,
        "SIMULATOR_APPROVE_AFTER": "1.0",
    }
    with running(environ) as first:
        caller = ClickPesa(simulator=first)
        caller.sign_in()
        push(caller, "000")
        first.process.kill()
    assert receiver.about("ORD1") == []

    with running(environ) as second:
        caller = ClickPesa(simulator=second, token=caller.token)
        [callback] = wait_for(lambda: receiver.about("ORD1"))
        status = caller.status("ORD1")

    assert is_signed(callback)
    assert status == "SUCCESS"


def test_new_checksum_settings_end_old_tokens(tmp_path):
    ledger = {"SIMULATOR_LEDGER": str(tmp_path / "ledger.sqlite3")}
    with running(ledger) as first:
        caller = ClickPesa(simulator=first)
        caller.sign_in()

    with running({**ledger, "SIMULATOR_CLICKPESA_CHECKSUM_KEY": "another"}) as second:
        assert ClickPesa(simulator=second, token=caller.token).query("ORD1").status_code == 401


def test_the_page_for_people_matches_the_code():
    page = (ROOT / "docs" / "simulators.md").read_text(encoding="utf-8")

    assert with_table(page) == page
    for row in CHARGE_SCENARIOS:
        assert f"`{row.name}`" in page


def test_a_page_without_markers_is_not_overwritten():
    with pytest.raises(ValueError, match="needs the lines"):
        with_table("# A page")


def test_the_table_is_served_as_data(simulator):
    served = simulator.http.get("/simulator/scenarios").json()

    assert served == as_data()
    assert [row["phone_ends_with"] for row in served["pushes"]] == [None, *map(str, range(100, 113))]
    assert len(served["texts"]) == len(TEXT_SCENARIOS)
    assert all(row["description"] in as_markdown() for rows in served.values() for row in rows)
