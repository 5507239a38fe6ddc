"""The root: where to go from here."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from core.openapi import operation
from core.response_wrapper import success_response
from core.views import APIView

LINKS = {"docs": "/docs/", "redoc": "/redoc/", "schema": "/schema/", "api": "/api/v1/", "health": "/health/ready"}


class LinksOutput(serializers.Serializer[Any]):
    docs = serializers.CharField()
    redoc = serializers.CharField()
    schema = serializers.CharField()
    api = serializers.CharField()
    health = serializers.CharField()


class RootView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @operation(
        id="root", tag="health", summary="Where to go", response=LinksOutput, message=_("Welcome."), example=LINKS
    )
    def get(self, request: Request) -> Response:
        return success_response(LINKS, message=_("Welcome."))
