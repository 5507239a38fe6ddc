"""Everything that the API says to people, it says in Swahili too; what it says to programs never changes."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation
from rest_framework.test import APIClient

from apps.messaging.models.messages import Message
from apps.messaging.services.receipts import send_receipt
from config.urls import urlpatterns
from core.money import Money
from core.serializers import InputSerializer
from tests.factories.accounts import PASSWORD
from tests.factories.payments import a_wish_to_pay, make_payment
from tools.messages import FRAMEWORK_MESSAGES, PLACEHOLDER, messages_in

ROOT = Path(__file__).resolve().parents[2]
PO = ROOT / "locale" / "sw" / "LC_MESSAGES" / "django.po"
Key = str | tuple[str, int]


def po_entries(text: str) -> dict[Key, str]:
    """Message and translation pairs of a `.po`, keyed as gettext keys them: a plural's forms by number."""
    found: dict[Key, str] = {}
    for block in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        field = ""
        for line in block.splitlines():
            if begin := re.match(r'(msgid|msgid_plural|msgstr(?:\[\d\])?) (?=")', line):
                field = begin.group(1)
                fields[field] = ""
                line = line[begin.end() :]
            if line.startswith('"'):
                fields[field] += ast.literal_eval(line)
        if fields.get("msgid"):
            for name, text_ in fields.items():
                if name == "msgstr":
                    found[fields["msgid"]] = text_
                elif name.startswith("msgstr["):
                    found[(fields["msgid"], int(name[7]))] = text_
    return found


def mo_entries() -> dict[Key, str]:
    with PO.with_suffix(".mo").open("rb") as stream:
        catalog: dict[Key, str] = vars(gettext.GNUTranslations(stream))["_catalog"]
    return {key: text for key, text in catalog.items() if key}


def messages_of_the_code() -> set[str]:
    found = set()
    for package in ("apps", "config", "core", "services"):
        for path in (ROOT / package).rglob("*.py"):
            found |= set(messages_in(path.read_text()))
    return found


TRANSLATED = po_entries(PO.read_text())


def test_every_sentence_of_the_code_has_a_translation():
    messages = messages_of_the_code()

    assert len(messages) > 60
    assert sorted(message for message in messages if not TRANSLATED.get(message)) == []


def test_no_translation_is_left_of_a_sentence_that_is_gone():
    framework = {text if isinstance(text, str) else text[0] for texts in FRAMEWORK_MESSAGES.values() for text in texts}
    known = messages_of_the_code() | framework

    assert sorted(str(key) for key in TRANSLATED if (key if isinstance(key, str) else key[0]) not in known) == []


@pytest.mark.parametrize("key", sorted(TRANSLATED, key=str), ids=str)
def test_a_translation_has_the_placeholders_of_its_sentence(key):
    message = key if isinstance(key, str) else key[0]

    assert sorted(PLACEHOLDER.findall(TRANSLATED[key])) == sorted(PLACEHOLDER.findall(message))


def test_what_the_programs_read_is_what_people_edit():
    assert mo_entries() == TRANSLATED


@pytest.mark.parametrize("source", ["_(f'{name} is away.')", "_(text)", "gettext_lazy()"])
def test_a_sentence_that_is_put_together_is_refused(source):
    with pytest.raises(ValueError, match="Line 1"):
        list(messages_in(source))


# --- What the frameworks say about our input ------------------------------------------------------------------------


def _inputs(kind: type[InputSerializer]) -> Iterator[type[InputSerializer]]:
    for each in kind.__subclasses__():
        yield each
        yield from _inputs(each)


def _sentences(kind: type[InputSerializer], language: str) -> list[str]:
    """All that can be said about the fields of one input. DRF words some of it once per serializer, so a new one."""
    found: list[Any] = []
    serializer = kind()
    for field in [serializer, *serializer.fields.values()]:
        found += field.error_messages.values()
        found += filter(None, (getattr(validator, "message", None) for validator in field.validators))
    with translation.override(language):
        return [str(sentence) for sentence in found]


