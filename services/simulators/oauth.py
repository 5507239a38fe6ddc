"""Google's, GitHub's and ChurchSuite's side of signing in: OAuth 2 with PKCE, OpenID Connect for Google.

Sources: RFC 6749, RFC 7636, OpenID Connect Core; GitHub's and Google's pages on OAuth; the ChurchSuite vendor notes.
What they do not say is marked "unconfirmed". `?person=` on the sign-in page chooses who signs in (the table is in
services.simulators.people); without it the page lists them to click on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import html
import secrets
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from services.simulators.desk import TOKEN_LIFETIME, Desk, Grant, subject_of, unpadded
from services.simulators.people import CHURCHSUITE, GITHUB, GOOGLE, PEOPLE, Fault, find_person
from services.simulators.world import JSON, Refusal, world_of

CODE_LIFETIME = 60.0  # seconds
# The development settings' own. A second client of Google, as a phone app has one.
CLIENTS = {
    GOOGLE: ("demo-google-web", "demo-google-secret"),
    GITHUB: ("demo-github-client", "demo-github-secret"),
    CHURCHSUITE: ("demo-churchsuite-client", "demo-churchsuite-secret"),
}
CHURCHES = {"st-mary": "9b5f2c1e-7f0e-4b39-9d5a-0a8d3f5f1c11", "st-john": "1c2d3e4f-1d5c-4a53-8f0b-1f6d2a7c9e10"}


def desk_of(request: Request) -> Desk:
    return world_of(request).desk


# --- The sign-in page ------------------------------------------------------------------------------------------------


def authorize(provider: str) -> Any:
    """GET: a page to choose a person, or with `person` the redirect back."""

    async def page(request: Request) -> Response:
        told = request.query_params
        callbacks = [f"{base}/{provider}/callback/" for base in world_of(request).config.oauth_callbacks]
        # To an address that is not registered nothing is sent, not even an error (RFC 6749, section 4.1.2.1).
        if told.get("client_id") != CLIENTS[provider][0]:
            return PlainTextResponse("Unknown client_id.", 400)
        if told.get("redirect_uri") not in callbacks:
            return PlainTextResponse(f"redirect_uri is not one of {', '.join(callbacks)}.", 400)
        if told.get("response_type") != "code":
            return back(request, error="unsupported_response_type")
        if told.get("code_challenge") and told.get("code_challenge_method") != "S256":
            return back(request, error="invalid_request")
        if not told.get("person"):
            return HTMLResponse(choice(request, provider))
        person = find_person(told["person"], provider)
        if person is None:
            return PlainTextResponse("Nobody of that name.", 404)
        if person.fault == Fault.DENIED:
            return back(request, error="access_denied", error_description="<b>The person</b> said no.")
        code = secrets.token_urlsafe(24)
        desk_of(request).codes[code] = Grant(
            provider=provider,
            person=person,
            redirect_uri=told["redirect_uri"],
            scopes=frozenset(told.get("scope", "").replace(",", " ").split()),
            challenge=told.get("code_challenge", ""),
            nonce=told.get("nonce", ""),
            until=time.time() + CODE_LIFETIME,
        )
        return back(request, code=code)

    return page


def back(request: Request, **told: str) -> Response:
    """To the redirect address, with the state."""
    state = request.query_params.get("state")
    url = f"{request.query_params['redirect_uri']}?{urlencode(told | ({'state': state} if state else {}))}"
    return RedirectResponse(url, 302)


def choice(request: Request, provider: str) -> str:
    """A page with a link for each person."""
    rows = "".join(
        f'<li><a href="?{html.escape(urlencode({**request.query_params, "person": each.key}))}">{each.key}</a>: '
        f"{html.escape(each.email or 'no address')}. {html.escape(each.description)}</li>"
        for each in PEOPLE
        if provider in each.providers
    )
    return (
        f"<!doctype html><meta charset=utf-8><title>Simulated {provider}</title>"
        f"<h1>Simulated {provider}</h1><p>Who signs in?</p><ul>{rows}</ul>"
    )


# --- The token endpoint ----------------------------------------------------------------------------------------------


def token(provider: str) -> Any:
    """POST: a code for an access token."""

    async def answer(request: Request) -> Response:
        request.state.body = await request.body()
        told = dict(parse_qsl(request.state.body.decode(errors="replace")))
        if told.get("grant_type", "authorization_code") != "authorization_code":
            raise refuse(provider, "unsupported_grant_type")
        if not is_client(request, provider, told):
            raise refuse(provider, "invalid_client", 401)
        desk = desk_of(request)
        grant = desk.codes.pop(told.get("code", ""), None)  # once, whatever comes of it
        if grant is None or grant.provider != provider or grant.until < time.time():
            raise refuse(provider, "invalid_grant")
        if told.get("redirect_uri") != grant.redirect_uri:
            raise refuse(provider, "redirect_uri_mismatch")
        verifier = told.get("code_verifier", "")
        if grant.challenge and unpadded(hashlib.sha256(verifier.encode()).digest()) != grant.challenge:
            raise refuse(provider, "invalid_grant")
        match grant.person.fault:
            case Fault.CODE_REFUSED:
                raise refuse(provider, "invalid_grant")
            case Fault.DOWN:
                return PlainTextResponse("<h1>oops: secret-looking words of the provider</h1>", 500)
            case Fault.SLOW:
                await world_of(request).wait(world_of(request).config.hang)
            case Fault.MALFORMED:
                return HTMLResponse("<h1>Welcome</h1>")
        access = secrets.token_urlsafe(24)
        desk.tokens[access] = grant
        return granted(request, desk, grant, access)

    return answer


def granted(request: Request, desk: Desk, grant: Grant, access: str) -> Response:
    body: dict[str, Any] = {
        "access_token": access,
        "token_type": "Bearer",
        "scope": " ".join(sorted(grant.scopes)),
    }
    if grant.provider == GITHUB:
        # A form, unless JSON is asked for.
        wants_json = "json" in request.headers.get("accept", "")
        return JSON(body) if wants_json else Response(urlencode(body), media_type="application/x-www-form-urlencoded")
    body["expires_in"] = TOKEN_LIFETIME
    is_silent = grant.person.fault in (Fault.NO_ID_TOKEN, Fault.PROFILE_DOWN, Fault.PROFILE_MALFORMED)
    if grant.provider == GOOGLE and "openid" in grant.scopes and not is_silent:
        body["id_token"] = desk.id_token(
            grant.person, issuer=issuer_of(request), audience=CLIENTS[GOOGLE][0], nonce=grant.nonce
        )
    return JSON(body)


def issuer_of(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}/{GOOGLE}"


def is_client(request: Request, provider: str, told: dict[str, str]) -> bool:
    """By form or by HTTP Basic (RFC 6749, section 2.3.1)."""
    scheme, _space, encoded = request.headers.get("authorization", "").partition(" ")
    given = (told.get("client_id", ""), told.get("client_secret", ""))
    if scheme.lower() == "basic":
        try:
            name, _colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        given = (name, secret)
    return hmac.compare_digest(":".join(given).encode(), ":".join(CLIENTS[provider]).encode())


def refuse(provider: str, error: str, status: int = 400) -> Refusal:
    """In the provider's words. GitHub sends its refusals with 200; ChurchSuite's shape here is unconfirmed."""
    told = f"words of the provider about {error}"
    if provider == GITHUB:
        word = {"invalid_grant": "bad_verification_code", "invalid_client": "incorrect_client_credentials"}
        return Refusal(200, {"error": word.get(error, error), "error_description": told})
    if provider == CHURCHSUITE:
        return Refusal(status, {"error": {"status": status, "message": told}})
    return Refusal(status, {"error": error, "error_description": told})


# --- Who is it? ------------------------------------------------------------------------------------------------------


def grant_of(request: Request, provider: str, *scopes: str) -> Grant:
    """What the request's access token stands for; 401 without one, 403 without the scope."""
    scheme, _space, access = request.headers.get("authorization", "").partition(" ")
    grant = desk_of(request).tokens.get(access) if scheme.lower() in ("bearer", "token") else None
    if grant is None or grant.provider != provider:
        raise unwelcome(provider, 401)
    if scopes and not grant.scopes & set(scopes):
        raise unwelcome(provider, 403)
    if grant.person.fault == Fault.PROFILE_DOWN:
        raise unwelcome(provider, 500)
    if grant.person.fault == Fault.PROFILE_MALFORMED:
        raise Refusal(200, {"data": ["not", "a", "person"], "id": None})
    return grant


