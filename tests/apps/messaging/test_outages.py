"""Redis away, the provider away: whoever asks for a code or starts a payment is answered fast, and the text comes."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import time_machine
from rest_framework.test import APIClient

from apps.messaging.models.messages import Message
from apps.messaging.services.receipts import send_receipt
from apps.messaging.services.sending import send_message
from core.outbox.models import OutboxEvent
from core.tenancy import tenant_scope, tenant_transaction
from services.http import GatewayUnavailable
from tests.factories.accounts import fresh_phone, make_member, with_proven_phone
from tests.factories.payments import a_wish_to_pay, make_payment
from tests.fakes import ScriptedSms, scripted_gateway, scripted_sms
from tests.figures import Figure, RecordFigure
from tests.limits import fresh_address, redis_that_refuses
from tests.outbox import work_off_outbox

pytestmark = pytest.mark.django_db
Ask = Callable[[], int]


@pytest.fixture
def sms() -> Iterator[ScriptedSms]:
    """A provider that is away: nothing reaches it."""
    with scripted_sms() as gateway:
        gateway.answers = [GatewayUnavailable() for _ in range(3)]
        yield gateway


@pytest.fixture
def no_redis(settings) -> Iterator[None]:
    with redis_that_refuses() as url:
        settings.REDIS_URL = url
        yield


def a_code(phone: str) -> int:
    client = APIClient(REMOTE_ADDR=fresh_address())
    return client.post("/api/v1/auth/request-otp/", {"phone": phone}, format="json").status_code


def spans(ask: Ask, amount: int) -> list[float]:
    found = []
    for _ in range(amount):
        began = time.perf_counter()
        assert ask() in (200, 201)
        found.append(time.perf_counter() - began)
    return found


@pytest.mark.parametrize("what", ["codes", "payments"])
def test_requests_stay_fast_without_redis_and_without_a_provider(
    no_redis, sms, what, figure: Figure, record_figure: RecordFigure
):
    """The figure is that of a full run on an idle computer; a quick one only looks that it works.

    A Redis that swallows packets holds up one request in five seconds for a fifth of one (`core.redis`).
    """
    amount, member = figure(quick=8, full=400), make_member()

    def start() -> int:
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        wish = a_wish_to_pay(gateway="scripted")
        return member.client().post("/api/v1/payments/", wish, format="json", headers=headers).status_code

    with scripted_gateway():
        took = spans(start if what == "payments" else lambda: a_code(fresh_phone()), amount)

    assert sms.sent == []
    assert statistics.median(took) < 0.25
    if amount >= 100:
        p99 = statistics.quantiles(took, n=100)[-1]
        record_figure(f"p99 of {amount} {what} without Redis and provider: {p99 * 1000:.0f} ms")
        assert p99 < 0.25


@pytest.mark.invariant("I71")
def test_a_code_and_a_receipt_go_out_when_the_provider_is_back(sms, member):
    with_proven_phone(member)
    payment_phone = "+255712345678"
    with time_machine.travel(time.time()) as clock:
        assert a_code(member.user.phone) == 200
        work_off_outbox()
        with tenant_scope(member.tenant_id), scripted_gateway():
            payment = make_payment(member, gateway="scripted", phone=payment_phone)
            send_receipt(payment_id=payment.pk)
        work_off_outbox()
        assert len(sms.sent) == 2
        assert OutboxEvent.objects.filter(name="message.queued", done_at=None).count() == 2

        for _ in range(4):
            clock.shift(timedelta(seconds=30))
            work_off_outbox()

    assert not OutboxEvent.objects.filter(name="message.queued", done_at=None).exists()
    assert not OutboxEvent.objects.exclude(dead_at=None).exists()
    with tenant_scope(member.tenant_id), tenant_transaction():
        texts = list(Message.objects.filter(channel="sms"))
        assert {(each.kind, each.status, each.tries) for each in texts} == {("code", "sent", 1), ("receipt", "sent", 1)}
        for each in texts:
            send_message(message_id=each.pk)
    assert sorted(each.phone for each in sms.sent[3:]) == sorted([member.user.phone, payment_phone])
