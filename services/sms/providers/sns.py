"""Amazon SNS: one text to one phone. What became of it comes only in ways that an operator builds.

SNS calls nobody back. It writes a line of JSON for each text to CloudWatch Logs, and a small forwarder of the
operator's (docs/amazon-sms.md) posts those lines to us. `SnsWithTopics` takes them, and the events of AWS End User
Messaging, through an SNS topic instead, signed by Amazon.

Facts come from Amazon's documentation of `Publish`, of SMS delivery logs and of End User Messaging's events.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NoReturn

import boto3
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
)
from django.core.exceptions import ImproperlyConfigured

from core.exceptions import Malformed
from services.aws.notifications import Notification, NotificationReader, NotificationRejected, fetch_certificate
from services.http import CONNECT_TIMEOUT, MAX_CONNECTIONS, Delivery, GatewayUnavailable, OutcomeUnknown
from services.options import required
from services.reading import read_json, storable
from services.sms.base import (
    InboundText,
    MessageStatus,
    Refusal,
    SmsCallbackRejected,
    SmsCapability,
    SmsGateway,
    SmsNews,
    SmsRefused,
    SmsReport,
    SmsRequest,
    SmsResult,
)

logger = logging.getLogger("faraja.http")
# At DEBUG they print requests whole: texts, phones and signatures.
for _name in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)

# Amazon's common errors and those of Publish.
LATER = {
    "Throttling",
    "Throttled",
    "ThrottlingException",
    "KMSThrottling",
    "RequestLimitExceeded",
    "ServiceUnavailable",
}
UNCERTAIN = {"InternalError", "InternalFailure"}
WRONG_INPUT = {"InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "ValidationException"}
# Before a byte of the request leaves.
NOTHING_SENT = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)

EVENTS = {
    "TEXT_QUEUED": MessageStatus.QUEUED,
    "TEXT_PENDING": MessageStatus.QUEUED,
    "TEXT_SENT": MessageStatus.SENT,
    "TEXT_SUCCESSFUL": MessageStatus.SENT,  # taken by the carrier
    "TEXT_DELIVERED": MessageStatus.DELIVERED,
    "TEXT_INVALID": MessageStatus.FAILED,
    "TEXT_INVALID_MESSAGE": MessageStatus.FAILED,
    "TEXT_PROTECT_BLOCKED": MessageStatus.FAILED,
    "TEXT_BLOCKED": MessageStatus.UNDELIVERABLE,
    "TEXT_CARRIER_BLOCKED": MessageStatus.UNDELIVERABLE,
    "TEXT_SPAM": MessageStatus.UNDELIVERABLE,
    "TEXT_UNREACHABLE": MessageStatus.UNDELIVERABLE,
    "TEXT_CARRIER_UNREACHABLE": MessageStatus.UNDELIVERABLE,
    "TEXT_TTL_EXPIRED": MessageStatus.EXPIRED,
}
_PHONE = re.compile(r"\+?([0-9]{5,20})")
_making = threading.Lock()


@lru_cache(maxsize=32)
def _session(access_key: str, secret_key: str) -> boto3.session.Session:
    """Amazon's own search for credentials (environment, role, ...) where none are given."""
    return boto3.session.Session(aws_access_key_id=access_key or None, aws_secret_access_key=secret_key or None)