def unwelcome(provider: str, status: int) -> Refusal:
    if provider == GITHUB:
        return Refusal(status, {"message": "Bad credentials"})
    return Refusal(status, {"error": {"status": status, "code": status, "message": "Not allowed."}})


async def google_certs(request: Request) -> Response:
    """GET /oauth2/v3/certs."""
    return JSON(desk_of(request).published())


async def google_userinfo(request: Request) -> Response:
    """GET /oauth2/v2/userinfo: other names than in the `id_token`."""
    person = grant_of(request, GOOGLE, "email", "profile", "openid").person
    body: dict[str, Any] = {"id": subject_of(person), "name": person.name, "given_name": person.name.partition(" ")[0]}
    if person.email:
        body |= {"email": person.email, "verified_email": person.is_verified}
    return JSON(body)


async def github_user(request: Request) -> Response:
    """GET /user. `email` is the public one, null for most."""
    person = grant_of(request, GITHUB).person
    return JSON({"id": person.number, "login": person.key, "name": person.name, "email": None, "type": "User"})


async def github_emails(request: Request) -> Response:
    """GET /user/emails: every address, one of them the primary."""
    person = grant_of(request, GITHUB, "user:email", "user").person
    if not person.email:
        return JSON([])
    main = {"email": person.email, "primary": True, "verified": person.is_verified, "visibility": "private"}
    other = {"email": f"{person.key}@users.example.org", "primary": False, "verified": True, "visibility": None}
    return JSON([other, main])


