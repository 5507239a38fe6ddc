"""Bring people from another system: a file, a preview, and then all of them or nobody."""

from __future__ import annotations

import csv
import io
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.core import signing
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from import_export.admin import ImportMixin
from import_export.formats.base_formats import CSV
from import_export.forms import ConfirmImportForm
from import_export.resources import ModelResource
from import_export.results import Result
from import_export.tmp_storages import BaseStorage
from tablib import Dataset
from unfold.contrib.import_export.forms import ImportForm

from apps.accounts.admin.operators import operator_of
from apps.accounts.models import User
from apps.accounts.serializers.operators import BringPersonInput
from apps.accounts.services.operators import (
    EmailTaken,
    bring_person,
)
from core.audit.actions import Action, ActorKind
from core.audit.record import record

MAX_IMPORT_BYTES, MAX_IMPORT_ROWS = 300 * 1024, 1000
PREVIEW_LIFETIME = 3600  # seconds between a preview and its confirmation


class UnreadableFile(ValueError):
    """The file is no list of people. Says to the operator why."""


class PeopleCSV(CSV):  # type: ignore[misc]
    """CSV in UTF-8, with commas or semicolons, whose first line names the columns."""

    def create_dataset(self, in_stream: bytes | str, **_kwargs: Any) -> Dataset:
        if isinstance(in_stream, bytes):
            try:
                in_stream = in_stream.decode("utf-8-sig")
            except UnicodeDecodeError:
                raise UnreadableFile(gettext("The file is not text in UTF-8. Save it as CSV (UTF-8).")) from None
        first = in_stream.partition("\n")[0]
        delimiter = ";" if ";" in first and "," not in first else ","
        try:
            lines = [line for line in csv.reader(io.StringIO(in_stream), delimiter=delimiter) if any(line)]
        except csv.Error:
            raise UnreadableFile(gettext("The file cannot be read as CSV.")) from None
        headers = [name.strip().lower() for name in lines[0]] if lines else []
        columns = PersonResource.Meta.fields
        if "email" not in headers or set(headers) - set(columns) or len(set(headers)) < len(headers):
            told = gettext("The first line must name the columns: email, and any of %(columns)s.")
            raise UnreadableFile(told % {"columns": ", ".join(columns[1:])})
        if len(lines) - 1 > MAX_IMPORT_ROWS:
            raise UnreadableFile(gettext("The file holds more than %(max)d people.") % {"max": MAX_IMPORT_ROWS})
        people = Dataset(headers=headers)
        for number, line in enumerate(lines[1:], start=1):
            if len(line) != len(headers):
                told = gettext("Row %(number)d has %(found)d columns instead of %(expected)d.")
                raise UnreadableFile(told % {"number": number, "found": len(line), "expected": len(headers)})
            # The apostrophe with which our own exports disarm formulas.
            people.append([value.strip().removeprefix("'") for value in line])
        return people


class SealedStorage(BaseStorage):  # type: ignore[misc]
    """Keeps an uploaded file in the confirmation form itself, signed, for an hour.

    Nothing about people lies in a folder, and any process of the web may be the one that is asked to go on.
    """

    SALT = "accounts.import"

    def save(self, data: bytes) -> None:
        self.name = signing.dumps(data.decode("latin-1"), salt=self.SALT, compress=True)

    def read(self) -> bytes:
        text: str = signing.loads(self.name, salt=self.SALT, max_age=PREVIEW_LIFETIME)
        return text.encode("latin-1")

    def remove(self) -> None:
        """There is nothing to remove."""


