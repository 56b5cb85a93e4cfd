"""What a channel is told to cost: as offered by us or to us, as agreed on; and how a full line's step stands in SDP (U10)."""

import msgspec
import pytest

from acd.core.channel_costs import ChannelCosts, Cost
from acd.switch import media_plan
from acd.switch.channel_costs import LONGER_PTIME_MS, as_agreed, of_our_offer, of_their_offer
from media.control import LegOpened
from sip.sdp.crypto import MASTER_OCTETS, Crypto, SrtpTerms, SrtpUse
from sip.sdp.crypto import lines as crypto_lines

OURS = LegOpened(request=1, leg="l", address="127.0.0.1", rtp_port=30000, rtcp_port=30001)
HERE6 = msgspec.structs.replace(OURS, address="::1")
USUAL = ("PCMA", "PCMU")
GCM, CM = MASTER_OCTETS


def draw(octets):
    return bytes(octets)


def key(suite):
    return b"\x81" * MASTER_OCTETS[suite]


def sdp(*lines, proto="RTP/AVP", formats="8 0", address="IP4 127.0.0.9"):
    head = ["v=0", f"o=- 1 1 IN {address}", "s=-", f"c=IN {address}", "t=0 0", f"m=audio 40000 {proto} {formats}"]
    return ("\r\n".join([*head, *[f"a={line.attribute()}" if isinstance(line, Crypto) else line for line in lines]]) + "\r\n").encode()


def offered(*lines, use=SrtpUse.ACCEPTED, **more):
    return media_plan.read(
        sdp(*lines, **more), HERE6.address if "6" in more.get("address", "") else OURS.address, srtp=SrtpTerms(use, draw)
    )


def keys(suite):
    return Crypto(1, suite, key(suite))


