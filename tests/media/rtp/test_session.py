"""Reports and round trip of a two-party session: RFC 3550 §6.2-6.4, A.7."""

import pytest

from media.rtp import rtcp
from media.rtp.latch import RELATCH_AFTER, SILENT_S, Latch, Verdict
from media.rtp.outgoing import OutgoingStream
from media.rtp.report_interval import next_average_octets, rtcp_interval
from media.rtp.rtcp import Goodbye, ReceiverReport, ReportBlock, SdesItem, SenderReport, SourceDescription
from media.rtp.session import RtpSession, middle_32, ntp_timestamp

WALLCLOCK = 1_700_000_000.25


def session(ssrc=1):
    return RtpSession(OutgoingStream(ssrc, 0, 0), f"cname-{ssrc}")


def send(from_session, to_session, count, now, lose=()):
    """Audio from one to the other, 20 ms apart."""
    buffer = bytearray(172)
    for step in range(count):
        at = now + step * 0.02
        outgoing = from_session.outgoing
        outgoing.audio(buffer, 8, 160, at, begins=step == 0)
        if step in lose:
            continue
        source = to_session.source or to_session.new_source(outgoing.ssrc, outgoing.sequence_number)
        source.receive(outgoing.sequence_number, outgoing.timestamp, at)


def test_ntp_timestamp_counts_from_1900():
    """RFC 5905: 1970 is 2208988800; the fraction is 32 bits."""
    assert ntp_timestamp(0.0) == 2_208_988_800 << 32
    assert ntp_timestamp(0.5) & 0xFFFFFFFF == 0x80000000
    assert middle_32(0x1234_5678_9ABC_DEF0) == 0x5678_9ABC


def test_who_sent_reports_as_sender_who_did_not_as_receiver():
    talker, listener = session(1), session(2)
    assert isinstance(rtcp.parse(talker.report(0.0, WALLCLOCK))[0], ReceiverReport)
    send(talker, listener, 10, 0.0)
    report, names = rtcp.parse(talker.report(0.2, WALLCLOCK))
    assert isinstance(report, SenderReport)
    assert (report.packets_sent, report.octets_sent, report.ntp) == (10, 1600, ntp_timestamp(WALLCLOCK))
    assert report.rtp_timestamp == talker.outgoing.timestamp + round(0.02 * 8000)
    assert names == SourceDescription(((1, ((SdesItem.CNAME, b"cname-1"),)),))


def test_far_end_learns_its_loss_from_our_block():
    talker, listener = session(1), session(2)
    send(talker, listener, 100, 0.0, lose={10, 20, 30, 40, 50})
    report = rtcp.parse(listener.report(2.0, WALLCLOCK))
    assert report[0].blocks[0].cumulative_lost == 5
    assert report[0].blocks[0].fraction_lost == (5 << 8) // 100
    talker.receive_reports(report, 80, 2.0, WALLCLOCK)
    assert talker.remote_loss_fraction == pytest.approx(0.05)


def test_round_trip_is_figure_2_of_rfc_3550():
    """SR from A, 5.25 s at B, back: A - LSR - DLSR = 6.125 s in the RFC's example."""
    a = session(0x11)
    arrival = 0xB710_8000 / 65536  # A of figure 2, as a wall clock since 1900 modulo 2^16 s
    wallclock = arrival - 2_208_988_800 + (1 << 16) * ((2_208_988_800 >> 16) + 1)
    block = ReportBlock(0x11, 0, 0, 0, 0, 0xB705_2000, 0x0005_4000)
    a.receive_reports((ReceiverReport(2, (block,)),), 60, 0.0, wallclock)
    assert a.round_trip_s == pytest.approx(6.125, abs=1e-3)


