"""I72: reports by callback and by question, in every order and number, by our key or by the provider's name."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from apps.messaging.models.messages import DeliveryReport, EarlyReport, Message
from apps.messaging.progress import MessageStatus
from apps.messaging.services.claims import claim_message
from apps.messaging.services.messages import queue_message
from apps.messaging.services.reports import accept_text, hear_report, purge_early_reports, record_report
from apps.messaging.services.sending import send_message
from core.tenancy import outside_tenants, tenant_scope, tenant_transaction
from services.http import OutcomeUnknown
from services.sms.base import MessageStatus as Told
from services.sms.base import Refusal, SmsRefused, SmsReport
from tests.apps.messaging.wires import TOKEN, providers
from tests.factories.accounts import Member
from tests.figures import Figure, RecordFigure

PHONE = "+255712345678"
in_a_room = pytest.mark.usefixtures("in_tenant")
# What providers say, and whether we know the word.
WORDS: dict[str, Told | None] = {
    "ACCEPTED": Told.SENT,
    "DELIVRD": Told.DELIVERED,
    "FAILED": Told.FAILED,
    "REJECTD": Told.FAILED,
    "UNDELIV": Told.UNDELIVERABLE,
    "EXPIRED": Told.EXPIRED,
    "GONE-FISHING": None,
}


def said(word: str, *, key: str = "", ref: str = "R1") -> SmsReport:
    return SmsReport(key=key, provider_reference=ref, phone=PHONE, status=WORDS[word], raw_status=word)


def a_text(key: str = "k", **how: object) -> Message:
    return queue_message(channel="sms", to=PHONE, text="Habari", key=key, **how)  # type: ignore[arg-type]


def hear(report: SmsReport, provider: str = "one") -> None:
    """As a callback comes in: in no tenant's room."""
    with outside_tenants():
        hear_report(provider=provider, report=report)


def end_of(message: Message) -> tuple[str, str, str]:
    message.refresh_from_db()
    return message.status, message.raw_status, message.provider_reference


@in_a_room
@pytest.mark.invariant("I72")
def test_all_orders_and_numbers_of_reports_end_the_same(settings, figure: Figure, record_figure: RecordFigure):
    settings.SMS_PRICES = {"*": 0}  # so many texts are more than a tenant's budget
    rounds, seen = figure(quick=6, full=200), [0]

    @hypothesis_settings(max_examples=rounds, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.sampled_from(sorted(WORDS)), min_size=1, max_size=6), st.randoms(use_true_random=False))
    def converge(words: list[str], random) -> None:
        ends = set()
        for turn in range(3):
            message = a_text(f"{seen[0]} {turn}")
            seen[0] += 1
            claim = claim_message(message_id=message.pk)
            assert claim is not None
            order = [*words, *random.choices(words, k=turn)]
            random.shuffle(order)
            answer_at = random.randrange(len(order) + 1)
            for number, word in enumerate([*order, None]):
                if number == answer_at:
                    accept_text(attempt=claim.attempt, provider_reference="R1")
                if word is not None:
                    record_report(message_id=message.pk, provider="one", report=said(word))
            ends.add(end_of(message))
        assert len(ends) == 1
        (end,) = ends
        furthest = max((MessageStatus(WORDS[word] or Told.SENT) for word in words), key=RANK.__getitem__)
        assert end[0] == furthest

    with providers(one="plain"):
        converge()
    record_figure(f"{seen[0]} random orders with repetitions, 0 differences")


# delivered > failed > sent > queued, and the ends that nobody confirms below the others.
RANK = {
    status: number
    for number, status in enumerate(["queued", "sent", "expired", "undeliverable", "failed", "delivered"])
}


