"""Use cases for signing in through others: whose account an identity opens, and linking one's own.

An address is believed only when the provider itself proves it. What anybody can type into a profile is a claim, as at
registration, and never opens an account that exists (docs/adr/0014-signing-in-through-others.md).
"""

from __future__ import annotations

from uuid import UUID

from allauth.socialaccount.models import SocialAccount
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import AuthSession, User
from apps.accounts.selectors import LinkedAccount, describe_account, find_proven_holder, list_linked_accounts
from apps.accounts.services.accounts import store_with_tenant
from apps.accounts.services.links import request_verification
from apps.accounts.services.notices import Wording, send_notice
from apps.accounts.services.sessions import AccountInactive
from apps.accounts.services.social_flows import continue_flow, redeem_code
from apps.accounts.services.step_up import require_recent_authentication
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import Conflict, NotFound, RuleViolated
from core.locks import lock_name
from core.outbox.publisher import publish
from core.throttling.limits import spend
from services.oauth.base import (
    Identity,
    IdTokenInvalid,
    SocialProviderUnavailable,
    SocialProviderUnknown,
    TokenNotSupported,
)
from services.oauth.registry import get_sign_in_provider, list_sign_in_providers

# How handing over a token can be refused before anybody is looked for, for the schema.
TOKEN_REFUSALS = (SocialProviderUnknown, TokenNotSupported, IdTokenInvalid, SocialProviderUnavailable)


class EmailNeeded(RuleViolated):
    """The provider told no address: ask the person, and send it with `data.continuation` in place of the code."""

    code = "email_needed"
    message = gettext_lazy("Please tell us your e-mail address.")


class SocialAccountTaken(Conflict):
    """This account at the provider opens another person's account here."""

    code = "social_account_taken"
    message = gettext_lazy("This account is already connected to somebody else.")


class LastWayIn(RuleViolated):
    """Without this account the person could not sign in any more: no password, no proven phone, no other account."""

    code = "last_way_in"
    message = gettext_lazy("Choose a password first: without it you could not sign in any more.")


def sign_in_with_code(*, code: str, code_verifier: str, email: str, language: str, client: str) -> User:
    """The person whom a flow has brought back, new if need be.

    Raises `SocialCodeInvalid`, `EmailNeeded` (with another code), `AccountInactive` or `Throttled`. Must not run inside
    a transaction. `email` counts only when the provider has told none.
    """
    spend({"social_client": client})
    flow, identity = redeem_code(code=code, code_verifier=code_verifier)
    try:
        return sign_in_with(identity=identity, email=email, language=language, client=client)
    except EmailNeeded:
        continuation, until = continue_flow(flow=flow, identity=identity)
        raise EmailNeeded(data={"continuation": continuation, "expires_at": until}) from None


def sign_in_with_token(*, provider: str, id_token: str, nonce: str, email: str, language: str, client: str) -> User:
    """The person whom a provider's `id_token` names, new if need be.

    Raises what `SignInProvider.identify_by_token` raises, `EmailNeeded` (send it again with an address),
    `AccountInactive` or `Throttled`.
    """
    spend({"social_client": client})
    identity = get_sign_in_provider(provider).identify_by_token(id_token=id_token, nonce=nonce)
    return sign_in_with(identity=identity, email=email, language=language, client=client)


def sign_in_with(*, identity: Identity, email: str, language: str, client: str) -> User:
    """Whose account `identity` opens.

    1. The account that it is linked with. 2. The account that has proven the address which the provider proves too:
    they are linked now. 3. A new account, whose address is proven if the provider proves it and else a claim.
    """
    known = _find_account(identity)
    if known is not None:
        return _welcome_back(known, identity)
    address = identity.email or email.strip().lower()
    if not address:
        raise EmailNeeded
    if not identity.is_email_proven:
        # As a registration: each is a mail to an address that nobody has proven.
        spend({"register_client": client, "register_account": address})
    return _link_or_create(identity, address, language)


