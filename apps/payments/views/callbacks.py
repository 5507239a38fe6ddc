"""Where gateways report."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.payments.services.callbacks import CALLBACK_REFUSALS, receive_callback
from core.openapi import operation
from core.parsers import PayloadTooLarge
from core.response_wrapper import success_response
from core.views import APIView, read_callback


class GatewayCallbackView(APIView):
    """Where gateways report. The secret in the path names the account; the body is verified by the gateway's scheme."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @operation(
        id="gateway_callback",
        tag="callbacks",
        summary="For payment gateways: report news about a charge",
        request=None,
        message=_("Received."),
        errors=[*CALLBACK_REFUSALS, PayloadTooLarge],
    )
    def post(self, request: Request, gateway: str, token: str) -> Response:
        body, headers = read_callback(request)
        receive_callback(gateway=gateway, token=token, body=body, headers=headers)
        return success_response(message=_("Received."))
