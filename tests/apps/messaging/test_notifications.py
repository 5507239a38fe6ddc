"""The in-app inbox: told once, read at leisure, polled cheaply, and nobody else's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import User
from apps.accounts.selectors import subject_of
from apps.messaging.models.notifications import Notification
from apps.messaging.models.people import MessagePreference
from apps.messaging.selectors.notifications import count_unread, list_notifications
from apps.messaging.services.deletion import erase_notifications
from apps.messaging.services.notifications import notify, purge_notifications, tell_settled
from apps.payments.services.attempts import record_charge
from apps.tenants.models import Membership
from core.money import Money
from core.outbox import relay
from core.tenancy import tenant_scope, tenant_transaction
from services.payments.base import ChargeResult, ChargeStatus
from tests.envelope import refusal_of
from tests.factories.accounts import Member, make_member
from tests.factories.notifications import make_notification
from tests.factories.payments import make_payment, only_attempt
from tests.factories.tenants import add_member

URL = "/api/v1/notifications/"
COUNT = f"{URL}unread-count/"


def unread(client: APIClient) -> int:
    return int(client.get(COUNT).json()["data"]["unread"])


def titles(client: APIClient, **query: Any) -> list[str]:
    return [each["title"] for each in client.get(URL, query).json()["data"]["results"]]


def kept(member: Member) -> list[Notification]:
    with tenant_scope(member.tenant_id), tenant_transaction():
        return list(Notification.objects.order_by("created_at"))


def tell(member: Member, **changes: Any) -> Notification | None:
    told = {"user_id": member.user.pk, "key": "k", "kind": "service", "title": "Habari", "text": "Karibu."}
    with tenant_scope(member.tenant_id):
        return notify(**{**told, **changes})


# --- Telling ---------------------------------------------------------------------------------------------------------


def test_the_same_thing_is_told_once(member):
    first = tell(member, data={"payment": "1"})
    again = tell(member, title="Other", data={"payment": "2"})

    assert first is not None
    assert again is not None
    assert (again.pk, again.title, again.data) == (first.pk, "Habari", {"payment": "1"})
    assert len(kept(member)) == 1


def test_a_long_title_and_text_are_cut(member):
    found = tell(member, title="x" * 500, text="y" * 50_000)

    assert found is not None
    assert (len(found.title), len(found.text)) == (200, 2_000)


def test_nothing_is_told_to_whoever_does_not_want_it_or_does_not_belong_here(member, stranger):
    MessagePreference.objects.create(user=member.user, kind="service", channel="inbox", is_wanted=False)

    assert tell(member) is None
    assert tell(member, user_id=stranger.user.pk) is None
    assert tell(member, kind="security") is not None  # essential
    assert [each.kind for each in kept(member)] == ["security"]


@pytest.mark.django_db
def test_a_settled_payment_is_told_to_whoever_started_it():
    member = make_member()
    payment = make_payment(member, client_reference="order-7")
    paid = ChargeResult(status=ChargeStatus.PAID, money=Money(500_000, "TZS"))
    with tenant_scope(member.tenant_id), tenant_transaction():
        attempt = only_attempt(payment)
    with tenant_scope(member.tenant_id):
        record_charge(attempt_id=attempt.pk, source="poll", result=paid)

    for row_id, token in relay.claim():
        relay.deliver(row_id, token)
    with tenant_scope(member.tenant_id):
        tell_settled(payment_id=payment.pk)

    (told,) = member.client().get(URL).json()["data"]["results"]
    assert (told["title"], told["text"]) == ("TZS 5,000 received", "The payment order-7 has been paid.")
    assert (told["kind"], told["data"], told["read_at"]) == ("service", {"payment": str(payment.pk)}, None)


def test_a_settled_payment_is_told_in_the_persons_language_and_not_to_whoever_is_gone(in_tenant):
    User.objects.filter(pk=in_tenant.user.pk).update(language="sw")
    payment, other = make_payment(in_tenant), make_payment(in_tenant)
    tell_settled(payment_id=payment.pk)
    assert Notification.objects.get().title == "TZS 5,000 zimepokelewa"

    User.objects.filter(pk=in_tenant.user.pk).update(is_active=False)
    tell_settled(payment_id=other.pk)

    assert Notification.objects.count() == 1


# --- Reading ---------------------------------------------------------------------------------------------------------


def test_notifications_are_listed_counted_and_read(member, member_client):
    first, _second, third = (make_notification(member, title=title) for title in ("one", "two", "three"))
    assert titles(member_client) == ["three", "two", "one"]
    assert unread(member_client) == 3

    read = member_client.post(f"{URL}{first.pk}/read/").json()["data"]
    again = member_client.post(f"{URL}{first.pk}/read/").json()["data"]

    assert read["read_at"] is not None
    assert again == read == member_client.get(f"{URL}{first.pk}/").json()["data"]
    assert unread(member_client) == 2
    assert titles(member_client, unread="true") == ["three", "two"]
    assert titles(member_client, unread="false") == ["one"]
    assert member_client.delete(f"{URL}{third.pk}/").status_code == 200
    assert refusal_of(member_client.delete(f"{URL}{third.pk}/")) == (404, "not_found")
    assert unread(member_client) == 1


def test_all_are_read_at_once_or_those_that_were_shown(member, member_client):
    shown = make_notification(member)
    make_notification(member)
    with tenant_scope(member.tenant_id), tenant_transaction():
        Notification.objects.exclude(pk=shown.pk).update(created_at=shown.created_at + timedelta(seconds=1))

    def read_all(**body: Any) -> Any:
        return member_client.post(f"{URL}read-all/", body, format="json").json()["data"]

    assert read_all(until=shown.created_at.isoformat()) == {"read": 1, "unread": 1}
    assert read_all() == {"read": 1, "unread": 0}
    assert read_all() == {"read": 0, "unread": 0}


def test_a_list_is_walked_by_cursor(member, member_client):
    for number in range(5):
        make_notification(member, title=str(number))
    found: list[str] = []
    cursor = None
    while cursor is not None or not found:
        query = {"page_size": 2, "unread": "true", **({"cursor": cursor} if cursor else {})}
        data = member_client.get(URL, query).json()["data"]
        found += [each["title"] for each in data["results"]]
        cursor = data["pagination"]["next_cursor"]

    assert found == ["4", "3", "2", "1", "0"]


@pytest.mark.parametrize("query", [{"unread": "maybe"}, {"unread": ""}, {"cursor": "x"}, {"user": "1"}])
def test_a_filter_that_cannot_be_understood_is_refused(member_client, query):
    assert refusal_of(member_client.get(URL, query)) == (400, "validation_error")


# --- Polling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [URL, COUNT])
def test_whoever_asks_again_gets_no_body_until_something_has_changed(member, member_client, path):
    notification = make_notification(member)
    tag = member_client.get(path).headers["ETag"]

    unchanged = member_client.get(path, headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", tag)

    member_client.post(f"{URL}{notification.pk}/read/")
    changed = member_client.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag
    assert changed.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(("path", "most"), [(URL, 6), (COUNT, 6)])
def test_asking_costs_the_same_number_of_queries_however_much_there_is(member, member_client, path, most):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            member_client.get(path)
        return len(captured)

    make_notification(member)
    one = queries()
    for _ in range(5):
        make_notification(member)

    assert queries() == one <= most


@pytest.mark.postgresql
def test_what_is_unread_is_counted_in_its_own_index(in_tenant):
    now = timezone.now()
    told = {"user_id": in_tenant.user.pk, "kind": "service", "title": "x", "text": "x" * 200}
    read = [Notification(key=str(number), read_at=now, **told) for number in range(500)]
    Notification.objects.bulk_create([*read, Notification(key="unread", **told)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE messaging_notification")

    plan = list_notifications(user_id=in_tenant.user.pk, unread=True).order_by().explain()

    assert "notification_unread" in plan
    assert count_unread(user_id=in_tenant.user.pk) == 1


# --- Whose it is -----------------------------------------------------------------------------------------------------


def test_a_notification_is_nobody_elses(member, member_client, stranger):
    colleague = add_member(member)
    notification = make_notification(member)

    for other in (colleague.client(), stranger.client()):
        assert (titles(other), unread(other)) == ([], 0)
        for method, path in (("get", ""), ("delete", ""), ("post", "read/")):
            answer = getattr(other, method)(f"{URL}{notification.pk}/{path}")
            assert refusal_of(answer) == (404, "not_found")
        assert other.post(f"{URL}read-all/", {}, format="json").json()["data"]["read"] == 0

    assert unread(member_client) == 1


def test_what_was_told_in_another_tenant_is_not_shown_here(member, member_client):
    host = make_member()
    Membership.objects.create(tenant_id=host.tenant_id, user=member.user)
    with tenant_scope(host.tenant_id):
        notify(user_id=member.user.pk, key="k", kind="service", title="there", text="x")

    assert titles(member_client) == []
    exported = member_client.get("/api/v1/auth/export/").json()["data"]["records"]["notifications"]
    assert [(row["title"], row["tenant_id"]) for row in exported] == [("there", str(host.tenant_id))]
    erase_notifications(subject=subject_of(member.user))
    assert kept(host) == []


# --- Keeping ---------------------------------------------------------------------------------------------------------


def test_what_was_read_long_ago_is_forgotten_in_every_tenant(member, stranger, settings):
    settings.NOTIFICATIONS_KEEP_READ_DAYS = 90
    now = timezone.now()
    for each in (member, stranger):
        for title, read_at in (("old", now - timedelta(days=91)), ("new", now - timedelta(days=89)), ("unread", None)):
            notification = make_notification(each, title=title)
            with tenant_scope(each.tenant_id), tenant_transaction():
                old = now - timedelta(days=400)
                Notification.objects.filter(pk=notification.pk).update(read_at=read_at, created_at=old)

    assert purge_notifications() == 2

    assert {each.title for member in (member, stranger) for each in kept(member)} == {"new", "unread"}
