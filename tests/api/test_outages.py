"""The database goes away under a running service and comes back: real servers, stopped and started."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import URL, event, make_url, text
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import greenlet_spawn

from acd.service import ScreenContext
from api import disk_use, health, tenant_lock
from api.config import Database
from api.db import control_url, drop_database, tenant_url
from api.outages import Outages, place
from api.telephony import stream
from billing_cdr.outage import Outage, Unreachable, outage_of
from tests.api.conftest import ACME, PASSWORD, Clock, Service, add_tenant, staff, started
from tests.api.sockets import Closed, Socket
from tests.servers import DATABASES, databases_to_test, server

_numbers = itertools.count(1)


@dataclass
class Installation:
    """A running service, and its database's way to go and come back."""

    service: Service
    away: Callable[[], AbstractAsyncContextManager[None]]


@contextmanager
def _moved_away(data: Path) -> Iterator[None]:
    """SQLite's way to be away: the disk with its files is not there."""
    elsewhere = data.with_name("elsewhere")
    data.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(data)


@pytest.fixture(params=DATABASES)
async def installation(
    request: pytest.FixtureRequest,
    settings: Any,
    clock: Clock,
    application: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Installation]:
    kind: str = request.param
    if kind not in databases_to_test():
        pytest.skip(f"{kind} is not among FERNAMT_TEST_DATABASES")
    monkeypatch.setattr(tenant_lock, "WATCH_S", 0.05)
    monkeypatch.setattr(disk_use, "FIRST_S", 3600.0)  # on a busy machine its look falls into the outage, and says so
    urls: list[URL] = []
    if kind != "sqlite":
        settings = settings.model_copy(update={"database": Database(control=server(kind).url(f"outage{next(_numbers)}"))})
        urls = [control_url(settings), tenant_url(settings, ACME)]
    try:
        async with started(settings, clock, application) as service:
            service.tokens["operator"] = await service.log_in("operator", tenant=None)
            await add_tenant(service, "acme")
            await staff(service)
            if kind == "sqlite":
                yield Installation(service, lambda: _sqlite_away(service))
            else:
                yield Installation(service, server(kind).away)
    finally:
        for url in urls:
            await drop_database(url)


@asynccontextmanager
async def _sqlite_away(service: Service) -> AsyncIterator[None]:
    """New connections find no file, and those that are open answer as a disk that is gone: the codes are SQLite's own."""
    engines = [service.databases.control.sync_engine, service.databases.tenant(ACME).sync_engine]
    with _moved_away(service.settings.data):
        for engine in engines:
            event.listen(engine, "before_cursor_execute", _fail_as_sqlite)
        try:
            yield
        finally:
            for engine in engines:
                event.remove(engine, "before_cursor_execute", _fail_as_sqlite)


def _fail_as_sqlite(*_: Any) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR, "SQLITE_IOERR"
    raise sa.OperationalError("SELECT", {}, error)


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


BODY: dict[str, Any] = {"json": {"id": "x1", "name": "X"}}


def _operations(service: Service) -> list[tuple[str, str]]:
    """(method, path) of all that need to log in, with some value in the place of each parameter."""
    found = []
    for path, operations in service.app.openapi()["paths"].items():
        for method, operation in operations.items():
            if "security" in operation:
                found.append((method.upper(), re.sub(r"\{[^}]+\}", "x1", path)))
    return found


