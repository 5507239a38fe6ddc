"""`@idempotent`: the same request sent twice is done once and answered twice, byte for byte.

Key row, work and stored answer are one transaction. The second of two simultaneous requests waits on the unique index
until the first commits, and then reads its answer; a request that died leaves nothing behind, so its retry simply
does the work. The handler must not call the outside world (that is what the outbox is for).

Where the answer needs an outside call, `@idempotent(then=...)` has two steps. The handler returns
`Unfinished(resource)`; that and the key are committed, then `then(resource, still_here)` finds the answer, which is
stored. Whoever repeats the request meanwhile waits; when the process has died, the repetition itself does the second
step, from the resource's own state. So `then` must be safe to run twice, and at the same time.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial, wraps
from typing import Any, overload

import orjson
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response

from core.crash import crash_point
from core.exception_handler import http_status, refusal_response
from core.exceptions import Conflict, DomainError, Malformed, RuleViolated
from core.idempotency.models import IdempotencyKey
from core.later import Later, Unfinished
from core.renderers import EnvelopeJSONRenderer
from core.tenancy import current_tenant_id, joined_transaction

# Final refusals are stored like successes. A 400 is not: nothing was decided, and the client may correct the body.
STORED_REFUSALS = frozenset({402, 409, 422})
LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's SQLSTATE
_PRINTABLE = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,254}")


class IdempotencyKeyRequired(Malformed):
    """This operation moves money: the client has to name the request before it is done."""

    code = "idempotency_key_required"
    message = _("Send an Idempotency-Key header, for example a UUID, and repeat it when you retry.")


class IdempotencyKeyInvalid(Malformed):
    code = "idempotency_key_invalid"
    message = _("The Idempotency-Key must be 1 to 255 printable ASCII characters.")


class IdempotencyKeyReused(RuleViolated):
    code = "idempotency_key_reused"
    message = _("This Idempotency-Key was used for a different request.")


class IdempotencyInProgress(Conflict):
    code = "idempotency_in_progress"
    message = _("The first request with this Idempotency-Key is still running. Please retry in a moment.")


class StoredResponse(Response):
    """An answer whose bytes are already final, so that a replay is equal to the byte."""

    def __init__(self, body: bytes, status: int, *, is_replay: bool) -> None:
        super().__init__(status=status)
        self.headers["Content-Type"] = "application/json"
        self.body = body
        if is_replay:
            self.headers["Idempotent-Replayed"] = "true"

    @property
    def rendered_content(self) -> Any:
        return self.body


Handler = Callable[..., Response]
StillHere = Callable[[], object]
Then = Callable[[str, StillHere], Response]

# Whoever does the second step says at least this often that it lives.
LEASE = timedelta(seconds=2)
# So long a repetition waits for the first one.
PATIENCE = 5.0
_LOOK_EVERY = 0.1


@overload
def idempotent(handler: Handler) -> Handler: ...
@overload
def idempotent(*, then: Then | None = None, is_optional: bool = False) -> Callable[[Handler], Handler]: ...
def idempotent(
    handler: Handler | None = None, *, then: Then | None = None, is_optional: bool = False
) -> Handler | Callable[[Handler], Handler]:
    """Require an `Idempotency-Key` on this method of a tenant's view, and answer repetitions from the store.

    `then(resource, still_here)` gives the answer where the handler returned `Unfinished(resource)`; it runs in no
    transaction and calls `still_here()` at least once a second. With `is_optional`, a request without a key is simply
    done, each time that it comes.
    """
    if handler is None:
        return partial(_idempotent, then=then, is_optional=is_optional)
    return _idempotent(handler, then=None)


def _idempotent(handler: Handler, *, then: Then | None, is_optional: bool = False) -> Handler:
    @wraps(handler)
    def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        header = request.headers.get("Idempotency-Key")
        if header is None and is_optional:
            return handler(view, request, *args, **kwargs)
        key = read_key(header)
        row = _Row(f"{current_tenant_id()}:{request.user.pk}", key, fingerprint_of(request), then)
        with joined_transaction():
            if not _claim(row.scope, row.key, row.fingerprint):
                return _replay(row)
            crash_point("idempotency_claimed")
            done = _perform(lambda: handler(view, request, *args, **kwargs))
            if isinstance(done, Unfinished):
                row.stored().update(resource=done.resource, locked_until=timezone.now() + LEASE)
                return Later(partial(_finish, row, done.resource))
            body, status = done
            row.stored().update(status=status, body=body)
        return StoredResponse(body, status, is_replay=False)

    once.is_idempotent = True  # type: ignore[attr-defined]  # the schema reads it
    once.is_key_optional = is_optional  # type: ignore[attr-defined]
    return once


@dataclass(frozen=True, slots=True)
class _Row:
    scope: str
    key: str
    fingerprint: str
    then: Then | None

    def stored(self) -> QuerySet[IdempotencyKey]:
        return IdempotencyKey.objects.filter(scope=self.scope, key=self.key)


def read_key(header: str | None) -> str:
    """The key, bare or as a quoted structured-field string (the IETF draft's spelling); both are the same key."""
    if header is None:
        raise IdempotencyKeyRequired
    key = header.strip(" \t")
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = re.sub(r"\\([\"\\])", r"\1", key[1:-1])
    if not _PRINTABLE.fullmatch(key):
        raise IdempotencyKeyInvalid
    return key


def fingerprint_of(request: Request) -> str:
    """What makes two requests the same: method, path and meaning of the body. Order of JSON keys does not matter."""
    body = orjson.dumps(request.data, option=orjson.OPT_SORT_KEYS)
    told = b"\n".join([(request.method or "").encode(), request.path.encode(), body])
    return hashlib.sha256(told).hexdigest()


def _claim(scope: str, key: str, fingerprint: str) -> bool:
    """Insert the key row, waiting for whoever is inserting the same one; False when it exists.

    `IdempotencyInProgress` ends the transaction.
    """
    table = connection.ops.quote_name(IdempotencyKey._meta.db_table)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} (scope, key, fingerprint, status, body, resource, created_at)"  # noqa: S608  a constant name
                " VALUES (%s, %s, %s, 0, %s, '', %s) ON CONFLICT (scope, key) DO NOTHING",
                [scope, key, fingerprint, b"", timezone.now()],
            )
            return bool(cursor.rowcount == 1)
    except OperationalError as error:
        # PostgreSQL's lock_timeout (5 s): the first one has not finished. SQLite's writers wait at BEGIN already.
        if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise IdempotencyInProgress(retry_after=1) from None


