"""Use cases for receipts: what goes out when a payment has settled, and when money went back."""

from __future__ import annotations

from uuid import UUID

from django.utils import translation
from django.utils.translation import gettext as _

from apps.accounts.selectors import find_user
from apps.messaging.kinds import MessageKind
from apps.messaging.models.messages import Message
from apps.messaging.services.messages import queue_message
from apps.payments.selectors.payments import get_payment
from apps.payments.selectors.refunds import get_refund
from core.tenancy import tenant_atomic

RECEIPT = MessageKind.RECEIPT


@tenant_atomic
def send_receipt(*, payment_id: UUID) -> None:
    """Queue the receipt: to the customer's phone and e-mail address, as far as they are known, and to who started it.

    Once per payment and recipient.
    """
    payment = get_payment(payment_id=payment_id)
    person = find_user(user_id=payment.started_by_id)
    language = person.language if person else "en"
    with translation.override(language):
        told = {"amount": payment.money.display, "reference": payment.client_reference or str(payment.pk)[:8]}
        text = _("Received %(amount)s. Reference %(reference)s. Thank you.") % told
        if payment.phone:
            queue_message(
                channel=Message.Channel.SMS, to=payment.phone, text=text, key=f"receipt:{payment.pk}", kind=RECEIPT
            )
        keys = {payment.customer.get("email", ""): f"receipt:{payment.pk}:customer"}
        if person is not None and person.is_active:
            keys[person.email] = f"receipt:{payment.pk}"
        body = _("Hello,\n\nwe have received %(amount)s.\nReference: %(reference)s\n\nThank you.") % told
        subject = _("Receipt for %(amount)s") % told
        for address, key in keys.items():
            if address:
                queue_message(
                    channel=Message.Channel.EMAIL, to=address, subject=subject, text=body, key=key, kind=RECEIPT
                )


@tenant_atomic
def send_refund_notice(*, refund_id: UUID) -> None:
    """Tell the phone that paid that money has been sent back. Once per refund; nothing where no phone is known."""
    refund = get_refund(refund_id=refund_id)
    payment = refund.payment
    if not payment.phone:
        return
    person = find_user(user_id=payment.started_by_id)
    with translation.override(person.language if person else "en"):
        told = {"amount": refund.money.display, "reference": payment.client_reference or str(payment.pk)[:8]}
        text = _("%(amount)s was sent back to you. Reference %(reference)s.") % told
        queue_message(channel=Message.Channel.SMS, to=payment.phone, text=text, key=f"refund:{refund.pk}", kind=RECEIPT)
