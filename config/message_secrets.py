"""What stands for the placeholder of a message: kind of secret to the function that finds one by its reference.

A function answers None when the secret is no longer good; the message is then not sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from apps.accounts.services.codes import find_code
from apps.tenants.services.invitations import find_invitation_token

SECRETS: Mapping[str, Callable[[str], str | None]] = {
    "code": find_code,
    "invitation": find_invitation_token,
}
