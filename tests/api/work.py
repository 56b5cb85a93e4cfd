"""A tenant's database for jobs and what stands on them: on SQLite, PostgreSQL and MariaDB, with a clock that is turned and no chance."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import MetaData, Table, make_url

from api.config import Settings
from api.db import Databases, make_engine
from api.kit.columns import TenantBase
from api.kit.jobs import Jobs
from api.kit.jobs.definitions import Definition
from api.slices import SLICES
from tests.api.conftest import ACME, Clock
from tests.servers import fresh_database

assert SLICES


@dataclass
class Work:
    """One tenant's jobs."""

    databases: Databases
    clock: Clock
    jobs: Jobs

    async def settled(self) -> None:
        """Until nothing is due."""
        await self.jobs.settled(ACME)

    async def turn(self, **by: float) -> None:
        """Let time pass, and what is due then be done."""
        self.clock.turn(**by)
        self.jobs.wake(ACME)
        await self.settled()

    async def again(self, definitions: Iterable[Definition]) -> None:
        """What another process finds that opens the tenant after this one is gone."""
        await self.jobs.close()
        self.jobs = Jobs(self.databases, self.clock, definitions, chance=lambda: 0.0)
        self.jobs.begin(ACME)


@asynccontextmanager
async def working(kind: str, folder: Path, definitions: Iterable[Definition] = (), names: Iterable[str] = ("job",)) -> AsyncIterator[Work]:
    """Jobs of the tenant acme in a fresh database with these tables."""
    async with fresh_database(kind, folder) as url:
        settings = Settings(data=folder)
        databases, clock = Databases(settings), Clock()
        await databases.read_keys()
        wanted = MetaData(naming_convention=TenantBase.metadata.naming_convention)
        kept: list[Table] = [TenantBase.metadata.tables[name].to_metadata(wanted) for name in names]
        assert kept
        engine = make_engine(make_url(url), 5)
        async with engine.begin() as connection:
            await connection.run_sync(wanted.create_all)
        databases._tenants[ACME] = engine
        work = Work(databases, clock, Jobs(databases, clock, definitions, chance=lambda: 0.0))
        try:
            yield work
        finally:
            await work.jobs.close()
            await databases.close()
