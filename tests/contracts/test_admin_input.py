"""No page of the admin fails on odd input: searches, filters, page numbers, ids, actions."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client

from tests.factories.accounts import make_member
from tests.factories.operators import browser_of, make_operator

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
ODD_TEXTS = (
    "%",
    "'",
    '"; DROP TABLE x; --',
    "\\",
    "\ud7ff\U0001f600",
    "a" * 5000,
    "99999999999999999999999999",
    "-1",
    "null",
    "{{7*7}}",
    "<script>x</script>",
)
ODD_IDS = ("0", "-1", "x", "%25", "99999999999999999999999999", "_2F", str(uuid.UUID(int=0)), "a" * 300, "..")
ODD_QUERIES = (
    "p=x",
    "p=-5",
    "p=99999999999999999999",
    "o=x",
    "o=99.-99.",
    "all=",
    "e=1",
    "_popup=1",
    "_to_field=password",
    "id__exact=x",
    "id__in=x,y",
    "pk__isnull=x",
    "password__startswith=a",
    "nothing=1",
    "created_at__year=x&created_at__month=13",
    "created_at__day=31&created_at__month=2&created_at__year=2026",
    "at__year=0",
    "at__gte=x",
    "created_at__gte=0000-00-00",
    "tenant__id__exact=x",
    "tenant=x",
    "is_active__exact=x",
    "state=x",
    "verified=x",
    "role__exact=x",
    "_changelist_filters=x%3Dy",
)
FAR_YEAR = "created_at__year=99999"


def path_of(model: type[Model]) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


@pytest.fixture
def browser(db: None) -> Client:
    make_member()
    return browser_of(make_operator(is_superuser=True))


def failures(answers: list[tuple[str, Any]]) -> list[tuple[str, int]]:
    return [(what, answer.status_code) for what, answer in answers if answer.status_code >= 500]


def share(inputs: Sequence[str], model: type[Model]) -> Sequence[str]:
    """Every seventh input, beginning elsewhere for each model: all of them are tried, and the suite stays quick."""
    return inputs[MODELS.index(model) % 7 :: 7]


def test_no_search_and_no_filter_is_an_error_of_ours(browser):
    answers = []
    for model in MODELS:
        path = path_of(model)
        answers += [(f"{path} {text[:30]}", browser.get(path, {"q": text})) for text in share(ODD_TEXTS, model)]
        queries = (*share(ODD_QUERIES, model), FAR_YEAR, "q=%00")
        answers += [(f"{path}?{query}", browser.get(f"{path}?{query}")) for query in queries]

    assert failures(answers) == []


def test_no_id_and_no_action_is_an_error_of_ours(browser):
    answers = []
    for model in MODELS:
        opts: Any = admin.site._registry[model]
        path = path_of(model)
        for odd in share(ODD_IDS, model):
            buttons = [f"{name.removesuffix('_one')}/" for name in opts.actions_detail]
            for page in ("change/", "history/", "delete/", *buttons):
                answers.append((f"{path}{odd[:30]}/{page}", browser.get(f"{path}{odd}/{page}")))
            for action in (*opts.actions, "delete_selected"):
                wish = {"action": action, "_selected_action": [odd], "confirmed": "yes", "reason": "\x00"}
                answers.append((f"{path} {odd[:30]} {action}", browser.post(path, wish)))

    assert failures(answers) == []


def test_no_form_is_an_error_of_ours(browser):
    answers = []
    for model in MODELS:
        for page in ("export/", "import/", "process_import/", "add/"):
            path = f"{path_of(model)}{page}"
            answers.append((path, browser.get(f"{path}?{FAR_YEAR}&id__exact=x")))
            for form in ({"format": "9", "resource": "9", "export_items": ["x"]}, {"email": "\x00", "format": "x"}):
                answers.append((f"{path} {form}", browser.post(path, form)))

    assert failures(answers) == []


@pytest.mark.parametrize(
    "path",
    [
        "search/?s=user&page=x",
        "search/?s=user&page=99",
        "search/?s=%25&extended=1&page=-1",
        "autocomplete/",
        "autocomplete/?app_label=accounts&model_name=user&field_name=x&page=x&term=x",
        "r/99999999999999999999/x/",
        "password_change/",
        "jsi18n/",
        "nothing/",
        "logout/",
        "login/?next=//evil.example",
    ],
)
def test_no_other_page_is_an_error_of_ours(browser, path):
    assert browser.get(f"/admin/{path}").status_code < 500
