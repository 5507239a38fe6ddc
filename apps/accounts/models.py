"""People and their sessions. Read before a tenant is known, so not behind row-level security."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac

from apps.accounts.methods import Method
from apps.accounts.transports import Transport
from apps.common.models import BaseModel


class UserManager(BaseUserManager["User"]):
    """Users are known by e-mail, compared without regard to case."""

    def holder_of(self, email: str) -> User | None:
        """Whose address this is: who proved it; while nobody has, who claimed it first."""
        proven_first = models.F("email_verified_at").asc(nulls_last=True)
        return self.filter(email=email.strip().lower()).order_by(proven_first, "created_at", "pk").first()

    def get_by_natural_key(self, username: str | None) -> User:
        holder = self.holder_of(username or "")
        if holder is None:
            raise User.DoesNotExist
        return holder

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Somebody trusted: whoever can run this command has proven more than an address."""
        fields = {"email_verified_at": timezone.now(), "is_staff": True, "is_superuser": True, **fields}
        return self.create_user(email, password, **fields)


class User(BaseModel, AbstractBaseUser, PermissionsMixin):
    """A person. Signs in by e-mail and password, or by a code to a phone number that they have proven.

    An address is a claim until it is proven, and only one account can have proven it. So registering tells nobody
    whether an address is known, and nobody keeps an address from its owner by registering first. The same goes for
    phone numbers.
    """

    email = models.EmailField(max_length=254, help_text="Stored in lower case.")
    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100, blank=True)
    phone = models.CharField(max_length=16, blank=True, help_text="E.164. A claim until it is proven.")
    language = models.CharField(max_length=2, choices=settings.LANGUAGES, default="en")
    email_verified_at = models.DateTimeField(null=True, blank=True)
    phone_verified_at = models.DateTimeField(null=True, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    deletion_due_at = models.DateTimeField(
        null=True, blank=True, help_text="The person has asked for deletion and may take it back until then."
    )
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    factors_changed_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a second factor was last switched on, off or renewed."
    )

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        permissions = [("import_user", "Can import users"), ("export_user", "Can export users")]
        constraints = [
            # Unique means unique whatever the spelling, so nothing but lower case may get in, from anywhere.
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_lower_case"),
            models.UniqueConstraint(
                fields=["email"], condition=models.Q(email_verified_at__isnull=False), name="user_email_proven_once"
            ),
            # Whatever asks `is_active` alone keeps out who is leaving and who is gone.
            models.CheckConstraint(
                condition=models.Q(is_active=False) | models.Q(deletion_due_at=None, deleted_at=None),
                name="user_leaving_is_inactive",
            ),
            models.UniqueConstraint(
                fields=["phone"], condition=models.Q(phone_verified_at__isnull=False), name="user_phone_proven_once"
            ),
            models.CheckConstraint(
                condition=models.Q(phone_verified_at__isnull=True) | ~models.Q(phone=""),
                name="user_proven_phone_exists",
            ),
        ]
        indexes = [models.Index(fields=["email"], name="user_email")]

    def __str__(self) -> str:
        return self.email

    @property
    def is_email_verified(self) -> bool:
        return self.email_verified_at is not None

    @property
    def is_leaving(self) -> bool:
        """They have asked for deletion, and it has not happened yet."""
        return self.deletion_due_at is not None

    def get_session_auth_hash(self) -> str:
        """The admin's sessions end with a change of the password, as Django has it, and of the second factor."""
        changed = self.factors_changed_at
        told = f"{super().get_session_auth_hash()}:{changed.isoformat() if changed else ''}"
        return salted_hmac("accounts.session_auth", told, algorithm="sha256").hexdigest()

    @property
    def is_phone_verified(self) -> bool:
        return self.phone_verified_at is not None

    def get_full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    def get_short_name(self) -> str:
        return self.first_name or self.email


