"""The jitter buffer: order restored, late ones dropped, depth adapted, clocks that differ; a state machine of Hypothesis."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from media.jitter_buffer import CALM_FRAMES, MAX_FRAMES, MIN_FRAMES, JitterBuffer, Lost, State


def payload(number):
    return number.to_bytes(4, "big")


def frame(buffer):
    """What is played in the next 20 ms."""
    buffer.tick()
    return buffer.pop()


def playing(*numbers, depth=1):
    """A buffer that begins to play with the next tick."""
    buffer = JitterBuffer(depth)
    for number in numbers:
        buffer.push(number, payload(number))
    for _ in range(depth):
        assert frame(buffer) is None
    return buffer


def run(buffer, plan, begin=0):
    """One tick after the other, before each the packets of the plan; what is played."""
    played = []
    for number, packets in enumerate(plan, begin):
        for packet in packets if isinstance(packets, tuple) else (number,) if packets else ():
            buffer.push(packet, payload(packet))
        played.append(frame(buffer))
    return played


def test_plays_in_order_what_came_in_disorder_across_the_wrap():
    buffer = playing(65534, 0, 65535, 1)
    assert [frame(buffer) for _ in range(4)] == [payload(number) for number in (65534, 65535, 0, 1)]


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_first_packet_waits_for_the_depth(depth):
    buffer = JitterBuffer(depth)
    played = run(buffer, [True] * 10)
    assert played == [None] * depth + [payload(number) for number in range(10 - depth)]
    assert buffer.state is State.PLAYING


def test_a_packet_that_is_missing_is_concealed_in_its_length():
    buffer = JitterBuffer(1)
    for number in (1, 3):
        buffer.push(number, payload(number), 480)
    frame(buffer)
    assert [frame(buffer), buffer.pop(), buffer.packet_samples, buffer.pop()] == [payload(1), Lost.LOST, 480, payload(3)]
    assert buffer.statistics.concealed == 1


def test_a_late_packet_is_dropped_and_delays_what_follows_by_a_frame():
    buffer = playing(1, 3, 4, depth=2)
    assert [frame(buffer), frame(buffer)] == [payload(1), Lost.LOST]
    buffer.push(2, payload(2))
    assert (buffer.statistics.late, buffer.depth_frames) == (1, 3)
    assert [frame(buffer), frame(buffer)] == [Lost.DRY, payload(3)]


def test_one_burst_of_late_packets_is_one_reason_to_wait_longer():
    buffer = playing(1, 5, 6)
    assert [frame(buffer) for _ in range(4)] == [payload(1), *[Lost.LOST] * 3]
    for number in (2, 3, 4):
        buffer.push(number, payload(number))
    assert (buffer.statistics.late, buffer.depth_frames) == (3, 2)


def test_a_packet_that_comes_after_a_dry_moment_goes_on_where_the_audio_stopped():
    buffer = JitterBuffer(1)
    assert run(buffer, [True, True, False, False, (2, 3, 4), True], 0) == [None, payload(0), payload(1), Lost.DRY, payload(2), payload(3)]
    assert buffer.depth_frames == 2


def test_what_was_concealed_in_a_dry_moment_is_not_concealed_again_when_it_turns_out_to_be_lost():
    buffer = JitterBuffer(1)
    assert run(buffer, [True, True, False, False, (4, 5), (6,)]) == [None, payload(0), payload(1), Lost.DRY, Lost.LOST, payload(4)]


def test_a_talk_spurt_that_ends_without_a_word_is_concealed_for_60_ms_and_the_next_waits_anew():
    buffer = JitterBuffer(1)
    played = run(buffer, [True, True] + [False] * 6)
    assert played == [None, payload(0), payload(1)] + [Lost.DRY] * 3 + [None] * 2
    assert run(buffer, [True, True, True], 20) == [None, payload(20), payload(21)]
    assert buffer.depth_frames == 1


def test_a_talk_spurt_that_ends_with_comfort_noise_or_a_key_is_over_at_once():
    buffer = JitterBuffer(1)
    run(buffer, [True, True])
    buffer.leave_out(2)
    assert [frame(buffer) for _ in range(3)] == [payload(1), None, None]
    assert buffer.statistics.concealed == 0


def test_packets_of_keys_in_between_take_no_time_and_are_no_loss():
    buffer = playing(1)
    buffer.leave_out(2)
    buffer.leave_out(3)
    buffer.push(4, payload(4))
    assert [frame(buffer), frame(buffer)] == [payload(1), payload(4)]


def test_after_an_outage_what_was_lost_meanwhile_is_not_made_up():
    buffer = JitterBuffer(1)
    run(buffer, [True, True] + [False] * 40)
    assert run(buffer, [True, True, True], 60) == [None, payload(60), payload(61)]


def test_duplicates_play_once():
    buffer = playing(1, 2)
    buffer.push(2, b"a")
    assert frame(buffer) == payload(1)
    buffer.push(1, b"a")
    assert frame(buffer) == payload(2)
    assert buffer.statistics.duplicates == 2


def test_stream_that_begins_anew_begins_anew():
    buffer = JitterBuffer(1)
    buffer.push(1, b"1")
    buffer.push(30000, b"x")
    assert [frame(buffer), frame(buffer)] == [None, b"x"]
    assert buffer.statistics.discarded == 1


def test_depth_shrinks_after_a_long_calm_and_the_delay_with_it():
    buffer = JitterBuffer(4)
    run(buffer, [True] * (CALM_FRAMES + 70))
    assert buffer.depth_frames == 3
    assert buffer.statistics.discarded == 1
    assert buffer.held_samples == 3 * 160


def test_a_sender_whose_clock_is_fast_does_not_fill_the_buffer():
    """1 % is more than any two crystals differ by."""
    buffer = JitterBuffer(2)
    number = 0
    for tick in range(5000):
        for _ in range(2 if tick % 100 == 99 else 1):
            buffer.push(number & 0xFFFF, payload(number))
            number += 1
        frame(buffer)
    assert buffer.statistics.discarded == pytest.approx(50, abs=4)
    assert buffer.statistics.most_held_samples <= 6 * 160
    assert buffer.statistics.concealed == 0


def test_a_sender_whose_clock_is_slow_is_waited_for():
    buffer = JitterBuffer(2)
    number = 0
    for tick in range(5000):
        if tick % 100 != 99:
            buffer.push(number & 0xFFFF, payload(number))
            number += 1
        frame(buffer)
    assert buffer.statistics.played >= number - 4
    assert buffer.statistics.concealed == pytest.approx(50, abs=4)
    assert MIN_FRAMES <= buffer.depth_frames <= MAX_FRAMES


def test_what_gathered_in_a_standstill_of_the_line_is_given_back_within_seconds():
    buffer = JitterBuffer(2)
    run(buffer, [True] * 20)
    run(buffer, [False] * 14)
    for number in range(20, 34):
        buffer.push(number, payload(number))
    for number in range(34, 234):
        buffer.push(number, payload(number))
        frame(buffer)
    assert buffer.held_samples <= 5 * 160


def test_buffer_never_holds_more_than_twice_its_maximum():
    buffer = JitterBuffer(2)
    for number in range(200):
        buffer.push(number, payload(number))
    assert len(buffer) <= 2 * MAX_FRAMES


def test_what_audio_waits_is_measured():
    buffer = JitterBuffer(3)
    run(buffer, [True] * 103)
    assert buffer.statistics.mean_ms == pytest.approx(80)  # depth, and the frame that is just taken
    assert buffer.statistics.most_ms == 80


@pytest.mark.parametrize("depth", [0, 11])
def test_impossible_depth_is_refused(depth):
    with pytest.raises(ValueError, match="depth"):
        JitterBuffer(depth)


class BufferMachine(RuleBasedStateMachine):
    """Packets in any order, lost, late and doubled, keys between them, play-out at any time."""

    def __init__(self):
        super().__init__()
        self.buffer = JitterBuffer(2)
        self.pushed = 0
        self.popped_frames = 0
        self.newest = 65500
        self.last_played = None

    @rule(ahead=st.integers(0, 4))
    def next_packets(self, ahead):
        self.newest += 1 + ahead
        self.push(self.newest)

    @rule(back=st.integers(0, 12))
    def old_packet(self, back):
        self.push(self.newest - back)

    @rule()
    def key(self):
        self.newest += 1
        self.buffer.leave_out(self.newest & 0xFFFF)

    def push(self, number):
        self.pushed += 1
        self.buffer.push(number & 0xFFFF, payload(number))

    @rule()
    def play(self):
        played = frame(self.buffer)
        if isinstance(played, bytes):
            number = int.from_bytes(played, "big")
            assert self.last_played is None or number > self.last_played
            self.last_played = number
            self.popped_frames += 1

    @invariant()
    def every_packet_is_accounted_for(self):
        counted = self.buffer.statistics
        waiting = self.buffer.held_samples // 160
        assert counted.played == self.popped_frames
        assert counted.played + counted.late + counted.duplicates + counted.discarded + waiting == self.pushed

    @invariant()
    def it_is_bounded(self):
        assert 0 <= self.buffer.held_samples <= 2 * MAX_FRAMES * 160
        assert MIN_FRAMES <= self.buffer.depth_frames <= MAX_FRAMES


BufferMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestBufferMachine = pytest.mark.slow(BufferMachine.TestCase)
