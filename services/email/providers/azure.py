"""Azure Communication Services: mails through its REST interface, news as Event Grid events.

Facts come from Microsoft's REST specification (2025-09-01), from its Python client `azure-communication-email` 1.1.0
and from its page on the event schema. Whether the service drops a second mail under one Operation-Id is unconfirmed,
so a repetition asks about the first one before it sends.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from anymail.backends.base_requests import AnymailRequestsBackend, RequestsPayload
from anymail.message import AnymailRecipientStatus
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend

from core.exceptions import Malformed
from services.azure.event_grid import EventsRejected, GridEvent, permission_headers, read_batch
from services.azure.signing import AcsSigner
from services.email.base import (
    EmailCallbackRejected,
    EmailGateway,
    EmailNews,
    EmailRefused,
    EmailReport,
    EmailRequest,
    EmailStatus,
    Refusal,
    Suppression,
)
from services.email.providers.esp import TIMEOUT, anymail_reference, judge_anymail, text
from services.http import Answer, Delivery, GatewayUnavailable, HttpClient
from services.options import required

VERSION = "2025-09-01"
SEND = f"/emails:send?api-version={VERSION}"
REPORT = "Microsoft.Communication.EmailDeliveryReportReceived"
OPERATION: Final = {
    "NotStarted": EmailStatus.SENT,
    "Running": EmailStatus.SENT,
    "Succeeded": EmailStatus.SENT,  # out for delivery, no more
    "Failed": EmailStatus.FAILED,
    "Canceled": EmailStatus.FAILED,
}
PENDING: Final = ("NotStarted", "Running")
STATUS: Final = {
    "Delivered": EmailStatus.DELIVERED,
    "Expanded": EmailStatus.SENT,  # a distribution list; its members report separately
    "Bounced": EmailStatus.UNDELIVERABLE,
    "Suppressed": EmailStatus.UNDELIVERABLE,
    "Quarantined": EmailStatus.UNDELIVERABLE,
    "FilteredSpam": EmailStatus.UNDELIVERABLE,
    "Failed": EmailStatus.FAILED,
}


def operation_id(key: str) -> str:
    """Azure's name for our mail `key`: the same in every try, so that a repetition can ask about the first.

    Written as a random UUID (version 4), in case Azure looks at that; whether it does is unconfirmed.
    """
    return str(uuid.UUID(bytes=sha256(f"faraja:{key}".encode()).digest()[:16], version=4))


class AzureEmail(EmailGateway):
    """One Communication Services resource."""

    code = "azure"
    name = "Azure Communication Services"
    can_be_asked = True

    def __init__(self, *, endpoint_url: str, access_key: str, resource: str = "") -> None:
        """`resource`: the end of our resource's path; events about another are refused. Empty: any."""
        self._endpoint = required(self.code, "endpoint_url", endpoint_url).rstrip("/")
        self._signer = AcsSigner(self._endpoint, required(self.code, "access_key", access_key))
        self._resource = resource
        self._http = HttpClient(self._endpoint)

    def connect(self) -> BaseEmailBackend:
        return AzureBackend(endpoint=self._endpoint, signer=self._signer, requests_timeout=TIMEOUT)

    def prepare(self, mail: EmailMultiAlternatives, request: EmailRequest) -> None:
        mail.esp_extra = {"operation_id": operation_id(request.key)}  # type: ignore[attr-defined]  # anymail's own

    def judge(self, error: Exception) -> Exception:
        return judge_anymail(error)

    def reference_of(self, mail: EmailMultiAlternatives) -> str:
        return anymail_reference(mail)

    def known_reference(self, key: str) -> str:
        return operation_id(key)

    def query(self, key: str) -> EmailReport | None:
        """How the operation stands, or None where Azure has never heard of it."""
        path = "/emails/operations/{id}"
        target = f"{urlsplit(self._endpoint).path}/emails/operations/{operation_id(key)}?api-version={VERSION}"
        answer = self._http.request(
            "GET",
            path,
            path_values={"id": operation_id(key)},
            params={"api-version": VERSION},
            headers=self._signer.headers(method="GET", target=target, body=b"", at=datetime.now(UTC)),
        )
        if answer.status == 404:
            return None
        answer.refuse_unusable()
        if not answer.is_success:
            raise EmailRefused(Refusal.ACCOUNT, str(answer.status), _error_of(answer.json())[1])
        return _operation(answer, key)

    def permission_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return permission_headers(headers)

    def parse(self, delivery: Delivery) -> EmailNews:
        """Events in either schema; a handshake is answered with its code."""
        try:
            batch = read_batch(delivery, resource=self._resource)
        except EventsRejected:
            raise EmailCallbackRejected from None
        return EmailNews(
            reports=tuple(_report(event) for event in batch.events if event.type == REPORT), answer=batch.answer
        )


