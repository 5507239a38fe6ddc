"""The HTTP face of messaging: where providers report."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.messaging.services.callbacks import CALLBACK_REFUSALS, permit_callbacks, receive_callback
from core.openapi import operation
from core.parsers import PayloadTooLarge
from core.response_wrapper import success_response
from core.views import APIView, read_callback


class DeliveryReportView(APIView):
    """The secret in the path names the account. Beside the envelope stands what the provider wants to hear."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @operation(
        id="delivery_report",
        tag="callbacks",
        summary="For SMS providers: report what became of a text",
        response=None,
        message=_("Received."),
        errors=[*CALLBACK_REFUSALS, PayloadTooLarge],
    )
    def post(self, request: Request, gateway: str, token: str) -> Response:
        body, headers = read_callback(request)
        url = settings.PUBLIC_URL + request.get_full_path()
        answer = receive_callback(gateway=gateway, token=token, body=body, headers=headers, url=url)
        return success_response(message=_("Received."), beside=answer)

    def options(self, request: Request, gateway: str, token: str) -> Response:  # type: ignore[override]  # as post
        """The handshake of CloudEvents: a provider asks whether it may report here."""
        _body, asked = read_callback(request)
        headers = permit_callbacks(gateway=gateway, token=token, headers=asked)
        if not headers:
            raise MethodNotAllowed("OPTIONS")
        return success_response(message=_("Received."), headers=dict(headers))