class PersonResource(ModelResource):  # type: ignore[misc]
    """One row, one new person. Checked as a registration is, and made by the use case."""

    class Meta:
        model = User
        fields = ("email", "first_name", "last_name", "phone", "language")
        import_id_fields: tuple[str, ...] = ()
        force_init_instance = True
        clean_model_instances = False
        use_transactions = True

    def __init__(self, operator: User | None = None) -> None:
        super().__init__()
        self.operator = operator

    def import_instance(self, instance: User, row: dict[str, str], **kwargs: Any) -> None:
        told = {name: value for name, value in row.items() if value}
        parsed = BringPersonInput(data=told)
        if not parsed.is_valid():
            raise ValidationError({name: [str(each) for each in faults] for name, faults in parsed.errors.items()})
        for name, value in parsed.validated_data.items():
            setattr(instance, name, value)

    def do_instance_save(self, instance: User, is_create: bool) -> None:
        assert self.operator is not None  # noqa: S101  the admin gives one
        told = {name: getattr(instance, name) for name in self.Meta.fields}
        try:
            instance.pk = bring_person(operator=self.operator, **told).pk
        except EmailTaken as refusal:
            raise ValidationError({"email": [str(refusal.message)]}) from None

    def after_import(self, dataset: Dataset, result: Result, **kwargs: Any) -> None:
        if kwargs.get("dry_run") or result.has_errors() or result.has_validation_errors():
            return
        told = {"model": "user", "rows": len(dataset), "file": kwargs.get("file_name")}
        record(Action.DATA_IMPORTED, actor=self.operator, kind=ActorKind.STAFF, data=told)


class PeopleImportForm(ImportForm):  # type: ignore[misc]
    def clean_import_file(self) -> Any:
        file = self.cleaned_data["import_file"]
        if file.size > MAX_IMPORT_BYTES:
            raise ValidationError(_("The file is larger than %(max)d kB."), params={"max": MAX_IMPORT_BYTES // 1024})
        return file


class PeopleConfirmForm(ConfirmImportForm):  # type: ignore[misc]
    """One format, one kind of row: whatever else the form says is ignored."""

    def clean_format(self) -> str:
        return "0"

    def clean_resource(self) -> str:
        return "0"


class PeopleImport(ImportMixin):  # type: ignore[misc]
    """Bring people from another system: a preview first, then all of them or nobody."""

    import_form_class = PeopleImportForm
    confirm_form_class = PeopleConfirmForm
    tmp_storage_class = SealedStorage
    import_error_display = ("message",)
    skip_admin_log = True  # each person has an audit line

    def has_import_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(["accounts.import_user", "accounts.view_user"])

    def get_import_formats(self) -> list[Any]:
        return [PeopleCSV]

    def get_import_resource_classes(self, request: HttpRequest) -> list[Any]:
        return [PersonResource]

    def get_import_resource_kwargs(self, request: HttpRequest, **_kwargs: Any) -> dict[str, Any]:
        return {"operator": operator_of(request)}

    def add_data_read_fail_error_to_form(self, form: forms.Form, e: Exception) -> None:
        form.add_error("import_file", str(e) if isinstance(e, UnreadableFile) else _("The file cannot be read."))

    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            response = super().process_import(request, **kwargs)
        except (signing.BadSignature, UnreadableFile):
            response = None
        if (response is not None and response.status_code == 302) or request.method != "POST":
            return cast(HttpResponse, response)
        self.message_user(request, _("The preview has expired. Please send the file again."), messages.ERROR)
        return HttpResponseRedirect(reverse("admin:accounts_user_import"))

    def process_dataset(self, dataset: Dataset, form: forms.Form, request: HttpRequest, **kwargs: Any) -> Result:
        # Between the preview and now somebody may have registered: then nobody of the file is made.
        return super().process_dataset(dataset, form, request, rollback_on_validation_errors=True, **kwargs)

    def process_result(self, result: Result, request: HttpRequest) -> HttpResponse:
        if result.has_errors() or result.has_validation_errors():
            self.message_user(
                request, _("Nothing was imported: the people have changed since the preview."), messages.ERROR
            )
            return HttpResponseRedirect(reverse("admin:accounts_user_import"))
        self.message_user(
            request, gettext("%(count)d people imported.") % {"count": len(result.rows)}, messages.SUCCESS
        )
        return HttpResponseRedirect(reverse("admin:accounts_user_changelist"))
