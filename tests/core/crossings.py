"""Views and a subscriber that say in whose room they are, and then come to every kind of end."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.urls import path
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.payments.models.payments import Payment
from core.exceptions import RuleViolated
from core.response_wrapper import success_response
from core.tenancy import current_tenant_id, find_current_tenant_id, tenant_transaction
from core.views import APIView

handler400 = "core.error_views.bad_request"
handler403 = "core.error_views.permission_denied"
handler404 = "core.error_views.not_found"
handler500 = "core.error_views.server_error"

# What was seen where nothing can be answered: the tenant that was meant, the tenants of the rows.
noted: list[tuple[str, list[str]]] = []


def rows_by_sql() -> list[str]:
    """Whose payments SQL shows that forgets to ask for the tenant."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tenant_id::text FROM payments_payment")
        return [str(row[0]) for row in cursor.fetchall()]


def rows_in_sight() -> list[str]:
    """Whose payments can be seen: through the manager, and by SQL."""
    return [str(payment.tenant_id) for payment in Payment.objects.all()] + rows_by_sql()


class SightView(APIView):
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request, end: str) -> Response:
        seen = rows_in_sight()
        principal: Any = request.auth
        noted.append((str(principal.tenant_id), seen))
        sql = {
            "timeout": "SET LOCAL statement_timeout = 5; SELECT pg_sleep(5)",
            "killed": "SELECT pg_terminate_backend(pg_backend_pid())",
            "broken": "SELECT no_such_column",
        }.get(end)
        if sql is not None:
            with connection.cursor() as cursor:
                cursor.execute(sql)
        if end == "refused":
            raise RuleViolated
        if end == "defect":
            raise RuntimeError(end)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (backend,) = cursor.fetchone()
        return success_response({"tenant": str(current_tenant_id()), "seen": seen, "backend": backend})


class OpenView(APIView):
    """Nobody has signed in, so nobody's rows are in sight."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        tenant = find_current_tenant_id()
        return success_response({"tenant": tenant and str(tenant), "seen": rows_by_sql()})


def note(*, end: str, meant: str, **_: Any) -> None:
    """A subscriber: the same, in a task."""
    with tenant_transaction():
        noted.append((meant, rows_in_sight()))
        if end == "defect":
            raise RuntimeError(end)


urlpatterns = [path("sight/<slug:end>/", SightView.as_view()), path("open/", OpenView.as_view())]
