"""Messages over the API: sent once and paid for, refused by name, listed, told, and kept to whoever may see them."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from apps.messaging.channels import Channel
from apps.messaging.models.limits import Usage
from apps.messaging.models.messages import Message
from apps.messaging.services.budgets import set_budget
from apps.messaging.services.claims import NotYet
from apps.messaging.services.consent import record_opt_out
from apps.messaging.services.reports import record_report
from apps.messaging.services.sending import send_message
from apps.messaging.services.templates import publish_version
from apps.messaging.wordings import Form
from apps.tenants.models import Membership
from core.audit.actions import Action
from core.audit.models import AuditEntry
from core.outbox.models import OutboxEvent
from core.tenancy import tenant_scope, tenant_transaction
from services.sms.base import MessageStatus, Refusal, SmsRefused, SmsReport
from tests.factories.accounts import Member, make_member
from tests.factories.messages import a_wish_to_send, make_message
from tests.factories.tenants import add_member, key_client, make_api_key
from tests.fakes import scripted_sms

pytestmark = pytest.mark.django_db

URL = "/api/v1/messaging/messages/"
BULK, PRICE, SPEND = f"{URL}bulk/", f"{URL}price/", "/api/v1/messaging/spend/"
PHONE = "+255754000111"


@pytest.fixture(autouse=True)
def _simple_prices(settings):
    settings.SMS_PRICES = {"TZ": 3_000, "KE": 20_000, "*": 50_000}
    settings.SMS_CURRENCY = "TZS"


def post(client: APIClient, body: dict[str, Any], url: str = URL, **headers: str) -> Any:
    return client.post(url, body, format="json", headers=headers)


def data_of(response: Any, status: int = 201) -> Any:
    assert response.status_code == status, response.content
    return response.json()["data"]


def refusal(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def events() -> int:
    return OutboxEvent.objects.filter(name="message.queued").count()


def spent(member: Member) -> int:
    """Of this month."""
    row = Usage.objects.filter(scope=f"money:{member.tenant_id}", period=f"{timezone.now():%Y-%m}").first()
    return row.used if row else 0


def log(member: Member) -> list[Message]:
    with tenant_scope(member.tenant_id), tenant_transaction():
        return list(Message.objects.order_by("created_at"))


# --- Sending one ------------------------------------------------------------------------------------------------------


def test_a_text_is_stored_counted_and_told_with_its_price(member):
    told = data_of(post(member.client(), a_wish_to_send(to="0754000111", key="order-7", text="Karibu.")))

    [message] = log(member)
    assert told["id"] == str(message.pk)
    assert (told["to"], told["status"], told["kind"], told["key"]) == (PHONE, "queued", "service", "order-7")
    assert (told["encoding"], told["parts"]) == ("gsm7", 1)
    assert told["price"] == {"amount": 3_000, "currency": "TZS", "display": "TZS 30"}
    assert spent(member) == 3_000
    assert events() == 1
    line = AuditEntry.objects.get(action=Action.MESSAGES_REQUESTED)
    assert (line.actor_id, line.tenant_id, line.data["messages"]) == (member.user.pk, member.tenant_id, 1)


def test_an_email_is_free_and_goes_to_one_spelling_of_its_address(member):
    body = {"channel": "email", "to": "Asha@Example.com", "subject": "Karibu", "text": "Hello\r\nAsha"}

    told = data_of(post(member.client(), body))

    assert (told["to"], told["subject"], told["text"], told["price"]) == (
        "asha@example.com",
        "Karibu",
        "Hello\nAsha",
        None,
    )
    assert spent(member) == 0
    assert events() == 1


def test_a_template_speaks_the_language_that_is_asked_for(member):
    values = {"amount": "TZS 5,000", "reference": "order-7"}
    body = {"channel": "sms", "to": PHONE, "template": "refund", "values": values}

    english = data_of(post(member.client(), body))["text"]
    swahili = data_of(post(member.client(), body | {"language": "sw"}))["text"]

    assert english == "TZS 5,000 was sent back to you. Reference order-7."
    assert swahili != english
    assert "TZS 5,000" in swahili


@pytest.mark.parametrize("template", ["number_code", "sign_in_code", "invitation", "phone_changed", "nothing"])
def test_what_only_the_platform_may_say_cannot_be_asked_for(member, template):
    values = {"secret": "123456", "minutes": "5", "person": "A", "tenant": "B", "link": "https://x.example"}

    answer = post(member.client(), {"channel": "sms", "to": PHONE, "template": template, "values": values})

    assert refusal(answer) == (422, "template_not_sendable")
    assert log(member) == []


def test_a_template_has_no_form_for_every_channel(member):
    values = {"amount": "TZS 5,000", "reference": "order-7"}
    body = {"channel": "email", "to": "asha@example.com", "template": "refund", "values": values}

    assert refusal(post(member.client(), body)) == (422, "template_not_sendable")


@pytest.mark.parametrize("values", [{}, {"amount": "1"}, {"amount": "1", "reference": "2", "more": "3"}])
def test_a_template_is_sent_with_all_of_its_values_and_no_others(member, values):
    answer = post(member.client(), {"channel": "sms", "to": PHONE, "template": "refund", "values": values})

    assert refusal(answer) == (422, "wording_refused")
    assert answer.json()["errors"]["values"]
    assert log(member) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"to": "12"}, "to"),
        ({"to": "asha@example.com"}, "to"),
        ({"channel": "email", "subject": "x"}, "to"),
        ({"channel": "email", "to": "asha@example.com"}, "subject"),
        ({"channel": "email", "to": "asha@example.com", "subject": "a\nBcc: b@example.com"}, "subject"),
        ({"channel": "inbox"}, "channel"),
        ({"subject": "x"}, "subject"),
        ({"kind": "receipt"}, "kind"),
        ({"kind": "code"}, "kind"),
        ({"text": "  "}, "text"),
        ({"template": "refund"}, "text"),
        ({"values": {}}, "values"),
        ({"language": "sw"}, "language"),
        ({"key": "a:0"}, "key"),
        ({"key": "a" * 61}, "key"),
        ({"secret": "code:1"}, "secret"),
        ({"sender": "BANK"}, "sender"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_sent(member, changes, field):
    answer = post(member.client(), a_wish_to_send(**changes))

    assert refusal(answer) == (400, "validation_error")
    assert list(answer.json()["errors"]) == [field]
    assert log(member) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"to": "+442079460958"}, "phone_not_supported"),
        ({"to": "+255222123456"}, "phone_not_supported"),
        ({"text": "a" * 2_000}, "text_too_long"),
        ({"text": "\x07"}, "text_empty"),
    ],
)
def test_a_text_that_cannot_go_out_is_refused_and_costs_nothing(member, changes, code):
    assert refusal(post(member.client(), a_wish_to_send(**changes))) == (422, code)
    assert log(member) == []
    assert spent(member) == 0


def test_what_looks_like_a_placeholder_is_only_text(member):
    told = data_of(post(member.client(), a_wish_to_send(text="Say {secret} and {amount}.")))

    assert told["text"] == "Say {secret} and {amount}."


def test_whoever_said_stop_gets_nothing_and_it_costs_nothing(member):
    record_opt_out(channel="sms", to=PHONE, source="reply")

    told = data_of(post(member.client(), a_wish_to_send(to=PHONE)))

    assert (told["status"], told["price"], told["parts"], told["encoding"]) == ("suppressed", None, 0, None)
    assert spent(member) == events() == 0


def test_a_budget_that_is_used_up_is_a_refusal(member):
    with tenant_scope(member.tenant_id):
        set_budget(tenant_id=member.tenant_id, daily=3_000, monthly=None)
    client = member.client()

    answers = [post(client, a_wish_to_send()) for _ in range(2)]

    assert [each.status_code for each in answers] == [201, 422]
    assert answers[1].json()["code"] == "budget_exceeded"
    assert spent(member) == 3_000
    assert len(log(member)) == 1


# --- Asking again -----------------------------------------------------------------------------------------------------


def test_the_same_request_with_its_idempotency_key_is_one_text_and_the_same_bytes(member):
    client, body, name = member.client(), a_wish_to_send(), uuid.uuid4().hex

    first, again = (post(client, body, **{"Idempotency-Key": name}) for _ in range(2))
    other = post(client, body | {"text": "Other"}, **{"Idempotency-Key": name})

    assert first.status_code == 201
    assert first.content == again.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert refusal(other) == (422, "idempotency_key_reused")
    assert len(log(member)) == 1


def test_without_any_key_each_request_is_a_text(member):
    client, body = member.client(), a_wish_to_send()

    ids = {data_of(post(client, body))["id"] for _ in range(2)}

    assert len(ids) == 2
    assert spent(member) == 6_000


def test_a_key_of_the_clients_own_names_one_message_for_ever(member):
    client, body = member.client(), a_wish_to_send(key="order-7")

    ids = {data_of(post(client, body))["id"] for _ in range(2)}
    by_email = {"channel": "email", "to": "asha@example.com", "subject": "x", "text": "y", "key": "order-7"}
    others = [post(client, body | change) for change in ({"text": "Other"}, {"to": PHONE}, {"kind": "marketing"})]

    assert len(ids) == 1
    assert [refusal(each) for each in others] == [(409, "message_key_taken")] * 3
    assert data_of(post(client, by_email))["id"] not in ids
    assert spent(member) == 3_000
    assert AuditEntry.objects.filter(action=Action.MESSAGES_REQUESTED).count() == 2


def test_a_template_that_says_something_else_by_now_is_still_the_same_message(member):
    values = {"amount": "TZS 5,000", "reference": "order-7"}
    body = {"channel": "sms", "to": PHONE, "template": "refund", "values": values, "key": "r7"}
    first = data_of(post(member.client(), body))
    forms = {Channel.SMS: Form(text="{amount} came back ({reference}).")}
    publish_version(operator_id=member.user.pk, key="refund", language="en", forms=forms)

    again = data_of(post(member.client(), body))

    assert again == first


def test_a_key_of_ours_cannot_be_guessed(member):
    ours = make_message(member, key="receipt:1")

    told = data_of(post(member.client(), a_wish_to_send(key="receipt-1")))

    assert told["id"] != str(ours.pk)
    assert data_of(member.client().get(f"{URL}{ours.pk}/"), 200)["message"]["key"] == ""


# --- Sending many -----------------------------------------------------------------------------------------------------


def test_many_are_sent_together_with_one_price(member):
    to = [f"+2557540001{number:02}" for number in range(20)] + ["+254712345678"]

    told = data_of(post(member.client(), a_wish_to_send(to=to, kind="marketing", key="sale"), BULK))

    assert [each["to"] for each in told["messages"]] == to
    assert [each["key"] for each in told["messages"]] == [f"sale:{place}" for place in range(21)]
    assert told["parts"] == 21
    assert told["price"]["amount"] == spent(member) == 20 * 3_000 + 20_000
    assert events() == 21
    assert AuditEntry.objects.get(action=Action.MESSAGES_REQUESTED).data["messages"] == 21


@pytest.mark.parametrize("spoiler", ["+442079460958", "+255222123456"])
def test_one_that_cannot_be_reached_and_nobody_gets_anything(member, spoiler):
    answer = post(member.client(), a_wish_to_send(to=[PHONE, spoiler]), BULK)

    assert refusal(answer) == (422, "phone_not_supported")
    assert log(member) == []
    assert spent(member) == events() == 0


def test_a_budget_that_does_not_suffice_for_all_sends_to_none(member):
    with tenant_scope(member.tenant_id):
        set_budget(tenant_id=member.tenant_id, daily=8_999, monthly=None)

    answer = post(member.client(), a_wish_to_send(to=[f"+25575400010{number}" for number in range(3)]), BULK)

    assert refusal(answer) == (422, "budget_exceeded")
    assert log(member) == []
    assert spent(member) == events() == 0


@pytest.mark.parametrize(
    ("to", "fault"),
    [
        ([], "to"),
        ([PHONE] * 2, "to"),
        ([PHONE, "0754 000 111"], "to"),
        ([PHONE, "x"], "to"),
        (PHONE, "to"),
        ([f"+2557{number:08}" for number in range(54_000_000, 54_000_101)], "to"),
    ],
)
def test_a_list_of_recipients_is_checked_as_a_whole(member, to, fault):
    answer = post(member.client(), a_wish_to_send(to=to), BULK)

    assert refusal(answer) == (400, "validation_error")
    assert list(answer.json()["errors"]) == [fault]
    assert log(member) == []


def test_a_batch_that_is_asked_for_again_is_the_first_one(member):
    client, body = member.client(), a_wish_to_send(to=[PHONE, "+255754000112"], key="sale")
    first = data_of(post(client, body, BULK))

    again = data_of(post(client, body, BULK))
    longer = post(client, body | {"to": [*body["to"], "+255754000113"]}, BULK)
    shorter = post(client, body | {"to": body["to"][:1]}, BULK)
    turned = post(client, body | {"to": body["to"][::-1]}, BULK)

    assert again == first
    assert [refusal(each) for each in (longer, shorter, turned)] == [(409, "message_key_taken")] * 3
    assert len(log(member)) == 2


def test_a_hundred_recipients_cost_a_bounded_number_of_queries(member):
    client = member.client()
    few, many = (
        [f"+2557{start + number:08}" for number in range(size)] for start, size in ((54_100_000, 5), (54_200_000, 25))
    )

    with CaptureQueriesContext(connection) as first:
        data_of(post(client, a_wish_to_send(to=few), BULK))
    with CaptureQueriesContext(connection) as second:
        data_of(post(client, a_wish_to_send(to=many), BULK))

    each = (len(second) - len(first)) / 20
    assert each <= 16, f"{each} queries for each recipient"


# --- What it would cost -----------------------------------------------------------------------------------------------


def test_a_price_is_told_and_nothing_is_sent(member):
    body = {"to": [PHONE, "+254712345678"], "text": "Habari \U0001f600" + "a" * 80}

    told = data_of(post(member.client(), body, PRICE), 200)

    assert told == {
        "encoding": "ucs2",
        "parts": 2,
        "recipients": 2,
        "price": {"amount": 46_000, "currency": "TZS", "display": "TZS 460"},
    }
    assert log(member) == []
    assert spent(member) == events() == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"to": ["+442079460958"], "text": "x"}, "phone_not_supported"),
        ({"to": [PHONE], "text": "a" * 2_000}, "text_too_long"),
        ({"to": [PHONE], "text": "\x07"}, "text_empty"),
        ({"to": [PHONE], "template": "sign_in_code"}, "template_not_sendable"),
        ({"to": [PHONE], "template": "refund"}, "wording_refused"),
    ],
)
def test_a_price_is_refused_as_the_text_would_be(member, body, code):
    assert refusal(post(member.client(), body, PRICE)) == (422, code)


# --- Looking ----------------------------------------------------------------------------------------------------------


def ids_of(client: APIClient, **query: str) -> set[str]:
    return {each["id"] for each in data_of(client.get(URL, query), 200)["results"]}


def test_the_list_is_filtered(member):
    text = make_message(member, to=PHONE)
    advert = make_message(member, kind="marketing")
    mail = make_message(member, channel="email", to="asha@example.com", subject="x")
    failed = make_message(member, to="+442079460958")
    with tenant_scope(member.tenant_id), tenant_transaction():
        Message.objects.filter(pk=mail.pk).update(created_at=timezone.now() - timedelta(days=2))
    named = data_of(post(member.client(), a_wish_to_send(key="k7")))["id"]
    client, yesterday = member.client(), (timezone.now() - timedelta(days=1)).isoformat()

    assert ids_of(client, channel="email") == {str(mail.pk)}
    assert ids_of(client, kind="marketing") == {str(advert.pk)}
    assert ids_of(client, status="failed") == {str(failed.pk)}
    assert ids_of(client, to="0754 000 111") == {str(text.pk)}
    assert ids_of(client, to="ASHA@example.com") == {str(mail.pk)}
    assert ids_of(client, to="nobody") == set()
    assert ids_of(client, key="k7") == {named}
    assert ids_of(client, created_until=yesterday) == {str(mail.pk)}
    assert str(mail.pk) not in ids_of(client, created_from=yesterday)
    assert refusal(client.get(URL, {"provider": "beem"})) == (400, "validation_error")


def test_the_list_walks_by_cursor_in_a_fixed_number_of_queries(member):
    for _each in range(7):
        make_message(member)
    client = member.client()
    client.get(URL)
    counts = set()
    seen: list[str] = []
    cursor: str | None = ""

    while cursor is not None:
        with CaptureQueriesContext(connection) as queries:
            page = data_of(client.get(URL, {"page_size": "3"} | ({"cursor": cursor} if cursor else {})), 200)
        counts.add(len(queries))
        seen += [each["id"] for each in page["results"]]
        cursor = page["pagination"]["next_cursor"]

    assert seen == [str(each.pk) for each in reversed(log(member))]
    assert len(counts) == 1


def test_a_message_tells_its_story_in_our_words(member):
    with scripted_sms() as gateway, tenant_scope(member.tenant_id):
        message = make_message(member)
        gateway.answers = [SmsRefused(Refusal.LATER, "E-42", "queue of the operator is full")]
        with pytest.raises(NotYet):
            send_message(message_id=message.pk)
        send_message(message_id=message.pk)
        told = SmsReport(
            key=message.pk.hex,
            provider_reference="",
            phone="",
            status=MessageStatus.DELIVERED,
            raw_status="DELIVRD-42",
            detail="secret words",
        )
        record_report(message_id=message.pk, provider="scripted", report=told)
    client = member.client()
    client.get(f"{URL}{message.pk}/")

    with CaptureQueriesContext(connection) as queries:
        answer = client.get(f"{URL}{message.pk}/")

    story = data_of(answer, 200)
    assert story["message"]["status"] == "delivered"
    assert [(each["event"], each["outcome"], each["reason"], each["status"]) for each in story["history"]] == [
        ("queued", None, "", None),
        ("tried", "refused", "later", None),
        ("tried", "accepted", "", None),
        ("reported", None, "", "delivered"),
    ]
    text = answer.content.decode()
    assert not [word for word in ("E-42", "operator is full", "DELIVRD-42", "secret words") if word in text]
    # Who asks (2), the transaction and its room (3), the message, its tries, reports and repetitions.
    assert len(queries) <= 9


def test_a_secret_is_masked_wherever_a_message_is_shown(member):
    message = make_message(member, text="Code {secret}.", secret="code:1", kind="code")
    client = member.client()

    answers = [client.get(URL), client.get(f"{URL}{message.pk}/")]

    assert all("Code ******." in each.content.decode() for each in answers)
    assert not [each for each in answers if "{secret}" in each.content.decode() or "code:1" in each.content.decode()]


# --- Budgets ----------------------------------------------------------------------------------------------------------


def test_the_spend_of_a_tenant_is_told_with_what_is_left(member, settings):
    settings.SMS_TENANT_DAILY_BUDGET, settings.SMS_TENANT_MONTHLY_BUDGET = 50_000, 900_000
    client = member.client()
    data_of(post(client, a_wish_to_send(text="a" * 200)))
    data_of(post(client, a_wish_to_send(to="+254712345678")))

    with CaptureQueriesContext(connection) as queries:
        told = data_of(client.get(SPEND), 200)

    today = timezone.now().date()
    assert {name: told["day"][name]["amount"] for name in ("limit", "used", "left")} == {
        "limit": 50_000,
        "used": 26_000,
        "left": 24_000,
    }
    assert (told["month"]["period"], told["month"]["limit"]["amount"]) == (f"{today:%Y-%m}", 900_000)
    assert [(each["country"], each["texts"], each["parts"], each["price"]["amount"]) for each in told["countries"]] == [
        ("KE", 1, 1, 20_000),
        ("TZ", 1, 2, 6_000),
    ]
    assert len(told["days"]) == 30
    last = told["days"][-1]
    assert (last["day"], last["texts"], last["parts"], last["price"]["amount"]) == (str(today), 2, 3, 26_000)
    assert sum(each["texts"] for each in told["days"][:-1]) == 0
    assert len(queries) <= 9


def test_a_budget_below_what_was_spent_leaves_nothing(member):
    client = member.client()
    data_of(post(client, a_wish_to_send()))
    with tenant_scope(member.tenant_id):
        set_budget(tenant_id=member.tenant_id, daily=0, monthly=None)

    assert data_of(client.get(SPEND), 200)["day"]["left"]["amount"] == 0


def test_the_spend_of_another_tenant_is_not_ours(member):
    data_of(post(member.client(), a_wish_to_send()))

    told = data_of(make_member().client().get(SPEND), 200)

    assert told["day"]["used"]["amount"] == told["month"]["used"]["amount"] == 0
    assert told["countries"] == []


# --- Who may ----------------------------------------------------------------------------------------------------------


def everything(client: APIClient, message: Message) -> list[tuple[int, str]]:
    """What each operation answers."""
    answers = [
        client.get(URL),
        client.get(f"{URL}{message.pk}/"),
        client.get(SPEND),
        post(client, {"to": [PHONE], "text": "x"}, PRICE),
        post(client, a_wish_to_send()),
        post(client, a_wish_to_send(to=[PHONE]), BULK),
    ]
    return [(each.status_code, each.json().get("code", "")) for each in answers]


ALLOWED = [(200, "")] * 4 + [(201, "")] * 2


def test_owners_and_admins_may_and_members_may_not(member):
    message = make_message(member)
    admin, plain = add_member(member, "admin"), add_member(member)

    assert everything(member.client(), message) == ALLOWED
    assert everything(admin.client(), message) == ALLOWED
    before = len(log(member))
    assert everything(plain.client(), message) == [(403, "admins_only")] * 6
    assert len(log(member)) == before


def test_a_key_does_what_its_scopes_say(member):
    message = make_message(member)
    reads, writes, pays = (
        key_client(make_api_key(member, scope)[1]) for scope in ("messages:read", "messages:write", "payments:write")
    )

    assert everything(reads, message) == ALLOWED[:4] + [(403, "scope_missing")] * 2
    assert everything(writes, message) == [(403, "scope_missing")] * 4 + ALLOWED[4:]
    assert everything(pays, message) == [(403, "scope_missing")] * 6


def test_a_key_whose_maker_is_a_plain_member_by_now_sends_nothing(member):
    admin = add_member(member, "admin")
    client = key_client(make_api_key(admin, "messages:read", "messages:write")[1])
    Membership.objects.filter(user=admin.user, tenant=member.tenant_id).update(role="member")

    assert everything(client, make_message(member)) == [(403, "admins_only")] * 6


def test_sending_is_limited_per_person(member, settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {
        "messages_person": (2, timedelta(hours=1)),
        "message_batches_person": (1, timedelta(hours=1)),
    }
    client = member.client()

    answers = [post(client, a_wish_to_send()) for _ in range(3)]
    batches = [post(client, a_wish_to_send(to=[PHONE]), BULK) for _ in range(2)]

    assert [each.status_code for each in answers] == [201, 201, 429]
    assert [each.status_code for each in batches] == [201, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
