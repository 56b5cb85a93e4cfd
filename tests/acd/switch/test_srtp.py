"""Keys between SDP and the media worker: what a leg is described with, and when it changes."""

import pytest

from acd.switch import channel_costs, media_plan
from acd.switch.media_plan import NoCommonMedia
from media.control import HeldLeg, LegOpened, NoteLeg
from media.transport.keys import LENGTHS, SrtpKeys, Suite
from sip.sdp import crypto
from sip.sdp.crypto import MASTER_OCTETS, Crypto, SrtpTerms, SrtpUse

OURS = LegOpened(request=1, leg="l", address="127.0.0.1", rtp_port=30000, rtcp_port=30001)
MOVED = LegOpened(request=2, leg="l", address="127.0.0.1", rtp_port=30010, rtcp_port=30011)
USUAL = ("PCMA", "PCMU")
GCM, CM = MASTER_OCTETS


class Draw:
    def __init__(self):
        self.drawn = 0

    def __call__(self, octets):
        self.drawn += 1
        return bytes([self.drawn]) * octets


def key(number, suite=CM):
    return bytes([0x80 + number]) * MASTER_OCTETS[suite]


def sdp(*lines, proto="RTP/SAVP", more=()):
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.9", "s=-", "c=IN IP4 127.0.0.9", "t=0 0", f"m=audio 40000 {proto} 8 0"]
    return ("\r\n".join([*head, *[f"a={line.attribute()}" for line in lines], *more]) + "\r\n").encode()


class Side:
    """One leg's side of a session, as the switch leads it."""

    def __init__(self, use=SrtpUse.ACCEPTED):
        self.use, self.draw, self.local, self.plan = use, Draw(), None, None

    @property
    def terms(self):
        return SrtpTerms(self.use, self.draw, self.plan.audio.srtp if self.plan is not None else None)

    def answers(self, offered):
        read = media_plan.read(offered, OURS.address, srtp=self.terms)
        self.local, self.plan = media_plan.answer(read, OURS, USUAL, 1, self.local, srtp=self.terms)
        return self.plan.describe("l", 60.0)

    def offers(self):
        self.local = media_plan.offer(OURS, USUAL, 1, self.local, srtp=self.terms)
        return self.local

    def hears(self, answered):
        self.plan = media_plan.agreed(self.local, answered, is_protected=self.plan is not None and self.plan.is_protected)
        return self.plan.describe("l", 60.0)


def test_both_sides_know_the_suites_and_their_lengths_alike():
    assert {suite.value: LENGTHS[suite].master for suite in Suite} == MASTER_OCTETS
    assert list(MASTER_OCTETS) == [suite.value for suite in Suite]


def test_a_leg_is_described_with_the_keys_of_both_sides():
    side = Side()
    told = side.answers(sdp(Crypto(1, CM, key(1))))
    (ours,) = crypto.lines(side.local.media[0])
    assert told.srtp == SrtpKeys(suite=Suite.AES_CM_128_HMAC_SHA1_80, send=ours.key, receive=key(1))
    assert Side().answers(sdp(proto="RTP/AVP")).srtp is None


def test_a_hold_a_refresh_and_a_retrieval_describe_the_same_keys():
    """So the worker keeps what it knows of both streams."""
    side = Side()
    first = side.answers(sdp(Crypto(1, CM, key(1))))
    held = side.answers(sdp(Crypto(1, CM, key(1)), more=("a=sendonly",)))
    back = side.answers(sdp(Crypto(1, CM, key(1))))
    assert held.srtp == back.srtp == first.srtp
    assert not held.sends
    assert side.draw.drawn == 1


def test_a_new_key_of_theirs_renews_ours_too():
    side = Side()
    first = side.answers(sdp(Crypto(1, CM, key(1))))
    second = side.answers(sdp(Crypto(1, CM, key(2))))
    assert (second.srtp.receive, first.srtp.receive) == (key(2), key(1))
    assert second.srtp.send != first.srtp.send


