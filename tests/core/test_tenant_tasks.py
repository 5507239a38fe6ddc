"""Whatever outlives a request carries its tenant: tasks, idempotency keys, what might be cached or filed (I61)."""

from __future__ import annotations

import inspect
import re
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist

from apps.payments.models.payments import Payment
from config.events import SUBSCRIBERS
from core.idempotency.models import IdempotencyKey
from core.outbox.models import OutboxEvent
from core.tenancy import TenantContextMissing, tenant_scope, tenant_transaction
from tests.factories.payments import a_wish_to_pay
from tests.figures import RecordFigure

ROOT = Path(__file__).resolve().parents[2]
# Subscribers that belong to no tenant, and why.
TENANTLESS = {
    "send_link_task": "a link is a person's, whichever tenants they are in",
    "issue_reset_link_task": "a reset is a person's, and nobody is signed in",
    "tell_email_changed_task": "an address is a person's",
    "tell_password_changed_task": "a password is a person's",
    "tell_refresh_reused_task": "a session is a person's, whichever tenant it is in",
    "tell_deletion_task": "an account is a person's",
    "erase_account_task": "an account is a person's; it enters one after the other of their tenants",
    "tell_social_linked_task": "an account at a provider is a person's",
    "tell_social_unlinked_task": "an account at a provider is a person's",
    "tell_factors_changed_task": "a second factor is a person's",
    "send_code_task": "a code is a person's, and nobody may be signed in",
    "tell_phone_proven_task": "a phone number is a person's",
    "tell_phone_lost_task": "a phone number is a person's",
    "run_reconciliation_task": "a gateway's list is of one account; the installation's account is of many tenants",
    "process_callback_task": "a provider's news names no tenant; the attempt's reference says whose room to open",
}
# How something would outlive a request without a row of a table. Whoever needs it says here, by module, how its key,
# path or group begins with the tenant.
OUTLIVING = re.compile(
    r"\bdjango\.core\.(?:cache|files)\b|\b(?:File|Image)Field\b|^\s*(?:from|import) channels\b|\bgroup_(?:send|add)\b",
    re.MULTILINE,
)
MAY_OUTLIVE: dict[str, str] = {
    "apps/messaging/services/budgets.py": "that staff were told of a limit today, under the limit's name",
    "apps/payments/services/balances.py": "an answer of a gateway, under a key that begins with the tenant",
}

EVERY_SUBSCRIBER = sorted(
    {subscriber for heard in SUBSCRIBERS.values() for subscriber in heard}, key=lambda each: each.__qualname__
)


def payload_for(subscriber: Any) -> dict[str, Any]:
    """Ids that name nothing, for each argument."""
    named = inspect.signature(subscriber).parameters.values()
    wanted = [each for each in named if each.kind is each.KEYWORD_ONLY]
    return {each.name: 1 if each.annotation == "int" else str(uuid.uuid4()) for each in wanted}


@pytest.mark.invariant("I61")
@pytest.mark.django_db
@pytest.mark.parametrize("subscriber", EVERY_SUBSCRIBER, ids=lambda each: each.__qualname__)
def test_a_task_of_a_tenant_refuses_to_run_without_one(subscriber):
    if subscriber.__qualname__ in TENANTLESS:
        with suppress(ObjectDoesNotExist):
            subscriber(**payload_for(subscriber))
        assert not OutboxEvent.objects.exists()
    else:
        with pytest.raises(TenantContextMissing):
            subscriber(**payload_for(subscriber))


@pytest.mark.invariant("I61")
def test_every_tenantless_task_exists(record_figure: RecordFigure):
    assert set(TENANTLESS) <= {each.__qualname__ for each in EVERY_SUBSCRIBER}
    count = len(EVERY_SUBSCRIBER)
    record_figure(f"{count} tasks: {count - len(TENANTLESS)} refuse to run without a tenant, the others say why not")


@pytest.mark.invariant("I61")
@pytest.mark.django_db
def test_what_a_request_publishes_and_remembers_names_its_tenant(member, stranger):
    for each in (member, stranger):
        headers = {"Idempotency-Key": "one-and-the-same"}
        answer = each.client().post("/api/v1/payments/", a_wish_to_pay(), format="json", headers=headers)
        assert answer.status_code == 201

    tenants = {member.tenant_id, stranger.tenant_id}
    assert set(OutboxEvent.objects.values_list("tenant_id", flat=True)) == tenants
    scopes = IdempotencyKey.objects.values_list("scope", flat=True)
    assert {uuid.UUID(scope.partition(":")[0]) for scope in scopes} == tenants
    for each in (member, stranger):
        with tenant_scope(each.tenant_id), tenant_transaction():
            assert Payment.objects.count() == 1


@pytest.mark.invariant("I61")
def test_nothing_is_cached_filed_or_broadcast_without_saying_whose_it_is():
    modules = [path for folder in ("apps", "core", "services") for path in (ROOT / folder).rglob("*.py")]
    outliving = {path.relative_to(ROOT).as_posix() for path in modules if OUTLIVING.search(path.read_text())}

    assert len(modules) > 50
    assert outliving == set(MAY_OUTLIVE)
