"""Signing in and out: `/api/v1/auth/...`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import cookies
from apps.accounts.examples import CSRF_EXAMPLE, PASSWORD_EXAMPLE, SESSION_EXAMPLE, SIGNED_IN_EXAMPLE, TENANT_EXAMPLE
from apps.accounts.methods import Method
from apps.accounts.selectors import Principal, find_principal, list_live_sessions
from apps.accounts.serializers.accounts import LoginInput, UserOutput, print_tenant
from apps.accounts.serializers.sessions import (
    CsrfOutput,
    RefreshInput,
    SessionOutput,
    SignedInOutput,
    SwitchTenantInput,
)
from apps.accounts.services.accounts import DeletionPending, InvalidCredentials, check_credentials
from apps.accounts.services.sessions import (
    AccountInactive,
    RefreshReused,
    SessionRevoked,
    check_alive,
    end_session,
    end_session_of,
    log_out_everywhere,
    refresh_session,
    switch_tenant,
)
from apps.accounts.services.sign_in import MfaRequired, begin_sign_in
from apps.accounts.tokens import (
    Claims,
    SessionExpired,
    TokenExpired,
    TokenInvalid,
    TokenPair,
    bearer_token,
    read_access,
    read_refresh,
)
from apps.accounts.transports import Transport
from core.client_address import client_address
from core.exception_handler import refusal_response
from core.exceptions import NotAuthenticated, NotFound
from core.openapi import operation
from core.response_wrapper import success_response
from core.throttling.limits import Throttled
from core.views import APIView

# How a request with a token can be refused at the door, for the schema.
SESSION_REFUSALS = (TokenInvalid, TokenExpired, SessionRevoked, SessionExpired, AccountInactive)


class PublicAuthView(APIView):
    """Endpoints that work without an access token; an outdated one in the header does not disturb them."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def finalize_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-store"
        return response


class LoginView(PublicAuthView):
    @operation(
        id="auth_login",
        tag="auth",
        summary="Sign in",
        description=(
            "401 `mfa_required` for an account with a second factor: nobody is signed in yet. Send `data.challenge` "
            "with a code to `auth/mfa/verify/`."
        ),
        request=LoginInput,
        request_examples={
            "Phone app": {"email": "asha@example.com", "password": PASSWORD_EXAMPLE},
            "Web page": {"email": "asha@example.com", "password": PASSWORD_EXAMPLE, "transport": "cookies"},
        },
        response=SignedInOutput,
        message=_("Signed in."),
        example=SIGNED_IN_EXAMPLE,
        errors=[InvalidCredentials, MfaRequired, AccountInactive, DeletionPending, Throttled, cookies.CsrfFailed],
    )
    def post(self, request: Request) -> Response:
        data = LoginInput.parse(request.data)
        transport = choose_transport(request, data.get("transport"))
        user = check_credentials(email=data["email"], password=data["password"], client=client_address(request))
        return sign_in(request, user, transport, method=Method.PASSWORD, message=_("Signed in."))


class RefreshView(PublicAuthView):
    @operation(
        id="auth_refresh",
        tag="auth",
        summary="Exchange the refresh token for new tokens",
        description=(
            "Keep the new refresh token and forget the old one. If an answer is lost, repeat the request within 10 "
            "seconds and get the same successor; an older token ends the session."
        ),
        request=RefreshInput,
        request_examples={"Phone app": {"refresh": "eyJhbGciOiJIUzI1NiJ9.refresh.signature"}, "Web page": {}},
        response=SignedInOutput,
        message=_("Refreshed."),
        example=SIGNED_IN_EXAMPLE,
        errors=[
            NotAuthenticated,
            TokenInvalid,
            SessionRevoked,
            SessionExpired,
            RefreshReused,
            AccountInactive,
            Throttled,
            cookies.CsrfFailed,
        ],
    )
    def post(self, request: Request) -> Response:
        raw = RefreshInput.parse(request.data or {}).get("refresh")
        if raw is not None:
            claims = read_refresh(raw)
        else:
            raw = request.COOKIES.get(cookies.refresh_cookie())
            if raw is None:
                raise NotAuthenticated
            claims = read_refresh(raw)
            _check_cookie_proof(request, claims)
        principal, tokens = refresh_session(claims=claims)
        return signed_in(request, principal, tokens, message=_("Refreshed."))


