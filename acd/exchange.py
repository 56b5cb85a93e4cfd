"""One tenant's exchange while it runs: core engine, journal, live stream and CDR feed around one inbox.

The rule of the house: one input, then drain. An input is decided at once, its entry goes to the journal, and only when that entry
is on disk are its events published and its effects carried out, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from acd.bus.protocol import Publisher
from acd.cdr_feed import CdrFeed
from acd.clock import REFUSED_S, SAID_S, Clock
from acd.core import inputs as inp
from acd.core.channel_costs import SAVINGS
from acd.core.channel_kinds import CHANNELS
from acd.core.effects import Effect
from acd.core.engine import BrokenHistory, Engine, Outcome
from acd.core.events import (
    CallCleared,
    CallConsulted,
    CallOffered,
    CallTransferred,
    ChannelRefused,
    ChannelReserved,
    ConfigurationChanged,
    ConsultationEnded,
    ContactClosed,
    ContactOpened,
    Event,
    LegReplaced,
    OfferEnded,
    OfferMade,
    PartyBack,
    PartyLost,
    SupervisionBegan,
    shown,
)
from acd.core.ids import AgentId, CallId, ContactId, TenantId, channel_of
from acd.core.inputs import Input
from acd.core.replay import Entry, restore, snapshot
from acd.core.state.values import State
from acd.errors import JournalAhead, JournalDamaged, JournalStopped
from acd.journal import CallIndex, Journal, Reading, segments
from acd.service import LiveAt, LiveEvent, ScreenPop
from acd.shapes import fingerprint

log = logging.getLogger(__name__)

SNAPSHOT_EVERY = 50_000
"""Entries between two snapshots, about 5 000 calls: folding so many takes a second or two after a crash."""
SETTLE_S = 0.01
"""How often a count of what is written looks whether it is."""
LIFE_S = 5.0
"""While calls are up there is an entry at least this often: what a crash can cost in talk time, either way."""
REMEMBERED_OCTETS = 64 << 20
"""Decision records that are answered from memory, some 10 000 offers among 100 agents; older ones are read from the journal."""


_OFFERS = frozenset((OfferMade, OfferEnded))
_ENCODER = msgspec.msgpack.Encoder()
_OFFER_EVENTS = msgspec.msgpack.Decoder(list[tuple[float, OfferMade | OfferEnded]])
_EMPTY = b"\xdd\0\0\0\0"
"""An `array 32` of MessagePack without elements: its kind, and how many there are."""


def _and(array: bytes, element: bytes) -> bytes:
    """The array with one element more."""
    count = int.from_bytes(array[1:5], "big") + 1
    return array[:1] + count.to_bytes(4, "big") + array[5:] + element


class _Kept(msgspec.Struct, frozen=True):
    """What a snapshot file holds: the fold up to `seq`. One of another shape than today's is not used: the journal holds everything."""

    shape: str
    tenant: TenantId
    saved_seq: int
    """The entry up to which the database held everything then."""
    seq: int
    now: float
    engine: bytes
    feed: bytes


SHAPE = fingerprint(_Kept, State, *CdrFeed.KEPT)
"""Of everything in it."""


