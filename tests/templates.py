"""A pytest plugin: the processes of a run migrate each kind of database once, and begin with copies of it.

Migrating takes seconds of a processor, and a run would do it some ten times. In a single process (`-n 0`) nothing is
shared, and everybody migrates. The first to ask makes the template; the others wait for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tools.stack import manage

_FOLDER = pytest.StashKey[Path]()
_WORKERINPUT, _NAME = "templates", "postgresql"
_folder: Path | None = None


def pytest_configure(config: pytest.Config) -> None:
    global _folder
    if hasattr(config, "workerinput"):
        _folder = Path(config.workerinput[_WORKERINPUT])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """In the process that hands out the tests, for each that will run them."""
    stash = node.config.stash
    if _FOLDER not in stash:
        stash[_FOLDER] = Path(tempfile.mkdtemp(prefix="faraja-templates-"))
    node.workerinput[_WORKERINPUT] = str(stash[_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = config.stash.get(_FOLDER, None)
    if folder is None:
        return
    if (folder / _NAME).exists():
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            name = sql.Identifier((folder / _NAME).read_text())
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
    shutil.rmtree(folder)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _migrate(url: str) -> None:
    manage({**os.environ, "DATABASE_URL": url}, "migrate", "--verbosity", "0")


def postgresql_template() -> str | None:
    """The name of a migrated database on the server of DATABASE_URL, to copy from; None where nothing is shared."""
    if _folder is None or "DATABASE_URL" not in os.environ:
        return None
    with _alone(_folder):
        known = _folder / _NAME
        if not known.exists():
            url, name = os.environ["DATABASE_URL"], f"faraja_template_{secrets.token_hex(6)}"
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            _migrate(urlsplit(url)._replace(path=f"/{name}").geturl())
            known.write_text(name)
        return known.read_text()


def migrated_sqlite(path: Path) -> bool:
    """Whether `path` is a migrated SQLite file now: a copy of the run's, or not where nothing is shared."""
    if _folder is None:
        return False
    with _alone(_folder):
        template = _folder / "template.sqlite3"
        if not template.exists():
            made = _folder / "unfinished.sqlite3"
            _migrate(f"sqlite:///{made}")
            made.rename(template)
    shutil.copyfile(template, path)
    return True
