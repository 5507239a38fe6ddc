"""The schema and its two readers. Their refusals are the envelope, like everybody's."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
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

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        final: Response = super().finalize_response(request, response, *args, **kwargs)
        if final.exception:
            final.accepted_renderer = EnvelopeJSONRenderer()
            final.accepted_media_type = EnvelopeJSONRenderer.media_type
        return final


class SchemaView(_Reading, SpectacularAPIView):
    """The OpenAPI document, as YAML or JSON by `Accept` or `?format=`."""


class SwaggerView(_Reading, SpectacularSwaggerView):
    """The schema to try out in a browser."""


class RedocView(_Reading, SpectacularRedocView):
    """The schema to read in a browser."""
