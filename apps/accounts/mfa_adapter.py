"""What django-allauth asks of us about second factors: how secrets lie in the database, and what an app calls them."""

from __future__ import annotations

from allauth.mfa.adapter import DefaultMFAAdapter
from django.contrib.auth.base_user import AbstractBaseUser

from core.sealing import seal, unseal


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Secrets encrypted, labels that tell two accounts of one person apart."""

    def encrypt(self, text: str) -> str:
        return seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        return unseal(encrypted_text)

    def get_totp_label(self, user: AbstractBaseUser) -> str:
        """`Issuer:account`, as authenticator apps show it (Google's Key URI Format)."""
        return f"{self.get_totp_issuer()}:{self._get_user_identifier(user)}"
