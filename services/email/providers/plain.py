"""Whatever Django's own EMAIL_BACKEND is: a mail server in production, files in development, memory in tests."""

from __future__ import annotations

import smtplib
from typing import Any

from django.core.mail import BadHeaderError, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from services.email.base import EmailGateway, EmailRefused, Refusal
from services.email.smtp import MailCutOff
from services.http import GatewayUnavailable, OutcomeUnknown

# RFC 3463: the second digit of a status tells what it is about (1: the address), the third which address.
ABOUT_THE_SENDER = ("5.1.7", "5.1.8")
ABOUT_THE_ADDRESS = "5.1."
ABOUT_SECURITY = "5.7."


class PlainEmail(EmailGateway):
    """A mail server. It confirms that it took a mail, and nothing after that."""

    code = "smtp"
    name = "Mail server"
    takes_message_id = True
    reports = False

    def connect(self) -> BaseEmailBackend:
        backend: BaseEmailBackend = get_connection()
        return backend

    def judge(self, error: Exception) -> Exception:
        """By who spoke last: the server with a reply (4xx: later, 5xx: no), or nobody."""
        match error:
            case MailCutOff():
                return OutcomeUnknown()
            case smtplib.SMTPRecipientsRefused():
                replies = list(error.recipients.values())
                code, told = replies[0] if replies else (0, b"")
                return _by_reply(code, told, Refusal.ADDRESS)
            case smtplib.SMTPSenderRefused():
                return _by_reply(error.smtp_code, error.smtp_error, Refusal.SENDER)
            case smtplib.SMTPAuthenticationError():
                return _by_reply(error.smtp_code, error.smtp_error, Refusal.ACCOUNT)
            case smtplib.SMTPDataError():
                return _by_reply(error.smtp_code, error.smtp_error, Refusal.TEXT)
            case smtplib.SMTPNotSupportedError():  # no STARTTLS, no AUTH, no SMTPUTF8
                return EmailRefused(Refusal.ACCOUNT, "not_supported", str(error))
            case OSError():  # before the mail: no connection, no greeting, TLS, a time-out
                return GatewayUnavailable()
            case BadHeaderError() | UnicodeError() | ValueError():
                return EmailRefused(Refusal.TEXT, "unfit", type(error).__name__)
        return error


def _by_reply(code: int, told: Any, otherwise: Refusal) -> Exception:
    if not 500 <= code < 600:
        return GatewayUnavailable()
    words = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
    status = words.split(" ", 1)[0]
    reason = otherwise
    if status in ABOUT_THE_SENDER:
        reason = Refusal.SENDER
    elif status.startswith(ABOUT_THE_ADDRESS):
        reason = Refusal.ADDRESS
    elif otherwise == Refusal.ADDRESS and status.startswith(ABOUT_SECURITY):
        reason = Refusal.SENDER  # such as "relay access denied": it is we who are not welcome
    return EmailRefused(reason, str(code), words[:500])
