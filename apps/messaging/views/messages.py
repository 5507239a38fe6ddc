"""The HTTP face of messages: send one or many, ask what a text costs, look at what was sent."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.messaging.selectors.messages import get_message, list_history, list_messages
from apps.messaging.serializers.messages import (
    MessageBatchOutput,
    MessageFilterInput,
    MessageOutput,
    MessageStoryOutput,
    PriceTextInput,
    QuoteOutput,
    SendMessageInput,
    SendMessagesInput,
)
from apps.messaging.services.outgoing import (
    QUOTE_REFUSALS,
    SEND_REFUSALS,
    quote_text,
    request_messages,
    total_price,
)
from apps.tenants.permissions import (
    HasScope,
    IsTenantAdminOrKey,
    IsTenantMember,
    NotAMember,
    ScopeMissing,
    TenantSuspended,
)
from apps.tenants.services.api_keys import ApiKeyInvalid
from apps.tenants.services.members import AdminsOnly
from core.idempotency.decorator import idempotent
from core.openapi import operation
from core.pagination import paginated_response
from core.response_wrapper import success_response
from core.throttling.decorator import by_person, limited
from core.views import APIView

_PRICE = {"amount": 3000, "currency": "TZS", "display": "TZS 30"}
MESSAGE_EXAMPLE: dict[str, Any] = {
    "id": "5b0e6d1c-7f0c-4a52-9d0a-31d2f6a8be60",
    "channel": "sms",
    "kind": "service",
    "to": "+255712345678",
    "subject": "",
    "text": "Your order is ready. Come and get it before six.",
    "encoding": "gsm7",
    "parts": 1,
    "price": _PRICE,
    "status": "queued",
    "key": "order-1024-ready",
    "created_at": "2026-11-20T09:00:00Z",
    "sent_at": None,
    "delivered_at": None,
}
SENT_EXAMPLE = MESSAGE_EXAMPLE | {
    "status": "delivered",
    "sent_at": "2026-11-20T09:00:01Z",
    "delivered_at": "2026-11-20T09:00:04Z",
}
_ENTRY: dict[str, Any] = {"provider": "", "outcome": None, "reason": "", "status": None, "message_id": None}
STORY_EXAMPLE = {
    "message": SENT_EXAMPLE,
    "history": [
        _ENTRY | {"at": "2026-11-20T09:00:00Z", "event": "queued"},
        _ENTRY | {"at": "2026-11-20T09:00:01Z", "event": "tried", "provider": "beem", "outcome": "accepted"},
        _ENTRY | {"at": "2026-11-20T09:00:04Z", "event": "reported", "provider": "beem", "status": "delivered"},
    ],
}
TEXT_EXAMPLE = {"channel": "sms", "to": "+255712345678", "text": MESSAGE_EXAMPLE["text"], "key": "order-1024-ready"}
BATCH_EXAMPLE = {
    "messages": [MESSAGE_EXAMPLE | {"key": "sale:0"}, MESSAGE_EXAMPLE | {"to": "+255754000111", "key": "sale:1"}],
    "parts": 2,
    "price": {"amount": 6000, "currency": "TZS", "display": "TZS 60"},
}
READ_ERRORS = [NotAMember, TenantSuspended, AdminsOnly, ScopeMissing, ApiKeyInvalid]
GUARDS = (IsAuthenticated, IsTenantMember, HasScope, IsTenantAdminOrKey)


class MessageListView(APIView):
    permission_classes = GUARDS
    key_scopes = {"GET": "messages:read", "POST": "messages:write"}

    @operation(
        id="messages_list",
        tag="messaging",
        summary="List messages, newest first",
        description="For owners and admins, and for keys of theirs. Receipts and codes of the platform are among them.",
        parameters=[MessageFilterInput],
        response=MessageOutput,
        is_page=True,
        message=_("Messages."),
        example=SENT_EXAMPLE,
        errors=READ_ERRORS,
    )
    def get(self, request: Request) -> Response:
        filters = MessageFilterInput.parse(request.query_params)
        return paginated_response(request, list_messages(**filters), MessageOutput, message=_("Messages."))

    @operation(
        id="messages_send",
        tag="messaging",
        summary="Send a text or an e-mail",
        description=(
            "For owners and admins, and for keys of theirs with `messages:write`. What a text costs is counted before "
            "it is sent, and told in the answer; a limit in the way is a refusal. The message is `queued`: ask for it "
            "until it is `delivered` or has failed. To somebody who wants no such messages it is `suppressed`, sent to "
            "nobody and free. An `Idempotency-Key` or a `key` makes it safe to ask again."
        ),
        request=SendMessageInput,
        request_examples={
            "A text": TEXT_EXAMPLE,
            "An e-mail": {
                "channel": "email",
                "to": "asha@example.com",
                "subject": "Your order",
                "text": "Hello Asha,\n\nyour order is ready.",
            },
            "A template": {
                "channel": "sms",
                "to": "0712345678",
                "template": "refund",
                "values": {"amount": "TZS 5,000", "reference": "order-1024"},
                "language": "sw",
            },
        },
        response=MessageOutput,
        status=201,
        message=_("Message on its way."),
        example=MESSAGE_EXAMPLE,
        errors=[*READ_ERRORS, *SEND_REFUSALS],
    )
    @limited("messages_person", by=by_person)
    @idempotent(is_optional=True)
    def post(self, request: Request) -> Response:
        data = SendMessageInput.parse(request.data)
        [message] = request_messages(actor_id=request.auth.user.pk, to=[data.pop("to")], **data)
        return success_response(MessageOutput(message).data, message=_("Message on its way."), status=201)


class MessageBatchView(APIView):
    permission_classes = GUARDS
    key_scopes = {"POST": "messages:write"}

    @operation(
        id="messages_send_many",
        tag="messaging",
        summary="Send the same message to up to 100 people",
        description=(
            "All of them or none: one number that no text can reach, or a budget that does not suffice, and nothing is "
            "sent. Each message has its place in `to` at the end of its `key`."
        ),
        request=SendMessagesInput,
        request_examples={
            "Texts": {
                "channel": "sms",
                "to": ["+255712345678", "+255754000111"],
                "text": "Half price until Sunday. STOP to get no more.",
                "kind": "marketing",
                "key": "sale",
            }
        },
        response=MessageBatchOutput,
        status=201,
        message=_("Messages on their way."),
        example=BATCH_EXAMPLE,
        errors=[*READ_ERRORS, *SEND_REFUSALS],
    )
    @limited("message_batches_person", by=by_person)
    @idempotent(is_optional=True)
    def post(self, request: Request) -> Response:
        data = SendMessagesInput.parse(request.data)
        messages = request_messages(actor_id=request.auth.user.pk, **data)
        parts = sum(message.parts for message in messages)
        told = {"messages": messages, "parts": parts, "price": total_price(messages)}
        return success_response(MessageBatchOutput(told).data, message=_("Messages on their way."), status=201)


class MessagePriceView(APIView):
    permission_classes = GUARDS
    key_scopes = {"POST": "messages:read"}

    @operation(
        id="messages_price",
        tag="messaging",
        summary="Ask what a text would cost",
        description="Sends nothing, and counts against no budget.",
        request=PriceTextInput,
        request_examples={"To two phones": {"to": ["+255712345678", "+255754000111"], "text": "Half price today."}},
        response=QuoteOutput,
        message=_("Price."),
        example={"encoding": "gsm7", "parts": 1, "recipients": 2, "price": BATCH_EXAMPLE["price"]},
        errors=[*READ_ERRORS, *QUOTE_REFUSALS],
    )
    def post(self, request: Request) -> Response:
        data = PriceTextInput.parse(request.data)
        return success_response(QuoteOutput(quote_text(**data)).data, message=_("Price."))


class MessageDetailView(APIView):
    permission_classes = GUARDS
    key_scopes = {"GET": "messages:read"}

    @operation(
        id="messages_get",
        tag="messaging",
        summary="Get one message with what happened to it",
        description=(
            "`history` is told oldest first: `queued` (or `suppressed`), each try at a provider with its outcome, what "
            "was reported, and whether it was sent again."
        ),
        response=MessageStoryOutput,
        message=_("Message."),
        example=STORY_EXAMPLE,
        errors=READ_ERRORS,
    )
    def get(self, request: Request, message_id: UUID) -> Response:
        message = get_message(message_id=message_id)
        told = {"message": message, "history": list_history(message=message)}
        return success_response(MessageStoryOutput(told).data, message=_("Message."))
