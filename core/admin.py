"""The admin looks across tenants, on purpose and only for platform staff."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action as detail_action
from unfold.widgets import UnfoldAdminTextInputWidget

from core.exceptions import NotFound, NotPermitted
from core.tenancy import tenant_scope

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


# Rows of one action: what an operator confirms is what they have read.
MAX_CHOSEN = 100


class ReadOnly:
    """Looked at, and changed through use cases only."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    """A list and pages of a model outside the walls. Actions are what changes something."""

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        for chosen in request.POST.getlist(ACTION_CHECKBOX_NAME):
            self.opts.pk.to_python(chosen)  # `ValidationError`, where a lookup by a text would be a defect
        answer: HttpResponse | None = super().response_action(request, queryset)
        return answer


class ReadOnlyInline(ReadOnly, TabularInline):  # type: ignore[misc]
    """Rows of a model outside the walls, below the row that they belong to."""

    extra = 0
    can_delete = False
    show_change_link = True

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.fields


class ConfirmationForm(forms.Form):
    """Nothing but yes."""


class ReasonForm(ConfirmationForm):
    reason = forms.CharField(
        label=_("Reason"), max_length=300, help_text=_("For the audit log."), widget=UnfoldAdminTextInputWidget
    )


def ask(
    owner: ModelAdmin,
    request: HttpRequest,
    rows: QuerySet[Any],
    *,
    action: str,
    title: str | _StrPromise,
    warning: str | _StrPromise,
    needs_reason: bool = False,
) -> TemplateResponse | str:
    """The operator's reason (empty without one) once they have said yes to `action`; before that the page that asks.

    The page is a form to the list, so an action is never done by following a link.
    """
    is_answer = request.method == "POST" and "confirmed" in request.POST
    form = (ReasonForm if needs_reason else ConfirmationForm)(request.POST if is_answer else None)
    if form.is_valid():
        return str(form.cleaned_data.get("reason", ""))
    opts = owner.model._meta
    context = owner.admin_site.each_context(request) | {
        "title": title,
        "warning": warning,
        "action": action,
        "form": form,
        "rows": rows,
        "opts": opts,
        "media": owner.media,
        "list_url": reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist"),
    }
    return TemplateResponse(request, "admin/ask.html", context)


def asked_actions(
    name: str,
    *,
    use_case: Callable[[HttpRequest, Any, str], bool],
    permission: str,
    title: str | _StrPromise,
    warning: str | _StrPromise,
    done: str | _StrPromise,
    needs_reason: bool = False,
) -> tuple[Any, Any]:
    """An action for the rows of a list (`name`), and the same as a button on the page of one row (`<name>_one`).

    Both ask first. `use_case` gets the request, a row and the reason; it says whether it changed anything, and leaves
    the audit line. What it refuses (`NotPermitted`) or does not find any more is counted and told.
    """

    def on_list(self: ModelAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        if queryset[MAX_CHOSEN : MAX_CHOSEN + 1].exists():
            too_many = gettext("Choose %(max)d rows at most.") % {"max": MAX_CHOSEN}
            self.message_user(request, too_many, messages.ERROR)
            return None
        told = {"title": title, "warning": warning, "needs_reason": needs_reason}
        answer = ask(self, request, queryset, action=name, **told)  # type: ignore[arg-type]
        if isinstance(answer, HttpResponse):
            return answer
        changed, refused = 0, 0
        for row in queryset:
            try:
                if use_case(request, row, answer):
                    self.log_change(request, row, str(done))
                    changed += 1
            except (NotPermitted, NotFound):
                refused += 1
        self.message_user(request, f"{done} ({changed})", messages.SUCCESS if changed else messages.INFO)
        if refused:
            told_refused = gettext("%(count)d refused: that takes more rights than yours.") % {"count": refused}
            self.message_user(request, told_refused, messages.WARNING)
        return None

    def on_one(self: ModelAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
        rows = self.get_queryset(request).filter(pk=unquote(object_id))
        if not rows.exists():
            raise Http404
        answer: HttpResponse | None = getattr(self, name)(request, rows)
        opts = self.model._meta
        return answer or HttpResponseRedirect(
            reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[object_id])
        )

    on_list.__name__, on_one.__name__ = name, f"{name}_one"
    return (
        admin.action(on_list, description=title, permissions=[permission]),
        detail_action(on_one, description=title, url_path=name, permissions=[permission]),
    )


class TenantAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows of every tenant, with the tenant always visible as a column and a filter. Read-only: use cases write.

    On PostgreSQL the second wall stands before the admin too; `DATABASE_SYSTEM_URL` names a role that may look over it.
    """

    list_filter: Any = ("tenant",)
    list_select_related: Any = ("tenant",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        rows: QuerySet[Model] = self.model.unscoped.using(settings.ADMIN_DATABASE)
        return rows.order_by(*self.get_ordering(request))

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of one row, in its tenant's room: forms and related rows are found through the filtered managers."""
        row = self.get_object(request, unquote(object_id)) if object_id else None
        if row is None:
            response: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
            return response
        with tenant_scope(row.tenant_id):
            response = super().changeform_view(request, object_id, form_url, extra_context)
            # Now, not when the room has been left again.
            return response.render() if isinstance(response, TemplateResponse) else response

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class TenantInline(TabularInline):  # type: ignore[misc]
    """Rows that belong to the row shown above, read-only."""

    extra = 0
    can_delete = False
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        rows: QuerySet[Model] = self.model.unscoped.using(settings.ADMIN_DATABASE)
        return rows.order_by(*self.get_ordering(request))

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
