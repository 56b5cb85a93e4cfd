"""The database of one tenant as the place where its exchange saves CDRs and charges (`acd.sink.CdrSink`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing_cdr import store
from billing_cdr.cdr import Cdr, LateAnswer, Segment
from billing_cdr.charge import Charge
from billing_cdr.errors import Unreachable
from billing_cdr.outage import outage_of

Also = Callable[[AsyncConnection, Sequence[Cdr], Mapping[str, Charge]], Awaitable[None]]
FEED: Final = "cdr"
"""The exchange's name among those that are read from `feed_position`."""


class SqlSink:
    """See the module.

    Args:
        place: the database's name for people, without secrets.
        also: done for records that were not known before, with their charges by record, in the transaction that stores them.
        on_stored: told when that is committed.
    """

    def __init__(
        self, database: AsyncEngine, tenant: str, place: str, *, also: Also | None = None, on_stored: Callable[[], None] | None = None
    ) -> None:
        self._also, self._on_stored = also, on_stored
        self._database = database
        self._tenant = tenant
        self._place = place

    @contextmanager
    def _told(self) -> Iterator[None]:
        """That the database is away is said in the words of the house."""
        try:
            yield
        except Unreachable:
            raise
        except Exception as error:
            outage = outage_of(error)
            if outage is None:
                raise
            raise Unreachable(self._place, outage) from error

    async def position(self) -> int:
        """How far the feed has been read."""
        with self._told():
            return await store.position(self._database, FEED) or 0

    async def save(self, cdrs: Sequence[Cdr], charges: Sequence[Charge], seq: int) -> None:
        """See `store.save`."""
        with self._told():
            async with self._database.begin() as connection:
                await store.save(connection, cdrs, charges, FEED, seq, self._also_done(charges))
        if self._on_stored is not None and cdrs:
            self._on_stored()

    def _also_done(self, charges: Sequence[Charge]) -> store.Also | None:
        also = self._also
        if also is None:
            return None
        by_record = {charge.cdr: charge for charge in charges}
        return lambda connection, cdrs: also(connection, cdrs, by_record)

    async def note(self, notes: Sequence[tuple[str, str | Segment | LateAnswer]], rate: Callable[[Cdr], Charge]) -> tuple[str, ...]:
        """See `store.note`."""
        with self._told():
            return await store.note(self._database, notes, rate)

    async def spent(self, currency: str, now: datetime, since: datetime | None, *, before: datetime) -> list[tuple[str, int, int]]:
        """See `store.spent`."""
        with self._told():
            return await store.spent(self._database, self._tenant, currency, now, since, before=before)
