"""Waiting for a payment cheaply: tags, long polls, and what they must not hold."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections
from django.test import override_settings
from rest_framework.test import APIClient

from apps.payments.models.payments import Payment
from apps.payments.services import waiting
from core.tenancy import tenant_scope, tenant_transaction
from core.wakeup import Sleeper, wake
from tests.apps.payments.stories import DECLINED, PAID, PENDING, URL, hear
from tests.factories.accounts import Member, make_member
from tests.factories.payments import make_payment
from tests.fakes import scripted_gateway

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _gateway() -> Iterator[None]:
    with scripted_gateway():
        yield


def get(client: APIClient, payment: Payment, tag: str = "", **query: Any) -> Any:
    headers = {"If-None-Match": tag} if tag else {}
    return client.get(f"{URL}{payment.pk}/", query, headers=headers)


def timed(client: APIClient, payment: Payment, tag: str = "", **query: Any) -> tuple[Any, float]:
    began = time.monotonic()
    response = get(client, payment, tag, **query)
    return response, time.monotonic() - began


# --- Tags ------------------------------------------------------------------------------------------------------------


def test_an_unchanged_payment_is_answered_with_304_and_nothing(in_tenant):
    client, payment = in_tenant.client(), make_payment(in_tenant, gateway="scripted")
    first = get(client, payment)

    for tag in (first.headers["ETag"], f"W/{first.headers['ETag']}", f'"other", {first.headers["ETag"]}', "*"):
        again = get(client, payment, tag)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert "Content-Type" not in again.headers
        assert again.headers["X-Request-ID"]


def test_every_change_of_the_answer_changes_its_tag(in_tenant):
    client, payment = in_tenant.client(), make_payment(in_tenant, gateway="scripted")
    tags = [get(client, payment).headers["ETag"]]
    for news in (PENDING, DECLINED, PAID):
        hear(payment, news)
        response = get(client, payment, tags[-1])
        assert response.status_code == 200
        tags.append(response.headers["ETag"])

    assert len(set(tags)) == 4
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)
    assert get(client, payment, tags[0]).status_code == 200


def test_the_tag_follows_the_language_of_the_answer(in_tenant):
    client, payment = in_tenant.client(), make_payment(in_tenant, gateway="scripted")

    english = get(client, payment)
    swahili = client.get(f"{URL}{payment.pk}/", headers={"Accept-Language": "sw"})

    assert english.headers["ETag"] != swahili.headers["ETag"]


def test_a_strangers_tag_tells_nothing(in_tenant, stranger):
    payment = make_payment(in_tenant, gateway="scripted")
    tag = get(in_tenant.client(), payment).headers["ETag"]

    assert get(stranger.client(), payment, tag).status_code == 404
    assert get(stranger.client(), payment, "*", wait=20).status_code == 404


# --- What is answered at once ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("news", [PAID, DECLINED], ids=["paid", "declined"])
def test_a_payment_that_has_ended_is_not_waited_for(in_tenant, news):
    client, payment = in_tenant.client(), make_payment(in_tenant, gateway="scripted")
    hear(payment, news)
    tag = get(client, payment).headers["ETag"]

    assert timed(client, payment, wait=20)[1] < 10
    known, took = timed(client, payment, tag, wait=20)
    assert (known.status_code, took < 10) == (304, True)


@pytest.mark.parametrize("query", [{"status": "requires_action"}, {"status": "settled"}])
def test_another_status_than_the_known_one_is_news(in_tenant, query):
    client, payment = in_tenant.client(), make_payment(in_tenant, gateway="scripted")

    response, took = timed(client, payment, wait=20, **query)

    assert (response.status_code, response.json()["data"]["status"], took < 10) == (200, "processing", True)


def test_another_tag_than_the_known_one_is_news(in_tenant):
    client, payment = in_tenant.client(), make_payment(in_tenant, gateway="scripted")

    response, took = timed(client, payment, '"an older one"', wait=20)

    assert (response.status_code, took < 10) == (200, True)


def test_without_news_the_answer_comes_after_the_time_asked_for(in_tenant):
    client, payment = in_tenant.client(), make_payment(in_tenant, gateway="scripted")
    tag = get(client, payment).headers["ETag"]

    response, took = timed(client, payment, tag, wait=1)

    assert response.status_code == 304
    assert 0.9 < took < 10


@pytest.mark.parametrize("query", [{"wait": 21}, {"wait": -1}, {"wait": "long"}, {"status": "great"}, {"wiat": 5}])
def test_a_wait_that_cannot_be_meant_is_refused_by_name(in_tenant, query):
    response = get(in_tenant.client(), make_payment(in_tenant, gateway="scripted"), **query)

    assert response.status_code == 400
    assert set(response.json()["errors"]) == set(query)


def test_beyond_so_many_who_wait_the_answer_comes_at_once(in_tenant):
    client, payment = in_tenant.client(), make_payment(in_tenant, gateway="scripted")

    with override_settings(PAYMENT_WAITERS=0):
        response, took = timed(client, payment, wait=20)

    assert (response.status_code, took < 10) == (200, True)


# --- Being woken -----------------------------------------------------------------------------------------------------


def waiter(member: Member, payment: Payment, found: list[Any], **query: Any) -> threading.Thread:
    def ask() -> None:
        try:
            found.append(timed(member.client(), payment, **query))
        finally:
            connections.close_all()

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_bell", [True, False], ids=["woken", "looking"])
def test_news_ends_the_wait(settings, monkeypatch, has_bell):
    if not has_bell:
        settings.REDIS_URL = ""
    # Woken, it answers although it would not have looked for long.
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 15.0 if has_bell else 0.2)
    member, found = make_member(), list[Any]()
    payment = make_payment(member, gateway="scripted")
    thread = waiter(member, payment, found, wait=20, status="processing")
    time.sleep(0.5)

    with tenant_scope(member.tenant_id), tenant_transaction():
        hear(payment, PAID)
    thread.join(timeout=60)

    ((response, took),) = found
    assert response.json()["data"]["status"] == "settled"
    assert 0.4 < took < 5


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_whoever_waits_holds_no_connection_and_no_transaction():
    member, found = make_member(), list[Any]()
    payment = make_payment(member, gateway="scripted")
    connection.close()
    before = _sessions()
    thread = waiter(member, payment, found, wait=1)
    time.sleep(0.4)

    during = _sessions()
    thread.join(timeout=60)

    assert during == before
    assert found[0][0].status_code == 200


def _sessions() -> int:
    """How many connections this database has, that of the test itself included."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def test_a_sleeper_is_woken_only_by_its_own_topic(settings):
    if not settings.REDIS_URL:
        pytest.skip("needs Redis")
    with Sleeper("a") as sleeper:
        wake("b")
        began = time.monotonic()
        sleeper.sleep(0.3)
        assert time.monotonic() - began >= 0.29
        wake("a")
        began = time.monotonic()
        sleeper.sleep(5)
        assert time.monotonic() - began < 2


def test_without_redis_a_sleeper_just_sleeps(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    with Sleeper("a") as sleeper:
        began = time.monotonic()
        sleeper.sleep(0.2)

    assert 0.19 <= time.monotonic() - began < 2
