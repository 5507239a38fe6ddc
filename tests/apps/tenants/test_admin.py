"""What operators do about tenants: suspend with a reason, revoke keys, make an owner; and the line of each."""

from __future__ import annotations

import pytest

from apps.tenants.models import Membership, Tenant
from core.audit.actions import Action
from core.audit.models import AuditEntry
from core.outbox.models import OutboxEvent
from tests.envelope import refusal_of
from tests.factories.operators import act, browser_of, lines, list_page, make_operator
from tests.factories.tenants import add_member, key_client, make_api_key, make_invitation, membership_of

PAYMENTS = "/api/v1/payments/"


@pytest.fixture
def tenant(member) -> Tenant:
    return Tenant.objects.get(pk=member.tenant_id)


def test_a_suspension_keeps_its_reason_and_who_gave_it(member, tenant):
    operator = make_operator("tenants.view_tenant", "tenants.change_tenant")
    browser = browser_of(operator)

    act(browser, "tenants.tenant", "suspend", tenant, reason="chargebacks")
    act(browser, "tenants.tenant", "suspend", tenant, reason="again")
    refused = member.client().get(PAYMENTS)
    act(browser, "tenants.tenant", "unsuspend", tenant, reason="settled")

    (suspended,), (reinstated,) = lines(Action.TENANT_SUSPENDED), lines(Action.TENANT_REINSTATED)
    assert refusal_of(refused) == (403, "tenant_suspended")
    assert member.client().get(PAYMENTS).status_code == 200
    assert (suspended.data, suspended.actor_id, suspended.tenant_id) == (
        {"reason": "chargebacks"},
        operator.pk,
        tenant.pk,
    )
    assert (suspended.target_label, suspended.actor_kind) == (tenant.name, "staff")
    assert reinstated.data == {"reason": "settled"}


@pytest.mark.parametrize("action", ["suspend", "unsuspend"])
@pytest.mark.parametrize("reason", ["", " ", "x" * 301, "a\x00b"])
def test_without_a_reason_nothing_happens(member, tenant, action, reason):
    browser = browser_of(make_operator(is_superuser=True))

    assert act(browser, "tenants.tenant", action, tenant, reason=reason).status_code == 200

    assert member.client().get(PAYMENTS).status_code == 200
    assert not AuditEntry.objects.exclude(action=Action.ADMIN_SIGNED_IN).exists()


def test_a_key_is_revoked_at_once_and_the_line_is_the_tenants(member):
    key, text = make_api_key(member)
    operator = make_operator("tenants.view_apikey", "tenants.change_apikey")

    for _ in range(2):
        act(browser_of(operator), "tenants.apikey", "revoke", key)

    (line,) = lines(Action.API_KEY_REVOKED)
    assert refusal_of(key_client(text).get(PAYMENTS)) == (401, "api_key_invalid")
    assert (line.actor_id, line.tenant_id, line.target_id) == (operator.pk, member.tenant_id, str(key.pk))


def test_a_member_is_made_an_owner_by_staff(member):
    other = add_member(member)
    operator = make_operator("tenants.view_membership", "tenants.change_membership")

    for _ in range(2):
        act(browser_of(operator), "tenants.membership", "make_owner", membership_of(other))

    assert membership_of(other).role == Membership.Role.OWNER
    (line,) = lines(Action.MEMBER_ROLE_CHANGED)
    assert (line.data, line.target_label) == ({"from": "member", "to": "owner"}, other.user.email)


def test_the_page_of_a_tenant_shows_its_members_and_keys(member, tenant):
    key, text = make_api_key(member)

    shown = browser_of(make_operator(is_superuser=True)).get(f"{list_page('tenants.tenant')}{tenant.pk}/change/")

    page = shown.content.decode()
    assert member.user.email in page
    assert key.shown_prefix in page
    assert key.secret_hash not in page
    assert text not in page


def test_tenants_are_found_by_name_id_and_member(member, tenant, stranger):
    browser = browser_of(make_operator("tenants.view_tenant"))

    for words in (member.user.email, str(tenant.pk)):
        shown = browser.get(list_page("tenants.tenant"), {"q": words}).content.decode()
        assert str(tenant.pk) in shown
        assert str(stranger.tenant_id) not in shown


def test_suspended_tenants_can_be_listed_alone(member, stranger):
    Tenant.objects.filter(pk=stranger.tenant_id).update(suspended_at="2026-11-20T09:00:00Z")

    shown = browser_of(make_operator(is_superuser=True)).get(
        list_page("tenants.tenant"), {"suspended_at__isempty": "0"}
    )

    assert str(stranger.tenant_id) in shown.content.decode()
    assert str(member.tenant_id) not in shown.content.decode()


def test_the_audit_log_is_searched_by_person_and_tenant(member, stranger):
    make_invitation(member)
    make_api_key(stranger)
    browser = browser_of(make_operator("audit.view_auditentry"))

    for words in (member.user.email, str(member.tenant_id)):
        shown = browser.get(list_page("audit.auditentry"), {"q": words}).content.decode()
        assert member.user.email in shown
        assert stranger.user.email not in shown
    only_keys = browser.get(list_page("audit.auditentry"), {"action__exact": "api_key.created"}).content.decode()
    assert stranger.user.email in only_keys
    assert member.user.email not in only_keys


def test_replaying_dead_events_leaves_a_line_and_takes_the_permission(db):
    event = OutboxEvent.objects.create(name="x", subscriber="x", payload={}, dead_at="2026-11-20T09:00:00Z")
    wish = {"action": "replay_dead", "_selected_action": [str(event.pk)]}

    browser_of(make_operator("outbox.view_outboxevent")).post(list_page("outbox.outboxevent"), wish)
    refused = OutboxEvent.objects.get().dead_at
    browser_of(make_operator("outbox.view_outboxevent", "outbox.change_outboxevent")).post(
        list_page("outbox.outboxevent"), wish
    )

    assert refused is not None
    assert OutboxEvent.objects.get().dead_at is None
    assert [line.data for line in lines(Action.EVENTS_REPLAYED)] == [{"events": 1}]
