"""Wordings: what may stand in one, what becomes of values, and which version counts."""

from __future__ import annotations

import string
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps.messaging.catalogue import TEMPLATES
from apps.messaging.channels import Channel
from apps.messaging.models.messages import Message
from apps.messaging.models.templates import TemplateVersion
from apps.messaging.selectors.templates import LANGUAGES, default_form
from apps.messaging.services.receipts import send_receipt
from apps.messaging.services.templates import (
    WordingRefused,
    find_faults,
    preview,
    publish_version,
    render,
    restore_default,
    restore_version,
)
from apps.messaging.wordings import (
    MAX_SMS_PARTS,
    Form,
    Template,
    Variable,
    clean_value,
    faults_in,
    fill,
    values_for,
)
from core.audit.actions import Action
from services.sms.encoding import measure
from tests.envelope import refusal_of
from tests.factories.accounts import Member
from tests.factories.operators import browser_of, lines, make_operator
from tests.factories.payments import make_payment
from tests.factories.tenants import add_member

URL = "/api/v1/messaging/templates/"
TOLD = {"amount": "TZS 5,000", "reference": "order-7"}


@pytest.fixture
def operator(db: None) -> Any:
    return make_operator(is_superuser=True)


def publish(operator: Any, text: str = "Paid: {amount} ({reference})", language: str = "en") -> TemplateVersion:
    return publish_version(
        operator_id=operator.pk, key="refund", language=language, forms={Channel.SMS: Form(text=text)}
    )


def said(language: str = "en") -> str:
    return render("refund", language=language, channel="sms", values=TOLD).text


def faults_of(text: str, key: str = "refund", channel: Channel = Channel.SMS, subject: str = "") -> list[str]:
    return [fault for _part, fault in faults_in(TEMPLATES[key], channel, Form(text=text, subject=subject))]


# --- The catalogue ---------------------------------------------------------------------------------------------------

EVERY_DEFAULT = [
    (key, channel, language)
    for key, template in TEMPLATES.items()
    for channel in template.defaults
    for language in LANGUAGES
]


@pytest.mark.parametrize(("key", "channel", "language"), EVERY_DEFAULT)
def test_every_default_keeps_the_rules_that_staff_must_keep(key, channel, language):
    form = default_form(TEMPLATES[key], channel=channel, language=language)

    assert list(faults_in(TEMPLATES[key], channel, form)) == []


@pytest.mark.parametrize("key", TEMPLATES)
def test_an_example_goes_in_as_it_is(key):
    template = TEMPLATES[key]

    assert values_for(template, template.examples) == template.examples


@pytest.mark.parametrize("values", [{}, {"amount": "1"}, {**TOLD, "phone": "x"}])
def test_values_that_the_template_does_not_name_are_a_defect_of_the_caller(db, values):
    with pytest.raises(ValueError, match="refund takes"):
        render("refund", language="en", channel="sms", values=values)


def test_a_wording_is_in_the_language_that_is_asked_for_and_in_english_for_any_other(db):
    assert said("en") == "TZS 5,000 was sent back to you. Reference order-7."
    assert said("sw") != said("en") == said("fr")


# --- What staff may write --------------------------------------------------------------------------------------------

GOOD = "{amount} {reference}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "required"),
        ("{amount}", "{reference} is missing"),
        (GOOD + " {phone}", "{phone} is not a placeholder of this template. There are: {amount} {reference}."),
        (GOOD + " {secret}", "{secret} is not a placeholder"),
        (GOOD + " {amount.__class__}", "{amount.__class__} is not a placeholder"),
        (GOOD + " {amount!r}", "{amount!r} is not a placeholder"),
        (GOOD + " {amount:>999999999}", "is not a placeholder"),
        (GOOD + " {0}", "{0} is not a placeholder"),
        (GOOD + " {}", "{} is not a placeholder"),
        (GOOD + " {{amount}}", "A brace stands alone"),
        (GOOD + " {", "A brace stands alone"),
        (GOOD + " }", "A brace stands alone"),
        (GOOD + " %(amount)s", "%(amount)s is not a placeholder"),
        (GOOD + " %{amount}", "is not a placeholder"),
        (GOOD + " {amount}{amount}{amount}", "3 times at most"),
        (GOOD + "\x00", "U+0000"),
        (GOOD + "\u202e", "U+202E"),
        (GOOD + "\u200b", "U+200B"),
        (GOOD + "\t", "U+0009"),
        (GOOD + "a" * 600, "are allowed"),
        (GOOD + "a" * 580, "text messages"),
    ],
)
def test_a_wording_that_does_not_fit_is_refused_with_a_sentence(text, told):
    assert [fault for fault in faults_of(text) if told in fault]


