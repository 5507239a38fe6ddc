"""What an e-mail provider is: one account's dialect outward, our words inward. It stores nothing and decides nothing.

Its calls raise:

- `services.http.GatewayUnavailable`: nothing was sent; trying again is safe;
- `services.http.OutcomeUnknown`: the mail may have been accepted; sent once more, it may arrive twice;
- `EmailRefused`: the provider said no, so nothing was sent; its `reason` says what would help.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from smtplib import SMTPException
from typing import Any, ClassVar, final

from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.translation import gettext_lazy as _

from core.exceptions import NotAuthenticated, NotFound
from services.email.wording import as_html, is_address, one_line
from services.http import Delivery


class EmailStatus(StrEnum):
    """The normalised states of a mail, in the order in which they may follow one another."""

    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNDELIVERABLE = "undeliverable"


class Refusal(StrEnum):
    """Why a mail was not taken, by what would help."""

    ADDRESS = "address"  # nothing: there is no such mailbox, or it is no address
    TEXT = "text"  # another text: too long, or taken for spam
    OPTED_OUT = "opted_out"  # nothing: the provider keeps this address on a list of its own
    SENDER = "sender"  # an operator: the sender's address or domain is not verified
    ACCOUNT = "account"  # an operator: credentials, quota, suspension


class EmailRefused(Exception):
    """The mail was refused, so nothing was sent. `code` is the provider's own word; `detail` is for operators."""

    def __init__(self, reason: Refusal, code: str, detail: str = "") -> None:
        self.reason, self.code, self.detail = reason, code, detail
        super().__init__(f"{code}: {detail}" if detail else code)

    @property
    def is_config(self) -> bool:
        """Whether an operator must act."""
        return self.reason in (Refusal.SENDER, Refusal.ACCOUNT)


class EmailCallbackRejected(NotAuthenticated):
    """The delivery is not from the provider, or cannot be shown to be."""

    code = "webhook_rejected"
    message = _("The callback was not accepted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailRequest:
    """One mail to one address. `key` is ours (32 hexadecimal digits) and the same in every try of one message.

    `headers` are further ones, such as List-Unsubscribe. `is_repeated`: nobody knows how an earlier try ended.
    """

    key: str
    to: str
    subject: str
    text: str = field(repr=False)  # may hold a link that opens things
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_repeated: bool = False

    @property
    def message_id(self) -> str:
        """The header by which mailboxes recognise a mail that comes twice."""
        return f"<{self.key}@faraja>"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailResult:
    """The provider took the mail; `provider_reference` is its name for it, empty where it gives none.

    `status` is more than sent only for a mail that was repeated and found at the provider.
    """

    provider_reference: str = ""
    status: EmailStatus = EmailStatus.SENT
    detail: str = ""  # why it went no further, for operators


class Suppression(StrEnum):
    """Why an address gets no more mail."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailReport:
    """What the provider says became of a mail, for one recipient.

    `key` is ours where the provider returns it, else empty; then `provider_reference` says which mail is meant.
    `recipient` is empty where the provider does not name it. `status` None: no news about the state, or a word that we
    do not know; `raw_status` has it. `suppression`: no more mail to this address, and why.
    """

    key: str = ""
    provider_reference: str = ""
    recipient: str = ""
    status: EmailStatus | None = None
    raw_status: str
    detail: str = ""  # the provider's reason, for operators
    suppression: Suppression | None = None
    is_pending: bool = False  # the provider itself does not know yet


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailNews:
    """All that stood in one delivery, and what the provider wants to hear: `answer` stands beside the envelope."""

    reports: tuple[EmailReport, ...] = ()
    answer: Mapping[str, Any] = field(default_factory=dict)


class EmailGateway(ABC):
    """One account at one provider. Instances are thread-safe and live as long as the process."""

    code: ClassVar[str]
    name: ClassVar[str]
    # Whether it ever tells what became of a mail.
    reports: bool = True
    # Whether `query` knows anything.
    can_be_asked: bool = False
    # Whether the provider leaves our Message-ID alone; the others refuse the header or write their own.
    takes_message_id: bool = False
    takes_metadata: bool = False

    @final
    def send(self, request: EmailRequest) -> EmailResult:
        """Hand over one mail, once. Raises `EmailRefused`, `OutcomeUnknown` or `GatewayUnavailable`.

        One that is repeated is asked about first, where the provider can be asked.
        """
        if not is_address(request.to):
            raise EmailRefused(Refusal.ADDRESS, "not_an_address")
        known = self.query(request.key) if request.is_repeated else None
        if known is not None:
            status = known.status or EmailStatus.SENT
            return EmailResult(provider_reference=known.provider_reference, status=status, detail=known.detail)
        mail = self._compose(request)
        try:
            connection = self.connect()
            try:
                connection.open()
                connection.send_messages([mail])
            finally:
                # The mail is out or it is not: a farewell that fails changes nothing about it.
                with suppress(OSError, SMTPException):
                    connection.close()
        except Exception as error:
            judged = self.judge(error)
            if judged is error:
                raise
            # Not chained: the library's error may quote the mail or the credentials.
            raise judged from None
        return EmailResult(provider_reference=self.reference_of(mail))

    @abstractmethod
    def connect(self) -> BaseEmailBackend:
        """A fresh backend of Django's kind, which hands mails to this account."""

    @abstractmethod
    def judge(self, error: Exception) -> Exception:
        """What a failed `connect` or sending means: one of the three errors above, or `error` itself, a defect."""

    def reference_of(self, mail: EmailMultiAlternatives) -> str:
        """The provider's name for a mail that it took."""
        return ""

    def known_reference(self, key: str) -> str:
        """The provider's name for our mail `key`, where it is known before sending; else empty."""
        return ""

    def query(self, key: str) -> EmailReport | None:
        """What became of our mail `key`, or None where nobody knows. Raises `GatewayUnavailable` or `EmailRefused`.

        Providers that cannot be asked know nothing.
        """
        return None

    @final
    def read_callback(self, delivery: Delivery) -> EmailNews:
        """Verify, then parse: a provider supplies the halves and cannot change the order."""
        self.verify(delivery)
        return self.parse(delivery)

    def verify(self, delivery: Delivery) -> None:
        """Raise `EmailCallbackRejected` unless the provider sent these exact bytes.

        Some providers sign nothing: the secret in the path is all there is, and whoever called us knew it.
        """
        return

    def parse(self, delivery: Delivery) -> EmailNews:
        """Name everything in our words, or raise `core.exceptions.Malformed` on junk."""
        raise NotFound  # nothing reports through this provider

    def permission_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What to answer an OPTIONS request with that asks whether we want events; empty for providers that do not."""
        return {}

    def _compose(self, request: EmailRequest) -> EmailMultiAlternatives:
        mail = EmailMultiAlternatives(one_line(request.subject), request.text, to=[request.to])
        mail.attach_alternative(as_html(request.text), "text/html")
        mail.extra_headers |= {name: one_line(value) for name, value in request.headers.items()}
        if self.takes_message_id:
            mail.extra_headers["Message-ID"] = request.message_id
        if self.takes_metadata:
            mail.metadata = {METADATA_KEY: request.key}  # type: ignore[attr-defined]  # anymail's own attribute
        self.prepare(mail, request)
        return mail

    def prepare(self, mail: EmailMultiAlternatives, request: EmailRequest) -> None:
        """Add to a mail what only this provider understands."""
        return


METADATA_KEY = "faraja"
