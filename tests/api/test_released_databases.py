"""Databases that released versions wrote, migrated and read by today's service: what it told then it tells now (tests/vectors/releases)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from fastapi import FastAPI
from sqlalchemy import URL, Connection, inspect
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from acd.core.ids import TenantId
from api.config import Settings
from api.db import Kind, _create_database, alembic_config, control_url, drop_database, prepare, tenant_url
from tests.api.conftest import CHEAP, Clock, Service, started
from tests.releases.vectors import CLOSED, Vector, differences, needs_its_server, vectors

KINDS = ("queues", "menus", "numbers", "schedules", "sites", "trunks", "reasons", "agents")


@pytest.mark.slow
@pytest.mark.parametrize("vector", [one for one in vectors("0.1.0") if one.house == "orderly" or one.kind == "sqlite"], ids=str)
async def test_what_a_release_wrote_is_told_as_it_was(vector: Vector, tmp_path: Path, clock: Clock, application: FastAPI) -> None:
    """Migrated (twice changes nothing), then asked over the API with the password and the key of then: records, charges, all.

    Devices' digests are sealed by then, and the exchange has them as they were.
    """
    needs_its_server(vector)
    async with vector.restored(tmp_path) as left:
        settings = Settings(data=left.data, database=left.database, login=CHEAP)
        urls: list[tuple[URL, Kind]] = [(control_url(settings), "control")]
        urls += [(tenant_url(settings, TenantId(tenant)), "tenant") for tenant in vector.tenants]
        for url, kind in urls:
            await prepare(url, kind)
        once = [await _content(url) for url, _ in urls]
        for url, kind in urls:
            await prepare(url, kind)
        assert [await _content(url) for url, _ in urls] == once
        clear = {tenant: await _digests(tenant_url(settings, TenantId(tenant))) for tenant in vector.tenants}
        async with started(settings, clock, application) as service:
            operator = vector.expectations["operator"]
            service.tokens["operator"] = await service.log_in(operator["username"], operator["password"], None)
            found = await _pages(service, "tenants", "operator")
            assert differences(vector.expectations["tenants"], found) == []
            for tenant in sorted({*vector.tenants} - CLOSED):
                told = vector.said[tenant] if vector.kind == "sqlite" else _one_by_one(vector.said[tenant], 1)
                # What 0.1.0 called the devices' domain was the realm; now each tenant has one of its own. The digests hold under both.
                told["devices"] = {agent: one | {"domain": f"{tenant}.fernamt"} for agent, one in told["devices"].items()}
                # It wrote down a list of domains for the setup, which meant nothing.
                del told["configuration"]["setup"]["domains"]
                assert await _differences(service, tenant, told) == [], tenant
                assert await _rated_otherwise(service, tenant) == [], tenant
                has = {one.agent: (one.ha1_md5, one.ha1_sha256) for one in service.voice.setups[TenantId(tenant)].devices}
                assert has == clear[tenant], tenant
                sealed = await _digests(tenant_url(settings, TenantId(tenant)))
                assert sealed.keys() == clear[tenant].keys()
                assert all(one.startswith("sealed:1:") for both in sealed.values() for one in both), tenant


def _one_by_one(told: dict[str, Any], most: int) -> dict[str, Any]:
    """Of what is asked for one by one, so many: a request each, and the same columns every time."""
    return told | {name: dict(list(told[name].items())[:most]) for name in ("charges", "devices")}


async def _differences(service: Service, tenant: str, told: dict[str, Any]) -> list[str]:
    """What the API tells otherwise than then."""
    person = told["log_in"]
    service.tokens[tenant] = await service.log_in(person["username"], person["password"], tenant)
    if person["api_key"] is not None:
        service.tokens[tenant] = person["api_key"]
    found: dict[str, Any] = {
        name: await _pages(service, path, tenant)
        for name, path in (
            ("api_keys", "api-keys"),
            *((one, one) for one in ("cdrs", "users", "contacts", "appointments", "tickets", "audit")),
        )
    }
    # What was done then, not what this test does: it logs in and reads, and that is in the audit too.
    found["audit"] = [one for one in found["audit"] if one["source"] is None]
    found["configuration"] = {kind: await _pages(service, kind, tenant) for kind in KINDS} | {"setup": await service.got("setup", tenant)}
    found["devices"] = {agent: await service.got(f"agents/{agent}/device", tenant) for agent in told["devices"]}
    found["tariffs"] = [await service.got(f"tariffs/{one['key']}", tenant) for one in told["tariffs"]]
    found["months"] = {month: await service.got(f"billing/months/{month}", tenant) for month in told["months"]}
    # Every charge stands whole among the records; in sentences those that cost something.
    costly = {one["cdr"]["id"] for one in told["cdrs"] if any(float(total["gross"]) for total in one["charge"]["totals"])}
    explained = {call: languages for call, languages in told["charges"].items() if call in costly}
    found["charges"] = {
        call: {language: await service.got(f"cdrs/{call}/charge?language={language}", tenant) for language in languages}
        for call, languages in explained.items()
    }
    for one in told["cdrs"]:  # 0.1.0 told where on its server a recording lay
        one["cdr"]["recordings"] = [{**kept, "path": Path(kept["path"]).name} for kept in one["cdr"]["recordings"]]
    for charge in [one["charge"] for one in told["cdrs"]] + [one["charge"] for call in explained.values() for one in call.values()]:
        for line in charge["lines"]:  # 0.1.0 had one word for it; since then plans say how, and to what precision
            assert line["rounding"] == "half_up_cent_once"
            line["rounding"] = "half_up"
    # The rest stands in the journal, not in the database.
    return differences({name: one for name, one in told.items() if name in found} | {"charges": explained}, found)


async def _rated_otherwise(service: Service, tenant: str) -> list[Any]:
    """Which charges of then would be others today."""
    always = {"began_from": "2000-01-01T00:00:00Z", "began_before": "2100-01-01T00:00:00Z"}
    answer = await service.call("POST", "billing/rerating", tenant, json=always)
    assert answer.status_code == 200, answer.text
    assert answer.json()["looked_at"] > 0
    changes: list[Any] = answer.json()["changes"]
    return changes


async def _pages(service: Service, path: str, who: str) -> list[Any]:
    found: list[Any] = []
    after = ""
    while True:
        page = await service.got(f"{path}?limit=100{after}", who)
        found += page["items"]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


async def _content(url: URL) -> dict[str, list[str]]:
    """Every row of every table."""

    def read(connection: Connection) -> dict[str, list[str]]:
        quote = connection.dialect.identifier_preparer.quote_identifier
        return {
            table: sorted(str(row) for row in connection.exec_driver_sql(f"SELECT * FROM {quote(table)}"))
            for table in inspect(connection).get_table_names()
        }

    found: dict[str, list[str]] = await _asked(url, read)
    return found


async def _digests(url: URL) -> dict[str, tuple[str, str]]:
    """Agent -> what stands in the columns of the device's digests: in clear in 0.1.0, sealed since."""

    def read(connection: Connection) -> dict[str, tuple[str, str]]:
        rows = connection.exec_driver_sql("SELECT agent, ha1_md5, ha1_sha256 FROM setup_device")
        return {agent: (md5, sha256) for agent, md5, sha256 in rows}

    found: dict[str, tuple[str, str]] = await _asked(url, read)
    return found


