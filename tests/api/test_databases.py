"""Migrations and the whole path on SQLite, PostgreSQL and MariaDB: real servers, started by the tests."""

from __future__ import annotations

import ast
import asyncio
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from fastapi import FastAPI
from sqlalchemy import Connection, MetaData, make_url, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.schema import DropIndex

from acd.core.ids import TenantId
from acd.errors import CannotStart
from api import migrations
from api.audit.retention import forget_old
from api.config import Database, Recordings, Settings
from api.db import Kind, alembic_config, control_url, drop_database, make_engine, prepare, tenant_url
from api.kit.columns import ControlBase, TenantBase
from api.recordings.retention import delete_old
from api.services import Services
from api.slices import SLICES
from billing_cdr import recordings, store
from billing_cdr.store import metadata as billing
from tests.api.conftest import ACME, Clock, Service, add_tenant, staff, started
from tests.api.records import recorded_talk, talk, twice_recorded
from tests.servers import DATABASES, databases_to_test, server

assert SLICES  # the metadata are whole once it is imported


_numbers = itertools.count(1)


@pytest.fixture(params=DATABASES)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the control database will be; nothing is there yet."""
    kind: str = request.param
    if kind not in databases_to_test():
        pytest.skip(f"{kind} is not among FERNAMT_TEST_DATABASES")
    if kind == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'control.sqlite'}"
    # In the main thread: the kernel stops the server when the thread that started it ends.
    return server(kind).url(f"fernamt{next(_numbers)}")


def _differences(connection: Connection, metadata: list[MetaData]) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": False, "include_object": _ours})
    return list(compare_metadata(context, metadata))  # type: ignore[arg-type]


def _ours(_object: Any, name: str | None, kind: str, _reflected: bool, _compared: Any) -> bool:
    """MariaDB indexes foreign keys by itself."""
    return not (kind == "table" and name == "alembic_version") and not (kind == "index" and _reflected and _compared is None)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "metadata"), [("control", [ControlBase.metadata]), ("tenant", [TenantBase.metadata, billing])])
async def test_migrations_lead_to_the_tables_of_the_models(address: str, kind: Kind, metadata: list[MetaData]) -> None:
    """Up from nothing; a second time changes nothing; what is there is what the models say."""
    url = make_url(address)
    await prepare(url, kind)
    await prepare(url, kind)
    engine = make_engine(url, 1)
    try:
        async with engine.connect() as connection:
            assert await connection.run_sync(_differences, metadata) == []
    finally:
        await engine.dispose()
        await drop_database(url)


@pytest.mark.parametrize("kind", ["control", "tenant"])
async def test_a_database_of_a_later_release_is_named_and_left_as_it_is(address: str, kind: Kind) -> None:
    url = make_url(address)
    await prepare(url, kind)
    engine = make_engine(url, 1)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
        with pytest.raises(
            CannotStart, match=r"was written by a later release \(revision 0099; this one knows up to [0-9]{4}\): start that"
        ) as told:
            await prepare(url, kind)
        assert str(url.database) in str(told.value)
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT version_num FROM alembic_version")) == "0099"
    finally:
        await engine.dispose()
        await drop_database(url)


async def test_an_error_of_a_database_does_not_tell_the_values(address: str) -> None:
    """It may reach the log with its trace."""
    url = make_url(address)
    await prepare(url, "control")
    engine = make_engine(url, 1)
    try:
        with pytest.raises(DBAPIError) as told:
            async with engine.begin() as connection:
                await connection.execute(text("INSERT INTO nowhere VALUES (:secret)"), {"secret": "geheim"})
        assert "geheim" not in str(told.value)
    finally:
        await engine.dispose()
        await drop_database(url)


@pytest.mark.parametrize("kind", ["control", "tenant"])
def test_revisions_are_one_line(kind: Kind) -> None:
    wrong = list(broken_line(kind, _folders(kind)))
    assert not wrong, "\n".join(wrong)
    assert len(ScriptDirectory.from_config(alembic_config(kind)).get_heads()) == 1


def _folders(kind: Kind) -> list[Path]:
    return [Path(one) for one in (alembic_config(kind).get_main_option("version_locations") or "").split(os.pathsep)]


def broken_line(kind: Kind, folders: Iterable[Path]) -> Iterator[str]:
    """What keeps the revisions from being one line, read from their texts: Alembic says it in words of its own, if it comes so far."""
    found: dict[str, Path] = {}
    before: dict[str, list[Path]] = {}
    for folder in folders:
        files = sorted(folder.glob("*.py"))
        if not [file for file in files if file.name != "__init__.py"]:
            yield f"{_of_api(folder)} has no revision: write r<number>_<what>.py there, or take the folder away"
        for one in (folder, folder.parent):
            if not (one / "__init__.py").exists():
                yield f"{_of_api(one)}/__init__.py is missing: an empty file, or the folder is left out of what is installed"
        for file in files:
            if file.name == "__init__.py":
                continue
            said = _said(file)
            number, down = said.get("revision"), said.get("down_revision")
            if not number or file.name.partition("_")[0] != f"r{number}":
                yield f"{_of_api(file)} says revision = {number!r}: its name is r<number>_<what>.py, and the number the same"
            if number in found:
                yield f"{_of_api(file)} has the number {number} of {_of_api(found[number])}: take the next one"
            found[number or file.name] = file
            before.setdefault(down or "", []).append(file)
    newest = max(found)
    for down, after in before.items():
        if down and down not in found:
            yield f"{_of_api(after[0])} comes after {down}, which does not exist: the newest {kind} revision is {newest}"
        if len(after) > 1:
            *_, last = ordered = sorted(after, key=lambda one: one.name)
            names, newest_other = " and ".join(map(_of_api, ordered)), max(number for number, file in found.items() if file != last)
            yield f"{names} come both {f'after {down}' if down else 'first'}: give the later one down_revision = {newest_other!r}"


def _of_api(path: Path) -> str:
    return "/".join(("api", *path.parts[len(path.parts) - path.parts[::-1].index("api") :])) if "api" in path.parts else path.name


def _said(file: Path) -> dict[str, Any]:
    """What a revision assigns to names, without running it."""
    return {
        target.id: node.value.value
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _revision(folder: Path, number: str, down: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for one in (folder, folder.parent):
        (one / "__init__.py").touch()
    (folder / f"r{number}_x.py").write_text(f"revision = {number!r}\ndown_revision = {down!r}\n")


def test_what_breaks_the_line_of_revisions_is_said_with_folder_and_number(tmp_path: Path) -> None:
    main, notes = (tmp_path / "api" / one / "tenant" for one in ("migrations", "notes/migrations"))
    _revision(main, "0001", None)
    _revision(main, "0002", "0001")
    _revision(notes, "0003", "0002")
    assert list(broken_line("tenant", [main, notes])) == []
    (notes.parent / "__init__.py").unlink()
    assert [one.partition(":")[0] for one in broken_line("tenant", [main, notes])] == ["api/notes/migrations/__init__.py is missing"]
    _revision(notes, "0003", "0001")
    (found,) = broken_line("tenant", [main, notes])
    assert found.startswith("api/migrations/tenant/r0002_x.py and api/notes/migrations/tenant/r0003_x.py come both after 0001: ")
    assert found.endswith("give the later one down_revision = '0002'")
    _revision(notes, "0003", "0007")
    assert list(broken_line("tenant", [main, notes])) == [
        "api/notes/migrations/tenant/r0003_x.py comes after 0007, which does not exist: the newest tenant revision is 0003"
    ]
    (notes / "r0003_x.py").unlink()
    (found,) = broken_line("tenant", [main, notes])
    assert found.startswith("api/notes/migrations/tenant has no revision: write r<number>_<what>.py there")
    _revision(notes, "0002", "0001")
    assert "api/notes/migrations/tenant/r0002_x.py has the number 0002 of api/migrations/tenant/r0002_x.py: take the next one" in [
        *broken_line("tenant", [main, notes])
    ]


def test_every_table_of_a_slice_has_its_revision() -> None:
    """Said before a database is made of the revisions and compared with the models."""
    kinds: list[tuple[Kind, MetaData]] = [("control", ControlBase.metadata), ("tenant", TenantBase.metadata)]
    for kind, metadata in kinds:
        files = sorted((file for one in _folders(kind) for file in one.glob("r*.py")), key=lambda file: file.name)
        texts = "".join(file.read_text(encoding="utf-8") for file in files)
        made = set(re.findall(r"create_table\(\s*[\"'](\w+)", texts))
        missing = sorted(metadata.tables.keys() - made)
        assert not missing, (
            f"no {kind} revision makes the table {', '.join(missing)}: api/<slice>/migrations/{kind}/r<number>_<what>.py, "
            f"after {_of_api(files[-1])}"
        )


@pytest.mark.parametrize("kind", ["control", "tenant"])
def test_revisions_import_nothing_of_ours_but_the_types_frozen_with_them(kind: Kind) -> None:
    """A revision says what a database was made of then; what it imported would be what the code says today."""
    versions = _folders(kind)
    files = [*(file for one in versions for file in one.glob("r*.py")), *(Path(migrations.__file__).parent.glob("types_*.py"))]
    assert len(files) >= 2
    for file in files:
        allowed = {"__future__", "alembic", "datetime", "json", "re", "sqlalchemy", "typing"} | (
            {"api.migrations.types"} if file.parent in versions else set()
        )
        assert _imported(file) <= allowed, file


def _imported(file: Path) -> set[str]:
    """What a module imports: foreign packages by their top name, our own modules whole, without the number of frozen types."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names = [f"{node.module}.{one.name}" for one in node.names]
        found |= {re.sub(r"_[0-9]+$", "", name) if name.startswith("api.") else name.partition(".")[0] for name in names}
    return found


