"""People and sessions for operators."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, cast

from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.core import signing
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from import_export.admin import ImportMixin
from import_export.formats.base_formats import CSV
from import_export.forms import ConfirmImportForm
from import_export.resources import ModelResource
from import_export.results import Result
from import_export.tmp_storages import BaseStorage
from tablib import Dataset
from unfold.admin import ModelAdmin
from unfold.contrib.import_export.forms import ImportForm
from unfold.decorators import display
from unfold.forms import AdminOwnPasswordChangeForm, AuthenticationForm
from unfold.widgets import (
    BASE_INPUT_CLASSES,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts.models import AuthSession, User, VerificationCode
from apps.accounts.selectors import filter_sessions_by_state, find_user_by_email, has_second_factor
from apps.accounts.serializers.operators import BringPersonInput
from apps.accounts.services.accounts import count_guess
from apps.accounts.services.factors import reset_factors
from apps.accounts.services.operators import (
    RIGHTS,
    EmailTaken,
    bring_person,
    change_operators_password,
    change_person,
    deactivate_person,
    end_session_of_person,
    end_sessions_of_person,
    may_manage,
    reactivate_person,
    record_rights,
    send_reset_to_person,
)
from apps.accounts.services.proofs import prove_with_any_code
from apps.tenants.selectors.tenants import list_my_tenants
from core.admin import ReadOnlyAdmin, ReadOnlyInline, asked_actions
from core.audit.actions import Action, ActorKind
from core.audit.record import record
from core.client_address import client_address
from core.exceptions import DomainError
from core.exports import AuditedExport, ExportResource
from core.phones import to_e164
from core.throttling.limits import Throttled

# allauth's tables that stay empty here (addresses, apps and tokens have other places), and its own pages of the others.
for _unused in (Group, EmailAddress, EmailConfirmation, Authenticator, SocialApp, SocialToken, SocialAccount):
    if admin.site.is_registered(_unused):
        admin.site.unregister(_unused)

MAX_IMPORT_BYTES, MAX_IMPORT_ROWS = 300 * 1024, 1000
PREVIEW_LIFETIME = 3600  # seconds between a preview and its confirmation


def operator_of(request: HttpRequest) -> User:
    """Who works in the admin."""
    return cast(User, request.user)


class LimitedLoginForm(AuthenticationForm):  # type: ignore[misc]
    """The admin's sign-in, under the same limits as the API's: another door would be another five guesses.

    The code is asked of everybody, so the page tells nobody who has a second factor.
    """

    code = forms.CharField(
        label=_("Code from your authenticator app, or a recovery code"),
        required=False,
        max_length=20,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "class": " ".join(BASE_INPUT_CLASSES)}
        ),
    )

    def clean(self) -> dict[str, Any]:
        email = self.cleaned_data.get("username") or ""
        try:
            counted = count_guess(email=email, client=client_address(self.request))
        except Throttled as refusal:
            raise ValidationError(refusal.message, code=refusal.code) from None
        cleaned: dict[str, Any] = super().clean()
        counted.give_back()
        self._check_second_factor(self.get_user())
        return cleaned

    def _check_second_factor(self, user: User) -> None:
        if not has_second_factor(user_id=user.pk):
            if settings.ADMIN_REQUIRES_MFA:
                raise ValidationError(_("The admin needs a second factor, and your account has none."), code="no_mfa")
            return
        code = self.cleaned_data.get("code") or ""
        if not code:
            raise ValidationError(_("Enter your password again, and the code."), code="mfa_required")
        try:
            prove_with_any_code(user=user, code=code, client=client_address(self.request))
        except DomainError as refusal:
            raise ValidationError(str(refusal.message), code=refusal.code) from None


class OwnPasswordForm(AdminOwnPasswordChangeForm):  # type: ignore[misc]
    """An operator's own password: every other session of theirs ends, they are told, and the audit log too."""

    def save(self, commit: bool = True) -> User:
        change_operators_password(operator=self.user, password=self.cleaned_data["new_password1"])
        return cast(User, self.user)


def _may_enter(request: HttpRequest) -> bool:
    """Whoever signed in while no second factor was demanded is shown the door when one is."""
    if not _is_staff(request):
        return False
    return not settings.ADMIN_REQUIRES_MFA or has_second_factor(user_id=cast(User, request.user).pk)


_is_staff = admin.site.has_permission
admin.site.has_permission = _may_enter  # type: ignore[method-assign]
admin.site.login_form = LimitedLoginForm
admin.site.login_template = "accounts/admin_login.html"
admin.site.password_change_form = OwnPasswordForm


# --- Import ----------------------------------------------------------------------------------------------------------


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


# --- People ----------------------------------------------------------------------------------------------------------


class UserExport(ExportResource):
    class Meta:
        model = User
        fields = export_order = (
            "id",
            "email",
            "first_name",
            "last_name",
            "phone",
            "language",
            "is_active",
            "is_staff",
            "email_verified_at",
            "created_at",
            "last_login",
        )


