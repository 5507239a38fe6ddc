"""People and sessions for operators. Each module registers its pages; Django imports this package only."""

from apps.accounts.admin import door, people, sessions

__all__ = ["door", "people", "sessions"]
