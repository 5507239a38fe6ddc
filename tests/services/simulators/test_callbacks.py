"""The sender of callbacks: order, queues, and headers made at the moment of sending."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from services.simulators.callbacks import CallbackSender, Target
from services.simulators.calls import CallLog
from services.simulators.ledger.book import Ledger
from services.simulators.ledger.callbacks import DueCallback, NewCallback
from services.simulators.ledger.ids import new_id
from services.simulators.ledger.texts import Text


def new_callback(name: str, *, queue: str = "", wait: float = 0.0, url: str = "", tries: int = 3) -> NewCallback:
    return NewCallback(
        provider="any",
        subject=name,
        kind="test",
        body=b'{"name":"' + name.encode() + b'"}',
        due_at=time.time() + wait,
        tries=tries,
        url=url,
        queue=queue,
        headers={"X-Fixed": name},
        extra={"secret": "kept"},
    )


def text() -> Text:
    return Text(
        provider="any", id=str(time.time_ns()), phone="255712345678", sender="X", body="", created_at=0, ends_at=0
    )


def send(ledger: Ledger, url: str, callbacks: list[NewCallback], *, seconds: float = 3.0) -> list[tuple[str, float]]:
    """Run a sender until everything is acknowledged; what was signed and when."""
    signed: list[tuple[str, float]] = []

    def sign(callback: DueCallback, now: float) -> tuple[bytes, Mapping[str, str]]:
        assert callback.extra == {"secret": "kept"}
        signed.append((callback.subject, now))
        return callback.body, {"X-Signed-At": str(now)}

    async def run() -> None:
        sender = CallbackSender(
            ledger=ledger,
            calls=CallLog(),
            targets={"any": Target(url=url, is_received=lambda status: status == 200, sign=sign)},
            backoff=0.05,
            timeout=2,
        )
        sender.start()
        if callbacks:
            sender.schedule(ledger.texts.accept([text()], callbacks))
        end = time.monotonic() + seconds
        while ledger.callbacks.list_waiting() and time.monotonic() < end:
            await asyncio.sleep(0.01)
        await sender.stop()

    asyncio.run(run())
    return signed


def names(receiver) -> list[str]:
    # Another test's simulator may still be telling its news to the same address.
    return [callback.body["name"] for callback in receiver.callbacks if "name" in callback.body]


def test_callbacks_go_in_order_of_their_time_not_of_their_making(receiver):
    send(Ledger(), receiver.url, [new_callback("late", wait=0.3), new_callback("soon", wait=0.1)])

    assert names(receiver) == ["soon", "late"]


def test_a_queue_waits_for_the_one_before_it(receiver):
    receiver.answers.extend([500, 500])

    signed = send(Ledger(), receiver.url, [new_callback("first", queue="q"), new_callback("second", queue="q")])

    assert names(receiver) == ["first", "first", "first", "second"]
    moments = [moment for _, moment in signed]
    assert moments == sorted(set(moments)), "Signed anew for every try."


def test_a_queue_goes_on_when_one_is_given_up(receiver):
    receiver.answers.extend([500])

    send(Ledger(), receiver.url, [new_callback("first", queue="q", tries=1), new_callback("second", queue="q")])

    assert names(receiver) == ["first", "second"]


def test_a_queue_survives_a_restart(receiver):
    ledger = Ledger()
    ledger.texts.accept([text()], [new_callback("first", queue="q"), new_callback("second", queue="q")])

    send(ledger, receiver.url, [])

    assert names(receiver) == ["first", "second"]


def test_a_callback_may_have_an_address_of_its_own(receiver):
    send(Ledger(), "http://127.0.0.1:1/nowhere", [new_callback("own", url=f"{receiver.url}/own")])

    assert [callback.path for callback in receiver.callbacks] == ["/own"]


def test_a_withdrawn_callback_is_not_sent_and_holds_nobody_up(receiver):
    ledger = Ledger()
    callbacks = [
        new_callback("gone", queue="q", wait=0.2),
        new_callback("next", queue="q", wait=0.2),
        new_callback("other", wait=0.1),
    ]
    stored = ledger.texts.accept([text()], callbacks)
    ledger.callbacks.withdraw(provider="any", subject="gone", after=time.time())
    assert len(stored) == 3

    send(ledger, receiver.url, [])

    assert names(receiver) == ["other", "next"]


def test_a_ledger_of_another_version_is_emptied(tmp_path):
    path = str(tmp_path / "ledger.sqlite3")
    first = Ledger(path)
    first.documents.put("any", "kind", new_id("X", 4), {"a": 1})
    first._db.execute("PRAGMA user_version = 1")
    first.close()

    second = Ledger(path)

    assert second.documents.list_all("any", "kind") == []
    second.close()


def test_documents_are_kept_by_provider_kind_and_id():
    documents = Ledger().documents
    documents.put("a", "product", "1", {"name": "old"})
    documents.put("a", "product", "1", {"name": "new"})
    documents.put("a", "price", "1", {})

    assert documents.get("a", "product", "1") == {"name": "new"}
    assert documents.list_all("a", "product") == [{"name": "new"}]
    documents.remove("a", "product", "1")
    assert documents.get("a", "product", "1") is None
    assert documents.get("a", "price", "1") == {}