async def test_a_migration_that_fails_can_be_done_again(address: str) -> None:
    """A table in the way has no column for an index of revision 0002. What 0001 did is taken back where the database can do that (MariaDB
    commits at every CREATE), and in either case the next attempt leads to the whole schema.
    """
    url = make_url(address)
    await prepare(url, "control")  # makes the database too
    engine = make_engine(url, 1)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("DROP TABLE alembic_version"))
            await connection.execute(text("CREATE TABLE charge (id INTEGER)"))
        with pytest.raises(DBAPIError, match=r"tenant|column"):
            await prepare(url, "tenant")
        async with engine.begin() as connection:
            revision = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
            assert revision == ("0001" if url.get_backend_name() == "mysql" else None)
            await connection.execute(text("DROP TABLE charge"))
        await prepare(url, "tenant")
        async with engine.connect() as connection:
            assert await connection.run_sync(_differences, [ControlBase.metadata, TenantBase.metadata, billing]) == []
    finally:
        await engine.dispose()
        await drop_database(url)


async def test_numbers_with_the_country_code_twice_are_put_right_and_no_others(address: str) -> None:
    """`491711234567` was stored as +49491711234567; a landline of Leer (0491) or of Norden (04931) is none of these."""
    url = make_url(address)
    await prepare(url, "tenant")
    engine = make_engine(url, 1)
    stored = {
        "spoilt": {"+49491711234567": "+491711234567", "+494915112345678": "+4915112345678"},
        "both": {"+49491601234567": "+491601234567", "+491601234567": "+491601234567"},
        "sound": {"+494917112345": "+494917112345", "+49493112345": "+49493112345", "+4930123": "+4930123"},
    }
    try:
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '0010'"))
            for contact, numbers in stored.items():
                made = "INSERT INTO contact (id, name, note, created_at, changed_at) VALUES (:id, 'x', '', '2026-01-01', '2026-01-01')"
                await connection.execute(text(made), {"id": contact})
                for number in numbers:
                    await connection.execute(text("INSERT INTO contact_number VALUES (:id, :number)"), {"id": contact, "number": number})
        for _ in range(2):
            await prepare(url, "tenant")
            async with engine.connect() as connection:
                found = (await connection.execute(text("SELECT contact_id, number FROM contact_number"))).all()
            assert sorted(map(tuple, found)) == sorted(
                {(contact, right) for contact, numbers in stored.items() for right in numbers.values()}
            )
    finally:
        await engine.dispose()
        await drop_database(url)


