"""The HTTP face of messaging: where providers report."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.messaging.services.messages import REPORT_REFUSALS, receive_report
from core.openapi import operation
from core.parsers import PayloadTooLarge
from core.response_wrapper import success_response
from core.views import APIView, read_callback


class DeliveryReportView(APIView):
    """The secret in the path names the account. The envelope's `data` holds the receipt in the provider's words."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @operation(
        id="delivery_report",
        tag="callbacks",
        summary="For SMS providers: report what became of a text",
        response=OpenApiTypes.OBJECT,
        example={"request_id": "35918915", "successful": True},
        message=_("Received."),
        errors=[*REPORT_REFUSALS, PayloadTooLarge],
    )
    def post(self, request: Request, gateway: str, token: str) -> Response:
        body, headers = read_callback(request)
        receipt = receive_report(gateway=gateway, token=token, body=body, headers=headers)
        return success_response(receipt, message=_("Received."))
