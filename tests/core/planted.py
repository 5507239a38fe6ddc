"""A URL configuration of views that nobody would write, for tests of what stands around views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import path
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions as drf
from rest_framework import views
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from core import exceptions
from core.idempotency.decorator import IdempotencyInProgress, idempotent
from core.response_wrapper import success_response
from core.tenancy import find_current_tenant_id
from core.views import APIView

handler400 = "core.error_views.bad_request"
handler403 = "core.error_views.permission_denied"
handler404 = "core.error_views.not_found"
handler500 = "core.error_views.server_error"

SECRET = "kahawa-chungu-99"
seen: list[Any] = []


RAISED: dict[str, Callable[[], BaseException]] = {
    "malformed": exceptions.Malformed,
    "not-authenticated": exceptions.NotAuthenticated,
    "not-permitted": exceptions.NotPermitted,
    "not-found": exceptions.NotFound,
    "conflict": lambda: IdempotencyInProgress(
        _("Not found."), errors={"field": ["taken"]}, data={"id": 1}, retry_after=7
    ),
    "rule-violated": exceptions.RuleViolated,
    "unavailable": exceptions.Unavailable,
    "unavailable-for-9": lambda: exceptions.Unavailable(retry_after=9),
    "drf-validation": lambda: drf.ValidationError({"field": ["wrong"]}),
    "drf-validation-list": lambda: drf.ValidationError(["wrong"]),
    "drf-parse": drf.ParseError,
    "drf-not-authenticated": drf.NotAuthenticated,
    "drf-permission": drf.PermissionDenied,
    "drf-not-found": drf.NotFound,
    "drf-not-acceptable": drf.NotAcceptable,
    "drf-media-type": lambda: drf.UnsupportedMediaType("x/y"),
    "drf-throttled": lambda: drf.Throttled(wait=3.2),
    "drf-unknown": lambda: type("Teapot", (drf.APIException,), {"status_code": 418})(),
    "http404": Http404,
    "permission-denied": PermissionDenied,
    "suspicious": lambda: SuspiciousOperation(SECRET),
    "operational": lambda: OperationalError(f"connection to {SECRET} refused"),
    "interface": lambda: InterfaceError(f"connection to {SECRET} closed"),
    "defect": lambda: RuntimeError(f"password={SECRET} for +255712345678"),
}


class Public(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)


class PlainView(Public):
    def get(self, request: Request) -> Response:
        return Response({"a": 1})


class PlainErrorView(Public):
    def get(self, request: Request) -> Response:
        return Response({"detail": SECRET}, status=404)


class NothingView(Public):
    def get(self, request: Request) -> Response:
        return Response(status=204)


class LazyView(Public):
    def get(self, request: Request) -> Response:
        return success_response({"word": _("Not found."), "words": [_("Not found.")]}, message=_("Not found."))


class RaisingView(Public):
    def get(self, request: Request, what: str = "defect", token: str = "") -> Response:
        raise RAISED[what]()


class ThirdPartyView(views.APIView):
    """As a package would ship it: nothing of ours."""

    def get(self, request: Request) -> Response:
        return Response([1, 2])

    def post(self, request: Request) -> Response:
        raise drf.ValidationError({"field": ["wrong"]})


def django_view(request: HttpRequest, what: str) -> HttpResponse:
    """No DRF at all."""
    if what == "forbidden":
        return HttpResponse("<html>no</html>", status=403)
    if what == "not-allowed":
        return HttpResponseNotAllowed(["GET"], "<html>no</html>")
    if what == "teapot":
        return HttpResponse("<html>no</html>", status=418)
    raise RAISED[what]()


class ScopeView(APIView):
    """Notes the tenant in scope, then fails as asked."""

    permission_classes = (IsAuthenticated,)

    def get(self, request: Request, what: str) -> Response:
        seen.append(find_current_tenant_id())
        if what != "well":
            raise RAISED[what]()
        return success_response()


class OnceView(APIView):
    """Counts how often it is really asked. `answer` says what to do."""

    permission_classes = (IsAuthenticated,)

    @idempotent
    def post(self, request: Request, answer: str) -> Response:
        seen.append(request.data)
        if answer == "plain":
            return Response({"times": len(seen)}, status=201)
        if answer == "fails-once" and len(seen) == 1:
            raise RAISED["defect"]()
        if answer in RAISED:
            raise RAISED[answer]()
        return success_response({"times": len(seen)}, status=201)

    @idempotent
    def put(self, request: Request, answer: str) -> Response:
        seen.append(request.data)
        return success_response({"times": len(seen)})


urlpatterns = [
    path("plain/", PlainView.as_view()),
    path("plain-error/", PlainErrorView.as_view()),
    path("nothing/", NothingView.as_view()),
    path("lazy/", LazyView.as_view()),
    path("raises/<slug:what>/", RaisingView.as_view()),
    path("third/", ThirdPartyView.as_view()),
    path("django/<slug:what>/", django_view),
    path("scope/<slug:what>/", ScopeView.as_view()),
    path("once/<slug:answer>/", OnceView.as_view()),
    path("secret/<slug:token>/", RaisingView.as_view()),
]
