"""Where settings come from: the environment, this folder, and the databases that the environment names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import environ

ROOT = Path(__file__).resolve().parent.parent.parent
VAR_DIR = ROOT / "var"


class Env(environ.Env):  # type: ignore[misc]
    """The environment, in which a variable that is set to nothing is absent: `.env.example` may be copied as it is."""

    @property
    def ENVIRON(self) -> Mapping[str, str]:  # the library's own name for it
        return {name: value for name, value in os.environ.items() if value}


env = Env()
# A developer's own .env is for `make run`; the suite sets ENV_FILE to nothing, so that it is the same everywhere.
if env_file := os.environ.get("ENV_FILE", str(ROOT / ".env")):
    environ.Env.read_env(env_file)


def databases(default: str) -> dict[str, Any]:
    """The database named by DATABASE_URL, and for the admin the one named by DATABASE_SYSTEM_URL."""
    found = {"default": _database("DATABASE_URL", default)}
    if env.str("DATABASE_SYSTEM_URL", default=""):
        found["system"] = _database("DATABASE_SYSTEM_URL", default) | {"TEST": {"MIRROR": "default"}}
    return found


def _database(variable: str, default: str) -> dict[str, Any]:
    """The database that `variable` names, with the options that each engine needs to be safe under concurrency."""
    config: dict[str, Any] = env.db_url_config(env.str(variable, default="") or default)
    if config["ENGINE"] == "django.db.backends.sqlite3":
        # IMMEDIATE takes the write lock at BEGIN: a deferred transaction that later wants to write fails at once
        # with "database is locked", whatever the timeout.
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;",
        }
    else:
        # A persistent connection per thread is the largest single gain there is; the timeouts keep a silent
        # server from holding a thread for ever.
        config["CONN_MAX_AGE"] = 60
        config["CONN_HEALTH_CHECKS"] = True
        config.setdefault("OPTIONS", {}).update(
            connect_timeout=3,
            keepalives_idle=10,
            keepalives_interval=3,
            keepalives_count=3,
            tcp_user_timeout=10_000,
            options=(
                f"-c statement_timeout={env.int('DATABASE_STATEMENT_TIMEOUT_MS', default=10_000)}"
                " -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000"
            ),
        )
    return config