@pytest.mark.parametrize(
    ("lines", "address", "kbits", "longer", "channels"),
    [
        ((), "IP4 127.0.0.9", 100, 84, 10),
        ((keys(CM),), "IP4 127.0.0.9", 105, 86, 9),
        ((keys(GCM),), "IP4 127.0.0.9", 107, 87, 9),
        ((), "IP6 ::1", 109, 88, 9),
        ((keys(CM),), "IP6 ::1", 113, 90, 8),
        ((keys(GCM),), "IP6 ::1", 116, 92, 8),
    ],
)
def test_ten_nine_and_eight_channels_of_their_real_shapes_fit_into_a_megabit(lines, address, kbits, longer, channels):
    """FACTS: 95.2 kbit/s on the wire over IPv4, 99.2 and 101.6 with SRTP, 107.2 and 109.6 with SRTP over IPv6, and a twentieth for RTCP."""
    costs = of_their_offer(offered(*lines, address=address), SrtpUse.ACCEPTED, USUAL)
    assert (costs.kbits, costs.degraded["longer_ptime"].kbits, 1000 // costs.kbits) == (kbits, longer, channels)
    assert (channels * kbits - 1) // kbits == channels - 1


def test_the_shape_is_told_in_words():
    costs = of_their_offer(offered(keys(GCM), address="IP6 ::1"), SrtpUse.ACCEPTED, USUAL)
    assert costs.shape == "PCMA 20 ms IPv6 SRTP GCM"
    assert costs.degraded["longer_ptime"].shape == "PCMA 40 ms IPv6 SRTP GCM"
    assert of_their_offer(offered("a=ptime:30"), SrtpUse.OFF, USUAL).shape == "PCMA 30 ms IPv4"


@pytest.mark.parametrize(("use", "kbits"), [(SrtpUse.OFF, 100), (SrtpUse.ACCEPTED, 100), (SrtpUse.WISHED, 107), (SrtpUse.REQUIRED, 107)])
def test_what_we_offer_costs_the_dearest_that_may_be_answered(use, kbits):
    assert of_our_offer(USUAL, use, "192.0.2.7").kbits == kbits
    assert of_our_offer(USUAL, use, "sip.example.net").shape.startswith("PCMA 20 ms IPv4")


def test_a_page_always_has_keys_wherever_it_is():
    assert of_our_offer(USUAL, SrtpUse.OFF, "::1", is_page=True) == ChannelCosts(
        kbits=116, shape="PCMA 20 ms IPv6 SRTP GCM", degraded={"longer_ptime": Cost(kbits=92, shape="PCMA 40 ms IPv6 SRTP GCM")}
    )


def test_longer_packets_are_no_step_where_the_far_end_takes_none_or_has_them_already():
    assert of_their_offer(offered("a=maxptime:30"), SrtpUse.OFF, USUAL).degraded == {}
    assert of_their_offer(offered("a=ptime:60"), SrtpUse.OFF, USUAL).degraded == {}
    assert "longer_ptime" in of_their_offer(offered("a=maxptime:40"), SrtpUse.OFF, USUAL).degraded


class TestOpus:
    def test_it_is_a_step_only_where_both_sides_have_it(self):
        theirs = offered("a=rtpmap:111 opus/48000/2", formats="8 111")
        assert of_their_offer(theirs, SrtpUse.OFF, (*USUAL, "opus")).degraded["opus"] == Cost(kbits=58, shape="opus 20 ms IPv4")
        assert "opus" not in of_their_offer(theirs, SrtpUse.OFF, USUAL).degraded
        assert "opus" not in of_their_offer(offered(), SrtpUse.OFF, (*USUAL, "opus")).degraded
        listed = (*USUAL, "opus")
        assert "opus" not in of_our_offer(listed, SrtpUse.OFF, "192.0.2.7").degraded  # who knows what that phone has
        assert of_our_offer(listed, SrtpUse.OFF, "192.0.2.7", has_opus=True).degraded["opus"].kbits == 58
        assert of_our_offer(listed, SrtpUse.OFF, "192.0.2.7", is_page=True).degraded["opus"].kbits == 65

    def test_an_offer_that_has_it_is_answered_with_it_alone(self):
        theirs = offered("a=rtpmap:111 opus/48000/2", formats="8 111")
        _, plan = media_plan.answer(theirs, OURS, ("opus",), 1, own="opus", spoken="PCMA")
        assert as_agreed(plan, OURS.address) == Cost(kbits=58, shape="opus 20 ms IPv4")


class TestLongerPackets:
    """RFC 8866 §6.4: ptime is what is wished for, maxptime what is taken."""

    def answered(self, *lines):
        description, plan = media_plan.answer(offered(*lines), OURS, USUAL, 1, ptime_ms=LONGER_PTIME_MS)
        return description.media[0], plan

    @pytest.mark.parametrize("lines", [(), ("a=ptime:20",), ("a=ptime:20", "a=maxptime:150")])
    def test_an_offer_is_answered_with_them_whatever_it_asks_for(self, lines):
        ours, plan = self.answered(*lines)
        assert (ours.ptime, ours.maxptime) == (40, 40)
        told = plan.describe("l", 0.0)
        assert (told.ptime_ms, told.asks_ptime) == (40, True)  # what is relayed to it is packed anew
        assert as_agreed(plan, OURS.address) == Cost(kbits=84, shape="PCMA 40 ms IPv4")

    def test_an_offer_that_bears_none_has_what_it_asks_for(self):
        ours, plan = self.answered("a=ptime:20", "a=maxptime:20")
        assert (ours.ptime, ours.maxptime) == (20, None)
        assert as_agreed(plan, OURS.address).kbits == 100

    def test_longer_ones_still_stay_as_long(self):
        ours, plan = self.answered("a=ptime:60")
        assert (ours.ptime, plan.audio.ptime_ms) == (60, 60)

    @pytest.mark.parametrize(
        ("lines", "sent", "kbits"), [((), 40, 84), (("a=ptime:40",), 40, 84), (("a=ptime:20",), 20, 100), (("a=maxptime:20",), 20, 100)]
    )
    def test_our_offer_asks_for_them_and_what_is_answered_counts(self, lines, sent, kbits):
        ours = media_plan.offer(OURS, USUAL, 1, ptime_ms=LONGER_PTIME_MS)
        assert (ours.media[0].ptime, ours.media[0].maxptime) == (40, 40)
        plan = media_plan.agreed(ours, sdp(*lines))
        assert plan.describe("l", 0.0).ptime_ms == sent
        assert as_agreed(plan, OURS.address).kbits == kbits

    def test_a_session_that_moves_keeps_them(self):
        ours, plan = self.answered()
        moved = media_plan.moved(plan.local, msgspec.structs.replace(OURS, rtp_port=30010), "PCMA", ptime_ms=LONGER_PTIME_MS)
        assert (moved.media[0].ptime, moved.media[0].maxptime) == (ours.ptime, ours.maxptime)

    def test_without_a_step_nothing_of_it_is_said(self):
        assert b"maxptime" not in media_plan.offer(OURS, USUAL, 1).to_bytes()


def test_the_keys_that_were_agreed_on_are_what_is_paid_for():
    ours = media_plan.offer(OURS, USUAL, 1, srtp=SrtpTerms(SrtpUse.WISHED, draw))
    plain = media_plan.agreed(ours, sdp())
    taken = next(Crypto(line.tag, GCM, key(GCM)) for line in crypto_lines(ours.media[0]) if line.suite == GCM)
    tagged = media_plan.agreed(ours, sdp(taken))
    assert [as_agreed(one, OURS.address).kbits for one in (plain, tagged)] == [100, 107]
    assert as_agreed(tagged, "::1") == Cost(kbits=116, shape="PCMA 20 ms IPv6 SRTP GCM")
