"""Things to test the API with: an application with its lifespan on fresh databases, a clock to turn, people who are logged in."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import make_url

from acd.core.ids import TenantId
from api.app import create_app
from api.config import Login, Operator, Settings
from api.db import Databases, prepare
from api.screen import lookup_in
from tests.api.voice import EngineVoice

PASSWORD = "correct horse battery"
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
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both databases at the newest revision, made once: a test copies them."""
    folder = tmp_path_factory.mktemp("migrated")

    async def make() -> None:
        await prepare(make_url(f"sqlite+aiosqlite:///{folder / 'control.sqlite'}"), "control")
        await prepare(make_url(f"sqlite+aiosqlite:///{folder / 'tenant.sqlite'}"), "tenant")

    asyncio.run(make())
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", login=CHEAP, operator=Operator(password=SecretStr(PASSWORD)))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def service(settings: Settings, clock: Clock, migrated: Path) -> AsyncIterator[Service]:
    """An application that has just started for the first time; the operator is logged in."""
    for tenant in ("acme", "other"):
        folder = settings.data / "tenants" / tenant
        folder.mkdir(parents=True)
        shutil.copy(migrated / "tenant.sqlite", folder)
    shutil.copy(migrated / "control.sqlite", settings.data)
    async with started(settings, clock) as running:
        yield running


@asynccontextmanager
async def started(settings: Settings, clock: Clock) -> AsyncIterator[Service]:
    """An application with its lifespan, on the databases that the settings name."""
    databases = Databases(settings)
    await databases.open()
    voice = EngineVoice(lambda: clock().timestamp())
    voice.lookup = lookup_in(databases, clock)
    app = create_app(settings, voice, databases, clock)
    try:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://test") as client,
        ):
            running = Service(app, client, voice, databases, settings, clock)
            running.tokens["operator"] = await running.log_in("operator", tenant=None)
            yield running
    finally:
        await databases.close()


async def add_tenant(service: Service, tenant: str) -> None:
    body = {"id": tenant, "name": tenant.upper(), "admin": {"username": "admin", "password": PASSWORD}}
    await service.made("tenants", body, "operator")
    prefix = "" if tenant == "acme" else f"{tenant}-"
    service.tokens[f"{prefix}admin"] = await service.log_in("admin", tenant=tenant)


@pytest.fixture
async def acme(service: Service) -> Service:
    """The tenant `acme` with its administrator logged in."""
    await add_tenant(service, "acme")
    return service


@pytest.fixture
async def staffed(acme: Service) -> Service:
    """`acme` with a queue `support` behind 601, agents anna and ben, and one person of every role, all logged in."""
    for agent, level in (("anna", 9), ("ben", 3)):
        await acme.made("agents", {"id": agent, "name": agent.title(), "skills": {"support": level}, "device_password": PASSWORD})
    await acme.made("queues", {"id": "support", "name": "Support", "requirements": [{"skill": "support"}], "strategy": "best_skill"})
    await acme.made("numbers", {"number": "601", "target": {"to": "queue", "queue": "support"}})
    for user, role in (("anna", "agent"), ("ben", "agent"), ("supervisor", "supervisor"), ("billing", "billing")):
        body = {"id": user, "name": user.title(), "role": role, "password": PASSWORD, "agent": user if role == "agent" else None}
        await acme.made("users", body)
        acme.tokens[user] = await acme.log_in(user)
    return acme


ACME = TenantId("acme")
