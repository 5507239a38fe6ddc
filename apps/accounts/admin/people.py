"""People."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.accounts.admin.operators import operator_of
from apps.accounts.admin.people_import import PeopleImport
from apps.accounts.models import AuthSession, User
from apps.accounts.selectors import find_user_by_email
from apps.accounts.serializers.operators import BringPersonInput
from apps.accounts.services.factors import reset_factors
from apps.accounts.services.operators import (
    RIGHTS,
    EmailTaken,
    bring_person,
    change_person,
    deactivate_person,
    end_sessions_of_person,
    may_manage,
    reactivate_person,
    record_rights,
    send_reset_to_person,
)
from apps.tenants.selectors.tenants import list_my_tenants
from core.admin import ReadOnlyInline, asked_actions
from core.exports import AuditedExport, ExportResource
from core.phones import to_e164


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
