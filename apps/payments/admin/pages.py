"""What the pages of payments, refunds and payouts have in common: money at a glance, concerns, and the timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from unfold.decorators import display

from apps.payments.admin.timeline import Timeline
from apps.payments.admin.words import COLOURS, STATUSES, anomaly_name, anomaly_word, status_word
from apps.payments.selectors.stories import Story
from core.admin_story import Card, Detail, Figure, StoryPages, link_to

# For columns that give a status and its word (`shown_status_of`).
STATUS_LABELS = {status: COLOURS.get(status, "default") for status in STATUSES}


class StoryAdmin(StoryPages):
    """Pages of what moves money."""

    def get_story(self, row: Any) -> Story:
        raise NotImplementedError

    def get_figures(self, row: Any, story: Story) -> Iterable[Figure]:
        raise NotImplementedError

    def get_cards(self, request: HttpRequest, row: Any, story: Story) -> Iterable[Card]:
        raise NotImplementedError

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        row = kwargs.get("obj")
        if row is not None:
            story = self.get_story(row)
            context |= {
                "row": row,
                "headline": row.money.display,
                "status": status_word(row.status),
                "status_tone": COLOURS.get(row.status, ""),
                "figures": list(self.get_figures(row, story)),
                "concerns": [(anomaly_name(each), anomaly_word(each)) for each in anomalies_of(row)],
                "cards": list(self.get_cards(request, row, story)),
                "entries": Timeline(request, story).entries(),
                "story": story,
                "words": _words(is_payout=story.payout is not None),
            }
        response: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return response

    @display(description=_("status"), ordering="status", label=STATUS_LABELS)  # type: ignore[untyped-decorator]
    def shown_status(self, row: Any) -> tuple[str, str]:
        return shown_status_of(row)


def shown_status_of(row: Any) -> tuple[str, str]:
    """The status, which chooses the colour, and its word."""
    return row.status, status_word(row.status)


def anomalies_of(row: Any) -> list[str]:
    """What a person should look at."""
    return [*map(str, row.anomalies), *(["late_settlement"] if getattr(row, "is_late_settlement", False) else [])]


def tenant_card(request: HttpRequest, row: Any, *more: Detail) -> Card:
    """Whose it is."""
    whose = [
        Detail(name=_("Organisation"), text=str(row.tenant), link=link_to(request, row.tenant)),
        *more,
    ]
    return Card(title=_("Whose it is"), details=whose)


def in_words(shown: Callable[[Any, Any], tuple[str, str]]) -> Callable[[Any, Any], str]:
    """A column of a list that gives a word and its colour, as a field of a page: the word alone."""

    def told(self: Any, row: Any) -> str:
        return shown(self, row)[1]

    told.short_description = shown.short_description  # type: ignore[attr-defined]
    return told


def alarms(row: Any) -> SafeString | str:
    """What a person should look at, in a list."""
    names = ((anomaly_name(each),) for each in anomalies_of(row))
    return format_html_join(" ", '<span class="fj-alarm">{}</span>', names)


def _words(*, is_payout: bool) -> dict[str, str]:
    """What the template says. Sentences stand in modules, where the catalogues find them."""
    return {
        "money": _("Money"),
        "concerns": _("To look at"),
        "timeline": _("What happened"),
        "broken": _("The chain of this history is broken: a line was changed or removed afterwards."),
        "intact": _("The chain of this history is whole."),
        "cut": _("There is more than this page shows."),
        "by": _("by"),
        "look": _("look"),
        "nothing": _("Nothing yet."),
        "in_history": _("line of the history"),
        "became": _("payout") if is_payout else _("payment"),
    }