def test_round_trip_through_both_sessions():
    a, b = session(1), session(2)
    send(a, b, 2, 0.0)
    send(b, a, 2, 0.0)
    b.receive_reports(rtcp.parse(a.report(10.0, WALLCLOCK)), 100, 10.030, WALLCLOCK + 0.030)
    a.receive_reports(rtcp.parse(b.report(12.0, WALLCLOCK + 2.0)), 100, 12.0, WALLCLOCK + 2.030)
    assert a.round_trip_s == pytest.approx(0.060, abs=0.001)


def test_report_about_somebody_else_is_not_ours():
    a = session(1)
    a.receive_reports((ReceiverReport(2, (ReportBlock(99, 255, 1000, 0, 0, 1, 1),)),), 60, 0.0, WALLCLOCK)
    assert (a.round_trip_s, a.remote_loss_fraction) == (None, None)


def test_clock_set_back_gives_no_round_trip():
    a = session(1)
    block = ReportBlock(1, 0, 0, 0, 0, middle_32(ntp_timestamp(WALLCLOCK + 100)), 0)
    a.receive_reports((ReceiverReport(2, (block,)),), 60, 0.0, WALLCLOCK)
    assert a.round_trip_s is None


def test_goodbye_ends_the_last_compound_and_is_understood():
    a, b = session(1), session(2)
    packets = rtcp.parse(a.goodbye(0.0, WALLCLOCK))
    assert packets[-1] == Goodbye((1,))
    b.receive_reports(packets, 60, 0.0, WALLCLOCK)
    assert b.remote_said_goodbye


def test_figures_of_a_replaced_source_are_kept():
    talker, listener = session(1), session(2)
    send(talker, listener, 10, 0.0, lose={4})
    listener.new_source(77, 500).receive(500, 0, 1.0)
    assert (listener.packets_received, listener.packets_lost, listener.packets_expected) == (10, 1, 11)


@pytest.mark.parametrize("random_unit", [0.0, 0.5, 0.999])
def test_interval_lies_between_half_and_one_and_a_half_of_five_seconds(random_unit):
    """§6.3.1: spread evenly over 0.5..1.5, then divided by e - 3/2."""
    interval = rtcp_interval(
        members=2, senders=2, rtcp_octets_per_s=500, we_sent=True, average_octets=120, initial=False, random_unit=random_unit
    )
    assert interval == pytest.approx(5.0 * (random_unit + 0.5) / 1.21828, rel=1e-5)


def test_first_interval_is_halved():
    """§6.2: "the initial interval ... is one half the minimum interval"."""
    assert session().seconds_to_next_report(0.5) == pytest.approx(2.5 / 1.21828, rel=1e-5)


def test_many_receivers_share_three_quarters_of_the_bandwidth():
    """A.7 by hand: 997 receivers, 100 octets each, over 375 octets/s."""
    interval = rtcp_interval(
        members=1000, senders=3, rtcp_octets_per_s=500, we_sent=False, average_octets=100, initial=False, random_unit=0.5
    )
    assert interval == pytest.approx(997 * 100 / 375 / 1.21828, rel=1e-5)


def test_average_size_moves_by_a_sixteenth():
    assert next_average_octets(160, 320) == pytest.approx(170)


HOME, ROAMING, STRANGER = ("10.0.0.1", 1000), ("10.0.0.2", 2000), ("6.6.6.6", 666)
OURS, THEIRS = 0xA, 0xB
"""SSRCs."""


class Heard:
    """A latch, and what came from the latched address: a stream of OURS whose next packet is 500."""

    def __init__(self, *, signals_from: tuple[str, ...] = (), is_known: bool = True, described=HOME, nowhere: bool = False) -> None:
        self.latch = Latch()
        self.latch.describe(described, signals_from, nowhere=nowhere)
        self.known = None
        if is_known:
            assert self.told(HOME) == [Verdict.LATCHED]
            self.known = OURS, 500

    def told(self, address, packets=1, *, ssrc=OURS, first=500, silent_s=0.0):
        """What is said of so many packets from elsewhere."""
        numbers = range(first, first + packets)
        return [self.latch.consider(address, ssrc, number & 0xFFFF, known=self.known, silent_s=silent_s) for number in numbers]