def test_every_sentence_about_an_input_field_has_a_translation():
    assert urlpatterns  # importing the routes has defined every input
    kinds = [kind for kind in _inputs(InputSerializer) if kind.__module__.startswith(("apps.", "core."))]
    assert len(kinds) > 5

    pairs = [pair for kind in kinds for pair in zip(_sentences(kind, "en"), _sentences(kind, "sw"), strict=True)]

    assert len(pairs) > 100
    assert sorted({english for english, swahili in pairs if english == swahili}) == []


# --- Over HTTP ------------------------------------------------------------------------------------------------------


def refusal(client: APIClient, language: str) -> dict[str, Any]:
    response = client.post("/api/v1/auth/login/", {}, format="json", headers={"Accept-Language": language})
    body: dict[str, Any] = response.json()
    return body


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["sw", "sw-TZ,sw;q=0.9,en;q=0.8", "sw-KE"])
def test_a_refusal_is_told_in_swahili_to_whoever_asks_for_it(client, language):
    told = refusal(client, language)

    assert told["message"] == "Tafadhali sahihisha sehemu zilizowekwa alama."
    assert told["errors"]["email"] == ["Sehemu hii inahitajika."]


@pytest.mark.django_db
def test_the_code_is_the_same_in_every_language(client):
    english, swahili = refusal(client, "en"), refusal(client, "sw")

    assert english["code"] == swahili["code"] == "validation_error"
    assert english["message"] != swahili["message"]


@pytest.mark.django_db
def test_an_unknown_language_is_answered_in_english(client):
    assert refusal(client, "xx")["message"] == "Please correct the marked fields."


@pytest.mark.django_db
def test_one_request_does_not_leave_its_language_to_the_next(client):
    refusal(client, "sw")

    assert client.get("/api/v1/nowhere/").json()["message"] == "Not found."


@pytest.mark.django_db
def test_an_unknown_address_is_told_in_swahili(client):
    response = client.get("/api/v1/nowhere/", headers={"Accept-Language": "sw"})

    assert (response.json()["message"], response.json()["code"]) == ("Haikupatikana.", "not_found")


@pytest.mark.django_db
def test_a_weak_password_is_told_in_swahili(client):
    body = {"email": "juma@example.com", "password": "abc123"}
    response = client.post("/api/v1/auth/register/", body, format="json", headers={"Accept-Language": "sw"})

    assert response.json()["errors"]["password"] == [
        "Nenosiri hili ni fupi mno. Lazima liwe na angalau herufi 8.",
        "Nenosiri hili ni la kawaida mno.",
    ]


@pytest.mark.django_db
def test_whoever_registers_in_swahili_is_remembered_as_such(client):
    body = {"email": "neema@example.com", "password": PASSWORD}

    response = client.post("/api/v1/auth/register/", body, format="json", headers={"Accept-Language": "sw"})

    assert response.json()["data"]["user"]["language"] == "sw"


@pytest.mark.django_db
def test_a_receipt_is_written_in_the_language_of_whoever_started_the_payment(in_tenant):
    in_tenant.user.language = "sw"
    in_tenant.user.save()
    payment = make_payment(in_tenant, client_reference="oda-7")

    send_receipt(payment_id=payment.pk)

    text = Message.objects.get(channel="sms").text
    email = Message.objects.get(channel="email")
    assert text == f"Tumepokea {Money(500_000, 'TZS').display}. Kumbukumbu namba oda-7. Asante."
    assert text.isascii()  # a letter beyond GSM's alphabet would cost a second text
    assert email.subject == "Risiti ya TZS 5,000"
    assert email.text.startswith("Habari,\n\ntumepokea TZS 5,000.")


def test_a_stored_refusal_keeps_its_words(member_client):
    """A replay is equal to the byte, so it is in the language of the first answer."""
    wish = a_wish_to_pay(phone="+254712345678")
    headers = {"Idempotency-Key": "lugha-1"}
    first = member_client.post("/api/v1/payments/", wish, format="json", headers=headers | {"Accept-Language": "sw"})

    again = member_client.post("/api/v1/payments/", wish, format="json", headers=headers | {"Accept-Language": "en"})

    assert first.json()["message"] == "Njia hii ya malipo haitumiki kwa namba hii ya simu."
    assert again.content == first.content