@pytest.mark.parametrize("text", [GOOD, "100 % of {amount}\n\n{reference}", "%s %d {amount} {reference} $x"])
def test_what_means_nothing_is_allowed(text):
    assert faults_of(text) == []


@pytest.mark.parametrize("text", ["Your code.", "{secret} {secret}", "{minutes}"])
def test_the_code_stands_exactly_once_in_its_text(text):
    assert [fault for fault in faults_of(text, key="sign_in_code") if "exactly once" in fault]


def test_a_link_with_a_secret_may_not_stand_in_a_subject():
    found = faults_of("{person} {tenant} {link}", key="invitation", channel=Channel.EMAIL, subject="Hi {link}")

    assert found == ["{link} may not stand in the subject."]


def test_a_subject_is_one_line_and_a_text_message_has_none():
    assert faults_of(GOOD, key="receipt", channel=Channel.EMAIL, subject="a\nBcc: x@example.com")
    assert faults_of(GOOD, key="receipt", channel=Channel.EMAIL)
    assert faults_of(GOOD, subject="x") == ["A text message has no subject."]


# --- Values ----------------------------------------------------------------------------------------------------------

HOSTILE = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="{}%()$\\\r\n\x00\x1b\u202e\u2066\u200bamountsecret_.!", max_size=80),
    st.sampled_from(
        ["{secret}", "{amount}", "x" * 10_000, "\U0001f600" * 5_000, "\u0301" * 3_000, "%(amount)s", "\r\n"]
    ),
)


@pytest.mark.invariant("I73")
def test_no_value_changes_what_a_text_says_or_how_much_it_costs(figure, record_figure):
    """The template's half of I73: whatever stands in a value, the words of the text stay, and the parts are bounded."""
    template, form = TEMPLATES["receipt"], Form(text="A{amount}B{reference}C{amount}D")
    count = figure(quick=60, full=5_000)
    most = 0

    @hypothesis_settings(max_examples=count, database=None)
    @given(amount=HOSTILE, reference=HOSTILE)
    def check(amount: str, reference: str) -> None:
        nonlocal most
        values = values_for(template, {"amount": amount, "reference": reference})
        text = fill(str(form.text), values)

        assert text == f"A{values['amount']}B{values['reference']}C{values['amount']}D"
        assert len(values["amount"]) <= 30
        assert len(values["reference"]) <= 64
        assert not set("{}\r\n\x00\x1b\u202e\u2066\u200b") & set(text)
        assert measure(text).parts <= MAX_SMS_PARTS
        most = max(most, measure(text).parts)

    check()
    record_figure(f"{count} pairs of values, at most {most} parts, 0 placeholders or lines added")


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("Duka la Asha", "Duka la Asha"),
        ("Asha\r\nBcc: x@example.com", "Asha Bcc: x@example.com"),
        ("\u202emoc.elpmaxe\u202c", "moc.elpmaxe"),
        ("{secret}", "(secret)"),
        ("a\u00a0b", "a b"),
        ("Wema\u2028Duka", "Wema Duka"),
        ("\ud800x", "x"),
        (5_000, "5000"),
        ("", ""),
        ("x" * 11, "xxxxxxx..."),
        ("\x00" * 100 + "Asha", "Asha"),
    ],
)
def test_a_value_becomes_one_visible_line(value, cleaned):
    assert clean_value(value, max_length=len(str(value)) if cleaned[-3:] != "..." else 10) == cleaned


