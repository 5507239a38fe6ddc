"""Use cases for receipts: what goes out when a payment has settled, and when money went back."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from apps.accounts.selectors import find_user
from apps.messaging.channels import Channel
from apps.messaging.kinds import MessageKind
from apps.messaging.services.messages import queue_message
from apps.messaging.services.templates import render
from apps.payments.selectors.payments import get_payment
from apps.payments.selectors.refunds import get_refund
from core.tenancy import tenant_atomic

_queue = partial(queue_message, kind=MessageKind.RECEIPT)


@tenant_atomic
def send_receipt(*, payment_id: UUID) -> None:
    """Queue the receipt: to the customer's phone and e-mail address, as far as they are known, and to who started it.

    Once per payment and recipient.
    """
    payment = get_payment(payment_id=payment_id)
    person = find_user(user_id=payment.started_by_id)
    told = {"amount": payment.money.display, "reference": payment.client_reference or str(payment.pk)[:8]}
    say = partial(render, "receipt", language=person.language if person else "en", values=told)
    if payment.phone:
        text = say(channel=Channel.SMS).text
        _queue(channel=Channel.SMS, to=payment.phone, text=text, key=f"receipt:{payment.pk}")
    keys = {payment.customer.get("email", ""): f"receipt:{payment.pk}:customer"}
    if person is not None and person.is_active:
        keys[person.email] = f"receipt:{payment.pk}"
    addresses = {address: key for address, key in keys.items() if address}
    if addresses:
        wording = say(channel=Channel.EMAIL)
        for address, key in addresses.items():
            _queue(channel=Channel.EMAIL, to=address, subject=wording.subject, text=wording.text, key=key)


@tenant_atomic
def send_refund_notice(*, refund_id: UUID) -> None:
    """Tell the phone that paid that money has been sent back. Once per refund; nothing where no phone is known."""
    refund = get_refund(refund_id=refund_id)
    payment = refund.payment
    if not payment.phone:
        return
    person = find_user(user_id=payment.started_by_id)
    told = {"amount": refund.money.display, "reference": payment.client_reference or str(payment.pk)[:8]}
    wording = render("refund", language=person.language if person else "en", channel=Channel.SMS, values=told)
    _queue(channel=Channel.SMS, to=payment.phone, text=wording.text, key=f"refund:{refund.pk}")
