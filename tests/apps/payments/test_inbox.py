"""The inbox under attack and in bad weather: nothing acknowledged is lost, nothing forged counts, nobody waits."""

from __future__ import annotations

import json
import random
import statistics
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
import time_machine
from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone
from rest_framework.test import APIClient
from standardwebhooks import Webhook, WebhookVerificationError

from apps.payments.models.accounts import GatewayReference
from apps.payments.models.inbox import InboxDelivery
from apps.payments.models.payments import Attempt, Observation, Payment
from apps.payments.models.reconciliation import ReconciliationBreak
from apps.payments.services import callbacks
from apps.payments.services.callbacks import MAX_TRIES, process_callback, replay_delivery
from apps.payments.services.reconciliation import explain_by_later_news
from core.audit.models import AuditEntry
from core.exceptions import NotFound
from core.money import Money
from core.outbox.models import OutboxEvent
from core.outbox.relay import RetryLater
from core.sampling import HourlyLimit
from core.tenancy import outside_tenants, tenant_scope, tenant_transaction
from services.http import Delivery, GatewayUnavailable
from services.payments.base import (
    ChargeResult,
    ChargeStatus,
    Credential,
    GatewayEvent,
    GatewayRefused,
    Subject,
    Trust,
    WebhookRejected,
)
from services.payments.providers.clickpesa_checksum import canonical_checksum
from services.payments.registry import get_gateway
from tests.envelope import faults_in, refusal_of
from tests.factories.accounts import Member, make_member
from tests.factories.payments import make_account, make_payment, only_attempt
from tests.fakes import ScriptedGateway, scripted_gateway
from tests.limits import at_once
from tests.outbox import work_off_outbox

pytestmark = pytest.mark.django_db

CLICKPESA = "/api/v1/webhooks/clickpesa/demo-clickpesa-callback-token/"
TALKING = f"/api/v1/webhooks/talking/{'t' * 22}/"
OURS = "ours"
ASKED = Money(500_000, "TZS")
PAID = ChargeResult(status=ChargeStatus.PAID, money=ASKED)


class TalkingGateway(ScriptedGateway):
    """Its callbacks are JSON in our own words, proven by a secret in a header. `is_broken`: our parser stumbles."""

    credentials: ClassVar[tuple[Credential, ...]] = (Credential("secret"),)
    kept_headers: ClassVar[tuple[str, ...]] = ("x-event-id",)
    is_broken: ClassVar[bool] = False

    def __init__(self, *, secret: str, is_signed: bool = True) -> None:
        super().__init__(is_signed=is_signed)
        self.secret = secret

    def verify(self, delivery: Delivery) -> None:
        if delivery.headers.get("x-secret") != self.secret:
            raise WebhookRejected

    def parse(self, delivery: Delivery) -> list[GatewayEvent]:
        told = json.loads(delivery.body)
        if told.get("is_poison") and self.is_broken:
            raise KeyError("orderReference of +255712345678")
        return [
            GatewayEvent(
                key=delivery.headers.get("x-event-id", "") + each["reference"],
                reference=each["reference"],
                result=PAID,
                subject=Subject(each.get("subject", "charge")),
            )
            for each in told["events"]
        ]


def talking(**options: Any) -> dict[str, Any]:
    return {
        "talking": {
            "BACKEND": f"{__name__}.TalkingGateway",
            "OPTIONS": options,
            "CREDENTIALS": {"secret": "ours"},
            "CALLBACK_TOKEN": "t" * 22,
        }
    }


@pytest.fixture
def gateway(settings: Any, monkeypatch: pytest.MonkeyPatch) -> type[TalkingGateway]:
    settings.PAYMENT_GATEWAYS = talking()
    monkeypatch.setattr(TalkingGateway, "is_broken", False)
    return TalkingGateway


def installed() -> TalkingGateway:
    gateway = get_gateway("talking")
    assert isinstance(gateway, TalkingGateway)
    return gateway


