"""Rated CDRs in the database: the ledger's records, a buffered writer behind it (DESIGN.md §3, §6).

A conversation that is over lingers until its legs are measured and its recordings closed, at most `LINGER_S`: the CDR then holds them.
Writing is idempotent by CDR id, so a restart may fold again what was saved already.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar

import msgspec

from acd.core.ids import TenantId
from acd.core.replay import Entry
from acd.ledger import Late, Ledger, Told, instant
from acd.outage import Outage, outage_of
from billing_cdr.cdr import Cdr
from billing_cdr.charge import Charge

log = logging.getLogger(__name__)

LINGER_S = 3.0
"""A worker reports a closed leg within milliseconds; after this the CDR goes without its quality."""
FLUSH_S = 0.5
"""CDRs are saved at most this often, and together what came meanwhile: a transaction a call would cost more than the call."""
LAST_SAVE_S = 10.0
"""So long a transaction that is under way may take at closing: as long as SQLite is waited for."""
RETRY_LAST_S = 10.0
"""While the database is away they are tried again after twice the time, up to this."""
BATCH = 500
"""CDRs in one transaction: what an outage gathered is saved in pieces, so that calls and requests get in between."""

Rate = Callable[[Cdr], Charge | None]
Save = Callable[[Sequence[Cdr], Sequence[Charge], int], Awaitable[None]]
Note = Callable[[Sequence[tuple[str, Late]]], Awaitable[None]]
"""Notes dispositions, and wrap-ups that are done, on records that are stored already."""


_Done = tuple[Cdr, Charge | None]
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Done)


class CdrFeed:
    """Fold of one tenant's journal into CDRs.

    Args:
        rate: price of a CDR; None when the tenant has no plan at all.
        save: stores CDRs and charges and the sequence number they are complete to, in one transaction, idempotently.
    """

    def __init__(self, tenant: TenantId, rate: Rate, save: Save, note: Note | None = None) -> None:
        self._tenant = tenant
        self._rate = rate
        self._save = save
        self._note = note
        self._late: list[tuple[str, Late]] = []
        """What was told of conversations that were over, in order."""
        self.ledger = Ledger(tenant)
        self._finished: list[_Done | bytes] = []
        """Saved from the front. A record of a queue call with its charge takes 7.8 kB as objects and 2.3 kB as octets, so what comes while
        the database is away is kept as octets: an hour of 10 calls a second is 83 MB. There is no bound: dropping any would save
        nothing, as every record is folded from the journal again at the next start, and the exchange's own memory ends first."""
        self._flushing = asyncio.Lock()
        self._pause_s = FLUSH_S
        self._flushed_at = -math.inf
        """On the clock of the loop."""
        self._away_since: float | None = None
        """Since when the database is away, on the clock of the loop."""
        self._saved = 0
        self._seq = 0
        self._lingering: dict[str, float] = {}
        """Until when, on the clock of the loop; in the order in which it comes."""
        self._linger_timer: asyncio.TimerHandle | None = None
        self._flusher: asyncio.Task[None] | None = None
        self.cdrs = 0
        self.stumbles = 0
        self.save_failures = 0
        self.refused = 0
        self.saved_seq = 0
        """The entry up to which the database is known to hold everything that follows from the journal."""

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
        self._seq = entry.seq
        told = self.ledger.apply(entry)
        if told.over:
            self._linger(told.over)
        self._take(told)

    def _take(self, told: Told) -> None:
        for what, error in told.stumbles:
            self.stumbles += 1
            log.error("! %s: %s", self._tenant, what, exc_info=error)
        for cdr in told.records:
            self._lingering.pop(cdr.id, None)
            self._rated(cdr)
        if told.late:
            self._late += told.late
            self._flush_later()

    def _linger(self, calls: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        self._lingering |= dict.fromkeys(calls, loop.time() + LINGER_S)
        if self._linger_timer is None:
            self._linger_timer = loop.call_later(LINGER_S, self._lingered, loop)

    def _lingered(self, loop: asyncio.AbstractEventLoop) -> None:
        """Finish whose time is up. One timer serves all, since most are gone when it comes."""
        now = loop.time()
        due = [call for call, until in self._lingering.items() if until <= now]
        later = next((until for until in self._lingering.values() if until > now), None)
        self._linger_timer = loop.call_at(later, self._lingered, loop) if later is not None else None
        for call in due:
            self._finish(call)

    def _finish(self, call: str) -> None:
        self._lingering.pop(call, None)
        self._take(self.ledger.finish(call))

    def _rated(self, cdr: Cdr) -> None:
        try:
            charge = self._rate(cdr)
        except Exception:
            self.stumbles += 1
            log.exception("! %s: %s could not be rated and waits for re-rating", self._tenant, cdr.id)
            charge = None
        self._finished.append((cdr, charge) if self._away_since is None else _ENCODER.encode((cdr, charge)))
        self.cdrs += 1
        self._flush_later()

    # ------------------------------------------------------------------ the writer

    def _flush_later(self) -> None:
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.ensure_future(self._flush_soon())

    async def _flush_soon(self) -> None:
        """At once where nothing was saved lately: a single call's record is there when its caller has hung up."""
        loop = asyncio.get_running_loop()
        while self._finished or self._late:
            await asyncio.sleep(self._flushed_at + self._pause_s - loop.time())
            await self.flush()
            self._flushed_at = loop.time()

    async def flush(self) -> None:
        """Save what is finished. While the database is away it is kept and tried again; what the database refuses is put aside.

        Nothing leaves the list before it is saved: a flush that is cancelled costs a second try, which the ids make harmless.
        """
        async with self._flushing:
            try:
                while self._finished:
                    await self._save_first([one if isinstance(one, tuple) else _DECODER.decode(one) for one in self._finished[:BATCH]])
                await self._note_late()
            except Exception as error:
                outage = outage_of(error)
                if outage is None:
                    raise
                self._went_away(outage)
                return
            if self._away_since is not None:
                self._came_back()

    async def _save_first(self, batch: list[_Done]) -> None:
        """Save the first of the list and take them off it; one by one where the database refuses them together."""
        last = len(batch) == len(self._finished)
        # "Complete to here" is true only of the last batch, and never when something was refused; 0 moves nothing.
        seq = self._seq if last and not self.refused else 0
        try:
            await self._save([cdr for cdr, _ in batch], [charge for _, charge in batch if charge is not None], seq)
        except Exception as error:
            self.save_failures += 1
            if outage_of(error) is not None:
                raise
            if len(batch) > 1:
                for one in batch:
                    await self._save_first([one])
                return
            self._put_aside(f"the CDR {batch[0][0].id}", error)
        else:
            self._saved += len(batch)
            self.saved_seq = max(self.saved_seq, seq)
        del self._finished[: len(batch)]

    async def _note_late(self) -> None:
        """Note what came late, together as records are saved; of a conversation that lingers it waits for the record."""
        later = [one for one in self._late if one[0] in self.ledger]
        waiting = [one for one in self._late if one[0] not in self.ledger]
        self._late = waiting + later
        while waiting:
            batch = waiting[:BATCH]
            await self._note_some(batch)
            del waiting[: len(batch)], self._late[: len(batch)]

    async def _note_some(self, batch: Sequence[tuple[str, Late]]) -> None:
        """One by one where the database refuses them together; a note made twice is made once."""
        if self._note is None:
            return
        try:
            await self._note(batch)
        except Exception as error:
            if outage_of(error) is not None:
                self.save_failures += 1
                raise
            if len(batch) > 1:
                for one in batch:
                    await self._note_some([one])
                return
            self._put_aside(f"what came late of {batch[0][0]}", error)

    def _put_aside(self, what: str, error: Exception) -> None:
        # A fault of ours, or the data's: it must not keep the others from being saved. It stays in the journal, and as nothing counts as
        # settled after it, no snapshot hides it there: it is folded and tried again at the next start, by a version that may know better.
        self.refused += 1
        log.error("! %s: the database refuses %s, which is put aside until the next start", self._tenant, what, exc_info=error)

    def _went_away(self, outage: Outage) -> None:
        self._pause_s = min(self._pause_s * 2, RETRY_LAST_S)
        if self._away_since is None:
            self._away_since, self._saved = asyncio.get_running_loop().time(), 0
            log.error("! %s: CDRs are kept until the database is back: %s", self._tenant, outage.reason)

    def _came_back(self) -> None:
        assert self._away_since is not None
        away_s = asyncio.get_running_loop().time() - self._away_since
        log.warning("= %s: the database is back after %.0f s, %d CDRs were saved", self._tenant, away_s, self._saved)
        self._away_since, self._pause_s = None, FLUSH_S

    def abandon(self) -> None:
        """The exchange it was folded for did not come about: nothing is saved, the next one folds it again."""
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        if self._flusher is not None and not self._flushing.locked():
            self._flusher.cancel()
        self._finished.clear()  # a transaction that is under way comes to its end, and finds nothing more to do
        self._late.clear()

    async def close(self) -> None:
        """Finish what lingers, save everything.

        Raises: RuntimeError: the database does not take the CDRs; they are in the journal and will be folded again.
        """
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        for call in list(self._lingering):
            self._finish(call)
        if self._flusher is not None:
            # Not in the middle of a transaction: SQLite's driver goes on with it in its thread, and keeps the database locked meanwhile.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SAVE_S), self._flushing:
                    pass
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
        await self.flush()
        if self.waiting or self._late or self.refused:
            kept = f"{self.waiting} CDRs and {len(self._late)} notes on others could not be saved, {self.refused} were refused"
            raise RuntimeError(f"tenant {self._tenant}: {kept}; they stay in the journal")

    @property
    def is_settled(self) -> bool:
        """Whether every conversation that is over has been saved: only then may a snapshot say "complete to here"."""
        return (
            not self._finished
            and not self._late
            and not self.refused
            and not self._lingering
            and (self._flusher is None or self._flusher.done())
        )

    @property
    def waiting(self) -> int:
        """CDRs that are finished and not saved."""
        return len(self._finished)

    @property
    def lingering_calls(self) -> frozenset[str]:
        """Conversations that are over, and whose records wait for what is still to come."""
        return frozenset(self._lingering)

    def lingers(self, calls: Iterable[str]) -> bool:
        """Whether any of these does."""
        return any(call in self._lingering for call in calls)

    @property
    def lingering(self) -> int:
        return len(self._lingering)


__all__ = ["CdrFeed", "instant"]
