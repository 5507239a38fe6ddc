"""Messaging for operators. Each module registers its pages; Django imports this package only."""

from apps.messaging.admin import messages, notifications, people, templates

__all__ = ["messages", "notifications", "people", "templates"]