class SnsGateway(SmsGateway):
    """One Amazon account in one region."""

    code = "sns"
    name = "Amazon SNS"
    capabilities = frozenset({SmsCapability.REPORTS})

    def __init__(
        self,
        *,
        region: str,
        access_key: str = "",
        secret_key: str = "",
        sender: str = "",
        max_price: str = "",
        is_carrier_enough: bool = False,
        endpoint_url: str = "",
        read_timeout: float = 20.0,
    ) -> None:
        """Raise `ImproperlyConfigured` for a missing region, half a key or a price that is none.

        `access_key` and `secret_key` both or neither: without them Amazon's own search for credentials is used.
        `sender`: a sender name, or a number of the account's; empty: the account's default. `max_price`: the most one
        text may cost, in USD. `is_carrier_enough`: count a text that the carrier took as delivered; many networks tell
        no more. `endpoint_url` is for emulators.
        """
        region = required(self.code, "region", region)
        if bool(access_key) != bool(secret_key):
            raise ImproperlyConfigured("The gateway sns needs both access_key and secret_key, or neither.")
        try:
            is_price = not max_price or 0 < Decimal(max_price) < 1000
        except InvalidOperation:
            is_price = False
        if not is_price:
            raise ImproperlyConfigured("The gateway sns needs an amount in USD as max_price.")
        self._sender, self._max_price, self._is_carrier_enough = sender, max_price, is_carrier_enough
        with _making:  # clients are thread-safe, sessions are not
            self._client = _session(access_key, secret_key).client(
                "sns",
                region_name=region,
                endpoint_url=endpoint_url or None,
                # One try: Publish has no idempotency, and by default boto3 posts a text that times out three times.
                config=Config(
                    connect_timeout=CONNECT_TIMEOUT,
                    read_timeout=read_timeout,
                    max_pool_connections=MAX_CONNECTIONS,
                    retries={"mode": "standard", "total_max_attempts": 1},
                ),
            )

    def send(self, request: SmsRequest) -> SmsResult:
        """Hand over one text. A text to somebody who opted out is taken and then dropped, which a report tells."""
        attributes = {"AWS.SNS.SMS.SMSType": ("String", "Transactional" if request.is_urgent else "Promotional")}
        sender = request.sender or self._sender
        if sender.removeprefix("+").isdigit():
            attributes["AWS.MM.SMS.OriginationNumber"] = ("String", sender)
        elif sender:
            attributes["AWS.SNS.SMS.SenderID"] = ("String", sender)
        if self._max_price:
            attributes["AWS.SNS.SMS.MaxPrice"] = ("Number", self._max_price)
        answer = self._call(
            self._client.publish,
            OutcomeUnknown,
            PhoneNumber=request.phone,
            Message=request.text,
            MessageAttributes={
                name: {"DataType": kind, "StringValue": value} for name, (kind, value) in attributes.items()
            },
        )
        reference = _text(answer.get("MessageId"), limit=100)
        if not reference:
            raise OutcomeUnknown
        return SmsResult(provider_reference=reference, raw={"MessageId": reference})

    def probe(self) -> None:
        """Ask for the account's settings of texts; needs the permission `sns:GetSMSAttributes`."""
        self._call(self._client.get_sms_attributes, GatewayUnavailable)

    def parse(self, delivery: Delivery) -> SmsNews:
        """Read a line of the delivery log, or an array of them. It carries no proof of its origin."""
        return self._news(read_json(delivery.body))

    def _news(self, value: Any) -> SmsNews:
        items = value if isinstance(value, list) else [value]
        if not items or not all(isinstance(item, dict) for item in items):
            raise Malformed
        return SmsNews(
            reports=tuple(self._report(item) for item in items if "inboundMessageId" not in item),
            inbound=tuple(_inbound(item) for item in items if "inboundMessageId" in item),
        )

    def _report(self, item: Mapping[str, Any]) -> SmsReport:
        report = _event(item) if "eventType" in item else self._line(item)
        if not (report.provider_reference and report.raw_status):
            raise Malformed
        return report

    def _line(self, line: Mapping[str, Any]) -> SmsReport:
        notification, delivery = line.get("notification"), line.get("delivery")
        if not (isinstance(notification, dict) and isinstance(delivery, dict)):
            raise Malformed
        word, detail = _text(line.get("status"), limit=20), _text(delivery.get("providerResponse"), limit=500)
        said = detail.lower()
        status = None
        if word == "SUCCESS":
            is_delivered = self._is_carrier_enough or ("by phone" in said and "carrier" not in said)
            status = MessageStatus.DELIVERED if is_delivered else MessageStatus.SENT
        elif word == "FAILURE":
            is_failed = "invalid" in said or "max price" in said
            status = MessageStatus.FAILED if is_failed else MessageStatus.UNDELIVERABLE
        return SmsReport(
            key="",
            provider_reference=_text(notification.get("messageId"), limit=100),
            phone=_phone(delivery.get("destination")),
            status=status,
            raw_status=word,
            detail=detail,
            is_opt_out=word == "FAILURE" and "opted out" in said,
        )

    def _call(self, operation: Callable[..., Any], silence: type[Exception], **wish: Any) -> Mapping[str, Any]:
        """`silence` is raised where nobody can know what became of the call."""
        name, started, outcome = operation.__name__, time.monotonic(), "200"
        failure: Exception | None = None
        try:
            answer: Mapping[str, Any] = operation(**wish)
            return answer
        except ClientError as error:
            metadata, told = error.response.get("ResponseMetadata", {}), error.response.get("Error", {})
            status = int(metadata.get("HTTPStatusCode", 500))
            code, detail = _text(told.get("Code"), limit=100), _text(told.get("Message"), limit=500)
            outcome = str(status)
        except Exception as error:  # noqa: BLE001 - its parser breaks in many ways on an answer that it does not expect
            failure, outcome = error, type(error).__name__
        finally:
            elapsed = round((time.monotonic() - started) * 1000)
            logger.log(logging.INFO if outcome == "200" else logging.WARNING, "sns %s %s %d ms", name, outcome, elapsed)
        # Outside the except blocks: the library's errors may quote what was sent, and are not chained.
        if failure is None:
            _judge(status, code, detail, silence)
        _judge_failure(failure, silence)


