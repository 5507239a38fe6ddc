"""The schema and its two readers. Their refusals are the envelope, like everybody's."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.utils.encoding import force_bytes
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from core.renderers import EnvelopeJSONRenderer


class _Reading(APIView):
    """GET only. A refusal is not given to the page's own renderer, which prints templates or OpenAPI documents."""

    http_method_names = ("get", "head")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # drf-spectacular copies `version` into a header and both into its pages.
        if set(request.query_params) - {"format", "lang"}:
            raise ValidationError({"query": [_("Only format and lang are understood.")]})
        if request.query_params.get("lang", "en") not in dict(settings.LANGUAGES):
            raise ValidationError({"lang": [_("This language is not available.")]})

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        final = super().finalize_response(request, response, *args, **kwargs)
        if getattr(final, "exception", False):
            final.accepted_renderer = EnvelopeJSONRenderer()
            final.accepted_media_type = EnvelopeJSONRenderer.media_type
        return final


class SchemaView(_Reading, SpectacularAPIView):
    """The OpenAPI document, as YAML or JSON by `Accept` or `?format=`."""

    def _get_schema_response(self, request: Request) -> HttpResponse:
        renderer = request.accepted_renderer
        with _writing:  # whoever comes while it is being written waits for it
            document = _document(get_language(), renderer.media_type)
        charset = f"; charset={renderer.charset}" if renderer.charset else ""
        response = HttpResponse(document, content_type=renderer.media_type + charset)
        name = f"{settings.SPECTACULAR_SETTINGS['TITLE']}.{renderer.format}"
        response["Content-Disposition"] = f'inline; filename="{name}"'
        return response


_writing = Lock()


@cache
def _document(language: str, media_type: str) -> bytes:
    """The document in one language and format, written once: it takes about a second, and nobody has to sign in."""
    schema = SchemaView.generator_class().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    renderer = next(each for each in SchemaView.renderer_classes if each.media_type == media_type)()
    return force_bytes(renderer.render(schema, renderer_context={}))


class SwaggerView(_Reading, SpectacularSwaggerView):
    """The schema to try out in a browser."""


class RedocView(_Reading, SpectacularRedocView):
    """The schema to read in a browser."""
