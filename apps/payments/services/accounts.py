"""Which account at a gateway a payment goes through: the tenant's own where it has one, else the installation's.

The installation's accounts stand in the settings. A tenant's is a row, whose credentials are sealed and never shown.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.payments.callback_tokens import CallbackAddress, callback_token
from apps.payments.models.accounts import OWN_ACCOUNT, GatewayAccount, GatewayReference
from apps.payments.services.breaker import guarded, refuse_when_resting
from apps.tenants.selectors.tenants import list_tenant_ids
from apps.tenants.services.members import AdminsOnly, lock_tenant
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import NotFound, RuleViolated
from core.sealing import SealBroken, reseal, seal, unseal
from core.tenancy import (
    current_tenant_id,
    joined_transaction,
    tenant_atomic,
    tenant_joined,
    tenant_scope,
    tenant_transaction,
)
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments.base import Capability, GatewayRefused, Method, PaymentGateway
from services.payments.registry import (
    GatewayNotEnabled,
    build_gateway,
    gateway_class,
    gateway_codes,
    get_gateway,
    has_own_account,
)

logger = logging.getLogger("faraja.payments")
T = TypeVar("T")


class CredentialsInvalid(RuleViolated):
    """The gateway cannot be used with these credentials; `errors` names those that are missing or not known."""

    code = "credentials_invalid"
    message = _("These credentials cannot be used with this payment method.")


# How `save_account`, `retire_account` and `rotate_callback` can refuse, for the schema.
ACCOUNT_REFUSALS = (AdminsOnly, NotFound)
SAVE_REFUSALS = (*ACCOUNT_REFUSALS, CredentialsInvalid)

# Where a gateway's callbacks arrive; `config.urls` says the same.
CALLBACK_PATH = "/api/v1/webhooks/{gateway}/{token}/"


# --- Using an account ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account at one gateway, ready to be called. `id` and `tenant_id` are None for the installation's."""

    gateway: PaymentGateway = field(repr=False)
    code: str
    id: UUID | None = None
    tenant_id: UUID | None = None
    callback_version: int = 0
    is_retired: bool = False

    @property
    def key(self) -> UUID:
        """`id`, or the zero UUID of the installation's account."""
        return self.id or OWN_ACCOUNT

    def call(self, ask: Callable[[PaymentGateway], T]) -> T:
        """`ask(gateway)`, unless the gateway is being left alone (`GatewayResting`). Never inside a transaction.

        Every call to a gateway goes through here: this is where silence is noticed.
        """
        return guarded(self.code, self.key, lambda: ask(self.gateway))


@tenant_joined
def choose_account(gateway: str) -> Account:
    """The account for new business of the tenant in scope, or `GatewayNotEnabled`.

    An account of the tenant's that is switched off is not replaced by the installation's: the money would go elsewhere.
    Raises `GatewayUnavailable` while the gateway does not answer, where that is to be told rather than waited for.
    """
    own = _find_own(gateway)
    if own is not None and not own.is_enabled:
        raise GatewayNotEnabled
    account = _shared(gateway) if own is None else _opened(own)
    if settings.PAYMENT_REFUSE_WHEN_GATEWAY_IS_DOWN or (own is not None and own.refuses_when_down):
        refuse_when_resting(account.code, account.key)
    return account


def open_account(gateway: str, account_id: UUID | None) -> Account:
    """The account that something was begun with, also when it is not offered for new business any more."""
    if account_id is None:
        return _shared(gateway)
    with joined_transaction():
        row = GatewayAccount.objects.get(pk=account_id)
    return _opened(row)


def find_account_of_address(gateway: str, address: CallbackAddress) -> Account | None:
    """The tenant's account that this callback address was given out for, unless it has been rotated away."""
    with tenant_scope(address.tenant_id), tenant_transaction():
        row = GatewayAccount.objects.filter(
            pk=address.account_id, gateway=gateway, callback_version=address.version
        ).first()
        return None if row is None else _opened(row)


def open_account_of(gateway: str, account_id: UUID, tenant_id: UUID | None) -> Account:
    """The account of a row outside the walls: `account_id` is the zero UUID for the installation's."""
    if tenant_id is None:
        return _shared(gateway)
    with tenant_scope(tenant_id):
        return open_account(gateway, account_id)


def callback_url_of(account: Account) -> str:
    """Where this account's callbacks arrive. A secret: whoever knows it may knock, though not yet be believed."""
    if account.id is None or account.tenant_id is None:
        token = settings.PAYMENT_GATEWAYS[account.code]["CALLBACK_TOKEN"]
    else:
        address = CallbackAddress(tenant_id=account.tenant_id, account_id=account.id, version=account.callback_version)
        token = callback_token(address)
    return str(settings.PUBLIC_URL + CALLBACK_PATH.format(gateway=account.code, token=token))


