"""The ledger of a conversation: a pure fold of facts into a record, closed only if everything adds up (house; U13).

A leg's life is the table `LEG`; a fact that has no place in it is refused at once and changes nothing. When the conversation ends, the
invariants of `_problems` are checked: the segments of each leg tile its life without gap or overlap, nobody is left connected,
who talked had answered, recordings belong to legs. A record that breaks one is never handed out as a good one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from billing_cdr.causes import CUTS, RESTART, outcome_of
from billing_cdr.cdr import Cdr, CdrLeg, Quality, Recording, Segment
from billing_cdr.errors import LedgerError
from billing_cdr.facts import (
    AudioProtection,
    CodecUsed,
    ConversationBegan,
    ConversationEnded,
    Disposition,
    Fact,
    LegAlerted,
    LegAnswered,
    LegBegan,
    LegEnded,
    LegPriced,
    Protected,
    QualityMeasured,
    RecordingMade,
    SegmentBegan,
    SegmentEnded,
    WrappedUp,
)
from billing_cdr.instant import between_ms, epoch_ms

RECORDING_SLACK_MS = 2_000
"""A recording is measured in samples, a leg in instants: the two clocks may differ by so much before something is wrong."""
REMEMBERED = 10_000
"""So many closed conversations are remembered, to tell a late fact from the beginning of something new."""


class LegState(Enum):
    """The life of a leg, as far as it concerns the record."""

    RINGING = "ringing"
    CONNECTED = "connected"
    GONE = "gone"


# fmt: off
LEG: Final[dict[LegState, dict[type, LegState]]] = {  # what is missing here is refused
    LegState.RINGING: {
        LegPriced:       LegState.RINGING,
        LegAlerted:      LegState.RINGING,
        LegAnswered:     LegState.CONNECTED,
        LegEnded:        LegState.GONE,
        QualityMeasured: LegState.RINGING,  # early media has a quality too
        CodecUsed:       LegState.RINGING,
        Protected:       LegState.RINGING,
    },
    LegState.CONNECTED: {
        LegEnded:        LegState.GONE,
        QualityMeasured: LegState.CONNECTED,
        CodecUsed:       LegState.CONNECTED,
        Protected:       LegState.CONNECTED,
    },
    LegState.GONE: {
        QualityMeasured: LegState.GONE,  # the worker reports when the stream is closed
        CodecUsed:       LegState.GONE,
    },
}
# fmt: on
CONNECTED: Final = frozenset({"talk", "hold"})
"""Kinds of segments of a leg that is in a pair."""
CUT: Final = "cut"
"""Kind of the segment that fills what a crash has left open."""
_TREATMENTS: Final = frozenset({"menu", "announcement"})


class _OpenLeg(Struct, kw_only=True):
    began: LegBegan
    state: LegState = LegState.RINGING
    alerted_at: datetime | None = None
    answered_at: datetime | None = None
    ended: LegEnded | None = None
    quality: Quality | None = None
    codec: str | None = None
    audio: AudioProtection = "none"
    suite: str | None = None
    signalling: str | None = None
    sip_call_id: str | None = None
    priced: LegPriced | None = None
    open_segment: str | None = None


class _OpenSegment(Struct, kw_only=True):
    began: SegmentBegan
    ended: SegmentEnded | None = None


class _Conversation(Struct, kw_only=True):
    began: ConversationBegan
    last_at: datetime
    legs: dict[str, _OpenLeg] = {}
    segments: dict[str, _OpenSegment] = {}
    recordings: list[Recording] = []
    disposition: str | None = None
    wraps: list[WrappedUp] = []


class _State(Struct, kw_only=True):
    open: dict[str, _Conversation] = {}
    closed: dict[str, None] = {}


class Assembler:
    """Folds the facts of many conversations at once. Its state survives a restart: `snapshot`, `restore`."""

    KEPT: ClassVar = (_State,)
    """The types of what a snapshot holds."""

    def __init__(self) -> None:
        self._state = _State()

    def __contains__(self, conversation: str) -> bool:
        return conversation in self._state.open

    @property
    def open_conversations(self) -> tuple[str, ...]:
        """The conversations that have begun and not ended."""
        return tuple(self._state.open)

    def snapshot(self) -> bytes:
        """Give the whole state as MessagePack."""
        return msgspec.msgpack.encode(self._state)

    @classmethod
    def restore(cls, snapshot: bytes) -> Assembler:
        """Take up the state of a snapshot."""
        assembler = cls()
        assembler._state = msgspec.msgpack.decode(snapshot, type=_State)
        return assembler

    def apply(self, fact: Fact) -> Cdr | None:
        """Take one fact; give the record when it was the last of its conversation.

        Raises: LedgerError: the fact contradicts what is known, and nothing has changed; or it was the last one and the ledger
            does not close: then the conversation is closed and the error carries the draft of its record.
        """
        if fact.at.tzinfo is None:
            raise LedgerError(fact.conversation, [f"{_name(fact)}: {fact.at} names no time zone"])
        kind = type(fact)
        if kind is ConversationBegan:
            self._begin(fact)  # type: ignore[arg-type]
            return None
        conversation = self._state.open.get(fact.conversation)
        if conversation is None:
            why = "is over" if fact.conversation in self._state.closed else "never began"
            raise LedgerError(fact.conversation, [f"{_name(fact)}: the conversation {why}"])
        in_order = kind not in _UNORDERED
        if in_order and fact.at < conversation.last_at:
            raise LedgerError(fact.conversation, [f"{_name(fact)}: {fact.at} lies before the fact at {conversation.last_at}"])
        if kind is ConversationEnded:
            return self._close(conversation, fact)  # type: ignore[arg-type]
        _NOTES[kind](conversation, fact)
        if in_order:
            conversation.last_at = fact.at
        return None

    def cut(self, conversation: str, at: datetime) -> Cdr:
        """Close a conversation that a crash has ended: whatever is open ends at `at` with the cause `restart`.

        The crash may have come between two facts of one instant, so that a leg is in no segment: a segment of kind `cut` then says so.
        It always gives a record that closes: the number of records is the number of calls.

        Args:
            at: the last instant at which the conversation is known to have lived; nobody pays for the time a machine was down.

        Raises: LedgerError: there is no such conversation, or `at` lies before its last fact.
        """
        known = self._state.open.get(conversation)
        if known is None:
            raise LedgerError(conversation, ["cut: the conversation is not open"])
        if at < known.last_at:
            raise LedgerError(conversation, [f"cut: {at} lies before the fact at {known.last_at}"])
        _close_what_is_open(known, at)
        cdr = self.apply(ConversationEnded(conversation=conversation, at=at, cause=RESTART))
        assert cdr is not None
        return cdr

    def so_far(self, conversation: str, at: datetime) -> Cdr | None:
        """The record that `cut` would give, while the conversation goes on; None: it is not open."""
        known = self._state.open.get(conversation)
        if known is None:
            return None
        draft = msgspec.msgpack.decode(msgspec.msgpack.encode(known), type=_Conversation)
        _close_what_is_open(draft, at)
        end = ConversationEnded(conversation=conversation, at=at, cause=RESTART)
        return _record(draft, end, {name: _span(segment, at) for name, segment in draft.segments.items()}, [])

    def move(self, by: timedelta) -> None:
        """Move every instant of what is open: the clock was set, and a call in progress has lasted as long as before."""
        for conversation in self._state.open.values():
            conversation.began = _moved(conversation.began, by)
            conversation.last_at += by
            for leg in conversation.legs.values():
                leg.began, leg.ended, leg.priced = _moved(leg.began, by), _moved(leg.ended, by), _moved(leg.priced, by)
                leg.alerted_at = leg.alerted_at + by if leg.alerted_at is not None else None
                leg.answered_at = leg.answered_at + by if leg.answered_at is not None else None
            for segment in conversation.segments.values():
                segment.began, segment.ended = _moved(segment.began, by), _moved(segment.ended, by)
            conversation.recordings = [
                msgspec.structs.replace(one, began_at=one.began_at + by if one.began_at is not None else None)
                for one in conversation.recordings
            ]
            conversation.wraps = [msgspec.structs.replace(one, at=one.at + by, began_at=one.began_at + by) for one in conversation.wraps]

    def _begin(self, fact: ConversationBegan) -> None:
        if fact.conversation in self._state.open or fact.conversation in self._state.closed:
            raise LedgerError(fact.conversation, ["conversation_began: it has begun already"])
        self._state.open[fact.conversation] = _Conversation(began=fact, last_at=fact.at)

    def _close(self, conversation: _Conversation, fact: ConversationEnded) -> Cdr:
        del self._state.open[fact.conversation]
        closed = self._state.closed
        closed[fact.conversation] = None
        if len(closed) > REMEMBERED:
            del closed[next(iter(closed))]
        spans = {name: _span(segment, fact.at) for name, segment in conversation.segments.items()}
        problems = _problems(conversation, fact, spans)
        cdr = _record(conversation, fact, spans, problems)
        if problems:
            raise LedgerError(fact.conversation, problems, cdr)
        return cdr


def fold(facts: Iterable[Fact]) -> Cdr:
    """Fold the facts of one whole conversation.

    Raises: LedgerError: they contradict each other, or the last fact is not the end.
    """
    assembler = Assembler()
    cdr: Cdr | None = None
    conversation = ""
    for fact in facts:
        conversation = fact.conversation
        cdr = assembler.apply(fact)
    if cdr is None:
        raise LedgerError(conversation, ["the facts end before the conversation does"])
    return cdr


_AnyFact = TypeVar("_AnyFact", bound=Fact | None)


def _moved(fact: _AnyFact, by: timedelta) -> _AnyFact:
    return fact if fact is None else msgspec.structs.replace(fact, at=fact.at + by)


def _close_what_is_open(conversation: _Conversation, at: datetime) -> None:
    """End every leg, and let its segments reach up to its end: the one it is in, or one of kind `cut` where it is in none."""
    told = conversation.began.conversation
    for leg_id, leg in conversation.legs.items():
        if leg.ended is None:
            leg.ended = LegEnded(conversation=told, at=at, leg=leg_id, cause=RESTART, by="crash")
            leg.state = LegState.GONE
        ends_at = leg.ended.at
        mine = [segment for segment in conversation.segments.values() if segment.began.leg == leg_id]
        reached_at = leg.began.at
        for segment in mine:
            if segment.ended is None:
                segment.ended = SegmentEnded(conversation=told, at=ends_at, segment=segment.began.segment, outcome=RESTART)
            reached_at = segment.ended.at
        if not mine or epoch_ms(reached_at) < epoch_ms(ends_at):
            name = f"{leg_id}:{CUT}"
            conversation.segments[name] = _OpenSegment(
                began=SegmentBegan(conversation=told, at=reached_at, segment=name, leg=leg_id, kind="cut", caused_by="crash"),
                ended=SegmentEnded(conversation=told, at=ends_at, segment=name, outcome=RESTART),
            )


def _begin_leg(conversation: _Conversation, fact: LegBegan) -> None:
    if fact.leg in conversation.legs:
        raise LedgerError(fact.conversation, [f"leg_began: leg {fact.leg} has begun already"])
    conversation.legs[fact.leg] = _OpenLeg(began=fact, sip_call_id=fact.sip_call_id)


def _dispose(conversation: _Conversation, fact: Disposition) -> None:
    conversation.disposition = fact.code


def _leg(conversation: _Conversation, fact: Fact, leg: str) -> _OpenLeg:
    known = conversation.legs.get(leg)
    if known is None:
        raise LedgerError(fact.conversation, [f"{_name(fact)}: leg {leg} never began"])
    return known


def _note_leg(
    conversation: _Conversation, fact: LegAlerted | LegAnswered | LegEnded | LegPriced | QualityMeasured | CodecUsed | Protected
) -> None:
    leg = _leg(conversation, fact, fact.leg)
    state = LEG[leg.state].get(type(fact))
    if state is None:
        raise LedgerError(fact.conversation, [f"{_name(fact)}: leg {fact.leg} is {leg.state.value} already"])
    match fact:
        case LegAlerted():
            leg.alerted_at = leg.alerted_at or fact.at
            leg.sip_call_id = fact.sip_call_id or leg.sip_call_id
        case LegAnswered():
            leg.answered_at = fact.at
            leg.sip_call_id = fact.sip_call_id or leg.sip_call_id
        case CodecUsed():
            leg.codec = fact.codec
        case Protected():
            leg.audio, leg.suite, leg.signalling = fact.audio, fact.suite, fact.signalling
        case LegEnded():
            leg.ended = fact
        case LegPriced():
            if leg.priced is not None:
                raise LedgerError(fact.conversation, [f"leg_priced: leg {fact.leg} has a price already"])
            leg.priced = fact
        case QualityMeasured():
            if leg.quality is not None:
                raise LedgerError(fact.conversation, [f"quality_measured: leg {fact.leg} has a quality already"])
            leg.quality = Quality(
                mos=fact.mos,
                loss=fact.loss,
                jitter_ms=fact.jitter_ms,
                round_trip_ms=fact.round_trip_ms,
                packets_received=fact.packets_received,
                packets_sent=fact.packets_sent,
                packets_lost=fact.packets_lost,
            )
    leg.state = state


def _begin_segment(conversation: _Conversation, fact: SegmentBegan) -> None:
    leg = _leg(conversation, fact, fact.leg)
    if fact.segment in conversation.segments:
        raise LedgerError(fact.conversation, [f"segment_began: segment {fact.segment} has begun already"])
    if leg.open_segment is not None:
        raise LedgerError(fact.conversation, [f"segment_began: leg {fact.leg} is still in segment {leg.open_segment}"])
    if leg.state is LegState.GONE:
        raise LedgerError(fact.conversation, [f"segment_began: leg {fact.leg} is gone already"])
    conversation.segments[fact.segment] = _OpenSegment(began=fact)
    leg.open_segment = fact.segment


def _end_segment(conversation: _Conversation, fact: SegmentEnded) -> None:
    segment = conversation.segments.get(fact.segment)
    if segment is None:
        raise LedgerError(fact.conversation, [f"segment_ended: segment {fact.segment} never began"])
    if segment.ended is not None:
        raise LedgerError(fact.conversation, [f"segment_ended: segment {fact.segment} has ended already"])
    segment.ended = fact
    conversation.legs[segment.began.leg].open_segment = None


def _note_recording(conversation: _Conversation, fact: RecordingMade) -> None:
    problems = [f"recording_made: leg {leg} never began" for leg in fact.legs if leg not in conversation.legs]
    if not fact.legs:
        problems.append(f"recording_made: {fact.path} belongs to no leg")
    if any(recording.path == fact.path for recording in conversation.recordings):
        problems.append(f"recording_made: {fact.path} is known already")
    if problems:
        raise LedgerError(fact.conversation, problems)
    conversation.recordings.append(Recording(legs=fact.legs, path=fact.path, duration_ms=fact.duration_ms, began_at=fact.began_at))


def _note_wrap_up(conversation: _Conversation, fact: WrappedUp) -> None:
    leg = _leg(conversation, fact, fact.leg)
    if leg.state is not LegState.GONE:
        raise LedgerError(fact.conversation, [f"wrapped_up: leg {fact.leg} is {leg.state.value} still"])
    conversation.wraps.append(fact)


_NOTES: Final[dict[type, Callable[[_Conversation, Any], None]]] = {
    LegBegan: _begin_leg,
    LegAlerted: _note_leg,
    LegAnswered: _note_leg,
    LegEnded: _note_leg,
    LegPriced: _note_leg,
    QualityMeasured: _note_leg,
    CodecUsed: _note_leg,
    Protected: _note_leg,
    SegmentBegan: _begin_segment,
    SegmentEnded: _end_segment,
    RecordingMade: _note_recording,
    Disposition: _dispose,
    WrappedUp: _note_wrap_up,
}
_UNORDERED: Final = frozenset({QualityMeasured, CodecUsed, RecordingMade, WrappedUp})
"""The first three come from the media workers, whose reports may arrive in any order; wrap-up may go on when the conversation is over."""


Span = tuple[int, int]
"""First and last instant of a segment in milliseconds; one that never ended lasts until the conversation does."""


def _span(segment: _OpenSegment, end_at: datetime) -> Span:
    return epoch_ms(segment.began.at), epoch_ms(end_at if segment.ended is None else segment.ended.at)


def _problems(conversation: _Conversation, end: ConversationEnded, spans: dict[str, Span]) -> list[str]:
    """Check everything that must hold when a conversation is over."""
    problems: list[str] = []
    if not conversation.legs and end.cause not in CUTS:
        problems.append("it has no leg")
    by_leg: dict[str, list[_OpenSegment]] = {leg: [] for leg in conversation.legs}
    for segment_id, segment in conversation.segments.items():
        by_leg[segment.began.leg].append(segment)
        if segment.ended is None:
            problems.append(f"segment {segment_id} never ended")
        # A crash may have come between the talk and the answer reported with it; such a leg has no answer, and costs nothing.
        if (
            segment.began.kind == "talk"
            and end.cause not in CUTS
            and not _answered_by(conversation.legs[segment.began.leg], segment.began.at)
        ):
            problems.append(f"leg {segment.began.leg} talks in segment {segment_id} and has not answered")
    for leg_id, leg in conversation.legs.items():
        if leg.ended is None:
            problems.append(f"leg {leg_id} never ended")
            continue
        problems += _tiling(leg_id, leg, by_leg[leg_id], spans)
    if end.cause not in CUTS:
        problems += _pairing(conversation, spans)
    for recording in conversation.recordings:
        longest = max(between_ms(conversation.legs[leg].began.at, end.at) for leg in recording.legs)
        # After a crash a worker records on, as long as it is left alone; the legs have ended at the last sign of life.
        longer = recording.duration_ms > longest + RECORDING_SLACK_MS and end.cause not in CUTS
        if recording.duration_ms < 0 or longer:
            problems.append(f"recording {recording.path} lasts {recording.duration_ms} ms, its legs {longest} ms")
    return problems


def _pairing(conversation: _Conversation, spans: dict[str, Span]) -> list[str]:
    """Nobody talks alone; and where two are in conversation and nobody asks anybody, both are in the same, by the same originator."""
    marks: dict[int, list[tuple[str, SegmentBegan]]] = {}
    for segment_id, segment in conversation.segments.items():
        begins, ends = spans[segment_id]
        if segment.began.kind in _PAIRED and begins < ends:
            marks.setdefault(begins, []).append(("+", segment.began))
            marks.setdefault(ends, []).append(("-", segment.began))
    now: list[SegmentBegan] = []
    for at in sorted(marks):
        for sign, began in marks[at]:
            if sign == "+":
                now.append(began)
        for sign, began in marks[at]:
            if sign == "-":
                now.remove(began)
        kinds = Counter([one.kind for one in now])
        differ = len(now) == 2 and not kinds["consult"] and (len(kinds) > 1 or now[0].caused_by != now[1].caused_by)
        if kinds["talk"] == 1 or differ:
            told = ", ".join(f"leg {one.leg} in {one.kind} by {one.caused_by or 'nobody'}" for one in now)
            return [f"at {at} the sides do not agree: {told}"]
    return []


_PAIRED: Final = frozenset({"talk", "hold", "consult"})


def _answered_by(leg: _OpenLeg, at: datetime) -> bool:
    return leg.answered_at is not None and leg.answered_at <= at


def _tiling(leg_id: str, leg: _OpenLeg, segments: list[_OpenSegment], spans: dict[str, Span]) -> list[str]:
    """Segments are in the order they began, and never overlap (`_begin_segment` sees to that); what is left are gaps."""
    assert leg.ended is not None
    if not segments:
        return [f"leg {leg_id} has no segment"]
    problems = []
    reached = epoch_ms(leg.began.at)
    for segment in segments:
        begins, ends = spans[segment.began.segment]
        if begins != reached:
            problems.append(f"leg {leg_id} is nowhere for {begins - reached} ms before segment {segment.began.segment}")
        reached = begins if segment.ended is None else ends
    left = epoch_ms(leg.ended.at) - reached
    if left and segments[-1].ended is not None:
        problems.append(f"leg {leg_id} ends {left} ms after its last segment")
    return problems


def _record(conversation: _Conversation, end: ConversationEnded, spans: dict[str, Span], problems: list[str]) -> Cdr:
    began = conversation.began
    segments = tuple([_segment(segment, end.at, spans[name]) for name, segment in conversation.segments.items()])
    legs = tuple([_cdr_leg(leg, began.tenant, end.at) for leg in conversation.legs.values()])
    parts = _parts(conversation, segments, spans, end.at)
    wraps = tuple([wrap_up(one) for one in conversation.wraps])
    answered: datetime | None = None
    queue: str | None = None
    for segment in segments:  # in the order they began
        if answered is not None:
            break
        if segment.kind == "queue":
            queue = segment.party
        elif segment.kind in CONNECTED:
            answered = segment.began_at
    return Cdr(
        id=began.conversation,
        tenant=began.tenant,
        direction=began.direction,
        calling=began.calling,
        called=began.called,
        trunk=began.trunk or _trunk(conversation),
        did=began.did,
        language=began.language,
        queue=queue,
        agent=_agent(conversation),
        began_at=began.at,
        answered_at=answered,
        ended_at=end.at,
        duration_ms=between_ms(began.at, end.at),
        ring_ms=parts.ring,
        queue_ms=_union_ms([spans[segment.segment] for segment in segments if segment.kind == "queue"]),
        talk_ms=parts.talk,
        hold_ms=parts.hold,
        outcome=outcome_of(end.cause, talked=answered is not None),
        cause=end.cause,
        disposition=conversation.disposition,
        legs=legs,
        segments=segments + wraps,
        recordings=tuple(conversation.recordings),
        problems=tuple(problems),
        wait_ms=parts.wait,
        treatment_ms=parts.treatment,
        setup_ms=parts.setup,
        ended_by=end.ended_by,
        transferred_by=end.transferred_by,
        wrap_ms=sum([one.duration_ms for one in wraps]),
    )


class _Parts(NamedTuple):
    """What a conversation was in, in milliseconds; they add up to its length."""

    talk: int
    hold: int
    ring: int
    wait: int
    treatment: int
    setup: int


def _parts(conversation: _Conversation, segments: tuple[Segment, ...], spans: dict[str, Span], end_at: datetime) -> _Parts:
    """Each instant belongs to the first of these that is true (docs/figures.md §4)."""
    by_part: tuple[list[Span], ...] = ([], [], [], [], [])
    for segment in segments:
        part = _PART_OF.get(segment.kind)
        if part is not None:
            by_part[part].append(spans[segment.segment])
    for leg in conversation.legs.values():
        if leg.began.dialled:
            until = leg.answered_at or (end_at if leg.ended is None else leg.ended.at)
            by_part[_RING].append((epoch_ms(leg.began.at), epoch_ms(until)))
    lengths: list[int] = []
    before: list[Span] = []
    for spans_of_part in by_part:
        before += spans_of_part
        lengths.append(_union_ms(before) - sum(lengths) if spans_of_part else 0)
    talk, hold, ring, wait, treatment = lengths
    return _Parts(talk, hold, ring, wait, treatment, between_ms(conversation.began.at, end_at) - sum(lengths))


_RING: Final = 2
_PART_OF: Final[dict[str, int]] = {"talk": 0, "hold": 1, "queue": 3, **dict.fromkeys(_TREATMENTS, 4)}


def _trunk(conversation: _Conversation) -> str | None:
    """The trunk over which a call went out: of the first leg that answered, else of the last that was tried."""
    out = [
        leg
        for leg in conversation.legs.values()
        if leg.began.dialled and leg.began.trunk is not None and leg.began.role not in {"agent", "supervisor"}
    ]
    answered = [leg for leg in out if leg.answered_at is not None]
    return answered[0].began.trunk if answered else out[-1].began.trunk if out else None


def _agent(conversation: _Conversation) -> str | None:
    """Of the first pair the agent who was reached; where that is nobody of ours, or nobody talked, who began it (docs/figures.md §4)."""
    first = next(iter(conversation.legs.values()), None)
    connected = [one.began.leg for one in conversation.segments.values() if one.began.kind in CONNECTED]
    reached = [conversation.legs[leg] for leg in connected[:2]]  # the two of a pair begin at once
    agents = [leg.began.agent for leg in reached if leg is not first and leg.began.agent is not None]
    return agents[0] if agents else first.began.agent if first is not None else None


def _segment(segment: _OpenSegment, end_at: datetime, span: Span) -> Segment:
    began, ended = segment.began, segment.ended
    return Segment(
        segment=began.segment,
        leg=began.leg,
        kind=began.kind,
        party=began.party,
        caused_by=began.caused_by,
        began_at=began.at,
        ended_at=end_at if ended is None else ended.at,
        duration_ms=span[1] - span[0],
        outcome="" if ended is None else ended.outcome,
    )


def wrap_up(fact: WrappedUp) -> Segment:
    """The segment that a wrap-up is."""
    return Segment(
        segment=fact.segment,
        leg=fact.leg,
        kind="wrap",
        party="",
        caused_by=f"agent:{fact.agent}",
        began_at=fact.began_at,
        ended_at=fact.at,
        duration_ms=between_ms(fact.began_at, fact.at),
        outcome=fact.outcome,
    )


def _cdr_leg(leg: _OpenLeg, tenant: str, end_at: datetime) -> CdrLeg:
    began, ended = leg.began, leg.ended
    ended_at = end_at if ended is None else ended.at
    return CdrLeg(
        leg=began.leg,
        role=began.role,
        party=began.party,
        number=began.number,
        trunk=began.trunk,
        site=began.site,
        payer=began.payer or tenant,
        began_at=began.at,
        answered_at=leg.answered_at,
        ended_at=ended_at,
        billable_ms=0 if leg.answered_at is None else between_ms(leg.answered_at, ended_at),
        cause="" if ended is None else ended.cause,
        sip_status=None if ended is None else ended.sip_status,
        ended_by="local" if ended is None else ended.by,
        quality=leg.quality,
        quote=None if leg.priced is None else leg.priced.quote,
        internal=began.internal,
        agent=began.agent,
        dialled=began.dialled,
        alerted_at=leg.alerted_at,
        alerting_ms=0 if leg.alerted_at is None else between_ms(leg.alerted_at, leg.answered_at or ended_at),
        forward_reason=began.forward_reason,
        sip_call_id=leg.sip_call_id,
        codec=leg.codec,
        audio=leg.audio,
        suite=leg.suite,
        signalling=leg.signalling,
        q850=None if ended is None else ended.q850,
    )


def _union_ms(spans: list[Span]) -> int:
    """Measure the time in which at least one of the segments lasts: phones that ring together ring once."""
    total, reached = 0, None
    for begins, ends in sorted(spans):
        start = begins if reached is None else max(begins, reached)
        total += max(0, ends - start)
        reached = ends if reached is None else max(reached, ends)
    return total


def _name(fact: Fact) -> str:
    return str(fact.__struct_config__.tag)
