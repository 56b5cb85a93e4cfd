"""Things to test the API with: an application with its lifespan on fresh databases, a clock to turn, people who are logged in."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from schemathesis.pytest.plugin import SchemathesisFunction
from sqlalchemy import make_url

from acd.core.ids import TenantId
from acd.platform import serve_platform
from api import assignments
from api.app import create_app, furnish
from api.config import Login, Operator, Settings, Tenants
from api.db import Databases, prepare
from api.identity.hashing import Hashing
from api.identity.strength import weakness
from api.screen import lookup_in
from api.services import Services
from api.shared import Shared, shared_in
from api.telephony_setup import pins_of, setup_of
from tests.api.voice import EngineVoice
from tests.api.waits import assert_nothing_is_held

ACME = TenantId("acme")
PASSWORD = "correct horse battery"
ALLOWED = Tenants(claim_numbers=True, bare_device_names=True)
CHEAP = Login(argon2_memory_kib=8, argon2_passes=1)


class Clock:
    """Civil time that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class Service:
    """The whole API in one process."""

    app: FastAPI
    client: httpx.AsyncClient
    voice: EngineVoice
    databases: Databases
    settings: Settings
    clock: Clock
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def shared(self) -> Shared:
        return shared_in(self.app)

    async def log_in(self, username: str, password: str = PASSWORD, tenant: str | None = "acme") -> str:
        body = {"tenant": tenant, "username": username, "password": password}
        answer = await self.client.post("/api/v1/login", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    async def call(self, method: str, path: str, who: str | None = "admin", **more: Any) -> httpx.Response:
        """A request by one of the people of the fixture."""
        headers = dict(more.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {self.tokens[who]}"
        return await self.client.request(method, path if path.startswith("/") else f"/api/v1/{path}", headers=headers, **more)

    async def made(self, path: str, body: dict[str, Any], who: str = "admin") -> dict[str, Any]:
        """Something that must come about."""
        answer = await self.call("POST", path, who, json=body)
        assert answer.status_code in {200, 201}, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def got(self, path: str, who: str = "admin") -> Any:
        answer = await self.call("GET", path, who)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def application() -> FastAPI:
    """Routes hold no state, and building them takes longer than most tests: one application is furnished anew for each."""
    return create_app(Settings(login=CHEAP), EngineVoice(lambda: 0.0).client)


@dataclass(frozen=True)
class Prepared:
    """A data folder as some people left it, and their tokens: made once, copied for each test."""

    data: Path
    tokens: dict[str, str]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Both databases at the newest revision; tenants `acme` and `other` will find theirs."""
    data = tmp_path_factory.mktemp("migrated")

    async def make() -> None:
        await prepare(make_url(f"sqlite+aiosqlite:///{data / 'control.sqlite'}"), "control")
        for tenant in ("acme", "other"):
            await prepare(make_url(f"sqlite+aiosqlite:///{data / 'tenants' / tenant / 'tenant.sqlite'}"), "tenant")

    asyncio.run(make())
    return Prepared(data, {})


def _prepared(application: FastAPI, before: Prepared, data: Path, act: Callable[[Service], Awaitable[None]]) -> Prepared:
    """What a data folder looks like after the service ran on it and somebody did something."""

    async def make() -> dict[str, str]:
        shutil.copytree(before.data, data, dirs_exist_ok=True)
        async with started(_settings(data), Clock(), application) as service:
            service.tokens.update(before.tokens)
            await act(service)
            return service.tokens

    return Prepared(data, asyncio.run(make()))


@pytest.fixture(scope="session")
def first_started(application: FastAPI, migrated: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The operator is logged in."""

    async def log_in(service: Service) -> None:
        service.tokens["operator"] = await service.log_in("operator", tenant=None)

    return _prepared(application, migrated, tmp_path_factory.mktemp("first"), log_in)


@pytest.fixture(scope="session")
def with_acme(application: FastAPI, first_started: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """There is a tenant."""
    return _prepared(application, first_started, tmp_path_factory.mktemp("acme"), lambda service: add_tenant(service, "acme"))


@pytest.fixture(scope="session")
def with_staff(application: FastAPI, with_acme: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The tenant has people."""
    return _prepared(application, with_acme, tmp_path_factory.mktemp("staffed"), staff)


def _settings(data: Path) -> Settings:
    """Tenants of these tests take the numbers they use; those that must not say so (`test_assignments`)."""
    return Settings(data=data, login=CHEAP, operator=Operator(password=SecretStr(PASSWORD)), tenants=ALLOWED)


@pytest.fixture(autouse=True)
def nothing_is_held_while_one_waits() -> Iterator[None]:
    """Whatever is done beside the loop waits for a disk, or behind others: with a connection in hand it would keep a tenant from its
    database.
    """
    beside, hashed = asyncio.to_thread, Hashing.run

    async def checked(work: Callable[..., Any], /, *given: Any, **named: Any) -> Any:
        is_ours = not getattr(work, "__module__", "").startswith("tests.")
        if is_ours and work is not weakness:  # that is a millisecond, and asked in the middle of a change
            assert_nothing_is_held(getattr(work, "__qualname__", "work"))
        return await beside(work, *given, **named)

    async def run(self: Hashing, *given: Any) -> Any:
        assert_nothing_is_held("a hash")
        return await hashed(self, *given)

    with pytest.MonkeyPatch.context() as patch:  # of its own: the tests' one must end before the service does
        patch.setattr(asyncio, "to_thread", checked)
        patch.setattr(Hashing, "run", run)
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return _settings(tmp_path / "data")


@pytest.fixture
def jobs_run() -> bool:
    """Whether what is done beside requests is done: a module that looks at it says so. Each write of a test would cost it a third more."""
    return False


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _not_begun(_tenant: TenantId) -> None:
    return


@asynccontextmanager
async def started(settings: Settings, clock: Clock, application: FastAPI, *, jobs_run: bool = True) -> AsyncIterator[Service]:
    """The application with its lifespan, on the databases that the settings name."""
    databases = Databases(settings)
    await databases.open()
    voice = EngineVoice(lambda: clock().timestamp())
    services = Services(settings, databases, voice.client, clock)
    if not jobs_run:
        services.jobs.begin = _not_begun  # type: ignore[method-assign]
    furnish(application, services, owns_databases=False)
    serve_platform(voice.bus, lookup_in(databases, clock), pins_of(application))
    try:
        async with (
            application.router.lifespan_context(application),
            httpx.AsyncClient(transport=httpx.ASGITransport(application, raise_app_exceptions=False), base_url="http://test") as client,
        ):
            yield Service(application, client, voice, databases, settings, clock)
    finally:
        await databases.close()


@asynccontextmanager
async def _copied(prepared: Prepared, settings: Settings, clock: Clock, application: FastAPI, *, jobs_run: bool) -> AsyncIterator[Service]:
    shutil.copytree(prepared.data, settings.data)
    async with started(settings, clock, application, jobs_run=jobs_run) as service:
        service.tokens.update(prepared.tokens)
        for tenant in service.databases.opened if jobs_run else ():  # what is done at every start is done
            await shared_in(application).services.jobs.settled(tenant)
        yield service
        await _what_is_known_is_what_the_rows_say(service)


async def _what_is_known_is_what_the_rows_say(service: Service) -> None:
    """After whatever a test did: what the next change of a setup goes by is what the database holds, and the voice service has it too."""
    services: Services = service.shared.services
    if services.voice is not service.voice.client:  # the test started the application anew
        return
    for tenant, told in service.voice.setups.items():
        async with services.databases.unit(tenant) as unit:
            rows = await setup_of(unit.session, tenant, services.settings.sip.realm)
        if tenant in services.assigned:
            assigned = await assignments.read(services, tenant)
            assert services.assigned[tenant] == assigned
            rows = assignments.with_assigned(rows, assigned)
        known: Any = services.known_setups.get(tenant)
        assert known is None or known.setup == rows
        assert told == rows


@pytest.fixture
async def service(
    settings: Settings, clock: Clock, application: FastAPI, first_started: Prepared, jobs_run: bool
) -> AsyncIterator[Service]:
    """An application without tenants; the operator is logged in."""
    async with _copied(first_started, settings, clock, application, jobs_run=jobs_run) as running:
        yield running


@pytest.fixture
async def acme(settings: Settings, clock: Clock, application: FastAPI, with_acme: Prepared, jobs_run: bool) -> AsyncIterator[Service]:
    """The tenant `acme` with its administrator logged in."""
    async with _copied(with_acme, settings, clock, application, jobs_run=jobs_run) as running:
        yield running


@pytest.fixture
async def staffed(settings: Settings, clock: Clock, application: FastAPI, with_staff: Prepared, jobs_run: bool) -> AsyncIterator[Service]:
    """`acme` with a queue `support` behind 601, agents anna and ben, and one person of every role, all logged in."""
    async with _copied(with_staff, settings, clock, application, jobs_run=jobs_run) as running:
        yield running


async def add_tenant(service: Service, tenant: str) -> None:
    """A tenant and its administrator, `admin` of acme, `<tenant>-admin` of others."""
    body = {"id": tenant, "name": tenant.upper(), "admin": {"username": "admin", "password": PASSWORD}}
    await service.made("tenants", body, "operator")
    prefix = "" if tenant == "acme" else f"{tenant}-"
    service.tokens[f"{prefix}admin"] = await service.log_in("admin", tenant=tenant)


async def staff(acme: Service) -> None:
    """Queue, agents, and one person of every role."""
    for agent, level in (("anna", 9), ("ben", 3)):
        await acme.made("agents", {"id": agent, "name": agent.title(), "skills": {"support": level}, "device_password": PASSWORD})
    await acme.made("queues", {"id": "support", "name": "Support", "requirements": [{"skill": "support"}], "strategy": "best_skill"})
    await acme.made("numbers", {"number": "601", "target": {"to": "queue", "queue": "support"}})
    for user, role in (("anna", "agent"), ("ben", "agent"), ("supervisor", "supervisor"), ("billing", "billing")):
        body = {"id": user, "name": user.title(), "role": role, "password": PASSWORD, "agent": user if role == "agent" else None}
        await acme.made("users", body)
        acme.tokens[user] = await acme.log_in(user)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every operation of the contract gets an id of its own: of tests that share one xdist runs one, and nobody misses the others.

    schemathesis writes the id where pytest no longer looks for it.
    """
    for item in items:
        if isinstance(item, SchemathesisFunction) and "[" not in item.nodeid:
            item._id = type(item._id).parse(f"{item.nodeid}[{item.operation_label}]")


def pytest_collection_finish(session: pytest.Session) -> None:
    """An id that occurs twice is a test that is not run."""
    ids = [item.nodeid for item in session.items]
    assert len(ids) == len(set(ids)), sorted({one for one in ids if ids.count(one) > 1})[:3]