@pytest.mark.parametrize(("before", "name", "code"), [("0013", "pick", "*26"), ("0015", "supervise", "*27")])
async def test_a_tenant_whose_own_codes_have_a_new_one_gets_it_not(address: str, before: str, name: str, code: str) -> None:
    """It would not open: a code would be there twice. A row for each case, since the revision looks at them one by one."""
    cases: dict[str, tuple[dict[str, str] | None, str | None]] = {
        "its own": ({"waiting": code}, ""),
        "its last digit behind it is a disposition": ({"tag": "*2", "ready": "*10"}, ""),
        "neither is dialled by it": ({"ready": "*2", "tag": f"{code}1", "hot_desk": ""}, None),
        "says it already": ({name: "*99", "tag": "*2"}, "*99"),
        "never set": (None, None),
    }
    documents = {case: {"language": "de", **({} if codes is None else {"feature_codes": codes})} for case, (codes, _) in cases.items()}
    url = make_url(address)
    await prepare(url, "tenant")
    engine = make_engine(url, 1)
    made = text("INSERT INTO setup_general (id, version, document, changed_at) VALUES (:id, 3, :document, '2026-01-01')")
    try:
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = :before"), {"before": before})
            for case, document in documents.items():
                await connection.execute(made, {"id": case, "document": json.dumps(document)})
        for _ in range(2):
            await prepare(url, "tenant")
            async with engine.connect() as connection:
                rows = (await connection.execute(text("SELECT id, document FROM setup_general"))).all()
            found = {case: json.loads(document) for case, document in rows}
            assert {case: one.get("feature_codes", {}).get(name) for case, one in found.items()} == {
                case: kept for case, (_, kept) in cases.items()
            }
            for case, document in documents.items():
                others = {key: value for key, value in found[case].get("feature_codes", {}).items() if key not in {"pick", "supervise"}}
                given = document.get("feature_codes", {})
                assert isinstance(given, dict)
                assert others == {key: value for key, value in given.items() if key not in {"pick", "supervise"}}
                assert found[case]["language"] == "de"
    finally:
        await engine.dispose()
        await drop_database(url)


