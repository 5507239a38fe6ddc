"""The pages on which developers read the API: they work offline and show what clients need, nothing else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from drf_spectacular.generators import SchemaGenerator

from core import docs


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/docs/", "/redoc/"])
def test_a_page_names_no_other_host(client, path):
    page = client.get(path).content.decode()

    assert "/static/drf_spectacular_sidecar/" in page
    assert re.findall(r"(?:src|href)=\"(?:https?:)?//[^\"]+", page) == []


@pytest.mark.django_db
def test_redoc_fetches_no_picture_or_font_from_elsewhere(client):
    assert "img-src 'self' data:; font-src 'self' data:; connect-src 'self'" in client.get("/redoc/").content.decode()


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


def operations(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [spec for methods in schema["paths"].values() for spec in methods.values()]


def test_no_operation_shows_a_docstring_of_the_code(schema):
    told = [spec["description"] for spec in operations(schema) if "description" in spec]

    assert told  # some say more than their summary
    assert [text for text in told if "tenant" in text or "DRF" in text or "disturb" in text] == []


def test_every_operation_belongs_to_a_group_that_is_introduced(schema):
    introduced = [tag["name"] for tag in schema["tags"] if tag["description"]]

    assert introduced[:2] == ["auth", "payments"]
    assert {tag for spec in operations(schema) for tag in spec["tags"]} == set(introduced)


def test_every_success_has_an_example(schema):
    without = [
        spec["operationId"]
        for spec in operations(schema)
        for status, response in spec["responses"].items()
        if status.startswith("2") and not response["content"]["application/json"].get("examples")
    ]

    assert without == []


def test_every_body_has_an_example(schema):
    without = [
        spec["operationId"]
        for spec in operations(schema)
        if "requestBody" in spec and not spec["requestBody"]["content"]["application/json"].get("examples")
    ]

    assert without == []


@pytest.mark.django_db
def test_the_schema_is_written_once_for_each_language_and_format(client):
    addresses = ["/schema/?format=json", "/schema/?format=yaml", "/schema/?format=json&lang=sw"]
    first = [client.get(address) for address in addresses]
    written = docs._document.cache_info().misses

    again = [client.get(address) for address in [*addresses, "/api/v1/schema/?format=json"]]

    assert [answer.content for answer in again] == [answer.content for answer in [*first, first[0]]]
    assert docs._document.cache_info().misses == written
    assert len({answer.content for answer in first}) == 3
    assert yaml.safe_load(first[1].content) == json.loads(first[0].content)
    assert [answer["Content-Type"] for answer in first[:2]] == [
        "application/vnd.oai.openapi+json",
        "application/vnd.oai.openapi; charset=utf-8",
    ]
    assert first[0]["Content-Disposition"] == 'inline; filename="Faraja API.json"'