def tell(client: APIClient, *references: str, path: str = TALKING, secret: str = OURS, **extra: Any) -> Any:
    events = [{"reference": reference} for reference in references]
    headers = {"X-Secret": secret, "X-Event-Id": uuid.uuid4().hex}
    return client.post(path, {"events": events} | extra, format="json", headers=headers)


def attempt_of(member: Member, gateway: str = "talking") -> Attempt:
    with tenant_scope(member.tenant_id), tenant_transaction():
        return only_attempt(make_payment(member, gateway=gateway))


def statuses(member: Member) -> list[str]:
    with tenant_scope(member.tenant_id), tenant_transaction():
        return list(Payment.objects.order_by("created_at").values_list("status", flat=True))


def process(row: InboxDelivery) -> None:
    with outside_tenants():
        process_callback(delivery_id=row.pk)


def work_off() -> None:
    OutboxEvent.objects.exclude(name="gateway.callback_received").delete()
    with outside_tenants():
        work_off_outbox()


def clickpesa_news(reference: str) -> bytes:
    data = {"id": "LCP1", "status": "SUCCESS", "orderReference": reference}
    news = {"event": "PAYMENT RECEIVED", "data": data | {"collectedAmount": "5000", "collectedCurrency": "TZS"}}
    key = settings.PAYMENT_GATEWAYS["clickpesa"]["CREDENTIALS"]["checksum_key"]
    return json.dumps(news | {"checksum": canonical_checksum(news, key)}).encode()


# --- Stored before it is acknowledged --------------------------------------------------------------------------------


class Weather:
    """A database that goes away in the middle of some statements."""

    def __init__(self, chance: float) -> None:
        self.chance, self.dice = chance, random.Random(21)

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        # Savepoints stand for the transactions of a request here: what the test itself stands on has to hold.
        if "SAVEPOINT" not in sql and self.dice.random() < self.chance:
            raise OperationalError("server closed the connection unexpectedly")
        return execute(sql, params, many, context)


