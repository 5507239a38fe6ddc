"""Registering, and what a person sees and changes about themselves: `/api/v1/auth/...`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import cookies
from apps.accounts.examples import ME_EXAMPLE, PASSWORD_EXAMPLE, SIGNED_IN_EXAMPLE
from apps.accounts.methods import Method
from apps.accounts.serializers.accounts import MeOutput, RegisterInput, UpdateProfileInput
from apps.accounts.serializers.sessions import SignedInOutput
from apps.accounts.services.accounts import DeletionPending, register, update_profile
from apps.accounts.services.sessions import AccountInactive
from apps.accounts.services.sign_in import MfaRequired
from apps.accounts.views.sessions import SESSION_REFUSALS, PublicAuthView, choose_transport, principal_of, sign_in
from core.client_address import client_address
from core.openapi import operation
from core.response_wrapper import success_response
from core.throttling.limits import Throttled
from core.views import APIView

F = TypeVar("F", bound=Callable[..., Any])


def describe_registration(id: str, *, tag: str) -> Callable[[F], F]:
    """One operation under two addresses."""
    return operation(
        id=id,
        tag=tag,
        summary="Register and sign in",
        description=(
            "Answers the same for an address that is known: an address is a claim until the link in the mail is "
            "followed. Repeating the request with the same password signs in to the same account."
        ),
        request=RegisterInput,
        request_examples={
            "Phone app": {
                "email": "asha@example.com",
                "password": PASSWORD_EXAMPLE,
                "first_name": "Asha",
                "last_name": "Juma",
                "phone": "+255712345678",
            }
        },
        response=SignedInOutput,
        status=201,
        message=_("Welcome."),
        example=SIGNED_IN_EXAMPLE,
        errors=[MfaRequired, AccountInactive, DeletionPending, Throttled, cookies.CsrfFailed],
    )


def register_and_sign_in(request: Request) -> Response:
    data = RegisterInput.parse(request.data)
    transport = choose_transport(request, data.pop("transport", None))
    user = register(**data, language=(get_language() or "en")[:2], client=client_address(request))
    return sign_in(request, user, transport, method=Method.PASSWORD, message=_("Welcome."), status=201)


class RegisterView(PublicAuthView):
    @describe_registration("auth_register", tag="auth")
    def post(self, request: Request) -> Response:
        return register_and_sign_in(request)


def _profile_change(id: str) -> Callable[[F], F]:
    """One operation under three addresses."""
    return operation(
        id=id,
        tag="auth",
        summary="Change my names or my language",
        request=UpdateProfileInput,
        request_examples={"Swahili": {"language": "sw"}},
        response=MeOutput,
        message=_("Saved."),
        example=ME_EXAMPLE,
        errors=SESSION_REFUSALS,
    )


class MeView(APIView):
    @operation(
        id="auth_me",
        tag="auth",
        summary="Who am I?",
        response=MeOutput,
        message=_("This is you."),
        example=ME_EXAMPLE,
        errors=SESSION_REFUSALS,
    )
    def get(self, request: Request) -> Response:
        return success_response(MeOutput(principal_of(request)).data, message=_("This is you."))

    @_profile_change("auth_update_me")
    def patch(self, request: Request) -> Response:
        return _update(request)


class UpdateProfileView(APIView):
    """The same under the name that older frontends know."""

    @_profile_change("auth_update_profile")
    def put(self, request: Request) -> Response:
        return _update(request)

    @_profile_change("auth_patch_profile")
    def patch(self, request: Request) -> Response:
        return _update(request)


def _update(request: Request) -> Response:
    update_profile(user=principal_of(request).user, **UpdateProfileInput.parse(request.data))
    return success_response(MeOutput(principal_of(request)).data, message=_("Saved."))
