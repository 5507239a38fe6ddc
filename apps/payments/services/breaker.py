"""The breaker: while a gateway does not answer, nobody waits for it.

One row per account at a gateway, shared by all workers. It opens when, of at least 20 calls within a minute, half or
more met silence; it then rests for 30 seconds, after which one call finds out whether the gateway is back. A decline
or a refusal is an answer. While all is well nothing is written: answers are counted in the process, and reach the row
together with the first silence.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.payments.models.accounts import GatewayHealth
from core.outbox.relay import RetryLater
from services.http import GatewayUnavailable, OutcomeUnknown

logger = logging.getLogger("faraja.payments")
T = TypeVar("T")

WINDOW: Final = timedelta(seconds=60)
MIN_CALLS: Final = 20
REST: Final = timedelta(seconds=30)
# Answers that a process may keep to itself while others meet silence: each costs a write to a row that all share.
UNTOLD: Final = 5

_Key = tuple[str, UUID]


class GatewayAway(RetryLater, GatewayUnavailable):
    """Nothing was sent. The outbox delivers again after `delay`, and does not count it as a failure."""

    def __init__(self, delay: timedelta) -> None:
        super().__init__(max(delay, timedelta(seconds=1)))
        self.message = GatewayUnavailable.message  # for people; what `RetryLater` says is for the log
        self.retry_after = int(self.delay.total_seconds()) + 1


class GatewayResting(GatewayAway):
    """The gateway has not answered lately and is left alone."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one call to an account. Whoever has it tells how the call went, by `note`."""

    key: _Key
    is_probe: bool

    def hear(self, answer: Callable[[], T]) -> T:
        """`answer()`, having noted whether it was one."""
        try:
            told = answer()
        except Exception as error:
            self.note(error)
            raise
        self.note(None)
        return told

    def note(self, error: BaseException | None) -> None:
        """There was an answer (None), or the call ended in `error`: a refusal is an answer, too."""
        if isinstance(error, GatewayUnavailable | OutcomeUnknown):
            _silence(self.key, is_probe=self.is_probe)
        else:
            _answered(self.key, is_probe=self.is_probe)


def guarded(gateway: str, account_id: UUID, ask: Callable[[], T]) -> T:
    """`ask()`, unless the account is resting: then `GatewayResting`. Notes whether there was an answer.

    Call it outside transactions: it writes rows that every worker needs.
    """
    return admit(gateway, account_id).hear(ask)


def admit(gateway: str, account_id: UUID) -> Permit:
    """Leave for one call, or `GatewayResting`. For calls that are made in another thread; others use `guarded`."""
    key = (gateway, account_id)
    return Permit(key, is_probe=_admit(key))


def is_resting(gateway: str, account_id: UUID) -> bool:
    """Whether a call to this account would be held back now."""
    row = _find((gateway, account_id))
    return row is not None and row.open_until is not None and row.open_until > timezone.now()


def refuse_when_resting(gateway: str, account_id: UUID) -> None:
    """Raise `GatewayResting` while the account is left alone."""
    row = _find((gateway, account_id))
    if row is not None and row.open_until is not None and row.open_until > (now := timezone.now()):
        raise GatewayResting(row.open_until - now)


def _admit(key: _Key) -> bool:
    """Let a call pass, or raise `GatewayResting`; says whether it is the one that finds out."""
    row = _find(key)
    if row is None or row.open_until is None:
        if row is not None and row.silences and row.window_started_at > timezone.now() - WINDOW:
            _answers.in_trouble(key)
        return False
    now = timezone.now()
    if row.open_until > now:
        raise GatewayResting(row.open_until - now)
    # A claim that ends by itself: should this process die, another call finds out in half a minute. It also is the end
    # of the rest if the call meets silence, so that a slow silence does not make the rest longer.
    claimed = GatewayHealth.objects.filter(pk=row.pk, open_until=row.open_until)
    if not claimed.update(open_until=now + REST, is_probing=True):
        raise GatewayResting(REST)
    return True


def _answered(key: _Key, *, is_probe: bool) -> None:
    if is_probe:
        _answers.forget(key)
        row = GatewayHealth.objects.filter(gateway=key[0], account_id=key[1])
        row.update(open_until=None, is_probing=False, calls=0, silences=0, window_started_at=timezone.now())
        logger.warning("gateway is back", extra={"gateway": key[0], "account_id": str(key[1])})
        return
    if told := _answers.add(key):
        _count(key, told, silences=0)


def _silence(key: _Key, *, is_probe: bool) -> None:
    if is_probe:
        GatewayHealth.objects.filter(gateway=key[0], account_id=key[1]).update(is_probing=False)
        return
    _count(key, _answers.take(key), silences=1)


def _count(key: _Key, answers: _Answers, *, silences: int) -> None:
    """Add to the account's window, and open the breaker when that is too much."""
    with transaction.atomic():
        row = _lock(key)
        now = timezone.now()
        if row.open_until is not None:
            return  # news of calls that were on their way when it opened
        if row.window_started_at <= now - WINDOW:
            row.window_started_at, row.calls, row.silences = answers.since, 0, 0
        row.calls += answers.count + silences
        row.silences += silences
        if row.calls >= MIN_CALLS and 2 * row.silences >= row.calls:
            told = {"calls": row.calls, "silences": row.silences}
            row.open_until, row.is_probing, row.calls, row.silences = now + REST, False, 0, 0
            logger.error("gateway does not answer", extra={"gateway": key[0], "account_id": str(key[1]), **told})
        row.save()


def _find(key: _Key) -> GatewayHealth | None:
    return GatewayHealth.objects.filter(gateway=key[0], account_id=key[1]).first()


def _lock(key: _Key) -> GatewayHealth:
    rows = GatewayHealth.objects.select_for_update()
    row = rows.filter(gateway=key[0], account_id=key[1]).first()
    if row is not None:
        return row
    try:
        with transaction.atomic():
            return GatewayHealth.objects.create(gateway=key[0], account_id=key[1], window_started_at=timezone.now())
    except IntegrityError:
        return rows.get(gateway=key[0], account_id=key[1])


@dataclass(frozen=True, slots=True)
class _Answers:
    """How many answers there were since when."""

    since: datetime
    count: int = 0


class _Counter:
    """Answers that this process has not told the others about, of the last minute, by account."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[_Key, _Answers] = {}
        self._troubled: set[_Key] = set()

    def add(self, key: _Key) -> _Answers | None:
        """One more. Those to be told now, which is only while the account is in trouble."""
        with self._lock:
            kept = self._recent(key)
            kept = self._kept[key] = _Answers(kept.since, kept.count + 1)
            if key not in self._troubled or kept.count < UNTOLD:
                return None
            self._troubled.discard(key)
            return self._kept.pop(key)

    def take(self, key: _Key) -> _Answers:
        """All of them; the caller tells the others."""
        with self._lock:
            recent = self._recent(key)
            self._kept.pop(key, None)
            return recent

    def in_trouble(self, key: _Key) -> None:
        """Others have met silence there: they should hear of answers, too."""
        with self._lock:
            self._troubled.add(key)

    def forget(self, key: _Key) -> None:
        with self._lock:
            self._kept.pop(key, None)
            self._troubled.discard(key)

    def _recent(self, key: _Key) -> _Answers:
        now = timezone.now()
        kept = self._kept.get(key)
        return kept if kept is not None and now - WINDOW < kept.since <= now else _Answers(now)


_answers = _Counter()
