"""Messaging for operators. Each module registers its pages; Django imports this package only."""

from apps.messaging.admin import messages

__all__ = ["messages"]
