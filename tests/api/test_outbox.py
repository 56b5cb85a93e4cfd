"""Events: written with what they tell of, told once a subscriber and in order, forgotten by age; on three databases."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from api.kit.outbox import Event, EventType, Outbox, Payload, dispatch, publish, put, row_of
from api.kit.outbox.models import OutboxRow
from tests.api.conftest import ACME
from tests.api.work import working
from tests.servers import DATABASES, databases_to_test


class Ref(Payload):
    id: str


MADE = EventType("thing.made", "A thing was made.", Ref, "id", "things:read")


class Hearing:
    """A subscriber that fails where it is told to, and remembers by the id: what is rolled back is told again."""

    name = "hearing"

    def __init__(self) -> None:
        self._heard: dict[str, str] = {}
        self.fails_at: str | None = None

    async def wants(self, _session: Any, _kinds: Any) -> frozenset[str]:
        return frozenset((MADE.name,))

    async def take(self, _session: Any, event: Event, _now: datetime) -> None:
        if event.data["id"] == self.fails_at:
            raise ValueError(event.id)
        self._heard[event.id] = event.data["id"]

    @property
    def heard(self) -> list[str]:
        return list(self._heard.values())


@pytest.mark.parametrize("kind", DATABASES)
async def test_on_every_database_events_are_told_once_in_order_and_forgotten(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind not in databases_to_test():
        pytest.skip(f"{kind} is not among FERNAMT_TEST_DATABASES")
    monkeypatch.setattr(dispatch, "BATCH", 5)
    async with working(kind, tmp_path, names=("job", "outbox")) as work:
        hearing = Hearing()
        outbox = Outbox(work.jobs, kept_days=7)
        outbox.subscribe(hearing)
        work.jobs.begin(ACME)
        await work.settled()
        assert outbox.is_wanted(ACME, MADE.name)
        assert not outbox.is_wanted(ACME, "thing.broken")

        async def publish_some(*names: str, fails: bool = False) -> None:
            async with work.databases.unit(ACME) as unit:
                for name in names:
                    publish(unit.session, work.clock(), MADE, Ref(id=name))
                    await unit.session.flush()
                if fails:
                    raise RuntimeError

        with pytest.raises(RuntimeError):
            await publish_some("never", fails=True)
        many = [f"n{number}" for number in range(dispatch.BATCH + 2)]
        await publish_some(*many)
        await work.settled()
        assert hearing.heard == many
        # from elsewhere, on a connection: what is there already is left out, whoever writes it again
        rows = [row_of(MADE, Ref(id=f"c{number}"), work.clock(), f"id{number}") for number in range(3)]
        for some in (rows[:2], rows):
            async with work.databases.tenant(ACME).begin() as connection:
                await put(connection, some)
        # one that cannot be told now comes when it can, and what is behind it in its subject waits for it
        hearing.fails_at = "c1"
        work.jobs.wake(ACME)
        await work.settled()
        await publish_some("c1", "other")
        await work.settled()
        assert hearing.heard[len(many) :] == ["c0", "c2", "other"]
        hearing.fails_at = None
        await work.turn(seconds=6)
        assert hearing.heard[len(many) :] == ["c0", "c2", "other", "c1", "c1"]
        await work.turn(days=8)
        async with work.databases.unit(ACME) as unit:
            assert await unit.session.scalar(select(func.count()).select_from(OutboxRow)) == 0