@pytest.mark.invariant("I21")
def test_without_a_database_nothing_is_acknowledged(client, gateway):
    with connection.execute_wrapper(Weather(1.0)):
        response = tell(client, "R")

    assert refusal_of(response) == (503, "temporarily_unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert not InboxDelivery.objects.exists()


@pytest.mark.invariant("I21")
def test_whatever_is_acknowledged_is_stored_and_on_its_way(client, gateway, figure, record_figure):
    count = figure(quick=60, full=10_000)
    acknowledged, refused, weather = set(), 0, Weather(0.1)

    for number in range(count):
        with connection.execute_wrapper(weather):
            response = tell(client, f"R{number}")
        if response.status_code == 200:
            acknowledged.add(f"R{number}")
        else:
            assert response.status_code == 503
            refused += 1

    stored = {json.loads(bytes(row.body))["events"][0]["reference"] for row in InboxDelivery.objects.all()}
    on_their_way = OutboxEvent.objects.filter(name="gateway.callback_received").count()
    assert acknowledged - stored == set()
    assert on_their_way == len(stored)
    assert acknowledged
    assert refused
    record_figure(f"{count} callbacks, {refused} refused by bad weather, 0 acknowledged and missing")


@pytest.mark.invariant("I22")
@pytest.mark.django_db(transaction=True)
def test_the_same_news_from_many_at_once_is_one_row_and_one_effect(gateway, record_figure):
    member = make_member()
    reference = attempt_of(member).reference
    body = {"events": [{"reference": reference}]}

    def send(_number: int) -> int:
        headers = {"X-Secret": "ours", "X-Event-Id": "same"}
        return int(APIClient().post(TALKING, body, format="json", headers=headers).status_code)

    answers = at_once(10, send)
    work_off()

    assert answers == [200] * 10
    assert InboxDelivery.objects.get().seen == 10
    assert statuses(member) == ["settled"]
    with tenant_scope(member.tenant_id), tenant_transaction():
        assert Observation.objects.count() == 1
    record_figure("race of 10: 1 row, 1 effect")


# --- Forged ----------------------------------------------------------------------------------------------------------


def mutated(body: bytes, dice: random.Random) -> bytes:
    """The body with something wrong about it."""
    what, place = dice.randrange(6), dice.randrange(len(body))
    if what == 0:
        return body[:place]
    if what == 1:
        return body[:place] + bytes([body[place] ^ (1 << dice.randrange(8))]) + body[place + 1 :]
    if what == 2:
        return body[:place] + dice.randbytes(dice.randrange(1, 20)) + body[place:]
    if what == 3:
        return body[:place] + body[place + dice.randrange(1, 20) :]
    if what == 4:
        return dice.randbytes(dice.randrange(200))
    word = dice.choice([b"[", b"{", b'"', b"null", b"1e999", b"\\ud800", b"\\u0000", b"NaN"])
    return body[:place] + word * dice.choice([1, 3, 2000]) + body[place:]


def hostile_headers(dice: random.Random) -> dict[str, str]:
    """Headers as a server might hand them on: any Latin-1."""
    names = ["X-ClickPesa-Signature", "User-Agent", "Content-Encoding", "Accept-Language", "X-Request-ID", "Range"]
    return {
        dice.choice(names): "".join(chr(dice.randrange(256)) for _ in range(dice.choice([0, 1, 64, 5000])))
        for _ in range(dice.randrange(3))
    }


def sense_of(body: bytes) -> Any:
    """What a body says apart from its checksum; None for what is no JSON object."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return {name: told[name] for name in told if not name.startswith("checksum")} if isinstance(told, dict) else None


@pytest.mark.invariant("I23", "I29")
def test_no_mutation_of_a_genuine_callback_is_accepted_or_an_error_of_ours(db, figure, record_figure):
    client, dice, count = APIClient(raise_request_exception=False), random.Random(23), figure(quick=300, full=10_000)
    genuine = clickpesa_news("R" * 20)
    same = 0
    seen: Counter[int] = Counter()

    for _ in range(count):
        body: Any = mutated(genuine, dice)
        content_type = dice.choice(["application/json", "application/json", "", "text/\xff"])
        response = client.generic("POST", CLICKPESA, body, content_type, headers=hostile_headers(dice))
        seen[response.status_code] += 1
        if response.status_code == 200 and sense_of(body) == sense_of(genuine):
            same += 1  # a space between words
            continue
        assert response.status_code in {400, 401, 413}, (response.status_code, body)
        assert faults_in(response) == []

    assert InboxDelivery.objects.count() <= 1
    record_figure(f"{count} mutations, 0 accepted ({same} said the same in other bytes), 0 x 5xx: {dict(seen)}")


@pytest.mark.invariant("I23")
def test_another_tenants_signature_opens_nothing(client, gateway, member, stranger):
    with outside_tenants():
        mine = make_account(member, "talking", secret="mine")
        theirs = make_account(stranger, "talking", secret="theirs")

    answers = [
        tell(client, "R", path=account.callback_url.removeprefix(settings.PUBLIC_URL), secret=secret)
        for account, secret in ((mine, "theirs"), (theirs, "mine"), (mine, "ours"))
    ]

    assert {refusal_of(answer) for answer in answers} == {(401, "webhook_rejected")}
    assert not InboxDelivery.objects.exists()


def test_a_verifier_that_stumbles_says_no(client, gateway, monkeypatch, capfd):
    def stumble(self: Any, delivery: Delivery) -> None:
        raise RecursionError("x-secret: ours")

    monkeypatch.setattr(TalkingGateway, "verify", stumble)

    assert refusal_of(tell(client, "R")) == (401, "webhook_rejected")
    assert "x-secret" not in capfd.readouterr().out


def test_genuine_news_that_our_parser_stumbles_over_is_kept(client, gateway, monkeypatch):
    monkeypatch.setattr(TalkingGateway, "is_broken", True)

    assert tell(client, "R", is_poison=True).status_code == 200

    assert InboxDelivery.objects.count() == 1


def test_rejected_callbacks_are_told_of_a_hundred_times_an_hour_and_without_their_content(
    client, gateway, monkeypatch, caplog
):
    monkeypatch.setattr(callbacks, "_rejected", HourlyLimit(3))

    for _ in range(5):
        tell(client, "+255712345678", secret="guess")

    told = [record for record in caplog.records if record.message == "callback rejected"]
    assert len(told) == 3
    assert "712345678" not in str([vars(record) for record in told])
    assert "guess" not in str([vars(record) for record in told])
    assert callbacks.REJECTED_PER_HOUR == 100


def test_an_hour_later_samples_are_told_again():
    limit = HourlyLimit(1)

    with time_machine.travel(datetime(2026, 11, 20, tzinfo=UTC), tick=False):
        assert [limit.admits() for _ in range(3)] == [True, False, False]
        limit._ends_at = time.monotonic()
        assert limit.admits()


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class DatedGateway(ScriptedGateway):
    """Signs as Standard Webhooks 1.0.0 says, read by that standard's own library."""

    kept_headers: ClassVar[tuple[str, ...]] = ("webhook-id",)

    def verify(self, delivery: Delivery) -> None:
        try:
            Webhook(SECRET).verify(delivery.body, dict(delivery.headers))
        except WebhookVerificationError:
            raise WebhookRejected from None


@pytest.mark.invariant("I24")
@pytest.mark.parametrize(
    ("minutes", "status"), [(0, 200), (-4, 200), (4, 200), (-5.1, 401), (5.1, 401), (-60, 401), (600, 401)]
)
def test_a_signed_callbacks_time_counts_within_five_minutes(client, minutes, status, record_figure):
    with scripted_gateway(DatedGateway), time_machine.travel(timezone.now(), tick=False):
        at, body = timezone.now() + timedelta(minutes=minutes), '{"type": "order.paid"}'
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(SECRET).sign("msg_1", at, body),
        }
        path = f"/api/v1/webhooks/scripted/{'t' * 22}/"
        response = client.post(path, body, content_type="application/json", headers=headers)

    assert response.status_code == status
    assert [row.headers["webhook-id"] for row in InboxDelivery.objects.all()] == ["msg_1"] * (status == 200)
    record_figure(f"{minutes:+g} minutes: {status}")