def every_account() -> Iterator[Account]:
    """The installation's accounts and those of all tenants, retired ones too, for operators and housekeeping.

    An account whose credentials cannot be read is logged and left out.
    """
    for code in gateway_codes():
        if has_own_account(code):
            yield _shared(code)
    for tenant_id in list_tenant_ids():
        with tenant_scope(tenant_id), tenant_transaction():
            rows = list(GatewayAccount.objects.filter(gateway__in=gateway_codes()).order_by("gateway", "created_at"))
        for row in rows:
            try:
                yield _opened(row)
            except (SealBroken, ImproperlyConfigured) as fault:
                logger.error("account cannot be opened", extra={"account_id": str(row.pk), "error": str(fault)})


def check_account(account: Account) -> str:
    """Whether the account can be used, by one call that changes nothing: what is wrong, or nothing."""
    try:
        account.gateway.probe()
    except GatewayRefused as refusal:
        return f"refused: {refusal.reason}"
    except (GatewayUnavailable, OutcomeUnknown):
        return "no answer"
    return ""


def _shared(gateway: str) -> Account:
    return Account(gateway=get_gateway(gateway), code=gateway)


def _opened(row: GatewayAccount) -> Account:
    return Account(
        gateway=build_gateway(row.gateway, _credentials_of(row)),
        code=row.gateway,
        id=row.pk,
        tenant_id=row.tenant_id,
        callback_version=row.callback_version,
        is_retired=row.retired_at is not None,
    )


def _credentials_of(row: GatewayAccount) -> dict[str, str]:
    credentials: dict[str, str] = json.loads(unseal(row.credentials))
    return credentials


def _find_own(gateway: str) -> GatewayAccount | None:
    own: GatewayAccount | None = GatewayAccount.objects.filter(gateway=gateway, retired_at=None).first()
    return own


# --- What is available -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOffer:
    """One payment method that the tenant can use now. `account` says whose: `own` or `shared`."""

    code: str
    name: str
    account: str
    methods: list[str]
    currencies: list[str]
    capabilities: list[str]


@tenant_atomic
def list_gateways() -> list[GatewayOffer]:
    """What the tenant in scope can pay with now, in the installation's order. Asks no gateway anything."""
    own = dict(GatewayAccount.objects.filter(retired_at=None).values_list("gateway", "is_enabled"))
    offers = []
    for code in gateway_codes():
        if own.get(code, has_own_account(code)):
            adapter = gateway_class(code)
            offers.append(
                GatewayOffer(
                    code=code,
                    name=adapter.name,
                    account="own" if code in own else "shared",
                    methods=[method.value for method in Method if Capability(method.value) in adapter.capabilities],
                    currencies=sorted(adapter.currencies),
                    capabilities=[each.value for each in Capability if each in adapter.capabilities],
                )
            )
    return offers


# --- A tenant's own accounts -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCredential:
    """A credential as it may be shown: its value only where it is no secret."""

    name: str
    is_secret: bool
    is_required: bool
    is_set: bool
    value: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAccount:
    """A tenant's own account, as its owners and admins see it."""

    gateway: str
    is_enabled: bool
    allows_manual_refunds: bool
    refuses_when_down: bool
    credentials: list[ShownCredential]
    callback_url: str = field(repr=False)
    created_at: datetime
    updated_at: datetime


@tenant_atomic
def get_account(*, gateway: str) -> ShownAccount:
    """The account of the tenant in scope at this gateway, or `NotFound`."""
    row = _find_own(gateway)
    if row is None or gateway not in gateway_codes():
        raise NotFound
    return _shown(row)


@tenant_atomic
def save_account(
    *,
    actor_id: UUID,
    gateway: str,
    credentials: Mapping[str, str] | None = None,
    is_enabled: bool | None = None,
    allows_manual_refunds: bool | None = None,
    refuses_when_down: bool | None = None,
) -> ShownAccount:
    """Give the tenant in scope an account of its own at `gateway`, or change it. What is None stays as it is.

    `credentials` replace all that were there. Where their open part names another merchant, and something was begun
    with the account so far, that one is retired and a new one takes its place, with a callback address of its own.
    Raises `AdminsOnly`, `NotFound` for a gateway that nobody knows, or `CredentialsInvalid`.
    """
    lock_tenant(actor_id=actor_id).require_admin()
    if gateway not in gateway_codes():
        raise NotFound
    row = _find_own(gateway)
    is_new, changed = row is None, []
    if row is None:
        row = GatewayAccount(gateway=gateway)
    if credentials is not None or is_new:
        clean = _checked(gateway, credentials or {})
        changed.append("credentials")
        if not is_new and _is_other_merchant(row, clean) and _is_used(row):
            _retire(row)
            row = GatewayAccount(
                gateway=gateway,
                is_enabled=row.is_enabled,
                allows_manual_refunds=row.allows_manual_refunds,
                refuses_when_down=row.refuses_when_down,
            )
            changed.append("merchant")
        row.credentials = seal(json.dumps(clean, sort_keys=True))
    wishes = {
        "is_enabled": is_enabled,
        "allows_manual_refunds": allows_manual_refunds,
        "refuses_when_down": refuses_when_down,
    }
    for name, wish in wishes.items():
        if wish is not None and wish != getattr(row, name):
            setattr(row, name, wish)
            changed.append(name)
    row.save()
    action = Action.GATEWAY_ACCOUNT_ADDED if is_new else Action.GATEWAY_ACCOUNT_CHANGED
    _record(action, row, actor_id, changed=changed, is_enabled=row.is_enabled)
    return _shown(row)


