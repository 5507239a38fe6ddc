"""The process itself, the endpoints that show what happened, and what the package may import."""

from __future__ import annotations

import ast
import os
import re
import signal
import socket
import sys
import threading
import time
from email.message import EmailMessage

import httpx
import pytest

from services.simulators.config import BadSetting, read_config
from services.simulators.mail import list_mail
from tests.services.simulators.conftest import ROOT, ClickPesa, free_port, launch, running, wait_for

PACKAGE = ROOT / "services" / "simulators"
ALLOWED = {"starlette", "httpx", "orjson", "granian", "cryptography", "jwt"}


def imported_names(path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import."
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("**/*.py")), ids=lambda path: path.name)
def test_the_simulators_share_nothing_with_the_kit(path):
    for name in imported_names(path):
        top = name.split(".")[0]
        is_own = name == "services.simulators" or name.startswith("services.simulators.")
        assert is_own or top in sys.stdlib_module_names or top in ALLOWED, f"{path.name} imports {name}."


def test_the_import_check_sees_a_wrong_import(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def late():\n    from services.payments.base import PaymentGateway\n    import django.conf\n")

    assert imported_names(wrong) == {"services.payments.base", "django.conf"}


def test_every_setting_is_on_the_page_for_people():
    read = set(re.findall(r'"(SIMULATOR_[A-Z0-9_]+)"', (PACKAGE / "config.py").read_text(encoding="utf-8")))
    told = set(re.findall(r"\| `(SIMULATOR_[A-Z0-9_]+)` \|", (ROOT / "docs" / "simulators.md").read_text("utf-8")))

    assert len(read) > 30
    assert read == told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly_even_with_a_held_call(number):
    with running({"SIMULATOR_HANG": "60", "SIMULATOR_CLICKPESA_CALLBACK_URL": ""}) as simulator:
        caller = ClickPesa(simulator=simulator)
        caller.sign_in()
        outcome: list[Exception] = []

        def held() -> None:
            try:
                caller.initiate(caller.order(phone="255712345105"))
            except httpx.HTTPError as error:
                outcome.append(error)

        thread = threading.Thread(target=held)
        thread.start()
        time.sleep(0.3)
        began = time.monotonic()

        code = simulator.stop(number)

        thread.join()
        assert code == 0
        assert time.monotonic() - began < 4
        assert isinstance(outcome[0], httpx.RemoteProtocolError)


def test_a_request_that_never_ends_does_not_keep_the_process_alive(receiver):
    with running({}) as simulator:
        caller = ClickPesa(simulator=simulator)
        caller.sign_in()
        with socket.create_connection(("127.0.0.1", int(simulator.url.rpartition(":")[2]))) as half:
            half.sendall(
                b"POST /clickpesa/third-parties/payments/initiate-ussd-push-request HTTP/1.1\r\nHost: x\r\n"
                + f"Authorization: {caller.token}\r\nContent-Length: 100\r\n\r\n{{".encode()
            )
            time.sleep(0.3)

            assert simulator.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process table of Linux")
def test_there_is_only_one_process_so_a_kill_leaves_none(simulator):
    assert child_pids(simulator.process.pid) == []


def read_status(folder: str) -> str:
    try:
        with open(f"{folder}/status", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def child_pids(pid: int) -> list[str]:
    return [
        entry.name
        for entry in os.scandir("/proc")
        if entry.name.isdigit() and f"\nPPid:\t{pid}\n" in read_status(entry.path)
    ]


def test_a_port_in_use_is_one_clear_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = launch({}, port=port)

        out, err = process.communicate(timeout=20)

    assert process.returncode == 1
    assert out == ""
    assert err.startswith(f"simulators: Cannot listen on 127.0.0.1:{port}: ")
    assert err.count("\n") == 1


def test_a_second_simulator_on_the_same_port_is_refused(simulator):
    process = launch({}, port=int(simulator.url.rpartition(":")[2]))

    _, err = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "Cannot listen" in err


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"SIMULATOR_HANG": "soon"}, "SIMULATOR_HANG must be a number of seconds, not 'soon'."),
        ({"SIMULATOR_LEDGER": "/"}, "The ledger '/' cannot be used: unable to open database file."),
    ],
)
def test_a_wrong_setting_is_one_clear_sentence(environ, sentence):
    process = launch(environ, port=free_port())

    _, err = process.communicate(timeout=20)

    assert process.returncode == 1
    assert err == f"simulators: {sentence}\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIMULATOR_HANG", "-1"),
        ("SIMULATOR_HANG", "nan"),
        ("SIMULATOR_APPROVE_AFTER", "inf"),
        ("SIMULATOR_BEEM_BALANCE", "1.5"),
        ("SIMULATOR_BEEM_FAIL_WITH_200", "maybe"),
        ("SIMULATOR_CLICKPESA_CALLBACK_URL", "127.0.0.1:8000"),
        ("SIMULATOR_FAULT_RATE", "5"),
        ("SIMULATOR_CALLBACK_FAULT_RATE", "often"),
        ("SIMULATOR_CUSTOMER", "absent"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(BadSetting, match=name):
        read_config({name: value})


def test_settings_have_a_demos_defaults():
    config = read_config({})

    assert config.clickpesa_client_id == "demo-client"
    assert config.beem_senders == ("FARAJA", "INFO")
    assert (config.approve_after, config.push_timeout, config.late_callback, config.hang) == (1.0, 8.0, 20.0, 30.0)
    assert config.beem_fail_with_200 is False
    assert config.clickpesa_callback_url.startswith("http://127.0.0.1:8000/api/v1/webhooks/clickpesa/")


def test_health_answers(simulator):
    assert simulator.http.get("/simulator/health").json()["status"] == "ok"


def test_calls_show_both_directions_without_credentials(clickpesa, receiver):
    clickpesa.initiate(clickpesa.order())
    wait_for(lambda: clickpesa.simulator.charge("ORD1")["callbacks_acknowledged"])

    answer = clickpesa.simulator.http.get("/simulator/calls")

    calls = answer.json()["calls"]
    seen = [(call["direction"], call["method"], call["target"], call["status"]) for call in calls]
    assert seen == [
        ("sent", "POST", f"{receiver.url}/clickpesa", 200),
        ("received", "POST", "/clickpesa/third-parties/payments/initiate-ussd-push-request", 200),
        ("received", "POST", "/clickpesa/third-parties/generate-token", 200),
    ]
    assert '"orderReference":"ORD1"' in calls[1]["body"]
    assert clickpesa.token not in answer.text
    assert "demo-api-key" not in answer.text


def test_only_calls_after_a_known_one_can_be_asked_for(clickpesa):
    clickpesa.initiate(clickpesa.order())
    first = clickpesa.simulator.http.get("/simulator/calls").json()["calls"][0]["number"]
    clickpesa.query("ORD1")

    [new] = clickpesa.simulator.http.get("/simulator/calls", params={"since": first}).json()["calls"]

    assert (new["method"], new["number"]) == ("GET", first + 1)
    assert clickpesa.simulator.http.get("/simulator/calls", params={"since": "x"}).status_code == 400


def test_a_reset_empties_the_ledger_and_forgets_waiting_callbacks(clickpesa, receiver):
    clickpesa.initiate(clickpesa.order())

    clickpesa.simulator.http.post("/simulator/reset").raise_for_status()

    assert clickpesa.query("ORD1").status_code == 404
    assert clickpesa.simulator.http.get("/simulator/clickpesa/charges").json() == {"charges": []}
    time.sleep(0.8)
    assert receiver.callbacks == []


def message(to: str, subject: str, text: str, date: str) -> bytes:
    """One message as Django's file-based backend writes it: the message, then a line of 79 dashes."""
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"], mail["Date"] = subject, "Faraja <no-reply@example.com>", to, date
    mail.set_content(text, cte="8bit")  # as Django does; the default would encode long lines
    return mail.as_bytes() + b"\n" + b"-" * 79 + b"\n"


def test_a_reset_forgets_a_callback_under_way(clickpesa, receiver):
    receiver.delay = 0.5
    clickpesa.initiate(clickpesa.order())
    wait_for(lambda: receiver.about("ORD1"))

    clickpesa.simulator.http.post("/simulator/reset").raise_for_status()

    time.sleep(0.8)
    assert clickpesa.simulator.http.get("/simulator/calls").json() == {"calls": []}


EARLY, LATE = "Fri, 20 Nov 2026 10:00:00 +0000", "Fri, 20 Nov 2026 11:00:00 +0000"


def test_mail_is_read_from_files_newest_first(simulator, mail_dir):
    dashes = "-" * 79
    (mail_dir / "a.log").write_bytes(
        message("asha@example.com", "Karibu", "Jambo", EARLY)
        + message("juma@example.com, asha@example.com", "Malipo \u2713", f"Asante\n{dashes}\nsana \u00eb", LATE)
    )
    (mail_dir / "b.log").write_bytes(message("Juma <juma@example.com>", "Risiti", "TZS 5,000", EARLY))

    every = simulator.http.get("/simulator/mail").json()["messages"]
    ashas = simulator.http.get("/simulator/mail", params={"to": "ASHA@example.com"}).json()["messages"]

    assert len(every) == 3
    assert [mail["subject"] for mail in ashas] == ["Malipo \u2713", "Karibu"]
    assert ashas[0]["text"] == f"Asante\n{dashes}\nsana \u00eb"
    assert ashas[0]["to"] == ["juma@example.com", "asha@example.com"]
    assert ashas[0]["from"] == "Faraja <no-reply@example.com>"
    assert ashas[0]["at"] == "2026-11-20T11:00:00.000Z"


def test_a_message_still_being_written_is_not_shown(tmp_path):
    whole = message("asha@example.com", "Karibu", "Jambo", EARLY)
    (tmp_path / "a.log").write_bytes(whole + whole[: len(whole) // 2])

    assert [mail.text for mail in list_mail(tmp_path)] == ["Jambo"]


def test_no_folder_means_no_mail(tmp_path):
    assert list_mail(tmp_path / "missing") == []
