"""The tables of messaging, one module per subject. Django looks here; each name has its address in its module."""

from apps.messaging.models import limits, messages, notifications, people, suppression, templates  # noqa: F401
