"""Deadlines and ticks, in virtual time."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.frame import FRAME_S, PTIMES_MS
from media.io.pacer import (
    BUSY_PACKETS_A_S,
    FULL_ROUND,
    LATE_S,
    MAX_CATCH_UP,
    PHASE_S,
    PHASES,
    WINDOW_S,
    Moderation,
    Ticks,
    TimerHeap,
    phases_of,
)


def test_timers_are_due_in_order_of_their_deadlines():
    heap = TimerHeap()
    called = []
    for deadline in (3.0, 1.0, 2.0, 1.0):
        heap.at(deadline, lambda now, deadline=deadline: called.append((deadline, now)))
    assert heap.next_deadline() == 1.0
    for action in heap.due(2.5):
        action(2.5)
    assert called == [(1.0, 2.5), (1.0, 2.5), (2.0, 2.5)]
    assert heap.next_deadline() == 3.0


def test_cancelled_timer_is_forgotten():
    heap = TimerHeap()
    heap.at(1.0, lambda _: None).cancel()
    assert heap.next_deadline() is None
    assert heap.due(5.0) == []


def test_no_tick_before_somebody_plays():
    ticks = Ticks()
    assert (ticks.next_deadline, ticks.due(100.0)) == (None, [])
    ticks.resume(1.0)
    assert ticks.due(1.0) == [0]
    ticks.rest()
    assert ticks.due(2.0) == []


def test_each_leg_has_its_turn_whatever_the_delays():
    """Calls that are up to 4 ms late each do not add up: after 1.2 seconds a leg of any packet time had its ticks."""
    ticks = Ticks()
    ticks.resume(0.0)
    phases = [phase for step in range(240) for phase in ticks.due(step * PHASE_S + 0.004 * (step % 3) / 2)]
    assert phases == [index % PHASES for index in range(240)]
    for ptime_ms in PTIMES_MS:
        for place in range(PHASES):
            at = [index * PHASE_S for index, phase in enumerate(phases) if phase in phases_of(ptime_ms, place)]
            assert len(at) == 1200 // ptime_ms
            assert {round(later - earlier, 6) for earlier, later in itertools.pairwise(at)} == {ptime_ms / 1000}
    assert ticks.late == 0


def test_late_tick_is_counted_and_made_up_for():
    ticks = Ticks()
    ticks.resume(0.0)
    ticks.due(0.0)
    phases = ticks.due(0.040)
    assert ticks.late == 1
    assert len(phases) == 8
    assert ticks.next_deadline == pytest.approx(0.045)


def test_after_a_long_stall_the_schedule_starts_over():
    ticks = Ticks()
    ticks.resume(0.0)
    ticks.due(0.0)
    assert len(ticks.due(10.0)) == 1
    assert ticks.next_deadline == pytest.approx(10.0 + PHASE_S)


@given(st.lists(st.floats(0, MAX_CATCH_UP * FRAME_S / 2), min_size=1, max_size=100))
def test_ticks_equal_time_however_unevenly_the_loop_comes_round(steps):
    ticks = Ticks()
    ticks.resume(0.0)
    now, phases = 0.0, len(ticks.due(0.0))
    for step in steps:
        now += step
        phases += len(ticks.due(now))
    assert abs(phases - 1 - now / PHASE_S) < 1 + 1e-6
    assert ticks.late <= sum(step > LATE_S for step in steps) + 1


def rounds(moderation, packets_a_round, rounds_a_s, begin, seconds):
    """What `pauses` said in every round of a steady load."""
    return [moderation.pauses(packets_a_round, begin + step / rounds_a_s) for step in range(round(seconds * rounds_a_s))]


def test_quiet_loop_never_waits():
    assert not any(rounds(Moderation(), 1, BUSY_PACKETS_A_S * 0.9, 10.0, 1.0))


def test_busy_loop_waits_from_the_second_window_on_and_stops_when_it_is_quiet_again():
    moderation = Moderation()
    busy = rounds(moderation, 3, BUSY_PACKETS_A_S, 10.0, 1.0)
    assert all(busy[round(2 * WINDOW_S * BUSY_PACKETS_A_S) + 2 :])
    quiet = rounds(moderation, 1, 1000, 11.0, 1.0)
    assert not any(quiet[round(2 * WINDOW_S * 1000) + 2 :])


def test_full_round_is_followed_by_another_at_once():
    moderation = Moderation()
    rounds(moderation, 10, BUSY_PACKETS_A_S, 10.0, 1.0)
    assert not moderation.pauses(FULL_ROUND, 11.0)
    assert moderation.pauses(FULL_ROUND - 1, 11.0)
