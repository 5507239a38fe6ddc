"""The HTTP face of e-mail: where providers report what became of mails."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.messaging.services.email_reports import CALLBACK_REFUSALS, permit_email_callback, receive_email_callback
from core.openapi import operation
from core.parsers import PayloadTooLarge
from core.response_wrapper import success_response
from core.views import APIView, read_callback


class EmailReportView(APIView):
    """The secret in the path names the account. Beside the envelope stands what the provider wants to hear."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @operation(
        id="email_report",
        tag="callbacks",
        summary="For e-mail providers: report what became of a mail",
        response=None,
        message=_("Received."),
        errors=[*CALLBACK_REFUSALS, PayloadTooLarge],
    )
    def post(self, request: Request, provider: str, token: str) -> Response:
        body, headers = read_callback(request)
        url = settings.PUBLIC_URL + request.get_full_path()
        answer = receive_email_callback(provider=provider, token=token, body=body, headers=headers, url=url)
        return success_response(message=_("Received."), beside=answer)

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """The handshake of CloudEvents; the usual answer otherwise."""
        _body, headers = read_callback(request)
        permitted = permit_email_callback(provider=kwargs["provider"], token=kwargs["token"], headers=headers)
        if not permitted:
            return super().options(request, *args, **kwargs)
        response = success_response(message=_("Received."))
        for name, value in permitted.items():
            response[name] = value
        return response
