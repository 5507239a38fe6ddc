"""Signing in by a code to the phone, and proving or changing the number: `/api/v1/auth/...`."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import cookies
from apps.accounts.examples import CHALLENGE_EXAMPLE, ME_EXAMPLE, PASSWORD_EXAMPLE, SIGNED_IN_EXAMPLE
from apps.accounts.methods import Method
from apps.accounts.serializers.accounts import MeOutput
from apps.accounts.serializers.phones import (
    AnswerInput,
    ChallengeOutput,
    ChangePhoneInput,
    RequestOtpInput,
    VerifyOtpInput,
)
from apps.accounts.serializers.sessions import SignedInOutput
from apps.accounts.services.codes import CODE_REFUSALS, OtpInvalid, OtpLocked, check_login_code, request_login_code
from apps.accounts.services.passwords import WrongPassword
from apps.accounts.services.phones import (
    PhoneMissing,
    confirm_phone,
    confirm_phone_change,
    request_phone_change,
    request_phone_proof,
)
from apps.accounts.services.sessions import AccountInactive
from apps.accounts.services.sign_in import MfaRequired
from apps.accounts.services.step_up import ReauthenticationRequired
from apps.accounts.views.sessions import (
    SESSION_REFUSALS,
    PublicAuthView,
    choose_transport,
    principal_of,
    sign_in,
    signed_in,
)
from apps.tenants.permissions import IsTenantMember, NotAMember, TenantSuspended
from core.client_address import client_address
from core.openapi import operation
from core.response_wrapper import success_response
from core.throttling.decorator import by_person, limited
from core.throttling.limits import Throttled
from core.views import APIView

ANSWER_EXAMPLE = {"challenge": CHALLENGE_EXAMPLE["challenge"], "code": "204816"}


class RequestOtpView(PublicAuthView):
    @operation(
        id="auth_request_otp",
        tag="auth",
        summary="Ask for a code to sign in by phone",
        description=(
            "The answer is the same whether or not somebody can sign in by this number; a text goes out only if so. "
            "A new code replaces the one before."
        ),
        request=RequestOtpInput,
        request_examples={"Phone": {"phone": "0712345678"}},
        response=ChallengeOutput,
        message=_("If somebody can sign in by this number, a code is on its way."),
        example=CHALLENGE_EXAMPLE,
        errors=CODE_REFUSALS,
    )
    def post(self, request: Request) -> Response:
        code = request_login_code(**RequestOtpInput.parse(request.data), client=client_address(request))
        told = _("If somebody can sign in by this number, a code is on its way.")
        return success_response(ChallengeOutput(code).data, message=told)


class VerifyOtpView(PublicAuthView):
    @operation(
        id="auth_verify_otp",
        tag="auth",
        summary="Sign in with the code",
        description="Five guesses at each challenge; after them even the right code is refused.",
        request=VerifyOtpInput,
        request_examples={"Phone app": ANSWER_EXAMPLE, "Web page": {**ANSWER_EXAMPLE, "transport": "cookies"}},
        response=SignedInOutput,
        message=_("Signed in."),
        example=SIGNED_IN_EXAMPLE,
        errors=[OtpInvalid, OtpLocked, MfaRequired, AccountInactive, Throttled, cookies.CsrfFailed],
    )
    def post(self, request: Request) -> Response:
        data = VerifyOtpInput.parse(request.data)
        transport = choose_transport(request, data.get("transport"))
        user = check_login_code(challenge=data["challenge"], guess=data["code"], client=client_address(request))
        return sign_in(request, user, transport, method=Method.SMS, message=_("Signed in."))


class VerifyPhoneView(APIView):
    is_atomic = False
    permission_classes = (IsAuthenticated, IsTenantMember)  # the text is kept in the tenant's log

    @operation(
        id="auth_verify_phone",
        tag="auth",
        summary="Ask for a code that proves my phone number",
        description="Once it is proven, the number can be used to sign in.",
        response=ChallengeOutput,
        message=_("A code is on its way."),
        example=CHALLENGE_EXAMPLE,
        errors=[*SESSION_REFUSALS, *CODE_REFUSALS, PhoneMissing, NotAMember, TenantSuspended],
    )
    @limited("otp_person", by=by_person)
    def post(self, request: Request) -> Response:
        code = request_phone_proof(user=principal_of(request).user)
        return success_response(ChallengeOutput(code).data, message=_("A code is on its way."))


class ConfirmPhoneView(APIView):
    is_atomic = False

    @operation(
        id="auth_verify_phone_confirm",
        tag="auth",
        summary="Prove my phone number with the code",
        request=AnswerInput,
        request_examples={"Code": ANSWER_EXAMPLE},
        response=MeOutput,
        message=_("Phone number confirmed."),
        example=ME_EXAMPLE,
        errors=[*SESSION_REFUSALS, OtpInvalid, OtpLocked],
    )
    def post(self, request: Request) -> Response:
        data, principal = AnswerInput.parse(request.data), principal_of(request)
        confirm_phone(user=principal.user, challenge=data["challenge"], guess=data["code"])
        return success_response(MeOutput(principal).data, message=_("Phone number confirmed."))


class ChangePhoneView(APIView):
    is_atomic = False
    permission_classes = (IsAuthenticated, IsTenantMember)  # the text is kept in the tenant's log

    @operation(
        id="auth_change_phone",
        tag="auth",
        summary="Change my phone number",
        description="Sends a code to the new number; the old one stays until that code comes back.",
        request=ChangePhoneInput,
        request_examples={
            "Change": {"phone": "+255754345678", "password": PASSWORD_EXAMPLE},
            "After reauthenticating": {"phone": "+255754345678"},
        },
        response=ChallengeOutput,
        message=_("A code is on its way."),
        example=CHALLENGE_EXAMPLE,
        errors=[
            *SESSION_REFUSALS,
            *CODE_REFUSALS,
            WrongPassword,
            ReauthenticationRequired,
            NotAMember,
            TenantSuspended,
        ],
    )
    @limited("otp_person", by=by_person)
    @limited("password_person", by=by_person)
    def post(self, request: Request) -> Response:
        code = request_phone_change(session=principal_of(request).session, **ChangePhoneInput.parse(request.data))
        return success_response(ChallengeOutput(code).data, message=_("A code is on its way."))


class ConfirmPhoneChangeView(APIView):
    is_atomic = False
    permission_classes = (IsAuthenticated, IsTenantMember)  # the old number gets a text too

    @operation(
        id="auth_change_phone_confirm",
        tag="auth",
        summary="Change my phone number with the code",
        description="Ends every session, this one included, and answers with the tokens of a new one in its place.",
        request=AnswerInput,
        request_examples={"Code": ANSWER_EXAMPLE},
        response=SignedInOutput,
        message=_("Phone number changed."),
        example=SIGNED_IN_EXAMPLE,
        errors=[*SESSION_REFUSALS, OtpInvalid, OtpLocked, NotAMember, TenantSuspended],
    )
    def post(self, request: Request) -> Response:
        data, session = AnswerInput.parse(request.data), principal_of(request).session
        principal, tokens = confirm_phone_change(session=session, challenge=data["challenge"], guess=data["code"])
        return signed_in(request, principal, tokens, message=_("Phone number changed."))
