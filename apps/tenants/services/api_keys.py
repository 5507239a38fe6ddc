"""Use cases for API keys: make, revoke, prove.

`fk_<prefix>_<secret>`: the prefix finds the row, the secret is compared by its hash, in constant time. A key acts in
the name of the person who made it, and only while they are an active member: nobody keeps a way in by a key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.tenants.models import ApiKey
from apps.tenants.selectors.api_keys import KeyPrincipal, find_key_principal
from apps.tenants.services.members import AdminsOnly, lock_tenant
from core.audit.actions import Action, ActorKind
from core.audit.record import record
from core.exceptions import NotAuthenticated, NotFound, RuleViolated
from core.tenancy import current_tenant_id, tenant_atomic

LAST_USED_EVERY = timedelta(minutes=1)
MAX_LIVE_KEYS = 50
_SHAPE = re.compile(r"fk_([0-9a-f]{12})_([0-9a-f]{64})")


class ApiKeyInvalid(NotAuthenticated):
    """Unknown, altered, expired or revoked, or its maker's account is not active; the answer does not say which."""

    code = "api_key_invalid"
    message = _("This API key is not valid.")


class ExpiryPassed(RuleViolated):
    """A key that never works helps nobody."""

    code = "expiry_passed"
    message = _("The end of the key's life has passed already.")


class TooManyApiKeys(RuleViolated):
    """A tenant has 50 keys that are not revoked."""

    code = "too_many_api_keys"
    message = _("There are too many API keys. Revoke some first.")


# How `create_api_key` can refuse, for the schema.
CREATE_REFUSALS = (AdminsOnly, ExpiryPassed, TooManyApiKeys)


@tenant_atomic
def create_api_key(
    *, actor_id: UUID, name: str, scopes: Sequence[str], expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """A new key of the current tenant, and its full text, which nobody can read again.

    `AdminsOnly`, `ExpiryPassed` or `TooManyApiKeys`.
    """
    actor = lock_tenant(actor_id=actor_id).require_admin()
    if expires_at is not None and expires_at <= timezone.now():
        raise ExpiryPassed(errors={"expires_at": [ExpiryPassed.message]})
    if ApiKey.objects.filter(tenant_id=actor.tenant_id, revoked_at=None).count() >= MAX_LIVE_KEYS:
        raise TooManyApiKeys
    prefix, secret = secrets.token_hex(6), secrets.token_hex(32)
    key = ApiKey.objects.create(
        tenant=actor.tenant,
        created_by_id=actor_id,
        name=name,
        prefix=prefix,
        secret_hash=_hash_of(secret),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
    )
    told = {"scopes": key.scopes, "expires_at": expires_at}
    record(Action.API_KEY_CREATED, actor=actor_id, target=key, tenant_id=actor.tenant_id, data=told)
    return key, f"fk_{prefix}_{secret}"


@tenant_atomic
def revoke_api_key(*, actor_id: UUID, key_id: UUID) -> None:
    """End a key, from its next request on; `AdminsOnly` or `NotFound`. Revoking it twice is fine."""
    lock_tenant(actor_id=actor_id).require_admin()
    now = timezone.now()
    key = ApiKey.objects.filter(tenant_id=current_tenant_id(), pk=key_id).first()
    if key is None:
        raise NotFound
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now, updated_at=now):
        record(Action.API_KEY_REVOKED, actor=actor_id, target=key, tenant_id=key.tenant_id)


@transaction.atomic
def revoke_for_safety(*, key_id: UUID, operator_id: UUID) -> bool:
    """End a key of any tenant, for platform staff. False: it was revoked already."""
    now = timezone.now()
    if not ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=now, updated_at=now):
        return False
    key = ApiKey.objects.get(pk=key_id)
    record(Action.API_KEY_REVOKED, actor=operator_id, kind=ActorKind.STAFF, target=key, tenant_id=key.tenant_id)
    return True


def authenticate_key(*, text: str) -> KeyPrincipal:
    """The live key behind `text`, or `ApiKeyInvalid`. Whether its tenant may be entered is in the principal."""
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ApiKeyInvalid
    prefix, secret = shape.groups()
    principal = find_key_principal(prefix=prefix)
    # An unknown prefix is compared too, so that time does not tell which prefixes exist.
    known = principal.key.secret_hash if principal is not None else _hash_of("")
    is_right = hmac.compare_digest(known, _hash_of(secret))
    if principal is None or not is_right:
        raise ApiKeyInvalid
    key, now = principal.key, timezone.now()
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        raise ApiKeyInvalid
    if not principal.user.is_active:
        raise ApiKeyInvalid
    if key.last_used_at is None or now - key.last_used_at > LAST_USED_EVERY:
        # Asked again in the statement: of many requests at once one writes.
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
    return principal


def _hash_of(secret: str) -> str:
    # 256 random bits need no slow hash.
    return hashlib.sha256(secret.encode()).hexdigest()