FOLLOWED = [Verdict.FOREIGN] * (RELATCH_AFTER - 1) + [Verdict.LATCHED]
HEARD = [Verdict.FOREIGN] * (RELATCH_AFTER - 1) + [Verdict.HEARD]
NAT = ("198.51.100.7",)
"""Where a phone signals from that has HOME behind its router."""


@pytest.mark.parametrize("address", [("10.0.0.1", 9), ROAMING])
def test_first_packet_from_where_the_far_end_is_known_latches_whatever_port_the_sdp_said(address):
    assert Heard(signals_from=(ROAMING[0],), is_known=False).told(address) == [Verdict.LATCHED]


def test_from_elsewhere_a_whole_stream_must_come_first():
    heard = Heard(is_known=False)
    assert heard.told(STRANGER, RELATCH_AFTER) == HEARD


@pytest.mark.parametrize(
    ("described", "signals_from", "nowhere", "told"),
    [
        pytest.param(HOME, (HOME[0],), False, HEARD, id="where it signals from"),
        pytest.param(("203.0.113.9", 4000), ("203.0.113.9",), False, HEARD, id="where it signals from, in public"),
        pytest.param(HOME, ("203.0.113.9", HOME[0]), False, HEARD, id="known to be its own"),
        pytest.param(("203.0.113.9", 4000), ("203.0.113.1",), False, HEARD, id="a carrier's gateway beside its proxy"),
        pytest.param(("203.0.113.9", 4000), ("10.0.0.7",), False, HEARD, id="reached from everywhere"),
        pytest.param(HOME, ("192.168.9.7",), False, HEARD, id="a phone of a PBX, both in one network"),
        pytest.param(HOME, (), False, HEARD, id="nothing is known"),
        pytest.param(HOME, NAT, False, FOLLOWED, id="NAT"),
        pytest.param(("100.64.0.9", 4000), NAT, False, FOLLOWED, id="a carrier's NAT"),
        pytest.param(("::ffff:10.0.0.1", 4000, 0, 0), NAT, False, FOLLOWED, id="mapped"),
        pytest.param(("fd00::1", 4000, 0, 0), ("2001:db8::7",), False, FOLLOWED, id="unique local"),
        pytest.param(("2001:db8::9", 4000, 0, 0), ("2001:db8::7",), False, HEARD, id="IPv6 needs no NAT"),
        pytest.param(("127.0.0.1", 4000), ("203.0.113.1",), True, FOLLOWED, id="no place to send to"),
        pytest.param(("a-name.example", 4000), ("10.0.0.7",), True, FOLLOWED, id="no address"),
    ],
)
def test_a_stranger_is_sent_to_only_where_the_description_cannot_be_right(described, signals_from, nowhere, told):
    """A silent party hears its call where it said, whoever finds its port."""
    heard = Heard(signals_from=signals_from, is_known=False, described=described, nowhere=nowhere)
    assert heard.told(STRANGER, RELATCH_AFTER) == told
    assert heard.latch.address == STRANGER
    assert heard.latch.is_followed is (told is FOLLOWED)


@pytest.mark.parametrize("first", [THEIRS, OURS])
def test_a_stranger_that_is_only_heard_is_not_followed_for_going_on_elsewhere(first):
    """It knows its own stream; that proves nothing."""
    heard = Heard(is_known=False)
    assert heard.told(STRANGER, RELATCH_AFTER, ssrc=first) == HEARD
    heard.known = first, 500 + RELATCH_AFTER
    assert heard.told(("6.6.6.7", 1), RELATCH_AFTER, ssrc=first, first=510) == HEARD
    assert heard.told(("6.6.6.7", 2), RELATCH_AFTER, ssrc=THEIRS + OURS, silent_s=60.0) == HEARD
    assert not heard.latch.is_followed


