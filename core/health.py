"""`/health/live` touches nothing; `/health/ready` says whether this process can do its work."""

from __future__ import annotations

import threading
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from core.exceptions import Unavailable
from core.openapi import operation
from core.response_wrapper import success_response
from core.views import APIView


class NotReady(Unavailable):
    """A load balancer should send requests elsewhere."""

    code = "not_ready"
    message = _("This server is not ready.")


class ReadinessOutput(serializers.Serializer[Any]):
    """`degraded` names what is away without stopping the work."""

    degraded = serializers.ListField(child=serializers.CharField())


class LiveView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @operation(id="health_live", tag="health", summary="Is the process alive?", message=_("Alive."))
    def get(self, request: Request) -> Response:
        return success_response(message=_("Alive."))


class ReadyView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @operation(
        id="health_ready",
        tag="health",
        summary="Can it serve requests?",
        response=ReadinessOutput,
        message=_("Ready."),
        example={"degraded": []},
        errors=[NotReady],
    )
    def get(self, request: Request) -> Response:
        _check_database()
        return success_response({"degraded": _degraded()}, message=_("Ready."))


def _check_database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not _is_migrated():
            raise NotReady(data={"failed": ["migrations"]})
    except DatabaseError:
        raise NotReady(data={"failed": ["database"]}) from None


_migrated = threading.Event()


def _is_migrated() -> bool:
    """Whether no migration is pending. Once true it stays true for this process, whose code does not change."""
    if not _migrated.is_set():
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return False
        _migrated.set()
    return True


def _degraded() -> list[str]:
    if not settings.REDIS_URL:
        return []
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=0.2, socket_timeout=0.2, retry=None
        ) as client:
            client.ping()
    except redis.RedisError:
        return ["redis"]
    return []
