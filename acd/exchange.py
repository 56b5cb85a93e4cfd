"""One tenant's exchange while it runs: core engine, journal, live stream and CDR feed around one inbox.

The rule of the house: one input, then drain. An input is decided at once, its entry goes to the journal, and only when that entry
is on disk are its events published and its effects carried out, in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from acd.cdr_feed import CdrFeed
from acd.clock import Clock
from acd.core import inputs
from acd.core.effects import Effect
from acd.core.engine import Engine, Step
from acd.core.events import Event, OfferEnded, OfferMade, without_dialog
from acd.core.ids import AgentId, CallId, TenantId
from acd.core.inputs import Input
from acd.core.replay import Entry, restore, snapshot
from acd.errors import StreamOverrun
from acd.journal import Journal, read
from acd.service import LiveEvent, ScreenPop

log = logging.getLogger(__name__)

STREAM_DEPTH = 10_000
"""Events a reader may be behind: about ten seconds of a very busy tenant."""
SNAPSHOT_EVERY = 50_000
"""Entries between two snapshots, about 5 000 calls: folding so many takes a second or two after a crash."""
REMEMBERED_OCTETS = 64 << 20
"""Decision records that are answered from memory, some 10 000 offers among 100 agents; older ones are read from the journal."""


_OFFERS = frozenset((OfferMade, OfferEnded))
_ENCODER = msgspec.msgpack.Encoder()
_OFFER_EVENTS = msgspec.msgpack.Decoder(OfferMade | OfferEnded)


class Subscriber:
    """One reader of the live stream."""

    def __init__(self, agent: AgentId | None) -> None:
        self.agent = agent
        self._events: deque[LiveEvent] = deque()
        self._wake = asyncio.Event()
        self._overrun = False
        self._closed = False
        self._published = 0
        self._taken = 0
        self._waiting_for: deque[tuple[int, asyncio.Future[None]]] = deque()

    def publish(self, event: LiveEvent) -> None:
        if event.only_agent is not None and event.only_agent != self.agent:
            return
        if len(self._events) >= STREAM_DEPTH:
            self._overrun = True
            self._events.clear()
        self._events.append(event)
        self._published += 1
        self._wake.set()

    def taken(self) -> asyncio.Future[None]:
        """Done when the reader has dealt with everything published so far: it came back for the next."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting_for.append((self._published, future))
        return future

    def _came_back(self) -> None:
        self._taken += 1
        while self._waiting_for and self._waiting_for[0][0] <= self._taken:
            _, future = self._waiting_for.popleft()
            if not future.done():
                future.set_result(None)

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    async def read(self) -> AsyncIterator[LiveEvent]:
        while True:
            while self._events and not self._overrun:
                yield self._events.popleft()
                self._came_back()
            if self._overrun:
                raise StreamOverrun(f"more than {STREAM_DEPTH} events behind")
            if self._closed:
                return
            self._wake.clear()
            await self._wake.wait()


class _Kept(msgspec.Struct, frozen=True):
    """What a snapshot file holds: the fold up to `seq`."""

    seq: int
    now: float
    engine: bytes
    feed: bytes


