"""How providers' names for mails become keys of ours."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

EMAIL: Final = "email:"  # before the name of an e-mail provider, as it stands in the log of messages


def reference_key(provider_reference: str) -> str:
    """A provider's name for a mail as a key of `MessageReference`: some are longer than the column, some in <>."""
    return sha256(provider_reference.strip().strip("<>").encode()).hexdigest()[:40]
