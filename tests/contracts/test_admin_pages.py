"""Every page of the admin opens, also those of rows that belong to a tenant, and nothing there removes evidence."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services.accounts import create_operator
from apps.accounts.services.codes import request_login_code
from apps.messaging.channels import Channel
from apps.messaging.models.limits import PrefixPause
from apps.messaging.models.messages import DeliveryReport, Message
from apps.messaging.models.people import MessagePreference, OptOut
from apps.messaging.models.suppression import EmailSuppression
from apps.messaging.services.budgets import set_budget
from apps.messaging.services.consent import record_opt_out
from apps.messaging.services.messages import queue_message
from apps.messaging.services.receipts import send_receipt
from apps.messaging.services.templates import publish_version
from apps.messaging.wordings import Form
from apps.payments.models.accounts import GatewayAccount
from apps.payments.models.inbox import InboxDelivery
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Attempt, Observation
from apps.payments.services.payments import expire_payment
from apps.tenants.models import ApiKey
from core.audit.actions import Action
from core.audit.models import AuditEntry
from core.outbox.models import OutboxEvent
from tests.factories.accounts import with_proven_phone
from tests.factories.books import CREDENTIAL, make_books
from tests.factories.notifications import make_notification
from tests.factories.operators import browser_of, make_operator
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
    assert Observation.objects.exists()
    found = [payment, Attempt.objects.get(), message, OutboxEvent.objects.first(), in_tenant.user, *make_books(payment)]
    found += [in_tenant.user.sessions.get(), in_tenant.user.memberships.get().tenant]
    found += [make_invitation(in_tenant), make_api_key(in_tenant)[0], in_tenant.user.memberships.get()]
    found.append(request_login_code(phone="+255712345678", client="test"))
    found += [AuditEntry.objects.first()]
    record_opt_out(channel="sms", to="+255712345678", source="reply")
    wording = {Channel.SMS: Form(text="{amount} came back. {reference}")}
    found += [make_notification(in_tenant), OptOut.objects.get()]
    found += [publish_version(operator_id=in_tenant.user.pk, key="refund", language="en", forms=wording)]
    found += [MessagePreference.objects.create(user=in_tenant.user, kind="service", channel="sms", is_wanted=False)]
    found.append(EmailSuppression.objects.create(address="a@example.com", reason="bounce", provider="email:azure"))
    found.append(set_budget(tenant_id=in_tenant.tenant_id, daily=100, monthly=None))
    found.append(PrefixPause.objects.create(prefix="+25571234", sent=60, verified=1, until=timezone.now()))
    make_linked_account(in_tenant)
    found.append(SocialAccount.objects.get())
    return {type(row): row for row in found}


def options_of(model: type[Model]) -> Any:
    """The model's admin."""
    return admin.site._registry[model]


def page_of(model: type[Model], name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def leave_the_room() -> None:
    """As a request of an operator begins: in no tenant. On PostgreSQL the test's own transaction keeps its setting."""
    from core.tenancy import enter_tenant

    enter_tenant(None)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_the_list_shows_the_row_whose_page_and_history_open(operator, rows, model):
    leave_the_room()
    pk = rows[model].pk

    listed = operator.get(page_of(model, "changelist"), {"q": ""})
    row = operator.get(page_of(model, "change", pk))
    history = operator.get(page_of(model, "history", pk))

    assert listed.status_code == 200
    assert page_of(model, "change", pk) in listed.content.decode()
    assert row.status_code == 200
    assert history.status_code == 200


def test_what_is_secret_in_a_message_is_masked(operator, rows, in_tenant):
    message = queue_message(channel="sms", to="+255712345678", text="Say {secret}.", key="k", secret="code:1")
    leave_the_room()

    page = operator.get(page_of(Message, "change", message.pk)).content.decode()

    assert "Say ******." in page
    assert "{secret}" not in page


def test_a_number_that_an_operator_types_is_a_claim(operator, in_tenant):
    user = with_proven_phone(in_tenant).user
    page = page_of(type(user), "change", user.pk)
    inline = {f"sessions-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")}
    form = {"email": user.email, "phone": "+255712000111", "language": "en", **inline}
    leave_the_room()

    assert operator.post(page, form | {"phone": user.phone}).status_code == 302
    user.refresh_from_db()
    assert user.is_phone_verified
    assert operator.post(page, form).status_code == 302

    user.refresh_from_db()
    assert (user.phone, user.is_phone_verified) == ("+255712000111", False)


def test_a_payment_is_shown_with_its_attempts_and_its_story(operator, rows):
    payment = next(row for row in rows.values() if type(row).__name__ == "Payment")
    leave_the_room()

    page = operator.get(page_of(type(payment), "change", payment.pk)).content.decode()

    assert rows[Attempt].reference in page
    assert "Our own clock" in page
    assert "expired" in page


def test_a_row_that_does_not_exist_is_no_error(operator, rows):
    leave_the_room()

    response = operator.get(page_of(Message, "change", "6f1c1b1e-6f0e-4b39-9d5a-0a8d3f5f1c11"))

    assert response.status_code == 302


