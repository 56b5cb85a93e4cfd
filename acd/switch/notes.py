"""What the switch knows of a leg, as the octets that its media worker keeps for whoever comes after us (ADR 0024; pure).

The journal says which legs there are and how their dialogs began; the worker has their audio. This is what lies between: the sessions as of
now, what was agreed on, who the far end is. It is written anew whenever something of it has changed, and read by the next main process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from acd.core.channel_costs import Saving
from acd.core.ids import AgentId, CallId, LegId, TenantId, TrunkId
from acd.switch.legs import Phase, SwitchLeg
from acd.switch.media_plan import MediaPlan
from media.transport.ice import Credentials
from sip.errors import ParseError
from sip.sdp.crypto import SrtpUse
from sip.sdp.offer_answer import NegotiatedAudio
from sip.sdp.parser import parse_sdp
from sip.uri import Uri

VERSION: Final = 1
"""Of the words below: a note of another version is not read, and its leg is ended from the journal."""


class NotedSession(msgspec.Struct, frozen=True, array_like=True):
    """One SIP session of a leg: the one that carries it, or a branch that rings."""

    session: str
    kept: bytes
    """What the SIP engine goes on from."""
    rang: bool = False
    aor: str | None = None
    """The phone's address of record, and the contact that was called there."""
    contact: str | None = None
    is_page: bool = False


class LegNote(msgspec.Struct, frozen=True, array_like=True):
    """See the module."""

    version: int
    tenant: TenantId
    call: CallId
    leg: LegId
    phase: str
    peer: str
    sessions: tuple[NotedSession, ...]
    carried_by: str | None = None
    """The session of `sessions` that carries the leg; None: all of them try."""
    heard_at: tuple[str, ...] = ()
    max_forwards: int | None = None
    agent: AgentId | None = None
    trunk: TrunkId | None = None
    withheld: str | None = None
    audio: NegotiatedAudio | None = None
    agreed_by: bytes | None = None
    """Our description that led to `audio`."""
    offer: bytes | None = None
    local: bytes | None = None
    sdp_session: int = 0
    holding: bool = False
    speaks_early: bool = False
    is_confirmed: bool = False
    allows_info: bool = False
    shows_info: bool = False
    refuses_info: bool = False
    denied_audio: str | None = None
    srtp: SrtpUse = SrtpUse.ACCEPTED
    is_page: bool = False
    ice: Credentials | None = None
    to_page: bytes | None = None
    protection: tuple[str, str | None, str | None] = ("none", None, None)
    step: Saving | None = None
    counted_kbits: int | None = None

    def __repr__(self) -> str:
        """Without the descriptions: keys are in them."""
        return f"LegNote(leg={self.leg!r}, {self.phase}, {len(self.sessions)} sessions)"


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(LegNote)


class _Head(msgspec.Struct, array_like=True):
    """What a note of any version begins with."""

    version: int


_HEAD: Final = msgspec.msgpack.Decoder(_Head)


def note_of(leg: SwitchLeg, kept: Mapping[str, bytes]) -> bytes:
    """Args:
    kept: session -> what the SIP engine wrote of it, for those that are not over.
    """
    carried = leg.session is not None
    local = leg.local.to_bytes() if leg.local is not None else None
    agreed_by = None if leg.plan is None or leg.plan.local is leg.local else leg.plan.local.to_bytes()
    return _ENCODER.encode(
        LegNote(
            version=VERSION,
            tenant=leg.tenant,
            call=leg.call,
            leg=leg.leg,
            phase=leg.phase.value,
            peer=leg.peer,
            sessions=tuple([_noted(leg, session, octets) for session, octets in kept.items()]),
            carried_by=leg.session if carried else None,
            heard_at=tuple(sorted(leg.heard_at)),
            max_forwards=leg.max_forwards,
            agent=leg.agent,
            trunk=leg.trunk,
            withheld=leg.withheld,
            audio=leg.plan.audio if leg.plan is not None else None,
            agreed_by=agreed_by,
            offer=leg.offer.to_bytes() if leg.offer is not None else None,
            local=local,
            sdp_session=leg.sdp_session,
            holding=leg.holding,
            speaks_early=leg.speaks_early,
            is_confirmed=leg.is_confirmed,
            allows_info=leg.allows_info,
            shows_info=leg.shows_info,
            refuses_info=leg.refuses_info,
            denied_audio=leg.denied_audio,
            srtp=leg.srtp,
            is_page=leg.is_page,
            ice=leg.ice,
            to_page=leg.to_page.to_bytes() if leg.to_page is not None else None,
            protection=leg.protection,
            step=leg.step,
            counted_kbits=leg.counted_kbits,
        )
    )


def _noted(leg: SwitchLeg, session: str, octets: bytes) -> NotedSession:
    aor, contact = leg.contacts.get(session, (None, None))
    rang, written = leg.branches.get(session, False), str(contact) if contact is not None else None
    return NotedSession(session, octets, rang, aor, written, is_page=session in leg.pages)


def read(octets: bytes) -> LegNote:
    """Raises: ParseError: it is no note, or one of another version."""
    try:
        version = _HEAD.decode(octets).version
        if version == VERSION:
            return _DECODER.decode(octets)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ParseError(f"no note of a leg: {error}", where="note of a leg") from error
    raise ParseError(f"a note of version {version}, not {VERSION}", where="note of a leg")


def leg_of(note: LegNote) -> SwitchLeg:
    """The leg as it was, without ports.

    Raises: ParseError: a description in it cannot be read.
    """
    local = parse_sdp(note.local) if note.local is not None else None
    agreed_by = parse_sdp(note.agreed_by) if note.agreed_by is not None else local
    plan = MediaPlan(note.audio, agreed_by) if note.audio is not None and agreed_by is not None else None
    leg = SwitchLeg(note.leg, note.call, note.tenant, Phase(note.phase), peer=note.peer, session=note.carried_by)
    leg.offer = parse_sdp(note.offer) if note.offer is not None else None
    leg.local, leg.plan = local, plan
    leg.heard_at = frozenset(note.heard_at)
    leg.max_forwards, leg.agent, leg.trunk, leg.withheld = note.max_forwards, note.agent, note.trunk, note.withheld
    leg.srtp, leg.is_page, leg.ice, leg.protection = note.srtp, note.is_page, note.ice, note.protection
    leg.to_page = parse_sdp(note.to_page) if note.to_page is not None else None
    leg.step, leg.counted_kbits = note.step, note.counted_kbits
    leg.sdp_session, leg.holding = note.sdp_session, note.holding
    leg.speaks_early, leg.is_confirmed, leg.denied_audio = note.speaks_early, note.is_confirmed, note.denied_audio
    leg.allows_info, leg.shows_info, leg.refuses_info = note.allows_info, note.shows_info, note.refuses_info
    if note.carried_by is None:
        leg.branches = {one.session: one.rang for one in note.sessions}
        leg.pages = {one.session for one in note.sessions if one.is_page}
    leg.contacts = {
        one.session: (one.aor, Uri.parse(one.contact)) for one in note.sessions if one.aor is not None and one.contact is not None
    }
    return leg