@pytest.mark.slow
async def test_revision_0011_fills_who_was_in_a_call_and_the_queue_of_a_recording_as_they_are_saved_today(address: str) -> None:
    """From the documents: of a call that anna took from one queue and ben from another, and of one as 0.1.0 wrote it."""
    url = make_url(address)
    await prepare(url, "tenant")
    engine = make_engine(url, 1)
    cdrs = [twice_recorded("new"), twice_recorded("old")]
    try:
        await store.save(engine, cdrs, [], "test", 1)
        filled = await _who_and_where(engine)
        assert filled == {
            ("new", "c"): None, ("new", "a1"): "anna", ("new", "a2"): "ben", "new-1.wav": "support", "new-2.wav": "sales",
            ("old", "c"): None, ("old", "a1"): "anna", ("old", "a2"): "ben", "old-1.wav": "support", "old-2.wav": "sales",
        }  # fmt: skip
        async with engine.begin() as connection:
            for index in (one for table in (store.leg_table, store.recording_table) for one in table.indexes if one.name in _OF_0011):
                await connection.execute(DropIndex(index))
            document = msgspec.json.decode(msgspec.json.encode(cdrs[1]))
            for leg in document["legs"]:  # 0.1.0 did not write whose phone it was
                del leg["agent"]
            whole = {"document": msgspec.json.encode(document).decode()}
            await connection.execute(update(store.cdr_table).where(store.cdr_table.c.id == "old").values(whole))
            for statement in ("ALTER TABLE cdr_leg DROP COLUMN agent", "ALTER TABLE recording DROP COLUMN queue"):
                await connection.execute(text(statement))
            await connection.execute(text("UPDATE alembic_version SET version_num = '0010'"))
        await engine.dispose()
        await prepare(url, "tenant")
        assert await _who_and_where(engine) == filled
        async with engine.connect() as connection:
            assert await connection.run_sync(_differences, [TenantBase.metadata, billing]) == []
    finally:
        await engine.dispose()
        await drop_database(url)


