"""Amazon SES: mails through anymail and Amazon's own client, news as signed SNS notifications.

Facts come from Amazon's pages on event publishing and notification contents, and from botocore's service model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, Final

import boto3
from anymail.backends.amazon_ses import EmailBackend as AnymailSesBackend
from anymail.exceptions import AnymailAPIError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend

from core.exceptions import Malformed
from services.aws.notifications import Notification, NotificationReader, NotificationRejected, NotificationType
from services.email.base import (
    METADATA_KEY,
    EmailCallbackRejected,
    EmailGateway,
    EmailNews,
    EmailRefused,
    EmailReport,
    EmailStatus,
    Refusal,
    Suppression,
)
from services.email.providers.esp import anymail_reference, judge_anymail, text
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.options import required
from services.reading import read_json

# One try only: the client's own retries would send twice what we count as one.
CLIENT_CONFIG: Final = {"connect_timeout": 5, "read_timeout": 20, "retries": {"total_max_attempts": 1}}

LATER: Final = frozenset(
    {"TooManyRequestsException", "LimitExceededException", "ThrottlingException", "Throttling", "RequestLimitExceeded"}
)
CONTENT: Final = frozenset({"MessageRejected", "BadRequestException", "InvalidParameterValue", "ValidationException"})
SENDER: Final = frozenset({"MailFromDomainNotVerifiedException"})

# SES's word to ours. None: no news about the state. https://docs.aws.amazon.com/ses/latest/dg/event-publishing-
# retrieving-sns-contents.html
STATUS: Final[Mapping[str, EmailStatus | None]] = {
    "Send": EmailStatus.SENT,
    "DeliveryDelay": EmailStatus.SENT,
    "Delivery": EmailStatus.DELIVERED,
    "Bounce": EmailStatus.UNDELIVERABLE,
    "Reject": EmailStatus.FAILED,
    "Rendering Failure": EmailStatus.FAILED,
    "Complaint": None,
}


class SharedClientBackend(AnymailSesBackend):  # type: ignore[misc]
    """anymail's, with the client of its account: to make one takes longer than to send a mail."""

    def __init__(self, *, make_client: Callable[[dict[str, Any]], Any], **options: Any) -> None:
        super().__init__(**options)
        self._make_client = make_client

    def open(self) -> bool:
        self.client = self._make_client(self.client_params)
        return False

    def close(self) -> None:
        self.client = None


class SesEmail(EmailGateway):
    """One account and region of SES."""

    code = "amazon_ses"
    name = "Amazon SES"
    takes_message_id = True  # SES writes its own over it, and does not mind
    takes_metadata = True

    def __init__(
        self,
        *,
        region: str,
        configuration_set: str = "",
        access_key_id: str = "",
        secret_access_key: str = "",
        endpoint_url: str = "",
        topic_arns: Sequence[str] = (),
        reader: NotificationReader | None = None,
    ) -> None:
        """Without keys Amazon's own chain is asked (the machine's role, or AWS_ACCESS_KEY_ID and its like).

        `topic_arns`: the SNS topics whose notifications are believed. `reader` stands in for one on them, in tests.
        """
        params: dict[str, Any] = {"region_name": required(self.code, "region", region), "config": CLIENT_CONFIG}
        if access_key_id or secret_access_key:
            params["aws_access_key_id"] = required(self.code, "access_key_id", access_key_id)
            params["aws_secret_access_key"] = required(self.code, "secret_access_key", secret_access_key)
        if endpoint_url:
            params["endpoint_url"] = endpoint_url
        self._params, self._configuration_set = params, configuration_set or None
        self._client: Any = None
        self._making = Lock()
        self._reader = reader or NotificationReader(topic_arns)

    def connect(self) -> BaseEmailBackend:
        backend: BaseEmailBackend = SharedClientBackend(
            make_client=self._shared_client,
            client_params=self._params,
            configuration_set_name=self._configuration_set,
        )
        return backend

    def _shared_client(self, params: dict[str, Any]) -> Any:
        with self._making:  # making one is not safe among threads; using one is
            if self._client is None:
                self._client = boto3.session.Session().client("sesv2", **params)
            return self._client

    def judge(self, error: Exception) -> Exception:
        cause = error.__cause__ if isinstance(error, AnymailAPIError) else error
        match cause:
            case ClientError():
                return _by_code(cause)
            case EndpointConnectionError() | ConnectTimeoutError() | SSLError():
                return GatewayUnavailable()
            case NoCredentialsError() | PartialCredentialsError():
                return EmailRefused(Refusal.ACCOUNT, "no_credentials")
            case BotoCoreError():
                return OutcomeUnknown()
        return judge_anymail(error)

    def reference_of(self, mail: EmailMultiAlternatives) -> str:
        return anymail_reference(mail)

    def parse(self, delivery: Delivery) -> EmailNews:
        """What SES tells through SNS. A subscription of one of our topics is confirmed; other messages say nothing."""
        try:
            notification = self._reader.read(delivery)
            self._reader.confirm(notification)
        except NotificationRejected:
            raise EmailCallbackRejected from None
        if notification.type is not NotificationType.NOTIFICATION:
            return EmailNews()
        return EmailNews(reports=tuple(_reports(notification)))


