"""Columns of the file of messages. Without the text, which may hold what is nobody else's to read."""

from __future__ import annotations

from import_export.fields import Field

from apps.messaging.models.messages import Message
from core.exports import ExportResource
from core.money import Money


class MessageExport(ExportResource):
    tenant_id = Field(attribute="tenant_id", column_name="tenant_id", readonly=True)
    tenant = Field(attribute="tenant__name", column_name="tenant", readonly=True)

    class Meta:
        model = Message
        fields = export_order = (
            "id",
            "created_at",
            "tenant_id",
            "tenant",
            "channel",
            "kind",
            "to",
            "status",
            "country",
            "operator_prefix",
            "encoding",
            "parts",
            "currency",
            "price",
            "provider",
            "sender",
            "provider_reference",
            "raw_status",
            "tries",
            "sent_at",
            "delivered_at",
            "key",
        )

    def dehydrate_price(self, message: Message) -> str:
        """In major units, exact, without separators."""
        return str(Money(message.price, message.currency).decimal) if message.currency else ""
