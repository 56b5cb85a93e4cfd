"""Who counts as one source, and who makes room for whom."""

import ipaddress
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.source import is_within, source_of
from sip.strangers import Strangers


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a name", "a name"),
    ],
)
def test_source_is_an_ipv4_address_or_an_ipv6_64(host, source):
    assert source_of(host) == source


def test_ipv4_in_ipv6_lies_in_an_ipv4_network():
    networks = [ipaddress.ip_network("127.0.0.0/8")]
    assert is_within("::ffff:127.0.0.1", networks)
    assert not is_within("::1", networks)
    assert not is_within("localhost", networks)


def test_oldest_of_the_same_source_makes_room():
    strangers = Strangers(2, 100)
    for name in ("a", "b"):
        assert strangers.enter(name, "192.0.2.1", lambda _: True) == (True, None)
    assert strangers.enter("other", "192.0.2.2", lambda _: True) == (True, None)
    assert strangers.enter("c", "192.0.2.1", lambda _: True) == (True, "a")
    assert "a" not in strangers
    assert (len(strangers), strangers.displaced, strangers.refused) == (3, 1, 0)


def test_who_is_at_work_does_not_make_room():
    strangers = Strangers(2, 100)
    for name in ("busy", "idle"):
        strangers.enter(name, "192.0.2.1", lambda _: True)
    assert strangers.enter("c", "192.0.2.1", lambda one: one == "idle") == (True, "idle")
    assert strangers.enter("d", "192.0.2.1", lambda _: False) == (False, None)
    assert "d" not in strangers
    assert strangers.refused == 1


def test_neighbours_in_an_ipv6_64_are_one_source():
    strangers = Strangers(1, 100)
    strangers.enter("a", "2001:db8::1", lambda _: True)
    assert strangers.enter("b", "2001:db8::2", lambda _: True) == (True, "a")
    assert strangers.enter("c", "2001:db8:0:1::2", lambda _: True) == (True, None)


def test_many_sources_together_have_a_bound():
    strangers = Strangers(5, 3)
    for number in range(3):
        strangers.enter(number, f"192.0.2.{number}", lambda _: True)
    assert strangers.enter(3, "192.0.2.3", lambda _: True) == (True, 0)
    assert len(strangers) == 3


def test_who_is_known_or_gone_holds_no_place():
    strangers = Strangers(1, 1)
    strangers.enter("a", "192.0.2.1", lambda _: False)
    strangers.leave("a")
    strangers.leave("a")
    assert strangers.enter("b", "192.0.2.1", lambda _: False) == (True, None)


def test_proxies_are_not_counted():
    strangers = Strangers(1, 1, [ipaddress.ip_network("10.0.0.0/24")])
    for number in range(3):
        assert strangers.enter(number, "10.0.0.9", lambda _: False) == (True, None)
    assert len(strangers) == 0


def test_where_all_places_are_taken_the_largest_source_gives_one_up_at_work_or_not():
    strangers = Strangers(5, 6)
    for number in range(6):
        strangers.enter(number, f"192.0.2.{number % 2}", lambda _: False)
    assert strangers.enter("new", "192.0.2.9", lambda _: False) == (True, 0)
    assert strangers.enter("more", "192.0.2.9", lambda _: False) == (True, 1)
    assert (len(strangers), strangers.displaced) == (6, 2)


def test_of_the_largest_source_the_oldest_idle_one_goes_first():
    strangers = Strangers(5, 3)
    for name in ("busy", "idle", "late"):
        strangers.enter(name, "192.0.2.1", lambda _: True)
    assert strangers.enter("new", "192.0.2.2", lambda one: one != "busy") == (True, "idle")


def test_source_that_is_as_large_as_any_takes_only_from_itself():
    strangers = Strangers(5, 4)
    for number in range(4):
        strangers.enter(number, f"192.0.2.{number % 2}", lambda _: False)
    assert strangers.enter("x", "192.0.2.1", lambda _: False) == (False, None)
    assert not strangers.is_full("192.0.2.1")
    assert strangers.enter("x", "192.0.2.1", lambda one: one == 3) == (True, 3)
    assert (strangers.refused, strangers.refused_when_full) == (0, 1)


STEPS = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), max_size=80)
"""The source, whether something is going on, and whether the newest of that source leaves instead of another one coming."""


@given(STEPS, st.integers(1, 5), st.integers(1, 8))
def test_no_number_of_sources_keeps_another_one_out(steps, per_source, total):
    """Whoever has fewer than the largest gets in, always; who makes room has most; and the bounds hold."""
    strangers, held, idle = Strangers(per_source, total), {}, set()
    for number, (source, is_idle, leaves) in enumerate(steps):
        counts = Counter(held.values())
        if leaves:
            gone = next((one for one in reversed(held) if held[one] == source), None)
            if gone is not None:
                strangers.leave(gone)
                del held[gone]
            continue
        admitted, goes = strangers.enter(number, f"192.0.2.{source}", idle.__contains__)
        if len(held) < total and counts[source] < per_source:
            assert (admitted, goes) == (True, None)
        elif counts[source] < max(counts.values()):
            assert admitted
            assert counts[held[goes]] == max(counts.values())
        elif goes is not None:
            assert held[goes] == source
            assert goes in idle
        assert admitted == (number in strangers)
        if goes is not None:
            assert goes not in strangers
            del held[goes]
        if admitted:
            held[number] = source
        if is_idle:
            idle.add(number)
        assert len(strangers) == len(held) <= total
        assert max(Counter(held.values()).values(), default=0) <= per_source
    if max(Counter(held.values()).values(), default=0):
        assert strangers.enter("newcomer", "198.51.100.1", lambda _: False)[0]
