"""What comes in: path to view."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path

from apps.accounts.views.keys import JwksView
from core.docs import RedocView, SchemaView, SwaggerView
from core.health import LiveView, ReadyView
from core.root import RootView

api: list[URLPattern | URLResolver] = [
    path("", include("apps.accounts.urls")),
    path("", include("apps.tenants.urls")),
    path("", include("apps.payments.urls")),
    path("", include("apps.messaging.urls")),
    path("schema/", SchemaView.as_view()),
    path("docs/", SwaggerView.as_view(url="/schema/")),
]

urlpatterns = [
    path("", RootView.as_view()),
    path("api/v1/", include(api)),
    path("api/", include(api)),  # without a version: the newest stable one
    path("schema/", SchemaView.as_view()),
    path("docs/", SwaggerView.as_view(url="/schema/")),
    path("redoc/", RedocView.as_view(url="/schema/")),
    re_path(r"^health/live/?$", LiveView.as_view()),
    re_path(r"^health/ready/?$", ReadyView.as_view()),
    path(".well-known/jwks.json", JwksView.as_view()),
    path("admin/", admin.site.urls),
]

handler400 = "core.error_views.bad_request"
handler403 = "core.error_views.permission_denied"
handler404 = "core.error_views.not_found"
handler500 = "core.error_views.server_error"
