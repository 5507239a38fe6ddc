"""The HTTP face of wordings. Platform staff change them in the admin; tenants see what is said in their name."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.messaging.selectors.templates import get_template_state, list_templates
from apps.messaging.serializers.templates import (
    PreviewListOutput,
    PreviewTemplateInput,
    TemplateListOutput,
    TemplateOutput,
)
from apps.messaging.services.templates import WordingRefused, preview
from apps.tenants.permissions import IsTenantAdmin, IsTenantMember, NotAMember, TenantSuspended
from apps.tenants.services.members import AdminsOnly
from core.openapi import operation
from core.response_wrapper import success_response
from core.views import APIView

TEMPLATE_EXAMPLE = {
    "key": "refund",
    "kind": "receipt",
    "description": "Money was sent back: to the phone that paid",
    "variables": [
        {
            "name": "amount",
            "description": "How much, with its currency",
            "example": "TZS 5,000",
            "is_required": True,
            "max_length": 30,
        },
        {
            "name": "reference",
            "description": "The merchant's reference, or ours",
            "example": "order-1024",
            "is_required": True,
            "max_length": 64,
        },
    ],
    "wordings": [
        {
            "language": "en",
            "version": 0,
            "published_at": None,
            "forms": [
                {
                    "channel": "sms",
                    "subject": "",
                    "text": "{amount} was sent back to you. Reference {reference}.",
                }
            ],
        },
        {
            "language": "sw",
            "version": 3,
            "published_at": "2026-11-20T09:00:00Z",
            "forms": [
                {"channel": "sms", "subject": "", "text": "Umerudishiwa {amount}. Kumbukumbu namba {reference}."}
            ],
        },
    ],
}
PREVIEW_EXAMPLE = {
    "language": "en",
    "previews": [
        {
            "channel": "sms",
            "subject": "",
            "text": "TZS 5,000 was sent back to you. Reference order-1024.",
            "parts": 1,
        }
    ],
}
ERRORS = [NotAMember, TenantSuspended, AdminsOnly]


class TemplateListView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="messaging_templates_list",
        tag="messaging",
        summary="List what the platform writes to people in your name",
        description="For owners and admins. Each template with its placeholders and its wording in every language.",
        response=TemplateListOutput,
        message=_("Templates."),
        example={"templates": [TEMPLATE_EXAMPLE]},
        errors=ERRORS,
    )
    def get(self, request: Request) -> Response:
        return success_response(TemplateListOutput({"templates": list_templates()}).data, message=_("Templates."))


class TemplateDetailView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="messaging_template_get",
        tag="messaging",
        summary="Get one template with its wordings",
        response=TemplateOutput,
        message=_("Template."),
        example=TEMPLATE_EXAMPLE,
        errors=ERRORS,
    )
    def get(self, request: Request, key: str) -> Response:
        return success_response(TemplateOutput(get_template_state(key=key)).data, message=_("Template."))


class TemplatePreviewView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="messaging_template_preview",
        tag="messaging",
        summary="See what a template would say",
        description=(
            "With your values put in, and examples for those that you leave out. `parts` tells of how many text "
            "messages the text consists. Nothing is sent. Values are cut where they are too long, brought onto one "
            "line, and cannot be placeholders themselves."
        ),
        request=PreviewTemplateInput,
        request_examples={"In Swahili": {"language": "sw", "values": {"amount": "TZS 12,000"}}},
        response=PreviewListOutput,
        message=_("Preview."),
        example=PREVIEW_EXAMPLE,
        errors=[*ERRORS, WordingRefused],
    )
    def post(self, request: Request, key: str) -> Response:
        asked = PreviewTemplateInput.parse(request.data)
        shown = preview(key=key, **asked)
        told = {"language": asked["language"], "previews": shown}
        return success_response(PreviewListOutput(told).data, message=_("Preview."))