@pytest.mark.parametrize("use", [SrtpUse.WISHED, SrtpUse.REQUIRED])
def test_what_we_offer_again_has_our_key_and_what_they_answer_theirs(use):
    side = Side(use)
    side.offers()
    proto = side.local.media[0].proto
    first = side.hears(sdp(Crypto(2, CM, key(1)), proto=proto))
    again = side.offers()
    assert [line.tag for line in crypto.lines(again.media[0])] == [2]
    assert side.hears(sdp(Crypto(2, CM, key(1)), proto=proto)).srtp == first.srtp
    renewed = side.hears(sdp(Crypto(2, CM, key(3)), proto=proto))
    assert (renewed.srtp.send, renewed.srtp.receive) == (first.srtp.send, key(3))


def test_who_accepts_keys_offers_none():
    assert "crypto" not in str(Side(SrtpUse.ACCEPTED).offers())
    assert "crypto" not in str(Side(SrtpUse.OFF).offers())


def test_an_encrypted_session_is_not_made_plain_by_either_side():
    side = Side(SrtpUse.WISHED)
    side.offers()
    side.hears(sdp(Crypto(1, GCM, key(1, GCM)), proto="RTP/AVP"))
    keys = side.plan.audio.srtp
    with pytest.raises(NoCommonMedia):
        side.answers(sdp(proto="RTP/AVP"))
    with pytest.raises(NoCommonMedia):
        side.hears(sdp(proto="RTP/AVP"))
    assert side.plan.audio.srtp == keys


@pytest.mark.parametrize(
    ("use", "offered", "warning"),
    [
        (SrtpUse.OFF, sdp(Crypto(1, CM, key(1))), 302),
        (SrtpUse.ACCEPTED, sdp(), 306),
        (SrtpUse.REQUIRED, sdp(proto="RTP/AVP"), 302),
    ],
)
def test_what_is_not_taken_is_refused_before_ports_are_taken(use, offered, warning):
    with pytest.raises(NoCommonMedia) as refused:
        media_plan.read(offered, OURS.address, srtp=SrtpTerms(use, Draw()))
    assert refused.value.warning == warning


def test_a_leg_that_moves_has_a_new_key_under_the_tag_that_was_agreed_on():
    """What the dead worker knew of the streams under the old one is lost."""
    side = Side()
    before = side.answers(sdp(Crypto(4, CM, key(1)))).srtp
    moved = media_plan.moved(side.local, MOVED, "PCMA", agreed=side.plan.audio.srtp, draw=side.draw)
    (line,) = crypto.lines(moved.media[0])
    assert (line.tag, line.suite) == (4, CM)
    assert line.key != before.send
    assert moved.media[0].proto == "RTP/SAVP"
    plan = media_plan.agreed(moved, sdp(Crypto(4, CM, key(1))), is_protected=True)
    assert plan.describe("l", 0.0).srtp == SrtpKeys(suite=Suite.AES_CM_128_HMAC_SHA1_80, send=line.key, receive=key(1))


@pytest.mark.parametrize(
    ("use", "lines", "kbits"),
    [
        (SrtpUse.ACCEPTED, (), 100),
        (SrtpUse.OFF, (Crypto(1, CM, key(1)),), 100),
        (SrtpUse.ACCEPTED, (Crypto(1, CM, key(1)),), 105),
        (SrtpUse.ACCEPTED, (Crypto(1, GCM, key(1, GCM)), Crypto(2, CM, key(1))), 107),
    ],
)
def test_an_encrypted_channel_costs_its_tag_on_the_wire(use, lines, kbits):
    """R9: 99.2 and 101.6 kbit/s on the wire, and RTCP's twentieth."""
    offered = media_plan.read(sdp(*lines, proto="RTP/AVP"), OURS.address, srtp=SrtpTerms(use, Draw()))
    assert channel_costs.counted(channel_costs.of_their_offer(offered, use, USUAL), None) == kbits


def test_no_repr_of_a_description_or_a_plan_shows_a_key():
    side = Side()
    told = side.answers(sdp(Crypto(1, CM, key(1))))
    for shown in (repr(told), repr(side.plan.audio), repr(side.terms)):
        assert repr(key(1))[2:12] not in shown
        assert repr(told.srtp.send)[2:12] not in shown
    assert "AES_CM_128_HMAC_SHA1_80" in repr(told)
    note = NoteLeg(leg="l", note=side.local.to_bytes())
    assert (
        "inline:" not in f"{note!r}{HeldLeg(leg='l', address='a', rtp_port=2, rtcp_port=3, is_described=True, play=None, note=note.note)!r}"
    )
