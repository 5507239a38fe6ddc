"""The HTTP face of gateways and of an organisation's own accounts there. Accounts are for people only."""

from __future__ import annotations

from typing import cast

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.selectors import Principal
from apps.accounts.services.step_up import ReauthenticationRequired, require_recent_authentication
from apps.payments.serializers.accounts import GatewayAccountOutput, GatewayOutput, SaveAccountInput
from apps.payments.services.accounts import (
    ACCOUNT_REFUSALS,
    SAVE_REFUSALS,
    get_account,
    list_gateways,
    retire_account,
    rotate_callback,
    save_account,
)
from apps.tenants.permissions import (
    HasScope,
    IsTenantAdmin,
    IsTenantMember,
    NotAMember,
    ScopeMissing,
    TenantSuspended,
)
from apps.tenants.services.api_keys import ApiKeyInvalid
from core.openapi import operation
from core.response_wrapper import success_response
from core.throttling.decorator import by_person, limited
from core.views import APIView

GATEWAY_EXAMPLE = {
    "code": "clickpesa",
    "name": "ClickPesa",
    "account": "shared",
    "methods": ["push"],
    "currencies": ["TZS"],
    "capabilities": ["push", "query", "idempotent_charge"],
}
ACCOUNT_EXAMPLE = {
    "gateway": "clickpesa",
    "is_enabled": True,
    "allows_manual_refunds": True,
    "refuses_when_down": False,
    "credentials": [
        {"name": "client_id", "is_secret": False, "is_required": True, "is_set": True, "value": "IDabc123"},
        {"name": "api_key", "is_secret": True, "is_required": True, "is_set": True, "value": None},
        {"name": "checksum_key", "is_secret": True, "is_required": False, "is_set": False, "value": None},
    ],
    "callback_url": "https://api.example.com/api/v1/webhooks/clickpesa/" + "A1b2C3d4" * 9 + "/",
    "created_at": "2026-11-20T09:00:00Z",
    "updated_at": "2026-11-20T09:00:00Z",
}
DOOR = (NotAMember, TenantSuspended)


class GatewayListView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope)
    key_scopes = {"GET": "payments:read"}

    @operation(
        id="gateways_list",
        tag="payments",
        summary="Which payment methods can I use, and what can each do?",
        description="Those that are switched on for the organisation. `code` is what starting a payment asks for.",
        response=GatewayOutput(many=True),
        message=_("Payment methods."),
        example=GATEWAY_EXAMPLE,
        errors=[*DOOR, ScopeMissing, ApiKeyInvalid],
    )
    def get(self, request: Request) -> Response:
        return success_response(GatewayOutput(list_gateways(), many=True).data, message=_("Payment methods."))


class GatewayAccountView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="gateway_account_get",
        tag="payments",
        summary="The organisation's own account at a payment method",
        description="With the address to which the payment method reports; without any secret.",
        response=GatewayAccountOutput,
        message=_("Account."),
        example=ACCOUNT_EXAMPLE,
        errors=[*DOOR, *ACCOUNT_REFUSALS],
    )
    def get(self, request: Request, gateway: str) -> Response:
        return _private(
            success_response(GatewayAccountOutput(get_account(gateway=gateway)).data, message=_("Account."))
        )

    @operation(
        id="gateway_account_save",
        tag="payments",
        summary="Use the organisation's own account at a payment method, or change it",
        description=(
            "New payments go through it from now on, in place of the platform's account; what was begun before ends "
            "where it began. What is left out stays as it is. `credentials` replace all that were there; "
            "those of another merchant make a new account, with another `callback_url`. It decides where money goes, "
            "so the session must be freshly confirmed."
        ),
        request=SaveAccountInput,
        request_examples={
            "ClickPesa": {"credentials": {"client_id": "IDabc123", "api_key": "SKabc123", "checksum_key": "CHKabc123"}},
            "Switch off": {"is_enabled": False},
        },
        response=GatewayAccountOutput,
        message=_("Account saved."),
        example=ACCOUNT_EXAMPLE,
        errors=[*DOOR, ReauthenticationRequired, *SAVE_REFUSALS],
    )
    @limited("gateway_account_person", by=by_person)
    def put(self, request: Request, gateway: str) -> Response:
        require_recent_authentication(cast(Principal, request.auth).session)
        data = SaveAccountInput.parse(request.data)
        account = save_account(actor_id=request.auth.user.pk, gateway=gateway, **data)
        return _private(success_response(GatewayAccountOutput(account).data, message=_("Account saved.")))

    @operation(
        id="gateway_account_retire",
        tag="payments",
        summary="Give the organisation's own account at a payment method up",
        description=(
            "New payments go through the platform's account again, where there is one. What was begun with the own "
            "account still ends with it, so its callback address stays good."
        ),
        message=_("Account given up."),
        errors=[*DOOR, ReauthenticationRequired, *ACCOUNT_REFUSALS],
    )
    @limited("gateway_account_person", by=by_person)
    def delete(self, request: Request, gateway: str) -> Response:
        require_recent_authentication(cast(Principal, request.auth).session)
        retire_account(actor_id=request.auth.user.pk, gateway=gateway)
        return success_response(message=_("Account given up."))


class RotateCallbackView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="gateway_account_rotate_callback",
        tag="payments",
        summary="Change the callback address of the organisation's own account",
        description=(
            "For an address that somebody else has seen. The old one is not found from now on, so enter the new one at "
            "the payment method; meanwhile the outcome of payments is asked for."
        ),
        request=None,
        response=GatewayAccountOutput,
        message=_("Callback address changed."),
        example=ACCOUNT_EXAMPLE,
        errors=[*DOOR, ReauthenticationRequired, *ACCOUNT_REFUSALS],
    )
    @limited("gateway_account_person", by=by_person)
    def post(self, request: Request, gateway: str) -> Response:
        require_recent_authentication(cast(Principal, request.auth).session)
        account = rotate_callback(actor_id=request.auth.user.pk, gateway=gateway)
        return _private(success_response(GatewayAccountOutput(account).data, message=_("Callback address changed.")))


def _private(response: Response) -> Response:
    # The callback address is a secret.
    response.headers["Cache-Control"] = "no-store"
    return response