@pytest.mark.invariant("I25")
def test_a_perfect_forgery_of_a_hint_settles_nothing(client, settings, member, figure, record_figure):
    settings.PAYMENT_GATEWAYS = talking(is_signed=False)
    count = figure(quick=3, full=200)
    references = [attempt_of(member).reference for _ in range(count)]
    for reference in references:
        tell(client, reference)

    asked = installed()
    asked.queries = [ChargeResult(status=ChargeStatus.PENDING)] * count
    work_off()

    assert {reference for _call, reference in asked.calls} == set(references)
    assert set(statuses(member)) == {"processing"}
    record_figure(f"{count} forgeries, 0 settled")


def test_a_delivery_is_believed_as_it_was_when_it_came(client, settings, member):
    """Who could not sign yesterday is not believed today because signatures are demanded since."""
    settings.PAYMENT_GATEWAYS = talking(is_signed=False)
    reference = attempt_of(member).reference
    tell(client, reference)
    row = InboxDelivery.objects.get()
    assert row.trust == Trust.HINT

    settings.PAYMENT_GATEWAYS = talking(is_signed=True)
    with pytest.raises(RetryLater):
        # Nobody has told the new instance what to answer, so it is silence.
        _ask_and_meet_silence(row)

    assert statuses(member) == ["processing"]


def _ask_and_meet_silence(row: InboxDelivery) -> None:
    installed().queries = [GatewayUnavailable()]
    process(row)


# --- Whose news it is ------------------------------------------------------------------------------------------------


@pytest.mark.invariant("I26")
def test_news_that_comes_before_its_payment_finds_it(client, gateway, member, figure, record_figure):
    count = figure(quick=3, full=100)
    references = [f"{number:020d}" for number in range(count)]
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for reference in references:
            tell(client, reference)
        work_off()
        assert InboxDelivery.objects.filter(processed_at=None).count() == count

        clock.shift(timedelta(seconds=2))
        for reference in references:
            attempt = attempt_of(member)
            GatewayReference.objects.filter(reference=attempt.reference).update(reference=reference)
        clock.shift(timedelta(seconds=2))
        work_off()

    assert statuses(member) == ["settled"] * count
    assert not ReconciliationBreak.objects.exists()
    record_figure(f"{count} of {count} matched")