class LogoutView(PublicAuthView):
    @operation(
        id="auth_logout",
        tag="auth",
        summary="End this session",
        description="Both tokens are dead from the next request on. Repeating it is fine. Clears the cookies.",
        request=RefreshInput,
        request_examples={"Phone app": {"refresh": "eyJhbGciOiJIUzI1NiJ9.refresh.signature"}, "Web page": {}},
        message=_("Signed out."),
        errors=[cookies.CsrfFailed],
    )
    def post(self, request: Request) -> Response:
        raw = RefreshInput.parse(request.data or {}).get("refresh")
        ending = _sessions_to_end(request, raw)
        if not ending and raw is None and _is_from_a_page(request):
            # Nothing to end, but cookies to clear: another site's form, sent without them, must not do that.
            cookies.check_origin(request)
        for claims in ending:
            end_session(session_id=claims.session_id)
        response = success_response(message=_("Signed out."))
        cookies.clear_cookies(request, response)
        return response


class CsrfView(PublicAuthView):
    @operation(
        id="auth_csrf",
        tag="auth",
        summary="The X-CSRF-Token of this browser's session",
        description=(
            "For a page that starts with tokens in cookies (`cookies`) and does not know the token: a page of another "
            "origin cannot read our cookies. It stays the same until the session ends; null with `refresh_cookie`, "
            "which needs none. 401 says that this browser is not signed in."
        ),
        response=CsrfOutput,
        message=_("This is your CSRF token."),
        example={"transport": "cookies", "csrf_token": CSRF_EXAMPLE},
        errors=[NotAuthenticated, *SESSION_REFUSALS, RefreshReused],
    )
    def get(self, request: Request) -> Response:
        session = _principal_of_cookies(request).session
        is_all_cookies = session.transport == Transport.COOKIES
        csrf = cookies.csrf_token_for(request, session.pk) if is_all_cookies else None
        data = CsrfOutput({"transport": session.transport, "csrf_token": csrf}).data
        response = success_response(data, message=_("This is your CSRF token."))
        if csrf is not None and csrf != request.COOKIES.get(cookies.csrf_cookie()):
            cookies.set_csrf_cookie(response, session, csrf)
        return response


class SwitchTenantView(APIView):
    @operation(
        id="auth_switch_tenant",
        tag="auth",
        summary="Work in another of my organisations",
        description=(
            "The same session, with tokens for the other organisation; they travel as they do after a refresh. Access "
            "tokens from before answer `token_expired` from now on."
        ),
        request=SwitchTenantInput,
        request_examples={"Another shop": {"tenant": TENANT_EXAMPLE["id"]}},
        response=SignedInOutput,
        message=_("Switched."),
        example=SIGNED_IN_EXAMPLE,
        errors=[*SESSION_REFUSALS, NotFound],
    )
    def post(self, request: Request) -> Response:
        data = SwitchTenantInput.parse(request.data)
        session = principal_of(request).session
        principal, tokens = switch_tenant(session_id=session.pk, user_id=session.user_id, tenant_id=data["tenant"])
        return signed_in(request, principal, tokens, message=_("Switched."))


class LogoutAllView(APIView):
    @operation(
        id="auth_logout_all",
        tag="auth",
        summary="End every session of mine",
        description="On every device, this one included.",
        message=_("Signed out everywhere."),
        errors=SESSION_REFUSALS,
    )
    def post(self, request: Request) -> Response:
        log_out_everywhere(user=principal_of(request).user)
        response = success_response(message=_("Signed out everywhere."))
        cookies.clear_cookies(request, response)
        return response


class SessionListView(APIView):
    @operation(
        id="auth_sessions_list",
        tag="auth",
        summary="Where am I signed in?",
        response=SessionOutput(many=True),
        message=_("Your sessions."),
        example=SESSION_EXAMPLE,  # of one row: drf-spectacular makes the list
        errors=SESSION_REFUSALS,
    )
    def get(self, request: Request) -> Response:
        sessions = list_live_sessions(user_id=principal_of(request).user.pk)
        data = SessionOutput(sessions, many=True, context={"current": principal_of(request).session.pk}).data
        return success_response(data, message=_("Your sessions."))


class SessionDetailView(APIView):
    @operation(
        id="auth_sessions_end",
        tag="auth",
        summary="End one session of mine",
        message=_("The session has ended."),
        errors=SESSION_REFUSALS,
    )
    def delete(self, request: Request, session_id: UUID) -> Response:
        end_session_of(user_id=principal_of(request).user.pk, session_id=session_id)
        return success_response(message=_("The session has ended."))


