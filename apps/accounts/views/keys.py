"""`/.well-known/jwks.json`: the public keys, for services that check our tokens themselves."""

from __future__ import annotations

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from apps.accounts.token_backend import current_ring
from core.renderers import dump_json
from core.views import APIView


class JwksView(APIView):
    """A JWK Set (RFC 7517) and not the envelope: libraries read it, and they know only the standard.

    Its own media type says so. Refusals are the envelope, as everywhere. Symmetric keys are never in it.
    """

    schema = None
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> HttpResponse:
        found = current_ring().jwks(now=timezone.now())
        headers = {"Cache-Control": "public, max-age=300"}
        return HttpResponse(dump_json(found), content_type="application/jwk-set+json", headers=headers)
