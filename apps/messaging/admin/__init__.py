"""Messaging for operators. Each module registers its pages; Django imports this package only."""

from apps.messaging.admin import messages, notifications, people, suppression, templates

__all__ = ["messages", "notifications", "people", "suppression", "templates"]
