"""How a leg is heard while it is up, in virtual time: every interval by itself, and what the far end says of us."""

from media.control import LegQuality
from media.legs.quality_watch import QualityWatch
from media.rtp.rtcp import ExtendedReport, ReceiverReport, ReportBlock, VoipMetrics
from tests.media.legs.test_silence_watch import Host
from tests.media.rtp.test_session import WALLCLOCK, send, session


def watched(score=lambda lost, expected: 4.4 - lost / expected):
    host, ours, theirs = Host(), session(1), session(2)
    made = QualityWatch(host, "a", ours, score)
    made.begin(100.0)
    return host, made, ours, theirs


def metrics(**fields):
    values = dict.fromkeys(VoipMetrics.__slots__, 0) | {"ssrc": 1, "mos_lq": 127, "mos_cq": 127, "discard_rate": 64} | fields
    return VoipMetrics(**values)


def test_each_interval_tells_its_own_loss_and_not_that_of_the_whole_call():
    host, _, ours, theirs = watched()
    send(theirs, ours, 250, 100.0)
    host.until(105.0)
    send(theirs, ours, 250, 105.0, lose=range(100, 150))
    host.until(110.0)
    send(theirs, ours, 250, 110.0)
    host.until(115.0)
    assert [(one.packets_expected, one.packets_lost) for one in host.reports] == [(250, 0), (250, 50), (250, 0)]
    assert [one.mos for one in host.reports] == [4.4, 4.4 - 50 / 250, 4.4]
    assert {one.seconds for one in host.reports} == {5.0}


def test_nothing_is_said_of_an_interval_in_which_nothing_came_and_nothing_after_the_end():
    host, made, ours, theirs = watched()
    host.until(110.0)
    assert host.reports == []
    send(theirs, ours, 50, 110.0)
    made.begin(111.0)  # described again: nothing changes
    host.until(115.0)
    assert [one.packets_expected for one in host.reports] == [50]
    made.end()
    send(theirs, ours, 50, 115.0)
    host.until(200.0)
    assert len(host.reports) == 1


def test_what_the_far_end_reports_is_told_once_for_each_time_it_does():
    host, _, ours, theirs = watched()
    send(ours, theirs, 100, 100.0)
    block = ReportBlock(1, 64, 25, 99, 80, 0, 0)
    ours.receive_reports((ReceiverReport(2, (block,)), ExtendedReport(2, (metrics(mos_cq=38, mos_lq=41),))), 80, 102.0, WALLCLOCK)
    host.until(105.0)
    send(theirs, ours, 50, 105.0)
    host.until(110.0)
    assert host.reports == [
        LegQuality(
            leg="a",
            seconds=5.0,
            packets_expected=0,
            packets_lost=0,
            jitter_ms=0.0,
            mos=None,
            round_trip_ms=None,
            remote_loss=0.25,
            remote_jitter_ms=10.0,
            remote_discarded=0.25,
            remote_mos=3.8,
        ),
        LegQuality(leg="a", seconds=5.0, packets_expected=50, packets_lost=0, jitter_ms=0.0, mos=4.4, round_trip_ms=None),
    ]


def test_reports_of_another_stream_and_scores_that_say_nothing_are_left_out():
    host, _, ours, theirs = watched()
    send(theirs, ours, 50, 100.0)
    foreign = ReceiverReport(2, (ReportBlock(9, 64, 25, 99, 80, 0, 0),)), ExtendedReport(2, (metrics(ssrc=9, mos_cq=38),))
    ours.receive_reports(foreign, 80, 101.0, WALLCLOCK)
    host.until(105.0)
    ours.receive_reports((ReceiverReport(2), ExtendedReport(2, (metrics(mos_lq=77),))), 80, 106.0, WALLCLOCK)
    host.until(110.0)
    first, second = host.reports
    assert (first.remote_loss, first.remote_discarded, first.remote_mos) == (None, None, None)
    assert (second.remote_loss, second.remote_discarded, second.remote_mos) == (None, 0.25, None)
