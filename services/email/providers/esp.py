"""Providers that django-anymail speaks to: it knows their requests and their webhooks, we say what they mean."""

from __future__ import annotations

import hmac
import time
import warnings
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import requests  # noqa: TID251  for the names of its errors
from anymail.exceptions import (
    AnymailAPIError,
    AnymailError,
    AnymailInsecureWebhookWarning,
    AnymailInvalidAddress,
    AnymailNotSupportedWarning,
    AnymailRecipientsRefused,
    AnymailWebhookValidationFailure,
)
from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from anymail.webhooks.base import AnymailBaseWebhookView
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.module_loading import import_string
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError  # noqa: TID251  likewise

from core.exceptions import Malformed
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
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.reading import read_json, storable

TIMEOUT = (5, 20)  # seconds: to connect, and for each read
SVIX_TOLERANCE = 5 * 60  # seconds, either way

STATUS: Final = {
    EventType.QUEUED: EmailStatus.SENT,
    EventType.SENT: EmailStatus.SENT,
    EventType.DEFERRED: EmailStatus.SENT,
    EventType.DELIVERED: EmailStatus.DELIVERED,
    EventType.BOUNCED: EmailStatus.UNDELIVERABLE,
    EventType.REJECTED: EmailStatus.UNDELIVERABLE,
    EventType.FAILED: EmailStatus.FAILED,
}
# News about a reader and not about the mail: nothing here wants to know who opened what.
IGNORED: Final = frozenset(
    {
        EventType.OPENED,
        EventType.CLICKED,
        EventType.SUBSCRIBED,
        EventType.UNSUBSCRIBED,
        EventType.AUTORESPONDED,
        EventType.INBOUND,
        EventType.INBOUND_FAILED,
    }
)
HARD: Final = frozenset({RejectReason.BOUNCED, RejectReason.INVALID})
# What the parsers raise on junk that was never meant for them.
JUNK: Final = (AnymailError, SuspiciousOperation, ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Esp:
    """What differs between providers.

    `is_hard`: whether a bounce is for good, from the event as it came; without it anymail's word for it decides.
    """

    name: str
    backend: str
    webhook: str
    takes_metadata: bool = True
    takes_message_id: bool = False
    is_hard: Callable[[Mapping[str, Any]], bool] | None = None


def _esp(name: str, module: str, **differences: Any) -> Esp:
    return Esp(
        name=name,
        backend=f"anymail.backends.{module}.EmailBackend",
        webhook=f"anymail.webhooks.{module}.{name}TrackingWebhookView",
        **differences,
    )


# Facts about bounces come from the providers' words in anymail's webhook modules (15.2).
SPARKPOST_HARD: Final = ("10", "30")  # invalid recipient; no such recipient
ESPS: Final[Mapping[str, Esp]] = {
    "brevo": _esp("Brevo", "brevo", is_hard=lambda event: event.get("event") in ("hard_bounce", "invalid_email")),
    "mailersend": _esp(
        "MailerSend",
        "mailersend",
        takes_metadata=False,  # it has none
        is_hard=lambda event: event.get("type") == "activity.hard_bounced",
    ),
    "mailgun": _esp("Mailgun", "mailgun", takes_message_id=True),
    "mailjet": _esp("Mailjet", "mailjet", is_hard=lambda event: bool(event.get("hard_bounce"))),
    "mailtrap": _esp("Mailtrap", "mailtrap"),
    "postmark": _esp(
        "Postmark", "postmark", is_hard=lambda event: event.get("Type") in ("HardBounce", "BadEmailAddress")
    ),
    "resend": _esp("Resend", "resend", is_hard=lambda event: _is_hard_at_resend(event)),
    "sendgrid": _esp("SendGrid", "sendgrid", is_hard=lambda event: event.get("type") == "bounce"),
    "sparkpost": _esp("SparkPost", "sparkpost", is_hard=lambda event: _sparkpost_class(event) in SPARKPOST_HARD),
}


def _is_hard_at_resend(event: Mapping[str, Any]) -> bool:
    bounce = event["data"]["bounce"]  # anymail has read it already
    # Events from before there was a type say it in their message only.
    return bool(bounce["type"] == "Permanent" if "type" in bounce else "hard bounce" in bounce["message"])


def _sparkpost_class(event: Mapping[str, Any]) -> str:
    [told] = event["msys"].values()
    return str(told.get("bounce_class"))


class EspEmail(EmailGateway):
    """One account at a provider from `ESPS`. `options` are anymail's settings of it, without the provider's name."""

    def __init__(self, *, esp: str, **options: str) -> None:
        self.esp = ESPS[esp]
        self.code, self.name = esp, self.esp.name  # type: ignore[misc]
        self.takes_metadata, self.takes_message_id = self.esp.takes_metadata, self.esp.takes_message_id
        # Empty means absent: anymail would take an empty signing secret for one.
        self._options = {name: value for name, value in options.items() if value}

    def connect(self) -> BaseEmailBackend:
        options: dict[str, Any] = {"requests_timeout": TIMEOUT, **self._options}
        backend: BaseEmailBackend = get_connection(self.esp.backend, **options)
        return backend

    def judge(self, error: Exception) -> Exception:
        return judge_anymail(error)

    def reference_of(self, mail: EmailMultiAlternatives) -> str:
        return anymail_reference(mail)

    def verify(self, delivery: Delivery) -> None:
        """By the provider's signature, where it has one and its secret is configured."""
        if read_json(delivery.body) is None:
            raise Malformed  # also what is nested so deeply that anymail's parsers would fall over it
        if self.code == "resend":  # anymail leaves this to a package that is not here
            secret = self._options.get("signing_secret")
            if secret and not is_signed_by_svix(delivery, secret):
                raise EmailCallbackRejected
            return
        try:
            self._webhook().run_validators(as_request(delivery))
        except AnymailWebhookValidationFailure:
            raise EmailCallbackRejected from None
        except JUNK:
            raise Malformed from None

    def parse(self, delivery: Delivery) -> EmailNews:
        """Read by anymail's parser of this provider, or raise `Malformed`."""
        try:
            events = self._webhook().parse_events(as_request(delivery))
            reports = [self._report(event) for event in events if event.event_type not in IGNORED]
        except JUNK:
            raise Malformed from None
        return EmailNews(reports=tuple(reports))

    def _webhook(self) -> AnymailBaseWebhookView:
        options = self._options
        if self.code == "resend":
            options = {name: value for name, value in options.items() if name != "signing_secret"}
        with warnings.catch_warnings():
            # Our own secret stands in the path already. SendGrid: see docs/email.md.
            warnings.simplefilter("ignore", AnymailInsecureWebhookWarning)
            warnings.simplefilter("ignore", AnymailNotSupportedWarning)
            view: AnymailBaseWebhookView = import_string(self.esp.webhook)(**options)
        return view

    def _report(self, event: AnymailTrackingEvent) -> EmailReport:
        raw = event.esp_event if isinstance(event.esp_event, Mapping) else {}
        return EmailReport(
            key=text((event.metadata or {}).get(METADATA_KEY), 40),
            provider_reference=text(event.message_id, 200),
            recipient=text(event.recipient, 254),
            status=STATUS.get(event.event_type),
            raw_status=text(":".join(filter(None, (event.event_type, event.reject_reason))), 50),
            detail=text(event.mta_response or event.description, 300),
            suppression=self._suppression(event, raw),
        )

    def _suppression(self, event: AnymailTrackingEvent, raw: Mapping[str, Any]) -> Suppression | None:
        if event.event_type == EventType.COMPLAINED:
            return Suppression.COMPLAINT
        if event.event_type != EventType.BOUNCED:
            return None
        is_hard = self.esp.is_hard(raw) if self.esp.is_hard else event.reject_reason in HARD
        return Suppression.BOUNCE if is_hard else None


def text(value: Any, limit: int) -> str:
    """A provider's word as a column takes it; empty for what is no text or number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return storable(value, limit=limit).strip() if isinstance(value, str) else ""


def is_signed_by_svix(delivery: Delivery, secret: str) -> bool:
    """Whether `secret` (`whsec_` and base64) signed these bytes, within five minutes of now.

    https://docs.svix.com/receiving/verifying-payloads/how-manual
    """
    message_id, sent_at = delivery.headers.get("svix-id", ""), delivery.headers.get("svix-timestamp", "")
    if not (sent_at.isascii() and sent_at.isdigit() and len(sent_at) < 13):
        return False
    if abs(time.time() - int(sent_at)) > SVIX_TOLERANCE:
        return False
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return False
    signed = f"{message_id}.{sent_at}.".encode("utf-8", "surrogatepass") + delivery.body
    expected = b"v1," + b64encode(hmac.digest(key, signed, "sha256"))
    offered = delivery.headers.get("svix-signature", "").encode("utf-8", "surrogatepass").split()
    return bool(key) and any(hmac.compare_digest(expected, each) for each in offered)


def as_request(delivery: Delivery) -> WSGIRequest:
    """A delivery as anymail's views expect it."""
    cgi: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "SERVER_NAME": "callback.invalid",
        "SERVER_PORT": "443",
        "wsgi.url_scheme": "https",
        "wsgi.input": BytesIO(delivery.body),
        "CONTENT_LENGTH": str(len(delivery.body)),
        "CONTENT_TYPE": delivery.headers.get("content-type", ""),
    }
    for name, value in delivery.headers.items():
        if name not in ("content-type", "content-length"):
            cgi[f"HTTP_{name.upper().replace('-', '_')}"] = value
    return WSGIRequest(cgi)