class Exchange:
    """See the module; `carry_out` is the switch."""

    def __init__(
        self,
        tenant: TenantId,
        directory: Path,
        clock: Clock,
        carry_out: Callable[[TenantId, Effect], None],
        feed: CdrFeed,
        stop_all: Callable[[OSError], None],
    ) -> None:
        self.tenant = tenant
        self.directory = directory
        self.engine = Engine(tenant)
        self.feed = feed
        self._clock = clock
        self._carry_out = carry_out
        self._loop = asyncio.get_running_loop()
        self._seq = 0
        self._kept_seq = 0
        self._subscribers: set[Subscriber] = set()
        self._decisions: OrderedDict[CallId, list[tuple[float, bytes]]] = OrderedDict()
        self._decision_octets = 0
        self._unremembered: set[CallId] = set()
        """Calls that live on, and of which memory holds no more than a part."""
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._recover()
        self._journal = Journal(directory, self._loop, stop_all)

    # ------------------------------------------------------------------ recovery

    def _recover(self) -> None:
        kept = self._take_snapshot()
        folded = 0
        for entry in read(self.directory, after=self._seq):
            for event in entry.events:
                self.engine.apply(event, entry.now)
            self.feed.apply(entry)
            self._remember(entry.now, entry.events)
            self._seq = entry.seq
            self._clock.not_before(entry.now)
            folded += 1
        if folded or kept:
            log.info("= tenant %s: recovered up to entry %d, %d folded", self.tenant, self._seq, folded)

    def _take_snapshot(self) -> bool:
        """Begin where the last orderly stop left off, if its snapshot can be read."""
        path = self.directory / "snapshot"
        if not path.exists():
            return False
        try:
            kept = msgspec.msgpack.decode(path.read_bytes(), type=_Kept)
            engine = restore(kept.engine)
            self.feed.restore(kept.feed)
        except (msgspec.DecodeError, OSError) as error:
            # Of an earlier version, or torn. A snapshot only saves time: the journal holds everything.
            log.warning("! tenant %s: snapshot not usable (%s), folding the whole journal", self.tenant, error)
            return False
        self.engine = engine
        self._seq = self._kept_seq = kept.seq
        self._clock.not_before(kept.now)
        return True

    def _write_snapshot(self) -> None:
        kept = _Kept(self._seq, self._clock(), snapshot(self.engine), self.feed.snapshot())
        self._kept_seq = self._seq
        path = self.directory / "snapshot"
        draft = path.with_suffix(".new")
        draft.write_bytes(msgspec.msgpack.encode(kept))
        draft.replace(path)

    # ------------------------------------------------------------------ input

    def submit(self, given: Input) -> asyncio.Future[tuple[Event, ...]] | None:
        """Decide on one input now. The future resolves with the events once they are on disk; None when nothing came of it.

        Raises: IllegalTransition, UnknownName (commands only); nothing has happened then.
        """
        future: asyncio.Future[tuple[Event, ...]] = self._loop.create_future()
        return future if self._decide(given, future) else None

    def tell(self, fact: Input) -> None:
        """As `submit`, for a fact: nobody waits for what comes of it."""
        self._decide(fact, None)

    def _decide(self, given: Input, waiting: asyncio.Future[tuple[Event, ...]] | None) -> bool:
        now = self._clock()
        step = self.engine.handle(given, now)
        something = bool(step.events or step.effects)
        if something:
            self._seq += 1
            entry = Entry(seq=self._seq, now=now, input=inputs.to_journal(given), events=tuple(step.events))
            awaited = bool(step.effects) or waiting is not None
            self._journal.append(entry, lambda: self._on_durable(entry, step, waiting), awaited=awaited)
        self._arm()
        return something

    def _on_durable(self, entry: Entry, step: Step, waiting: asyncio.Future[tuple[Event, ...]] | None) -> None:
        self._remember(entry.now, entry.events)
        try:
            self.feed.apply(entry)
        except Exception:
            log.exception("! tenant %s: the CDR feed stumbled over entry %d", self.tenant, entry.seq)
            self.feed.stumbles += 1
        if self._subscribers:
            for event in entry.events:
                self.publish(LiveEvent(tenant=self.tenant, seq=entry.seq, at=entry.now, event=without_dialog(event)))
        for effect in step.effects:
            try:
                self._carry_out(self.tenant, effect)
            except Exception:
                log.exception("! tenant %s: effect %r of entry %d could not be carried out", self.tenant, effect, entry.seq)
        if waiting is not None and not waiting.done():
            waiting.set_result(entry.events)
        if entry.seq - self._kept_seq >= SNAPSHOT_EVERY and entry.seq == self._seq and self.feed.is_settled:
            self._write_snapshot()

    def _arm(self) -> None:
        """See that the engine is asked again in time: a timer that comes too early finds nothing due, which is cheaper than moving it."""
        deadline = self.engine.next_timeout()
        if deadline is None or (self._deadline is not None and self._deadline <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._deadline = deadline
        self._timer = self._loop.call_later(max(0.0, deadline - self._clock()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = self._deadline = None
        deadline = self.engine.next_timeout()
        if deadline is not None and deadline <= self._clock():
            self.tell(inputs.TimePassed())
        else:
            self._arm()

    # ------------------------------------------------------------------ output

    def publish(self, event: LiveEvent) -> None:
        for subscriber in tuple(self._subscribers):
            subscriber.publish(event)

    def pop(self, screen: ScreenPop) -> list[asyncio.Future[None]]:
        """Tell one agent who is calling; the futures say when each of the agent's desks has been told."""
        self.publish(LiveEvent(tenant=self.tenant, seq=self._seq, at=self._clock(), event=screen, only_agent=screen.agent))
        return [subscriber.taken() for subscriber in self._subscribers if subscriber.agent == screen.agent]

    async def stream(self, agent: AgentId | None) -> AsyncIterator[LiveEvent]:
        subscriber = Subscriber(agent)
        self._subscribers.add(subscriber)
        try:
            async for event in subscriber.read():
                yield event
        finally:
            self._subscribers.discard(subscriber)

    def _remember(self, now: float, events: Sequence[Event]) -> None:
        for event in events:
            if type(event) in _OFFERS:
                assert isinstance(event, OfferMade | OfferEnded)
                if event.call in self._unremembered:
                    continue
                # Kept as octets: ten thousand decision records as objects would be millions for the collector to walk.
                octets = _ENCODER.encode(event)
                self._decisions.setdefault(event.call, []).append((now, octets))
                self._decision_octets += len(octets)
                if self._decision_octets > REMEMBERED_OCTETS:
                    self._forget_decisions()

    def _forget_decisions(self) -> None:
        while self._decision_octets > REMEMBERED_OCTETS:
            call, oldest = self._decisions.popitem(last=False)
            self._decision_octets -= sum(len(octets) for _, octets in oldest)
            self._unremembered.add(call)
        self._unremembered &= self.engine.state.calls.keys()

    def why_waiting(self, call: CallId) -> dict[str, Any]:
        """What stands between a waiting caller and every single agent, at this moment.

        Raises: UnknownName: the call waits in no queue.
        """
        told: dict[str, Any] = msgspec.to_builtins(self.engine.why_waiting(call, self._clock()))
        return told

    async def decisions(self, call: CallId) -> list[dict[str, Any]]:
        """Decision records of a call in order, each with the outcomes of its offer.

        Those of an old call are read from the journal, beside the loop.
        """
        kept = self._decisions.get(call)
        if kept is not None:
            told = [(now, _OFFER_EVENTS.decode(octets)) for now, octets in kept]
        else:
            told = await asyncio.to_thread(self._read_decisions, call)
        records: dict[str, dict[str, Any]] = {}
        for now, event in told:
            if isinstance(event, OfferMade):
                records[event.offer] = {**msgspec.to_builtins(event), "at": now, "outcomes": []}
            elif event.offer in records:
                records[event.offer]["outcomes"].append({**msgspec.to_builtins(event), "at": now})
        return list(records.values())

    def _read_decisions(self, call: CallId) -> list[tuple[float, OfferMade | OfferEnded]]:
        return [
            (entry.now, event)
            for entry in read(self.directory)
            for event in entry.events
            if isinstance(event, OfferMade | OfferEnded) and event.call == call
        ]

    # ------------------------------------------------------------------ end

    async def close(self) -> None:
        """Sync the journal, flush the feed, keep a snapshot."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._journal.close()
        await self.feed.close()
        self._write_snapshot()
        for subscriber in tuple(self._subscribers):
            subscriber.close()

    def figures(self) -> dict[str, float]:
        return {"journal_entries": self._journal.entries, "journal_commits": self._journal.commits}