def test_a_name_with_a_placeholder_in_it_adds_no_second_link(in_tenant):
    told = {"person": "{link}", "tenant": "{secret}", "link": "https://x/?token={secret}"}

    wording = render("invitation", language="en", channel="email", values=told)

    assert wording.text == "(link) invites you to (secret): https://x/?token={secret}"
    assert wording.subject == "Invitation to (secret)"


# --- Parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("\u20ac" * 80, 1),
        ("\u20ac" * 81, 2),
        ("a" * 152 + "\u20ac" + "a" * 152, 3),  # 306 places, but what takes two is not cut in the middle
        ("\u0163" * 70, 1),
        ("\u0163" * 71, 2),
        ("\U0001f600" * 35, 1),
        ("\U0001f600" * 67, 3),  # 33 to a part
    ],
)
def test_parts_are_counted_as_the_standard_has_it(text, parts):
    assert measure(text).parts == parts


# --- Versions --------------------------------------------------------------------------------------------------------


def test_a_published_wording_is_in_force_for_its_language_and_no_other(operator):
    assert publish(operator).number == 1
    assert publish(operator, "Back: {amount}, {reference}").number == 2

    assert said() == "Back: TZS 5,000, order-7"
    assert said("sw").startswith("Umerudishiwa") or "order-7" in said("sw")
    assert render("refund", language="en", channel="sms", values=TOLD).version == 2
    assert render("refund", language="sw", channel="sms", values=TOLD).version == 0


def test_going_back_appends_a_version_and_leaves_the_others_as_they_were(operator):
    first, second = publish(operator), publish(operator, "Back: {amount}, {reference}")
    before = list(TemplateVersion.objects.order_by("number").values())

    again = restore_version(operator_id=operator.pk, version_id=first.pk)

    assert again is not None
    assert (again.number, again.repeats) == (3, 1)
    assert said() == "Paid: TZS 5,000 (order-7)"
    assert list(TemplateVersion.objects.order_by("number").values())[:2] == before
    assert restore_version(operator_id=operator.pk, version_id=again.pk) is None

    assert restore_default(operator_id=operator.pk, key="refund", language="en") is not None
    assert said() == "TZS 5,000 was sent back to you. Reference order-7."
    assert restore_default(operator_id=operator.pk, key="refund", language="en") is None
    assert restore_version(operator_id=operator.pk, version_id=second.pk) is not None
    assert said() == "Back: TZS 5,000, order-7"
    assert len(lines(Action.TEMPLATE_PUBLISHED)) == TemplateVersion.objects.count() == 5


def test_the_database_refuses_to_change_or_remove_a_version(operator):
    version = publish(operator)

    with pytest.raises(DatabaseError), transaction.atomic():
        TemplateVersion.objects.filter(pk=version.pk).update(sms_text="x")
    with pytest.raises(DatabaseError), transaction.atomic():
        TemplateVersion.objects.filter(pk=version.pk).delete()

    assert said() == "Paid: TZS 5,000 (order-7)"


def test_a_wording_with_faults_is_not_published(operator):
    with pytest.raises(WordingRefused) as refused:
        publish(operator, "{amount} {x.__class__}")

    assert set(refused.value.errors) == {"sms_text"}
    assert not TemplateVersion.objects.exists()
    assert not lines(Action.TEMPLATE_PUBLISHED)


def test_every_channel_of_a_template_needs_its_wording():
    receipt = TEMPLATES["receipt"]
    inbox = {Channel.SMS: Form(text=GOOD), Channel.INBOX: Form(text="x", subject="y")}

    assert set(find_faults(receipt, inbox)) == {"email_subject", "email_text", "inbox_text"}


def test_a_version_that_the_code_has_left_behind_gives_way_to_the_default(operator, monkeypatch, caplog):
    publish(operator)
    refund = TEMPLATES["refund"]
    phone = Variable(name="phone", example="+255712345678", description="", max_length=16)
    moved_on = Template(
        key="refund",
        kind=refund.kind,
        description="",
        variables=(*refund.variables, phone),
        defaults={Channel.SMS: Form(text="{amount} {reference} {phone}")},
    )
    monkeypatch.setitem(TEMPLATES, "refund", moved_on)

    wording = render("refund", language="en", channel="sms", values={**TOLD, "phone": "+255754000111"})

    assert (wording.text, wording.version) == ("TZS 5,000 order-7 +255754000111", 0)
    assert "does not fit its template" in caplog.text