class SnsWithTopics(SnsGateway):
    """The same, with delivery lines, events and inbound texts through SNS topics, signed by Amazon; nothing else is
    believed.
    """

    capabilities = SnsGateway.capabilities | {SmsCapability.INBOUND}

    def __init__(
        self,
        *,
        topics: Collection[str],
        load_certificate: Callable[[str], bytes] = fetch_certificate,
        **options: Any,
    ) -> None:
        """`topics`: ARNs. `load_certificate` is for tests; see `NotificationReader`."""
        super().__init__(**options)
        if not topics:
            raise ImproperlyConfigured("The gateway sns needs at least one topic to read topics.")
        self._reader = NotificationReader(topics, load_certificate=load_certificate)

    def verify(self, delivery: Delivery) -> None:
        """Raise `SmsCallbackRejected` unless Amazon signed these bytes for one of our topics."""
        self._read(delivery)

    def parse(self, delivery: Delivery) -> SmsNews:
        """Read what the notification carries. A subscription to a topic of ours is confirmed at once."""
        notification = self._read(delivery)
        if notification.type == "Notification":
            return self._news(notification.json())
        try:
            self._reader.confirm(notification)
        except NotificationRejected:
            raise SmsCallbackRejected from None
        return SmsNews()

    def _read(self, delivery: Delivery) -> Notification:
        try:
            return self._reader.read(delivery)
        except NotificationRejected:
            raise SmsCallbackRejected from None


def _judge(status: int, code: str, detail: str, silence: type[Exception]) -> NoReturn:
    if code in LATER or status == 429:
        raise GatewayUnavailable
    if code in UNCERTAIN or not 400 <= status < 500 or status == 408:
        raise silence
    if code in WRONG_INPUT:
        # Amazon writes "... does not meet the E164 format"; how it words the others is unconfirmed.
        if "E164" in detail or "PhoneNumber" in detail:
            raise SmsRefused(Refusal.NUMBER, code)  # the detail holds the number
        if "SenderID" in detail or "OriginationNumber" in detail:
            raise SmsRefused(Refusal.SENDER, code, detail)
        raise SmsRefused(Refusal.TEXT, code, detail)
    # Keys, permissions, the sandbox; a code we do not know would be met by every text.
    raise SmsRefused(Refusal.ACCOUNT, code or str(status), detail)


def _judge_failure(failure: Exception, silence: type[Exception]) -> NoReturn:
    if isinstance(failure, NOTHING_SENT):
        raise GatewayUnavailable
    if isinstance(failure, NO_CREDENTIALS):
        raise SmsRefused(Refusal.ACCOUNT, type(failure).__name__)
    if isinstance(failure, ParamValidationError):
        raise SmsRefused(Refusal.TEXT, type(failure).__name__)
    raise silence


def _event(event: Mapping[str, Any]) -> SmsReport:
    # That a text of Publish appears in these events under its MessageId is unconfirmed; one of SendTextMessage does.
    word = _text(event.get("eventType"), limit=50)
    is_unknown_for_good = word == "TEXT_UNKNOWN" and event.get("isFinal") is True
    return SmsReport(
        key="",
        provider_reference=_text(event.get("messageId"), limit=100),
        phone=_phone(event.get("destinationPhoneNumber")),
        status=MessageStatus.EXPIRED if is_unknown_for_good else EVENTS.get(word),
        raw_status=word,
        detail=_text(event.get("messageStatusDescription"), limit=500),
    )


def _inbound(item: Mapping[str, Any]) -> InboundText:
    """Two-way SMS of End User Messaging."""
    reference, phone = _text(item.get("inboundMessageId"), limit=100), _phone(item.get("originationNumber"))
    if not (reference and phone):
        raise Malformed
    return InboundText(
        provider_reference=reference,
        phone=phone,
        to=_text(item.get("destinationNumber"), limit=50),
        text=_text(item.get("messageBody"), limit=5000),
    )


def _phone(value: Any) -> str:
    found = _PHONE.fullmatch(_text(value, limit=30))
    return f"+{found[1]}" if found and found[1].isascii() else ""


def _text(value: Any, *, limit: int) -> str:
    return storable(value, limit=limit) if isinstance(value, str) else ""
