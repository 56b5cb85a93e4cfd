"""Receive statistics: RFC 3550 A.1, A.3, A.8."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtp.sequence import sequence_distance, timestamp_distance
from media.rtp.source import Arrival, Source


def feed(source, numbers):
    return [source.receive(number & 0xFFFF, (number * 160) & 0xFFFFFFFF, number * 0.02) for number in numbers]


def test_packets_in_order_lose_nothing():
    source = Source(1, 100)
    assert set(feed(source, range(100, 200))) == {Arrival.IN_ORDER}
    assert (source.received, source.expected, source.cumulative_lost) == (100, 100, 0)


def test_sequence_number_that_wraps_is_no_loss_and_extends_the_highest():
    source = Source(1, 65530)
    feed(source, range(65530, 65550))
    assert (source.received, source.cumulative_lost, source.extended_highest) == (20, 0, 65549)


def test_highest_at_the_very_end_of_the_cycle():
    source = Source(1, 65530)
    feed(source, range(65530, 65536))
    assert (source.extended_highest, source.expected) == (65535, 6)


def test_gap_is_lost_and_a_late_packet_fills_it_once():
    source = Source(1, 0)
    feed(source, [0, 1, 4])
    assert source.cumulative_lost == 2
    assert feed(source, [2]) == [Arrival.LATE]
    assert source.cumulative_lost == 1
    assert feed(source, [2]) == [Arrival.DUPLICATE]
    assert (source.cumulative_lost, source.late_or_duplicate) == (1, 2)


def test_duplicate_of_the_newest_does_not_hide_loss():
    """A.3 as printed would count it as received."""
    source = Source(1, 0)
    feed(source, [0, 1, 3])
    assert feed(source, [3]) == [Arrival.DUPLICATE]
    assert source.cumulative_lost == 1


def test_gap_across_the_wrap():
    source = Source(1, 65534)
    feed(source, [65534, 65538])
    assert (source.cumulative_lost, source.extended_highest) == (3, 65538)
    assert feed(source, [65535]) == [Arrival.LATE]


def test_large_jump_needs_two_in_sequence_to_be_a_restart():
    """RFC 3550 A.1, MAX_DROPOUT."""
    source = Source(1, 0)
    feed(source, range(10))
    assert feed(source, [30000]) == [Arrival.INVALID]
    assert feed(source, [10]) == [Arrival.IN_ORDER]
    assert feed(source, [40000, 40001]) == [Arrival.INVALID, Arrival.RESTARTED]
    feed(source, [40002])
    assert source.received == 13
    assert source.cumulative_lost == 0


def test_fraction_lost_covers_only_the_interval():
    source = Source(1, 0)
    feed(source, [number for number in range(100) if number % 4])
    assert source.close_interval() == (25 << 8) // 100
    feed(source, range(100, 200))
    assert source.close_interval() == 0
    assert source.close_interval() == 0


def test_jitter_of_a_steady_stream_is_nothing():
    source = Source(1, 0)
    feed(source, range(200))
    assert source.interarrival_jitter == pytest.approx(0, abs=1e-6)


def test_jitter_converges_to_the_mean_step_of_transit():
    """A.8: packets alternately 10 ms late step by 80 units each time, and J ends at 80."""
    source = Source(1, 0)
    for number in range(400):
        source.receive(number, number * 160, number * 0.02 + (0.01 if number % 2 else 0.0))
    assert source.interarrival_jitter == pytest.approx(80, rel=0.01)


def test_jitter_by_the_hand_computed_example():
    source = Source(1, 0)
    source.receive(0, 0, 0.0)
    source.receive(1, 160, 0.025)  # 40 units late
    assert source.interarrival_jitter == pytest.approx(40 / 16)
    source.receive(2, 320, 0.040)  # 40 back
    assert source.interarrival_jitter == pytest.approx(2.5 + (40 - 2.5) / 16)


def test_new_time_base_is_no_jitter():
    source = Source(1, 0)
    feed(source, range(50))
    source.receive(50, 3_000_000_000, 1.0)
    assert source.interarrival_jitter == pytest.approx(0, abs=1e-6)


@given(st.lists(st.integers(0, 0xFFFF), max_size=200), st.integers(0, 0xFFFF))
def test_whatever_comes_counts_never_go_wrong(numbers, first):
    source = Source(1, first)
    source.receive(first, 0, 0.0)
    taken = sum(source.receive(number, 0, 0.0) in {Arrival.IN_ORDER, Arrival.LATE, Arrival.RESTARTED} for number in numbers)
    assert source.received == 1 + taken
    assert source.cumulative_lost >= 0
    assert source.expected >= source.received
    assert 0 <= source.close_interval() <= 255


@given(st.permutations(range(60)), st.sets(st.integers(0, 59), max_size=20))
def test_loss_is_what_never_came_in_whatever_order_the_rest_came(order, missing):
    source = Source(1, 65500)
    source.receive(65500, 0, 0.0)
    arrived = [number for number in order if number not in missing]
    for number in [*arrived, 60]:
        source.receive((65501 + number) & 0xFFFF, 0, 0.0)
    assert source.cumulative_lost == len(missing)


@given(st.integers(0, 0xFFFF), st.integers(-32768, 32767))
def test_sequence_distance_undoes_addition(number, step):
    assert sequence_distance((number + step) & 0xFFFF, number) == step


@given(st.integers(0, 0xFFFFFFFF), st.integers(-(2**31), 2**31 - 1))
def test_timestamp_distance_undoes_addition(timestamp, step):
    assert timestamp_distance((timestamp + step) & 0xFFFFFFFF, timestamp) == step


def test_jitter_is_measured_by_the_sources_own_clock():
    """A.8 by hand: 960 ticks in 20 ms are no jitter at 48 kHz; 5 ms late are 240 ticks, of which a sixteenth counts."""
    source = Source(1, 0, 48_000)
    for number in range(10):
        source.receive(number, 960 * number, 0.02 * number)
    assert source.interarrival_jitter == pytest.approx(0, abs=1e-6)
    source.receive(10, 9600, 0.205)
    assert source.interarrival_jitter == pytest.approx(15)
    source.run_at(8000)
    assert source.interarrival_jitter == 0
    source.receive(11, 9760, 0.225)
    source.receive(12, 9920, 0.245)
    assert source.interarrival_jitter == pytest.approx(0, abs=1e-6)