@pytest.mark.parametrize(
    "model", [InboxDelivery, OutboxEvent, Attempt, LedgerLine, Message], ids=lambda model: model.__name__
)
def test_an_operator_cannot_remove_what_happened(operator, rows, model):
    leave_the_room()

    assert operator.post(page_of(model, "delete", rows[model].pk), {"post": "yes"}).status_code == 403
    assert operator.get(page_of(model, "add")).status_code == 403


def deeds_of_staff() -> QuerySet[AuditEntry]:
    """Audit lines of anything that staff did besides signing in."""
    return AuditEntry.objects.filter(actor_kind="staff").exclude(action=Action.ADMIN_SIGNED_IN)


def do(browser: Client, row: Model, action: str, **said: str) -> Any:
    """Choose an action for a row of a list."""
    return browser.post(page_of(type(row), "changelist"), {"action": action, "_selected_action": [str(row.pk)]} | said)


SAID = {"confirmed": "yes", "reason": "x"}


def test_staff_without_permissions_see_nothing_and_do_nothing(rows):
    browser = browser_of(make_operator())
    leave_the_room()
    answers = []

    for model, row in rows.items():
        opts, start = options_of(model), page_of(model, "changelist")
        pages = [start, page_of(model, "add"), page_of(model, "change", row.pk), page_of(model, "history", row.pk)]
        pages += [page_of(model, name, row.pk) for name in opts.actions_detail]
        pages += [f"{start}{page}/" for page in ("export", "import") if hasattr(opts, f"{page}_action")]
        answers += [(page, browser.get(page).status_code) for page in pages]
        answers += [(f"{start} {action}", do(browser, row, action, **SAID).status_code) for action in opts.actions]
    front = browser.get("/admin/").content.decode()

    assert [told for told in answers if told[1] != 403] == []
    assert [model for model in rows if page_of(model, "changelist") in front] == []
    assert not deeds_of_staff().exists()


def test_staff_who_may_look_look_and_change_nothing(rows):
    names = [(model._meta.app_label, str(model._meta.model_name)) for model in rows]
    browser = browser_of(make_operator(*(f"{app}.view_{name}" for app, name in names)))
    leave_the_room()
    seen, refused = [], []

    for model, row in rows.items():
        opts, page = options_of(model), page_of(model, "change", row.pk)
        seen += [(each, browser.get(each).status_code) for each in (page_of(model, "changelist"), page)]
        refused += [(page, browser.post(page, {"email": "x@example.com"}).status_code)]
        others = [page_of(model, "add"), *(page_of(model, name, row.pk) for name in opts.actions_detail)]
        refused += [(each, browser.get(each).status_code) for each in others]
        for action in opts.actions:
            do(browser, row, action, **SAID)
    front = browser.get("/admin/").content.decode()

    assert [told for told in seen if told[1] != 200] == []
    assert [told for told in refused if told[1] != 403] == []
    assert [model for model in rows if page_of(model, "changelist") not in front] == []
    assert not deeds_of_staff().exists()


def test_every_action_asks_before_it_does_anything(operator, rows):
    leave_the_room()
    unasked = []

    for model, row in rows.items():
        # Delivering again is safe to repeat, and asks nothing.
        for name in (name for name in options_of(model).actions if name != "replay_dead"):
            for page in (do(operator, row, name), operator.get(page_of(model, f"{name}_one", row.pk))):
                if f'name="_selected_action" value="{row.pk}"' not in page.content.decode():
                    unasked.append((name, page.status_code))

    assert unasked == []
    assert not deeds_of_staff().exists()


def test_no_page_shows_a_secret(operator, rows):
    leave_the_room()
    password = rows[User].password
    secrets = [password, password.rpartition("$")[2], rows[ApiKey].secret_hash, CREDENTIAL]
    secrets.append(rows[GatewayAccount].credentials)
    shown = []

    for model, row in rows.items():
        for page in (page_of(model, "changelist"), page_of(model, "change", row.pk)):
            text = operator.get(page).content.decode()
            shown += [(page, secret) for secret in secrets if secret in text]

    assert shown == []


@pytest.mark.parametrize("language", ["en", "sw"])
def test_the_front_page_shows_figures_to_those_who_may_see_them(operator, rows, language):
    leave_the_room()
    told = {"en": "Live sessions", "sw": "Vikao hai"}[language]

    everything = operator.get("/admin/", HTTP_ACCEPT_LANGUAGE=language).content.decode()
    nothing = browser_of(make_operator()).get("/admin/", HTTP_ACCEPT_LANGUAGE=language).content.decode()

    assert told in everything
    assert told not in nothing
    for link in re.findall(r'href="(/admin/[^"]*\?[^"]*)"', everything):
        assert operator.get(link.replace("&amp;", "&")).status_code == 200, link


def test_a_person_without_the_staff_mark_stays_outside(rows):
    client = Client()
    client.force_login(next(row for row in rows.values() if type(row).__name__ == "User"))
    leave_the_room()

    response = client.get("/admin/")

    assert response.status_code == 302
    assert response.headers["Location"].startswith("/admin/login/")