class AzureBackend(AnymailRequestsBackend):  # type: ignore[misc]
    """anymail's kind of backend, which it does not have for Azure."""

    esp_name = "Azure"

    def __init__(self, *, endpoint: str, signer: AcsSigner, **options: Any) -> None:
        self.signer = signer
        super().__init__(endpoint, **options)

    def build_message_payload(self, message: EmailMultiAlternatives, defaults: dict[str, Any]) -> AzurePayload:
        return AzurePayload(message, defaults, self)

    def parse_recipient_status(self, response: Any, payload: AzurePayload, message: EmailMultiAlternatives) -> Any:
        """The 202 speaks about the whole mail; what became of it at each recipient comes as events."""
        body = self.deserialize_json_response(response, payload, message)
        found = text(body.get("id"), 100) if isinstance(body, dict) else ""
        status = AnymailRecipientStatus(message_id=found or payload.operation_id, status="queued")
        return {recipient.addr_spec: status for recipient in payload.recipients}


class AzurePayload(RequestsPayload):  # type: ignore[misc]
    """One mail in Azure's words. What Azure has no word for makes anymail raise `AnymailUnsupportedFeature`."""

    def init_payload(self) -> None:
        self.operation_id = str(uuid.uuid4())
        self.recipients: list[Any] = []
        self.data: dict[str, Any] = {
            "content": {},
            "recipients": {},
            "userEngagementTrackingDisabled": True,
        }

    def get_request_params(self, api_url: str) -> dict[str, Any]:
        # Signed here, when the bytes and the address are final. The date is part of it: sign again for every try.
        # Not joined by urljoin, to which "emails:" is a scheme.
        body = json.dumps(self.data, separators=(",", ":")).encode("ascii")
        url = api_url + SEND
        parts = urlsplit(url)
        proof = self.backend.signer.headers(
            method="POST", target=f"{parts.path}?{parts.query}", body=body, at=datetime.now(UTC)
        )
        headers = proof | {"Content-Type": "application/json", "Operation-Id": self.operation_id}
        return {"method": "POST", "url": url, "data": body, "headers": headers, "allow_redirects": False}

    def set_from_email(self, email: Any) -> None:
        # The display name is set at the resource (MailFrom), not in a mail.
        self.data["senderAddress"] = email.addr_spec

    def set_recipients(self, recipient_type: str, emails: list[Any]) -> None:
        if not emails:
            return
        self.recipients += emails
        self.data["recipients"][recipient_type] = [_address(email) for email in emails]

    def set_subject(self, subject: str) -> None:
        self.data["content"]["subject"] = subject

    def set_reply_to(self, emails: list[Any]) -> None:
        if emails:
            self.data["replyTo"] = [_address(email) for email in emails]

    def set_extra_headers(self, headers: Mapping[str, str]) -> None:
        self.data["headers"] = dict(headers)

    def set_text_body(self, body: str) -> None:
        self.data["content"]["plainText"] = body

    def set_html_body(self, body: str) -> None:
        if "html" in self.data["content"]:
            self.unsupported_feature("multiple html parts")
        self.data["content"]["html"] = body

    def add_attachment(self, attachment: Any) -> None:
        found = {"name": attachment.name or "", "contentType": attachment.mimetype}
        found["contentInBase64"] = attachment.b64content
        if attachment.inline:
            found["contentId"] = attachment.cid
        self.data.setdefault("attachments", []).append(found)

    def set_esp_extra(self, extra: Mapping[str, Any]) -> None:
        self.operation_id = extra.get("operation_id", self.operation_id)


def _address(email: Any) -> dict[str, str]:
    return {"address": email.addr_spec, "displayName": email.display_name or ""}


def _operation(answer: Answer, key: str) -> EmailReport:
    body = answer.json()
    raw = text(body.get("status"), 50) if isinstance(body, dict) else ""
    if not raw:
        raise GatewayUnavailable
    code, detail = _error_of(body)
    return EmailReport(
        key=key,
        provider_reference=operation_id(key),
        status=OPERATION.get(raw),
        raw_status=":".join(filter(None, (raw, code)))[:50],
        detail=detail,
        is_pending=raw in PENDING,
    )


def _error_of(body: Any) -> tuple[str, str]:
    error = body.get("error") if isinstance(body, dict) else None
    return (text(error.get("code"), 40), text(error.get("message"), 300)) if isinstance(error, dict) else ("", "")


def _report(event: GridEvent) -> EmailReport:
    data = event.data
    reference, raw = text(data.get("messageId"), 200), text(data.get("status"), 50)
    if not (reference and raw):
        raise Malformed
    details = data.get("deliveryStatusDetails")
    return EmailReport(
        provider_reference=reference,
        recipient=text(data.get("recipient"), 254),
        status=STATUS.get(raw),
        raw_status=raw,
        detail=text(details.get("statusMessage"), 300) if isinstance(details, dict) else "",
        suppression=Suppression.BOUNCE if raw == "Bounced" else None,
    )
