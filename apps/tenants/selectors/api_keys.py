"""Questions about API keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import QuerySet

from apps.tenants.models import ApiKey
from apps.tenants.selectors.members import role_subquery
from core.tenancy import current_tenant_id

if TYPE_CHECKING:
    from apps.accounts.models import User


@dataclass(frozen=True, slots=True)
class KeyPrincipal:
    """A machine that is asking: its key, and the role that the key's maker has in the key's tenant right now.

    Deliberately without `role`: whatever asks for an owner or an admin asks for a person.
    """

    key: ApiKey
    makers_role: str | None

    @property
    def user(self) -> User:
        """Whoever made the key, and answers for what it does."""
        return self.key.created_by

    @property
    def is_tenant_suspended(self) -> bool:
        return self.key.tenant.suspended_at is not None

    @property
    def tenant_id(self) -> UUID | None:
        """The tenant whose room may be entered: a live one, of which the key's maker is a member now."""
        if self.makers_role is None or self.is_tenant_suspended:
            return None
        return self.key.tenant_id


def list_api_keys() -> QuerySet[ApiKey]:
    """Keys of the current tenant, newest first, without what they are opened with."""
    keys = ApiKey.objects.filter(tenant_id=current_tenant_id()).defer("secret_hash")
    return keys.order_by("-created_at", "-pk")


def find_key_principal(*, prefix: str) -> KeyPrincipal | None:
    """Key, maker, tenant and role in one query, or None. Whether they may pass is the caller's question."""
    key = (
        ApiKey.objects.select_related("created_by", "tenant")
        .annotate(makers_role=role_subquery(user_id="created_by_id", tenant_id="tenant_id"))
        .filter(prefix=prefix)
        .first()
    )
    return None if key is None else KeyPrincipal(key, key.makers_role)
