"""Changing and resetting passwords: `/api/v1/auth/...`."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.examples import CODE_EXAMPLE, PASSWORD_EXAMPLE, RECOVERY_CODE_EXAMPLE, SIGNED_IN_EXAMPLE
from apps.accounts.serializers.passwords import (
    ChangePasswordInput,
    ConfirmResetInput,
    ReauthenticateInput,
    ResetPasswordInput,
)
from apps.accounts.serializers.sessions import SignedInOutput
from apps.accounts.services.links import LinkInvalid, request_password_reset, reset_password
from apps.accounts.services.passwords import WrongPassword, change_password
from apps.accounts.services.proofs import MfaCodeInvalid, MfaNotEnabled
from apps.accounts.services.sessions import continue_session
from apps.accounts.services.step_up import MfaCodeRequired, reauthenticate
from apps.accounts.views.sessions import SESSION_REFUSALS, PublicAuthView, principal_of, signed_in
from core.client_address import client_address
from core.openapi import operation
from core.response_wrapper import success_response
from core.throttling.decorator import by_person, limited
from core.throttling.limits import Throttled
from core.views import APIView

TOKEN_EXAMPLE = "fdde32cd2c0f4e9b87abe15b8ba8f0a69815c1b0b6112f987a924e4b5e80104c"  # noqa: S105  for the schema


class ChangePasswordView(APIView):
    @operation(
        id="auth_change_password",
        tag="auth",
        summary="Change my password",
        description="Ends every session, this one included, and answers with the tokens of a new one.",
        request=ChangePasswordInput,
        request_examples={"Change": {"current_password": PASSWORD_EXAMPLE, "new_password": "chai-na-kahawa-8"}},
        response=SignedInOutput,
        message=_("Password changed."),
        example=SIGNED_IN_EXAMPLE,
        errors=[*SESSION_REFUSALS, WrongPassword],
    )
    @limited("password_person", by=by_person)
    def post(self, request: Request) -> Response:
        data = ChangePasswordInput.parse(request.data)
        principal = principal_of(request)
        change_password(user=principal.user, **data)
        # No second factor is asked for: the session that goes on has it behind it.
        successor, tokens = continue_session(session=principal.session)
        return signed_in(request, successor, tokens, message=_("Password changed."))


class ReauthenticateView(APIView):
    @operation(
        id="auth_reauthenticate",
        tag="auth",
        summary="Prove that it is still me",
        description=(
            "After a 403 `reauthentication_required`, whose `data.methods` says which of the fields are accepted: send "
            "one of them, then repeat the refused request. With a second factor the password is not enough. An empty "
            "list: sign in again, a session younger than ten minutes is proof enough."
        ),
        request=ReauthenticateInput,
        request_examples={
            "Password": {"password": PASSWORD_EXAMPLE},
            "Authenticator app": {"code": CODE_EXAMPLE},
            "Lost device": {"recovery_code": RECOVERY_CODE_EXAMPLE},
        },
        message=_("Confirmed."),
        errors=[*SESSION_REFUSALS, WrongPassword, MfaCodeRequired, MfaCodeInvalid, MfaNotEnabled],
    )
    @limited("password_person", by=by_person)
    def post(self, request: Request) -> Response:
        reauthenticate(session=principal_of(request).session, **ReauthenticateInput.parse(request.data))
        return success_response(message=_("Confirmed."))


class ResetPasswordView(PublicAuthView):
    @operation(
        id="auth_reset_password",
        tag="auth",
        summary="Ask for a link to choose a new password",
        description="The answer is the same whether or not the address belongs to an account.",
        request=ResetPasswordInput,
        request_examples={"Forgotten": {"email": "asha@example.com"}},
        message=_("If this address belongs to an account, a link is on its way."),
        errors=[Throttled],
    )
    def post(self, request: Request) -> Response:
        request_password_reset(**ResetPasswordInput.parse(request.data), client=client_address(request))
        return success_response(message=_("If this address belongs to an account, a link is on its way."))


class ConfirmResetView(PublicAuthView):
    @operation(
        id="auth_reset_password_confirm",
        tag="auth",
        summary="Choose a new password with the link's token",
        description="Ends every session. Sign in with the new password afterwards.",
        request=ConfirmResetInput,
        request_examples={"Choose": {"token": TOKEN_EXAMPLE, "password": PASSWORD_EXAMPLE}},
        message=_("Password changed. Please sign in."),
        errors=[LinkInvalid],
    )
    def post(self, request: Request) -> Response:
        reset_password(**ConfirmResetInput.parse(request.data))
        return success_response(message=_("Password changed. Please sign in."))
