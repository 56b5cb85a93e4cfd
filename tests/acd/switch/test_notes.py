"""What is noted of a leg is what a successor finds, field by field; what it cannot read it does not take up."""

import msgspec
import pytest

from acd.switch import notes
from acd.switch.legs import Phase, SwitchLeg
from acd.switch.media_plan import MediaPlan, agreed, answer, offer, to_page
from media.control import LegOpened
from media.transport.ice import Credentials
from sip.errors import ParseError
from sip.sdp.crypto import SrtpTerms, SrtpUse
from sip.sdp.parser import parse_sdp
from sip.uri import Uri

PORTS = LegOpened(request=0, leg="c.1", address="127.0.0.1", rtp_port=20000, rtcp_port=20001)
OPENED = msgspec.structs.replace(PORTS, fingerprint="sha-256 AA:AA")
NOT_NOTED = {
    "media", "is_moving", "takes_ports", "failures", "asked_to_answer", "asked", "offered", "asked_at", "presses", "keyed", "pin",
    "info_keys", "losses", "was_poor", "is_gone", "playing", "_awaiting_media",
}  # fmt: skip
"""Of the moment, the worker's own, or declared again by the core."""


def answered() -> SwitchLeg:
    ours = offer(PORTS, ("PCMA", "PCMU"), 7)
    theirs, _ = answer(ours, msgspec.structs.replace(PORTS, rtp_port=30000, rtcp_port=30001), ("PCMA",), 9)
    leg = SwitchLeg("c.1", "c", "t", Phase.ANSWERED, peer="192.0.2.7", session="c.1/2")
    leg.local, leg.plan = ours, agreed(ours, theirs.to_bytes())
    leg.heard_at, leg.max_forwards, leg.agent, leg.trunk, leg.withheld = (
        frozenset({"192.0.2.7", "192.0.2.8"}),
        68,
        "anna",
        "carrier",
        "+4930",
    )
    leg.sdp_session, leg.holding, leg.speaks_early, leg.is_confirmed, leg.denied_audio = 7, True, True, True, "10.0.0.1"
    leg.allows_info, leg.shows_info, leg.refuses_info = True, True, True
    leg.contacts = {"c.1/2": ("sip:anna@t", Uri.parse("sip:anna@192.0.2.7:5070"))}
    return leg


def encrypted() -> SwitchLeg:
    """With the keys of both sides: a hold after a restart is answered with the same ones."""
    leg = answered()
    terms = SrtpTerms(SrtpUse.REQUIRED, lambda octets: bytes(range(octets)))
    ours = offer(PORTS, ("PCMA", "PCMU"), 7, srtp=terms)
    theirs, _ = answer(ours, msgspec.structs.replace(PORTS, rtp_port=30000, rtcp_port=30001), ("PCMA",), 9, srtp=terms)
    leg.local, leg.plan, leg.srtp = ours, agreed(ours, theirs.to_bytes()), SrtpUse.REQUIRED
    assert leg.plan.is_protected
    return leg


def shaken() -> SwitchLeg:
    """With who shook hands: a hold after a restart is of the same association."""
    leg = answered()
    terms = SrtpTerms(SrtpUse.DTLS, bytes)
    here = msgspec.structs.replace(PORTS, fingerprint=f"sha-256 {':'.join(['0A'] * 32)}")
    ours = offer(here, ("PCMA", "PCMU"), 7, srtp=terms)
    theirs, _ = answer(ours, msgspec.structs.replace(here, rtp_port=30000, rtcp_port=30001), ("PCMA",), 9, srtp=terms)
    leg.local, leg.plan, leg.srtp = ours, agreed(ours, theirs.to_bytes()), SrtpUse.DTLS
    assert leg.plan.audio.dtls is not None
    return leg


def ringing() -> SwitchLeg:
    leg = SwitchLeg("c.2", "c", "t", Phase.ORIGINATING, peer="192.0.2.7")
    leg.branches = {"c.2/1": True, "c.2/2": False}
    leg.local = offer(PORTS, ("PCMA",), 8)
    leg.contacts = {session: ("sip:ben@t", Uri.parse("sip:ben@192.0.2.9")) for session in leg.branches}
    return leg


def page() -> SwitchLeg:
    """A browser: an offer of its own after a restart is answered with the same ufrag, and under the same mid."""
    leg = answered()
    leg.is_page, leg.ice, leg.media = True, Credentials("ourufrag", "p" * 24), OPENED
    ours = offer(OPENED, ("PCMA", "PCMU"), 7, dtls=to_page(OPENED, leg.ice))
    theirs = msgspec.structs.replace(OPENED, rtp_port=30000, rtcp_port=30001, fingerprint="sha-256 BB:BB")
    offered = parse_sdp(ours.to_bytes().replace(b"a=ice-lite\r\n", b""))
    answered_with, _ = answer(offered, theirs, ("PCMA",), 9, dtls=to_page(theirs, Credentials("theirufrag", "q" * 24)))
    leg.local, leg.plan = ours, agreed(ours, answered_with.to_bytes().replace(b"a=ice-lite\r\n", b"").replace(b"passive", b"active"))
    leg.media = None
    assert leg.plan.is_page
    return leg


def ringing_at_a_page() -> SwitchLeg:
    leg = ringing()
    leg.ice, leg.pages = Credentials("ourufrag", "p" * 24), {"c.2/2"}
    leg.to_page = offer(OPENED, ("PCMA",), 8, dtls=to_page(OPENED, leg.ice))
    return leg


def arrived() -> SwitchLeg:
    leg = SwitchLeg("c.0", "c", "t", Phase.ARRIVED, peer="192.0.2.7", session="in-1")
    leg.offer = offer(PORTS, ("PCMA",), 5)
    return leg


def fields(leg: SwitchLeg) -> dict:
    return {name: getattr(leg, name) for name in SwitchLeg.__dataclass_fields__ if name not in NOT_NOTED}


@pytest.mark.parametrize("made", [answered, encrypted, shaken, page, ringing, ringing_at_a_page, arrived])
def test_what_was_noted_is_found(made):
    leg = made()
    sessions = [leg.session] if leg.session is not None else list(leg.branches)
    note = notes.read(notes.note_of(leg, {session: session.encode() for session in sessions}))
    assert fields(notes.leg_of(note)) == fields(leg)
    assert {one.session: one.kept for one in note.sessions} == {session: session.encode() for session in sessions}


def test_a_plan_keeps_the_description_that_led_to_it():
    leg = answered()
    leg.local = offer(PORTS, ("PCMU",), 7, leg.local)  # a change is offered and not answered
    found = notes.leg_of(notes.read(notes.note_of(leg, {"c.1/2": b""})))
    assert isinstance(found.plan, MediaPlan)
    assert (found.local, found.plan.local) == (leg.local, leg.plan.local)


@pytest.mark.parametrize("octets", [b"", b"\x90", b"noise", msgspec.msgpack.encode([99, "t"]), msgspec.msgpack.encode([1, "t"])])
def test_what_is_no_note_of_ours_is_refused(octets):
    with pytest.raises(ParseError):
        notes.read(octets)


def test_a_note_from_before_there_were_keys_is_read():
    """The newest field stands last: who wrote an earlier note left it out."""
    written = msgspec.msgpack.decode(notes.note_of(answered(), {"c.1/2": b""}))
    assert written[-7:] == ["accepted", False, None, None, ["none", None, None], None, None]
    del written[-7:]
    found = notes.leg_of(notes.read(msgspec.msgpack.encode(written)))
    assert found.srtp is SrtpUse.ACCEPTED
    assert not found.plan.is_protected
