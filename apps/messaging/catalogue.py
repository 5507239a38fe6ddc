"""The wordings that the kit sends, with their defaults. Staff may publish others in their place.

A new wording is a `Template` in `TEMPLATES`, and `render(...)` where it is said. A variable may be added later, and so
may a channel: a published wording that no longer fits is passed over for the default, and the log says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.translation import gettext_lazy as _

from apps.messaging.channels import Channel
from apps.messaging.kinds import MessageKind
from apps.messaging.placeholders import PLACEHOLDER
from apps.messaging.wordings import Form, Template, Variable

_AMOUNT = Variable(name="amount", example="TZS 5,000", description=_("How much, with its currency"), max_length=30)
_REFERENCE = Variable(
    name="reference", example="order-1024", description=_("The merchant's reference, or ours"), max_length=64
)
_SECRET = Variable(
    name=PLACEHOLDER.strip("{}"),
    example="204816",
    description=_("The code; it is put in while the text is being sent"),
    is_exact=True,
)
_MINUTES = Variable(
    name="minutes",
    example="10",
    description=_("For how many minutes the code is good"),
    max_length=4,
    is_required=False,
)

_ALL = (
    Template(
        key="receipt",
        kind=MessageKind.RECEIPT,
        description=_("A payment has settled: to the phone and the address that paid, and to who started it"),
        variables=(_AMOUNT, _REFERENCE),
        defaults={
            Channel.SMS: Form(text=_("Received {amount}. Reference {reference}. Thank you.")),
            Channel.EMAIL: Form(
                subject=_("Receipt for {amount}"),
                text=_("Hello,\n\nwe have received {amount}.\nReference: {reference}\n\nThank you."),
            ),
        },
    ),
    Template(
        key="refund",
        kind=MessageKind.RECEIPT,
        description=_("Money was sent back: to the phone that paid"),
        variables=(_AMOUNT, _REFERENCE),
        defaults={Channel.SMS: Form(text=_("{amount} was sent back to you. Reference {reference}."))},
    ),
    Template(
        key="payment_settled",
        kind=MessageKind.SERVICE,
        description=_("A payment has settled: in the app, to who started it"),
        variables=(_AMOUNT, _REFERENCE),
        defaults={
            Channel.INBOX: Form(subject=_("{amount} received"), text=_("The payment {reference} has been paid.")),
        },
    ),
    Template(
        key="sign_in_code",
        kind=MessageKind.CODE,
        description=_("The code with which somebody signs in by their phone"),
        variables=(_SECRET, _MINUTES),
        defaults={
            Channel.SMS: Form(
                text=_("{secret} is your code to sign in. It is good for {minutes} minutes. Never share it.")
            ),
        },
    ),
    Template(
        key="number_code",
        kind=MessageKind.CODE,
        description=_("The code with which somebody proves that a phone number is theirs"),
        variables=(_SECRET, _MINUTES),
        defaults={
            Channel.SMS: Form(
                text=_("{secret} is your code for this number. It is good for {minutes} minutes. Never share it.")
            ),
        },
    ),
    Template(
        key="phone_changed",
        kind=MessageKind.SECURITY,
        description=_("To the number that an account had before"),
        variables=(),
        defaults={
            Channel.SMS: Form(
                text=_("The phone number of your account was changed. If this was not you, contact us at once.")
            ),
        },
    ),
    Template(
        key="invitation",
        kind=MessageKind.SERVICE,
        description=_("Somebody is invited to an organisation"),
        variables=(
            Variable(name="person", example="Asha Juma", description=_("Who invites")),
            Variable(name="tenant", example="Duka la Asha", description=_("The name of the organisation")),
            Variable(
                name="link",
                example=f"https://app.example.com/accept-invitation?token={'0' * 64}",
                description=_("The link by which the invitation is accepted"),
                is_exact=True,
            ),
        ),
        defaults={
            Channel.SMS: Form(text=_("{person} invites you to {tenant}: {link}")),
            Channel.EMAIL: Form(
                subject=_("Invitation to {tenant}"), text=_("{person} invites you to {tenant}: {link}")
            ),
        },
    ),
)

TEMPLATES: Final[Mapping[str, Template]] = {each.key: each for each in _ALL}