@transaction.atomic
def _link_or_create(identity: Identity, address: str, language: str) -> User:
    lock_name(f"social:{identity.provider}:{identity.uid}")
    known = _find_account(identity)
    if known is not None:  # the second of two equal requests
        return _welcome_back(known, identity)
    user = find_proven_holder(email=address) if identity.is_email_proven else None
    if user is None:
        user = _create(identity, address, language) or find_proven_holder(email=address)
    if user is None:
        raise RuntimeError("An address was proven by somebody, and is not any more.")
    if not user.is_active:
        raise AccountInactive
    _link(user, identity)
    return user


def _create(identity: Identity, address: str, language: str) -> User | None:
    """A new person with a personal tenant, or None when somebody proved the address at this very moment."""
    user = User(
        email=address,
        first_name=identity.first_name,
        last_name=identity.last_name,
        language=language,
        email_verified_at=timezone.now() if identity.is_email_proven else None,
    )
    user.set_unusable_password()
    try:
        store_with_tenant(user)
    except IntegrityError:
        return None
    request_verification(user=user)
    return user


def link_with_code(*, session: AuthSession, code: str, code_verifier: str) -> LinkedAccount:
    """Link the identity that a flow has brought back with the session's person.

    Raises `ReauthenticationRequired`, `SocialCodeInvalid` or `SocialAccountTaken`. Linking it again is fine. Must not
    run inside a transaction.
    """
    require_recent_authentication(session)
    _flow, identity = redeem_code(code=code, code_verifier=code_verifier)
    with transaction.atomic():
        lock_name(f"social:{identity.provider}:{identity.uid}")
        known = _find_account(identity)
        if known is None:
            known = _link(session.user, identity)
        elif known.user_id != session.user_id:
            raise SocialAccountTaken
    return describe_account(known)


@transaction.atomic
def unlink(*, session: AuthSession, account_id: UUID) -> None:
    """Take a linked account away from the session's person, or `NotFound`, `LastWayIn`, `ReauthenticationRequired`."""
    require_recent_authentication(session)
    user = User.objects.select_for_update().get(pk=session.user_id)
    linked = {each.id: each for each in list_linked_accounts(user_id=user.pk)}
    account = linked.get(account_id)
    if account is None:
        raise NotFound
    if len(linked) == 1 and not (user.has_usable_password() or user.is_phone_verified):
        raise LastWayIn
    SocialAccount.objects.filter(pk=account.pk, user=user).delete()
    record(Action.LOGIN_UNLINKED, actor=user, target=user, data={"provider": account.provider})
    publish("account.social_unlinked", {"user_id": str(user.pk), "provider": account.provider})


def tell_social_change(*, user_id: UUID, provider: str, is_linked: bool) -> None:
    """The notice: if it was not them, they learn it now."""
    name = next((each.name for each in list_sign_in_providers() if each.code == provider), provider)

    def wording(_user: User) -> Wording:
        if is_linked:
            subject = _("Another way to sign in to your account")
            text = _(
                "From now on you can sign in with %(provider)s. If this was not you, disconnect it in your account's "
                "settings and contact us."
            )
        else:
            subject = _("A way to sign in was removed from your account")
            text = _("You can no longer sign in with %(provider)s. If this was not you, contact us at once.")
        return subject, text % {"provider": name}

    send_notice(user_id=user_id, wording=wording)


def _find_account(identity: Identity) -> SocialAccount | None:
    found = SocialAccount.objects.select_related("user").filter(provider=identity.provider, uid=identity.uid)
    account: SocialAccount | None = found.first()
    return account


def _welcome_back(account: SocialAccount, identity: Identity) -> User:
    user: User = account.user
    if not user.is_active:
        raise AccountInactive
    account.extra_data = dict(identity.details)
    account.save(update_fields=["extra_data", "last_login"])
    return user


def _link(user: User, identity: Identity) -> SocialAccount:
    account = SocialAccount.objects.create(
        user=user, provider=identity.provider, uid=identity.uid, extra_data=dict(identity.details)
    )
    record(Action.LOGIN_LINKED, actor=user, target=user, data={"provider": identity.provider})
    publish("account.social_linked", {"user_id": str(user.pk), "provider": identity.provider})
    return account
