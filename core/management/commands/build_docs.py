"""`manage.py build_docs`: write the pages that are generated from the code; `--check` only compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.validation import validate_schema

from core.catalogue import as_markdown


class Command(BaseCommand):
    help = "Write docs/errors.md and docs/openapi.yaml from the code, or with --check fail when they are out of date."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Compare only.")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
        validate_schema(schema)  # type: ignore[no-untyped-call]
        pages = {
            "errors.md": as_markdown().encode(),
            "openapi.yaml": OpenApiYamlRenderer().render(schema, renderer_context={}),  # type: ignore[no-untyped-call]
        }
        stale = []
        for name, content in pages.items():
            page = Path(settings.BASE_DIR) / "docs" / name
            if not page.exists() or page.read_bytes() != content:
                stale.append(f"docs/{name}")
                if not check:
                    page.write_bytes(content)
        if check and stale:
            raise CommandError(f"Out of date: {', '.join(stale)}. Run: make docs")
        self.stdout.write(f"{'written' if stale else 'up to date'}: {', '.join(stale or map(str, pages))}")