_OF_0011 = ("ix_cdr_leg_agent_began", "ix_recording_queue_began")


async def _who_and_where(engine: AsyncEngine) -> dict[Any, str | None]:
    async with engine.connect() as connection:
        legs = (await connection.execute(select(store.leg_table.c.cdr, store.leg_table.c.leg, store.leg_table.c.agent))).all()
        kept = (await connection.execute(select(store.recording_table.c.name, store.recording_table.c.queue))).all()
    return {(cdr, leg): agent for cdr, leg, agent in legs} | {one.name: one.queue for one in kept}


@pytest.mark.slow
async def test_whole_path(address: str, settings: Settings, clock: Clock, application: FastAPI) -> None:
    """From nothing to a priced call: tenant, people, configuration, parallel tickets, a screen pop's lookup, a CDR, a restart."""
    on_it = settings.model_copy(update={"database": Database(control=address, pool=3)})
    urls = [control_url(on_it), tenant_url(on_it, ACME), tenant_url(on_it, TenantId("other"))]
    try:
        async with started(on_it, clock, application) as service:
            service.tokens["operator"] = await service.log_in("operator", tenant=None)
            for tenant in ("acme", "other"):
                await add_tenant(service, tenant)
            await staff(service)
            await _daily_work(service)
            tokens = service.tokens
        async with started(on_it, clock, application) as again:
            again.tokens.update(tokens)
            assert [one["id"] for one in (await again.got("agents"))["items"]] == ["anna", "ben"]
            assert (await again.got("agents", "other-admin"))["items"] == []
            assert len((await again.got("cdrs"))["items"]) == 1
            await _recorded(again)
            await _audited(again)
    finally:
        for url in urls:
            await drop_database(url)


async def _audited(service: Service) -> None:
    """What is alike is counted in one statement, which every database says in its own way; what is old goes."""
    wrong = {"tenant": "acme", "username": "admin", "password": "wrong wrong"}
    for _ in range(3):
        assert (await service.client.post("/api/v1/login", json=wrong)).status_code == 401
        assert (await service.client.post("/api/v1/login", json={**wrong, "tenant": None})).status_code == 401
        await service.got("contacts?text=nobody")
    for path, who in (("audit?act=refused", "admin"), ("operator/audit?act=refused", "operator"), ("audit?act=read&kind=contact", "admin")):
        assert (await service.got(path, who))["items"][0]["times"] == 3, path
    assert "fernamt_audit_failures_total 0.0" in (await service.call("GET", "/metrics", None)).text
    service.clock.turn(days=366)
    assert await forget_old(service.databases, service.settings.audit, service.clock()) > 3


