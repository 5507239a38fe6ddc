"""The admin looks across tenants, on purpose and only for platform staff."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote, unquote
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action as detail_action
from unfold.widgets import UnfoldAdminTextInputWidget

from core.exceptions import DomainError, NotFound, NotPermitted
from core.tenancy import rows_of_every_tenant, tenant_scope

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


UseCase = Callable[[HttpRequest, Any, Any], bool]

# Rows of one action: what an operator confirms is what they have read.
MAX_CHOSEN = 100
MAX_TENANTS = 30  # of a filter
MAX_TOLD = 5  # refusals that are told one by one


class ReadOnly:
    """Looked at, and changed through use cases only."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ActionAdmin(ModelAdmin):  # type: ignore[misc]
    """Lists whose actions are use cases."""

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        for chosen in request.POST.getlist(ACTION_CHECKBOX_NAME):
            self.opts.pk.to_python(chosen)  # `ValidationError`, where a lookup by a text would be a defect
        answer: HttpResponse | None = super().response_action(request, queryset)
        return answer


class ReadOnlyAdmin(ReadOnly, ActionAdmin):
    """A list and pages of a model outside the walls. Actions are what changes something."""


class ReadOnlyInline(ReadOnly, TabularInline):  # type: ignore[misc]
    """Rows of a model outside the walls, below the row that they belong to."""

    extra = 0
    can_delete = False
    show_change_link = True

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.fields


class ConfirmationForm(forms.Form):
    """Nothing but yes. `rows` are what it is said to."""

    def __init__(self, *args: Any, rows: QuerySet[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = rows


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
    form_class: type[ConfirmationForm] = ConfirmationForm,
) -> TemplateResponse | dict[str, Any]:
    """What the operator said (the form's data) once they have said yes to `action`; before that the page that asks.

    The page is a form to the list, so an action is never done by following a link.
    """
    is_answer = request.method == "POST" and "confirmed" in request.POST
    form = form_class(request.POST if is_answer else None, rows=rows)
    if form.is_valid():
        return form.cleaned_data
    opts, came_from = owner.model._meta, _came_from(request, action)
    name = f"{opts.app_label}_{opts.model_name}"
    list_url = reverse(f"admin:{name}_changelist")
    context = owner.admin_site.each_context(request) | {
        "title": title,
        "warning": warning,
        "action": action,
        "form": form,
        "rows": rows,
        "opts": opts,
        "media": owner.media,
        "list_url": list_url,
        "came_from": came_from,
        "back_url": list_url if not came_from else reverse(f"admin:{name}_change", args=[quote(came_from)]),
    }
    return TemplateResponse(request, "admin/ask.html", context)


def asked_actions(
    name: str,
    *,
    use_case: UseCase,
    permission: str,
    title: str | _StrPromise,
    warning: str | _StrPromise,
    done: str | _StrPromise,
    needs_reason: bool = False,
    form_class: type[ConfirmationForm] | None = None,
    max_chosen: int | None = None,
    **shown: Any,
) -> tuple[Any, Any]:
    """An action for the rows of a list (`name`), and the same as a button on the page of one row (`<name>_one`).

    Both ask first. `use_case` gets the request, a row and the reason (with a `form_class` what was said in it); it says
    whether it changed anything, and leaves the audit line. What it refuses is told, and changes nothing. `max_chosen`
    is for those that take long; `shown` is how the button looks (`icon`, `variant`).
    """
    asks = form_class or (ReasonForm if needs_reason else ConfirmationForm)

    def on_list(self: ModelAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        most = max_chosen or MAX_CHOSEN
        if queryset[most : most + 1].exists():
            too_many = gettext("Choose %(max)d rows at most.") % {"max": most}
            self.message_user(request, too_many, messages.ERROR)
            return None
        answer = ask(self, request, queryset, action=name, title=title, warning=warning, form_class=asks)
        if isinstance(answer, HttpResponse):
            return answer
        said = answer if form_class is not None else str(answer.get("reason", ""))
        changed, not_permitted, refused = 0, 0, []
        for row in list(queryset):
            try:
                if use_case(request, row, said):
                    self.log_change(request, row, str(done))
                    changed += 1
            except (NotPermitted, NotFound):
                not_permitted += 1
            except DomainError as refusal:
                refused.append(f"{row}: {refusal.message}")
        if changed or not refused:
            self.message_user(request, f"{done} ({changed})", messages.SUCCESS if changed else messages.INFO)
        if not_permitted:
            told_refused = gettext("%(count)d refused: that takes more rights than yours.") % {"count": not_permitted}
            self.message_user(request, told_refused, messages.WARNING)
        for told in refused[:MAX_TOLD]:
            self.message_user(request, told, messages.WARNING)
        return _back_to_the_page(self, request)

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
        detail_action(on_one, description=title, url_path=name, permissions=[permission], **shown),
    )


def _came_from(request: HttpRequest, action: str) -> str:
    """The id of the row on whose page the button was pressed; empty when the action was chosen on the list."""
    match = request.resolver_match
    if match is not None and str(match.url_name).endswith(f"_{action}_one"):
        return str(unquote(match.kwargs.get("object_id", "")))
    return request.POST.get("came_from", "")


def _back_to_the_page(owner: ModelAdmin, request: HttpRequest) -> HttpResponse | None:
    """Whoever came from the page of a row goes back there; None: to the list."""
    came_from, opts = request.POST.get("came_from", ""), owner.model._meta
    if came_from not in request.POST.getlist(ACTION_CHECKBOX_NAME):
        return None
    page = f"admin:{opts.app_label}_{opts.model_name}_change"
    return HttpResponseRedirect(reverse(page, args=[quote(opts.pk.to_python(came_from))]))


def in_its_room(use_case: UseCase) -> UseCase:
    """For `asked_actions` of a `TenantAdmin`: the use case runs in the room of the row's tenant."""

    def inside(request: HttpRequest, row: Any, said: Any) -> bool:
        with tenant_scope(row.tenant_id):
            return use_case(request, row, said)

    return inside


class TenantFilter(admin.RelatedFieldListFilter):
    """By tenant: the first ones in their list's order, and the chosen one. Others are found by the list's search."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        tenants = field.remote_field.model._default_manager.all()
        shown = list(tenants.order_by(*self.field_admin_ordering(field, request, model_admin))[:MAX_TENANTS])
        chosen = (self.lookup_val or [""])[-1]
        if chosen and chosen not in {str(tenant.pk) for tenant in shown}:
            shown += tenants.filter(pk=field.remote_field.model._meta.pk.to_python(chosen))
        return [(tenant.pk, str(tenant)) for tenant in shown]


class WordFilter(admin.SimpleListFilter):
    """Rows whose column has one of a few words. Set `title`, `column` (also the parameter) and `words`."""

    column: str
    words: Mapping[str, Any] = {}

    def __init_subclass__(cls) -> None:
        cls.parameter_name = cls.column

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return list(self.words.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = self.value()
        return queryset.filter(**{self.column: wanted}) if wanted in dict(self.lookup_choices) else queryset


class TenantAdmin(ActionAdmin):
    """Rows of every tenant, with the tenant always visible as a column and a filter. Read-only: use cases write."""

    list_filter: Any = (("tenant", TenantFilter),)
    list_select_related: Any = ("tenant",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        rows: QuerySet[Model] = rows_of_every_tenant(self.model)
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
        rows: QuerySet[Model] = rows_of_every_tenant(self.model)
        return rows.order_by(*self.get_ordering(request))

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
