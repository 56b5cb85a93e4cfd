"""The record of a conversation: legs, segments, recordings, and the sums that follow from them (docs/figures.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from acd.core.events import recording_name
from api.contract.kit import Public, told
from api.contract.quote import Quote
from api.contract.words import CallOutcome, Direction, LegRole
from billing_cdr import cdr as inner


class LegQuality(Public, frozen=True, kw_only=True):
    """How well a leg was heard."""

    mos: float | None = None
    """Of G.107's narrow-band scale; null: that has no figures of its codec (G.722)."""
    loss: float
    """Share of packets lost, 0 to 1."""
    jitter_ms: float
    round_trip_ms: float | None = None
    packets_received: int = 0
    packets_sent: int = 0
    packets_lost: int = 0


class CdrLeg(Public, frozen=True, kw_only=True):
    """One party's connection."""

    leg: str
    role: LegRole
    party: str
    """An agent, or a number."""
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
    """Why it ended: a word of docs/figures.md §6."""
    sip_status: int | None
    ended_by: Literal["remote", "local", "timeout", "transport", "crash"]
    quality: LegQuality | None = None
    quote: Quote | None = None
    """The price that was promised before dialling."""
    internal: bool = False
    """Over the tenant's own line: it has no price."""
    agent: str | None = None
    """Whose phone it is."""
    dialled: bool = False
    """The exchange rang it; it did not come to it."""
    alerted_at: datetime | None = None
    """When its phone began to ring (180, 183)."""
    alerting_ms: int = 0
    """From then until it answered or was gone."""
    forward_reason: str | None = None
    sip_call_id: str | None = None
    """Call-ID of its dialog (RFC 3261 §20.8), for whoever compares with a carrier or a trace."""
    codec: str | None = None
    audio: Literal["none", "sdes", "dtls"] | None = None
    """What protected its audio, as it was agreed on last: SRTP with keys in SDP (RFC 4568) or of a DTLS handshake (RFC 5764); null: a
    record of an earlier release, which did not say."""
    suite: str | None = None
    """Of `sdes`: `AEAD_AES_128_GCM`, `AES_CM_128_HMAC_SHA1_80`."""
    signalling: str | None = None
    """The encrypted transport that its SIP went over (`tls`, `wss`, `ws` behind a proxy of the exchange's machine); null: in plain, or a
    record of an earlier release."""
    q850: int | None = None
    """The cause as ITU-T Q.850 numbers it."""


class CdrSegment(Public, frozen=True, kw_only=True):
    """One part of a leg's life."""

    segment: str
    leg: str
    kind: Literal[
        "menu", "queue", "offer", "ring", "talk", "hold", "consult", "supervise", "forward", "callback", "announcement", "cut", "wrap"
    ]
    party: str
    """With whom or what: an agent, `caller`, a number, a queue, a menu."""
    caused_by: str
    """Its originator, in the words of docs/figures.md §5: `caller`, `agent:<id>`, `queue:<id>`, ..."""
    began_at: datetime
    ended_at: datetime
    duration_ms: int
    outcome: str


class CdrRecording(Public, frozen=True, kw_only=True):
    """A recording of some legs."""

    legs: tuple[str, ...]
    """In the order of the channels: those it began with, then each that came later."""
    path: str
    """Its name, by which `/api/v1/recordings/{name}` has it."""
    duration_ms: int
    began_at: datetime | None = None
    """Null: a record of an earlier release, which did not say."""


class Cdr(Public, frozen=True, kw_only=True):
    """A conversation that is over. Durations are whole milliseconds."""

    id: str
    tenant: str
    direction: Direction
    calling: str
    """E.164 or extension; `anonymous` for a suppressed number."""
    called: str
    """E.164 or extension, as dialled."""
    trunk: str | None
    did: str | None
    """The tenant's number that was called."""
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
    """Time in which a phone that the exchange dialled rang and nobody talked."""
    queue_ms: int
    """Time spent in queues, whoever's phone rang meanwhile."""
    talk_ms: int
    """Time in which two parties talked: the same for both."""
    hold_ms: int
    """Time in which two parties were connected and one held the other: the same for both."""
    outcome: CallOutcome
    cause: str
    """Why it ended: a word of docs/figures.md §6."""
    disposition: str | None
    """How the work ended, in the tenant's own codes."""
    legs: tuple[CdrLeg, ...]
    segments: tuple[CdrSegment, ...]
    recordings: tuple[CdrRecording, ...]
    problems: tuple[str, ...] = ()
    """Why the ledger does not close. Such a record is kept to be looked at, and has no price."""
    wait_ms: int | None = None
    """Time in queues while no phone rang; with talk, hold, ring, treatment and setup it adds up to the duration. Null, as the two
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


def shown(cdr: inner.Cdr) -> inner.Cdr:
    """A record as it leaves the house: a recording by its name; where the server keeps the file is the operator's to know."""
    if not cdr.recordings:
        return cdr
    recordings = tuple(msgspec.structs.replace(one, path=recording_name(one.path)) for one in cdr.recordings)
    return msgspec.structs.replace(cdr, recordings=recordings)


def cdr_of(cdr: inner.Cdr) -> Cdr:
    """A record as it is told."""
    return told(Cdr, shown(cdr))
