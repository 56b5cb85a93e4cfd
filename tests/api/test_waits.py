"""Who waits for a phone or a disk holds nothing that others of the tenant need: no connection, no transaction, no place."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import api
from acd.core.events import Event
from acd.core.ids import TenantId
from acd.core.inputs import Command
from api.config import Database, Http, Settings
from tests.api.conftest import ACME, Service, _settings
from tests.api.waits import assert_nothing_is_held, connections_held


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """One place a tenant, and two connections (one kept, one beyond)."""
    return _settings(tmp_path / "data").model_copy(update={"database": Database(pool=1), "http": Http(requests_per_tenant=1)})


class Phones:
    """A voice service whose commands take as long as somebody lets a phone ring."""

    def __init__(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ringing = 0
        self.picked_up = asyncio.Event()
        self.all_ring = asyncio.Event()
        self._wanted = 0
        carry_out = service.voice.command

        async def slow(tenant: TenantId, command: Command) -> tuple[Event, ...]:
            assert_nothing_is_held("a phone")
            self.ringing += 1
            if self.ringing == self._wanted:
                self.all_ring.set()
            await self.picked_up.wait()
            return await carry_out(tenant, command)

        monkeypatch.setattr(service.voice, "command", slow)

    async def rung(self, how_many: int) -> None:
        """So many are in flight at once."""
        self._wanted = how_many
        if self.ringing < how_many:
            async with asyncio.timeout(5):
                await self.all_ring.wait()


async def test_answers_that_wait_for_a_phone_keep_nobody_of_the_tenant_waiting(staffed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten, with one place and two connections."""
    phones = Phones(staffed, monkeypatch)
    await staffed.got("me", "anna")  # the token is known from now on: it is counted for its tenant
    answers = [asyncio.create_task(staffed.call("POST", "agents/me/log-on", who)) for who in ("anna", "ben") * 5]
    await phones.rung(10)
    async with asyncio.timeout(5):
        assert (await staffed.got("me"))["user"] == "admin"
        await staffed.made("contacts", {"name": "Erika"})
        assert (await staffed.got("contacts"))["items"]
    assert not any(one.done() for one in answers)
    phones.picked_up.set()
    assert sorted({(await one).status_code for one in answers}) == [200, 409]  # the second log-on of each is one too many


async def test_an_entry_of_a_read_is_written_after_the_wait(staffed: Service) -> None:
    """In a transaction of its own."""
    assert (await staffed.call("GET", "live", "anna")).status_code == 200
    entries = (await staffed.got("audit?about=access&kind=live"))["items"]
    assert [(one["who"], one["kind"]) for one in entries] == [("anna", "live")]


async def test_a_refusal_of_the_exchange_is_told_as_before(staffed: Service) -> None:
    answer = await staffed.call("POST", "agents/me/answer", "anna")
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")


async def test_rows_are_counted_through_a_rest(staffed: Service) -> None:
    """What a transaction added before it rested stays counted, and what one adds that fails does not."""
    databases = staffed.databases

    def counted() -> Any:
        return databases.quotas.figures()['fernamt_tenant_rows{tenant="acme",kind="contacts"}']

    await staffed.made("contacts", {"name": "one"})
    before = counted()
    from api import crm

    async with databases.unit(ACME) as unit:
        await crm.create(unit.session, crm.ContactGiven(name="two"), staffed.clock())
        await unit.rest()
        assert connections_held() == 0
        await crm.create(unit.session, crm.ContactGiven(name="three"), staffed.clock())
        assert counted() == before + 2
        await unit.session.rollback()
        assert counted() == before + 1
    assert len((await staffed.got("contacts"))["items"]) == 2


async def test_who_waits_with_a_connection_in_hand_is_found(staffed: Service) -> None:
    """The check that all tests of the API make can fail."""
    async with staffed.databases.unit(ACME) as unit:
        await unit.session.execute(text("SELECT 1"))
        with pytest.raises(AssertionError, match="held"):
            assert_nothing_is_held("something")
        with pytest.raises(AssertionError, match="held"):
            staffed.voice.live(ACME)
        await unit.rest()
        assert_nothing_is_held("something")


def test_a_route_speaks_to_the_voice_service_only_from_outside_or_after_its_commit() -> None:
    """`access.services.voice` would keep the transaction; a lambda given to `then` runs when it is over."""
    found = []
    for file in Path(api.__file__).parent.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        afterwards = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.Lambda) for inner in ast.walk(node)}
        found += [
            f"{file}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "access.services.voice" and id(node) not in afterwards
        ]
    assert not found, "\n".join(found)
