"""Use cases for the way to a sign-in provider and back: start, come back, hand in the code.

Nothing secret is stored. State, cookie, the provider's PKCE verifier and the code name a row and carry a signature over
it; the row says which of them are spent. Coming back only notes who the provider says it is: what that means is decided
when the client that started proves itself by its own PKCE verifier (`apps.accounts.services.social`).
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import SocialFlow
from core.derived import derive, row_named_in
from core.exceptions import DomainError, RuleViolated
from core.purge import delete_in_batches
from core.throttling.limits import spend
from services.oauth.base import Identity, SignInProvider, SocialProviderUnknown, SocialSignInFailed, s256
from services.oauth.registry import get_sign_in_provider, list_sign_in_providers

logger = logging.getLogger("faraja.security")

DENIED = "access_denied"  # RFC 6749, section 4.1.2.1: the person said no


class RedirectNotAllowed(RuleViolated):
    """The place to come back to is not on this installation's list."""

    code = "redirect_not_allowed"
    message = _("This return address is not registered.")


class SocialStateInvalid(RuleViolated):
    """Coming back from a provider without having left from here: too late, twice, or in another browser."""

    code = "social_state_invalid"
    message = _("This sign-in is no longer valid. Please start again.")


class SocialSignInDenied(RuleViolated):
    """The person did not agree at the provider."""

    code = "social_sign_in_denied"
    message = _("You did not agree to sign in.")


class SocialCodeInvalid(RuleViolated):
    """The code is unknown, spent or late, or the verifier is not that of its start; the code is spent now."""

    code = "social_code_invalid"
    message = _("This sign-in is no longer valid. Please start again.")


# How a start can be refused, for the schema.
START_REFUSALS = (SocialProviderUnknown, RedirectNotAllowed)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedFlow:
    """Where to send the person; and the cookie that must come back with them, when the flow is bound to a browser."""

    authorize_url: str
    expires_at: datetime
    cookie_name: str = ""
    cookie_value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedFlow:
    """Where the person goes next, and the name of the cookie that has done its work."""

    url: str
    cookie_name: str = ""


def list_providers() -> list[SignInProvider]:
    """The providers of this installation, for a sign-in page."""
    return list_sign_in_providers()


def start_flow(
    *, provider: str, redirect: str, code_challenge: str, state: str, callback_url: str, client: str
) -> StartedFlow:
    """Note who leaves for `provider`, or `SocialProviderUnknown`, `RedirectNotAllowed` or `Throttled`.

    `redirect` is a name or an address of `settings.SOCIAL_REDIRECTS`; empty is the first. A flow that ends on a page is
    bound to the browser by a cookie. One that ends in an app is not: the app and the system's browser share no cookies,
    and the code reaches only the app, which knows whether it has started.
    """
    found = get_sign_in_provider(provider)
    target = _target(redirect)
    spend({"social_client": client})
    flow = SocialFlow.objects.create(
        provider=provider,
        redirect_url=target,
        client_state=state,
        code_challenge=code_challenge,
        callback_url=callback_url,
        is_browser_bound=_is_page(target),
        expires_at=timezone.now() + settings.SOCIAL_FLOW_LIFETIME,
    )
    url = found.authorize_url(callback_url=callback_url, state=_state(flow), code_verifier=_signature(flow.pk, "pkce"))
    if not flow.is_browser_bound:
        return StartedFlow(authorize_url=url, expires_at=flow.expires_at)
    name = cookie_name(flow.pk)
    return StartedFlow(
        authorize_url=url,
        expires_at=flow.expires_at,
        cookie_name=name,
        cookie_value=_signature(flow.pk, "cookie"),
    )


def finish_flow(*, provider: str, state: str, code: str, error: str, cookies: Mapping[str, str]) -> FinishedFlow:
    """Take the person who comes back from `provider`, and say where they go: with a code, or with the reason.

    Raises `SocialProviderUnknown` only. Without a flow to come back to, the way leads to the first of the list.
    """
    found = get_sign_in_provider(provider)
    flow = _returning(provider, state, cookies)
    if flow is None:
        logger.warning("sign-in came back without a start", extra={"provider": provider})
        return FinishedFlow(url=_with(_target(""), error=SocialStateInvalid.code))
    try:
        if error or not code:
            raise SocialSignInDenied if error == DENIED else SocialSignInFailed
        identity = found.identify(code=code, callback_url=flow.callback_url, code_verifier=_signature(flow.pk, "pkce"))
    except DomainError as refusal:
        return FinishedFlow(
            url=_with(flow.redirect_url, error=refusal.code, state=flow.client_state), cookie_name=cookie_name(flow.pk)
        )
    flow.identity = asdict(identity)
    flow.code_expires_at = timezone.now() + settings.SOCIAL_CODE_LIFETIME
    flow.save(update_fields=["identity", "code_expires_at", "updated_at"])
    return FinishedFlow(
        url=_with(flow.redirect_url, code=_code(flow), state=flow.client_state), cookie_name=cookie_name(flow.pk)
    )


