"""What comes in and what goes out."""

from __future__ import annotations

from rest_framework import serializers

from apps.payments.derivation import AttemptStatus, FailureCode, PaymentStatus, ReviewDecision
from apps.payments.methods import METHODS
from apps.payments.models.payments import Attempt, Payment
from apps.payments.serializers.fields import CustomerInput, MetadataField, ReturnUrlField
from core.output import OutputModelSerializer
from core.phones import PhoneField
from core.serializers import FilterInput, InputSerializer, MoneyField, MoneyInput, StrictCharField, StrictIntegerField

MAX_WAIT = 20  # seconds
SHORTEST_EXPIRY, LONGEST_EXPIRY = 60, 7 * 24 * 3600  # seconds


class StartPaymentInput(InputSerializer):
    amount = MoneyInput()
    gateway = serializers.SlugField(max_length=50, help_text="For example `clickpesa`.")
    phone = PhoneField(
        required=False, default="", help_text="Who pays. +255712345678, or a local spelling. Needed for a push."
    )
    method = serializers.ChoiceField(
        choices=METHODS,
        required=False,
        default="",
        help_text="`push` asks the phone; `checkout` and `card` give a page (`checkout_url`) to send the customer to. "
        "Without it: a push where there is a phone and the gateway can, else a page.",
    )
    description = StrictCharField(max_length=200, required=False, default="", allow_blank=True)
    client_reference = StrictCharField(
        max_length=100,
        required=False,
        default="",
        allow_blank=True,
        help_text="Your own name for it, for example an order number. Unique among your payments, for ever.",
    )
    customer = CustomerInput(required=False)
    return_url = ReturnUrlField(
        help_text="Where a page sends the customer afterwards. `{payment_id}` in it is filled in. Coming back proves "
        "nothing: ask for the payment."
    )
    cancel_url = ReturnUrlField(help_text="Where a page sends a customer who gives up.")
    metadata = MetadataField(required=False, help_text="Your own notes, given back as they are.")
    expires_in = StrictIntegerField(
        min_value=SHORTEST_EXPIRY,
        max_value=LONGEST_EXPIRY,
        required=False,
        help_text="Seconds until we stop waiting for the customer: half an hour for a push, a day for a page.",
    )


class RetryPaymentInput(InputSerializer):
    gateway = serializers.SlugField(max_length=50, required=False, help_text="Another one, if wanted.")
    method = serializers.ChoiceField(choices=METHODS, required=False)
    phone = PhoneField(required=False, help_text="Another one, if wanted.")


class ReviewPaymentInput(InputSerializer):
    decision = serializers.ChoiceField(
        choices=["accept", "reject"], help_text="`accept` settles the payment; `reject` ends it without money."
    )
    note = StrictCharField(max_length=300, help_text="Why. It stands in the history and in the audit log.")

    def validate_decision(self, value: str) -> str:
        return ReviewDecision.ACCEPTED if value == "accept" else ReviewDecision.REJECTED


class PaymentFilterInput(FilterInput):
    status = serializers.ChoiceField(choices=PaymentStatus.choices, required=False)
    gateway = serializers.SlugField(max_length=50, required=False, help_text="Of the newest attempt.")
    method = serializers.ChoiceField(choices=METHODS, required=False, help_text="Of the newest attempt.")
    phone = PhoneField(required=False, help_text="In any usual spelling; `+` in a query is written `%2B`.")
    client_reference = serializers.CharField(max_length=100, required=False)
    created_from = serializers.DateTimeField(required=False, help_text="Not before this time.")
    created_until = serializers.DateTimeField(required=False, help_text="Before this time.")


class PaymentWaitInput(FilterInput):
    wait = serializers.IntegerField(
        min_value=0,
        max_value=MAX_WAIT,
        required=False,
        default=0,
        help_text="Seconds to wait for news, if there is none. When too many wait already, the answer comes at once.",
    )
    status = serializers.ChoiceField(
        choices=PaymentStatus.choices,
        required=False,
        help_text="With `wait`: what you know already. Anything else is news, and answered at once.",
    )


class AttemptOutput(OutputModelSerializer[Attempt]):
    status = serializers.ChoiceField(choices=AttemptStatus.choices)
    method = serializers.ChoiceField(choices=METHODS)
    checkout_url = serializers.URLField(
        source="open_page", allow_null=True, help_text="The page for the customer, while it can be used."
    )

    class Meta:
        model = Attempt
        fields = read_only_fields = ("number", "gateway", "method", "status", "checkout_url")


class PaymentOutput(OutputModelSerializer[Payment]):
    amount = MoneyField(source="money")
    captured = MoneyField(source="captured_money")
    refunded = MoneyField(source="refunded_money")
    method = serializers.ChoiceField(choices=METHODS, help_text="Of the newest attempt.")
    failure_code = serializers.ChoiceField(choices=FailureCode.choices, source="shown_failure_code", allow_null=True)
    checkout_url = serializers.URLField(
        source="open_page", allow_null=True, help_text="The page for the customer, while it can be used."
    )
    metadata = MetadataField()
    attempts = AttemptOutput(many=True)

    class Meta:
        model = Payment
        fields = read_only_fields = (
            "id",
            "status",
            "failure_code",
            "amount",
            "captured",
            "refunded",
            "phone",
            "gateway",
            "method",
            "checkout_url",
            "description",
            "client_reference",
            "metadata",
            "attempts",
            "created_at",
            "expires_at",
            "settled_at",
            "is_late_settlement",
            "cancel_asked_at",
        )
