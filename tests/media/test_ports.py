"""The port pool: RFC 3550 §11 pairs, quarantine, refusal."""

from itertools import pairwise
from secrets import randbelow

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.errors import PortsExhausted
from media.ports import QUARANTINE_S, PortPool


def test_rtp_is_even_and_its_rtcp_lies_in_the_range():
    pool = PortPool(20001, 20006, draw=randbelow)
    assert {pool.take(0.0), pool.take(0.0)} == {20002, 20004}
    with pytest.raises(PortsExhausted):
        pool.take(0.0)


def test_exhausted_pool_says_why():
    pool = PortPool(20000, 20003, draw=randbelow)
    pool.take(0.0)
    pool.give_back(pool.take(0.0), 0.0)
    with pytest.raises(PortsExhausted, match=r"1 legs, 1 pairs resting"):
        pool.take(0.1)


def test_port_given_back_rests_before_it_is_used_again():
    pool = PortPool(20000, 20001, draw=randbelow)
    port = pool.take(0.0)
    pool.give_back(port, 10.0)
    assert pool.free(10.0 + QUARANTINE_S - 0.001) == 0
    assert pool.take(10.0 + QUARANTINE_S) == port


def test_the_lot_decides_which_port_is_next():
    lots = iter([4, 0, 2, 1, 0])
    pool = PortPool(20000, 20009, draw=lambda _below: next(lots))
    assert [pool.take(0.0) for _ in range(5)] == [20008, 20000, 20004, 20002, 20006]


def test_the_last_port_tells_nothing_of_the_next():
    """Half of 400 pairs in turn, five times: drawn in order, or each after the same distance, would be chance of less than 10^-100."""
    pool = PortPool(20000, 20799, quarantine_s=0, draw=randbelow)
    steps: set[int] = set()
    for _ in range(5):
        taken = [pool.take(0.0) for _ in range(200)]
        assert taken != sorted(taken)
        steps.update(after - before for before, after in pairwise(taken))
        for port in taken:
            pool.give_back(port, 0.0)
    assert len(steps) > 100


@pytest.mark.parametrize(("first", "last"), [(0, 10), (20000, 19999), (20000, 70000), (20001, 20002), (20000, 20000)])
def test_range_without_a_pair_is_refused(first, last):
    with pytest.raises(ValueError, match="ports"):
        PortPool(first, last, draw=randbelow)


def test_giving_back_what_was_not_taken_is_our_own_mistake():
    with pytest.raises(KeyError):
        PortPool(20000, 20009, draw=randbelow).give_back(20000, 0.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3))))
def test_no_port_is_ever_given_twice_nor_before_its_rest(plan):
    pool = PortPool(30000, 30019, draw=randbelow)
    taken: list[int] = []
    rested: dict[int, float] = {}
    now = 0.0
    for takes, wait in plan:
        now += wait
        if takes:
            try:
                port = pool.take(now)
            except PortsExhausted:
                continue
            assert port not in taken
            assert now >= rested.get(port, 0.0)
            taken.append(port)
        elif taken:
            port = taken.pop(0)
            rested[port] = now + QUARANTINE_S
            pool.give_back(port, now)


def test_ports_that_are_still_sent_to_come_last():
    pool = PortPool(20000, 20007, avoid=(20000, 20004), draw=randbelow)
    assert pool.free(0.0) == 4
    taken = [pool.take(0.0) for _ in range(4)]
    assert ({*taken[:2]}, {*taken[2:]}) == ({20002, 20006}, {20000, 20004})
    pool.give_back(20000, 0.0)
    assert pool.take(QUARANTINE_S) == 20000