class PersonForm(forms.ModelForm):  # type: ignore[type-arg]
    """Contact details, and for superusers the rights. Nothing about passwords: those go by mailed link."""

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).strip().lower()
        return email if email == self.instance.email else _unknown(email)

    def clean_phone(self) -> str:
        phone = str(self.cleaned_data.get("phone") or "")
        if not phone or phone == self.initial.get("phone"):
            return phone
        try:
            return to_e164(phone)
        except ValueError:
            raise ValidationError(_("Enter a valid phone number, for example +255712345678.")) from None


class NewPersonForm(forms.ModelForm):  # type: ignore[type-arg]
    """One person from another system; the same rules as for a row of an import."""

    class Meta:
        model = User
        fields = ("email", "first_name", "last_name", "phone", "language")
        widgets = {
            "email": UnfoldAdminEmailInputWidget,
            "first_name": UnfoldAdminTextInputWidget,
            "last_name": UnfoldAdminTextInputWidget,
            "phone": UnfoldAdminTextInputWidget,
            "language": UnfoldAdminSelectWidget,
        }

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        parsed = BringPersonInput(data={name: value for name, value in cleaned.items() if value})
        if not parsed.is_valid():
            for name, faults in parsed.errors.items():
                if name not in self.errors:
                    self.add_error(name, [str(each) for each in faults])
            return cleaned
        cleaned |= parsed.validated_data | {"email": _unknown(str(parsed.validated_data["email"]).lower())}
        return cleaned


def _unknown(email: str) -> str:
    """`email`, unless somebody has it or claims it."""
    if find_user_by_email(email=email) is not None:
        raise ValidationError(EmailTaken.message)
    return email


