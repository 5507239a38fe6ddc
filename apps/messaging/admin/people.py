"""What people want to hear, for operators: choices to look at, and addresses that have said stop."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.messaging.addresses import normal_address
from apps.messaging.channels import Channel
from apps.messaging.models.people import MessagePreference, OptOut
from apps.messaging.services.consent import lift_opt_out, note_opt_out
from core.admin import ReadOnlyAdmin, asked_actions
from core.phones import to_e164


@admin.register(MessagePreference)
class MessagePreferenceAdmin(ReadOnlyAdmin):
    list_display = ("user", "kind", "channel", "is_wanted", "updated_at")
    list_filter = ("kind", "channel", "is_wanted")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    search_help_text = _("E-mail address")
    ordering = ("-created_at", "-id")
    show_full_result_count = False


class OptOutForm(forms.ModelForm):  # type: ignore[type-arg]
    """Somebody has told a member of staff to stop."""

    reason = forms.CharField(
        label=_("Reason"), max_length=300, help_text=_("For the audit log."), widget=UnfoldAdminTextInputWidget
    )

    class Meta:
        model = OptOut
        fields = ("channel", "address")
        widgets = {
            "channel": UnfoldAdminSelectWidget,
            "address": UnfoldAdminTextInputWidget,
        }

    def clean_address(self) -> str:
        address, channel = str(self.cleaned_data.get("address") or ""), self.cleaned_data.get("channel")
        if channel == Channel.EMAIL:
            validate_email(address)
        else:
            try:
                to_e164(address)
            except ValueError:
                raise ValidationError(_("Enter a valid phone number, for example +255712345678.")) from None
        return normal_address(channel=str(channel), to=address)

    def _get_validation_exclusions(self) -> set[str]:
        # An address that is known already is no error: the use case knows what to do.
        return {*super()._get_validation_exclusions(), "address"}  # type: ignore[misc]


@admin.register(OptOut)
class OptOutAdmin(ReadOnlyAdmin):
    form = OptOutForm
    list_display = ("shown_address", "channel", "shown_state", "source", "stopped_at", "started_at")
    list_display_links = ("shown_address",)
    list_filter = ("channel", "source", ("started_at", admin.EmptyFieldListFilter))
    search_fields = ("address", "id")
    search_help_text = _("Phone number or e-mail address")
    ordering = ("-stopped_at", "-id")
    show_full_result_count = False
    actions = ("lift",)
    actions_detail = ("lift_one",)

    lift, lift_one = asked_actions(
        "lift",
        use_case=lambda request, row, reason: lift_opt_out(
            operator_id=cast(UUID, request.user.pk), opt_out_id=row.pk, reason=reason
        ),
        permission="lift",
        title=_("Wants messages again"),
        warning=_("Only if whoever has the address has asked for it: these addresses get all messages again."),
        done=_("Noted."),
        needs_reason=True,
        icon="notifications_active",
    )

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return bool(request.user.has_perm("messaging.add_optout"))

    def has_lift_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("messaging.change_optout"))

    def get_fields(self, request: HttpRequest, obj: OptOut | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("channel", "address", "reason")
        return ("channel", "shown_address", "source", "stopped_at", "started_at", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: OptOut | None = None) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)

    def save_model(self, request: HttpRequest, obj: OptOut, form: Any, change: bool) -> None:
        told = form.cleaned_data
        obj.pk = note_opt_out(
            operator_id=cast(UUID, request.user.pk), channel=obj.channel, to=obj.address, reason=told["reason"]
        ).pk

    @admin.display(description=_("address"), ordering="address")
    def shown_address(self, row: OptOut) -> str:
        return row.address or str(_("of a person who was erased"))

    @display(description=_("state"), label={"out": "danger", "in": "success"})  # type: ignore[untyped-decorator]
    def shown_state(self, row: OptOut) -> tuple[str, str]:
        return ("out", str(_("wants none"))) if row.started_at is None else ("in", str(_("wants messages again")))