def test_another_accounts_callback_cannot_speak_of_our_payment(client, gateway, member, stranger):
    attempt = attempt_of(member)
    path = make_account(stranger, "talking", secret="theirs").callback_url.removeprefix(settings.PUBLIC_URL)

    with time_machine.travel(timezone.now(), tick=False) as clock:
        assert tell(client, attempt.reference, path=path, secret="theirs").status_code == 200
        work_off()
        clock.shift(timedelta(hours=25))
        work_off()

    assert statuses(member) == ["processing"]
    difference = ReconciliationBreak.objects.get()
    assert (difference.kind, difference.reference) == ("orphan_event", attempt.reference)
    assert difference.account_id == InboxDelivery.objects.get().account_id
    assert difference.tenant_id == stranger.tenant_id


def test_a_tenants_own_callback_settles_a_payment_of_its_own_account(client, gateway, member):
    path = make_account(member, "talking", secret="mine").callback_url.removeprefix(settings.PUBLIC_URL)
    attempt = attempt_of(member)

    assert tell(client, attempt.reference, path=path, secret="mine").status_code == 200
    work_off()

    assert statuses(member) == ["settled"]
    assert InboxDelivery.objects.get().outcome == "recorded"


def test_news_of_a_refund_that_names_a_charge_is_not_taken_for_it(client, gateway, member):
    attempt = attempt_of(member)
    body = {"events": [{"reference": attempt.reference, "subject": "refund"}]}
    client.post(TALKING, body, format="json", headers={"X-Secret": "ours"})

    with outside_tenants():
        work_off_outbox()

    assert statuses(member) == ["processing"]


def test_news_without_an_owner_does_not_keep_the_rest_of_its_delivery(client, gateway, member):
    attempt = attempt_of(member)
    tell(client, "NOBODYS", attempt.reference)

    work_off()

    assert statuses(member) == ["settled"]
    assert InboxDelivery.objects.get().processed_at is None


def test_an_orphan_whose_owner_turns_up_is_processed_after_all(client, gateway, member):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        tell(client, "1" * 20)
        clock.shift(timedelta(hours=25))
        work_off()
        assert InboxDelivery.objects.get().outcome == "orphan"
        attempt = attempt_of(member)
        GatewayReference.objects.filter(reference=attempt.reference).update(reference="1" * 20)

        assert explain_by_later_news() == 1
        work_off()

    assert statuses(member) == ["settled"]


def test_a_gateway_that_does_not_confirm_a_hint_is_asked_later_and_one_that_refuses_is_not(client, settings, member):
    settings.PAYMENT_GATEWAYS = talking(is_signed=False)
    tell(client, attempt_of(member).reference)
    row = InboxDelivery.objects.get()
    with pytest.raises(RetryLater):
        _ask_and_meet_silence(row)

    installed().queries = [GatewayRefused("credentials")]
    process(row)

    row.refresh_from_db()
    assert (row.outcome, row.tries) == ("the gateway refused to answer", 0)


def test_only_headers_that_the_adapter_asks_for_and_the_database_takes_are_kept(client, gateway):
    client.post(
        TALKING,
        {"events": []},
        format="json",
        headers={"X-Secret": "ours", "X-Event-Id": "7", "User-Agent": "caf\xe9", "Authorization": "Basic c2VjcmV0"},
    )

    kept = InboxDelivery.objects.get().headers
    assert kept == {"content-type": "application/json", "x-event-id": "7"}


# --- Poison ----------------------------------------------------------------------------------------------------------


