"""By what a person has proven who they are."""

from django.db.models import TextChoices


class Method(TextChoices):
    """Names of the `amr` claim: those of RFC 8176 where it has one, ours for the others."""

    PASSWORD = "pwd"  # noqa: S105  a name
    OTP = "otp", "code of an authenticator app"
    SMS = "sms", "code by SMS"
    SOCIAL = "social", "login provider"
    RECOVERY = "recovery", "recovery code"
