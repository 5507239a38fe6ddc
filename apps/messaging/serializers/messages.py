"""What comes in and what goes out about messages."""

from __future__ import annotations

import unicodedata
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator, validate_email
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from apps.messaging.addresses import MAX_ADDRESS, normal_address
from apps.messaging.channels import Channel
from apps.messaging.content import Content
from apps.messaging.kinds import MessageKind
from apps.messaging.models.messages import CLIENT_KEY, Message, MessageTry
from apps.messaging.progress import HistoryEvent, MessageStatus
from apps.messaging.wordings import MAX_SUBJECT, MAX_TEXT, normal
from core.output import OutputModelSerializer, OutputSerializer
from core.parsers import is_storable
from core.phones import to_e164
from core.serializers import FilterInput, InputSerializer, MoneyField, StrictCharField

CHANNELS: Final = Message.Channel.choices
# What a tenant may say itself. The others are promises of the platform: a code, a warning, a proof.
KINDS: Final = [(kind.value, kind.label) for kind in (MessageKind.SERVICE, MessageKind.MARKETING)]
MAX_KEY, MAX_RECIPIENTS = 60, 100
MAX_VALUES, MAX_VALUE = 50, 10_000
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def read_address(channel: str, text: str) -> str:
    """A phone as E.164 or an e-mail address in lower case, or a validation error that says what is wrong."""
    if channel == Channel.EMAIL:
        try:
            validate_email(text)
        except ValidationError:
            raise serializers.ValidationError(_("Enter a valid email address.")) from None
        return normal_address(channel=channel, to=text)
    try:
        return to_e164(text)
    except ValueError:
        raise serializers.ValidationError(_("Enter a valid phone number, for example +255712345678.")) from None


class ContentInput(InputSerializer):
    """`text` (by e-mail with a `subject`), or `template` with its `values`: one of the two."""

    text = StrictCharField(
        max_length=MAX_TEXT[Channel.EMAIL],
        required=False,
        help_text="What it says. A text message may have as many parts as the installation allows.",
    )
    template = serializers.SlugField(
        max_length=50, required=False, help_text="In place of `text`: the key of a wording. See the list of templates."
    )
    values = serializers.DictField(
        child=StrictCharField(max_length=MAX_VALUE, allow_blank=True),
        required=False,
        help_text="For the template: all of its variables, by name.",
    )
    language = serializers.ChoiceField(choices=settings.LANGUAGES, required=False, help_text="Of the template.")

    def validate_text(self, text: str) -> str:
        return normal(text)

    def validate_values(self, values: dict[str, str]) -> dict[str, str]:
        if len(values) > MAX_VALUES or not all(is_storable(name) for name in values):
            raise serializers.ValidationError(_("At most 50 values."))
        return values

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        told = {
            name: attrs.pop(name) for name in ("text", "subject", "template", "values", "language") if name in attrs
        }
        faults = {}
        if ("text" in told) == ("template" in told):
            faults["text"] = [_("Give a text or a template: one of the two.")]
        elif "text" in told:
            unused = [name for name in ("values", "language") if name in told]
            faults |= {name: [_("Only with a template.")] for name in unused}
        if faults:
            raise serializers.ValidationError(faults)
        return attrs | {"content": Content(**told)}