@tenant_atomic
def retire_account(*, actor_id: UUID, gateway: str) -> None:
    """Give the tenant's own account up: new payments go through the installation's again, where there is one.

    What was begun with it still ends with it, callbacks included. `AdminsOnly` or `NotFound`.
    """
    row = _get_managed(actor_id, gateway)
    _retire(row)
    _record(Action.GATEWAY_ACCOUNT_RETIRED, row, actor_id)


@tenant_atomic
def rotate_callback(*, actor_id: UUID, gateway: str) -> ShownAccount:
    """Give the account another callback address. The one before is answered like any that was never given out.

    `AdminsOnly` or `NotFound`.
    """
    row = _get_managed(actor_id, gateway)
    row.callback_version += 1
    row.save(update_fields=["callback_version", "updated_at"])
    _record(Action.GATEWAY_ACCOUNT_ROTATED, row, actor_id)
    return _shown(row)


def reseal_accounts() -> int:
    """Encrypt all tenants' credentials under the newest key, so that older keys can go; returns how many rows.

    `SealBroken` when a row opens with no key.
    """
    count = 0
    for tenant_id in list_tenant_ids():
        with tenant_scope(tenant_id), tenant_transaction():
            for row in GatewayAccount.objects.select_for_update().order_by("pk"):
                row.credentials = reseal(row.credentials)
                row.save(update_fields=["credentials"])
                count += 1
    return count


def _get_managed(actor_id: UUID, gateway: str) -> GatewayAccount:
    # The tenant's lock is enough: every change of its accounts takes it first.
    lock_tenant(actor_id=actor_id).require_admin()
    row = _find_own(gateway)
    if row is None:
        raise NotFound
    return row


def _checked(gateway: str, credentials: Mapping[str, str]) -> dict[str, str]:
    """The credentials that are not blank, or `CredentialsInvalid`. Only what the adapter declares: never an address."""
    declared = {each.name: each for each in gateway_class(gateway).credentials}
    clean = {name: value.strip() for name, value in credentials.items() if value.strip()}
    faults = {f"credentials.{name}": [_("Unknown field.")] for name in credentials if name not in declared}
    missing = [each.name for each in declared.values() if each.is_required and each.name not in clean]
    faults |= {f"credentials.{name}": [_("This field is required.")] for name in missing}
    if faults:
        raise CredentialsInvalid(errors=faults)
    try:
        build_gateway(gateway, clean)
    except (ImproperlyConfigured, ValueError) as fault:
        # The adapters name the option and never its value.
        logger.info("credentials cannot be used", extra={"gateway": gateway, "error": type(fault).__name__})
        raise CredentialsInvalid(errors={"credentials": [CredentialsInvalid.message]}) from None
    return clean


def _is_other_merchant(row: GatewayAccount, credentials: Mapping[str, str]) -> bool:
    """Whether the part of the credentials that is no secret, which names who is meant, is another."""
    try:
        before = _credentials_of(row)
    except SealBroken:
        return True  # nobody can tell any more
    names = [each.name for each in gateway_class(row.gateway).credentials if not each.is_secret]
    return any(before.get(name) != credentials.get(name) for name in names)


def _is_used(row: GatewayAccount) -> bool:
    return GatewayReference.objects.filter(gateway=row.gateway, account_id=row.pk).exists()


def _retire(row: GatewayAccount) -> None:
    row.retired_at = timezone.now()
    row.save(update_fields=["retired_at", "updated_at"])


def _record(action: Action, row: GatewayAccount, actor_id: UUID, **data: object) -> None:
    record(action, actor=actor_id, target=row, tenant_id=current_tenant_id(), data=data)


def _shown(row: GatewayAccount) -> ShownAccount:
    values = _credentials_of(row)
    account = _opened(row)
    return ShownAccount(
        gateway=row.gateway,
        is_enabled=row.is_enabled,
        allows_manual_refunds=row.allows_manual_refunds,
        refuses_when_down=row.refuses_when_down,
        credentials=[
            ShownCredential(
                name=each.name,
                is_secret=each.is_secret,
                is_required=each.is_required,
                is_set=each.name in values,
                value=None if each.is_secret else values.get(each.name, ""),
            )
            for each in account.gateway.credentials
        ],
        callback_url=callback_url_of(account),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