@pytest.mark.parametrize("signals_from", [(), NAT])
def test_where_the_far_end_is_known_to_be_takes_it_back_from_whoever_was_believed_before(signals_from):
    heard = Heard(signals_from=signals_from, is_known=False)
    heard.told(STRANGER, RELATCH_AFTER)
    assert heard.latch.address == STRANGER
    assert heard.told(HOME, ssrc=THEIRS) == [Verdict.LATCHED]
    assert heard.latch.is_followed


def test_who_is_heard_is_followed_once_the_far_end_signals_from_there():
    heard = Heard(is_known=False)
    heard.told(STRANGER, RELATCH_AFTER)
    heard.latch.describe(HOME, (ROAMING[0],))
    assert heard.latch.address == STRANGER  # it goes on being heard
    heard.latch.describe(HOME, (STRANGER[0],))
    assert heard.told(STRANGER) == [Verdict.LATCHED]


def test_while_nothing_was_heard_the_far_end_is_before_whoever_came_first():
    heard = Heard(is_known=False)
    assert heard.told(STRANGER, RELATCH_AFTER - 1) == [Verdict.FOREIGN] * (RELATCH_AFTER - 1)
    assert heard.told(HOME) == [Verdict.LATCHED]


@pytest.mark.parametrize("silent_s", [0.0, 60.0])
@pytest.mark.parametrize(("ssrc", "first"), [(THEIRS, 500), (OURS, 300), (OURS, 500 + 3001)])
def test_a_stranger_who_does_not_know_the_stream_never_gets_it_however_many_packets_it_sends(ssrc, first, silent_s):
    heard = Heard()
    assert set(heard.told(STRANGER, 200, ssrc=ssrc, first=first, silent_s=silent_s)) == {Verdict.FOREIGN}
    assert heard.latch.address == HOME


def test_a_stranger_does_not_get_it_while_the_far_end_speaks():
    heard = Heard()
    for number in range(5 * RELATCH_AFTER):
        assert heard.told(STRANGER, first=500 + number) == [Verdict.FOREIGN]
        heard.latch.heard_latched()
    assert heard.latch.address == HOME


def test_a_stream_that_goes_on_elsewhere_is_followed_after_so_many_packets_on_end():
    """Wi-Fi to mobile: who has the SSRC and goes on where the sequence was is the far end."""
    heard = Heard()
    assert heard.told(ROAMING, RELATCH_AFTER, first=503) == FOLLOWED
    assert heard.latch.address == ROAMING


@pytest.mark.parametrize(
    ("address", "silent_s", "is_followed"),
    [
        (("10.0.0.1", 9), SILENT_S, True),  # a phone that began anew
        (("10.0.0.1", 9), 0.0, False),  # a burst, while it speaks
        (ROAMING, SILENT_S, True),  # where it signals from
        (STRANGER, SILENT_S, False),
    ],
)
def test_another_stream_is_followed_from_a_known_host_when_the_old_one_is_silent(address, silent_s, is_followed):
    heard = Heard(signals_from=(ROAMING[0],))
    told = heard.told(address, RELATCH_AFTER, ssrc=THEIRS, first=65_533, silent_s=silent_s)
    assert told == (FOLLOWED if is_followed else [Verdict.FOREIGN] * RELATCH_AFTER)


def test_two_candidates_do_not_add_up():
    heard = Heard()
    for number in range(RELATCH_AFTER):
        assert heard.told(ROAMING, first=500 + number) == [Verdict.FOREIGN]
        assert heard.told(("10.0.0.3", 7), first=500 + number) == [Verdict.FOREIGN]


def test_new_description_opens_the_latch_the_same_one_keeps_it():
    latch = Heard().latch
    latch.describe(HOME)
    assert latch.address == HOME
    latch.describe(("10.9.9.8", 9))
    assert latch.address is None
