"""Pages of the admin that tell a story instead of showing a form: numbers at a glance, a timeline, and details."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, cast
from uuid import UUID

from django.contrib.admin.utils import unquote
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin import TenantAdmin


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A small detail. `is_code`: a reference or the like, to be copied."""

    name: str
    text: str
    is_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the timeline. `tone` is a colour of labels; `words` are the provider's or a person's own."""

    at: datetime
    rank: int
    title: str
    icon: str
    tone: str = ""
    status: str = ""
    status_tone: str = ""
    amount: str = ""
    words: str = ""
    by: str = ""
    facts: tuple[Fact, ...] = ()
    link: str = ""
    seq: int = 0
    became: str = ""
    became_tone: str = ""
    anomalies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number of the panel of money."""

    title: str
    text: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A line of the details beside the timeline."""

    name: str
    text: str
    link: str = ""
    is_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A named group of details."""

    title: str
    details: Sequence[Detail]


class Styles:
    """The `Media` of these pages."""

    css: ClassVar = {"all": ("payments/admin.css",)}


class StoryPages(TenantAdmin):
    """Pages that tell a story instead of showing a form."""

    change_form_before_template = "admin/story.html"
    fieldsets = ()
    show_full_result_count = False
    list_per_page = 50

    Media = Styles

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return ()

    def offers(self, row: Any) -> Collection[str]:
        """The actions that make sense for a row as it is; the others have no button on its page."""
        return ()

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, unquote(str(object_id)))
        offered = {f"{name}_one" for name in self.offers(row)} if row is not None else set()
        return [each for each in super().get_actions_detail(request, object_id) if each.method.__name__ in offered]

    def has_act_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}"))


def link_to(request: HttpRequest, row: Model) -> str:
    """The admin's page of a row; empty for those who may not look at it."""
    app, name = row._meta.app_label, row._meta.model_name
    may: Callable[[str], bool] = request.user.has_perm
    if not (may(f"{app}.view_{name}") or may(f"{app}.change_{name}")):
        return ""
    return reverse(f"admin:{app}_{name}_change", args=[row.pk])


def operator_id_of(request: HttpRequest) -> UUID:
    """Who works in the admin."""
    return cast(UUID, request.user.pk)


def code(text: str) -> SafeString | str:
    """A reference in a list, in letters of one width."""
    return format_html('<span class="fj-code">{}</span>', text) if text else ""
