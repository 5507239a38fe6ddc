"""The log of messages: find one, read its story, send it again, ask what became of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from apps.messaging.admin.exports import MessageExport
from apps.messaging.admin.timeline import Timeline
from apps.messaging.admin.words import COLOURS, STATUSES, status_word
from apps.messaging.kinds import MessageKind
from apps.messaging.models.messages import Message
from apps.messaging.progress import MessageStatus
from apps.messaging.selectors.search import search_messages
from apps.messaging.selectors.stories import get_story_of_message
from apps.messaging.services.operators import ask_about_message, repeat_message
from core.admin import TenantFilter, WordFilter, asked_actions, in_its_room
from core.admin_story import Card, Detail, Figure, StoryPages, code, link_to, operator_id_of
from core.exports import AuditedExport

# Each is a call that may take long, and all of them are one request.
MAX_ASKED = 10
UNDER_WAY = frozenset({MessageStatus.QUEUED, MessageStatus.SUBMITTING})
ASKABLE = frozenset({MessageStatus.SENT, MessageStatus.UNCERTAIN, MessageStatus.EXPIRED})


class StatusFilter(WordFilter):
    title, column = gettext_lazy("status"), "status"
    words = STATUSES


class ChannelFilter(WordFilter):
    title, column = gettext_lazy("channel"), "channel"
    words = dict(Message.Channel.choices)


class KindFilter(WordFilter):
    title, column = gettext_lazy("kind"), "kind"
    words = dict(MessageKind.choices)


class ProviderFilter(WordFilter):
    """By the gateways of the settings: the words of a large table are not asked for."""

    title, column = gettext_lazy("provider"), "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return [(name, name) for name in (*sorted(settings.SMS_GATEWAYS), "email")]


class CountryFilter(WordFilter):
    title, column = gettext_lazy("country"), "country"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return [(name, name) for name in sorted(settings.SMS_COUNTRIES)]


@admin.register(Message)
class MessageAdmin(AuditedExport, StoryPages):
    resource_classes = [MessageExport]
    list_display = (
        "created_at",
        "channel",
        "kind",
        "to",
        "shown_status",
        "provider",
        "tries",
        "parts",
        "shown_price",
        "tenant",
    )
    list_display_links = ("created_at", "to")
    list_filter = (StatusFilter, ChannelFilter, KindFilter, ProviderFilter, CountryFilter, ("tenant", TenantFilter))
    search_fields = ("id",)  # that there is a search; `search_messages` says how
    search_help_text = gettext_lazy("Id, phone number, e-mail address, key, or the provider's reference")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")
    actions = ("repeat", "ask_provider")
    actions_detail = ("repeat_one", "ask_provider_one")

    repeat, repeat_one = asked_actions(
        "repeat",
        use_case=in_its_room(
            lambda request, message, reason: bool(
                repeat_message(operator_id=operator_id_of(request), message_id=message.pk, reason=reason)
            )
        ),
        permission="act",
        title=gettext_lazy("Send again"),
        warning=gettext_lazy(
            "These people get their messages once more, each as a new message, and texts cost again. What holds a code "
            "is not sent again."
        ),
        done=gettext_lazy("Sent again."),
        needs_reason=True,
        icon="replay",
    )
    ask_provider, ask_provider_one = asked_actions(
        "ask_provider",
        use_case=in_its_room(
            lambda request, message, _reason: ask_about_message(
                operator_id=operator_id_of(request), message_id=message.pk
            )
        ),
        permission="act",
        title=gettext_lazy("Ask the provider"),
        warning=gettext_lazy("The providers are asked what became of these texts, and their answer counts."),
        done=gettext_lazy("The provider was asked."),
        max_chosen=MAX_ASKED,
        icon="sync",
    )

    def offers(self, row: Message) -> Collection[str]:
        offered = []
        if row.status not in UNDER_WAY and row.text and not row.secret:
            offered.append("repeat")
        if row.channel == Message.Channel.SMS and row.status in ASKABLE:
            offered.append("ask_provider")
        return offered

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        return search_messages(queryset, search_term), False

    def get_export_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        messages: QuerySet[Message] = super().get_export_queryset(request)
        return messages.select_related("tenant")

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        row = kwargs.get("obj")
        if row is not None:
            story = get_story_of_message(row)
            context |= {
                "row": row,
                "headline": row.to or _("of a person who was erased"),
                "status": status_word(row.status),
                "status_tone": COLOURS.get(row.status, ""),
                "figures": list(_figures(row)),
                "concerns": [(status_word(row.status), row.error)] if row.error else [],
                "quote": row.shown_text,
                "quote_title": row.subject or _("Text"),
                "cards": list(_cards(request, row)),
                "entries": Timeline(request, row, story).entries(),
                "story": story,
                "words": _words(),
            }
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return response

    @display(description=gettext_lazy("status"), ordering="status", label=dict.fromkeys(STATUSES, "default") | COLOURS)  # type: ignore[untyped-decorator]
    def shown_status(self, message: Message) -> tuple[str, str]:
        return message.status, status_word(message.status)

    @admin.display(description=gettext_lazy("price"), ordering="price")
    def shown_price(self, message: Message) -> str:
        return message.money.display if message.money else ""

    @admin.display(description=gettext_lazy("reference"))
    def shown_reference(self, message: Message) -> str:
        return code(message.provider_reference)


def _figures(row: Message) -> Iterable[Figure]:
    if row.channel == Message.Channel.SMS:
        yield Figure(
            title=_("Price"),
            text=row.money.display if row.money else "-",
            note=_("Of one sending.") if row.counted_on else _("Not counted: nothing was sent."),
        )
        yield Figure(title=_("Parts"), text=str(row.parts), note=row.get_encoding_display())
    yield Figure(title=_("Tries"), text=str(row.tries), note=_("That reached a provider, or may have."))
    if row.channel == Message.Channel.SMS:
        yield Figure(title=_("Asked about"), text=_("%(count)d times") % {"count": row.polls})
    if row.delivered_at is not None and row.first_sent_at is not None:
        seconds = round((row.delivered_at - row.first_sent_at).total_seconds())
        yield Figure(title=_("Delivered within"), text=f"{seconds} s", tone="success")


def _cards(request: HttpRequest, row: Message) -> Iterable[Card]:
    yield Card(
        title=_("Message"),
        details=(
            Detail(name=_("Id"), text=str(row.pk), is_code=True),
            Detail(name=_("Channel"), text=row.get_channel_display()),
            Detail(name=_("Kind"), text=row.get_kind_display()),
            Detail(name=_("For"), text=row.key, is_code=True),
            Detail(name=_("Country and operator"), text=f"{row.country} {row.operator_prefix}".strip()),
            Detail(name=_("Is a repetition of"), text=str(row.repeats_id or ""), link=_link_to_message(request, row)),
        ),
    )
    yield Card(
        title=_("On its way"),
        details=(
            Detail(name=_("Provider"), text=row.provider),
            Detail(name=_("Sender"), text=row.sender),
            Detail(name=_("The provider's reference"), text=row.provider_reference, is_code=True),
            Detail(name=_("The provider's word"), text=row.raw_status, is_code=True),
            *(
                Detail(name=name, text=f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "")
                for name, moment in (
                    (_("Stored"), row.created_at),
                    (_("Sent"), row.sent_at),
                    (_("Delivered"), row.delivered_at),
                    (_("Of use until"), row.expires_at),
                )
            ),
        ),
    )
    whose = Detail(name=_("Organisation"), text=str(row.tenant), link=link_to(request, row.tenant))
    yield Card(title=_("Whose it is"), details=(whose,))


def _link_to_message(request: HttpRequest, row: Message) -> str:
    return link_to(request, Message(pk=row.repeats_id)) if row.repeats_id else ""


def _words() -> dict[str, str]:
    """What the template says. Sentences stand in modules, where the catalogues find them."""
    return {
        "money": _("Figures"),
        "concerns": _("To look at"),
        "timeline": _("What happened"),
        "cut": _("There is more than this page shows."),
        "by": _("by"),
        "look": _("look"),
        "nothing": _("Nothing yet."),
    }
