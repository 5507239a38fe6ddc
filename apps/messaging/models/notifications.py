"""What an application shows to somebody who is signed in: the third channel beside SMS and e-mail."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from apps.common.models import BaseModel
from apps.messaging.kinds import MessageKind
from core.tenancy import TenantModel


class Notification(BaseModel, TenantModel):
    """Something to tell one person in one tenant, until they have read it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=100, help_text="What it is about; one per purpose and person.")
    kind = models.CharField(max_length=20, choices=MessageKind.choices)
    title = models.CharField(max_length=200)
    text = models.TextField()
    data = models.JSONField(default=dict, help_text="For programs: what it is about, to open it.")
    read_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "user", "key"], name="notification_once_per_purpose"),
        ]
        indexes = [
            models.Index(fields=["tenant", "user", "-created_at", "-id"], name="notification_newest"),
            # What an application asks for every few seconds: as large as what is unread, not as what there is.
            models.Index(
                fields=["tenant", "user", "-created_at", "-id"],
                condition=models.Q(read_at=None),
                name="notification_unread",
            ),
            models.Index(fields=["tenant", "read_at"], name="notification_read_long_ago"),
        ]

    def __str__(self) -> str:
        return self.title