def test_a_receipt_has_the_wording_that_is_in_force(in_tenant, operator):
    forms = {
        Channel.SMS: Form(text="Asante! {amount}, {reference}"),
        Channel.EMAIL: Form(subject="Asante ({amount})", text="{amount}\r\n{reference}"),
    }
    publish_version(operator_id=operator.pk, key="receipt", language="en", forms=forms)

    send_receipt(payment_id=make_payment(in_tenant, client_reference="{amount}").pk)

    assert Message.objects.get(channel="sms").text == "Asante! TZS 5,000, (amount)"
    email = Message.objects.get(channel="email")
    assert (email.subject, email.text) == ("Asante (TZS 5,000)", "TZS 5,000\n(amount)")


def test_a_subject_fits_its_column_however_often_it_tells_a_value(operator):
    forms = {
        Channel.SMS: Form(text="{person} {tenant} {link}"),
        Channel.EMAIL: Form(subject="{tenant} " * 12, text="{person} {tenant} {link}"),
    }
    publish_version(operator_id=operator.pk, key="invitation", language="en", forms=forms)
    told = {"person": "Asha", "tenant": "x" * 60, "link": "https://x/{secret}"}

    assert len(render("invitation", language="en", channel="email", values=told).subject) == 200


# --- API -------------------------------------------------------------------------------------------------------------


def test_admins_see_what_is_written_in_their_name(member, member_client, operator):
    publish(operator)

    listed = member_client.get(URL).json()["data"]["templates"]
    one = member_client.get(f"{URL}refund/").json()["data"]

    assert [each["key"] for each in listed] == list(TEMPLATES)
    assert one == next(each for each in listed if each["key"] == "refund")
    assert [(each["language"], each["version"]) for each in one["wordings"]] == [("en", 1), ("sw", 0)]
    assert one["wordings"][0]["forms"] == [{"channel": "sms", "subject": "", "text": "Paid: {amount} ({reference})"}]
    assert [each["name"] for each in one["variables"]] == ["amount", "reference"]


def test_plain_members_see_no_templates_and_a_made_up_key_is_not_found(member, member_client):
    colleague = add_member(member).client()

    assert refusal_of(colleague.get(URL)) == (403, "admins_only")
    assert refusal_of(colleague.post(f"{URL}refund/preview/", {}, format="json")) == (403, "admins_only")
    assert refusal_of(member_client.get(f"{URL}nothing/")) == (404, "not_found")
    assert refusal_of(member_client.post(f"{URL}nothing/preview/", {}, format="json")) == (404, "not_found")


def test_a_preview_says_what_would_be_read_and_what_it_comes_to(member_client):
    body = {"language": "sw", "values": {"reference": "\U0001f600" * 500}}

    data = member_client.post(f"{URL}receipt/preview/", body, format="json").json()["data"]

    sms, email = data["previews"]
    assert (data["language"], sms["channel"], email["channel"]) == ("sw", "sms", "email")
    assert "TZS 5,000" in sms["text"]  # the example
    assert "\U0001f600" * 61 + "..." in sms["text"]
    assert (sms["parts"], email["parts"]) == (measure(sms["text"]).parts, None)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"values": {"phone": "x"}}, 422, "wording_refused"),
        ({"values": {"amount": 5}}, 400, "validation_error"),
        ({"values": {"amount": "x" * 10_001}}, 400, "validation_error"),
        ({"values": {f"{letter}": "x" for letter in string.printable}}, 400, "validation_error"),
        ({"language": "fr"}, 400, "validation_error"),
    ],
)
def test_a_preview_of_nonsense_is_refused(member_client, body, status, code):
    assert refusal_of(member_client.post(f"{URL}receipt/preview/", body, format="json")) == (status, code)


