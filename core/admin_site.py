"""The admin's site: no odd input is an error of ours, and an operator's new password goes through the use case."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import InvalidPage
from django.db import DataError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views import defaults
from unfold.forms import AdminOwnPasswordChangeForm
from unfold.sites import UnfoldAdminSite

from core.exceptions import NotFound, NotPermitted

logger = logging.getLogger("faraja.admin")

# What Django and the database raise about a page number, a filter or an id that cannot be one.
ODD_INPUT = (ValidationError, DataError, OverflowError, IncorrectLookupParameters, InvalidPage)


class OperatorSite(UnfoldAdminSite):  # type: ignore[misc]
    """Set `password_change_form` to a form whose `save` is a use case."""

    index_template = "admin/dashboard.html"
    password_change_form: Any = AdminOwnPasswordChangeForm

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        @wraps(view)
        def readable(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                response = view(request, *args, **kwargs)
                # Here, because a date hierarchy asks the database only when it is printed.
                return response.render() if isinstance(response, TemplateResponse) else response
            except NotPermitted as error:
                raise PermissionDenied(str(error.message)) from error
            except NotFound as error:
                raise Http404(str(error.message)) from error
            except ODD_INPUT as error:
                logger.info("odd input in the admin", extra={"error": type(error).__name__})
                return defaults.bad_request(request, error)
            except ValueError as error:
                if not request.GET:
                    raise
                # A year 99999 as a filter is refused only when the database is asked.
                logger.warning("odd query in the admin", exc_info=True)
                return defaults.bad_request(request, error)

        wrapped: Callable[..., Any] = super().admin_view(readable, cacheable)
        return wrapped

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        page = request.GET.get("page", "1")
        if not (page.isascii() and page.isdigit() and len(page) < 6):
            raise InvalidPage
        response: HttpResponse = super().search(request, extra_context)
        return response

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        view = PasswordChangeView.as_view(
            form_class=self.password_change_form,
            success_url=reverse(f"{self.name}:password_change_done", current_app=self.name),
            template_name=self.password_change_template or "registration/password_change_form.html",
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        request.current_app = self.name
        return view(request)
