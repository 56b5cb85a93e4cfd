"""From the journal's events to rated CDRs in the database: a fold, and a buffered writer behind it (DESIGN.md §3, §6).

Every leg is always in exactly one segment, so the ledger closes by construction; a change of segment ends one and begins the next at
the same instant. A conversation that is over lingers until its legs are measured and its recordings closed, at most `LINGER_S`: the
CDR then holds them. Writing is idempotent by CDR id, so a restart may fold again what was saved already.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

import msgspec

from acd.core import events as ev
from acd.core.ids import CallId, LegId, RecordingId, TenantId
from acd.core.inputs import ClockStepped, ServiceStarted
from acd.core.replay import Entry
from acd.outage import Outage, outage_of
from billing_cdr import facts
from billing_cdr.assemble import RESTART, Assembler
from billing_cdr.cdr import Cdr
from billing_cdr.charge import Charge
from billing_cdr.errors import LedgerError
from billing_cdr.quote import Quote

log = logging.getLogger(__name__)

LINGER_S = 3.0
"""A worker reports a closed leg within milliseconds; after this the CDR goes without its quality."""
FLUSH_S = 0.5
"""CDRs are saved at most this often, and together what came meanwhile: a transaction a call would cost more than the call."""
RETRY_LAST_S = 10.0
"""While the database is away they are tried again after twice the time, up to this."""
BATCH = 500
"""CDRs in one transaction: what an outage gathered is saved in pieces, so that calls and requests get in between."""

Rate = Callable[[Cdr], Charge | None]
Save = Callable[[Sequence[Cdr], Sequence[Charge], int], Awaitable[None]]
Note = Callable[[str, str], Awaitable[None]]
"""Notes a disposition on a record that is stored already."""


_Done = tuple[Cdr, Charge | None]
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Done)


class _Leg(msgspec.Struct, kw_only=True):
    role: str
    segment: str | None = None
    kind: str = ""
    answered: bool = False
    measured: bool = False


class _Conversation(msgspec.Struct, kw_only=True):
    call: str
    main: str | None = None
    legs: dict[str, _Leg] = {}
    segments: int = 0
    outcome: str = ""
    """Outcome of the queue or menu just left: how the caller's segment ends."""
    recordings: dict[str, None] = {}
    """Those that run, in order: a set would be written differently each time."""
    over_at: float | None = None
    cause: str = ""


class _Folded(msgspec.Struct, kw_only=True):
    conversations: dict[str, _Conversation] = {}
    recordings: dict[str, tuple[str, tuple[str, ...]]] = {}
    """Recording -> call, legs."""
    call_of: dict[str, str] = {}
    """Leg -> call."""
    alive_at: float = 0.0
    """Time of the last entry; every five seconds there is one while calls are up (`acd.exchange`)."""


