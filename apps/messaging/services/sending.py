"""Use cases for messages that go out: hand over, and settle what nobody knows.

A text is handed over at most once on our own initiative. When nobody knows whether the provider took it (a crash, a
lost answer), the delivery report is waited for; only if none comes is a receipt sent once more, and a code never. What
a provider certainly has not taken goes to the next one.
"""

from __future__ import annotations

import logging
from uuid import UUID

from apps.messaging.models.messages import Message, MessageTry
from apps.messaging.services.claims import Claim, claim_message
from apps.messaging.services.consent import Source, record_opt_out
from apps.messaging.services.emails import accept_email, hand_over_email
from apps.messaging.services.outcomes import not_taken, refused, unknown
from apps.messaging.services.reports import accept_text
from apps.messaging.services.routing import callback_url, can
from core.crash import crash_point
from services.email.base import EmailRefused
from services.http import GatewayUnavailable, OutcomeUnknown
from services.sms.base import Refusal, SmsCapability, SmsRefused, SmsRequest, SmsResult
from services.sms.encoding import clean_text
from services.sms.registry import get_sms_gateway

logger = logging.getLogger("faraja.messaging")

Channel, Outcome = Message.Channel, MessageTry.Outcome
# What another sender name, or another provider, would cure, and time would not.
ELSEWHERE = (Refusal.SENDER, Refusal.ROUTE)
MAX_CALLS = 8  # in one round; each is a provider or a sender name of one


def send_message(*, message_id: UUID) -> None:
    """Hand one message over, or find out that this was done already. Raises `NotYet` when it has to wait."""
    away: set[str] = set()
    for _call in range(MAX_CALLS):
        claim = claim_message(message_id=message_id, away=away)
        if claim is None:
            return
        crash_point("message_submitting")
        send = _send_email if claim.message.channel == Channel.EMAIL else _send_text
        if send(claim):
            return
        if claim.attempt.reason not in ELSEWHERE:
            away.add(claim.attempt.provider)


def _send_text(claim: Claim) -> bool:
    """Whether that was all: it is out, may be out, or never will be."""
    attempt = claim.attempt
    try:
        result = _hand_over(claim)
    except GatewayUnavailable:
        not_taken(attempt=attempt, outcome=Outcome.UNAVAILABLE)
        return False
    except OutcomeUnknown:
        unknown(attempt=attempt)
        return True
    except SmsRefused as refusal:
        return _note_refusal(claim, refusal)
    crash_point("sms_accepted")
    accept_text(attempt=attempt, provider_reference=result.provider_reference)
    return True


def _hand_over(claim: Claim) -> SmsResult:
    """One call; a second one, after silence, where that cannot make a second text."""
    message, provider = claim.message, claim.attempt.provider
    gateway = get_sms_gateway(provider)
    request = SmsRequest(
        key=message.pk.hex,
        phone=message.to,
        text=clean_text(claim.text),
        sender=claim.attempt.sender,
        is_urgent=message.is_urgent,
        first_sent=claim.first_at_provider,
        callback_url=callback_url(provider),
    )
    try:
        return gateway.send(request)
    except OutcomeUnknown:
        if not can(provider, SmsCapability.IDEMPOTENT_SEND):
            raise
    try:
        return gateway.send(request)
    except GatewayUnavailable as error:
        raise OutcomeUnknown from error  # of the first call nobody knows


def _note_refusal(claim: Claim, refusal: SmsRefused) -> bool:
    told = claim.without_secret(str(refusal))
    log = logger.error if refusal.is_config else logger.warning
    log("sms refused", extra={"provider": claim.attempt.provider, "reason": refusal.reason, "code": refusal.code[:50]})
    if refusal.reason is Refusal.OPTED_OUT:
        record_opt_out(channel=claim.message.channel, to=claim.message.to, source=Source.PROVIDER)
    if refusal.is_final:
        refused(attempt=claim.attempt, reason=refusal.reason, told=told)
        return True
    not_taken(attempt=claim.attempt, outcome=Outcome.REFUSED, reason=refusal.reason, told=told)
    return False


def _send_email(claim: Claim) -> bool:
    """The same of a mail. It is repeated with the same Message-ID: after a crash at once, after silence when no report
    has come.
    """
    attempt = claim.attempt
    try:
        result = hand_over_email(claim.message, text=claim.text)
    except GatewayUnavailable:
        not_taken(attempt=attempt, outcome=Outcome.UNAVAILABLE)
        return False
    except OutcomeUnknown:
        unknown(attempt=attempt)
        return True
    except EmailRefused as refusal:
        told = claim.without_secret(str(refusal))
        logger.error("email refused", extra={"provider": attempt.provider, "reason": refusal.reason.value})
        refused(attempt=attempt, reason=refusal.reason, told=told)
        return True
    crash_point("email_accepted")
    accept_email(attempt=attempt, result=result, told=claim.without_secret(result.detail))
    return True
