"""Providers behind anymail: their answers on real sockets, and their webhooks in our words."""

from __future__ import annotations

import hmac
import json
import time
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from config.settings.email import email_providers
from config.settings.reader import Reader
from core.exceptions import Malformed
from services.email.base import (
    EmailCallbackRejected,
    EmailRefused,
    EmailReport,
    EmailRequest,
    EmailStatus,
    Refusal,
    Suppression,
)
from services.email.providers.esp import ESPS, EspEmail
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from tests.services import wire

KEY = "7f" * 16
REQUEST = EmailRequest(key=KEY, to="asha@example.com", subject="Habari", text="Karibu")
WHSEC = "whsec_" + b64encode(b"k" * 24).decode()
SENDGRID_KEY = ec.generate_private_key(ec.SECP256R1())
SENDGRID_PUBLIC = b64encode(
    SENDGRID_KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()

# What each is configured with, its answer to a mail, and the id in it.
ACCOUNTS: dict[str, dict[str, str]] = {
    "brevo": {"api_key": "k"},
    "mailersend": {"api_token": "k", "signing_secret": "s"},
    "mailgun": {"api_key": "k", "sender_domain": "mg.example.org", "webhook_signing_key": "s"},
    "mailjet": {"api_key": "k", "secret_key": "s"},
    "mailtrap": {"api_token": "k", "tracking_secret": "s"},
    "postmark": {"server_token": "k"},
    "resend": {"api_key": "k", "signing_secret": WHSEC},
    "sendgrid": {"api_key": "k", "tracking_webhook_verification_key": SENDGRID_PUBLIC},
    "sparkpost": {"api_key": "k"},
}
TAKEN: dict[str, tuple[bytes, str]] = {
    "brevo": (wire.answer(201, b'{"messageId": "<m1@relay>"}'), "<m1@relay>"),
    "mailersend": (wire.answer(202, b"", "X-Message-Id: m1", "Content-Type: text/html"), "m1"),
    "mailgun": (wire.answer(200, b'{"id": "<m1@mg>", "message": "Queued."}'), "<m1@mg>"),
    "mailjet": (
        wire.answer(
            200, b'{"Messages": [{"Status": "success", "To": [{"Email": "asha@example.com", "MessageID": 11}]}]}'
        ),
        "11",
    ),
    "mailtrap": (wire.answer(200, b'{"success": true, "message_ids": ["m1"]}'), "m1"),
    "postmark": (
        wire.answer(200, b'{"ErrorCode": 0, "Message": "OK", "MessageID": "m1", "To": "asha@example.com"}'),
        "m1",
    ),
    "resend": (wire.answer(200, b'{"id": "m1"}'), "m1"),
    "sendgrid": (wire.answer(202, b""), ""),
    "sparkpost": (
        wire.answer(200, b'{"results": {"id": "11", "total_accepted_recipients": 1, "total_rejected_recipients": 0}}'),
        "11",
    ),
}


def account(code: str, url: str = "", **changed: str) -> EspEmail:
    return EspEmail(esp=code, **ACCOUNTS[code] | ({"api_url": url + "/"} if url else {}) | changed)


def test_every_provider_of_the_settings_is_tried_here():
    for code, config in ESPS.items():
        configured = email_providers(Reader(None), chosen=code)[code]["OPTIONS"]
        assert ACCOUNTS[code].keys() <= configured.keys(), config
    assert ACCOUNTS.keys() == ESPS.keys() == TAKEN.keys()


@pytest.mark.parametrize("code", sorted(ESPS))
def test_a_mail_is_sent_once_with_our_key_and_known_by_its_id(code):
    reply, reference = TAKEN[code]
    handler, heard = wire.answering(reply)

    with wire.listening(handler) as url:
        result = account(code, url).send(REQUEST)

    assert len(heard) == 1
    assert b"asha@example.com" in heard[0].body or b"asha%40example.com" in heard[0].body
    assert (KEY.encode() in heard[0].body) is ESPS[code].takes_metadata
    assert result.provider_reference == reference or (code == "sendgrid" and len(result.provider_reference) == 36)


ANSWERS: list[tuple[int, bytes, Any]] = [
    (401, b'{"message": "Unauthorized"}', Refusal.ACCOUNT),
    (403, b"{}", Refusal.ACCOUNT),
    (422, b'{"message": "The sender is not verified."}', Refusal.SENDER),
    (422, b'{"message": "You tried to send to an inactive recipient."}', Refusal.OPTED_OUT),
    (422, b'{"message": "Invalid recipient."}', Refusal.ADDRESS),
    (400, b'{"message": "Body too long."}', Refusal.TEXT),
    (429, b"{}", GatewayUnavailable),
    (500, b"{}", OutcomeUnknown),
    (503, b"", OutcomeUnknown),
    (200, b"<html>", OutcomeUnknown),
]


@pytest.mark.parametrize(("status", "body", "meaning"), ANSWERS)
def test_each_answer_has_its_meaning(status, body, meaning):
    handler, _heard = wire.answering(wire.answer(status, body))

    with wire.listening(handler) as url, pytest.raises(Exception) as caught:  # noqa: PT011  which one is asserted
        account("postmark", url).send(REQUEST)

    error = caught.value
    assert (error.reason if isinstance(error, EmailRefused) else type(error)) == meaning


def test_a_provider_that_is_away_is_tried_again_and_one_that_hangs_up_is_not_guessed_about():
    with pytest.raises(GatewayUnavailable):
        account("postmark", wire.refused_url()).send(REQUEST)

    def hang_up(connection: Any) -> None:
        wire.hear(connection)

    with wire.listening(hang_up) as url, pytest.raises(OutcomeUnknown):
        account("postmark", url).send(REQUEST)


# --- Webhooks --------------------------------------------------------------------------------------------------------

TO = "asha@example.com"
META = {"faraja": KEY}


def mailgun(event: str, **more: Any) -> dict[str, Any]:
    headers = {"message-id": "m1@mg"}
    data = {"event": event, "timestamp": 1795173602.1, "id": "e1", "recipient": TO, "user-variables": META}
    return {"signature": mailgun_signature("s"), "event-data": data | {"message": {"headers": headers}} | more}


def mailgun_signature(key: str) -> dict[str, str]:
    proof = hmac.new(key.encode(), b"1795173602token", sha256).hexdigest()
    return {"timestamp": "1795173602", "token": "token", "signature": proof}


def mailersend(event: str, **more: Any) -> dict[str, Any]:
    email = {"message": {"id": "m1"}, "recipient": {"email": TO}, "from": "a@b.c", "tags": None}
    return {"type": f"activity.{event}", "created_at": "2026-11-20T11:20:00Z",
            "data": {"type": event, "email": email, "morph": more or None}}  # fmt: skip


def sparkpost(event: str, **more: Any) -> list[dict[str, Any]]:
    told = {"type": event, "event_id": "e1", "transmission_id": "11", "raw_rcpt_to": TO, "rcpt_meta": META}
    return [{"msys": {"message_event": told | {"timestamp": "1795173602"} | more}}]


def resend(event: str, **more: Any) -> dict[str, Any]:
    headers = [{"name": "X-Metadata", "value": json.dumps(META)}]
    return {"type": event, "created_at": "2026-11-20T11:20:00Z",
            "data": {"email_id": "m1", "to": [TO], "headers": headers} | more}  # fmt: skip


def brevo(event: str) -> dict[str, Any]:
    told = {"event": event, "email": TO, "message-id": "<m1@relay>", "ts_event": 1795173602}
    return told | {"X-Mailin-custom": json.dumps(META)}


def mailjet(event: str, **more: Any) -> list[dict[str, Any]]:
    told = {"event": event, "time": 1795173602, "MessageID": 11, "email": TO, "Payload": json.dumps(META)}
    return [told | {"error": "user unknown"} | more]


def mailtrap(event: str) -> dict[str, Any]:
    told = {"event": event, "timestamp": 1795173602, "message_id": "m1", "event_id": "e1", "email": TO}
    return {"events": [told | {"custom_variables": META}]}


def postmark(kind: str, type_: str = "") -> dict[str, Any]:
    told = {"RecordType": kind, "MessageID": "m1", "Metadata": META, "Type": type_}
    at = "2026-11-20T11:20:00Z"
    return told | ({"Recipient": TO, "DeliveredAt": at} if kind == "Delivery" else {"Email": TO, "BouncedAt": at})


def sendgrid(event: str, **more: Any) -> list[dict[str, Any]]:
    return [{"event": event, "timestamp": 1795173602, "email": TO, "anymail_id": "m1", **META, **more}]


HARD, SOFT, GONE = Suppression.BOUNCE, None, EmailStatus.UNDELIVERABLE
EVENTS: list[tuple[str, Any, EmailStatus | None, Suppression | None]] = [
    ("brevo", brevo("delivered"), EmailStatus.DELIVERED, None),
    ("brevo", brevo("hard_bounce"), GONE, HARD),
    ("brevo", brevo("soft_bounce"), GONE, SOFT),
    ("brevo", brevo("spam"), None, Suppression.COMPLAINT),
    ("mailersend", mailersend("delivered"), EmailStatus.DELIVERED, None),
    ("mailersend", mailersend("soft_bounced", object="recipient_bounce", reason="full"), GONE, SOFT),
    ("mailersend", mailersend("hard_bounced", object="recipient_bounce", reason="unknown"), GONE, HARD),
    ("mailgun", mailgun("delivered"), EmailStatus.DELIVERED, None),
    ("mailgun", mailgun("failed", severity="permanent", reason="bounce"), GONE, HARD),
    ("mailgun", mailgun("failed", severity="temporary", reason="generic"), EmailStatus.SENT, None),
    ("mailgun", mailgun("complained"), None, Suppression.COMPLAINT),
    ("mailjet", mailjet("sent"), EmailStatus.DELIVERED, None),
    ("mailjet", mailjet("bounce", hard_bounce=True), GONE, HARD),
    ("mailjet", mailjet("bounce", hard_bounce=False), GONE, SOFT),
    ("mailtrap", mailtrap("delivery"), EmailStatus.DELIVERED, None),
    ("mailtrap", mailtrap("bounce"), GONE, HARD),
    ("mailtrap", mailtrap("soft bounce"), EmailStatus.SENT, None),
    ("postmark", postmark("Delivery"), EmailStatus.DELIVERED, None),
    ("postmark", postmark("Bounce", "HardBounce"), GONE, HARD),
    ("postmark", postmark("Bounce", "SoftBounce"), GONE, SOFT),
    ("postmark", postmark("SpamComplaint", "SpamComplaint"), None, Suppression.COMPLAINT),
    ("resend", resend("email.delivered"), EmailStatus.DELIVERED, None),
    ("resend", resend("email.bounced", bounce={"message": "a hard bounce message"}), GONE, HARD),
    ("resend", resend("email.bounced", bounce={"message": "a bounce message", "type": "Transient"}), GONE, SOFT),
    ("resend", resend("email.bounced", bounce={"message": "suppressed sending"}), GONE, SOFT),
    ("resend", resend("email.complained"), None, Suppression.COMPLAINT),
    ("sendgrid", sendgrid("delivered"), EmailStatus.DELIVERED, None),
    ("sendgrid", sendgrid("bounce", type="bounce", reason="550"), GONE, HARD),
    ("sendgrid", sendgrid("bounce", type="blocked", reason="554"), GONE, SOFT),
    ("sendgrid", sendgrid("spamreport"), None, Suppression.COMPLAINT),
    ("sparkpost", sparkpost("delivery"), EmailStatus.DELIVERED, None),
    ("sparkpost", sparkpost("bounce", bounce_class="10"), GONE, HARD),
    ("sparkpost", sparkpost("bounce", bounce_class="22"), GONE, SOFT),
    ("sparkpost", sparkpost("spam_complaint"), None, Suppression.COMPLAINT),
]


def signed(code: str, body: bytes, *, key: str = "s") -> dict[str, str]:
    """The headers with which each provider proves a delivery; Mailgun's proof is in the body, some have none."""
    digest = hmac.new(key.encode(), body, sha256).hexdigest()
    now = str(int(time.time()))
    match code:
        case "mailersend":
            return {"signature": digest}
        case "mailtrap":
            return {"mailtrap-signature": digest}
        case "resend":
            proof = hmac.digest((b"k" if key == "s" else b"x") * 24, f"m.{now}.".encode() + body, "sha256")
            return {"svix-id": "m", "svix-timestamp": now, "svix-signature": f"v1,{b64encode(proof).decode()}"}
        case "sendgrid":
            told = now.encode() + body
            proof = SENDGRID_KEY.sign(told if key == "s" else told + b"x", ec.ECDSA(hashes.SHA256()))
            name = "x-twilio-email-event-webhook-"
            return {f"{name}timestamp": now, f"{name}signature": b64encode(proof).decode()}
    return {}


def delivery(code: str, told: Any, *, key: str = "s") -> Delivery:
    if code == "mailgun" and key != "s":
        told = told | {"signature": mailgun_signature(key)}
    body = json.dumps(told).encode()
    return Delivery(body=body, headers={"content-type": "application/json", **signed(code, body, key=key)})


@pytest.mark.parametrize(("code", "told", "status", "suppression"), EVENTS, ids=lambda each: str(each)[:40])
def test_each_event_has_its_meaning(code, told, status, suppression):
    [report] = account(code).read_callback(delivery(code, told)).reports

    assert report == EmailReport(
        key=KEY if ESPS[code].takes_metadata else "",
        provider_reference=report.provider_reference,
        recipient=TO,
        status=status,
        raw_status=report.raw_status,
        detail=report.detail,
        suppression=suppression,
    )
    assert report.provider_reference.strip("<>") in ("m1", "m1@mg", "m1@relay", "11")
    assert report.raw_status


@pytest.mark.parametrize("code", ["mailersend", "mailgun", "mailtrap", "resend", "sendgrid"])
def test_what_somebody_else_signed_is_refused(code):
    told = next(told for each, told, *_rest in EVENTS if each == code)
    forged = delivery(code, told, key="another")
    unsigned = Delivery(body=delivery(code, told).body, headers={"content-type": "application/json"})

    with pytest.raises(EmailCallbackRejected):
        account(code).read_callback(forged)
    if code != "mailgun":
        with pytest.raises(EmailCallbackRejected):
            account(code).read_callback(unsigned)


def test_who_opened_a_mail_is_nobodys_business():
    for code, told in (("postmark", postmark("Open")), ("sendgrid", sendgrid("open")), ("brevo", brevo("opened"))):
        assert account(code).read_callback(delivery(code, told)).reports == ()


JUNK = [b"", b"junk", b"[]", b"{}", b"null", b"[1]", b"\xff\xfe", b'{"events": 1}', b'[{"event": {}}]',
        b'{"event-data": []}', b"[" * 10_000, b'{"type": 1, "data": "x"}']  # fmt: skip


@pytest.mark.parametrize("code", sorted(ESPS))
def test_junk_is_malformed_or_refused_and_never_a_crash(code):
    for body in JUNK:
        headers = {"content-type": "application/json", **signed(code, body)}
        try:
            news = account(code).read_callback(Delivery(body=body, headers=headers))
        except (Malformed, EmailCallbackRejected):
            continue
        assert not any(report.key or report.provider_reference for report in news.reports)
