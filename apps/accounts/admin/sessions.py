"""Sessions, texted codes and accounts at login providers, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.accounts.admin.operators import operator_of
from apps.accounts.models import AuthSession, VerificationCode
from apps.accounts.selectors import filter_sessions_by_state
from apps.accounts.services.operators import end_session_of_person
from core.admin import ReadOnlyAdmin, asked_actions

# allauth's tables that stay empty here (addresses, apps and tokens have other places), and its own pages of the others.
for _unused in (Group, EmailAddress, EmailConfirmation, Authenticator, SocialApp, SocialToken, SocialAccount):
    if admin.site.is_registered(_unused):
        admin.site.unregister(_unused)


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