def redeem_code(*, code: str, code_verifier: str) -> tuple[SocialFlow, Identity]:
    """Who came back, for the client that started; or `SocialCodeInvalid`. The code is spent by this call either way.

    Must not run inside a transaction that a refusal rolls back.
    """
    flow = _find(code, _code)
    if flow is None or flow.identity is None:
        raise SocialCodeInvalid
    live = SocialFlow.objects.filter(
        pk=flow.pk, code_number=flow.code_number, redeemed_at=None, code_expires_at__gt=timezone.now()
    )
    # One statement decides which of two simultaneous exchanges has it.
    if not live.update(redeemed_at=timezone.now(), identity=None):
        raise SocialCodeInvalid
    if not hmac.compare_digest(s256(code_verifier).encode(), flow.code_challenge.encode()):
        logger.warning("sign-in code with a wrong verifier", extra={"flow_id": str(flow.pk)})
        raise SocialCodeInvalid
    return flow, Identity(**flow.identity)


def continue_flow(*, flow: SocialFlow, identity: Identity) -> tuple[str, datetime]:
    """Another code for the same client, because something is missing; with the time until which it is good."""
    flow.code_number += 1
    flow.code_expires_at = timezone.now() + settings.SOCIAL_CONTINUATION_LIFETIME
    flow.identity, flow.redeemed_at = asdict(identity), None
    flow.save(update_fields=["code_number", "code_expires_at", "identity", "redeemed_at", "updated_at"])
    return _code(flow), flow.code_expires_at


def purge_social_flows() -> None:
    """Forget flows that ended a day ago, a thousand at a time."""
    delete_in_batches(SocialFlow.objects.filter(expires_at__lt=timezone.now() - timedelta(days=1)))


def cookie_name(flow_id: UUID) -> str:
    """One per flow, so that two tabs do not overwrite each other's."""
    prefix = "__Secure-" if settings.AUTH_COOKIE_SECURE else ""
    return f"{prefix}social-{flow_id.hex[:16]}"


def _returning(provider: str, state: str, cookies: Mapping[str, str]) -> SocialFlow | None:
    """The flow that `state` names, spent by this call; None when it is not that of this browser, late, or spent."""
    flow = _find(state, _state)
    if flow is None or flow.provider != provider:
        return None
    told = cookies.get(cookie_name(flow.pk), "")
    if flow.is_browser_bound and not hmac.compare_digest(told.encode(), _signature(flow.pk, "cookie").encode()):
        return None
    now = timezone.now()
    live = SocialFlow.objects.filter(pk=flow.pk, returned_at=None, expires_at__gt=now)
    return flow if live.update(returned_at=now) else None


def _target(redirect: str) -> str:
    """The address that `redirect` names, letter for letter one of the list."""
    if not redirect:
        return next(iter(settings.SOCIAL_REDIRECTS.values()))
    target: str = settings.SOCIAL_REDIRECTS.get(redirect, redirect)
    if target not in settings.SOCIAL_REDIRECTS.values():
        raise RedirectNotAllowed
    return target


def _is_page(target: str) -> bool:
    return urlsplit(target).scheme in ("http", "https")


def _with(url: str, **told: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode({name: value for name, value in told.items() if value})}"


def _state(flow: SocialFlow) -> str:
    return flow.pk.hex + _signature(flow.pk, "state")


def _code(flow: SocialFlow) -> str:
    return flow.pk.hex + _signature(flow.pk, f"code:{flow.code_number}")


def _find(token: str, expected: Callable[[SocialFlow], str]) -> SocialFlow | None:
    """The flow of which `token` is the `expected` state or code, or None."""
    flow = SocialFlow.objects.filter(pk=row_named_in(token)).first()
    is_ours = flow is not None and hmac.compare_digest(token.encode(), expected(flow).encode())
    return flow if is_ours else None


def _signature(flow_id: UUID, purpose: str) -> str:
    return derive("social-flow", f"{purpose}:{flow_id.hex}".encode()).hex()
