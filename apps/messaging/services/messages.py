"""Use cases for messages: store one, and have it sent."""

from __future__ import annotations

from apps.messaging.kinds import MessageKind
from apps.messaging.models.messages import Message
from apps.messaging.placeholders import check_secret
from apps.messaging.progress import MessageStatus
from apps.messaging.services.consent import is_wanted
from core.outbox.publisher import publish
from core.tenancy import current_tenant_id, tenant_atomic


@tenant_atomic
def queue_message(
    *,
    channel: str,
    to: str,
    text: str,
    key: str,
    kind: str = MessageKind.SERVICE,
    subject: str = "",
    secret: str = "",
    is_repeatable: bool = True,
) -> Message:
    """Store a message and have it sent. A second one for the same purpose (`key`) and channel is the first one.

    `secret` (`kind:reference`) names what is put in for `{secret}` in the text while it is being sent; an unknown kind
    raises `KeyError`. `is_repeatable`: may it be sent twice when nobody knows whether the provider took it?
    What whoever it is for does not want (`consent.is_wanted`) is stored as `suppressed`, and not sent.
    """
    if secret:
        check_secret(secret)
    is_sent = is_wanted(channel=channel, to=to, kind=kind)
    message: Message
    message, is_new = Message.objects.get_or_create(
        tenant_id=current_tenant_id(),
        key=key,
        channel=channel,
        defaults={
            "kind": kind,
            "status": MessageStatus.QUEUED if is_sent else MessageStatus.SUPPRESSED,
            "to": to,
            "text": text,
            "subject": subject,
            "secret": secret,
            "is_repeatable": is_repeatable,
        },
    )
    if is_new and is_sent:
        publish("message.queued", {"message_id": str(message.pk)})
    return message
