"""What texts may cost, tenant by tenant, and prefixes to which no codes go."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.messaging.models.limits import Budget, PrefixPause
from apps.messaging.services.operators import change_budget, end_pause
from core.admin import ReadOnlyAdmin, TenantAdmin, asked_actions
from core.admin_story import operator_id_of
from core.money import Money
from core.tenancy import tenant_scope

_TENANT = Budget._meta.get_field("tenant")


class BudgetForm(forms.ModelForm):  # type: ignore[type-arg]
    """Limits in whole units, as people write them. What is left empty is as the settings say."""

    whose = forms.ModelChoiceField(
        label=gettext_lazy("Organisation"),
        queryset=_TENANT.remote_field.model._default_manager.all(),
        widget=AutocompleteSelect(_TENANT, admin.site),
    )
    day_limit = forms.CharField(
        label=gettext_lazy("Per day"), required=False, max_length=30, widget=UnfoldAdminTextInputWidget
    )
    month_limit = forms.CharField(
        label=gettext_lazy("Per month"), required=False, max_length=30, widget=UnfoldAdminTextInputWidget
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=300,
        help_text=gettext_lazy("For the audit log."),
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        model = Budget
        fields = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        usual = {"day_limit": settings.SMS_TENANT_DAILY_BUDGET, "month_limit": settings.SMS_TENANT_MONTHLY_BUDGET}
        for name, amount in usual.items():
            told = {"usual": Money(amount, settings.SMS_CURRENCY).display}
            self.fields[name].help_text = _("For example 50000. Empty: %(usual)s, as the settings say.") % told
        if not self.instance._state.adding:
            self.fields.pop("whose", None)
            own = {"day_limit": self.instance.daily, "month_limit": self.instance.monthly}
            self.initial.update({name: _typed(amount) for name, amount in own.items()})

    def clean_day_limit(self) -> int | None:
        return _read(self.cleaned_data["day_limit"])

    def clean_month_limit(self) -> int | None:
        return _read(self.cleaned_data["month_limit"])

    def _post_clean(self) -> None:
        """Nothing of the row is checked here: the use case writes it, in its tenant's room."""


def _typed(amount: int | None) -> str:
    return "" if amount is None else Money(amount, settings.SMS_CURRENCY).display.partition(" ")[2]


def _read(text: str) -> int | None:
    """An amount in the smallest unit. Zero is one: no texts at all."""
    text = text.replace(",", "").replace(" ", "")
    if not text:
        return None
    try:
        amount = Money.from_units(text, settings.SMS_CURRENCY).amount
    except ValueError:
        amount = -1
    if amount < 0:
        raise ValidationError(_("Enter an amount of %(currency)s."), params={"currency": settings.SMS_CURRENCY})
    return amount


@admin.register(Budget)
class BudgetAdmin(TenantAdmin):
    form = BudgetForm
    list_display = ("tenant", "shown_daily", "shown_monthly", "note", "updated_at")
    search_fields = ("id", "tenant__name", "tenant__id", "note")
    search_help_text = gettext_lazy("The organisation's name, or a word of the reason")
    ordering = ("-updated_at", "-id")
    list_filter = ()
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("messaging.add_budget"))

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.has_perm("messaging.change_budget"))

    def get_fields(self, request: HttpRequest, obj: Budget | None = None) -> tuple[str, ...]:
        if obj is not None and not self.has_change_permission(request, obj):
            return ("tenant", "shown_daily", "shown_monthly", "note")
        written = ("day_limit", "month_limit", "reason")
        return ("whose", *written) if obj is None else ("tenant", "note", *written)

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> tuple[str, ...]:
        return () if obj is None else ("tenant", "shown_daily", "shown_monthly", "note")

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:
        told = form.cleaned_data
        tenant_id = obj.tenant_id if change else told["whose"].pk
        with tenant_scope(tenant_id):
            saved = change_budget(
                operator_id=operator_id_of(request),
                daily=told["day_limit"],
                monthly=told["month_limit"],
                note=told["reason"],
            )
        obj.pk, obj.tenant_id = saved.pk, tenant_id

    @admin.display(description=gettext_lazy("per day"), ordering="daily")
    def shown_daily(self, budget: Budget) -> str:
        return _shown(budget.daily)

    @admin.display(description=gettext_lazy("per month"), ordering="monthly")
    def shown_monthly(self, budget: Budget) -> str:
        return _shown(budget.monthly)


def _shown(amount: int | None) -> str:
    return _("as the settings say") if amount is None else Money(amount, settings.SMS_CURRENCY).display


class PauseFilter(admin.SimpleListFilter):
    title, parameter_name = gettext_lazy("state"), "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("now", _("paused now")), ("past", _("over"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        running = {"lifted_at": None, "until__gt": timezone.now()}
        if self.value() == "now":
            return queryset.filter(**running)
        return queryset.exclude(**running) if self.value() == "past" else queryset


@admin.register(PrefixPause)
class PrefixPauseAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "prefix", "shown_state", "sent", "verified", "until", "lifted_at", "lifted_by")
    list_filter = (PauseFilter,)
    list_select_related = ("lifted_by",)
    search_fields = ("prefix",)
    search_help_text = gettext_lazy("The beginning of a number: +25571234")
    ordering = ("-created_at", "-id")
    fields = ("prefix", "shown_state", "sent", "verified", "created_at", "until", "lifted_at", "lifted_by")
    show_full_result_count = False
    actions = ("lift",)
    actions_detail = ("lift_one",)

    lift, lift_one = asked_actions(
        "lift",
        use_case=lambda request, row, reason: end_pause(
            operator_id=operator_id_of(request), pause_id=row.pk, reason=reason
        ),
        permission="lift",
        title=gettext_lazy("Let codes go again"),
        warning=gettext_lazy(
            "Codes go to these prefixes again, and are counted afresh. If somebody asks for them to earn by them, that "
            "costs money until the guard stops it again."
        ),
        done=gettext_lazy("Codes go again."),
        needs_reason=True,
        icon="play_arrow",
    )

    def has_lift_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("messaging.change_prefixpause"))

    @display(description=gettext_lazy("state"), label={"now": "danger", "past": "default"})  # type: ignore[untyped-decorator]
    def shown_state(self, row: PrefixPause) -> tuple[str, str]:
        is_running = row.lifted_at is None and row.until > timezone.now()
        return ("now", _("paused now")) if is_running else ("past", _("over"))