def _replay(row: _Row) -> Response:
    stored = row.stored().first()
    if stored is None:
        raise IdempotencyInProgress(retry_after=1)
    if stored.fingerprint != row.fingerprint:
        raise IdempotencyKeyReused
    if stored.status:
        return StoredResponse(bytes(stored.body), stored.status, is_replay=True)
    if not stored.resource or row.then is None:
        raise IdempotencyInProgress(retry_after=1)
    return Later(partial(_await, row, stored.resource))


def _await(row: _Row, resource: str) -> Response:
    """The answer that somebody else is about to store; or take their place when they have gone silent."""
    ends_at = time.monotonic() + PATIENCE
    while time.monotonic() < ends_at:
        if answer := _find_answer(row):
            return answer
        now = timezone.now()
        if row.stored().filter(status=0, locked_until__lt=now).update(locked_until=now + LEASE):
            return _finish(row, resource)
        time.sleep(_LOOK_EVERY)
    raise IdempotencyInProgress(retry_after=1)


def _finish(row: _Row, resource: str) -> Response:
    """Do the second step and store its answer. Of two who do it at once the first to store gives the answer of both."""
    if row.then is None:
        raise IdempotencyInProgress(retry_after=1)
    unanswered = row.stored().filter(status=0)
    response = row.then(resource, lambda: unanswered.update(locked_until=timezone.now() + LEASE))
    body = _rendered(response)
    if unanswered.update(status=response.status_code, body=body):
        return StoredResponse(body, response.status_code, is_replay=False)
    answer = _find_answer(row)
    if answer is None:
        raise IdempotencyInProgress(retry_after=1)
    return answer


def _find_answer(row: _Row) -> Response | None:
    stored = row.stored().exclude(status=0).first()
    return StoredResponse(bytes(stored.body), stored.status, is_replay=True) if stored else None


def _perform(handler: Callable[[], Response]) -> tuple[bytes, int] | Unfinished:
    """Run the handler in a savepoint: a final refusal undoes its work and keeps the key with the refusal."""
    try:
        with transaction.atomic():
            response = handler()
    except DomainError as refusal:
        if http_status(type(refusal)) not in STORED_REFUSALS:
            raise
        answer = refusal_response(refusal)
        if answer is None:
            raise
        response = answer
    if isinstance(response, Unfinished):
        return response
    return _rendered(response), response.status_code


def _rendered(response: Response) -> bytes:
    return EnvelopeJSONRenderer().render(response.data, renderer_context={"response": response})