@in_a_room
@pytest.mark.invariant("I72")
def test_a_provider_that_brings_no_key_is_understood_by_its_own_name_whoever_comes_first(record_figure: RecordFigure):
    words, ends = ["DELIVRD", "UNDELIV", "ACCEPTED"], set()
    with providers(one="plain") as wire:
        for number, order in enumerate(itertools.permutations([*words, "the answer"])):
            message = a_text(str(number))
            ref = f"R{number + 1}"
            for word in order:
                if word == "the answer":
                    send_message(message_id=message.pk)
                else:
                    hear(said(word, ref=ref))
            ends.add(end_of(message)[:2])
        assert len(wire["one"].sent) == 24

    assert ends == {("delivered", "DELIVRD")}
    assert DeliveryReport.objects.count() == 24 * 3
    assert not EarlyReport.objects.exists()
    record_figure("24 orders of 3 reports and the answer: all equal")


@in_a_room
def test_a_report_that_no_text_ever_claims_is_forgotten_after_a_day():
    with providers(one="plain"):
        hear(said("DELIVRD", ref="made-up"))
        hear(said("DELIVRD", ref="made-up"))
        hear(said("DELIVRD", ref=""))
    assert EarlyReport.objects.count() == 1

    purge_early_reports()
    assert EarlyReport.objects.count() == 1
    EarlyReport.objects.update(received_at=EarlyReport.objects.get().received_at - timedelta(days=1, seconds=1))
    purge_early_reports()

    assert not EarlyReport.objects.exists()


@in_a_room
def test_one_providers_name_for_a_text_is_nothing_at_another():
    with providers(one="plain", two="plain"):
        message = a_text()
        send_message(message_id=message.pk)

        hear(said("DELIVRD", ref="R1"), provider="two")
        hear(said("DELIVRD", key=message.pk.hex, ref="R1"), provider="two")

    assert end_of(message)[0] == "sent"


@in_a_room
def test_a_provider_that_refused_a_text_cannot_report_on_it():
    with providers(one="plain", two="plain") as wire:
        wire["one"].answers = [SmsRefused(Refusal.ROUTE, "404")]
        message = a_text()
        send_message(message_id=message.pk)

        hear(said("FAILED", key=message.pk.hex, ref="R7"))

    assert end_of(message)[0] == "sent"


@in_a_room
def test_reports_of_both_texts_of_a_receipt_count():
    from apps.messaging.services.polling import resolve_uncertain

    with providers(one="plain") as wire:
        wire["one"].answers = [OutcomeUnknown()]
        message = a_text(kind="receipt")
        send_message(message_id=message.pk)
        resolve_uncertain(message_id=message.pk)
        send_message(message_id=message.pk)

        hear(said("FAILED", key=message.pk.hex, ref="R2"))
        assert end_of(message)[0] == "failed"
        hear(said("DELIVRD", key=message.pk.hex, ref="the first"))
        hear(said("DELIVRD", key=message.pk.hex, ref="made up"))

    assert end_of(message)[:2] == ("delivered", "DELIVRD")
    assert message.reports.count() == 2
    assert message.delivered_at is not None


@in_a_room
def test_a_forged_report_moves_nothing(client: APIClient):
    with providers(one="plain"):
        message = a_text()
        send_message(message_id=message.pk)
        told = {"key": message.pk.hex, "ref": "R1", "status": "delivered"}

        for token in ("x" * 22, TOKEN[:-1], TOKEN + "r", "-"):
            response = client.post(f"/api/v1/messaging/reports/one/{token}/", told, format="json")
            assert response.status_code == 404

    assert end_of(message)[0] == "sent"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("transactional_db")
def test_a_report_comes_in_from_outside_every_room_and_is_written_in_the_right_one(member: Member, stranger: Member):
    with providers(one="plain"):
        with tenant_scope(stranger.tenant_id):
            message = a_text()
            send_message(message_id=message.pk)
        hear(said("DELIVRD"))

    with tenant_scope(stranger.tenant_id), tenant_transaction():
        assert end_of(message)[0] == "delivered"
        assert DeliveryReport.objects.count() == 1
    with tenant_scope(member.tenant_id), tenant_transaction():
        assert not DeliveryReport.objects.exists()
