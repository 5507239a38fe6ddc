"""`record`: write an audit line in the transaction of the deed."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection
from django.db.models import Model

from core import context
from core.audit.actions import Action, ActorKind
from core.audit.models import AuditEntry
from core.client_address import client_key
from core.logging import is_secret_name, redact_secrets

logger = logging.getLogger("faraja.audit")

MAX_TEXT, MAX_ITEMS = 300, 50
# Longer than any id: a token, a hash or a key. What stands before an @ is an address.
_LONG_RUN = re.compile(r"(?<![\w-])[A-Za-z0-9_-]{40,}(?![\w@.-])")


class NoTransaction(RuntimeError):
    """`record` was called outside a transaction: the line could be lost although the deed was done."""


def record(
    action: Action,
    *,
    actor: AbstractBaseUser | UUID | None = None,
    kind: ActorKind | None = None,
    target: Model | UUID | None = None,
    tenant_id: UUID | None = None,
    data: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Write one line: `actor` did `action` to `target`. Call it in the transaction of the deed, or `NoTransaction`.

    People may be given by their id. Without an actor it was the system; as what an actor acted follows from the
    request (admin, API key), and `kind` overrules that. With `tenant_id` the tenant's owners and admins read the line:
    only for what happened to the tenant. `data` holds a few plain values; secrets in it are masked.
    """
    # As `transaction.atomic(durable=True)` decides it: the transactions of Django's test cases do not count.
    if all(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
        raise NoTransaction(action)
    actor_id, actor_email = _person(actor)
    target_type, target_id, target_label = _target(target, actor_id, actor_email)
    if kind is None:
        kind = ActorKind(context.actor_kind.get() or ActorKind.PERSON) if actor_id is not None else ActorKind.SYSTEM
    client = context.client.get()
    entry = AuditEntry.objects.create(
        actor_kind=kind,
        actor_id=actor_id,
        actor_email=actor_email,
        action=Action(action),
        target_type=target_type,
        target_id=target_id,
        target_label=target_label,
        tenant_id=tenant_id,
        data={str(name)[:50]: _plain(name, value) for name, value in list((data or {}).items())[:MAX_ITEMS]},
        request_id=context.request_id.get()[:64],
        client_key=client_key(client) if client else "",
    )
    told = {"audit_id": str(entry.pk), "actor_id": str(actor_id or ""), "target": f"{target_type} {target_id}".strip()}
    logger.info(str(entry.action), extra=told | {"actor_kind": str(kind)})
    return entry


def _person(person: AbstractBaseUser | UUID | None) -> tuple[UUID | None, str]:
    if person is None:
        return None, ""
    if isinstance(person, AbstractBaseUser):
        return person.pk, person.get_username()[:254]
    model = get_user_model()
    email = model._base_manager.filter(pk=person).values_list(model.USERNAME_FIELD, flat=True).first()
    return person, str(email or "")[:254]


def _target(target: Model | UUID | None, actor_id: UUID | None, actor_email: str) -> tuple[str, str, str]:
    if target is None:
        return "", "", ""
    if isinstance(target, UUID):
        email = actor_email if target == actor_id else _person(target)[1]
        return "user", str(target), email
    return str(target._meta.model_name), str(target.pk), redact_secrets(str(target))[:254]


def _plain(name: object, value: Any) -> Any:
    """A value as JSON that is small and tells no secret."""
    if is_secret_name(str(name)):
        return "[secret]"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_plain("", item) for item in list(items)[:MAX_ITEMS]]
    return _LONG_RUN.sub("[secret]", redact_secrets(str(value)))[:MAX_TEXT]
