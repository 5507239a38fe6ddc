"""Where a client's tokens travel."""

from django.db.models import TextChoices


class Transport(TextChoices):
    """Chosen at sign-in, kept for the session's life."""

    BODY = "body"
    REFRESH_COOKIE = "refresh_cookie"
    COOKIES = "cookies"