def anymail_reference(mail: EmailMultiAlternatives) -> str:
    """The provider's name for a mail that anymail has sent."""
    found = getattr(getattr(mail, "anymail_status", None), "message_id", None)
    return text(found, 200)


def judge_anymail(error: Exception) -> Exception:
    """One meaning for anymail's errors, whichever provider they are about. See `EmailGateway.judge`."""
    match error:
        case AnymailRecipientsRefused():
            return EmailRefused(Refusal.ADDRESS, "recipients_refused", _told(error))
        case AnymailInvalidAddress():
            return EmailRefused(Refusal.ADDRESS, "invalid_address")
        case AnymailAPIError() if error.status_code is None:
            return _silence(error)
        case AnymailAPIError():
            return _by_status(error)
        case AnymailError() | ValueError():
            return EmailRefused(Refusal.TEXT, "unfit", type(error).__name__)
        case requests.RequestException() | OSError():
            return GatewayUnavailable() if _never_left(error) else OutcomeUnknown()
        case LookupError() | TypeError() | AttributeError():
            return OutcomeUnknown()  # a success that anymail cannot read
    return error


def _silence(error: AnymailAPIError) -> Exception:
    cause = error.__cause__
    return GatewayUnavailable() if cause is not None and _never_left(cause) else OutcomeUnknown()


