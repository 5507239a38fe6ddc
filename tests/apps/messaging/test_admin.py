"""What operators see of messages and do about them: the story, the search, actions, budgets, pauses, figures."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.messaging.models.limits import Budget, PrefixHour, PrefixPause, Usage
from apps.messaging.models.messages import Message, MessageTry
from apps.messaging.selectors.figures import (
    count_uncertain_messages,
    list_daily_messages,
    list_daily_spend,
    list_platform_budgets,
    list_provider_health,
    list_tenant_budgets,
)
from apps.messaging.selectors.spend import money_scope, utc_today
from apps.messaging.services.budgets import set_budget
from apps.messaging.services.claims import NotYet
from apps.messaging.services.consent import record_opt_out
from apps.messaging.services.reports import record_report
from apps.messaging.services.sending import send_message
from core.audit.actions import Action
from core.tenancy import enter_tenant, tenant_scope
from services.http import GatewayUnavailable, OutcomeUnknown
from services.sms.base import MessageStatus, Refusal, SmsRefused, SmsReport
from tests.apps.messaging.wires import AskedSms, providers
from tests.factories.accounts import make_member
from tests.factories.messages import make_message
from tests.factories.operators import act, browser_of, lines, list_page, make_operator

MESSAGE, BUDGET, PAUSE = "messaging.message", "messaging.budget", "messaging.prefixpause"
MANAGES = ("messaging.view_message", "messaging.change_message")


@pytest.fixture(autouse=True)
def _simple_prices(settings):
    settings.SMS_PRICES = {"TZ": 3_000, "*": 50_000}
    settings.SMS_CURRENCY = "TZS"
    cache.clear()


@pytest.fixture
def sms(in_tenant) -> Iterator[AskedSms]:
    with providers(scripted="asked") as found_ones:
        yield found_ones["scripted"]


@pytest.fixture
def operator(db: None) -> Any:
    return make_operator(*MANAGES)


@pytest.fixture
def browser(operator: Any) -> Client:
    return browser_of(operator)


@pytest.fixture
def boss(db: None) -> Client:
    """Somebody who may do everything."""
    return browser_of(make_operator(is_superuser=True))


def page_of(row: Any, button: str = "") -> str:
    opts = row._meta
    name = f"{opts.app_label}_{opts.model_name}_{f'{button}_one' if button else 'change'}"
    return reverse(f"admin:{name}", args=[row.pk])


def text_of(response: Any) -> str:
    """What a page says, without its markup."""
    assert response.status_code == 200, response.status_code
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def found(browser: Client, model: str = MESSAGE, **query: str) -> set[str]:
    """The ids of the rows in a list."""
    response = browser.get(list_page(model), query)
    assert response.status_code == 200
    context: Any = response.context_data
    return {str(row.pk) for row in context["cl"].result_list}


def sent(member: Any, **how: Any) -> Message:
    """A text that a provider has taken."""
    message = make_message(member, **how)
    send_message(message_id=message.pk)
    message.refresh_from_db()
    return message


def reported(message: Message, status: MessageStatus | None, word: str, detail: str = "") -> None:
    report = SmsReport(
        key=message.pk.hex, provider_reference="", phone="", status=status, raw_status=word, detail=detail
    )
    record_report(message_id=message.pk, provider="scripted", report=report)


# --- The page of a message -------------------------------------------------------------------------------------------


def test_the_timeline_tells_what_happened_in_its_order(in_tenant, sms, boss):
    message = make_message(in_tenant, text="Karibu Asha", kind="marketing")
    sms.answers = [SmsRefused(Refusal.LATER, "E42", "their queue is full")]
    with pytest.raises(NotYet):
        send_message(message_id=message.pk)
    send_message(message_id=message.pk)
    reported(message, None, "ON_ITS_WAY")
    reported(message, MessageStatus.UNDELIVERABLE, "ABSENT", "the phone is off")
    record_opt_out(channel="sms", to=message.to, source="reply")

    page = text_of(boss.get(page_of(message)))

    told = [
        "Karibu Asha",
        "Stored, to be sent TZS 30",
        "Handed to scripted refused",
        "E42: their queue is full",
        "because: not now",
        "Handed to scripted accepted",
        "scripted reported a word that we do not know",
        "in its words: ON_ITS_WAY",
        "scripted reported could not be delivered",
        "the phone is off",
        "This address said stop (reply)",
    ]
    places = [page.find(each) for each in told]
    assert -1 not in places, dict(zip(told, places, strict=True))
    assert places == sorted(places)


def test_a_secret_is_masked_on_the_page_and_what_a_provider_says_is_no_markup(in_tenant, sms, boss):
    message = make_message(in_tenant, text="Code {secret}.", secret="code:1", kind="code")
    hostile = make_message(in_tenant, text="<script>alert(1)</script>")
    sms.answers = [SmsRefused(Refusal.TEXT, "E1", "<img src=x onerror=alert(2)>")]
    send_message(message_id=hostile.pk)

    masked, page = (boss.get(page_of(each)).content.decode() for each in (message, hostile))

    assert "Code ******." in masked
    assert "{secret}" not in masked
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page


def test_the_queries_of_a_page_do_not_grow_with_its_story(in_tenant, sms, boss):
    short, long = sent(in_tenant), sent(in_tenant)
    for number in range(9):
        reported(long, None, f"WORD{number}")
        record_opt_out(channel="sms", to=long.to, source="reply")
    boss.get(page_of(short))

    with CaptureQueriesContext(connection) as few:
        boss.get(page_of(short))
    with CaptureQueriesContext(connection) as many:
        boss.get(page_of(long))

    assert len(many) == len(few)


def test_links_and_buttons_are_for_those_who_may(in_tenant, sms, browser, boss):
    message = sent(in_tenant)
    again, ask = page_of(message, "repeat"), page_of(message, "ask_provider")
    looks = browser_of(make_operator("messaging.view_message"))
    tenant = reverse("admin:tenants_tenant_change", args=[message.tenant_id])

    assert all(each in browser.get(page_of(message)).content.decode() for each in (again, ask))
    assert not [each for each in (again, ask) if each in looks.get(page_of(message)).content.decode()]
    assert tenant in boss.get(page_of(message)).content.decode()
    assert tenant not in browser.get(page_of(message)).content.decode()


def test_only_what_makes_sense_has_a_button(in_tenant, sms, browser):
    waiting, code = make_message(in_tenant), make_message(in_tenant, text="Code {secret}.", secret="code:1")
    mail = make_message(in_tenant, channel="email", to="asha@example.com", subject="x")
    Message.objects.filter(pk__in=[mail.pk, code.pk]).update(status="sent")

    def buttons(message: Message) -> list[str]:
        page = browser.get(page_of(message)).content.decode()
        return [name for name in ("repeat", "ask_provider") if page_of(message, name) in page]

    assert buttons(waiting) == []
    assert buttons(code) == ["ask_provider"]
    assert buttons(mail) == ["repeat"]


# --- The list --------------------------------------------------------------------------------------------------------


def test_a_message_is_found_by_whatever_somebody_knows_of_it(in_tenant, sms, browser):
    message = sent(in_tenant, to="+255754000111", key="receipt:7")
    other = make_message(in_tenant, channel="email", to="asha@example.com", subject="x")
    known = [str(message.pk), "0754 000 111", "54000111", "receipt:7"]
    known += [message.provider_reference] if message.provider_reference else []

    assert {each: found(browser, q=each) for each in known} == {each: {str(message.pk)} for each in known}
    assert found(browser, q="asha@") == {str(other.pk)}
    assert found(browser, q=str(in_tenant.tenant_id)) == {str(message.pk), str(other.pk)}
    assert found(browser, q="nobody") == set()


def test_the_list_is_filtered_and_its_queries_do_not_grow(in_tenant, sms, browser):
    one = sent(in_tenant)
    with CaptureQueriesContext(connection) as few:
        assert found(browser, status="sent", channel="sms", provider="scripted") in ({str(one.pk)}, set())
    for _each in range(6):
        sent(in_tenant)
    mail = make_message(in_tenant, channel="email", to="asha@example.com", subject="x")

    with CaptureQueriesContext(connection) as many:
        found(browser, status="sent", channel="sms", provider="scripted")

    assert found(browser, channel="email") == {str(mail.pk)}
    assert len(found(browser, status="sent")) == 7
    assert len(many) == len(few)


# --- What operators do -----------------------------------------------------------------------------------------------


def test_a_message_is_sent_again_with_a_reason_and_in_its_story(in_tenant, sms, operator, browser):
    message = sent(in_tenant)

    act(browser, MESSAGE, "repeat", message, reason="They never saw it")

    other = Message.objects.get(repeats=message)
    (line,) = lines(Action.MESSAGE_REPEATED)
    assert (other.to, other.text, other.status) == (message.to, message.text, "queued")
    assert (line.actor_id, line.actor_kind, line.target_id) == (operator.pk, "staff", str(message.pk))
    assert line.data["reason"] == "They never saw it"
    assert line.tenant_id == in_tenant.tenant_id
    page = text_of(browser.get(page_of(message)))
    assert "Sent again, as another message" in page
    assert "They never saw it" in page
    assert operator.email in page
    assert str(message.pk) in text_of(browser.get(page_of(other)))


def test_what_waits_or_holds_a_code_is_not_sent_again(in_tenant, sms, browser):
    waiting = make_message(in_tenant)
    code = make_message(in_tenant, text="Code {secret}.", secret="code:1")
    Message.objects.filter(pk=code.pk).update(status="failed")

    act(browser, MESSAGE, "repeat", waiting, code)

    assert Message.objects.count() == 2
    assert "This message cannot be sent again." in text_of(browser.get(list_page(MESSAGE)))
    assert not lines(Action.MESSAGE_REPEATED)


def test_the_budget_counts_for_operators_too(in_tenant, sms, browser):
    message = sent(in_tenant)
    set_budget(tenant_id=in_tenant.tenant_id, daily=3_000, monthly=None)

    act(browser, MESSAGE, "repeat", message)

    assert "budget for texts is used up" in text_of(browser.get(list_page(MESSAGE)))
    assert Message.objects.count() == 1


def test_a_provider_is_asked_and_its_answer_counts(in_tenant, sms, operator, browser):
    message = sent(in_tenant)
    sms.news = [
        SmsReport(
            key=message.pk.hex,
            provider_reference="",
            phone="",
            status=MessageStatus.DELIVERED,
            raw_status="DONE",
            detail="",
        )
    ]

    act(browser, MESSAGE, "ask_provider", message)

    message.refresh_from_db()
    (line,) = lines(Action.MESSAGE_ASKED)
    assert message.status == "delivered"
    assert (line.actor_id, line.data["status"]) == (operator.pk, "delivered")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (GatewayUnavailable(), "The provider cannot be reached right now."),
        (SmsRefused(Refusal.ACCOUNT, "401", "bad key sk-1"), "The provider refused to answer."),
    ],
)
def test_a_provider_that_does_not_answer_is_told_to_the_operator(in_tenant, sms, browser, answer, told):
    message = sent(in_tenant)
    sms.news = [answer]

    act(browser, MESSAGE, "ask_provider", message)

    page = text_of(browser.get(list_page(MESSAGE)))
    assert told in page
    assert "sk-1" not in page
    assert not lines(Action.MESSAGE_ASKED)


def test_nobody_is_asked_about_what_is_known_or_was_never_sent(in_tenant, sms, browser):
    waiting, mail = make_message(in_tenant), make_message(in_tenant, channel="email", to="a@example.com", subject="x")

    act(browser, MESSAGE, "ask_provider", waiting, mail)

    assert "There is nothing to ask a provider about this message." in text_of(browser.get(list_page(MESSAGE)))


# --- Budgets and pauses ----------------------------------------------------------------------------------------------


def set_by(browser: Client, row: Budget | None = None, **told: Any) -> Any:
    page = page_of(row) if row is not None else reverse("admin:messaging_budget_add")
    enter_tenant(None)
    return browser.post(page, {"day_limit": "", "month_limit": "", "reason": "They asked"} | told, follow=True)


def test_a_budget_is_set_and_changed_with_a_reason(in_tenant, boss):
    tenant_id = in_tenant.tenant_id

    set_by(boss, whose=str(tenant_id), day_limit="1,500", month_limit="20000.50")
    with tenant_scope(tenant_id):
        budget = Budget.objects.get()
        assert (budget.daily, budget.monthly, budget.note) == (150_000, 2_000_050, "They asked")
    enter_tenant(None)
    assert 'value="1,500"' in boss.get(page_of(budget)).content.decode()
    set_by(boss, budget, day_limit="0", reason="Too many complaints")

    with tenant_scope(tenant_id):
        budget = Budget.objects.get()
    assert (budget.daily, budget.monthly, budget.note) == (0, None, "Too many complaints")
    told = [line.data for line in lines(Action.BUDGET_CHANGED)]
    assert [(each["daily"], each["monthly"], each["note"]) for each in told] == [
        (150_000, 2_000_050, "They asked"),
        (0, None, "Too many complaints"),
    ]
    assert {each["tenant"] for each in told} == {str(tenant_id)}


def test_a_tenant_has_one_budget_however_often_it_is_added(in_tenant, boss):
    for limit in ("5", "7"):
        set_by(boss, whose=str(in_tenant.tenant_id), day_limit=limit)

    with tenant_scope(in_tenant.tenant_id):
        assert [row.daily for row in Budget.objects.all()] == [700]


@pytest.mark.parametrize("typed", ["-1", "x", "1e3", "0.001", "9" * 25, "5 USD"])
def test_what_is_no_amount_sets_nothing(in_tenant, boss, typed):
    page = text_of(set_by(boss, whose=str(in_tenant.tenant_id), day_limit=typed))

    assert "Enter an amount of TZS." in page
    assert not lines(Action.BUDGET_CHANGED)


def test_a_budget_without_a_tenant_or_a_reason_is_refused(in_tenant, boss):
    assert "This field is required." in text_of(set_by(boss, day_limit="5"))
    assert "This field is required." in text_of(set_by(boss, whose=str(in_tenant.tenant_id), reason=""))
    assert not lines(Action.BUDGET_CHANGED)


def test_whoever_may_only_look_sets_no_budget(in_tenant):
    budget = set_budget(tenant_id=in_tenant.tenant_id, daily=100, monthly=None)
    browser = browser_of(make_operator("messaging.view_budget"))

    assert set_by(browser, budget, day_limit="7").status_code == 403
    assert set_by(browser, whose=str(in_tenant.tenant_id), day_limit="7").status_code == 403
    assert "TZS 1" in text_of(browser.get(page_of(budget)))


def test_a_pause_is_lifted_once_with_a_reason(db):
    pause = PrefixPause.objects.create(
        prefix="+25571234", sent=60, verified=1, until=timezone.now() + timedelta(hours=9)
    )
    PrefixHour.objects.create(prefix=pause.prefix, hour=timezone.now(), sent=60, verified=1)
    operator = make_operator("messaging.view_prefixpause", "messaging.change_prefixpause")
    browser = browser_of(operator)
    assert found(browser, PAUSE, state="now") == {str(pause.pk)}

    for reason in ("It was a concert", "Again"):
        act(browser, PAUSE, "lift", pause, reason=reason)

    pause.refresh_from_db()
    (line,) = lines(Action.PREFIX_RESUMED)
    assert pause.lifted_by_id == operator.pk
    assert (line.actor_id, line.data["reason"]) == (operator.pk, "It was a concert")
    assert not PrefixHour.objects.exists()
    assert found(browser, PAUSE, state="now") == set()
    assert found(browser, PAUSE, state="past") == {str(pause.pk)}


# --- Exports and figures ---------------------------------------------------------------------------------------------


def export(browser: Client) -> list[dict[str, str]]:
    response = browser.post(f"{list_page(MESSAGE)}export/", {"format": "0"})
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/csv"), text_of(response)[-300:]
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def test_an_export_tells_the_price_and_not_the_text(in_tenant, sms):
    message = sent(in_tenant, text="Nobody else reads this")
    refused = browser_of(make_operator("messaging.view_message")).post(f"{list_page(MESSAGE)}export/", {"format": "0"})
    browser = browser_of(make_operator("messaging.view_message", "messaging.export_message"))

    (row,) = export(browser)
    with CaptureQueriesContext(connection) as few:
        export(browser)
    for _each in range(4):
        sent(in_tenant)
    with CaptureQueriesContext(connection) as many:
        assert len(export(browser)) == 5

    assert refused.status_code == 403
    assert (row["id"], row["price"], row["currency"], row["parts"]) == (str(message.pk), "30.00", "TZS", "1")
    assert "Nobody else" not in str(row)
    assert len(many) == len(few)
    assert lines(Action.DATA_EXPORTED)[0].data["rows"] == 1


def test_providers_are_judged_by_tries_and_by_what_arrived(in_tenant, sms):
    sms.answers = [SmsRefused(Refusal.TEXT, "E1"), OutcomeUnknown()]
    messages = [sent(in_tenant) for _each in range(5)]
    for message in messages[2:4]:
        reported(message, MessageStatus.DELIVERED, "DONE")
    reported(messages[4], MessageStatus.UNDELIVERABLE, "ABSENT")
    old = MessageTry.objects.filter(message=messages[2])
    old.update(started_at=timezone.now() - timedelta(days=3))

    (health,) = list_provider_health(days=30)

    assert (health.provider, health.longer.accepted, health.longer.refused, health.longer.silent) == (
        "scripted",
        3,
        1,
        1,
    )
    assert (health.last_day.accepted, health.last_day.refused, health.last_day.silent) == (2, 1, 1)
    assert (health.delivered, health.lost, health.delivered_percent) == (2, 2, 50)


def test_messages_and_money_are_summed_per_day(in_tenant):
    for _each in range(2):
        make_message(in_tenant, is_strict=True)
    make_message(in_tenant, channel="email", to="a@example.com", subject="x")
    today = utc_today()

    daily = {(row.channel, row.count) for row in list_daily_messages(days=30) if row.day == timezone.localdate()}
    spend = list_daily_spend(days=30)

    assert daily == {("sms", 2), ("email", 1)}
    assert spend[-1] == (today, 6_000)
    assert len(spend) == 30
    assert sum(amount for _day, amount in spend[:-1]) == 0


def use(tenant_id: Any, amount: int, *, is_month: bool = True) -> None:
    today = utc_today()
    period = f"{today:%Y-%m}" if is_month else str(today)
    Usage.objects.create(scope=money_scope(tenant_id), period=period, used=amount, keep_until=today)


def test_budgets_that_are_nearly_used_up_stand_out(in_tenant, settings):
    settings.SMS_TENANT_DAILY_BUDGET, settings.SMS_TENANT_MONTHLY_BUDGET = 1_000, 10_000
    settings.SMS_DAILY_BUDGET, settings.SMS_MONTHLY_BUDGET = 5_000, 0
    others = [make_member() for _each in range(3)]
    set_budget(tenant_id=in_tenant.tenant_id, daily=None, monthly=400)
    use(in_tenant.tenant_id, 350)
    use(others[0].tenant_id, 5_000)
    use(others[1].tenant_id, 900, is_month=False)
    use(others[2].tenant_id, 100, is_month=False)
    use(None, 4_000, is_month=False)

    with CaptureQueriesContext(connection) as queries:
        tenants = list_tenant_budgets()
    platform = list_platform_budgets()

    told = [(each.tenant_id, each.used.amount, each.limit.amount, each.percent, each.is_urgent) for each in tenants]
    assert told == [
        (others[0].tenant_id, 5_000, 10_000, 50, False),
        (others[1].tenant_id, 900, 1_000, 90, True),
        (in_tenant.tenant_id, 350, 400, 87, True),
    ]
    assert [(each.percent, each.is_urgent) for each in platform] == [(80, True), (100, True)]
    assert len(queries) == 4


def test_texts_that_may_be_lost_are_counted_when_they_are_old_enough(in_tenant, sms, settings):
    settings.SMS_CONFIRM_SECONDS = 300
    sms.answers = [OutcomeUnknown(), OutcomeUnknown()]
    old, _new = sent(in_tenant), sent(in_tenant)
    Message.objects.filter(pk=old.pk).update(updated_at=timezone.now() - timedelta(hours=1))

    assert count_uncertain_messages() == 1


def test_the_front_page_shows_each_part_to_those_who_may_see_it(in_tenant, sms, boss):
    sent(in_tenant)
    PrefixPause.objects.create(prefix="+25571234", sent=60, verified=1, until=timezone.now() + timedelta(hours=9))
    parts = {
        "messages": "messaging.view_message",
        "health": "messaging.view_message",
        "spend": "messaging.view_budget",
        "budgets": "messaging.view_budget",
        "pauses": "messaging.view_prefixpause",
    }

    everything = boss.get("/admin/").content.decode()

    assert [part for part in parts if f'data-board="{part}"' not in everything] == []
    assert "+25571234" in everything
    for permission in set(parts.values()):
        page = browser_of(make_operator(permission)).get("/admin/").content.decode()
        shown = {part for part in parts if f'data-board="{part}"' in page}
        assert shown == {part for part, needed in parts.items() if needed == permission}


def test_the_front_page_asks_a_fixed_number_of_questions(in_tenant, sms, boss):
    sent(in_tenant)
    boss.get("/admin/")
    with CaptureQueriesContext(connection) as few:
        boss.get("/admin/")
    for _each in range(5):
        sent(in_tenant)
        other = make_member()
        use(other.tenant_id, 99_000_000)
    with CaptureQueriesContext(connection) as many:
        boss.get("/admin/")

    assert len(many) == len(few)