@pytest.mark.invariant("I27")
def test_what_cannot_be_processed_is_parked_and_delays_nobody(client, gateway, member, monkeypatch, record_figure):
    monkeypatch.setattr(TalkingGateway, "is_broken", True)
    attempts = [attempt_of(member) for _ in range(5)]
    poison = attempt_of(member)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        tell(client, poison.reference, is_poison=True)
        for attempt in attempts:
            tell(client, attempt.reference)

        work_off()
        assert sorted(statuses(member)) == ["processing", *["settled"] * 5]
        for _ in range(MAX_TRIES + 3):
            clock.shift(timedelta(minutes=10))
            work_off()

    row = InboxDelivery.objects.get(processed_at=None)
    assert (row.tries, row.outcome) == (MAX_TRIES, "parked") == (8, "parked")
    assert row.parked_at is not None
    assert "KeyError" in row.error
    assert "712345678" not in row.error
    assert not OutboxEvent.objects.filter(dead_at__isnull=False).exists()

    monkeypatch.setattr(TalkingGateway, "is_broken", False)
    replay_delivery(delivery_id=row.pk, actor_id=member.user.pk)
    work_off()

    row.refresh_from_db()
    assert (row.outcome, row.tries, row.error) == ("recorded", 0, "")
    assert not InboxDelivery.objects.exclude(parked_at=None).exists()
    assert statuses(member) == ["settled"] * 6
    line = AuditEntry.objects.get(action="callback.replayed")
    assert (line.actor_id, line.target_id, line.data["outcome"]) == (member.user.pk, str(row.pk), "parked")
    record_figure("parked after 8 tries; 5 of 5 others processed at once")


def test_replaying_what_was_processed_changes_nothing(client, gateway, member):
    tell(client, attempt_of(member).reference)
    work_off()

    replay_delivery(delivery_id=InboxDelivery.objects.get().pk, actor_id=member.user.pk)
    work_off()

    assert InboxDelivery.objects.get().outcome == "recorded"
    with tenant_scope(member.tenant_id), tenant_transaction():
        assert Observation.objects.count() == 1
    with pytest.raises(NotFound):
        replay_delivery(delivery_id=uuid.uuid4(), actor_id=member.user.pk)


def test_a_database_that_goes_away_is_not_the_callbacks_fault(client, gateway, member):
    tell(client, attempt_of(member).reference)
    row = InboxDelivery.objects.get()

    class Later(Weather):
        def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if "payments_observation" in sql:
                raise OperationalError("gone")
            return execute(sql, params, many, context)

    with connection.execute_wrapper(Later(0)), pytest.raises(OperationalError):
        process(row)

    row.refresh_from_db()
    assert (row.tries, row.parked_at) == (0, None)


# --- Load and junk ---------------------------------------------------------------------------------------------------


@pytest.mark.invariant("I28")
def test_acknowledging_asks_nobody_and_is_quick(client, gateway, wire, figure, record_figure):
    """The figure of the invariant is that of a full run on an idle computer; a quick one only looks that it works."""
    count = figure(quick=10, full=2_000)
    took, late = [], 0.0
    began = time.perf_counter()

    for number in range(count):
        due = began + number / 200
        if (ahead := due - time.perf_counter()) > 0 and count >= 1000:
            time.sleep(ahead)
        start = time.perf_counter()
        assert tell(client, f"R{number}").status_code == 200
        took.append(time.perf_counter() - start)
        late = time.perf_counter() - due

    assert wire.calls == []
    if count >= 1000:
        p99 = statistics.quantiles(took, n=100)[-1]
        record_figure(f"{count} at up to 200 per s: p99 {p99 * 1000:.0f} ms, {late:.1f} s behind at the end, 0 calls")
        assert p99 < 0.25


@pytest.mark.invariant("I29")
@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"7", b'"text"', b"\xff\xfe", b"{" * 100_000, b'{"a":' * 5_000 + b"1", b"\x00" * 100],
    ids=lambda body: repr(body[:10]),
)
def test_junk_is_a_clean_refusal(db, body):
    client = APIClient(raise_request_exception=False)

    response = client.post(CLICKPESA, body, content_type="application/json")

    assert response.status_code in {400, 401}
    assert faults_in(response) == []
    assert not InboxDelivery.objects.exists()