async def _recorded(service: Service) -> None:
    """Recordings are found and deleted; the revision that made the list fills it from records as `store.save` does."""
    at = service.clock().replace(microsecond=123_000)
    whole = await recorded_talk(service, "rec-1", "+491711234567", at, queue="support")
    await recorded_talk(service, "rec-2", "+49301234567", at + timedelta(days=1), agent="ben")
    before = await service.got("recordings")
    assert [one["call"] for one in before["items"]] == ["rec-2", "rec-1"]
    assert before["items"][1]["began_at"] == (at + timedelta(seconds=5)).isoformat().replace("+00:00", "Z")
    for query, call in (("agent=ben", "rec-2"), ("number=%2B491711234567", "rec-1"), ("queue=support", "rec-1")):
        assert [one["call"] for one in (await service.got(f"recordings?{query}"))["items"]] == [call]
    page = await service.got("recordings?limit=1")
    assert [one["call"] for one in (await service.got(f"recordings?limit=1&after={page['next']}"))["items"]] == ["rec-1"]
    assert (await service.call("GET", "recordings/rec-1-r1.wav/audio")).content == whole

    async with service.databases.tenant(ACME).begin() as connection:
        for statement in ("DROP TABLE recording_party", "DROP TABLE recording", "UPDATE alembic_version SET version_num = '0007'"):
            await connection.execute(text(statement))
    await service.databases.close_tenant(ACME)
    await service.databases.open_tenant(ACME)
    assert await service.got("recordings") == before

    assert (await service.call("DELETE", "recordings/rec-1-r1.wav")).status_code == 204
    assert (await service.call("DELETE", "recordings/rec-1-r1.wav")).status_code == 410
    assert (await service.got("cdrs/rec-1"))["deleted_recordings"][0]["deleted_by"] == "admin"
    services: Services = service.shared.services
    kept = Services(
        services.settings.model_copy(update={"recordings": Recordings(days=7)}), services.databases, services.voice, services.clock
    )
    old = at + timedelta(days=8, seconds=6)
    assert await delete_old(kept, service.shared.metrics.recordings_deleted, old) == 1
    assert (await service.got("recordings"))["items"] == []
    async with service.databases.tenant(ACME).connect() as connection:
        assert await recordings.half_deleted(connection, 10) == []


async def _daily_work(service: Service) -> None:
    bodies = [{"subject": f"Ärger Nr. {number} 📞"} for number in range(20)]
    made = await asyncio.gather(*(service.made("tickets", body) for body in bodies))
    assert sorted(ticket["number"] for ticket in made) == list(range(1, 21))
    assert {ticket["subject"] for ticket in made} == {body["subject"] for body in bodies}

    contact = await service.made("contacts", {"name": "Erika Müller", "numbers": ["+49891234567"], "note": "x" * 20_000})
    starts_at = service.clock() + timedelta(hours=1, microseconds=123_456)
    times = {"starts_at": starts_at.isoformat(), "ends_at": (starts_at + timedelta(hours=1)).isoformat()}
    made_appointment = await service.made("appointments", {"contact": contact["id"], "title": "Rückruf", **times})
    assert made_appointment["starts_at"].replace("Z", "+00:00") == starts_at.isoformat()
    context = await service.voice.lookup(ACME, "+49891234567")
    assert context.contact is not None
    assert context.contact["name"] == "Erika Müller"

    same = {"id": "twice", "upload_kbits": 1}
    answers = await asyncio.gather(*(service.call("POST", "sites", json=same) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert (await service.call("DELETE", f"contacts/{contact['id']}")).status_code == 204

    await talk(service, "call-1", to="+491711234567", seconds=61)
    charge = await service.got("cdrs/call-1/charge", "billing")
    assert charge["charge"]["totals"][0]["net"] == "0.11"
    assert (await service.got("billing/months/2026-03", "billing"))["calls"] == 1


async def test_name_of_a_tenants_database_beside_the_control_database() -> None:
    settings = Settings(database=Database(control="postgresql+asyncpg://u:p@h/fernamt"))
    assert tenant_url(settings, ACME).render_as_string(hide_password=False) == "postgresql+asyncpg://u:p@h/fernamt_acme"
    own = Settings(database=Database(tenant_url="mysql+asyncmy://u@h/t_{tenant}"))
    assert tenant_url(own, ACME).database == "t_acme"


async def test_sqlite_keeps_a_journal_of_its_own_so_that_readers_do_not_wait(acme: Service) -> None:
    async with acme.databases.tenant(ACME).connect() as connection:
        assert await connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert await connection.scalar(text("PRAGMA foreign_keys")) == 1
