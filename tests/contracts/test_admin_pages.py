"""Every page of the admin opens, also those of rows that belong to a tenant, and nothing there removes evidence."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.accounts.services.accounts import create_operator
from apps.messaging.models import DeliveryReport, Message
from apps.messaging.services.receipts import send_receipt
from apps.payments.models import Attempt, InboxDelivery, Observation
from apps.payments.services.payments import expire_payment
from core.outbox.models import OutboxEvent
from tests.factories.payments import make_payment
from tests.factories.social import make_linked_account
from tests.factories.tenants import make_api_key, make_invitation

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(create_operator(email="operator@example.com", password="mlango-wa-nyuma-3"))
    return client


@pytest.fixture
def rows(in_tenant) -> dict[type[Model], Any]:
    """A payment with everything that can hang on one, and its receipt."""
    payment = make_payment(in_tenant, client_reference="order-7")
    expire_payment(payment_id=payment.pk)
    send_receipt(payment_id=payment.pk)
    message = Message.objects.get(channel="sms")
    DeliveryReport.objects.create(message=message, provider_reference="1", raw_status="DELIVERED")
    inbox = InboxDelivery.objects.create(gateway="clickpesa", event_key="1", body=b"{}", headers={})
    assert Observation.objects.exists()
    found = [payment, Attempt.objects.get(), message, inbox, OutboxEvent.objects.first(), in_tenant.user]
    found += [in_tenant.user.sessions.get(), in_tenant.user.memberships.get().tenant]
    found += [make_invitation(in_tenant), make_api_key(in_tenant)[0]]
    make_linked_account(in_tenant)
    found.append(SocialAccount.objects.get())
    return {type(row): row for row in found}


def page_of(model: type[Model], name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def leave_the_room() -> None:
    """As a request of an operator begins: in no tenant. On PostgreSQL the test's own transaction keeps its setting."""
    from core.tenancy import enter_tenant

    enter_tenant(None)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_the_list_opens_and_shows_the_row(operator, rows, model):
    leave_the_room()

    response = operator.get(page_of(model, "changelist"), {"q": ""})

    assert response.status_code == 200
    assert page_of(model, "change", rows[model].pk) in response.content.decode()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_the_page_of_one_row_opens(operator, rows, model):
    leave_the_room()

    response = operator.get(page_of(model, "change", rows[model].pk))

    assert response.status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_the_history_of_one_row_opens(operator, rows, model):
    leave_the_room()

    assert operator.get(page_of(model, "history", rows[model].pk)).status_code == 200


def test_a_payment_is_shown_with_its_attempts_and_its_story(operator, rows):
    payment = next(row for row in rows.values() if type(row).__name__ == "Payment")
    leave_the_room()

    page = operator.get(page_of(type(payment), "change", payment.pk)).content.decode()

    assert rows[Attempt].reference in page
    assert "system: expired" in page


def test_a_row_that_does_not_exist_is_no_error(operator, rows):
    leave_the_room()

    response = operator.get(page_of(Message, "change", "6f1c1b1e-6f0e-4b39-9d5a-0a8d3f5f1c11"))

    assert response.status_code == 302


@pytest.mark.parametrize("model", [InboxDelivery, OutboxEvent, Attempt, Message], ids=lambda model: model.__name__)
def test_an_operator_cannot_remove_what_happened(operator, rows, model):
    leave_the_room()

    assert operator.post(page_of(model, "delete", rows[model].pk), {"post": "yes"}).status_code == 403
    assert operator.get(page_of(model, "add")).status_code == 403


def test_a_person_without_the_staff_mark_stays_outside(rows):
    client = Client()
    client.force_login(next(row for row in rows.values() if type(row).__name__ == "User"))
    leave_the_room()

    response = client.get("/admin/")

    assert response.status_code == 302
    assert response.headers["Location"].startswith("/admin/login/")
