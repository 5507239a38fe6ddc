"""People of the tenant that the session is in: `/api/v1/users/`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.examples import PERSON_EXAMPLE
from apps.accounts.serializers.people import ChangePersonInput, PeopleFilterInput, PersonOutput
from apps.accounts.services.accounts import change_person, remove_person
from apps.accounts.services.deletion import DELETION_REFUSALS, request_deletion
from apps.accounts.views.accounts import describe_registration, register_and_sign_in
from apps.accounts.views.deletion import goodbye
from apps.accounts.views.sessions import SESSION_REFUSALS, principal_of
from apps.tenants.permissions import IsTenantMember, NotAMember, TenantSuspended
from apps.tenants.selectors.members import find_member, list_members
from apps.tenants.services.members import ROLE_REFUSALS
from core.exceptions import NotFound
from core.openapi import operation
from core.pagination import paginated_response
from core.response_wrapper import success_response
from core.views import APIView

F = TypeVar("F", bound=Callable[..., Any])

TENANT_REFUSALS = (*SESSION_REFUSALS, NotAMember, TenantSuspended)


class UserListView(APIView):
    """Registering is for everybody, and the list for people of the tenant."""

    permission_classes = (IsAuthenticated, IsTenantMember)
    public_methods = frozenset({"POST"})

    def get_authenticators(self) -> list[BaseAuthentication]:
        return [] if self._is_public() else super().get_authenticators()

    def get_permissions(self) -> Sequence[Any]:
        return [AllowAny()] if self._is_public() else super().get_permissions()

    def _is_public(self) -> bool:
        return self.request is not None and self.request.method in self.public_methods

    @operation(
        id="users_list",
        tag="users",
        summary="List the people of my organisation, newest first",
        parameters=[PeopleFilterInput],
        response=PersonOutput,
        is_page=True,
        message=_("People."),
        example=PERSON_EXAMPLE,
        errors=TENANT_REFUSALS,
    )
    def get(self, request: Request) -> Response:
        filters = PeopleFilterInput.parse(request.query_params)
        return paginated_response(request, list_members(**filters), PersonOutput, message=_("People."))

    @describe_registration("users_create", tag="users")
    def post(self, request: Request) -> Response:
        return register_and_sign_in(request)


class OwnUserView(APIView):
    """Myself, as the others of my tenant see me."""

    permission_classes = (IsAuthenticated, IsTenantMember)

    @operation(
        id="users_me",
        tag="users",
        summary="Who am I in my organisation?",
        response=PersonOutput,
        message=_("This is you."),
        example=PERSON_EXAMPLE,
        errors=TENANT_REFUSALS,
    )
    def get(self, request: Request) -> Response:
        return success_response(_print(principal_of(request).user.pk), message=_("This is you."))


def _change(id: str) -> Callable[[F], F]:
    """One operation under two methods: whatever is left out stays as it is."""
    return operation(
        id=id,
        tag="users",
        summary="Change a person of my organisation",
        description=(
            "Oneself: names and language. Somebody else, for owners and admins: names, language, and the role here. "
            "E-mail address, phone and password belong to the person alone: see `/auth/`."
        ),
        request=ChangePersonInput,
        request_examples={"Make an admin": {"role": "admin"}, "Correct a name": {"first_name": "Juma"}},
        response=PersonOutput,
        message=_("Saved."),
        example=PERSON_EXAMPLE,
        errors=[*TENANT_REFUSALS, NotFound, *ROLE_REFUSALS],
    )


class UserDetailView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember)

    @operation(
        id="users_get",
        tag="users",
        summary="Get a person of my organisation",
        response=PersonOutput,
        message=_("Person."),
        example=PERSON_EXAMPLE,
        errors=[*TENANT_REFUSALS, NotFound],
    )
    def get(self, request: Request, user_id: UUID) -> Response:
        return success_response(_print(user_id), message=_("Person."))

    @_change("users_update")
    def put(self, request: Request, user_id: UUID) -> Response:
        return self._save(request, user_id)

    @_change("users_patch")
    def patch(self, request: Request, user_id: UUID) -> Response:
        return self._save(request, user_id)

    def _save(self, request: Request, user_id: UUID) -> Response:
        data = ChangePersonInput.parse(request.data)
        change_person(actor_id=principal_of(request).user.pk, user_id=user_id, **data)
        return success_response(_print(user_id), message=_("Saved."))

    @operation(
        id="users_remove",
        tag="users",
        summary="Take a person out of my organisation, or delete my account",
        description=(
            "Somebody else, for owners and admins: the person keeps their account, and their next request in this "
            "organisation is refused. Oneself: what `POST /auth/delete-account/` does."
        ),
        message=_("Member removed."),
        errors=[*TENANT_REFUSALS, NotFound, *ROLE_REFUSALS, *DELETION_REFUSALS],
    )
    def delete(self, request: Request, user_id: UUID) -> Response:
        if user_id == principal_of(request).user.pk:
            request_deletion(session=principal_of(request).session)
            return goodbye(request)
        remove_person(actor_id=principal_of(request).user.pk, user_id=user_id)
        return success_response(message=_("Member removed."))


def _print(user_id: UUID) -> dict[str, Any]:
    member = find_member(user_id=user_id)
    if member is None:
        raise NotFound
    return dict(PersonOutput(member).data)
