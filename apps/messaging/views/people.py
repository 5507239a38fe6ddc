"""The HTTP face of a person's choices, and of the unsubscribe link in e-mails."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.messaging.selectors.people import get_preferences, list_opted_out
from apps.messaging.serializers.people import PreferencesInput, PreferencesOutput, UnsubscribeOutput
from apps.messaging.services.consent import read_unsubscribe, unsubscribe
from apps.messaging.services.preferences import PREFERENCE_REFUSALS, change_preferences
from core.exceptions import NotFound
from core.openapi import operation
from core.response_wrapper import success_response
from core.views import APIView

_ON = {"sms": True, "email": True, "inbox": True}
PREFERENCES_EXAMPLE: dict[str, Any] = {
    "kinds": {
        "code": _ON,
        "security": _ON,
        "receipt": _ON,
        "service": _ON,
        "marketing": {"sms": False, "email": False, "inbox": True},
    },
    "opted_out": [],
}
WISH_EXAMPLE = {"kinds": {"marketing": {"sms": False, "email": False}}}
UNSUBSCRIBE_EXAMPLE = {"address": "a***@example.com", "is_subscribed": True}
SHOWN, CHANGED = _("Preferences."), _("Preferences saved.")


def _answer(user_id: UUID, message: Any) -> Response:
    told = {"kinds": get_preferences(user_id=user_id), "opted_out": list_opted_out(user_id=user_id)}
    return success_response(PreferencesOutput(told).data, message=message)


class PreferencesView(APIView):
    """For oneself, in whichever tenant: what somebody wants to hear is not a tenant's to know."""

    permission_classes = (IsAuthenticated,)

    @operation(
        id="messaging_preferences_get",
        tag="messaging",
        summary="See which messages you want",
        description=(
            "By kind and channel. `opted_out`: by which channels your address gets nothing but codes, security "
            "notices and receipts, because you texted STOP, unsubscribed or said so here."
        ),
        response=PreferencesOutput,
        message=SHOWN,
        example=PREFERENCES_EXAMPLE,
    )
    def get(self, request: Request) -> Response:
        return _answer(request.auth.user.pk, SHOWN)

    @operation(
        id="messaging_preferences_replace",
        tag="messaging",
        summary="Choose which messages you want",
        description="What is not named is on again. Codes, security notices and receipts cannot be turned off.",
        request=PreferencesInput,
        request_examples={"No advertising": WISH_EXAMPLE},
        response=PreferencesOutput,
        message=CHANGED,
        example=PREFERENCES_EXAMPLE,
        errors=PREFERENCE_REFUSALS,
    )
    def put(self, request: Request) -> Response:
        return self._change(request, is_complete=True)

    @operation(
        id="messaging_preferences_change",
        tag="messaging",
        summary="Change some of your choices",
        description="What is not named stays. Codes, security notices and receipts cannot be turned off.",
        request=PreferencesInput,
        request_examples={"No advertising": WISH_EXAMPLE, "No texts": {"opted_out": ["sms"]}},
        response=PreferencesOutput,
        message=CHANGED,
        example=PREFERENCES_EXAMPLE,
        errors=PREFERENCE_REFUSALS,
    )
    def patch(self, request: Request) -> Response:
        return self._change(request, is_complete=False)

    def _change(self, request: Request, *, is_complete: bool) -> Response:
        asked = PreferencesInput.parse(request.data)
        wish = {"kinds": asked.get("kinds", {}), "opted_out": asked.get("opted_out")}
        change_preferences(user_id=request.auth.user.pk, is_complete=is_complete, **wish)
        return _answer(request.auth.user.pk, CHANGED)


class UnsubscribeView(APIView):
    """The link in the headers of an e-mail. Mail programs POST a form to it (RFC 8058), which says nothing more."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @operation(
        id="messaging_unsubscribe_look",
        tag="messaging",
        summary="See what an unsubscribe link is about",
        description="Changes nothing, so that a mail program may look at a link without following it.",
        response=UnsubscribeOutput,
        message=_("Unsubscribe by sending a POST request to this address."),
        example=UNSUBSCRIBE_EXAMPLE,
        errors=[NotFound],
    )
    def get(self, request: Request, token: str) -> Response:
        address, is_subscribed = read_unsubscribe(token=token)
        told = {"address": address, "is_subscribed": is_subscribed}
        message = _("Unsubscribe by sending a POST request to this address.")
        return success_response(UnsubscribeOutput(told).data, message=message)

    @operation(
        id="messaging_unsubscribe",
        tag="messaging",
        summary="Stop e-mails to the address of the link",
        description=(
            "One click (RFC 8058): no token but the link's, and no body is read. Codes, security notices and receipts "
            "still come. Repeating it is harmless."
        ),
        response=UnsubscribeOutput,
        message=_("You are unsubscribed."),
        example=UNSUBSCRIBE_EXAMPLE | {"is_subscribed": False},
        errors=[NotFound],
    )
    def post(self, request: Request, token: str) -> Response:
        told = {"address": unsubscribe(token=token), "is_subscribed": False}
        return success_response(UnsubscribeOutput(told).data, message=_("You are unsubscribed."))
