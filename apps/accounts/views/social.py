"""Signing in through others: `/api/v1/auth/social/...`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import cookies
from apps.accounts.examples import (
    CODE_CHALLENGE_EXAMPLE,
    CODE_VERIFIER_EXAMPLE,
    LINKED_ACCOUNT_EXAMPLE,
    SIGNED_IN_EXAMPLE,
    SOCIAL_CODE_EXAMPLE,
)
from apps.accounts.methods import Method
from apps.accounts.selectors import list_linked_accounts
from apps.accounts.serializers.sessions import SignedInOutput
from apps.accounts.serializers.social import (
    ExchangeSocialInput,
    LinkedAccountOutput,
    LinkSocialInput,
    SocialProviderOutput,
    SocialTokenInput,
    StartedSocialOutput,
    StartSocialInput,
    StartSocialQuery,
)
from apps.accounts.services.sessions import AccountInactive
from apps.accounts.services.sign_in import MfaRequired
from apps.accounts.services.social import (
    TOKEN_REFUSALS,
    EmailNeeded,
    LastWayIn,
    SocialAccountTaken,
    link_with_code,
    sign_in_with_code,
    sign_in_with_token,
    unlink,
)
from apps.accounts.services.social_flows import (
    START_REFUSALS,
    SocialCodeInvalid,
    StartedFlow,
    finish_flow,
    list_providers,
    start_flow,
)
from apps.accounts.services.step_up import ReauthenticationRequired
from apps.accounts.views.sessions import SESSION_REFUSALS, PublicAuthView, choose_transport, principal_of, sign_in
from core.client_address import client_address
from core.exceptions import NotFound
from core.openapi import operation
from core.response_wrapper import success_response
from core.throttling.limits import Throttled
from core.views import APIView

START_QUERY = [
    OpenApiParameter("code_challenge", OpenApiTypes.STR, required=True, description="S256, RFC 7636."),
    OpenApiParameter("code_challenge_method", OpenApiTypes.STR, enum=["S256"]),
    OpenApiParameter("redirect", OpenApiTypes.STR, description="A registered name or address."),
    OpenApiParameter("state", OpenApiTypes.STR, description="Your own value, given back beside the code."),
]
CALLBACK_QUERY = [
    OpenApiParameter(name, OpenApiTypes.STR, description="From the provider.") for name in ("state", "code", "error")
]


class SocialProviderListView(PublicAuthView):
    @operation(
        id="auth_social_providers",
        tag="auth",
        summary="Which other houses can I sign in through?",
        description="Those that this installation has credentials for.",
        response=SocialProviderOutput(many=True),
        message=_("Ways to sign in."),
        example={"code": "google", "name": "Google", "takes_id_tokens": True},
    )
    def get(self, request: Request) -> Response:
        return success_response(SocialProviderOutput(list_providers(), many=True).data, message=_("Ways to sign in."))


class SocialStartView(PublicAuthView):
    @operation(
        id="auth_social_start",
        tag="auth",
        summary="Begin to sign in through a provider",
        description=(
            "Answers with the address to which to send the person. For a page the answer also sets a cookie, with "
            "which alone they can come back, so a script must ask with credentials included; or let the browser open "
            "this address itself (GET)."
        ),
        request=StartSocialInput,
        request_examples={
            "Web page": {"code_challenge": CODE_CHALLENGE_EXAMPLE, "redirect": "web", "state": "af0ifjsldkj"},
            "Phone app": {"code_challenge": CODE_CHALLENGE_EXAMPLE, "redirect": "app", "state": "af0ifjsldkj"},
        },
        response=StartedSocialOutput,
        message=_("Continue at the provider."),
        example={
            "authorize_url": "https://accounts.google.com/o/oauth2/v2/auth?client_id=...&state=...",
            "expires_at": "2026-11-20T09:10:00Z",
        },
        errors=[*START_REFUSALS, Throttled],
    )
    def post(self, request: Request, provider: str) -> Response:
        started = _start(request, provider, StartSocialInput.parse(request.data))
        response = success_response(StartedSocialOutput(started).data, message=_("Continue at the provider."))
        _set_cookie(response, started)
        return response

    @operation(
        id="auth_social_open",
        tag="auth",
        summary="Begin to sign in through a provider, in the browser",
        description="The same for a browser that opens this address: it is sent on to the provider.",
        parameters=START_QUERY,
        status=302,
        message=_("On to the provider."),
        errors=[*START_REFUSALS, Throttled],
    )
    def get(self, request: Request, provider: str) -> HttpResponse:
        started = _start(request, provider, StartSocialQuery.parse(request.query_params))
        response = _sent_to(started.authorize_url)
        _set_cookie(response, started)
        return response


class SocialCallbackView(PublicAuthView):
    @operation(
        id="auth_social_callback",
        tag="auth",
        summary="Where the provider sends the person back to",
        description=(
            "For the provider's own redirect. Sends the browser on to the return address of the start: with `code` and "
            "`state`, or with `error` (a code of ours) and `state`."
        ),
        parameters=CALLBACK_QUERY,
        status=302,
        message=_("On to the application."),
        errors=START_REFUSALS[:1],
    )
    def get(self, request: Request, provider: str) -> HttpResponse:
        told = {name: request.query_params.get(name, "") for name in ("state", "code", "error")}
        finished = finish_flow(provider=provider, **told, cookies=request.COOKIES)
        response = _sent_to(finished.url)
        if finished.cookie_name:
            _put_cookie(response, finished.cookie_name, "", age=0)
        return response


class SocialExchangeView(PublicAuthView):
    @operation(
        id="auth_social_exchange",
        tag="auth",
        summary="Sign in with the code that came back",
        description=(
            "Within 60 seconds, once, by whoever has the verifier of the start. After `email_needed` ask the person "
            "for their address and repeat with `data.continuation` as the code, the same verifier, and `email`."
        ),
        request=ExchangeSocialInput,
        request_examples={"Code": {"code": SOCIAL_CODE_EXAMPLE, "code_verifier": CODE_VERIFIER_EXAMPLE}},
        response=SignedInOutput,
        message=_("Signed in."),
        example=SIGNED_IN_EXAMPLE,
        errors=[SocialCodeInvalid, EmailNeeded, AccountInactive, MfaRequired, Throttled, cookies.CsrfFailed],
    )
    def post(self, request: Request) -> Response:
        data = ExchangeSocialInput.parse(request.data)
        transport = choose_transport(request, data.pop("transport", None))
        user = sign_in_with_code(**data, **_who_asks(request))
        return sign_in(request, user, transport, method=Method.SOCIAL, message=_("Signed in."))


class SocialTokenView(PublicAuthView):
    @operation(
        id="auth_social_token",
        tag="auth",
        summary="Sign in with an id_token that a phone got from the provider",
        description=(
            "Google only. GitHub's and ChurchSuite's tokens do not say for which app they were given: start in the "
            "browser instead."
        ),
        request=SocialTokenInput,
        request_examples={"Google": {"id_token": "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.claims.signature"}},
        response=SignedInOutput,
        message=_("Signed in."),
        example=SIGNED_IN_EXAMPLE,
        errors=[
            *TOKEN_REFUSALS,
            EmailNeeded,
            AccountInactive,
            MfaRequired,
            Throttled,
            cookies.CsrfFailed,
        ],
    )
    def post(self, request: Request, provider: str) -> Response:
        data = SocialTokenInput.parse(request.data)
        transport = choose_transport(request, data.pop("transport", None))
        user = sign_in_with_token(provider=provider, **data, **_who_asks(request))
        return sign_in(request, user, transport, method=Method.SOCIAL, message=_("Signed in."))


class LinkedAccountListView(APIView):
    is_atomic = False  # a code that was tried in vain stays spent

    @operation(
        id="auth_social_accounts_list",
        tag="auth",
        summary="Through whom can I sign in?",
        response=LinkedAccountOutput(many=True),
        message=_("Your connected accounts."),
        example=LINKED_ACCOUNT_EXAMPLE,  # of one row: drf-spectacular makes the list
        errors=SESSION_REFUSALS,
    )
    def get(self, request: Request) -> Response:
        accounts = list_linked_accounts(user_id=principal_of(request).user.pk)
        return success_response(LinkedAccountOutput(accounts, many=True).data, message=_("Your connected accounts."))

    @operation(
        id="auth_social_accounts_link",
        tag="auth",
        summary="Connect an account at a provider with mine",
        description="Start as for signing in, and bring the code here instead. Linking the same account again is fine.",
        request=LinkSocialInput,
        request_examples={"Code": {"code": SOCIAL_CODE_EXAMPLE, "code_verifier": CODE_VERIFIER_EXAMPLE}},
        response=LinkedAccountOutput,
        status=201,
        message=_("Connected."),
        example=LINKED_ACCOUNT_EXAMPLE,
        errors=[*SESSION_REFUSALS, ReauthenticationRequired, SocialCodeInvalid, SocialAccountTaken],
    )
    def post(self, request: Request) -> Response:
        data = LinkSocialInput.parse(request.data)
        linked = link_with_code(session=principal_of(request).session, **data)
        return success_response(LinkedAccountOutput(linked).data, message=_("Connected."), status=201)


class LinkedAccountDetailView(APIView):
    @operation(
        id="auth_social_accounts_unlink",
        tag="auth",
        summary="Disconnect an account at a provider from mine",
        message=_("Disconnected."),
        errors=[*SESSION_REFUSALS, ReauthenticationRequired, LastWayIn, NotFound],
    )
    def delete(self, request: Request, account_id: UUID) -> Response:
        unlink(session=principal_of(request).session, account_id=account_id)
        return success_response(message=_("Disconnected."))


def _who_asks(request: Request) -> dict[str, str]:
    return {"language": (get_language() or "en")[:2], "client": client_address(request)}


def _start(request: Request, provider: str, data: dict[str, Any]) -> StartedFlow:
    data.pop("code_challenge_method")
    # The versioned path, however the client addresses us: it is registered with the provider.
    callback = request.build_absolute_uri(f"/api/v1/auth/social/{provider}/callback/")
    return start_flow(provider=provider, **data, callback_url=callback, client=client_address(request))


def _sent_to(url: str) -> HttpResponse:
    """Django's own redirect refuses the schemes of apps; ours come from the settings and from the provider's class."""
    return HttpResponse(status=302, headers={"Location": url, "Referrer-Policy": "no-referrer"})


def _set_cookie(response: HttpResponse | Response, started: StartedFlow) -> None:
    if started.cookie_name:
        age = int(settings.SOCIAL_FLOW_LIFETIME.total_seconds())
        _put_cookie(response, started.cookie_name, started.cookie_value, age=age)


def _put_cookie(response: HttpResponse | Response, name: str, value: str, *, age: int) -> None:
    # Lax: the provider's redirect is a navigation from another site.
    response.set_cookie(
        name,
        value,
        max_age=age,
        path="/api/v1/auth/social/",
        secure=settings.AUTH_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
