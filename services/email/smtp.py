"""Django's SMTP backend, which remembers whether the mail itself had begun to leave when something went wrong."""

from __future__ import annotations

import smtplib
from typing import Any

from django.core.mail.backends import smtp


class _Phases:
    """Beneath `smtplib.SMTP`: a failure before the server asked for the mail is one after which nothing was sent."""

    is_handed_over = False
    _is_in_data = False

    def data(self, msg: Any) -> Any:
        # smtplib sends twice in here: the word DATA, and when the server answered 354 the mail.
        self._is_in_data, self._sends = True, 0
        try:
            return super().data(msg)  # type: ignore[misc]
        finally:
            self._is_in_data = False

    def send(self, s: Any) -> None:
        if self._is_in_data:
            self._sends += 1
            self.is_handed_over = self.is_handed_over or self._sends > 1
        super().send(s)  # type: ignore[misc]


class Smtp(_Phases, smtplib.SMTP):
    pass


class SmtpSsl(_Phases, smtplib.SMTP_SSL):
    pass


class MailCutOff(OSError):
    """The connection ended while the server was taking the mail: nobody knows whether it did."""


class EmailBackend(smtp.EmailBackend):
    """As Django's. `MailCutOff` stands for every silence after the mail began to leave.

    A permanent or temporary refusal in the server's own words stays smtplib's error: it is an answer.
    """

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return SmtpSsl if self.use_ssl else Smtp

    def _send(self, email_message: Any) -> bool:
        try:
            return bool(super()._send(email_message))  # type: ignore[misc]  # Django's own, not in the stubs
        except smtplib.SMTPResponseException as error:
            if error.smtp_code > 0:
                raise  # an answer
            self._refuse_to_guess(error)  # noise where an answer should be
            raise
        except OSError as error:  # smtplib's own errors are OSErrors too
            self._refuse_to_guess(error)
            raise

    def _refuse_to_guess(self, error: Exception) -> None:
        if getattr(self.connection, "is_handed_over", False):
            raise MailCutOff(type(error).__name__) from None
