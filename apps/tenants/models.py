"""Rooms and who may be in them. Read before a tenant is known, so not behind row-level security."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.common.models import BaseModel


class Tenant(BaseModel):
    """A business, or one person's own room."""

    name = models.CharField(max_length=200)
    suspended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [("export_tenant", "Can export tenants")]

    def __str__(self) -> str:
        return self.name


class Membership(BaseModel):
    """A person's place in a tenant."""

    class Role(models.TextChoices):
        OWNER = "owner"
        ADMIN = "admin"
        MEMBER = "member"

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)

    class Meta:
        permissions = [("export_membership", "Can export memberships")]
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.role} of {self.tenant_id}"


class Invitation(BaseModel):
    """An offer of a membership, sent to an e-mail address or a phone.

    Its token is a function of the row's id, the number of sendings and the server's key; it stands nowhere.
    """

    class Role(models.TextChoices):
        """An owner is made from a member, never by post."""

        ADMIN = "admin"
        MEMBER = "member"

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(max_length=254, blank=True, help_text="Stored in lower case.")
    phone = models.CharField(max_length=16, blank=True, help_text="E.164.")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    sends = models.PositiveSmallIntegerField(default=0)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=(models.Q(email="") & ~models.Q(phone="")) | (~models.Q(email="") & models.Q(phone="")),
                name="invitation_to_one_address",
            ),
            models.UniqueConstraint(
                fields=["tenant", "email", "phone"],
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="invitation_open_once",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "-created_at", "-id"], name="invitation_newest")]

    def __str__(self) -> str:
        return f"{self.role} for {self.email or self.phone}"

    @property
    def is_open(self) -> bool:
        return self.accepted_at is None and self.revoked_at is None

    @property
    def status(self) -> str:
        if self.accepted_at is not None:
            return InvitationStatus.ACCEPTED
        if self.revoked_at is not None:
            return InvitationStatus.REVOKED
        return InvitationStatus.EXPIRED if self.expires_at <= timezone.now() else InvitationStatus.PENDING


class InvitationStatus(models.TextChoices):
    """What became of an invitation."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REVOKED = "revoked"
    EXPIRED = "expired"


class ApiKey(BaseModel):
    """A machine's way into one tenant, in the name of the person who made it. Holds the hash of its secret only.

    Read before a tenant is known, so not behind row-level security.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="api_keys")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, unique=True)
    secret_hash = models.CharField(max_length=64)
    scopes = models.JSONField(default=list)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "-created_at", "-id"], name="api_key_newest")]

    def __str__(self) -> str:
        return f"{self.name} ({self.shown_prefix})"

    @property
    def shown_prefix(self) -> str:
        """How the key begins: enough to recognise it by."""
        return f"fk_{self.prefix}"