def test_the_list_of_templates_costs_the_same_however_many_versions_there_are(member_client, operator):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            member_client.get(URL)
        return len(captured)

    none = queries()
    for number in range(4):
        publish(operator, f"{number} {{amount}} {{reference}}", LANGUAGES[number % 2])

    assert queries() == none <= 6


# --- The admin -------------------------------------------------------------------------------------------------------

LIST = "admin:messaging_templateversion_changelist"
ADD = "admin:messaging_templateversion_add"


@pytest.fixture
def browser(operator: Any) -> Any:
    return browser_of(operator)


def typed(**fields: str) -> dict[str, str]:
    return {"template": "refund", "language": "en", "sms_text": GOOD, "note": "shorter", **fields}


def test_an_operator_finds_every_wording_and_begins_from_what_is_in_force(browser):
    page = browser.get(reverse(LIST)).content.decode()
    form = browser.get(f"{reverse(ADD)}?template=receipt&language=sw").content.decode()

    assert [key for key in TEMPLATES if f"template={key}&amp;language=sw" not in page] == []
    assert "Tumepokea {amount}" in form
    assert "Tumepokea TZS 5,000" in form  # the preview
    assert "inbox_text" not in form
    assert browser.get(reverse(ADD)).status_code == 302


def test_an_operator_looks_before_publishing(browser, operator):
    look = browser.post(reverse(ADD), typed(sms_text="Back: {amount}. {reference}", _preview=""))

    assert look.status_code == 200
    assert "Back: TZS 5,000. order-1024" in look.content.decode()
    assert "(1 text message)" in look.content.decode()
    assert not TemplateVersion.objects.exists()

    assert browser.post(reverse(ADD), typed()).status_code == 302

    version = TemplateVersion.objects.get()
    assert (version.sms_text, version.note, version.published_by) == (GOOD, "shorter", operator)


@pytest.mark.parametrize("button", ["_preview", "_save"])
def test_an_operator_is_told_what_is_wrong(browser, button):
    answer = browser.post(reverse(ADD), typed(sms_text="{amount} {x.__class__}", **{button: ""}))

    assert answer.status_code == 200
    assert "{x.__class__} is not a placeholder of this template." in answer.content.decode()
    assert not TemplateVersion.objects.exists()


def test_an_operator_goes_back(browser, operator):
    first, _second = publish(operator), publish(operator, "Back: {amount}, {reference}")

    for action in ("restore", "reset"):
        wish = {"action": action, "_selected_action": [str(first.pk)], "confirmed": "yes", "reason": "typo"}
        assert browser.post(reverse(LIST), wish).status_code == 302

    assert list(TemplateVersion.objects.order_by("number").values_list("repeats", "is_default")) == [
        (None, False),
        (None, False),
        (1, False),
        (None, True),
    ]


def test_staff_without_the_right_to_publish_only_look(operator):
    version = publish(operator)
    looker = browser_of(make_operator("messaging.view_templateversion"))

    page = looker.get(reverse(LIST)).content.decode()
    wish = {"action": "reset", "_selected_action": [str(version.pk)], "confirmed": "yes", "reason": "x"}
    looker.post(reverse(LIST), wish)

    assert "language=sw" not in page.replace("language__exact=sw", "")
    assert looker.post(reverse(ADD), typed()).status_code == 403
    assert TemplateVersion.objects.count() == 1


def test_two_operators_at_once_get_a_number_each(operator):
    """The lock's other half: the constraint holds whatever the code does."""
    publish(operator)

    with pytest.raises(DatabaseError), transaction.atomic():
        TemplateVersion.objects.create(template="refund", language="en", number=1, published_by=operator)


def test_a_preview_without_a_version_shows_the_default(db):
    (shown,) = preview(key="phone_changed", language="en")

    assert shown.text.startswith("The phone number of your account was changed.")
    assert measure(shown.text).parts == shown.parts == 1


def test_a_member_is_no_operator(member: Member):
    assert browser_of(member.user).get(reverse(LIST)).status_code == 302
