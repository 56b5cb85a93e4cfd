"""Private database servers for the tests: PostgreSQL and MariaDB in temporary folders, on free ports of 127.0.0.1.

`database_url` gives a fresh, empty database on each of SQLite, PostgreSQL and MariaDB in turn. A server is started at most once a test
process and stopped by its pid. Without its binary the tests on it are skipped with its name; where CI=true is set they fail.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

START_LIMIT_S = 60.0
DATABASES = ("sqlite", "postgresql", "mariadb")
_numbers = iter(range(1, 1_000_000))


@dataclass(frozen=True, slots=True)
class Server:
    """A running database server."""

    kind: str
    process: _Process
    admin_url: str
    """Asynchronous URL of a database in which further ones can be created."""
    folder: Path
    """Where it keeps everything; gone when it is stopped."""

    @property
    def pid(self) -> int:
        """Of the server at this moment."""
        return self.process.pid

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Stop it and start it again, on the same port and data."""
        await asyncio.to_thread(self.process.stop)  # whoever is connected hears of it meanwhile
        try:
            yield
        finally:
            self.process.start()  # not in a thread, with whose end the kernel would end it

    def url(self, database: str) -> str:
        """Give the asynchronous URL of one of its databases."""
        return self.admin_url.rpartition("/")[0] + f"/{database}"


def databases_to_test() -> tuple[str, ...]:
    """The kinds of databases to test: `FERNAMT_TEST_DATABASES` (comma-separated, or `all`), else all of them."""
    wanted = os.environ.get("FERNAMT_TEST_DATABASES", "all")
    if wanted == "all":
        return DATABASES
    return tuple(kind for kind in DATABASES if kind in {name.strip() for name in wanted.split(",")})


@contextlib.contextmanager
def postgresql_server() -> Iterator[Server]:
    """Run a private PostgreSQL as long as the context lasts."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4].split(".")[0]))
    binary = binaries[-1] if binaries else None
    found = shutil.which("postgres") if binary is None else str(binary)
    folder_of_binaries = Path(_needed(found, "postgres")).parent
    with _folder("postgres") as folder:
        data = folder / "data"
        initdb = [
            str(folder_of_binaries / "initdb"),
            "-D",
            str(data),
            "-U",
            "fernamt",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        _run([*_as_user("postgres", signal.SIGTERM), *initdb], folder)
        port = _free_port()
        # Durability is not what these tests are about; a private server that is thrown away need not wait for the disk.
        options = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=50", f"unix_socket_directories={folder}"]
        command = [str(folder_of_binaries / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port)]
        command += [word for option in options for word in ("-c", option)]
        process = _Process(
            [*_as_user("postgres", signal.SIGINT), *command], folder, "database system is ready to accept connections", signal.SIGINT
        )
        with process.running():
            yield Server("postgresql", process, f"postgresql+asyncpg://fernamt@127.0.0.1:{port}/postgres", folder)


@contextlib.contextmanager
def mariadb_server() -> Iterator[Server]:
    """Run a private MariaDB as long as the context lasts."""
    install = _needed(shutil.which("mariadb-install-db"), "mariadb-install-db")
    daemon = _needed(shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/libexec"), "mariadbd")
    with _folder("mysql") as folder:
        data = folder / "data"
        common = ["--no-defaults", f"--datadir={data}"]
        plain_user = _as_user("mysql", signal.SIGTERM)
        _run([*plain_user, install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"], folder)
        port = _free_port()
        command = [daemon, *common, f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/mariadb.sock"]
        command += [
            f"--pid-file={folder}/mariadb.pid",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=32M",
            "--skip-log-bin",
            "--innodb-file-per-table=0",
        ]
        process = _Process([*plain_user, *command], folder, "ready for connections", signal.SIGTERM)
        with process.running():
            yield Server("mariadb", process, f"mysql+asyncmy://root@127.0.0.1:{port}/mysql", folder)


_STARTERS = {"postgresql": postgresql_server, "mariadb": mariadb_server}
_servers: dict[str, Server] = {}
_stack = contextlib.ExitStack()
atexit.register(_stack.close)


def server(kind: str) -> Server:
    """Give the server of this kind, started when it is asked for first; it lives as long as the test process."""
    if kind not in _servers:
        _servers[kind] = _stack.enter_context(_STARTERS[kind]())
    return _servers[kind]


@contextlib.asynccontextmanager
async def fresh_database(kind: str, folder: Path) -> AsyncIterator[str]:
    """Make an empty database, give its asynchronous URL, and drop it afterwards (SQLite: a file in `folder`)."""
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{folder / f'database{next(_numbers)}.sqlite'}"
        return
    running = server(kind)  # in this thread: the kernel ends the server when the thread that started it is gone
    name = f"test{next(_numbers)}"
    await _command(running, f"CREATE DATABASE {name}" + (" CHARACTER SET utf8mb4" if kind == "mariadb" else ""))
    try:
        yield running.url(name)
    finally:
        await _command(running, f"DROP DATABASE {name}" + (" WITH (FORCE)" if kind == "postgresql" else ""))


@pytest.fixture(params=DATABASES)
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A fresh, empty database, on each kind of server in turn."""
    kind: str = request.param
    if kind not in databases_to_test():
        pytest.skip(f"{kind} is not among FERNAMT_TEST_DATABASES")
    async with fresh_database(kind, tmp_path) as url:
        yield url


async def _command(running: Server, statement: str) -> None:
    engine = create_async_engine(running.admin_url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as conn:
            await conn.execute(text(statement))
    finally:
        await engine.dispose()


def _needed(found: str | None, binary: str) -> str:
    if found is not None:
        return found
    message = f"{binary} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def _account(wanted: str) -> str:
    """A user the server may run as: its own if the system has one, else nobody."""
    try:
        return pwd.getpwnam(wanted).pw_name
    except KeyError:
        return "nobody"


def _as_user(wanted: str, stop: signal.Signals) -> list[str]:
    """The words that make a command run as a plain user (PostgreSQL refuses to be root) and end when these tests are killed."""
    words = [_needed(shutil.which("setpriv"), "setpriv"), f"--pdeathsig={stop.name.removeprefix('SIG')}"]
    if os.geteuid() == 0:
        account = pwd.getpwnam(_account(wanted))
        words += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    return words


@contextlib.contextmanager
def _folder(owner: str) -> Iterator[Path]:
    """A temporary folder of the server's own; short, since a socket's path has at most 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="fernamt-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _account(owner))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=START_LIMIT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed with {done.returncode}:\n{done.stdout}{done.stderr}")


class _Process:
    """A server process; `ready` is what it logs once connections are welcome (PostgreSQL listens earlier)."""

    def __init__(self, command: list[str], folder: Path, ready: str, stop: signal.Signals) -> None:
        self._command, self._folder, self._ready, self._stop = command, folder, ready, stop
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run until the context ends."""
        try:
            self.start()
            yield
        finally:
            self.stop()

    def start(self) -> None:
        log = self._folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(self._command, cwd=self._folder, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self._process = process
        deadline = time.monotonic() + START_LIMIT_S
        while self._ready not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._command[0]} did not come up:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)

    def stop(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(self._stop)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
