"""Messaging for operators. Each module registers its pages; Django imports this package only."""

from apps.messaging.admin import messages, suppression

__all__ = ["messages", "suppression"]
