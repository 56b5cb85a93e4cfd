"""The record of one conversation: legs, segments, recordings, and the sums that follow from them (docs/figures.md; U13: one ledger each).

Durations are whole milliseconds between instants cut to the millisecond. Values hold no cycles: the collector need not look (`gc=False`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct, structs

from billing_cdr.causes import Outcome
from billing_cdr.facts import AudioProtection, By, Direction, Role, SegmentKind
from billing_cdr.quote import Quote


class Quality(Struct, frozen=True, kw_only=True, gc=False):
    """How well a leg was heard."""

    mos: float | None = None
    """Of G.107's narrow-band scale; None: that has no figures of its codec (G.722)."""
    loss: float
    jitter_ms: float
    round_trip_ms: float | None = None
    packets_received: int = 0
    packets_sent: int = 0
    packets_lost: int = 0


class CdrLeg(Struct, frozen=True, kw_only=True, gc=False):
    """One party's connection."""

    leg: str
    role: Role
    party: str
    number: str | None
    trunk: str | None
    site: str | None
    payer: str
    """The tenant that pays for it."""
    began_at: datetime
    answered_at: datetime | None
    ended_at: datetime
    billable_ms: int
    """From the answer to the end; 0 if nobody answered."""
    cause: str
    sip_status: int | None
    ended_by: By
    quality: Quality | None = None
    quote: Quote | None = None
    """The price that was promised before dialling."""
    internal: bool = False
    """Over the tenant's own line: it has no price."""
    agent: str | None = None
    """Whose phone it is."""
    dialled: bool = False
    """We rang it; it did not come to us."""
    alerted_at: datetime | None = None
    """When its phone began to ring (180, 183)."""
    alerting_ms: int = 0
    """From then until it answered or was gone."""
    forward_reason: str | None = None
    sip_call_id: str | None = None
    """Call-ID of its dialog (RFC 3261 §20.8), for whoever compares with a carrier or a trace."""
    codec: str | None = None
    audio: AudioProtection | None = None
    """What protected its audio, as it was agreed on last; None: a record of an earlier release, which did not say."""
    suite: str | None = None
    """Of SRTP with keys in SDP."""
    signalling: str | None = None
    """The encrypted transport that its SIP went over; None: in plain, or a record of an earlier release."""
    q850: int | None = None
    """The cause as ITU-T Q.850 numbers it."""


class Segment(Struct, frozen=True, kw_only=True, gc=False):
    """One part of a leg's life."""

    segment: str
    leg: str
    kind: SegmentKind
    party: str
    caused_by: str
    began_at: datetime
    ended_at: datetime
    duration_ms: int
    outcome: str


class Recording(Struct, frozen=True, kw_only=True, gc=False):
    """A recording of some legs."""

    legs: tuple[str, ...]
    """In the order of the channels: those it began with, then each that came later."""
    path: str
    duration_ms: int
    began_at: datetime | None = None
    """None: a record of an earlier release, which did not say."""


class LateAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """A leg was answered when it was over here: the 2xx crossed the CANCEL, and BYE followed at once."""

    leg: str
    at: datetime


class Cdr(Struct, frozen=True, kw_only=True, gc=False):
    """A conversation that is over."""

    id: str
    tenant: str
    direction: Direction
    calling: str
    called: str
    trunk: str | None
    did: str | None
    language: str
    queue: str | None
    """The queue of the first talk; where nobody talked, the one waited in last (docs/figures.md §4)."""
    agent: str | None
    """The agent of the first talk; where nobody talked, the agent who began it."""
    began_at: datetime
    answered_at: datetime | None
    """When the first talk with a person began; a menu or music is no answer."""
    ended_at: datetime
    duration_ms: int
    """From the beginning to the end."""
    ring_ms: int
    """Time in which a phone that we dialled rang and nobody talked."""
    queue_ms: int
    """Time spent in queues, whoever's phone rang meanwhile."""
    talk_ms: int
    """Time in which two parties talked: the same for both."""
    hold_ms: int
    """Time in which two parties were connected and one held the other: the same for both."""
    outcome: Outcome
    cause: str
    disposition: str | None
    legs: tuple[CdrLeg, ...]
    segments: tuple[Segment, ...]
    recordings: tuple[Recording, ...]
    problems: tuple[str, ...] = ()
    """Why the ledger does not close. Such a record is kept to be looked at, and has no price."""
    wait_ms: int | None = None
    """Time in queues while no phone rang; with talk, hold, ring, treatment and setup it adds up to the duration. None, as the two
    below: a record of 0.1.0."""
    treatment_ms: int | None = None
    """Time in menus and announcements."""
    setup_ms: int | None = None
    """The moments between."""
    ended_by: str = ""
    """Who ended it: an originator."""
    transferred_by: tuple[str, ...] = ()
    wrap_ms: int | None = None
    """After-call work of all its agents, as far as it is over: it lies after their legs, and belongs to no part of the conversation."""


def with_wrap_up(cdr: Cdr, segment: Segment) -> Cdr:
    """The record with a wrap-up that ended after it was written; once is enough, and a record that knows of none stays as it is."""
    if cdr.wrap_ms is None or any(one.segment == segment.segment for one in cdr.segments):
        return cdr
    return structs.replace(cdr, segments=(*cdr.segments, segment), wrap_ms=cdr.wrap_ms + segment.duration_ms)


ANSWERED_LATE_MS = 1
"""How long such a leg lasted: whoever was answered owes the first unit (docs/figures.md §9)."""


def with_late_answer(cdr: Cdr, late: LateAnswer) -> Cdr:
    """The record in which the leg was answered; one in which it was already is as it was."""
    legs = tuple(
        structs.replace(leg, answered_at=late.at, ended_at=late.at + timedelta(milliseconds=ANSWERED_LATE_MS), billable_ms=ANSWERED_LATE_MS)
        if leg.leg == late.leg and leg.answered_at is None
        else leg
        for leg in cdr.legs
    )
    return structs.replace(cdr, legs=legs)
