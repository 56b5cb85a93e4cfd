"""Rated CDRs in the database: the ledger's records, a buffered writer behind it (DESIGN.md §3, §6).

What is finished says `ledger`, what waits and when it is tried again `cdr_queue`; here it is rated and written. Writing is idempotent by
CDR id, so a restart may fold again what was saved already.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar

from acd.cdr_queue import Batch, CdrQueue
from acd.core.ids import TenantId
from acd.core.replay import Entry
from acd.ledger import Late, Ledger, Told, instant
from billing_cdr.cdr import Cdr
from billing_cdr.charge import Charge
from billing_cdr.errors import Outage, Unreachable

log = logging.getLogger(__name__)

LAST_SAVE_S = 10.0
"""So long a transaction that is under way may take at closing: as long as SQLite is waited for."""

Rate = Callable[[Cdr], Charge | None]
Save = Callable[[Sequence[Cdr], Sequence[Charge], int], Awaitable[None]]
Note = Callable[[Sequence[tuple[str, Late]]], Awaitable[None]]
"""Notes dispositions, and wrap-ups that are done, on records that are stored already."""


class CdrFeed:
    """Fold of one tenant's journal into CDRs.

    Args:
        rate: price of a CDR; None when the tenant has no plan at all.
        save: stores CDRs and charges and the sequence number they are complete to, in one transaction, idempotently. It raises
            `Unreachable` while that place is away; anything else says that it refuses them.
        note: the same for what came late.
    """

    def __init__(self, tenant: TenantId, rate: Rate, save: Save, note: Note | None = None) -> None:
        self._tenant = tenant
        self._rate = rate
        self._save = save
        self._note = note
        self.ledger = Ledger(tenant)
        self.queue = CdrQueue()
        self._flushing = asyncio.Lock()
        self._linger_timer: asyncio.TimerHandle | None = None
        self._flusher: asyncio.Task[None] | None = None
        self.cdrs = 0
        self.stumbles = 0
        self.save_failures = 0

    # ------------------------------------------------------------------ state over a restart

    KEPT: ClassVar = Ledger.KEPT
    """The types of what a snapshot holds."""

    def snapshot(self) -> bytes:
        return self.ledger.snapshot()

    def restore(self, kept: bytes) -> None:
        self.ledger.restore(kept)

    # ------------------------------------------------------------------ the fold

    def apply(self, entry: Entry) -> None:
        """Fold one entry; what is complete is rated and saved, what is over lingers."""
        self.queue.seq = entry.seq
        told = self.ledger.apply(entry)
        if told.over:
            loop = asyncio.get_running_loop()
            self.queue.linger(told.over, loop.time())
            self._arm(loop)
        self._take(told)

    def _take(self, told: Told) -> None:
        for what, error in told.stumbles:
            self.stumbles += 1
            log.error("! %s: %s", self._tenant, what, exc_info=error)
        for cdr in told.records:
            self._rated(cdr)
        if told.late:
            self.queue.late += told.late
            self._flush_later()

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer serves all, since most are gone when it comes."""
        due = self.queue.next_timeout()
        if self._linger_timer is None and due is not None:
            self._linger_timer = loop.call_at(due, self._lingered, loop)

    def _lingered(self, loop: asyncio.AbstractEventLoop) -> None:
        self._linger_timer = None
        due = self.queue.due(loop.time())
        self._arm(loop)
        self._finish(due)

    def _finish(self, calls: Iterable[str]) -> None:
        for call in calls:
            self._take(self.ledger.finish(call))

    def _rated(self, cdr: Cdr) -> None:
        try:
            charge = self._rate(cdr)
        except Exception:
            self.stumbles += 1
            log.exception("! %s: %s could not be rated and waits for re-rating", self._tenant, cdr.id)
            charge = None
        self.queue.put(cdr, charge)
        self.cdrs += 1
        self._flush_later()

    # ------------------------------------------------------------------ the writer

    def _flush_later(self) -> None:
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.ensure_future(self._flush_soon())

    async def _flush_soon(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.queue.is_empty:
            await asyncio.sleep(self.queue.pause_s(loop.time()))
            await self.flush()
            self.queue.tried(loop.time())

    async def flush(self) -> None:
        """Save what is finished. While the database is away it is kept and tried again; what the database refuses is put aside.

        A flush that is cancelled costs a second try.
        """
        async with self._flushing:
            try:
                while (batch := self.queue.first()) is not None:
                    await self._save_first(batch)
                for notes in self.queue.notes(self.ledger.__contains__):
                    await self._note_some(notes)
                    self.queue.noted(notes)
            except Unreachable as error:
                self._went_away(error.outage)
                return
            self._came_back()

    async def _save_first(self, batch: Batch) -> None:
        """Save the first of the queue and take them off it; one by one where the database refuses them together."""
        seq = self.queue.position(batch)
        try:
            await self._save(batch.cdrs, batch.charges, seq)
        except Exception as error:
            self.save_failures += 1
            if isinstance(error, Unreachable):
                raise
            if len(batch.records) > 1:
                for one in batch.single():
                    await self._save_first(one)
                return
            self.queue.put_aside(batch)
            self._say_refused(f"the CDR {batch.cdrs[0].id}", error)
        else:
            self.queue.saved(batch, seq)

    async def _note_some(self, notes: Sequence[tuple[str, Late]]) -> None:
        """One by one where the database refuses them together; a note made twice is made once."""
        if self._note is None:
            return
        try:
            await self._note(notes)
        except Exception as error:
            if isinstance(error, Unreachable):
                self.save_failures += 1
                raise
            if len(notes) > 1:
                for one in notes:
                    await self._note_some([one])
                return
            self.queue.refused += 1
            self._say_refused(f"what came late of {notes[0][0]}", error)

    def _say_refused(self, what: str, error: Exception) -> None:
        log.error("! %s: the database refuses %s, which is put aside until the next start", self._tenant, what, exc_info=error)

    def _went_away(self, outage: Outage) -> None:
        if self.queue.went_away(asyncio.get_running_loop().time()):
            log.error("! %s: CDRs are kept until the database is back: %s", self._tenant, outage.reason)

    def _came_back(self) -> None:
        back = self.queue.came_back(asyncio.get_running_loop().time())
        if back is not None:
            log.warning("= %s: the database is back after %.0f s, %d CDRs were saved", self._tenant, *back)

    def abandon(self) -> None:
        """The exchange it was folded for did not come about: nothing is saved, the next one folds it again."""
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        if self._flusher is not None and not self._flushing.locked():
            self._flusher.cancel()
        self.queue.clear()  # a transaction that is under way comes to its end, and finds nothing more to do

    async def close(self) -> None:
        """Finish what lingers, save everything.

        Raises: RuntimeError: the database does not take the CDRs; they are in the journal and will be folded again.
        """
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        self._finish(self.queue.rest())
        if self._flusher is not None:
            # Not in the middle of a transaction: SQLite's driver goes on with it in its thread, and keeps the database locked meanwhile.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SAVE_S), self._flushing:
                    pass
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
        await self.flush()
        late = len(self.queue.late)
        if self.waiting or late or self.refused:
            kept = f"{self.waiting} CDRs and {late} notes on others could not be saved, {self.refused} were refused"
            raise RuntimeError(f"tenant {self._tenant}: {kept}; they stay in the journal")

    @property
    def saved_seq(self) -> int:
        """The entry up to which the database is known to hold everything that follows from the journal."""
        return self.queue.saved_seq

    @saved_seq.setter
    def saved_seq(self, seq: int) -> None:
        self.queue.saved_seq = seq

    @property
    def is_settled(self) -> bool:
        """Whether every conversation that is over has been saved: only then may a snapshot say "complete to here"."""
        return self.queue.is_settled and (self._flusher is None or self._flusher.done())

    @property
    def waiting(self) -> int:
        """CDRs that are finished and not saved."""
        return len(self.queue)

    @property
    def refused(self) -> int:
        """What the database did not take, and is put aside."""
        return self.queue.refused

    @property
    def lingering_calls(self) -> frozenset[str]:
        """Conversations that are over, and whose records wait for what is still to come."""
        return self.queue.lingering

    def lingers(self, calls: Iterable[str]) -> bool:
        """Whether any of these does."""
        return not self.queue.lingering.isdisjoint(calls)

    @property
    def lingering(self) -> int:
        return len(self.queue.lingering)


__all__ = ["CdrFeed", "instant"]
