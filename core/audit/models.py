"""Who did what that matters, when, and to whom. Written once; a trigger refuses every change."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, NoReturn

from django.db import models
from django.utils import timezone

from core.audit.actions import ActorKind, action_choices


class AppendOnly(RuntimeError):
    """An audit line was to be changed or removed: a defect, never a client's fault."""


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    """Reads, and adds."""

    def update(self, **_values: Any) -> NoReturn:
        raise AppendOnly

    def delete(self) -> NoReturn:
        raise AppendOnly

    def bulk_update(self, objs: Any, fields: Any, batch_size: int | None = None) -> NoReturn:
        raise AppendOnly


class AuditEntry(models.Model):
    """One line. Names people and rows as they were called then, without keys to them: a line outlives its row.

    Not behind row-level security: most lines belong to no tenant. The API reaches them only through
    `apps.tenants.selectors.audit`, which filters by the tenant in scope.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    at = models.DateTimeField(default=timezone.now)
    actor_kind = models.CharField(max_length=10, choices=ActorKind.choices)
    actor_id = models.UUIDField(null=True)
    actor_email = models.CharField(max_length=254, blank=True, help_text="As it was then.")
    action = models.CharField(max_length=50, choices=action_choices)
    target_type = models.CharField(max_length=50, blank=True, help_text="The kind of row, for example `user`.")
    target_id = models.CharField(max_length=64, blank=True)
    target_label = models.CharField(max_length=254, blank=True, help_text="What it was called then.")
    tenant_id = models.UUIDField(null=True, help_text="Whose owners and admins may read the line.")
    data = models.JSONField(default=dict, help_text="Small, and without secrets.")
    request_id = models.CharField(max_length=64, blank=True)
    client_key = models.CharField(
        max_length=32, blank=True, help_text="Keyed hash of the network from which it was asked; never the address."
    )

    objects: ClassVar[models.Manager[AuditEntry]] = AuditQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "audit entries"
        default_permissions = ("view",)
        permissions = [("export_auditentry", "Can export audit entries")]
        indexes = [
            models.Index(fields=["-at", "-id"], name="audit_newest"),
            models.Index(fields=["tenant_id", "-at", "-id"], name="audit_newest_of_tenant"),
            models.Index(fields=["actor_id", "-at"], name="audit_of_actor"),
            models.Index(fields=["target_id", "-at"], name="audit_of_target"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.action}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly
