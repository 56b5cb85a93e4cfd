import random

import numpy as np
import pytest

from load.rtp_watch import AGENT_SIDE, RECEIVED, Numbers, StreamWatch, by_stream


def packets(numbers, *, ssrc=1, stamp=-1, stream=0, latency_us=1500, counters=None):
    found = np.zeros(len(numbers), dtype=RECEIVED)
    found["stream"], found["ssrc"], found["stamp"], found["latency_us"] = stream, ssrc, stamp, latency_us
    found["sequence"] = [number & 0xFFFF for number in numbers]
    found["counter"] = counters if counters is not None else range(len(numbers))
    return found


def feed(numbers, chunk):
    watch = StreamWatch(expected_stamp=-1)
    for start in range(0, len(numbers), chunk):
        watch.absorb(packets(numbers[start : start + chunk]))
    return watch.figures(sent=0, connected_s=0.0)


@pytest.mark.parametrize("chunk", [1, 7, 50, 1000])
def test_unbroken_stream_across_the_wrap_loses_nothing(chunk):
    figures = feed([65_500 + i for i in range(200)], chunk)
    assert (figures.received, figures.lost, figures.late, figures.duplicate) == (200, 0, 0, 0)


@pytest.mark.parametrize("chunk", [1, 7, 50, 1000])
def test_injected_loss_is_counted_to_the_packet(chunk):
    rng = random.Random(chunk)
    numbers = [n for n in range(65_000, 67_000) if n in {65_000, 66_999} or rng.random() > 0.05]
    assert feed(numbers, chunk).lost == 2000 - len(numbers)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_swapped_packets_are_late_and_not_lost(chunk):
    figures = feed([1, 2, 4, 3, 5, 8, 6, 7, 9], chunk)
    assert (figures.lost, figures.late, figures.duplicate) == (0, 3, 0)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_duplicate_is_not_set_off_against_a_loss(chunk):
    figures = feed([1, 2, 2, 3, 5, 5, 6], chunk)
    assert (figures.lost, figures.late, figures.duplicate) == (1, 0, 2)


def test_first_two_packets_swapped_lose_nothing():
    figures = feed([65_535, 65_534, 65_536, 65_537], 100)
    assert (figures.lost, figures.late) == (0, 1)


@pytest.mark.parametrize("seed", range(20))
def test_random_loss_swaps_and_duplicates_are_counted_exactly(seed):
    """Compared with what was done to the packets, which a set of all numbers knows."""
    rng = random.Random(seed)
    numbers = [n for n in range(65_300, 65_900) if n in {65_300, 65_899} or rng.random() > 0.1]
    sent_twice = [n for n in numbers[1:-1] if rng.random() < 0.05]
    for n in sent_twice:
        numbers.insert(numbers.index(n) + rng.randint(1, 5), n)
    for i in range(10, len(numbers) - 10):
        if rng.random() < 0.05:
            j = i + rng.randint(1, 5)
            numbers[i], numbers[j] = numbers[j], numbers[i]
    highest, late = numbers[0], 0
    for position, n in enumerate(numbers):
        late += n < highest and n not in numbers[:position]
        highest = max(highest, n)
    whole = feed(numbers, 1000)
    assert whole.lost == 600 - len(set(numbers))
    assert whole.duplicate == len(sent_twice)
    assert whole.late == late
    assert feed(numbers, rng.randint(1, 60)) == whole


def test_jump_of_3000_is_a_new_beginning_and_keeps_earlier_losses():
    numbers = Numbers(16)
    for n in (1, 2, 4, 20_000, 20_001, 20_003):
        numbers.one(n)
    assert (numbers.restarts, numbers.lost) == (1, 2)


def test_long_run_does_not_forget_what_was_just_heard():
    numbers = Numbers(16)
    assert numbers.run(10, 200)
    numbers.one(205)
    assert (numbers.duplicate, numbers.lost, numbers.received) == (1, 0, 200)


def test_stamps_tell_the_right_party_from_a_wrong_one():
    watch = StreamWatch(expected_stamp=77 | AGENT_SIDE)
    watch.absorb(packets(range(100), stamp=77 | AGENT_SIDE))
    watch.absorb(packets(range(100, 103), stamp=78 | AGENT_SIDE))
    figures = watch.figures(sent=100, connected_s=2.0)
    assert (figures.marked_received, figures.crossed, figures.silent_streams) == (103, 3, 0)
    assert figures.latency_ms == (0, 103)


def test_loss_between_the_parties_shows_in_the_stamps_even_when_the_service_renumbers():
    watch = StreamWatch(expected_stamp=5)
    watch.absorb(packets(range(10), stamp=5, counters=[0, 1, 2, 5, 6, 7, 8, 9, 10, 11]))
    figures = watch.figures(sent=0, connected_s=1.0)
    assert (figures.lost, figures.marked_lost) == (0, 2)


@pytest.mark.parametrize(("connected_s", "silent"), [(0.0, 0), (0.4, 0), (0.5, 1), (9.0, 1)])
def test_talk_without_a_stamp_is_one_way_audio(connected_s, silent):
    watch = StreamWatch(expected_stamp=5)
    watch.absorb(packets(range(50)))
    assert watch.figures(sent=50, connected_s=connected_s).silent_streams == silent


def test_two_ssrcs_are_two_streams_and_no_loss():
    watch = StreamWatch(expected_stamp=5)
    watch.absorb(np.concatenate([packets(range(5), ssrc=1), packets(range(900, 905), ssrc=2), packets(range(5, 8), ssrc=1)]))
    assert watch.figures(sent=0, connected_s=0).lost == 0


def test_batch_is_split_by_stream_in_order_of_arrival():
    batch = np.concatenate([packets([1], stream=3), packets([9], stream=1), packets([2], stream=3)])
    assert [(stream, part["sequence"].tolist()) for stream, part in by_stream(batch)] == [(1, [9]), (3, [1, 2])]
