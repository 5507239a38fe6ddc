"""Proving and changing e-mail addresses: `/api/v1/auth/...`."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.examples import PASSWORD_EXAMPLE
from apps.accounts.serializers.links import ChangeEmailInput, VerifyEmailInput
from apps.accounts.services.links import LinkInvalid, request_email_change, request_verification, verify_email
from apps.accounts.services.passwords import WrongPassword
from apps.accounts.services.step_up import ReauthenticationRequired
from apps.accounts.views.passwords import TOKEN_EXAMPLE
from apps.accounts.views.sessions import SESSION_REFUSALS, PublicAuthView, principal_of
from core.openapi import operation
from core.response_wrapper import success_response
from core.throttling.decorator import by_person, limited
from core.views import APIView


class VerifyEmailView(PublicAuthView):
    @operation(
        id="auth_verify_email",
        tag="auth",
        summary="Prove an e-mail address with the link's token",
        description="For the link sent at registration, and for the one that confirms a new address.",
        request=VerifyEmailInput,
        request_examples={"Link": {"token": TOKEN_EXAMPLE}},
        message=_("E-mail address confirmed."),
        errors=[LinkInvalid],
    )
    def post(self, request: Request) -> Response:
        verify_email(**VerifyEmailInput.parse(request.data))
        return success_response(message=_("E-mail address confirmed."))


class ResendVerificationView(APIView):
    @operation(
        id="auth_resend_verification",
        tag="auth",
        summary="Send the confirmation link again",
        description="Older links stop working. Does nothing when the address is confirmed.",
        message=_("A link is on its way."),
        errors=SESSION_REFUSALS,
    )
    @limited("link_person", by=by_person)
    def post(self, request: Request) -> Response:
        request_verification(user=principal_of(request).user)
        return success_response(message=_("A link is on its way."))


class ChangeEmailView(APIView):
    @operation(
        id="auth_change_email",
        tag="auth",
        summary="Change my e-mail address",
        description=(
            "Sends a link to the new address; the old one stays until that link is followed. Without a second factor "
            "the password is proof enough; with one, or without the password, the session must be freshly confirmed."
        ),
        request=ChangeEmailInput,
        request_examples={"Change": {"email": "asha.juma@example.com", "password": PASSWORD_EXAMPLE}},
        message=_("A link is on its way."),
        errors=[*SESSION_REFUSALS, WrongPassword, ReauthenticationRequired],
    )
    @limited("password_person", by=by_person)
    def post(self, request: Request) -> Response:
        request_email_change(session=principal_of(request).session, **ChangeEmailInput.parse(request.data))
        return success_response(message=_("A link is on its way."))
