"""Lists of the admin as files, for operators: CSV and XLSX. Each export is an audit line."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from import_export.admin import ExportMixin
from import_export.fields import Field
from import_export.formats.base_formats import CSV, XLSX
from import_export.resources import ModelResource
from unfold.contrib.import_export.forms import ExportForm

from core.audit.actions import Action, ActorKind
from core.audit.record import record

MAX_ROWS = 20_000  # built in memory, in one request

# A spreadsheet runs a cell that begins so (OWASP, "CSV Injection"). A plus and digits alone are a phone number.
_FORMULA = re.compile(r"\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def safe_cell(value: Any) -> str:
    """A cell as text that no spreadsheet takes for a formula: such a one begins with an apostrophe."""
    text = _CONTROL.sub("", "" if value is None else str(value))
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


class ExportResource(ModelResource):  # type: ignore[misc]
    """Columns of an export. Name each: a field that is added to a model is not in its file by itself."""

    def export_field(self, field: Field, instance: Any, **kwargs: Any) -> str:
        return safe_cell(super().export_field(field, instance, **kwargs))


class AuditedExport(ExportMixin):  # type: ignore[misc]
    """For a model's admin: an export of what the list shows (search and filters included), by its own permission.

    The permission is `<app>.export_<model>`; the model declares it.
    """

    export_form_class = ExportForm

    def has_export_permission(self, request: HttpRequest) -> bool:
        opts = self.opts
        may_look: bool = self.has_view_permission(request)
        return may_look and bool(request.user.has_perm(f"{opts.app_label}.export_{opts.model_name}"))

    def get_export_formats(self) -> list[Any]:
        return [each for each in (CSV, XLSX) if each.is_available()]

    def get_valid_export_item_pks(self, request: HttpRequest) -> list[Any]:
        return []  # rows are chosen by search and filters

    def get_export_data(self, file_format: Any, request: HttpRequest, queryset: QuerySet[Any], **kwargs: Any) -> Any:
        """The file, or `ValueError` when it would hold too many rows, which the form then shows."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        if queryset[MAX_ROWS : MAX_ROWS + 1].exists():
            raise ValueError(
                _("An export holds %(max)d rows at most. Please narrow the list first.") % {"max": MAX_ROWS}
            )
        data = self.get_data_for_export(request, queryset, export_form=kwargs.get("export_form"))
        told = {
            "model": self.opts.model_name,
            "rows": len(data),
            "format": file_format.get_extension(),
            "filters": request.GET.urlencode(),
        }
        with transaction.atomic():
            record(Action.DATA_EXPORTED, actor=request.user.pk, kind=ActorKind.STAFF, data=told)
        return file_format.export_data(data)