async def _asked(url: URL, question: Any) -> Any:
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(question)
    finally:
        await engine.dispose()


# ---------------------------------------------------------------------- the revisions


@pytest.mark.slow
@pytest.mark.parametrize("vector", [one for one in vectors("0.1.0") if one.house == "killed"], ids=str)
async def test_the_revisions_of_a_release_still_make_what_they_made(vector: Vector, tmp_path: Path) -> None:
    """A revision that was released is history: up to the release's own, today's code makes exactly the schema the release made."""
    needs_its_server(vector)
    async with vector.restored(tmp_path, only=("cafe",)) as left:
        settings = Settings(data=left.data, database=left.database)
        for url, kind in ((control_url(settings), "control"), (tenant_url(settings, TenantId("cafe")), "tenant")):
            revision, schema = await _asked(url, _schema)
            fresh = url.set(database=str(tmp_path / kind) if vector.kind == "sqlite" else f"{url.database}_fresh")
            await _create_database(fresh)
            try:
                assert await _migrated(fresh, kind, revision) == (revision, schema)  # type: ignore[arg-type]
            finally:
                await drop_database(fresh)


async def _migrated(url: URL, kind: Kind, revision: str) -> Any:
    """A database made by today's revisions up to one of them."""
    config = alembic_config(kind)

    def up(connection: Connection) -> Any:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        return _schema(connection)

    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(up)
    finally:
        await engine.dispose()


def _schema(connection: Connection) -> tuple[str, dict[str, Any]]:
    """Revision and schema: columns, types, keys, indexes (in any order), options of the tables (MariaDB: engine, collation)."""
    told = inspect(connection)
    tables = {}
    for table in told.get_table_names():
        columns = [{key: repr(value) for key, value in one.items()} for one in told.get_columns(table)]
        keys = [
            told.get_pk_constraint(table),
            *sorted(told.get_foreign_keys(table), key=str),
            *sorted(told.get_unique_constraints(table), key=str),
        ]
        indexes = sorted(map(str, told.get_indexes(table)))
        tables[table] = {"columns": columns, "keys": keys, "indexes": indexes, "options": told.get_table_options(table)}
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    return str(revision), tables