async def churchsuite_user(request: Request) -> Response:
    """GET /account/users/current."""
    person = grant_of(request, CHURCHSUITE, "user", "full_access").person
    user = {
        "id": person.number,
        "username": person.key,
        "contact_id": None,
        "name": person.name,
        "email": person.email or None,
        "logins": 7,
        "last_login": "2026-11-20 08:00:00",
        "user_type": "admin",
        "ical_url": "https://example.churchsuite.com/ical/secret-of-the-calendar",
        "image": None,
        "all_sites": True,
        "site_ids": [],
        "mfa_enabled": False,
        "email_signature": "",
        "status": person.status,
    }
    return JSON({"data": user})


async def churchsuite_account(request: Request) -> Response:
    """GET /account/info."""
    person = grant_of(request, CHURCHSUITE, "account", "full_access").person
    info = {"name": person.church, "uuid": CHURCHES[person.church], "subdomain": person.church, "currency": "TZS"}
    return JSON({"data": info})


async def hand_out_id_token(request: Request) -> Response:
    """GET /simulator/google/id_token: what Google's library on a phone would give to the app."""
    told = request.query_params
    person = find_person(told.get("person", "asha"), GOOGLE)
    if person is None:
        return JSON({"error": "Nobody of that name."}, status_code=404)
    audience = told.get("audience", "demo-google-phone")
    issued = desk_of(request).id_token(
        person, issuer=issuer_of(request), audience=audience, nonce=told.get("nonce", "")
    )
    return JSON({"id_token": issued})


def routes() -> Iterable[Route]:
    return [
        Route("/google/o/oauth2/v2/auth", authorize(GOOGLE), methods=["GET"]),
        Route("/google/token", token(GOOGLE), methods=["POST"]),
        Route("/google/oauth2/v3/certs", google_certs, methods=["GET"]),
        Route("/google/oauth2/v2/userinfo", google_userinfo, methods=["GET"]),
        Route("/github/login/oauth/authorize", authorize(GITHUB), methods=["GET"]),
        Route("/github/login/oauth/access_token", token(GITHUB), methods=["POST"]),
        Route("/github/api/user", github_user, methods=["GET"]),
        Route("/github/api/user/emails", github_emails, methods=["GET"]),
        Route("/churchsuite/oauth2/authorize", authorize(CHURCHSUITE), methods=["GET"]),
        Route("/churchsuite/oauth2/token", token(CHURCHSUITE), methods=["POST"]),
        Route("/churchsuite/v2/account/users/current", churchsuite_user, methods=["GET"]),
        Route("/churchsuite/v2/account/info", churchsuite_account, methods=["GET"]),
        Route("/simulator/google/id_token", hand_out_id_token, methods=["GET"]),
    ]