def _by_code(error: ClientError) -> Exception:
    told = error.response.get("Error", {})
    code, message = text(told.get("Code"), 60), text(told.get("Message"), 500)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in LATER or status == 429:
        return GatewayUnavailable()
    if status >= 500 or not status:
        return OutcomeUnknown()
    if code in SENDER or "not verified" in message.lower():
        return EmailRefused(Refusal.SENDER, code, message)
    return EmailRefused(Refusal.TEXT if code in CONTENT else Refusal.ACCOUNT, code, message)


def _reports(notification: Notification) -> Iterator[EmailReport]:
    event = read_json(notification.message)
    if event is None:
        return  # SNS and SES say hello in plain text when they are joined
    if not isinstance(event, dict):
        raise Malformed
    kind = event.get("eventType") or event.get("notificationType")
    mail = event.get("mail")
    if not isinstance(kind, str) or not isinstance(mail, dict):
        raise Malformed
    if kind not in STATUS:
        return  # who opened what, and subscriptions
    detail = event.get(_section(kind))
    section: Mapping[str, Any] = detail if isinstance(detail, dict) else {}
    words = ":".join(filter(None, (kind, text(_kind_of(section), 20), text(_subkind_of(section), 30))))
    for recipient, why in _recipients(kind, section, mail):
        yield EmailReport(
            key=_our_key(mail),
            provider_reference=text(mail.get("messageId"), 200),
            recipient=recipient,
            status=STATUS[kind],
            raw_status=words[:50],
            detail=why,
            suppression=_suppression(kind, section),
        )


def _section(kind: str) -> str:
    return "failure" if kind == "Rendering Failure" else kind[:1].lower() + kind[1:]


def _kind_of(section: Mapping[str, Any]) -> Any:
    return section.get("bounceType") or section.get("complaintFeedbackType") or section.get("delayType")


def _subkind_of(section: Mapping[str, Any]) -> Any:
    return section.get("bounceSubType")


def _suppression(kind: str, section: Mapping[str, Any]) -> Suppression | None:
    if kind == "Complaint":
        return Suppression.COMPLAINT
    return Suppression.BOUNCE if kind == "Bounce" and section.get("bounceType") == "Permanent" else None


def _recipients(kind: str, section: Mapping[str, Any], mail: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each address that the event is about, and what was said about it."""
    named = {"Bounce": "bouncedRecipients", "Complaint": "complainedRecipients", "DeliveryDelay": "delayedRecipients"}
    found = section.get(named[kind]) if kind in named else section.get("recipients") or mail.get("destination")
    for each in found if isinstance(found, list) else []:
        if isinstance(each, dict):
            yield text(each.get("emailAddress"), 254), text(each.get("diagnosticCode") or each.get("status"), 300)
        else:
            yield text(each, 254), text(section.get("reason") or section.get("errorMessage"), 300)


def _our_key(mail: Mapping[str, Any]) -> str:
    """From the X-Metadata header that anymail wrote, where the events include headers."""
    headers = mail.get("headers")
    for header in headers if isinstance(headers, list) else []:
        if isinstance(header, dict) and str(header.get("name")).lower() == "x-metadata":
            metadata = read_json(header["value"]) if isinstance(header.get("value"), str) else None
            return text(metadata.get(METADATA_KEY), 40) if isinstance(metadata, dict) else ""
    return ""
