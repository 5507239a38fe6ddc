"""`@idempotent`: the same request sent twice is done once and answered twice, byte for byte.

Key row, work and stored answer are one transaction. The second of two simultaneous requests waits on the unique index
until the first commits, and then reads its answer; a request that died leaves nothing behind, so its retry simply
does the work. The handler must not call the outside world (that is what the outbox is for).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import orjson
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response

from core.crash import crash_point
from core.exception_handler import http_status, refusal_response
from core.exceptions import Conflict, DomainError, Malformed, RuleViolated
from core.idempotency.models import IdempotencyKey
from core.renderers import EnvelopeJSONRenderer
from core.tenancy import current_tenant_id, tenant_transaction

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


def idempotent(handler: Handler) -> Handler:
    """Require an `Idempotency-Key` on this method of a tenant's view, and answer repetitions from the store."""

    @wraps(handler)
    def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = read_key(request.headers.get("Idempotency-Key"))
        scope = f"{current_tenant_id()}:{request.user.pk}"
        fingerprint = fingerprint_of(request)
        with tenant_transaction():
            if not _claim(scope, key, fingerprint):
                return _replay(scope, key, fingerprint)
            crash_point("idempotency_claimed")
            body, status = _perform(lambda: handler(view, request, *args, **kwargs))
            IdempotencyKey.objects.filter(scope=scope, key=key).update(status=status, body=body)
        return StoredResponse(body, status, is_replay=False)

    once.is_idempotent = True  # type: ignore[attr-defined]  # the schema reads it
    return once


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
    """Insert the key row, waiting for whoever is inserting the same one; False when it exists."""
    table = connection.ops.quote_name(IdempotencyKey._meta.db_table)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} (scope, key, fingerprint, status, body, created_at)"  # noqa: S608  a constant name
                " VALUES (%s, %s, %s, 0, %s, %s) ON CONFLICT (scope, key) DO NOTHING",
                [scope, key, fingerprint, b"", timezone.now()],
            )
            return bool(cursor.rowcount == 1)
    except OperationalError as error:
        # PostgreSQL's lock_timeout (5 s): the first one has not finished. SQLite's writers wait at BEGIN already.
        if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise IdempotencyInProgress(retry_after=1) from None


def _replay(scope: str, key: str, fingerprint: str) -> Response:
    stored = IdempotencyKey.objects.filter(scope=scope, key=key).first()
    if stored is None:
        raise IdempotencyInProgress(retry_after=1)
    if stored.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    if not stored.status:
        raise IdempotencyInProgress(retry_after=1)
    return StoredResponse(bytes(stored.body), stored.status, is_replay=True)


def _perform(handler: Callable[[], Response]) -> tuple[bytes, int]:
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
    body = EnvelopeJSONRenderer().render(response.data, renderer_context={"response": response})
    return body, response.status_code