def principal_of(request: Request) -> Principal:
    """Who is asking, as `SessionTokenAuthentication` found them."""
    return cast(Principal, request.auth)


def choose_transport(request: Request, wanted: str | None) -> str:
    """Where this client's tokens travel; a browser that gets cookies must be on a page of ours."""
    is_browser = "Origin" in request.headers
    transport = wanted or (Transport.REFRESH_COOKIE if is_browser else Transport.BODY)
    if transport != Transport.BODY and is_browser:
        cookies.check_origin(request)
    return transport


def sign_in(
    request: Request, user: Any, transport: str, *, method: Method, message: Any, status: int = 200
) -> Response:
    """Open a session for who has proven themselves by `method` and answer with its tokens.

    Who has a second factor is answered `MfaRequired`, and signed in by `VerifyView`.
    """
    result = begin_sign_in(
        user=user,
        transport=transport,
        method=method,
        user_agent=request.headers.get("User-Agent", ""),
        client=client_address(request),
    )
    if isinstance(result, MfaRequired):
        # Answered, not raised: a view in a transaction would roll the challenge back.
        return cast(Response, refusal_response(result))
    principal, tokens = result
    return signed_in(request, principal, tokens, message=message, status=status)


def signed_in(
    request: Request,
    principal: Principal,
    tokens: TokenPair,
    *,
    message: Any,
    status: int = 200,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """Answer with the tokens of a session, in the way that its transport wants them, and with what is `extra`."""
    session = principal.session
    is_body = session.transport == Transport.BODY
    is_all_cookies = session.transport == Transport.COOKIES
    csrf = cookies.csrf_token_for(request, session.pk) if is_all_cookies else None
    data = {
        "user": UserOutput(session.user).data,
        "tenant": print_tenant(principal),
        "transport": session.transport,
        "access": None if is_all_cookies else tokens.access,
        "refresh": tokens.refresh if is_body else None,
        "csrf_token": csrf,
        "access_expires_at": tokens.access_expires_at,
        "refresh_expires_at": tokens.refresh_expires_at,
        **(extra or {}),
    }
    response = success_response(data, message=message, status=status)
    response.headers["Cache-Control"] = "no-store"
    if not is_body:
        cookies.set_cookies(request, response, session, tokens, csrf or "")
    response.headers["Cache-Control"] = "no-store"
    return response


def _is_from_a_page(request: Request) -> bool:
    """Whether a browser sent this for a page: all that are in use say so in at least one of these."""
    return "Authorization" not in request.headers and not {"Origin", "Sec-Fetch-Site"}.isdisjoint(request.headers)


def _principal_of_cookies(request: Request) -> Principal:
    """The live session that this browser's cookies name, or the reason why there is none."""
    if (raw := request.COOKIES.get(cookies.refresh_cookie())) is not None:
        claims = read_refresh(raw)
    elif (raw := request.COOKIES.get(cookies.access_cookie())) is not None:
        claims = read_access(raw)
    else:
        raise NotAuthenticated
    principal = find_principal(session_id=claims.session_id)
    if principal is None:
        raise SessionRevoked
    check_alive(principal, user_id=claims.user_id)
    return principal


def _check_cookie_proof(request: Request, claims: Claims) -> None:
    principal = find_principal(session_id=claims.session_id)
    if principal is None:
        raise SessionRevoked
    cookies.check_csrf(request, principal.session)


def _sessions_to_end(request: Request, raw_refresh: str | None) -> list[Claims]:
    """The sessions that this request names and proves. Tokens that are no longer good have nothing left to end."""
    found: list[Claims] = []
    try:
        if raw_refresh is not None:
            found.append(read_refresh(raw_refresh))
        if (raw_access := bearer_token(request.headers.get("Authorization"))) is not None:
            found.append(read_access(raw_access))
    except NotAuthenticated:
        pass
    for name, read in ((cookies.refresh_cookie(), read_refresh), (cookies.access_cookie(), read_access)):
        if not found and (raw := request.COOKIES.get(name)):
            try:
                claims = read(raw)
                _check_cookie_proof(request, claims)
                found.append(claims)
            except NotAuthenticated:
                continue
    return found