class AuthSession(BaseModel):
    """One login on one device: the family of its refresh tokens, and the authority on whether any token lives.

    Nothing secret is stored. A refresh token is signed and names (id, generation); whoever lost an answer can be given
    the same successor again, because it is minted from this row.
    """

    class Reason(models.TextChoices):
        LOGOUT = "logout"
        REUSE = "reuse"
        NEW_PASSWORD = "new_password"  # noqa: S105  a reason
        NEW_FACTOR = "new_factor"
        NEW_EMAIL = "new_email"
        NEW_PHONE = "new_phone"
        TOO_MANY = "too_many"
        STAFF = "staff"
        DEACTIVATED = "deactivated"
        DELETION = "deletion"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.SET_NULL, null=True, related_name="+")
    transport = models.CharField(max_length=20, choices=Transport.choices)
    generation = models.PositiveIntegerField(default=1)
    rotated_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(help_text="Idle limit: moves with every refresh.")
    absolute_expires_at = models.DateTimeField(help_text="Never moves.")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.CharField(max_length=20, choices=Reason.choices, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    authenticated_at = models.DateTimeField(
        default=timezone.now, help_text="When the person last proved who they are, by more than a token."
    )
    methods = models.JSONField(
        default=list, help_text="By what they have proven it in this session: the `amr` claim, first proof first."
    )
    client_key = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text="Keyed hash of the network in which it was opened; never the address.",
    )

    class Meta:
        indexes = [
            models.Index(fields=["user"], condition=models.Q(revoked_at=None), name="session_live_by_user"),
            models.Index(fields=["absolute_expires_at"], name="session_absolute_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.transport} session {self.pk}"


class MfaChallenge(BaseModel):
    """A sign-in that waits for its second factor. No session: its token opens nothing but the second step.

    Like a mailed link, the token is a function of the row (and of the password's hash); the row holds no secret.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="mfa_challenges")
    transport = models.CharField(max_length=20, choices=Transport.choices)
    method = models.CharField(max_length=20, choices=Method.choices, help_text="What has been proven so far.")
    guesses = models.PositiveSmallIntegerField(default=0, help_text="Codes that were looked at.")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, help_text="When it was met, or ended.")

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="mfa_challenge_expiry")]

    def __str__(self) -> str:
        return f"challenge {self.pk}"


class TotpSetup(BaseModel):
    """A secret that was shown to somebody who has not yet proven that their app knows it."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="totp_setup")
    secret = models.CharField(max_length=300, help_text="Sealed.")
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"set-up {self.pk}"


class EmailLink(BaseModel):
    """A link that was mailed to prove an address. Its token is a function of the row; the row holds no secret."""

    class Purpose(models.TextChoices):
        VERIFY_EMAIL = "verify_email"
        CHANGE_EMAIL = "change_email"
        RESET_PASSWORD = "reset_password"  # noqa: S105  a purpose

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="email_links")
    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    email = models.EmailField(max_length=254, help_text="Where it was sent, and what it proves.")
    # No foreign key: sessions are purged by the million, and must not be looked for here.
    session_id = models.UUIDField(null=True, help_text="The session in which a change was asked for.")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="email_link_expiry")]

    def __str__(self) -> str:
        return f"{self.purpose} for {self.email}"


def new_nonce() -> str:
    """128 random bits."""
    return secrets.token_hex(16)


class VerificationCode(BaseModel):
    """Six digits that were texted to prove a phone number. Its id is the challenge that the client answers.

    The code is a function of this row and the server's key, so it stands nowhere. There is a row for every number that
    was asked about, whether or not it belongs to anybody.
    """

    class Purpose(models.TextChoices):
        LOGIN = "login"
        VERIFY_PHONE = "verify_phone"
        CHANGE_PHONE = "change_phone"

    user = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
        help_text="Who asked. Empty for signing in: whose number it is shows only when the code is right.",
    )
    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    phone = models.CharField(max_length=16, help_text="E.164. Where it was sent, and what it proves.")
    nonce = models.CharField(max_length=32, default=new_nonce, editable=False)
    guesses = models.PositiveSmallIntegerField(default=0, help_text="How many were looked at.")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, help_text="Also when a newer one took its place.")

    class Meta:
        indexes = [
            models.Index(fields=["phone", "purpose"], condition=models.Q(used_at=None), name="code_open_by_phone"),
            models.Index(fields=["expires_at"], name="code_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} for {self.phone}"


class SocialFlow(BaseModel):
    """One person on their way to a sign-in provider and back, ending in a code that their client exchanges.

    Nothing secret is stored: state, cookie, the provider's PKCE verifier and the code are functions of the row and the
    server's key.
    """

    provider = models.CharField(max_length=30)
    redirect_url = models.CharField(max_length=500)
    client_state = models.CharField(max_length=300, blank=True, help_text="The client's own, given back to it.")
    code_challenge = models.CharField(max_length=43, help_text="S256 of the verifier that the client keeps.")
    callback_url = models.CharField(max_length=500, help_text="As told to the provider.")
    is_browser_bound = models.BooleanField(help_text="Only the browser that started may come back.")
    expires_at = models.DateTimeField(help_text="Until when the person may come back.")
    returned_at = models.DateTimeField(null=True)
    identity = models.JSONField(null=True, help_text="What the provider has said; forgotten when it is used.")
    code_number = models.PositiveSmallIntegerField(default=1)
    code_expires_at = models.DateTimeField(null=True)
    redeemed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="social_flow_expiry")]

    def __str__(self) -> str:
        return f"{self.provider} flow {self.pk}"
