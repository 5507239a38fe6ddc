"""The schema tells the truth: envelopes around successes, every refusal with its code, examples on every operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import orjson
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from core import framework_errors
from core.exception_handler import http_status
from core.exceptions import DomainError
from core.framework_errors import FrameworkError
from core.renderers import dump_json
from core.response_wrapper import error_envelope
from core.throttling.decorator import limits_of

F = TypeVar("F", bound=Callable[..., Any])
AnyError = type[DomainError] | FrameworkError
ERRORS_EXTENSION, MESSAGE_EXTENSION = "x-refusals", "x-message"


class PaginationOutput(serializers.Serializer[Any]):
    """Where this page stands. Follow `next_cursor` until it is null; or, asked with `?page=`, count up to `pages`."""

    next_cursor = serializers.CharField(allow_null=True, required=False)
    previous_cursor = serializers.CharField(allow_null=True, required=False)
    page = serializers.IntegerField(required=False, help_text="With `?page=` only, like `pages` and `count`.")
    pages = serializers.IntegerField(required=False)
    count = serializers.IntegerField(required=False, help_text="Rows in all.")
    page_size = serializers.IntegerField()


PAGE_PARAMETERS = [
    OpenApiParameter("cursor", OpenApiTypes.STR, description="From `pagination` of another page of this list."),
    OpenApiParameter(
        "page",
        {"type": "integer", "minimum": 1, "maximum": 100000},
        description="A numbered page with a count of all rows, in place of `cursor`. For people who browse.",
    ),
    OpenApiParameter(
        "page_size", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, description="Rows per page."
    ),
]


def _idempotency_parameter(*, required: bool) -> OpenApiParameter:
    return OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x20-\x7e]+$"},
        location=OpenApiParameter.HEADER,
        required=required,
        description=(
            "Names this request, for example a UUID. Repeat it when you retry: the work is done once, and the same "
            "answer comes back with `Idempotent-Replayed: true`. Kept for 72 hours."
        ),
    )


IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    {"type": "string"},
    location=OpenApiParameter.HEADER,
    description="The `ETag` of the answer that you have. When it is still true, you get 304 and no body.",
)
ETAG = {"description": "Changes with the answer.", "schema": {"type": "string"}, "required": True}


def refusal_example(error: AnyError) -> dict[str, Any]:
    """The body with which a refusal is answered, in English."""
    field = {"field": ["This field is required."]} if error is framework_errors.VALIDATION else None
    data = getattr(error, "example_data", None)
    return dict(error_envelope(message=str(error.message), code=error.code, errors=field, data=data))


def status_of(error: AnyError) -> int:
    return error.status if isinstance(error, FrameworkError) else http_status(error)


def _told(error: AnyError) -> dict[str, Any]:
    return {"status": status_of(error), "example": refusal_example(error)}


@cache
def _page_of(rows: type[serializers.BaseSerializer[Any]]) -> Any:
    """A page of such rows: one component of the schema, however many lists have it."""
    return inline_serializer(
        name=f"{rows.__name__.removesuffix('Output')}Page",
        fields={"results": rows(many=True), "pagination": PaginationOutput()},
    )


def operation(
    *,
    id: str,
    tag: str,
    summary: str,
    message: Any,
    description: str = "",
    request: type[serializers.BaseSerializer[Any]] | None = None,
    request_examples: Mapping[str, Any] | None = None,
    response: Any = None,
    example: Any = None,
    status: int = 200,
    is_page: bool = False,
    parameters: Sequence[Any] = (),
    errors: Sequence[AnyError] = (),
    is_conditional: bool = False,
) -> Callable[[F], F]:
    """Describe one operation: what goes in, what comes out in `data`, and the refusals it can end in.

    `is_conditional`: a client that sends the answer's tag as `If-None-Match` may get 304.

    Refusals that follow from the kind of operation (401, 404, 413, ...) are added by `wrap_in_envelope`.
    """
    if is_page:
        response = _page_of(response)
        parameters = [*parameters, *PAGE_PARAMETERS]
        example = {
            "results": [example],
            "pagination": {"next_cursor": "WzAsIjIwMjYi", "previous_cursor": None, "page_size": 20},
        }
    told = [OpenApiExample(name, value=value, request_only=True) for name, value in (request_examples or {}).items()]
    if response is not None:
        told.append(OpenApiExample("Success", value=example, response_only=True, status_codes=[str(status)]))

    def describe(handler: F) -> F:
        all_parameters = list(parameters)
        all_errors = list(errors)
        if limits_of(handler):
            all_errors.append(framework_errors.THROTTLED)
        if getattr(handler, "is_idempotent", False):
            from core.idempotency import decorator

            is_optional = getattr(handler, "is_key_optional", False)
            all_parameters.append(_idempotency_parameter(required=not is_optional))
            all_errors += [] if is_optional else [decorator.IdempotencyKeyRequired]
            all_errors += [
                decorator.IdempotencyKeyInvalid,
                decorator.IdempotencyKeyReused,
                decorator.IdempotencyInProgress,
            ]
        responses: dict[int, Any] = {status: OpenApiResponse(response, description=str(message))}
        if is_conditional:
            all_parameters.append(IF_NONE_MATCH)
            responses[304] = OpenApiResponse(description="Nothing has changed.")
        refusals = [_told(error) for error in all_errors]
        decorated: F = extend_schema(
            operation_id=id,
            tags=[tag],
            summary=summary,
            description=description,
            request=request,
            responses=responses,
            parameters=all_parameters,
            examples=told,
            extensions={ERRORS_EXTENSION: refusals, MESSAGE_EXTENSION: str(message)},
        )(handler)
        return decorated

    return describe


class EnvelopeAutoSchema(AutoSchema):
    """drf-spectacular's schema: JSON as the only media type, and the refusals of whoever guards the door.

    Docstrings are left out: those speak to developers here. Keys for machines are named only where they open.
    """

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular has it
        return ""

    def get_auth(self) -> list[dict[str, list[Any]]]:
        found: list[dict[str, list[Any]]] = super().get_auth()
        return found if getattr(self.view, "key_scopes", None) else [each for each in found if "apiKey" not in each]

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        spec = super().get_operation(*args, **kwargs)
        if spec is not None:
            for authenticator in self.view.get_authenticators():
                # An authenticator of ours says how it can refuse; a third party's need not.
                for error in getattr(authenticator, "refusals", lambda _method: ())(self.method):
                    spec.setdefault(ERRORS_EXTENSION, []).append(_told(error))
        return spec

    def map_renderers(self, attribute: str) -> list[Any]:
        return ["application/json"]


def only_versioned_paths(endpoints: list[Any]) -> list[Any]:
    """`/api/...` without a version answers as the newest one; documenting it twice would double every client."""
    return [
        endpoint for endpoint in endpoints if not (endpoint[0].startswith("/api/") and "/api/v1/" not in endpoint[0])
    ]


def _implied_errors(spec: Mapping[str, Any], path: str) -> list[FrameworkError]:
    # A path, a query or a header can be unreadable anywhere.
    found = [framework_errors.BAD_REQUEST, framework_errors.INVALID_CHARACTERS]
    found += [framework_errors.UNAVAILABLE, framework_errors.INTERNAL]
    if any(spec.get("security", [])):
        found += [framework_errors.NOT_AUTHENTICATED, framework_errors.PERMISSION_DENIED]
    if "{" in path:
        found.append(framework_errors.NOT_FOUND)
    if "requestBody" in spec:
        found += [
            framework_errors.VALIDATION,
            framework_errors.MALFORMED_JSON,
            framework_errors.TOO_DEEP,
            framework_errors.TOO_LARGE,
            framework_errors.UNSUPPORTED_MEDIA_TYPE,
        ]
    elif any(parameter["in"] == "query" for parameter in spec.get("parameters", [])):
        found.append(framework_errors.VALIDATION)
    return found


def wrap_in_envelope(result: dict[str, Any], generator: Any, **_kwargs: Any) -> dict[str, Any]:
    """Put the true shape around every success, and add every refusal with an example of its body."""
    from core.catalogue import all_codes

    result.setdefault("components", {}).setdefault("schemas", {})["Refusal"] = {
        "type": "object",
        "description": "Every refusal has this shape. Decide by `code`; show `message`.",
        "properties": {
            "status": {"type": "string", "const": "error"},
            "message": {"type": "string"},
            "data": {"type": ["object", "array", "null"]},
            "code": {"type": "string", "enum": sorted(all_codes())},
            "errors": {
                "type": "object",
                "description": "For `validation_error`: the fields at fault and what is wrong with each.",
                "additionalProperties": True,
            },
        },
        "required": ["status", "message", "data", "code", "errors"],
    }
    request_id = {
        "description": "Name of this request in the server's log.",
        "schema": {"type": "string"},
        "required": True,
    }
    for path, methods in result["paths"].items():
        for spec in methods.values():
            message = spec.pop(MESSAGE_EXTENSION, "")
            _wrap_successes(spec, message)
            refusals = list(spec.pop(ERRORS_EXTENSION, []))
            refusals += [_told(error) for error in _implied_errors(spec, path)]
            _add_refusals(spec, refusals)
            for response in spec["responses"].values():
                response.setdefault("headers", {})["X-Request-ID"] = request_id
    return result


def _wrap_successes(spec: dict[str, Any], message: str) -> None:
    if "304" in spec["responses"]:
        for status in ("200", "304"):
            spec["responses"][status].setdefault("headers", {})["ETag"] = ETAG
    for status, response in spec["responses"].items():
        if status == "304":
            continue
        if status.startswith("3"):
            response.setdefault("headers", {})["Location"] = {"schema": {"type": "string"}, "required": True}
            continue
        content = response.setdefault("content", {}).setdefault("application/json", {})
        data = content.get("schema") or {"type": "null"}
        content["schema"] = {
            "type": "object",
            "properties": {
                "status": {"type": "string", "const": "success"},
                "message": {"type": "string"},
                "data": data,
            },
            "required": ["status", "message", "data"],
        }
        examples = content.setdefault("examples", {"Success": {"value": None}})
        for told in examples.values():
            told["value"] = {"status": "success", "message": message, "data": told.get("value")}


def _add_refusals(spec: dict[str, Any], refusals: list[dict[str, Any]]) -> None:
    for refusal in sorted(refusals, key=lambda each: (each["status"], each["example"]["code"])):
        response = spec["responses"].setdefault(
            str(refusal["status"]),
            {
                "description": "Refused.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}, "examples": {}}},
            },
        )
        example = orjson.loads(dump_json(refusal["example"]))
        response["content"]["application/json"]["examples"][example["code"]] = {"value": example}