def instant(now: float) -> dt.datetime:
    """The civil instant of a journal time, cut to the millisecond."""
    return dt.datetime.fromtimestamp(int(now * 1000) / 1000, dt.UTC)


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
        self._late: list[tuple[str, str]] = []
        """Dispositions of conversations that were over, in order."""
        self._folded = _Folded()
        self._assembler = Assembler()
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

    KEPT: ClassVar = (_Folded, *Assembler.KEPT)
    """The types of what a snapshot holds."""

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode((self._folded, self._assembler.snapshot()))

    def restore(self, kept: bytes) -> None:
        self._folded, assembler = msgspec.msgpack.decode(kept, type=tuple[_Folded, bytes])
        self._assembler = Assembler.restore(assembler)

    # ------------------------------------------------------------------ the fold

    def apply(self, entry: Entry) -> None:
        self._seq = entry.seq
        # A crash ended its calls when it happened, not when we came back: nobody pays for the time between (the last sign of life counts).
        folded, kind = self._folded, type(entry.input)
        now = folded.alive_at if kind is ServiceStarted else entry.now
        if isinstance(entry.input, ClockStepped):
            folded.alive_at += entry.input.by_s
        else:
            folded.alive_at = entry.now
        if not entry.events:
            return
        at = instant(now)
        for event in entry.events:
            step = self._FOLD.get(type(event))
            if step is None:
                continue
            try:
                step(self, event, now, at)
            except (LedgerError, msgspec.ValidationError):  # the latter: a price of another version, which only this leg goes without
                self.stumbles += 1
                log.exception("! %s: entry %d does not fit into the ledger", self._tenant, entry.seq)

    def _clock_corrected(self, event: ev.ClockCorrected, _now: float, _at: dt.datetime) -> None:
        """Calls in progress have lasted as long as before; what is over and stored stays as it was written."""
        # Whole milliseconds, rounded down as `instant` does: no fact may come to lie before the one it followed.
        self._assembler.move(dt.timedelta(milliseconds=math.floor(event.by_s * 1000)))
        for conversation in self._folded.conversations.values():
            if conversation.over_at is not None:
                conversation.over_at += event.by_s

    def _call_offered(self, event: ev.CallOffered, _now: float, at: dt.datetime) -> None:
        self._folded.conversations[event.call] = _Conversation(call=event.call)
        self._assembler.apply(
            facts.ConversationBegan(
                conversation=event.call,
                at=at,
                tenant=self._tenant,
                direction=event.direction,
                calling=event.calling or "anonymous",
                called=event.called,
                trunk=event.trunk,
                did=event.number,
                language=event.language,
            )
        )

    def _leg_initiated(self, event: ev.LegInitiated, _now: float, at: dt.datetime) -> None:
        conversation = self._folded.conversations[event.call]
        self._folded.call_of[event.leg] = event.call
        conversation.legs[event.leg] = _Leg(role=event.role)
        if conversation.main is None:
            conversation.main = event.leg
        self._assembler.apply(
            facts.LegBegan(
                conversation=event.call,
                at=at,
                leg=event.leg,
                role=event.role,
                party=event.agent or event.number or "anonymous",
                number=event.number if event.role != "caller" else None,
                trunk=event.trunk,
                site=event.site,
                internal=event.internal and event.role != "caller",
            )
        )
        self._move(
            conversation,
            event.leg,
            "offer" if event.role == "agent" else "ring",
            event.agent or event.number or "",
            at,
            event.forwarded_by or "",
        )

    def _move(
        self, conversation: _Conversation, leg: str, kind: Any, party: str, at: dt.datetime, caused_by: str = "", outcome: str = ""
    ) -> None:
        known = conversation.legs[leg]
        if known.segment is not None:
            self._assembler.apply(facts.SegmentEnded(conversation=conversation.call, at=at, segment=known.segment, outcome=outcome))
        conversation.segments += 1
        known.segment = f"{conversation.call}/s{conversation.segments}"
        known.kind = kind
        self._assembler.apply(
            facts.SegmentBegan(
                conversation=conversation.call, at=at, segment=known.segment, leg=leg, kind=kind, party=party, caused_by=caused_by
            )
        )

    def _move_main(self, call: CallId, kind: str, party: str, at: dt.datetime, caused_by: str = "") -> None:
        conversation = self._folded.conversations[call]
        if conversation.main is not None and conversation.legs[conversation.main].segment is not None:
            outcome, conversation.outcome = conversation.outcome, ""
            self._move(conversation, conversation.main, kind, party, at, caused_by, outcome)

    def _move_all(self, call: str | None, before: str, after: str, by: str, at: dt.datetime) -> None:
        conversation = self._folded.conversations.get(call) if call is not None else None
        if conversation is None:
            return
        for leg, known in conversation.legs.items():
            if known.segment is not None and known.kind == before:
                self._move(conversation, leg, after, by, at, by)

    def _menu_entered(self, event: ev.MenuEntered, _now: float, at: dt.datetime) -> None:
        self._move_main(event.call, "menu", event.menu, at)

    def _menu_left(self, event: ev.MenuLeft, _now: float, _at: dt.datetime) -> None:
        self._folded.conversations[event.call].outcome = event.digit or "fallback"

    def _queued(self, event: ev.Queued, _now: float, at: dt.datetime) -> None:
        self._move_main(event.call, "queue", event.queue, at)

    def _queue_left(self, event: ev.QueueLeft, _now: float, _at: dt.datetime) -> None:
        self._folded.conversations[event.call].outcome = event.outcome

    def _announcement_began(self, event: ev.AnnouncementBegan, _now: float, at: dt.datetime) -> None:
        self._move_main(event.call, "announcement", " ".join(event.sounds), at)

    def _call_forwarded(self, event: ev.CallForwarded, _now: float, at: dt.datetime) -> None:
        self._move_main(event.call, "forward", event.number, at, caused_by=event.by)

    def _call_held(self, event: ev.CallHeld, _now: float, at: dt.datetime) -> None:
        self._move_all(event.call, "talk", "hold", event.by, at)

    def _call_retrieved(self, event: ev.CallRetrieved, _now: float, at: dt.datetime) -> None:
        self._move_all(event.call, "hold", "talk", event.by, at)

    def _leg_held(self, event: ev.LegHeld, _now: float, at: dt.datetime) -> None:
        if event.by is None:
            self._move_all(self._folded.call_of.get(event.leg), "talk", "hold", event.leg, at)

    def _leg_retrieved(self, event: ev.LegRetrieved, _now: float, at: dt.datetime) -> None:
        self._move_all(self._folded.call_of.get(event.leg), "hold", "talk", event.leg, at)

    def _leg_connected(self, event: ev.LegConnected, _now: float, at: dt.datetime) -> None:
        self._answered(event.leg, at)

    def _leg_quoted(self, event: ev.LegQuoted, _now: float, at: dt.datetime) -> None:
        call = self._folded.call_of.get(event.leg)
        if call is not None:
            quote = msgspec.convert(event.quote, Quote)
            self._assembler.apply(facts.LegPriced(conversation=call, at=at, leg=event.leg, quote=quote))

    def _answered(self, leg: str, at: dt.datetime) -> None:
        call = self._folded.call_of.get(leg)
        if call is None:
            return
        known = self._folded.conversations[call].legs[leg]
        if not known.answered and known.segment is not None:
            known.answered = True
            self._assembler.apply(facts.LegAnswered(conversation=call, at=at, leg=leg))

    def _call_established(self, event: ev.CallEstablished, _now: float, at: dt.datetime) -> None:
        conversation = self._folded.conversations[event.call]
        for leg, other in ((event.a, event.b), (event.b, event.a)):
            known = conversation.legs.get(leg)
            if known is None or known.segment is None:
                continue
            self._answered(leg, at)  # our 2xx was sent, its ACK may still be under way (RFC 3261 §13.3.1.4)
            outcome = ""
            if leg == conversation.main:
                outcome, conversation.outcome = conversation.outcome, ""
            self._move(conversation, leg, "talk", other, at, outcome=outcome or "answered")

    def _leg_cleared(self, event: ev.LegCleared, _now: float, at: dt.datetime) -> None:
        call = self._folded.call_of.get(event.leg)
        if call is None:
            return
        conversation = self._folded.conversations[call]
        known = conversation.legs[event.leg]
        if known.segment is not None:
            outcome = conversation.outcome if event.leg == conversation.main and conversation.outcome else event.cause
            self._assembler.apply(facts.SegmentEnded(conversation=call, at=at, segment=known.segment, outcome=outcome))
            known.segment = None
            self._assembler.apply(
                facts.LegEnded(
                    conversation=call,
                    at=at,
                    leg=event.leg,
                    cause=event.cause,
                    sip_status=event.status,
                    by="crash" if event.cause == RESTART else "remote" if event.by == "party" else "local",
                )
            )

    def _leg_measured(self, event: ev.LegMeasured, _now: float, at: dt.datetime) -> None:
        conversation = self._folded.conversations.get(event.call)
        known = conversation.legs.get(event.leg) if conversation is not None else None
        if conversation is None or known is None or known.measured:
            return
        known.measured = True
        quality = event.quality
        received, lost = _number(quality, "packets_received"), _number(quality, "packets_lost")
        if not received:  # nothing was heard, so nothing can be said of how well
            self._finish_if_complete(conversation)
            return
        self._assembler.apply(
            facts.QualityMeasured(
                conversation=event.call,
                at=at,
                leg=event.leg,
                mos=_number(quality, "mos"),
                loss=lost / (received + lost) if received + lost else 0.0,
                jitter_ms=_number(quality, "jitter_ms"),
                round_trip_ms=None if quality.get("round_trip_ms") is None else _number(quality, "round_trip_ms"),
                packets_received=int(received),
                packets_sent=int(_number(quality, "packets_sent")),
                packets_lost=int(lost),
            )
        )
        self._finish_if_complete(conversation)

    def _recording_began(self, event: ev.RecordingBegan, _now: float, _at: dt.datetime) -> None:
        self._folded.recordings[event.recording] = (event.call, event.legs)
        self._folded.conversations[event.call].recordings[event.recording] = None

    def _recording_kept(self, event: ev.RecordingKept, _now: float, at: dt.datetime) -> None:
        call, legs = self._folded.recordings.pop(event.recording, (event.call, ()))
        conversation = self._folded.conversations.get(call)
        if conversation is None:
            return
        conversation.recordings.pop(event.recording, None)
        if legs and (event.error is None or event.duration_ms):  # one that broke off is a recording as far as it goes
            self._assembler.apply(facts.RecordingMade(conversation=call, at=at, legs=legs, path=event.path, duration_ms=event.duration_ms))
        self._finish_if_complete(conversation)

    def _disposition_set(self, event: ev.DispositionSet, _now: float, at: dt.datetime) -> None:
        conversation = self._folded.conversations.get(event.call)
        if conversation is not None and conversation.over_at is None:
            self._assembler.apply(facts.Disposition(conversation=event.call, at=at, code=event.code))
        else:
            self._late.append((event.call, event.code))
            self._flush_later()

    # ------------------------------------------------------------------ the end of a conversation

    def _call_cleared(self, event: ev.CallCleared, now: float, _at: dt.datetime) -> None:
        conversation = self._folded.conversations[event.call]
        conversation.over_at = now
        conversation.cause = event.cause
        if not self._finish_if_complete(conversation):
            loop = asyncio.get_running_loop()
            self._lingering[event.call] = loop.time() + LINGER_S
            if self._linger_timer is None:
                self._linger_timer = loop.call_later(LINGER_S, self._lingered, loop)

    def _lingered(self, loop: asyncio.AbstractEventLoop) -> None:
        """Finish whose time is up. One timer serves all, since most are gone when it comes."""
        now = loop.time()
        due = [call for call, until in self._lingering.items() if until <= now]
        later = next((until for until in self._lingering.values() if until > now), None)
        self._linger_timer = loop.call_at(later, self._lingered, loop) if later is not None else None
        for call in due:
            self._finish(self._folded.conversations[call])

    def _finish_if_complete(self, conversation: _Conversation) -> bool:
        if conversation.over_at is None:
            return False
        if conversation.cause != RESTART:  # what a crash has cut nobody measures any more
            if conversation.recordings:
                return False
            for leg in conversation.legs.values():
                if leg.answered and not leg.measured:
                    return False
        self._finish(conversation)
        return True

    def _finish(self, conversation: _Conversation) -> None:
        self._lingering.pop(conversation.call, None)
        if self._folded.conversations.pop(conversation.call, None) is None or conversation.over_at is None:
            return
        for leg in conversation.legs:
            self._folded.call_of.pop(leg, None)
        for recording in conversation.recordings:
            self._folded.recordings.pop(RecordingId(recording), None)
        try:
            cdr = self._assembler.apply(
                facts.ConversationEnded(conversation=conversation.call, at=instant(conversation.over_at), cause=conversation.cause)
            )
        except LedgerError as error:
            self.stumbles += 1
            log.exception("! %s: the ledger of %s does not close", self._tenant, conversation.call)
            cdr = error.draft
        if cdr is None:
            return
        try:
            charge = self._rate(cdr)
        except Exception:
            self.stumbles += 1
            log.exception("! %s: %s could not be rated and waits for re-rating", self._tenant, cdr.id)
            charge = None
        self._finished.append((cdr, charge) if self._away_since is None else _ENCODER.encode((cdr, charge)))
        self.cdrs += 1
        self._flush_later()

    _FOLD: ClassVar[dict[type, Callable[[CdrFeed, Any, float, dt.datetime], None]]] = {
        ev.ClockCorrected: _clock_corrected,
        ev.CallOffered: _call_offered,
        ev.LegInitiated: _leg_initiated,
        ev.LegConnected: _leg_connected,
        ev.LegCleared: _leg_cleared,
        ev.LegQuoted: _leg_quoted,
        ev.LegMeasured: _leg_measured,
        ev.MenuEntered: _menu_entered,
        ev.MenuLeft: _menu_left,
        ev.Queued: _queued,
        ev.QueueLeft: _queue_left,
        ev.AnnouncementBegan: _announcement_began,
        ev.CallForwarded: _call_forwarded,
        ev.CallEstablished: _call_established,
        ev.CallHeld: _call_held,
        ev.CallRetrieved: _call_retrieved,
        ev.LegHeld: _leg_held,
        ev.LegRetrieved: _leg_retrieved,
        ev.RecordingBegan: _recording_began,
        ev.RecordingKept: _recording_kept,
        ev.DispositionSet: _disposition_set,
        ev.CallCleared: _call_cleared,
    }
    """Events that are not here say nothing to a record."""

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
        """Note dispositions; those whose conversation lingers wait for its record."""
        later: list[tuple[str, str]] = []
        while self._late:
            call, code = self._late[0]
            if call in self._folded.conversations:
                later.append((call, code))
            elif self._note is not None:
                try:
                    await self._note(call, code)
                except Exception as error:
                    if outage_of(error) is not None:
                        self.save_failures += 1
                        self._late[:0] = later
                        raise
                    self._put_aside(f"the disposition of {call}", error)
            del self._late[0]
        self._late = later

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
        if self._flusher is not None:
            self._flusher.cancel()

    async def close(self) -> None:
        """Finish what lingers, save everything.

        Raises: RuntimeError: the database does not take the CDRs; they are in the journal and will be folded again.
        """
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        for call in list(self._lingering):
            self._finish(self._folded.conversations[call])
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
        await self.flush()
        if self.waiting or self._late or self.refused:
            kept = f"{self.waiting} CDRs and {len(self._late)} dispositions could not be saved, {self.refused} were refused"
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
    def lingering(self) -> int:
        return len(self._lingering)


def _number(quality: dict[str, float | int | str | None], name: str) -> float:
    value = quality.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0


__all__ = ["CdrFeed", "LegId", "instant"]