def _never_left(cause: BaseException) -> bool:
    """Whether no connection came about, so that nothing can have been sent."""
    if isinstance(cause, requests.ConnectTimeout):
        return True
    inner = cause.args[0] if cause.args else None
    reason = getattr(inner, "reason", inner)
    if isinstance(cause, requests.exceptions.SSLError):
        return "CERTIFICATE_VERIFY_FAILED" in str(reason)
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _by_status(error: AnymailAPIError) -> Exception:
    status, told = int(error.status_code), _told(error)
    if status == 429:
        return GatewayUnavailable()
    if 200 <= status < 400 or status == 408 or status >= 500:
        return OutcomeUnknown()  # somebody answered, and nobody said what became of the mail
    if status in (401, 402, 403, 404):
        return EmailRefused(Refusal.ACCOUNT, str(status), told)
    lower = told.lower()
    if any(word in lower for word in ("sender", "from address", "from field", "'from'", '"from"', "not verified")):
        return EmailRefused(Refusal.SENDER, str(status), told)
    if any(word in lower for word in ("inactive", "suppress", "unsubscribed")):
        return EmailRefused(Refusal.OPTED_OUT, str(status), told)
    if any(word in lower for word in ("recipient", "to address", "'to'", '"to"', "invalid email", "email address")):
        return EmailRefused(Refusal.ADDRESS, str(status), told)
    return EmailRefused(Refusal.TEXT, str(status), told)


def _told(error: AnymailError) -> str:
    body = getattr(error.response, "text", "") if error.response is not None else ""
    return text(body, 500)
