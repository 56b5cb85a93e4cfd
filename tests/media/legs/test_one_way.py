"""A leg of which nothing is heard though somebody listens, in virtual time."""

from media.control import LegUnheard
from media.legs.one_way import OneWayWatch
from tests.media.legs.test_silence_watch import Host


def watch(heard_at, *, sends=True):
    host = Host()
    made = OneWayWatch(host, "a", lambda: heard_at[0], lambda: sends)
    made.begin(100.0)
    return host, made


def test_of_whom_nothing_is_heard_within_five_seconds_is_reported_once():
    host, _ = watch([99.0])
    host.until(104.9)
    assert host.reports == []
    host.until(200.0)
    assert host.reports == [LegUnheard(leg="a")]


def test_who_is_heard_or_holds_or_has_ended_is_not_reported():
    host, _ = watch([103.0])
    host.until(200.0)
    holding, _ = watch([99.0], sends=False)
    holding.until(200.0)
    ended, made = watch([99.0])
    made.end()
    ended.until(200.0)
    assert host.reports == holding.reports == ended.reports == []


def test_it_is_looked_at_anew_when_somebody_else_begins_to_listen():
    host, made = watch([99.0])
    made.begin(104.0)
    host.until(108.9)
    assert host.reports == []
    host.until(109.1)
    assert host.reports == [LegUnheard(leg="a")]
