"""Messaging for operators. Each module registers its pages; Django imports this package only."""

from apps.messaging.admin import limits, messages, notifications, people, suppression, templates

__all__ = ["limits", "messages", "notifications", "people", "suppression", "templates"]
