"""What a key may be allowed to do."""

from django.db.models import TextChoices


class Scope(TextChoices):
    """One kind of thing that a machine may do in a tenant."""

    PAYMENTS_READ = "payments:read", "See payments"
    PAYMENTS_WRITE = "payments:write", "Start payments, refund them"
    PAYOUTS_WRITE = "payouts:write", "Send money to phones and banks"
    MESSAGES_READ = "messages:read", "See messages and what they cost"
    MESSAGES_WRITE = "messages:write", "Send texts and e-mails"
