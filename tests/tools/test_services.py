from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from tests.tools.conftest import ROOT, eventually, is_alive
from tools.processes import ToolError
from tools.services import find_postgres, find_redis, fresh_database, given_database, given_redis, services

WITHOUT_URLS = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}

ASK_BOTH = """
import os, psycopg, redis
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    print("role", connection.execute("SELECT current_user").fetchone()[0])
print("redis", redis.Redis.from_url(os.environ["REDIS_URL"]).ping())
"""


@pytest.fixture(scope="module")
def servers():
    with services(WITHOUT_URLS) as found:
        yield found


def run_tool(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.services", "--", *command],
        cwd=ROOT,
        env={**WITHOUT_URLS, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_finds_both_servers_and_the_reader_learns_which_they_are():
    done = run_tool(sys.executable, "-c", ASK_BOTH)

    assert done.returncode == 0, done.stderr
    database, broker, role, ping = done.stdout.splitlines()
    assert database.startswith("database: PostgreSQL ")
    assert "from " in database
    assert broker.startswith("broker:   ")
    assert (role, ping) == ("role faraja", "redis True")


def test_the_exit_code_is_the_commands_own():
    assert run_tool(sys.executable, "-c", "raise SystemExit(7)").returncode == 7


def test_a_command_that_dies_of_a_signal_says_which():
    done = run_tool(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")

    assert done.returncode == 128 + signal.SIGKILL


def test_tests_do_not_run_as_a_role_that_passes_row_level_security(servers):
    with psycopg.connect(servers.database.url) as connection:
        rights = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        ).fetchone()

    assert rights == (False, False, True)


def test_row_level_security_hides_rows_from_the_role_that_is_handed_out(servers):
    with fresh_database(servers.database.url) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE room (tenant int)")
        connection.execute("INSERT INTO room VALUES (1), (2)")
        connection.execute("ALTER TABLE room ENABLE ROW LEVEL SECURITY")
        connection.execute("ALTER TABLE room FORCE ROW LEVEL SECURITY")
        connection.execute("CREATE POLICY own ON room USING (tenant = 1)")

        assert connection.execute("SELECT tenant FROM room").fetchall() == [(1,)]


def test_a_fresh_database_is_gone_afterwards(servers):
    with fresh_database(servers.database.url) as url:
        psycopg.connect(url).close()

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_a_fresh_database_may_be_a_copy_of_another(servers):
    with fresh_database(servers.database.url) as original:
        with psycopg.connect(original) as connection:
            connection.execute("CREATE TABLE room AS SELECT 7 AS tenant")
        copy = fresh_database(servers.database.url, template=original.rpartition("/")[2])
        with copy as url, psycopg.connect(url) as connection:
            assert connection.execute("DELETE FROM room RETURNING tenant").fetchall() == [(7,)]

        with psycopg.connect(original) as connection:
            assert connection.execute("SELECT tenant FROM room").fetchall() == [(7,)]


def test_a_broker_that_is_full_refuses_rather_than_forgets(servers):
    client = redis.Redis.from_url(servers.broker.url)

    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_given_server_is_used_as_it_is(servers):
    with services(servers.env) as found:
        assert found.env == servers.env
        assert {found.database.source, found.broker.source} == {"DATABASE_URL", "REDIS_URL"}


def test_a_given_superuser_is_refused(servers):
    superuser = servers.database.url.replace("faraja@", "postgres@")

    with pytest.raises(ToolError, match="row-level security"):
        given_database(superuser)


@pytest.mark.parametrize("given", [given_database, given_redis])
def test_a_given_server_that_does_not_answer_is_named(given):
    scheme = "postgres" if given is given_database else "redis"

    with pytest.raises(ToolError, match="does not answer"):
        given(f"{scheme}://127.0.0.1:1/0")


def test_a_folder_named_in_the_environment_comes_before_the_wheel(tmp_path: Path):
    (tmp_path / "initdb").touch()
    program = tmp_path / "redis-server"
    program.touch(mode=0o755)

    postgres = find_postgres({"PG_BINDIR": str(tmp_path)})
    broker = find_redis({"REDIS_SERVER_BIN": str(program)})

    assert postgres is not None
    assert broker is not None
    assert (postgres.path, broker.path) == (tmp_path, program)


def test_a_named_folder_without_the_program_is_an_error_not_a_fallback(tmp_path: Path):
    with pytest.raises(ToolError, match="PG_BINDIR"):
        find_postgres({"PG_BINDIR": str(tmp_path)})
    with pytest.raises(ToolError, match="REDIS_SERVER_BIN"):
        find_redis({"REDIS_SERVER_BIN": str(tmp_path / "absent")})


def test_missing_servers_are_one_sentence_with_the_way_out(python):
    # A Python that sees neither wheel, with nothing on PATH and no Debian folder.
    process = python(
        """
        import sys
        from pathlib import Path
        from tools import services
        services._wheel = lambda package: None
        Path.glob = lambda self, pattern: iter(())
        sys.exit(services.main(["--", "true"]))
        """,
        PATH="",
        DATABASE_URL="",
        REDIS_URL="",
    )
    output = process.communicate()[0]

    assert process.returncode == 1
    assert output.count("\n") == 1
    assert "apt-get install postgresql" in output


def servers_below(pid: int) -> list[int]:
    """The processes that `pid` started, by the process table."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    rows = [tuple(map(int, line.split())) for line in table.splitlines()]
    return [child for child, parent in rows if parent == pid]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_behind_when_the_wrapper_is_killed(python, tmp_path: Path, signum: int):
    temporary = tmp_path / "tmp"
    temporary.mkdir(mode=0o755)
    wrapper = python(
        "import sys; from tools.services import main; sys.exit(main(sys.argv[1:]))",
        "--",
        sys.executable,
        "-c",
        "import os, time; print('ready', os.getpid(), flush=True); time.sleep(600)",
        DATABASE_URL="",
        REDIS_URL="",
        TMPDIR=str(temporary),
    )
    assert wrapper.stdout is not None
    command = next(int(line.split()[1]) for line in wrapper.stdout if line.startswith("ready"))
    children = servers_below(wrapper.pid)
    below = [*children, *(pid for child in children for pid in servers_below(child)), command]
    assert len(below) >= 4  # guard, PostgreSQL, Valkey, the command, and PostgreSQL's own

    os.kill(wrapper.pid, signum)

    assert eventually(lambda: not any(map(is_alive, below)))
    assert eventually(lambda: not any(temporary.iterdir()))
