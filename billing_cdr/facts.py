"""Facts: what the exchange reports of one conversation, in the order it happened (CSTA's calls and connections, our words).

A conversation has legs; every leg is in exactly one segment from its beginning to its end. The segments of a leg therefore tile
its life: the shell ends one and begins the next at the same instant. Duplicates and contradictions are refused, see `assemble`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from billing_cdr.quote import Quote

Direction = Literal["inbound", "outbound", "internal"]
Role = Literal["caller", "agent", "forward", "destination", "supervisor"]
SegmentKind = Literal[
    "menu", "queue", "offer", "ring", "talk", "hold", "consult", "supervise", "forward", "callback", "announcement", "cut", "wrap"
]
"""`cut` is never reported: it fills what a crash has left open, see `Assembler.cut`. `wrap` lies behind its leg, see `WrappedUp`."""
AudioProtection = Literal["none", "sdes", "dtls"]
"""SRTP with keys in SDP (RFC 4568), or with those of a DTLS handshake (RFC 5764)."""
By = Literal["remote", "local", "timeout", "transport", "crash"]


class _Fact(Struct, frozen=True, kw_only=True, gc=False):
    conversation: str
    """The id of the conversation, and of its record."""
    at: datetime
    """When it happened: aware, cut to the millisecond by the fold."""


class ConversationBegan(_Fact, frozen=True, kw_only=True, tag="conversation_began"):
    """Somebody calls, or somebody here wants to."""

    tenant: str
    direction: Direction
    calling: str
    """E.164 or extension; `anonymous` for a suppressed number."""
    called: str
    """E.164 or extension, as dialled."""
    trunk: str | None = None
    did: str | None = None
    """The number of ours that was called."""
    language: str = "de"


class SegmentBegan(_Fact, frozen=True, kw_only=True, tag="segment_began"):
    """A leg enters a new part of its life."""

    segment: str
    leg: str
    kind: SegmentKind
    party: str = ""
    """With whom or what: an agent, `caller`, a number, a queue, a menu; never the name of a leg."""
    caused_by: str = ""
    """Its originator, in the words of docs/figures.md §5: `caller`, `party`, `agent:<id>`, `queue:<id>`, ..."""


class SegmentEnded(_Fact, frozen=True, kw_only=True, tag="segment_ended"):
    """A part of a leg's life is over."""

    segment: str
    outcome: str = ""


class LegBegan(_Fact, frozen=True, kw_only=True, tag="leg_began"):
    """A party is being connected: an INVITE came in or went out."""

    leg: str
    role: Role
    party: str
    number: str | None = None
    """What was dialled on a trunk: E.164 or a German short code; None for a phone of our own."""
    trunk: str | None = None
    site: str | None = None
    internal: bool = False
    """Over the tenant's own line (its PBX), for which no carrier is paid."""
    payer: str | None = None
    """The tenant that pays for this leg, if it is another than the conversation's (it forwarded the call)."""
    agent: str | None = None
    """Whose phone it is."""
    dialled: bool = False
    """We rang it; it did not come to us."""
    forward_reason: str | None = None
    """Why the call was forwarded to it."""
    sip_call_id: str | None = None


class LegAlerted(_Fact, frozen=True, kw_only=True, tag="leg_alerted"):
    """Its phone rings: the first 180 or 183."""

    leg: str
    sip_call_id: str | None = None


class LegAnswered(_Fact, frozen=True, kw_only=True, tag="leg_answered"):
    """The party answered: 2xx to its INVITE. Charging starts here."""

    leg: str
    sip_call_id: str | None = None


class LegEnded(_Fact, frozen=True, kw_only=True, tag="leg_ended"):
    """The party is gone: BYE, CANCEL, a final response, or a line that died."""

    leg: str
    cause: str
    sip_status: int | None = None
    by: By = "remote"
    q850: int | None = None
    """The cause as ITU-T Q.850 numbers it."""


class LegPriced(_Fact, frozen=True, kw_only=True, tag="leg_priced"):
    """The price that was promised before this leg was dialled."""

    leg: str
    quote: Quote


class RecordingMade(_Fact, frozen=True, kw_only=True, tag="recording_made"):
    """A recording of some legs is on disk."""

    legs: tuple[str, ...]
    path: str
    duration_ms: int
    began_at: datetime | None = None


class QualityMeasured(_Fact, frozen=True, kw_only=True, tag="quality_measured"):
    """How well a leg was heard (G.107; RFC 3550 counters)."""

    leg: str
    mos: float | None = None
    """None: the scale has no figures of its codec."""
    loss: float
    """Share of packets lost, 0 to 1."""
    jitter_ms: float
    round_trip_ms: float | None = None
    packets_received: int = 0
    packets_sent: int = 0
    packets_lost: int = 0


class CodecUsed(_Fact, frozen=True, kw_only=True, tag="codec_used"):
    """What a leg was sent and heard in."""

    leg: str
    codec: str


class Protected(_Fact, frozen=True, kw_only=True, tag="protected"):
    """What protects a leg from now on."""

    leg: str
    audio: AudioProtection
    suite: str | None = None
    signalling: str | None = None


class Disposition(_Fact, frozen=True, kw_only=True, tag="disposition"):
    """What the agent says the conversation was about; the last word counts."""

    code: str


class WrappedUp(_Fact, frozen=True, kw_only=True, tag="wrapped_up"):
    """An agent has done with the work after the talk: a segment of kind `wrap`, from the end of the agent's leg until `at`."""

    segment: str
    leg: str
    agent: str
    began_at: datetime
    outcome: str = ""


class ConversationEnded(_Fact, frozen=True, kw_only=True, tag="conversation_ended"):
    """Nobody is left. No fact of this conversation comes after this one."""

    cause: str
    ended_by: str = ""
    """Who ended it, as an originator."""
    transferred_by: tuple[str, ...] = ()
    """Who transferred it, in order."""


Fact = (
    ConversationBegan
    | SegmentBegan
    | SegmentEnded
    | LegBegan
    | LegAlerted
    | LegAnswered
    | LegEnded
    | LegPriced
    | RecordingMade
    | QualityMeasured
    | CodecUsed
    | Protected
    | Disposition
    | WrappedUp
    | ConversationEnded
)