class IsVerifiedFilter(admin.SimpleListFilter):
    title, parameter_name = _("e-mail proven"), "verified"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return [("yes", _("Yes")), ("no", _("No"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        if self.value() in {"yes", "no"}:
            return queryset.filter(email_verified_at__isnull=self.value() == "no")
        return queryset


class SessionInline(ReadOnlyInline):
    model = AuthSession
    fields = ("transport", "tenant", "user_agent", "created_at", "last_used_at", "revoked_at", "revoked_reason")
    ordering = ("-last_used_at", "-id")
    per_page = 10


@admin.register(User)
class UserAdmin(PeopleImport, AuditedExport, ModelAdmin):  # type: ignore[misc]
    form = PersonForm
    resource_classes = [UserExport]
    import_export_change_list_template = "admin/import_export/change_list_import_export.html"
    ordering = ("-created_at", "-id")
    list_display = ("email", "first_name", "last_name", "phone", "is_active", "is_staff", "is_proven", "created_at")
    list_filter = ("is_active", "is_staff", "is_superuser", IsVerifiedFilter, "language", "created_at")
    search_fields = ("email", "first_name", "last_name", "phone", "id")
    search_help_text = _("E-mail address, name, phone number or id")
    date_hierarchy = "created_at"
    show_full_result_count = False
    readonly_fields = (
        "id",
        "is_active",
        "email_verified_at",
        "phone_verified_at",
        "shown_memberships",
        "created_at",
        "last_login",
    )
    fieldsets = (
        (None, {"fields": ("id", "email", "email_verified_at", "first_name", "last_name", "language")}),
        (_("Phone"), {"fields": ("phone", "phone_verified_at")}),
        (_("Organisations"), {"fields": ("shown_memberships",)}),
        (_("Access"), {"fields": ("is_active", "is_staff", "is_superuser", "user_permissions")}),
        (_("Dates"), {"fields": ("created_at", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": NewPersonForm.Meta.fields}),)
    filter_horizontal = ()  # two lists side by side are wider than the page
    inlines = (SessionInline,)
    actions = ("deactivate", "reactivate", "end_sessions", "send_reset", "remove_factor")
    actions_detail = ("deactivate_one", "reactivate_one", "end_sessions_one", "send_reset_one", "remove_factor_one")

    deactivate, deactivate_one = asked_actions(
        "deactivate",
        use_case=lambda request, person, reason: deactivate_person(
            operator=operator_of(request), user_id=person.pk, reason=reason
        ),
        permission="manage",
        title=_("Deactivate"),
        warning=_("These people are signed out everywhere and cannot sign in again until they are reactivated."),
        done=_("Deactivated."),
        needs_reason=True,
    )
    reactivate, reactivate_one = asked_actions(
        "reactivate",
        use_case=lambda request, person, _reason: reactivate_person(operator=operator_of(request), user_id=person.pk),
        permission="manage",
        title=_("Reactivate"),
        warning=_("These people can sign in again."),
        done=_("Reactivated."),
    )
    end_sessions, end_sessions_one = asked_actions(
        "end_sessions",
        use_case=lambda request, person, _reason: end_sessions_of_person(
            operator=operator_of(request), user_id=person.pk
        ),
        permission="manage",
        title=_("End all sessions"),
        warning=_("These people are signed out everywhere, and may sign in again."),
        done=_("Sessions ended."),
    )
    send_reset, send_reset_one = asked_actions(
        "send_reset",
        use_case=lambda request, person, _reason: send_reset_to_person(
            operator=operator_of(request), user_id=person.pk
        ),
        permission="manage",
        title=_("Send a password reset link"),
        warning=_("These people get a mail with a link to choose a new password."),
        done=_("Reset link sent."),
    )

    remove_factor, remove_factor_one = asked_actions(
        "remove_factor",
        use_case=lambda request, person, _reason: reset_factors(user_id=person.pk, operator=operator_of(request)),
        permission="superuser",
        title=_("Remove the second factor (lost phone)"),
        warning=_("These people sign in with their password alone from now on, and are told."),
        done=_("Second factor removed."),
    )

    @display(description=_("proven"), boolean=True, ordering="email_verified_at")  # type: ignore[untyped-decorator]
    def is_proven(self, person: User) -> bool:
        return person.is_email_verified

    @admin.display(description=_("memberships"))
    def shown_memberships(self, person: User) -> str:
        memberships = list(list_my_tenants(user_id=person.pk)[:50])
        links = (
            (reverse("admin:tenants_tenant_change", args=[each.tenant_id]), each.tenant.name, each.role)
            for each in memberships
        )
        return format_html_join(", ", '<a class="text-primary-600" href="{}">{}</a> ({})', links) or "-"

    def has_manage_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        person = None if object_id is None else self.get_object(request, str(object_id))
        return self.has_change_permission(request, person)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        may_change = bool(super().has_change_permission(request, obj))
        return may_change and (obj is None or may_manage(operator=operator_of(request), person=obj))

    def has_superuser_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # payments name the person who started them; deactivate instead

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        return super().get_fieldsets(request, obj) if obj is not None else self.add_fieldsets

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            return super().get_form(request, obj, change, **(kwargs | {"form": NewPersonForm}))
        return super().get_form(request, obj, change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Sequence[str]:
        if obj is None:
            return ()
        return (
            self.readonly_fields if request.user.is_superuser else (*self.readonly_fields, *RIGHTS, "user_permissions")
        )

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        return self.inlines if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Through the use cases; Django's own `save` would tell nobody."""
        operator = operator_of(request)
        if not change:
            obj.pk = bring_person(operator=operator, **{name: form.cleaned_data[name] for name in form.Meta.fields}).pk
            obj._state.adding = False
            return
        # Before anything is stored; `save_related` compares.
        form.rights_before = {name: form.initial.get(name, getattr(obj, name)) for name in RIGHTS}
        form.held_before = list(obj.user_permissions.select_related("content_type"))
        change_person(operator=operator, user=obj, changed=form.changed_data)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if change:
            told = {"before": form.rights_before, "held": form.held_before}
            record_rights(operator=operator_of(request), user=form.instance, **told)


# --- Sessions --------------------------------------------------------------------------------------------------------


class SessionStateFilter(admin.SimpleListFilter):
    title, parameter_name = _("state"), "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return [("live", _("live")), ("expired", _("expired")), ("ended", _("ended"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuthSession]) -> QuerySet[AuthSession]:
        return filter_sessions_by_state(queryset, self.value())


@admin.register(AuthSession)
class AuthSessionAdmin(ReadOnlyAdmin):
    list_display = ("user", "transport", "tenant", "shown_state", "created_at", "last_used_at", "expires_at")
    list_filter = (SessionStateFilter, "transport", "revoked_reason")
    search_fields = ("user__email", "user__first_name", "user__last_name", "user__phone", "id")
    search_help_text = _("E-mail address, name or phone number of the person, or the session's id")
    list_select_related = ("user", "tenant")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")
    show_full_result_count = False
    actions = ("end",)
    actions_detail = ("end_one",)

    end, end_one = asked_actions(
        "end",
        use_case=lambda request, session, _reason: end_session_of_person(
            operator=operator_of(request), session_id=session.pk
        ),
        permission="end",
        title=_("End"),
        warning=_("Whoever holds these sessions is signed out at once."),
        done=_("Ended."),
    )

    @display(  # type: ignore[untyped-decorator]
        description=_("state"), label={"live": "success", "expired": "warning", "reuse": "danger"}
    )
    def shown_state(self, session: AuthSession) -> str:
        if session.revoked_at is not None:
            return session.revoked_reason or "ended"
        now = timezone.now()
        return "expired" if session.expires_at <= now or session.absolute_expires_at <= now else "live"

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("accounts.change_authsession")


@admin.register(VerificationCode)
class VerificationCodeAdmin(ReadOnlyAdmin):
    """What was asked for and how it went. The codes themselves stand nowhere."""

    list_display = ("created_at", "purpose", "phone", "user", "guesses", "expires_at", "used_at")
    list_filter = ("purpose", ("used_at", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    search_fields = ("phone", "id", "user__email")
    ordering = ("-created_at", "-id")
    exclude = ("nonce",)


@admin.register(SocialAccount)
class SocialAccountAdmin(ReadOnlyAdmin):
    """Linked accounts, to look at: linking needs the person."""

    list_display = ("provider", "uid", "user", "date_joined", "last_login")
    list_filter = ("provider",)
    search_fields = ("user__email", "uid")
    list_select_related = ("user",)