class PriceTextInput(ContentInput):
    """A text message that is not sent: to one phone, or to several."""

    to = serializers.ListField(
        child=StrictCharField(max_length=20),
        min_length=1,
        max_length=MAX_RECIPIENTS,
        help_text="Phones: +255712345678, or a local spelling.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return super().validate(attrs | {"to": read_recipients(Channel.SMS, attrs["to"])})


class _SendInput(ContentInput):
    channel = serializers.ChoiceField(choices=CHANNELS)
    subject = StrictCharField(max_length=MAX_SUBJECT, required=False, help_text="Of an e-mail without a template.")
    kind = serializers.ChoiceField(
        choices=KINDS,
        default=MessageKind.SERVICE.value,
        help_text="`marketing` goes to nobody who has turned it off, and waits for everything else.",
    )
    key = StrictCharField(
        max_length=MAX_KEY,
        required=False,
        default="",
        validators=[RegexValidator(r"^[0-9A-Za-z._-]+\Z")],
        help_text="Your own name for it, for ever: asked for again with it, nothing more is sent.",
    )

    def validate_subject(self, subject: str) -> str:
        if any(unicodedata.category(each) in _UNSEEN for each in subject):
            raise serializers.ValidationError(_("Write it on one line."))
        return subject

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        needs_subject = attrs["channel"] == Channel.EMAIL and "template" not in attrs
        if needs_subject and "subject" not in attrs:
            raise serializers.ValidationError({"subject": [_("This field is required.")]})
        if not needs_subject and "subject" in attrs:
            raise serializers.ValidationError({"subject": [_("Only for an e-mail without a template.")]})
        return super().validate(attrs)


class SendMessageInput(_SendInput):
    to = StrictCharField(max_length=MAX_ADDRESS, help_text="A phone (+255712345678) or an e-mail address.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            attrs["to"] = read_address(attrs["channel"], attrs["to"])
        except serializers.ValidationError as error:
            raise serializers.ValidationError({"to": error.detail}) from None
        return super().validate(attrs)


class SendMessagesInput(_SendInput):
    to = serializers.ListField(
        child=StrictCharField(max_length=MAX_ADDRESS),
        min_length=1,
        max_length=MAX_RECIPIENTS,
        help_text="Phones or e-mail addresses, each once.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return super().validate(attrs | {"to": read_recipients(attrs["channel"], attrs["to"])})


def read_recipients(channel: str, told: list[str]) -> list[str]:
    """All addresses in the spelling in which they are stored; faults by their place in the list."""
    found: list[str] = []
    faults: dict[str, Any] = {}
    for place, text in enumerate(told):
        try:
            found.append(read_address(channel, text))
        except serializers.ValidationError as error:
            faults[str(place)] = error.detail
    if faults:
        raise serializers.ValidationError({"to": faults})
    if len(set(found)) < len(found):
        raise serializers.ValidationError({"to": [_("Name each recipient once.")]})
    return found


class MessageFilterInput(FilterInput):
    channel = serializers.ChoiceField(choices=CHANNELS, required=False)
    status = serializers.ChoiceField(choices=MessageStatus.choices, required=False)
    kind = serializers.ChoiceField(choices=MessageKind.choices, required=False)
    to = StrictCharField(
        max_length=MAX_ADDRESS, required=False, help_text="A phone in any usual spelling, or an e-mail address."
    )
    key = StrictCharField(max_length=MAX_KEY + 3, required=False, help_text="Your own name for it.")
    created_from = serializers.DateTimeField(required=False, help_text="Not before this time.")
    created_until = serializers.DateTimeField(required=False, help_text="Before this time.")

    def validate_to(self, text: str) -> str:
        return normal_address(channel=Channel.EMAIL if "@" in text else Channel.SMS, to=text)

    def validate_key(self, text: str) -> str:
        return f"{CLIENT_KEY}{text}"


class MessageOutput(OutputModelSerializer[Message]):
    text = serializers.CharField(source="shown_text", help_text="A code in it is masked.")
    encoding = serializers.ChoiceField(
        choices=Message.Encoding.choices,
        source="shown_encoding",
        allow_null=True,
        help_text="Null for an e-mail, and for a text that nobody wants.",
    )
    price = MoneyField(source="money", allow_null=True, help_text="Of one sending. Null for an e-mail.")
    key = serializers.CharField(source="client_key", help_text="Your own name for it; empty without one.")

    class Meta:
        model = Message
        fields = read_only_fields = (
            "id",
            "channel",
            "kind",
            "to",
            "subject",
            "text",
            "encoding",
            "parts",
            "price",
            "status",
            "key",
            "created_at",
            "sent_at",
            "delivered_at",
        )


class HistoryEntryOutput(OutputSerializer[Any]):
    at = serializers.DateTimeField()
    event = serializers.ChoiceField(choices=HistoryEvent.choices)
    provider = serializers.CharField(help_text="Of a try or a report; empty otherwise.")
    outcome = serializers.ChoiceField(choices=MessageTry.Outcome.choices, allow_null=True, help_text="Of a try.")
    reason = serializers.CharField(help_text="Why a try was refused: `number`, `text`, `opted_out`, `sender`, ...")
    status = serializers.ChoiceField(choices=MessageStatus.choices, allow_null=True, help_text="Of a report.")
    message_id = serializers.UUIDField(allow_null=True, help_text="The message as which it was sent again.")


class MessageStoryOutput(OutputSerializer[Any]):
    """A message and what happened to it, oldest first."""

    message = MessageOutput()
    history = HistoryEntryOutput(many=True)


class MessageBatchOutput(OutputSerializer[Any]):
    """The messages in the order of `to`."""

    messages = MessageOutput(many=True)
    parts = serializers.IntegerField(help_text="Of all of them.")
    price = MoneyField(allow_null=True, help_text="Of all of them. Null for e-mails.")


class QuoteOutput(OutputSerializer[Any]):
    encoding = serializers.ChoiceField(choices=Message.Encoding.choices)
    parts = serializers.IntegerField(help_text="Of the text: to each phone.")
    recipients = serializers.IntegerField()
    price = MoneyField(help_text="To all of them.")
