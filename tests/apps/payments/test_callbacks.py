"""The inbox: stored before it is acknowledged, processed once, believed only as far as the gateway signs."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from apps.payments.models.inbox import InboxDelivery
from apps.payments.models.payments import Observation, Payment
from apps.payments.models.reconciliation import ReconciliationBreak
from apps.payments.services.callbacks import process_callback
from apps.payments.tasks import purge_inbox_task
from core.money import Money
from core.outbox.models import OutboxEvent
from core.outbox.relay import RetryLater
from core.tenancy import outside_tenants
from services.payments.base import ChargeResult, ChargeStatus, GatewayEvent
from services.payments.providers.clickpesa_checksum import canonical_checksum
from tests.factories.payments import make_payment, make_payout, only_attempt
from tests.fakes import scripted_gateway

pytestmark = pytest.mark.django_db

URL = "/api/v1/webhooks/clickpesa/{}/"
TOKEN = "demo-clickpesa-callback-token"
PAID = ChargeResult(status=ChargeStatus.PAID, money=Money(500_000, "TZS"))


def news(reference: str, **changes: str) -> dict:
    data = {
        "id": "LCP1",
        "status": "SUCCESS",
        "orderReference": reference,
        "collectedAmount": "5000",
        "collectedCurrency": "TZS",
    }
    return {"event": "PAYMENT RECEIVED", "data": data | changes}


def signed(body: dict) -> bytes:
    key = settings.PAYMENT_GATEWAYS["clickpesa"]["CREDENTIALS"]["checksum_key"]
    return json.dumps(body | {"checksum": canonical_checksum(body, key), "checksumMethod": "canonical"}).encode()


def send(client, body: bytes, token: str = TOKEN):
    return client.post(URL.format(token), body, content_type="application/json")


def process(row: InboxDelivery) -> None:
    with outside_tenants():
        process_callback(delivery_id=row.pk)


def test_a_signed_callback_settles_the_payment(client, in_tenant):
    payment = make_payment(in_tenant)
    body = signed(news(only_attempt(payment).reference))

    response = send(client, body)

    assert response.status_code == 200
    row = InboxDelivery.objects.get()
    assert bytes(row.body) == body
    assert OutboxEvent.objects.filter(name="gateway.callback_received").count() == 1


def test_processing_a_signed_callback_records_its_news_once(client, member, in_tenant):
    payment = make_payment(member)
    send(client, signed(news(only_attempt(payment).reference)))
    row = InboxDelivery.objects.get()

    process(row)
    process(row)

    row.refresh_from_db()
    assert row.outcome == "recorded"
    assert Payment.unscoped.values_list("status", flat=True).get() == "settled"
    assert Observation.unscoped.count() == 1


@pytest.mark.invariant("I22")
def test_the_same_news_again_is_counted_and_changes_nothing(client, in_tenant):
    body = signed(news(only_attempt(make_payment(in_tenant)).reference))

    answers = [send(client, body).status_code for _ in range(3)]

    assert answers == [200, 200, 200]
    assert InboxDelivery.objects.get().seen == 3
    assert OutboxEvent.objects.filter(name="gateway.callback_received").count() == 1


@pytest.mark.parametrize("token", ["wrong", "demo-clickpesa-callback-toke", "x" * 500])
def test_an_address_that_was_never_given_out_is_not_found(client, in_tenant, token):
    response = send(client, signed(news("R")), token)

    assert response.status_code == 404
    assert not InboxDelivery.objects.exists()


def test_a_gateway_nobody_knows_is_not_found(client):
    assert client.post(f"/api/v1/webhooks/nopay/{TOKEN}/", b"{}", content_type="application/json").status_code == 404


@pytest.mark.invariant("I23", "I29")
def test_a_forged_or_altered_callback_is_rejected_and_not_stored(client, in_tenant):
    reference = only_attempt(make_payment(in_tenant)).reference
    good = json.loads(signed(news(reference)))
    unsigned = json.dumps(news(reference)).encode()
    altered = json.dumps(good | {"data": good["data"] | {"collectedAmount": "1"}}).encode()
    forged = json.dumps(good | {"checksum": "0" * 64}).encode()

    for body in (unsigned, altered, forged, b"", b"[]", b"null", b"\xff", b"{" * 5000, b'{"checksum": 1}'):
        response = send(client, body)
        assert response.status_code == 401, body[:40]
        assert response.json()["code"] == "webhook_rejected"

    assert not InboxDelivery.objects.exists()
    assert not OutboxEvent.objects.filter(name="gateway.callback_received").exists()


@pytest.mark.invariant("I29")
def test_a_callback_beyond_the_limit_is_too_large(client):
    response = send(client, b" " * (256 * 1024 + 1))

    assert response.status_code == 413
    assert response.json()["code"] == "payload_too_large"


def test_any_content_type_is_read(client, in_tenant):
    body = signed(news(only_attempt(make_payment(in_tenant)).reference))

    response = client.post(URL.format(TOKEN), body, content_type="text/plain")

    assert response.status_code == 200


@pytest.mark.invariant("I25")
def test_an_unsigned_gateways_news_only_makes_us_ask(client, in_tenant):
    with scripted_gateway(is_signed=False) as gateway:
        payment = make_payment(in_tenant, gateway="scripted")
        reference = only_attempt(payment).reference
        gateway.events = [GatewayEvent(key="k", reference=reference, result=PAID)]
        gateway.queries = [ChargeResult(status=ChargeStatus.PENDING)]
        client.post(f"/api/v1/webhooks/scripted/{'t' * 22}/", b"COMPLETED, honestly", content_type="text/plain")

        process(InboxDelivery.objects.get())

        assert gateway.calls == [("query", reference)]
        assert InboxDelivery.objects.get().outcome == "asked the gateway"
        assert Payment.unscoped.get().status == "processing"


@pytest.mark.invariant("I26")
def test_an_unknown_reference_waits_for_its_owner_and_becomes_an_orphan_after_a_day(client):
    send(client, signed(news("ZZZZZZZZZZZZZZZZZZZZ")))
    row = InboxDelivery.objects.get()

    with pytest.raises(RetryLater) as later:
        process(row)
    assert timedelta(0) < later.value.delay <= timedelta(hours=1)

    InboxDelivery.objects.update(received_at=timezone.now() - timedelta(hours=25))
    process(row)
    assert InboxDelivery.objects.get().outcome == "orphan"
    difference = ReconciliationBreak.objects.get()
    assert (difference.kind, difference.reference) == ("orphan_event", "ZZZZZZZZZZZZZZZZZZZZ")
    assert difference.theirs["delivery_id"] == str(row.pk)


def test_news_about_a_payout_reaches_it(client, in_tenant):
    payout = make_payout(in_tenant, gateway="clickpesa")
    told = {"id": "P", "orderReference": payout.reference, "status": "REVERSED"}

    assert send(client, signed({"event": "PAYOUT REVERSED", "data": told})).status_code == 200
    process(InboxDelivery.objects.get())

    payout.refresh_from_db()
    assert (InboxDelivery.objects.get().outcome, payout.status) == ("recorded", "returned")


def test_a_deposit_is_acknowledged_and_leads_nowhere(client):
    body = signed({"event": "DEPOSIT RECEIVED", "data": {"id": "P", "orderReference": "X", "status": "SUCCESS"}})

    assert send(client, body).status_code == 200
    process(InboxDelivery.objects.get())

    assert InboxDelivery.objects.get().outcome == "not about a payment"


def test_the_callbacks_secret_never_reaches_the_log(client, capfd, in_tenant):
    send(client, signed(news("R")))
    send(client, b"junk")

    assert TOKEN not in capfd.readouterr().out


def test_old_callbacks_are_forgotten_unless_somebody_has_to_look_at_them(client, member, in_tenant):
    for reference in ("OLD", "NEW", "PARKED", "OPEN"):
        send(client, signed(news(reference, id=reference)))
    old, _new, parked, _open = rows = list(InboxDelivery.objects.order_by("received_at"))
    before = timezone.now() - timedelta(days=settings.INBOX_KEEP_DAYS, hours=1)
    InboxDelivery.objects.exclude(pk=rows[1].pk).update(received_at=before)
    InboxDelivery.objects.filter(pk__in=[rows[0].pk, rows[1].pk]).update(processed_at=timezone.now())
    InboxDelivery.objects.filter(pk=parked.pk).update(parked_at=timezone.now())

    purge_inbox_task()

    assert set(InboxDelivery.objects.values_list("pk", flat=True)) == {row.pk for row in rows} - {old.pk}
