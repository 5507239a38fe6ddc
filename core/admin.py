"""The admin looks across tenants, on purpose and only for platform staff."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.admin.utils import unquote
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin, TabularInline

from core.tenancy import tenant_scope


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
