"""Every row of the table of layers refuses what it should: wrong imports are planted in a copy of the tree, and found.

The copy gets an app that does not exist, once with modules for layers and once with packages, so the rules are shown
to hold for apps nobody has written yet.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from tools.contracts import imported_names

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("apps", "config", "core", "services", "tests", "tools")
LAYERS = ("views", "serializers", "services", "selectors", "models", "tasks", "permissions", "admin", "urls")
LINT_IMPORTS = Path(sysconfig.get_path("scripts")) / "lint-imports"

# (contract, module that does it, what it imports). One at least per rule of the table.
WRONG = [
    ("views", "apps.planted.views", "apps.planted.models"),
    ("views", "apps.planted.views", "apps.planted.tasks"),
    ("views", "apps.planted.views", "apps.grown.views"),
    ("views", "apps.planted.views", "apps.grown.serializers"),
    ("views", "apps.planted.views", "services.payments.registry"),
    ("views", "apps.planted.views", "apps.grown.permissions"),
    ("views", "apps.planted.views", "config.planted"),
    ("views", "apps.grown.views.rooms", "apps.grown.models.rooms"),
    ("views", "apps.grown.views.rooms", "services.sms.registry"),
    ("tasks and commands", "apps.planted.tasks", "apps.planted.models"),
    ("tasks and commands", "apps.planted.tasks", "apps.planted.views"),
    ("tasks and commands", "apps.planted.tasks", "apps.planted.serializers"),
    ("tasks and commands", "apps.planted.tasks", "services.payments.registry"),
    ("tasks and commands", "apps.planted.management.commands.work", "apps.planted.models"),
    ("serializers", "apps.planted.serializers", "apps.planted.services"),
    ("serializers", "apps.planted.serializers", "apps.planted.selectors"),
    ("serializers", "apps.planted.serializers", "services.payments.base"),
    ("serializers", "apps.grown.serializers.rooms", "apps.planted.models"),
    ("use cases", "apps.planted.services", "apps.planted.views"),
    ("use cases", "apps.planted.services", "apps.planted.serializers"),
    ("use cases", "apps.planted.services", "apps.planted.tasks"),
    ("use cases", "apps.planted.services", "apps.grown.models"),
    ("use cases", "apps.planted.services", "services.payments.providers.planted"),
    ("use cases", "apps.planted.services", "services.simulators.planted"),
    ("selectors", "apps.planted.selectors", "apps.planted.services"),
    ("selectors", "apps.planted.selectors", "services.payments.registry"),
    ("selectors", "apps.grown.selectors.rooms", "apps.planted.models"),
    ("models", "apps.planted.models", "apps.planted.selectors"),
    ("models", "apps.planted.models", "apps.planted.services"),
    ("models", "apps.planted.models", "apps.grown.models.rooms"),
    ("models", "apps.planted.models", "services.payments.base"),
    ("doors", "apps.planted.permissions", "apps.planted.views"),
    ("doors", "apps.planted.permissions", "services.payments.registry"),
    ("admin, urls and app configuration", "apps.planted.admin", "apps.grown.models"),
    ("admin, urls and app configuration", "apps.planted.urls", "config.planted"),
    ("plain modules", "apps.planted.fees", "apps.planted.services"),
    ("plain modules", "apps.planted.fees", "apps.grown.fees"),
    ("packages re-export nothing", "apps.planted", "apps.planted.models"),
    ("gateways", "services.payments.planted", "apps.planted.services"),
    ("gateways", "services.payments.planted", "services.sms.base"),
    ("gateways", "services.payments.planted", "services.simulators.planted"),
    ("gateways", "services.payments.planted", "config.planted"),
    ("simulators", "services.simulators.planted", "apps.planted.services"),
    ("simulators", "services.simulators.planted", "core.money"),
    ("simulators", "services.simulators.planted", "services.payments.providers.planted"),
    ("core", "core.planted", "apps.planted.models"),
    ("core", "core.planted", "services.http"),
    ("core", "core.planted", "config.planted"),
    ("the business speaks no HTTP and no Celery", "apps.planted.services", "rest_framework"),
    ("the business speaks no HTTP and no Celery", "apps.planted.selectors", "rest_framework"),
    ("the business speaks no HTTP and no Celery", "apps.planted.models", "celery"),
    ("the business speaks no HTTP and no Celery", "apps.planted.services", "django.http"),
    ("gateways know no rows and no framework of ours", "services.payments.planted", "rest_framework"),
    ("gateways know no rows and no framework of ours", "services.payments.planted", "celery"),
    ("gateways know no rows and no framework of ours", "services.payments.planted", "django.db"),
    ("simulators stand alone", "services.simulators.planted", "django"),
]

# What the same table allows, in the same new apps: a rule that refused everything would catch every plant too.
RIGHT = [
    ("apps.planted.views", "apps.planted.serializers"),
    ("apps.planted.views", "apps.planted.permissions"),
    ("apps.planted.views", "apps.grown.services.rooms"),
    ("apps.planted.views", "apps.grown.selectors.rooms"),
    ("apps.planted.tasks", "apps.grown.services.rooms"),
    ("apps.planted.tasks", "services.http"),
    ("apps.planted.serializers", "apps.planted.models"),
    ("apps.planted.services", "apps.planted.models"),
    ("apps.planted.services", "apps.planted.fees"),
    ("apps.planted.services", "apps.grown.selectors.rooms"),
    ("apps.planted.services", "services.payments.registry"),
    ("apps.planted.selectors", "apps.planted.models"),
    ("apps.planted.models", "core.money"),
    ("apps.planted.models", "django.db"),
    ("apps.planted.fees", "apps.planted.models"),
    ("services.payments.planted", "django.conf"),
    ("apps.planted.urls", "apps.planted.views"),
    ("apps.grown.views.rooms", "apps.grown.serializers.rooms"),
    ("services.payments.planted", "services.payments.base"),
    ("services.payments.planted", "services.http"),
    ("config.planted", "apps.planted.tasks"),
]


def copy_of_the_packages(folder: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def write(folder: Path, module: str, text: str = "") -> None:
    """Append `text` to `module`, making the packages above it."""
    *above, _ = module.split(".")
    for depth in range(1, len(above) + 1):
        package = folder.joinpath(*above[:depth])
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
    path = folder.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    with path.open("a") as file:
        file.write(text)


def plant(folder: Path, imports: list[tuple[str, str]]) -> None:
    for layer in LAYERS:
        write(folder, f"apps.grown.{layer}.rooms")
        write(folder, f"apps.planted.{layer}")
    for app in ("planted", "grown"):
        write(folder, f"apps.{app}.fees")
    for module in ("services.payments.providers.planted", "services.simulators.planted", "config.planted"):
        write(folder, module)
    for importer, imported in imports:
        write(folder, importer, f"import {imported}\n")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, LINT_IMPORTS, "--config", "pyproject.toml", "--no-cache"],
        cwd=folder,
        env={"PATH": "", "COLUMNS": "400", "NO_COLOR": "1", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def findings(tmp_path_factory) -> dict[str, str]:
    """What lint-imports said of the planted tree, by contract."""
    folder = copy_of_the_packages(tmp_path_factory.mktemp("wrong"))
    plant(folder, [(importer, imported) for _, importer, imported in WRONG])
    done = lint_imports(folder)
    assert done.returncode == 1, done.stdout + done.stderr
    _, _, broken = done.stdout.partition("Broken contracts")
    parts = re.split(r"\n([^\n]+)\n-{3,}\n", broken)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(("contract", "importer", "imported"), WRONG, ids=lambda value: str(value))
def test_a_wrong_import_is_caught_by_its_rule(findings, contract, importer, imported):
    found = re.search(rf"^-\s+{re.escape(importer)} may not import {re.escape(imported)} \(", findings[contract], re.M)

    assert found, findings[contract]


def test_every_rule_has_a_wrong_import_here():
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

    assert {contract["name"] for contract in configured} == {contract for contract, _, _ in WRONG}


def test_what_the_table_allows_passes_in_apps_nobody_has_written_yet(tmp_path: Path):
    folder = copy_of_the_packages(tmp_path)
    plant(folder, RIGHT)

    done = lint_imports(folder)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("import django.db", {"django.db"}),
        ("import django.db.models as m, celery", {"django.db.models", "celery"}),
        ("from django import db", {"django", "django.db"}),
        ("from django import conf, db as rows  # both", {"django", "django.conf", "django.db"}),
        ("from django.db import (", {"django.db"}),
        ("from django.db.models import Q", {"django.db.models", "django.db.models.Q"}),
    ],
)
def test_every_way_to_write_an_import_is_read(statement, names):
    assert imported_names(statement) == names
