"""Silence of a far end, in virtual time."""

from media.control import DescribeLeg, LegSilent
from media.io.pacer import TimerHeap
from media.legs.silence_watch import SilenceWatch


class Host:
    def __init__(self):
        self.timers = TimerHeap()
        self.reports = []
        self.report = self.reports.append

    def until(self, end):
        while (deadline := self.timers.next_deadline()) is not None and deadline <= end:
            for action in self.timers.due(deadline):
                action(deadline)


def described(**fields):
    values = {"remote_address": "192.0.2.1", "remote_port": 4000, "remote_rtcp_port": 4001, "codec": "PCMA", "payload_type": 8}
    return DescribeLeg(leg="a", **(values | {"silence_timeout_s": 10.0} | fields))


def test_who_says_nothing_is_reported_more_and_more_seldom():
    host = Host()
    SilenceWatch(host, "a", lambda: 0.0).begin(described(), 100.0)
    host.until(100.0 + 250)
    assert host.reports == [LegSilent(leg="a", seconds=seconds) for seconds in (10.0, 20.0, 40.0, 80.0, 160.0, 240.0)]


def test_packets_and_signs_of_life_count_alike():
    host = Host()
    heard = [100.0]
    watch = SilenceWatch(host, "a", lambda: heard[0])
    watch.begin(described(), 100.0)
    heard[0] = 108.0
    host.until(117.0)
    watch.alive_at = 117.5
    host.until(127.0)
    assert host.reports == []
    host.until(128.0)
    assert host.reports == [LegSilent(leg="a", seconds=10.0)]


def test_nobody_is_watched_who_is_not_expected_to_send_or_has_ended():
    host = Host()
    watch = SilenceWatch(host, "a", lambda: 0.0)
    watch.begin(described(receives=False), 0.0)
    watch.begin(described(silence_timeout_s=0.0), 0.0)
    watch.begin(None, 0.0)
    watch.begin(described(), 0.0)
    watch.end()
    host.until(100.0)
    assert host.reports == []
