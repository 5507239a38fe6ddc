"""Ending one's account, taking that back, and taking one's data along: `/api/v1/auth/...`."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import cookies
from apps.accounts.examples import EXPORT_EXAMPLE, PASSWORD_EXAMPLE
from apps.accounts.serializers.deletion import DeletionOutput, ExportOutput, RestoreAccountInput
from apps.accounts.services.accounts import InvalidCredentials
from apps.accounts.services.deletion import DELETION_REFUSALS, request_deletion, restore_account
from apps.accounts.services.exports import export_account
from apps.accounts.services.sessions import AccountInactive
from apps.accounts.services.step_up import ReauthenticationRequired
from apps.accounts.views.sessions import SESSION_REFUSALS, PublicAuthView, principal_of
from core.client_address import client_address
from core.openapi import operation
from core.response_wrapper import success_response
from core.throttling.decorator import by_person, limited
from core.throttling.limits import Throttled
from core.views import APIView

DELETED = _("Your account will be deleted. Until then you can restore it.")


class DeleteAccountView(APIView):
    @operation(
        id="auth_delete_account",
        tag="auth",
        summary="Delete my account",
        description=(
            "Needs a sign-in or a `reauthenticate` in the last minutes. Ends every session at once and clears the "
            "cookies; the account is deleted when the days of grace are over."
        ),
        response=DeletionOutput,
        message=DELETED,
        example={"deletion_due_at": "2026-12-04T09:00:00Z"},
        errors=[*SESSION_REFUSALS, *DELETION_REFUSALS],
    )
    def post(self, request: Request) -> Response:
        due_at = request_deletion(session=principal_of(request).session)
        return goodbye(request, DeletionOutput({"deletion_due_at": due_at}).data)


def goodbye(request: Request, data: Any = None) -> Response:
    """The answer to somebody whose sessions have just ended."""
    response = success_response(data, message=DELETED)
    response.headers["Cache-Control"] = "no-store"
    cookies.clear_cookies(request, response)
    return response


class RestoreAccountView(PublicAuthView):
    @operation(
        id="auth_restore_account",
        tag="auth",
        summary="Keep my account after all",
        description=(
            "After a 401 `deletion_pending` at sign-in. Opens no session: sign in afterwards. Repeating it is fine."
        ),
        request=RestoreAccountInput,
        request_examples={"Keep": {"email": "asha@example.com", "password": PASSWORD_EXAMPLE}},
        message=_("Your account is kept. Please sign in."),
        errors=[InvalidCredentials, AccountInactive, Throttled],
    )
    def post(self, request: Request) -> Response:
        restore_account(**RestoreAccountInput.parse(request.data), client=client_address(request))
        return success_response(message=_("Your account is kept. Please sign in."))


class ExportView(APIView):
    @operation(
        id="auth_export",
        tag="auth",
        summary="Get everything about me",
        description=(
            "Needs a sign-in or a `reauthenticate` in the last minutes. Of each kind of record at most 1,000 rows."
        ),
        response=ExportOutput,
        message=_("Your data."),
        example=EXPORT_EXAMPLE,
        errors=[*SESSION_REFUSALS, ReauthenticationRequired],
    )
    @limited("export_person", by=by_person)
    def get(self, request: Request) -> Response:
        export: Any = export_account(session=principal_of(request).session)
        response = success_response(ExportOutput(export).data, message=_("Your data."))
        response.headers["Cache-Control"] = "no-store"
        return response