class TenantExchange:
    """See the module.

    Args:
        carry_out: the switch.
        on_failure: told once, with a sentence, when the journal cannot be written: nothing is decided from then on.
        publish: where live events go.
        known_seq: the entry up to which the database holds records; a journal that ends before it is not whole.
        accept_clock: go on although the journal is more than a day ahead of the clock.
        on_durable: told of each entry that is on disk; not of those that a recovery folds.

    Raises: JournalDamaged, JournalAhead, OSError
    """

    def __init__(
        self,
        tenant: TenantId,
        directory: Path,
        clock: Clock,
        carry_out: Callable[[TenantId, Effect], None],
        feed: CdrFeed,
        on_failure: Callable[[TenantId, str], None],
        publish: Publisher,
        *,
        known_seq: int = 0,
        accept_clock: bool = False,
        on_durable: Callable[[Entry], None] | None = None,
    ) -> None:
        self.tenant = tenant
        self.directory = directory
        self.engine = Engine(tenant)
        self.feed = feed
        self.trouble: str | None = None
        """Why nothing is decided any more."""
        self._clock = clock
        self._carry_out = carry_out
        self._on_failure = on_failure
        self._told = on_durable
        self._loop = asyncio.get_running_loop()
        self._seq = 0
        self._kept_seq = 0
        self._last_now = 0.0
        self._publish = publish
        self._decisions: OrderedDict[ContactId, bytes] = OrderedDict()
        """Octets of `_OFFER_EVENTS`: one object for each contact, and none that the collector would have to walk."""
        self._decision_octets = 0
        self._opened: Counter[str] = Counter()
        self._talks: Counter[str] = Counter()
        self._pages: Counter[str] = Counter()
        self._channels: Counter[str] = Counter()
        self._closed: Counter[str] = Counter()
        """Contacts since the start, by channel."""
        self._unremembered: set[ContactId] = set()
        """Calls that live on, and of which memory holds no more than a part."""
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: set[asyncio.Future[tuple[Event, ...]]] = set()
        """Whoever waits for an entry to be on disk."""
        self._by_call = CallIndex(directory)
        reading = self._recover(known_seq)
        self._told_seq = self._seq
        """The last entry that is on disk and was told."""
        ahead = self._last_now - clock()
        if ahead > REFUSED_S and not accept_clock:
            raise JournalAhead(
                f"{directory}: the last entry of the journal is of {_civil(self._last_now)}, {ahead / 86400:.1f} days ahead of this "
                f"machine's clock ({_civil(clock())}): set the clock, or start once with --accept-clock to go on from the present time"
            )
        self._journal = Journal(directory, self._loop, self._failed, reading.tail)
        if ahead > 0:
            self._come_back(ahead)
        self._life = self._loop.call_later(LIFE_S, self._show_life)

    # ------------------------------------------------------------------ recovery

    def _recover(self, known_seq: int) -> Reading:
        self.feed.saved_seq = known_seq
        kept = self._take_snapshot(known_seq)
        reading = Reading(self.directory, after=self._seq)
        folded = 0
        for entry in reading.entries():
            try:
                for event in entry.events:
                    self._check_owner(event)
                    self.engine.apply(event, entry.now)
            except BrokenHistory as error:
                raise JournalDamaged(f"{self.directory}: entry {entry.seq} does not follow from those before it: {error}") from error
            self._feed(entry)
            self._remember(entry.now, entry.events)
            self._seq, self._last_now = entry.seq, entry.now
            folded += 1
        self._check_end(reading.tail.seq, known_seq)
        if folded or kept:
            log.info("= tenant %s: recovered up to entry %d, %d folded", self.tenant, self._seq, folded)
        return reading

    def _check_owner(self, event: Event) -> None:
        """A journal of another tenant, copied to the wrong place, must not be taken up."""
        if isinstance(event, ConfigurationChanged) and event.configuration.tenant != self.tenant:
            raise JournalDamaged(f"{self.directory}: this is the journal of the tenant {event.configuration.tenant}, not of {self.tenant}")

    def _check_end(self, last: int, known_seq: int) -> None:
        """What is known elsewhere to have been written must be there. A repair's gap at the end counts as written."""
        for what, seq in (("the snapshot holds", self._kept_seq), ("the database holds records up to", known_seq)):
            if last < seq:
                where = segments(self.directory)[-1] if segments(self.directory) else self.directory
                raise JournalDamaged(f"{where}: the journal ends at entry {last}, but {what} entry {seq}: its end is missing")
        self._seq = last

    def _come_back(self, ahead: float) -> None:
        """The journal was written by a clock that was ahead: the exchange goes on by the present one."""
        if ahead > SAID_S:
            log.error(
                "! tenant %s: the last entry of the journal is of %s, %.0f s ahead of this machine's clock; the exchange goes on by the "
                "clock, and everything it holds was moved by as much. Records of that time keep their dates",
                self.tenant, _civil(self._last_now), ahead,
            )  # fmt: skip
        self.tell(inp.ClockStepped(by_s=-round(ahead, 3)))

    def _take_snapshot(self, known_seq: int) -> bool:
        """Begin where the last orderly stop left off, if its snapshot can be read, and the database has not lost anything since."""
        path = self.directory / "snapshot"
        if not path.exists():
            return False
        try:
            octets = path.read_bytes()
            if zlib.crc32(octets[4:]).to_bytes(4, "big") != octets[:4]:
                raise msgspec.ValidationError("of an earlier version, or damaged")
            kept = msgspec.msgpack.decode(octets[4:], type=_Kept)
            if kept.shape != SHAPE:
                raise msgspec.ValidationError("the shape of another version")
            if kept.tenant != self.tenant:
                raise msgspec.ValidationError(f"of the tenant {kept.tenant}")
            self._kept_seq = kept.seq
            if known_seq < kept.saved_seq:
                log.warning(
                    "! tenant %s: the database holds records up to entry %d, it held them up to %d once (restored from a backup?): "
                    "the whole journal is folded, so that none is missing", self.tenant, known_seq, kept.saved_seq,
                )  # fmt: skip
                return False
            engine = restore(kept.engine)
            self.feed.restore(kept.feed)
        except (msgspec.DecodeError, OSError) as error:
            # Of an earlier version, or torn. A snapshot only saves time: the journal holds everything.
            log.warning(
                "! tenant %s: the snapshot cannot be used (%s): the whole journal is read in its place, which takes longer and loses "
                "nothing. The first start after an update may say this once; at any other, look at the disk", self.tenant, error,
            )  # fmt: skip
            return False
        self.engine = engine
        self._seq = kept.seq
        self._last_now = kept.now
        return True

    def _write_snapshot(self) -> None:
        kept = _Kept(SHAPE, self.tenant, self.feed.saved_seq, self._seq, self._clock(), snapshot(self.engine), self.feed.snapshot())
        # Not synced: one that a power cut has torn is not used, and the loop must not wait for the disk.
        path = self.directory / "snapshot"
        draft = path.with_suffix(".new")
        octets = msgspec.msgpack.encode(kept)
        draft.write_bytes(zlib.crc32(octets).to_bytes(4, "big") + octets)
        draft.replace(path)
        self._kept_seq = self._seq

    # ------------------------------------------------------------------ input

    def submit(self, given: Input) -> asyncio.Future[tuple[Event, ...]] | None:
        """Decide on one input now. The future resolves with the events once they are on disk; None when nothing came of it.

        Raises: IllegalTransition, UnknownName (commands only); nothing has happened then. JournalStopped.
        """
        if self.trouble is not None:
            raise JournalStopped(self.trouble)
        future: asyncio.Future[tuple[Event, ...]] = self._loop.create_future()
        if not self._decide(given, future):
            return None
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    def tell(self, fact: Input) -> None:
        """As `submit`, for a fact: nobody waits for what comes of it, and nothing does once the journal has failed."""
        if self.trouble is None:
            with contextlib.suppress(JournalStopped):  # `on_failure` was told
                self._decide(fact, None)

    async def settle(self) -> None:
        """Wait until what is decided by now is on disk, and was told: at most until the journal has failed."""
        decided = self._seq
        while self._told_seq < decided and self.trouble is None:  # noqa: ASYNC110 - a write of the disk; it comes in any order with others
            await asyncio.sleep(SETTLE_S)

    @property
    def is_settled(self) -> bool:
        """Whether everything that was decided is on disk and was carried out."""
        return self.trouble is None and self._told_seq == self._seq

    def _decide(self, given: Input, waiting: asyncio.Future[tuple[Event, ...]] | None) -> bool:
        now = self._clock()
        step = self.engine.handle(given, now)
        something = bool(step.events or step.effects)
        if something:
            self._write(Entry(seq=self._seq + 1, now=now, input=inp.to_journal(given), events=tuple(step.events)), step, waiting)
        self._arm()
        return something

    def _write(self, entry: Entry, step: Outcome, waiting: asyncio.Future[tuple[Event, ...]] | None) -> None:
        try:
            awaited = bool(step.effects) or waiting is not None
            self._journal.append(entry, lambda: self._on_durable(entry, step, waiting), awaited=awaited)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            # It was decided and cannot be written: nothing may be decided on top of it.
            self._stop(f"entry {entry.seq} ({type(entry.input).__name__}) cannot be written: {error}")
            raise JournalStopped(str(self.trouble)) from error
        self._seq, self._last_now = entry.seq, entry.now

    def _show_life(self) -> None:
        """An entry `LIFE_S` after the last one, while calls are up or somebody does after-call work."""
        now = self._clock()
        due_in = life_due_in(self._last_now, now) if self.engine.is_at_work else LIFE_S
        if due_in <= 0:
            due_in = LIFE_S
            self.tell(inp.SignOfLife())
        if self.trouble is None:
            self._life = self._loop.call_later(due_in, self._show_life)

    # ------------------------------------------------------------------ a journal that cannot be written

    def look(self) -> None:
        """See that what is written lies where it will be looked for."""
        if self.trouble is None and not self._journal.is_there:
            self._stop(f"{self._journal.last_file} is gone")

    def _failed(self, error: OSError) -> None:
        self._stop(f"{self._journal.last_file} cannot be written: {error.strerror or error}")

    def _stop(self, reason: str) -> None:
        if self.trouble is not None:
            return
        self.trouble = f"tenant {self.tenant}: {reason}"
        for handle in (self._timer, self._life):
            if handle is not None:
                handle.cancel()
        self._timer = None
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(JournalStopped(self.trouble))
        self._waiting.clear()
        self._on_failure(self.tenant, self.trouble)

    def _on_durable(self, entry: Entry, step: Outcome, waiting: asyncio.Future[tuple[Event, ...]] | None) -> None:
        self._remember(entry.now, entry.events)
        self._count(entry.events)
        self._feed(entry)
        self._tell_observer(entry)
        self._told_seq = entry.seq
        if self._publish.is_heard:
            for event in entry.events:
                self._publish(LiveEvent(tenant=self.tenant, seq=entry.seq, at=entry.now, event=shown(event)))
        for effect in step.effects:
            try:
                self._carry_out(self.tenant, effect)
            except Exception:
                # Its kind alone: an effect holds numbers, and keys to press.
                log.exception("! tenant %s: %s of entry %d could not be carried out", self.tenant, type(effect).__name__, entry.seq)
        if waiting is not None and not waiting.done():
            waiting.set_result(entry.events)
        if entry.seq - self._kept_seq >= SNAPSHOT_EVERY and entry.seq == self._seq and self.feed.is_settled:
            self._keep_snapshot()

    def _keep_snapshot(self) -> None:
        """A snapshot saves time, so one that cannot be written is no reason to stop."""
        try:
            self._write_snapshot()
        except OSError as error:
            self._kept_seq = self._seq  # tried again after as many entries
            log.warning("! tenant %s: no snapshot: %s", self.tenant, error)

    def clock_stepped(self, by_s: float) -> None:
        """The clock was set while we run."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._deadline = None
        self.tell(inp.ClockStepped(by_s=by_s))
        self._last_now = self._clock()

    def _tell_observer(self, entry: Entry) -> None:
        if self._told is None:
            return
        try:
            self._told(entry)
        except Exception:
            log.exception("! tenant %s: entry %d could not be told", self.tenant, entry.seq)

    def _feed(self, entry: Entry) -> None:
        try:
            self.feed.apply(entry)
        except Exception:
            log.exception("! tenant %s: the CDR feed stumbled over entry %d", self.tenant, entry.seq)
            self.feed.stumbles += 1

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
            self.tell(inp.TimePassed())
        else:
            self._arm()

    # ------------------------------------------------------------------ output

    def pop(self, screen: ScreenPop) -> bool:
        """Tell one agent who is calling; whether anybody may hear it."""
        if not self._publish.is_heard:
            return False
        self._publish(LiveEvent(tenant=self.tenant, seq=self._seq, at=self._clock(), event=screen, only_agent=screen.agent))
        return True

    def live_at(self) -> LiveAt:
        """The live board at this moment."""
        return LiveAt(seq=self._told_seq, live=self.engine.live_at(self._clock()))

    def parts(self) -> dict[CallId, tuple[AgentId, ...]]:
        """Whose phone rang in the calls that are up, as their records will say."""
        return {call: self._parts(call) for call in self.engine.state.calls}

    def _parts(self, call: CallId) -> tuple[AgentId, ...]:
        so_far = self.feed.ledger.so_far(call)
        legs = so_far.legs if so_far is not None else ()
        return tuple(dict.fromkeys(AgentId(leg.agent) for leg in legs if leg.agent is not None))

    def _remember(self, now: float, events: Sequence[Event]) -> None:
        for event in events:
            if type(event) in _OFFERS:
                assert isinstance(event, OfferMade | OfferEnded)
                if event.contact in self._unremembered:
                    continue
                kept = self._decisions.get(event.contact, _EMPTY)
                more = self._decisions[event.contact] = _and(kept, _ENCODER.encode((now, event)))
                self._decision_octets += len(more) - (len(kept) if kept is not _EMPTY else 0)
                if self._decision_octets > REMEMBERED_OCTETS:
                    self._forget_decisions()

    def _count(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case CallOffered(call=contact) | ContactOpened(contact=contact):
                    self._opened[channel_of(contact)] += 1
                case CallCleared(call=contact) | ContactClosed(contact=contact):
                    self._closed[channel_of(contact)] += 1
                case CallConsulted():
                    self._talks["consultation"] += 1
                case ConsultationEnded(then="conference"):
                    self._talks["conference"] += 1
                case SupervisionBegan():
                    self._talks["supervision"] += 1
                case PartyLost():
                    self._pages["lost"] += 1
                case PartyBack() | LegReplaced():
                    self._pages["back" if isinstance(event, PartyBack) else "taken_back"] += 1
                case CallTransferred(cause="page_lost", to=to):
                    self._pages["requeued" if to.startswith("queue:") else "given_up"] += 1
                case ChannelReserved(step=step) if step is not None:
                    self._channels[step] += 1
                case ChannelRefused():
                    self._channels["refuse"] += 1
                case _:
                    pass

    def _forget_decisions(self) -> None:
        while self._decision_octets > REMEMBERED_OCTETS:
            call, oldest = self._decisions.popitem(last=False)
            self._decision_octets -= len(oldest)
            self._unremembered.add(call)
        self._unremembered &= self.engine.state.contacts.keys()

    def why_waiting(self, contact: ContactId) -> dict[str, Any]:
        """What stands between a waiting contact and every single agent, at this moment.

        Raises: UnknownName: it waits in no queue.
        """
        told: dict[str, Any] = msgspec.to_builtins(self.engine.why_waiting(contact, self._clock()))
        return told

    async def decisions(self, contact: ContactId) -> list[dict[str, Any]]:
        """Decision records of a contact in order, each with the outcomes of its offer.

        Those of an old one are read from the journal, beside the loop.
        """
        kept = self._decisions.get(contact)
        if kept is not None:
            told = _OFFER_EVENTS.decode(kept)
        else:
            told = await asyncio.to_thread(self._read_decisions, contact)
        records: dict[str, dict[str, Any]] = {}
        for now, event in told:
            if isinstance(event, OfferMade):
                records[event.offer] = {**msgspec.to_builtins(event), "at": now, "outcomes": []}
            elif event.offer in records:
                records[event.offer]["outcomes"].append({**msgspec.to_builtins(event), "at": now})
        return list(records.values())

    def _read_decisions(self, contact: ContactId) -> list[tuple[float, OfferMade | OfferEnded]]:
        return [
            (entry.now, event)
            for entry in self._by_call.entries(contact)
            for event in entry.events
            if isinstance(event, OfferMade | OfferEnded) and event.contact == contact
        ]

    # ------------------------------------------------------------------ end

    async def close(self) -> None:
        """Sync the journal, flush the feed, keep a snapshot.

        Raises: RuntimeError: the database does not take the CDRs; they will be folded again.
        """
        for handle in (self._timer, self._life):
            if handle is not None:
                handle.cancel()
        self._timer = None
        await self._journal.close()
        await self.feed.close()
        if self.trouble is None:
            self._keep_snapshot()

    def figures(self) -> dict[str, float]:
        return {"journal_entries": self._journal.entries, "journal_commits": self._journal.commits}

    def conversations(self) -> Iterator[tuple[str, int]]:
        """Kind, and how many began since the start, of conversations that are not of two parties alone."""
        for kind in ("consultation", "conference", "supervision"):
            yield kind, self._talks[kind]

    def lost_pages(self) -> Iterator[tuple[str, int]]:
        """Pages of agents that died in conversations since the start, and what came of them; of those that are in neither of the last two
        somebody else had hung up, or others went on.
        """
        for what in ("lost", "back", "taken_back", "requeued", "given_up"):
            yield what, self._pages[what]

    def channels(self) -> Iterator[tuple[str, int]]:
        """Step of a full line's plan, and how many channels went by it since the start."""
        for step in (*SAVINGS, "refuse"):
            yield step, self._channels[step]

    def contacts(self) -> Iterator[tuple[str, str, float]]:
        """Figure, channel, value: opened and closed since the start, and how many wait."""
        waiting = self.engine.waiting_by_channel()
        for channel in CHANNELS:
            yield "contacts_opened_total", channel, self._opened[channel]
            yield "contacts_closed_total", channel, self._closed[channel]
            yield "contacts_waiting", channel, waiting[channel]


def life_due_in(last: float, now: float) -> float:
    """Seconds until the next sign of life, when the last entry is of `last`; 0 or less: now."""
    return LIFE_S - max(0.0, now - last)


def _civil(instant: float) -> str:
    """UTC, to the second, for people."""
    return f"{dt.datetime.fromtimestamp(instant, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
