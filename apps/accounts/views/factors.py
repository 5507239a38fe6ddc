"""Second factors, and the second step of a sign-in: `/api/v1/auth/mfa/...`."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import cookies
from apps.accounts.examples import CODE_EXAMPLE, RECOVERY_CODE_EXAMPLE, SIGNED_IN_EXAMPLE
from apps.accounts.selectors import summarise_factors
from apps.accounts.serializers.factors import (
    ConfirmTotpInput,
    FactorsOutput,
    RecoveryCodesOutput,
    TotpOfferOutput,
    VerifyInput,
)
from apps.accounts.serializers.sessions import SignedInOutput
from apps.accounts.services.factors import (
    MfaAlreadyEnabled,
    MfaSetupExpired,
    Renewed,
    begin_totp,
    confirm_totp,
    disable_totp,
    renew_recovery_codes,
)
from apps.accounts.services.proofs import MfaCodeInvalid, MfaNotEnabled
from apps.accounts.services.sessions import AccountInactive
from apps.accounts.services.sign_in import MfaChallengeInvalid, MfaRequired, finish_sign_in, get_challenge
from apps.accounts.services.step_up import ReauthenticationRequired
from apps.accounts.views.sessions import SESSION_REFUSALS, PublicAuthView, choose_transport, principal_of, signed_in
from core.client_address import client_address
from core.openapi import operation
from core.response_wrapper import success_response
from core.throttling.decorator import by_person, limited
from core.throttling.limits import Throttled
from core.views import APIView

RECOVERY_CODES_EXAMPLE = [RECOVERY_CODE_EXAMPLE, "7741-0923", "2280-5516"]
ENDS_SESSIONS = "Ends every session of yours, and answers with the tokens of a new one in place of this one."


class FactorsView(APIView):
    @operation(
        id="auth_mfa",
        tag="auth",
        summary="Have I a second factor?",
        response=FactorsOutput,
        message=_("Your second factors."),
        example={
            "is_enabled": True,
            "factors": [{"type": "totp", "created_at": "2026-11-20T09:00:00Z", "last_used_at": None}],
            "recovery_codes_left": 10,
            "reauthenticate_with": ["code", "recovery_code"],
        },
        errors=SESSION_REFUSALS,
    )
    def get(self, request: Request) -> Response:
        factors = summarise_factors(user=principal_of(request).user)
        return success_response(FactorsOutput(factors).data, message=_("Your second factors."))


class TotpView(APIView):
    @operation(
        id="auth_mfa_totp_begin",
        tag="auth",
        summary="Set an authenticator app up",
        description="Show `qr` or `secret`, then send the app's code to `auth/mfa/totp/confirm/` within 30 minutes.",
        response=TotpOfferOutput,
        message=_("Add this to your authenticator app, then enter its code."),
        example={
            "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
            "otpauth_url": (
                "otpauth://totp/Faraja%3Aasha%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Faraja"
            ),
            "qr": "data:image/svg+xml;base64,PD94bWw=",
            "expires_at": "2026-11-20T09:30:00Z",
        },
        errors=[*SESSION_REFUSALS, ReauthenticationRequired, MfaAlreadyEnabled],
    )
    @limited("mfa_person", by=by_person)
    def post(self, request: Request) -> Response:
        offer = begin_totp(session=principal_of(request).session)
        message = _("Add this to your authenticator app, then enter its code.")
        return success_response(TotpOfferOutput(offer).data, message=message, headers={"Cache-Control": "no-store"})

    @operation(
        id="auth_mfa_totp_remove",
        tag="auth",
        summary="Switch my second factor off",
        description=f"The recovery codes go with it. {ENDS_SESSIONS}",
        response=SignedInOutput,
        message=_("Second factor switched off."),
        example=SIGNED_IN_EXAMPLE,
        errors=[*SESSION_REFUSALS, ReauthenticationRequired, MfaNotEnabled],
    )
    @limited("mfa_person", by=by_person)
    def delete(self, request: Request) -> Response:
        renewed = disable_totp(session=principal_of(request).session)
        return signed_in(request, renewed.principal, renewed.tokens, message=_("Second factor switched off."))


class ConfirmTotpView(APIView):
    @operation(
        id="auth_mfa_totp_confirm",
        tag="auth",
        summary="Switch my second factor on",
        description=f"`recovery_codes` are shown this once: for the day the device is lost. {ENDS_SESSIONS}",
        request=ConfirmTotpInput,
        request_examples={"First code": {"code": CODE_EXAMPLE}},
        response=RecoveryCodesOutput,
        message=_("Second factor switched on. Keep the recovery codes: they are not shown again."),
        example=SIGNED_IN_EXAMPLE | {"recovery_codes": RECOVERY_CODES_EXAMPLE},
        errors=[*SESSION_REFUSALS, ReauthenticationRequired, MfaAlreadyEnabled, MfaSetupExpired, MfaCodeInvalid],
    )
    @limited("mfa_person", by=by_person)
    def post(self, request: Request) -> Response:
        data = ConfirmTotpInput.parse(request.data)
        renewed = confirm_totp(session=principal_of(request).session, code=data["code"])
        message = _("Second factor switched on. Keep the recovery codes: they are not shown again.")
        return _with_codes(request, renewed, message=message)


class RecoveryCodesView(APIView):
    @operation(
        id="auth_mfa_recovery_codes",
        tag="auth",
        summary="Make new recovery codes",
        description=f"The old ones are void. {ENDS_SESSIONS}",
        response=RecoveryCodesOutput,
        message=_("New recovery codes. Keep them: they are not shown again."),
        example=SIGNED_IN_EXAMPLE | {"recovery_codes": RECOVERY_CODES_EXAMPLE},
        errors=[*SESSION_REFUSALS, ReauthenticationRequired, MfaNotEnabled],
    )
    @limited("mfa_person", by=by_person)
    def post(self, request: Request) -> Response:
        renewed = renew_recovery_codes(session=principal_of(request).session)
        return _with_codes(request, renewed, message=_("New recovery codes. Keep them: they are not shown again."))


class VerifyView(PublicAuthView):
    @operation(
        id="auth_mfa_verify",
        tag="auth",
        summary="Finish signing in with a code",
        description=(
            "The second step after a 401 `mfa_required`, within five minutes. After `mfa_code_invalid` try again, five "
            "codes in all; after `mfa_challenge_invalid` start with the first step."
        ),
        request=VerifyInput,
        request_examples={
            "Authenticator app": {"challenge": MfaRequired.example_data["challenge"], "code": CODE_EXAMPLE},
            "Lost device": {
                "challenge": MfaRequired.example_data["challenge"],
                "recovery_code": RECOVERY_CODE_EXAMPLE,
            },
        },
        response=SignedInOutput,
        message=_("Signed in."),
        example=SIGNED_IN_EXAMPLE,
        errors=[MfaChallengeInvalid, MfaCodeInvalid, AccountInactive, Throttled, cookies.CsrfFailed],
    )
    def post(self, request: Request) -> Response:
        data = VerifyInput.parse(request.data)
        challenge = get_challenge(token=data["challenge"], transport=data.pop("transport", ""))
        choose_transport(request, challenge.transport)
        principal, tokens = finish_sign_in(
            token=data.pop("challenge"),
            user_agent=request.headers.get("User-Agent", ""),
            client=client_address(request),
            **data,
        )
        return signed_in(request, principal, tokens, message=_("Signed in."))


def _with_codes(request: Request, renewed: Renewed, *, message: object) -> Response:
    extra = {"recovery_codes": list(renewed.recovery_codes)}
    return signed_in(request, renewed.principal, renewed.tokens, message=message, extra=extra)
