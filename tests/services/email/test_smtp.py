"""Mail through a mail server: what its replies mean, and what silence means before and after the mail."""

from __future__ import annotations

import socket
from email import message_from_bytes, policy

import pytest

from services.email.base import EmailRefused, EmailRequest, Refusal
from services.email.providers.plain import PlainEmail
from services.http import GatewayUnavailable, OutcomeUnknown
from tests.services.email.smtp_server import mail_server

REQUEST = EmailRequest(key="7f" * 16, to="asha@example.com", subject="Habari", text="Karibu <b>\n\nAsha & Co")


@pytest.fixture(autouse=True)
def smtp(settings) -> None:
    settings.EMAIL_BACKEND = "services.email.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_TIMEOUT = "127.0.0.1", 0.15


def send(settings, request: EmailRequest = REQUEST, **says: str) -> list[bytes]:
    with mail_server(**says) as server:
        settings.EMAIL_PORT = server.port
        try:
            PlainEmail().send(request)
        finally:
            mails = server.mails
    return mails


def test_a_mail_has_plain_text_its_html_twin_and_a_fixed_message_id(settings):
    [raw] = send(settings)

    mail = message_from_bytes(raw, policy=policy.default)
    assert mail["Message-ID"] == f"<{REQUEST.key}@faraja>"
    plain, html = mail.iter_parts()
    assert plain.get_content().split() == REQUEST.text.split()
    assert "<p>Karibu &lt;b&gt;</p>\n<p>Asha &amp; Co</p>" in html.get_content().replace("\r", "")
    assert "http" not in html.get_content()


def test_a_server_that_is_away_is_tried_again(settings):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        settings.EMAIL_PORT = probe.getsockname()[1]

    with pytest.raises(GatewayUnavailable):
        PlainEmail().send(REQUEST)


@pytest.mark.parametrize("says", [
    {"HELLO": ""}, {"HELLO": "silent"}, {"HELLO": "554 not you"}, {"HELLO": "421 busy"},
    {"EHLO": "", "HELO": ""}, {"MAIL": "451 later"}, {"MAIL": ""}, {"MAIL": "silent"},
    {"RCPT": "450 greylisted"}, {"RCPT": "421 busy"}, {"RCPT": ""},
    {"DATA": "451 later"}, {"DATA": ""}, {"DATA": "silent"}, {"END": "452 disk full"}, {"END": "421 going down"},
], ids=str)  # fmt: skip
def test_nothing_was_sent_before_the_mail_or_when_the_server_says_later(settings, says):
    with pytest.raises(GatewayUnavailable):
        send(settings, **says)


@pytest.mark.parametrize("says", [{"END": ""}, {"END": "silent"}, {"END": "nonsense"}], ids=str)
def test_silence_after_the_mail_leaves_its_fate_unknown(settings, says):
    with pytest.raises(OutcomeUnknown):
        send(settings, **says)


@pytest.mark.parametrize(("says", "reason"), [
    ({"RCPT": "550 5.1.1 no such user"}, Refusal.ADDRESS),
    ({"RCPT": "554 5.7.1 relay access denied"}, Refusal.SENDER),
    ({"RCPT": "550 unknown"}, Refusal.ADDRESS),
    ({"MAIL": "553 5.1.8 who are you"}, Refusal.SENDER),
    ({"MAIL": "550 no"}, Refusal.SENDER),
    ({"DATA": "554 no valid recipients"}, Refusal.TEXT),
    ({"END": "554 5.6.0 spam"}, Refusal.TEXT),
    ({"END": "550 5.1.1 no such user"}, Refusal.ADDRESS),
], ids=str)  # fmt: skip
def test_a_servers_no_is_a_refusal_with_its_reason(settings, says, reason):
    with pytest.raises(EmailRefused) as caught:
        send(settings, **says)

    assert caught.value.reason is reason
    assert caught.value.code[0] == "5"


def test_a_wrong_password_is_an_operators_matter(settings):
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "user", "secret-password"

    with pytest.raises(EmailRefused) as caught:
        send(settings, EHLO="250-hello\r\n250 AUTH PLAIN", AUTH="535 5.7.8 bad credentials")

    assert caught.value.reason is Refusal.ACCOUNT
    assert caught.value.is_config
    assert "secret-password" not in str(caught.value)


def test_a_farewell_that_fails_changes_nothing(settings):
    assert len(send(settings, QUIT="")) == 1
    assert len(send(settings, QUIT="500 what?")) == 1


@pytest.mark.parametrize(
    "subject", ["Hi\r\nBcc: eve@example.com", "Hi\nX-Evil: 1", "Hi\x0bthere\x85\u2028Bcc: e@x.org"]
)
def test_a_subject_cannot_begin_another_header(settings, subject):
    request = EmailRequest(key=REQUEST.key, to=REQUEST.to, subject=subject, text="x")

    mail = message_from_bytes(send(settings, request)[0], policy=policy.default)

    assert mail["Bcc"] is None
    assert mail["X-Evil"] is None
    assert mail["Subject"].startswith("Hi ")


@pytest.mark.parametrize("to", [
    "", "asha", "a@example.com, b@example.com", "a@example.com;b@example.com", "Asha <asha@example.com>",
    "asha@example.com\r\nBcc: eve@example.com", "asha@example.com\n", "a b@example.com", f"{'a' * 250}@example.com",
])  # fmt: skip
def test_what_is_not_one_address_is_refused_before_any_call(settings, to):
    request = EmailRequest(key=REQUEST.key, to=to, subject="s", text="x")

    with mail_server() as server:
        settings.EMAIL_PORT = server.port
        with pytest.raises(EmailRefused) as caught:
            PlainEmail().send(request)

    assert caught.value.reason is Refusal.ADDRESS
    assert server.mails == []