@pytest.mark.slow
async def test_every_answer_is_503_while_the_database_is_away_and_as_before_when_it_is_back(
    installation: Installation, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9110 §15.6.4: 503 with Retry-After. One line when it goes, one when it is back; no restart of ours."""
    service = installation.service
    operations = _operations(service)
    assert len(operations) > 80
    assert (await service.client.get("/readyz")).json() == {"status": "ready"}
    caplog.clear()
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.01)
    async with AsyncExitStack() as stack:
        board = await stack.enter_async_context(Socket(service.app, "/api/v1/board", service.tokens["supervisor"]))
        await board.receive()  # it stands in the audit by now
        await stack.enter_async_context(installation.away())
        for method, path in operations:
            who = "operator" if path.startswith("/api/v1/tenants") else "admin"
            answer = await service.call(method, path, who, **({} if method in {"GET", "DELETE"} else BODY))
            assert answer.status_code in {503, 422}, (method, path, answer.status_code, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            if answer.status_code == 503:
                assert int(answer.headers["retry-after"]) > 0
        for tenant in ("acme", None):
            body = {"tenant": tenant, "username": "admin", "password": PASSWORD}
            assert (await service.client.post("/api/v1/login", json=body)).status_code == 503
        answer = await service.client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["status"] == "not ready"
        assert set(answer.json()["failed"]) == {"acme"}
        assert answer.headers["retry-after"]
        assert (await service.client.get("/healthz")).status_code == 200
        assert re.search(r"^fernamt_databases_away [12]\.0$", (await service.client.get("/metrics")).text, re.MULTILINE)
        assert await service.voice.lookup(ACME, "+49301111110") == ScreenContext()  # the call goes on without a screen pop
        code, kinds = await board.closing()
        assert code == 1013
        assert set(kinds) <= {"live", "heartbeat"}
        async with Socket(service.app, "/api/v1/events", service.tokens["supervisor"]) as socket:
            with pytest.raises(Closed, match="1013 The database is away"):
                await socket.receive()
    for _ in range(2):
        assert (await service.call("GET", "me")).status_code == 200
        assert (await service.call("GET", "tenants", "operator")).status_code == 200
    assert (await service.client.get("/readyz")).json() == {"status": "ready"}
    await until(lambda: service.databases.is_locked(ACME))
    said = [re.sub(r" .*?(away|back|held again).*", r" \1", line) for line in _lines(caplog)]
    # A file each is a database; a server is one, and its locks are looked after.
    outages = 2 if service.databases.tenant(ACME).dialect.name == "sqlite" else 1
    assert said.count("! away") == said.count("= back") == outages, _lines(caplog)
    # Where it was away for long, who looks for jobs has noticed as well, and says so.
    assert {line for line in said if not line.startswith("! jobs of tenant acme wait ")} <= {"! away", "= back", "= held again"}
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.slow
async def test_a_database_that_goes_under_a_transaction_leaves_no_traceback(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """The library's pool writes one where it cannot give a connection back: that is told already (`api.outages`)."""
    databases = installation.service.databases
    engine = databases.tenant(ACME)
    caplog.clear()
    async with engine.connect() as asked:
        await asked.execute(text("SELECT 1"))
        idle = await engine.raw_connection()
        await greenlet_spawn(lambda: idle.cursor().execute("SELECT 1"))
        async with installation.away():
            with pytest.raises((sa.DBAPIError, Unreachable)):
                await asked.execute(text("SELECT 2"))
            await greenlet_spawn(idle.close)
    assert [line for line in _lines(caplog) if " is away: " in line]
    assert not [record for record in caplog.records if record.exc_info], caplog.text
    async with asyncio.timeout(20), databases.unit(ACME) as unit:
        assert await unit.session.scalar(text("SELECT 3")) == 3


async def test_a_socket_that_opens_while_the_database_goes_is_served_and_told_in_one_line(
    acme: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """It was let in while the database still answered; that it stands in no audit is said and counted."""
    await staff(acme)
    engine = acme.databases.tenant(ACME).sync_engine
    caplog.clear()

    def fails(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO audit"):
            _fail_as_sqlite()

    event.listen(engine, "before_cursor_execute", fails)
    try:
        async with Socket(acme.app, "/api/v1/board", acme.tokens["supervisor"]) as board:
            await board.receive()
    finally:
        event.remove(engine, "before_cursor_execute", fails)
    lines = [line for line in _lines(caplog) if not line.startswith(("! database", "= database"))]
    assert lines == ["! supervisor opened /api/v1/board, and the audit could not be written: disk I/O error"]
    assert not [record for record in caplog.records if record.exc_info]
    assert "fernamt_audit_failures_total 1.0" in (await acme.call("GET", "/metrics", None)).text


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


class TestReadiness:
    async def test_a_database_that_hangs_does_not_hang_the_answer(self, acme: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health, "PATIENCE_S", 0.05)
        asked: list[str] = []
        forever = asyncio.Event()

        async def hangs(_engine: object, where: str) -> None:
            asked.append(where)
            await forever.wait()

        monkeypatch.setattr(health, "_answers", hangs)
        for _ in range(3):
            answer = await acme.client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["failed"] == {"acme": "tenant acme gives no answer within 0.05 s"}
            assert answer.json()["troubles"] == ["control gives no answer within 0.05 s"]
        assert len(asked) == 2  # nobody asks again what is still being asked
        forever.set()

    async def test_trouble_of_the_voice_service_is_named_beside_those_who_are_well(self, acme: Service) -> None:
        await add_tenant(acme, "other")
        acme.voice.in_trouble[ACME] = "/data/tenants/acme/journal-1.log: No space left on device"
        answer = await acme.client.get("/readyz")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json() == {
            "status": "not ready",
            "failed": {"acme": "/data/tenants/acme/journal-1.log: No space left on device"},
            "open": ["other"],
        }
        del acme.voice.in_trouble[ACME]
        assert (await acme.client.get("/readyz")).json() == {"status": "ready"}

    async def test_a_disk_without_room_is_named_with_its_path(self, acme: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health, "LEAST_FREE_OCTETS", 1 << 62)
        answer = await acme.client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["troubles"][0].startswith(f"{acme.settings.data}: the disk is full")
        assert answer.json()["failed"]["acme"].startswith(f"{acme.settings.data / 'tenants' / 'acme'}: the disk is full")

    async def test_a_missing_directory_is_named(self, acme: Service) -> None:
        (acme.settings.data / "tenants" / "acme").rename(acme.settings.data / "elsewhere")
        told = (await acme.client.get("/readyz")).json()["failed"]["acme"]
        assert told.endswith(("tenants/acme: No such file or directory", "tenant.sqlite: unable to open database file"))

    async def test_starting_is_not_ready(self, acme: Service) -> None:
        acme.shared.ready = False
        answer = await acme.client.get("/readyz")
        assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (503, "5", {"status": "starting"})


def _refused(code: int, text_: str) -> sa.DBAPIError:
    """As asyncmy raises it: (code, text)."""
    return sa.OperationalError("SELECT", {}, Exception(code, text_))


class TestWhatIsAnOutage:
    """By the codes in the databases' own manuals; what is none is a fault of ours and stays 500 with its traceback."""

    @pytest.mark.parametrize(
        ("code", "name"),
        [(1021, "ER_DISK_FULL"), (1040, "ER_CON_COUNT_ERROR"), (1053, "ER_SERVER_SHUTDOWN"), (1290, "read only"), (2006, "gone away")],
    )
    def test_mariadb_is_away(self, code: int, name: str) -> None:
        found = outage_of(_refused(code, name))
        assert found is not None
        assert found.reason == name
        assert found.writes_only is (code in {1021, 1290})

    @pytest.mark.parametrize("code", [1054, 1064, 1146, 1205, 1213])
    def test_mariadb_was_asked_wrongly(self, code: int) -> None:
        """ER_BAD_FIELD_ERROR, ER_PARSE_ERROR, ER_NO_SUCH_TABLE, ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK: `OperationalError`s too."""
        assert outage_of(_refused(code, "x")) is None

    @pytest.mark.parametrize(
        ("sqlstate", "is_outage"),
        [
            *((code, True) for code in ("08006", "53100", "53300", "57P01", "57P03", "58030", "25006")),
            *((code, False) for code in ("42P01", "42601", "23505", "40P01", "57014")),
        ],
    )
    def test_sqlstate_tells(self, sqlstate: str, is_outage: bool) -> None:
        """PostgreSQL, Appendix A: connection_failure … io_error; undefined_table, syntax_error, unique, deadlock, query_canceled."""
        error = Exception("x")
        error.sqlstate = sqlstate  # type: ignore[attr-defined]
        assert (outage_of(sa.DBAPIError("SELECT", {}, error)) is not None) is is_outage

    @pytest.mark.parametrize(
        ("name", "statements", "told"),
        [
            ("none.sqlite", ["SELECT * FROM sqlite_master"], Outage(reason="file is not a database")),
            (
                "file:{}/x.sqlite?mode=ro&uri=true",
                ["DELETE FROM t"],
                Outage(reason="attempt to write a readonly database", writes_only=True),
            ),
            (
                "x.sqlite",
                ["PRAGMA max_page_count = 2", "INSERT INTO t VALUES (zeroblob(100000))"],
                Outage(reason="database or disk is full", writes_only=True),
            ),
            ("x.sqlite", ["SELECT * FROM nothing"], None),
            ("x.sqlite", ["SELEKT"], None),
        ],
    )
    async def test_sqlite_tells(self, tmp_path: Path, name: str, statements: list[str], told: Outage | None) -> None:
        """Real errors of the library (its documentation, "Result and Error Codes")."""
        (tmp_path / "none.sqlite").write_bytes(b"no database" * 100)
        with closing(sqlite3.connect(tmp_path / "x.sqlite")) as made:
            made.execute("CREATE TABLE t (x)")
        path = name.format(tmp_path) if "{}" in name else str(tmp_path / name)
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        try:
            async with engine.connect() as connection:
                for statement in statements[:-1]:
                    await connection.execute(text(statement))
                with pytest.raises(sa.DBAPIError) as raised:
                    await connection.execute(text(statements[-1]))
            assert outage_of(raised.value) == told
        finally:
            await engine.dispose()

    def test_sqlite_file_that_cannot_be_opened(self, tmp_path: Path) -> None:
        with pytest.raises(sqlite3.OperationalError) as raised:
            sqlite3.connect(tmp_path / "gone" / "x.sqlite")
        assert outage_of(raised.value) == Outage(reason="unable to open database file")

    async def test_a_fault_of_ours_stays_500_with_its_traceback(self, acme: Service, caplog: pytest.LogCaptureFixture) -> None:
        async with acme.databases.tenant(ACME).begin() as connection:
            await connection.execute(text("DROP TABLE appointment"))
        answer = await acme.call("GET", "appointments")
        assert answer.status_code == 500
        assert any(record.exc_info for record in caplog.records)
        assert acme.databases.outages.now() == {}


class TestRegister:
    def test_a_database_that_refuses_to_write_is_not_back_because_it_answers(self, caplog: pytest.LogCaptureFixture) -> None:
        clock = [0.0]
        outages = Outages(lambda: clock[0])
        full = Outage(reason="disk full", writes_only=True)
        for clock[0] in (0.0, 30.0, 60.0):
            outages.failed("postgresql://h/a", full)
            outages.worked("postgresql://h/a")
        assert outages.now() == {"postgresql://h/a": "disk full"}
        clock[0] = 120.0
        outages.worked("postgresql://h/a")
        assert outages.now() == {}
        assert [record.getMessage() for record in caplog.records] == [
            "! database postgresql://h/a is away: disk full",
            "= database postgresql://h/a is back after 120 s",
        ]

    def test_a_server_is_one_outage_for_all_its_databases(self, caplog: pytest.LogCaptureFixture) -> None:
        outages = Outages(lambda: 0.0)
        for tenant in range(100):
            outages.failed(f"postgresql://h:5432/fernamt_{tenant}", Outage(reason="connection refused"))
        assert len(caplog.records) == 1
        outages.worked("postgresql://h:5432/fernamt_7")
        assert outages.now() == {}

    def test_a_place_has_no_secrets(self) -> None:
        url = make_url("postgresql+asyncpg://u:geheim@h:5433/fernamt?password=geheim2")
        assert place(url) == "postgresql://h:5433/fernamt"
        assert str(Unreachable(place(url), Outage(reason="no"))) == "postgresql://h:5433/fernamt: no"


async def test_a_voice_service_that_gives_no_answer_is_503_and_closes_sockets_until_later(staffed: Service) -> None:
    """As after the loss of a bus: nobody serves what is asked."""
    staffed.voice.stop_serving()
    for method, path in (("GET", "live"), ("GET", "quote?number=601"), ("POST", "agents/anna/log-on")):
        answer = await staffed.call(method, path, "supervisor", **({"json": {}} if method == "POST" else {}))
        assert (answer.status_code, answer.json()["detail"]) == (503, "The voice service gives no answer; try again soon.")
    for path in ("/api/v1/events", "/api/v1/board"):
        async with Socket(staffed.app, path, staffed.tokens["supervisor"]) as socket:
            assert await socket.closing() == (1013, [])
    ready = await staffed.call("GET", "/readyz", "operator")
    assert (ready.status_code, ready.json()["troubles"]) == (503, ["the voice service gives no answer: nobody serves fernamt/voice"])
    figures = (await staffed.call("GET", "/metrics", "operator")).text
    assert "fernamt_tenants_failed" in figures
    assert "fernamt_legs" not in figures
