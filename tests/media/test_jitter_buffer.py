"""The jitter buffer: order restored, late ones dropped, depth adapted; a state machine of Hypothesis against a model."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from media.jitter_buffer import CALM_FRAMES, MAX_FRAMES, JitterBuffer, Lost, State


def payload(number):
    return number.to_bytes(4, "big")


def test_plays_in_order_what_came_in_disorder_across_the_wrap():
    buffer = JitterBuffer(3)
    for number in (65534, 0, 65535, 1):
        buffer.push(number, payload(number))
    assert [buffer.pop() for _ in range(4)] == [payload(number) for number in (65534, 65535, 0, 1)]


def test_nothing_is_played_before_the_depth_is_reached():
    buffer = JitterBuffer(3)
    buffer.push(1, b"1")
    buffer.push(2, b"2")
    assert buffer.pop() is None
    buffer.push(3, b"3")
    assert (buffer.pop(), buffer.state) == (b"1", State.PLAYING)


def test_missing_frame_is_to_be_concealed():
    buffer = JitterBuffer(2)
    for number in (1, 3, 4):
        buffer.push(number, payload(number))
    assert [buffer.pop() for _ in range(3)] == [payload(1), Lost.LOST, payload(3)]
    assert buffer.statistics.lost == 1


def test_late_packet_is_dropped_and_deepens_the_buffer():
    buffer = JitterBuffer(2)
    for number in (1, 3, 4):
        buffer.push(number, payload(number))
    buffer.pop()
    buffer.pop()
    buffer.push(2, payload(2))
    assert (buffer.statistics.late, buffer.depth_frames) == (1, 3)
    assert buffer.pop() == payload(3)


def test_duplicates_play_once():
    buffer = JitterBuffer(1)
    buffer.push(1, b"a")
    buffer.push(1, b"a")
    assert buffer.pop() == b"a"
    buffer.push(1, b"a")
    assert buffer.pop() is None
    assert buffer.statistics.duplicates == 2


def test_under_run_gathers_again():
    buffer = JitterBuffer(2)
    buffer.push(1, b"1")
    buffer.push(2, b"2")
    assert [buffer.pop() for _ in range(3)] == [b"1", b"2", None]
    assert buffer.state is State.BUFFERING
    buffer.push(3, b"3")
    assert buffer.pop() is None


def test_stream_that_begins_anew_begins_anew():
    buffer = JitterBuffer(1)
    buffer.push(1, b"1")
    buffer.push(30000, b"x")
    assert buffer.pop() == b"x"
    assert buffer.statistics.discarded == 1


def test_depth_shrinks_after_a_long_calm():
    buffer = JitterBuffer(4)
    for number in range(6):
        buffer.push(number, payload(number))
    for number in range(6, CALM_FRAMES + 6):
        buffer.pop()
        buffer.push(number, payload(number))
    assert buffer.depth_frames == 3
    assert buffer.statistics.discarded == 1


def test_buffer_never_holds_more_than_twice_its_maximum():
    buffer = JitterBuffer(2)
    for number in range(200):
        buffer.push(number, payload(number))
    assert len(buffer) <= 2 * MAX_FRAMES


@pytest.mark.parametrize("depth", [0, 11])
def test_impossible_depth_is_refused(depth):
    with pytest.raises(ValueError, match="depth"):
        JitterBuffer(depth)


class BufferMachine(RuleBasedStateMachine):
    """Packets in any order, lost, late and doubled, play-out at any time."""

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

    def push(self, number):
        self.pushed += 1
        self.buffer.push(number & 0xFFFF, payload(number))

    @rule()
    def play(self):
        frame = self.buffer.pop()
        if isinstance(frame, bytes):
            number = int.from_bytes(frame, "big")
            assert self.last_played is None or number > self.last_played
            self.last_played = number
            self.popped_frames += 1

    @invariant()
    def every_packet_is_accounted_for(self):
        counted = self.buffer.statistics
        assert counted.played == self.popped_frames
        assert counted.played + counted.late + counted.duplicates + counted.discarded + len(self.buffer) == self.pushed


BufferMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestBufferMachine = pytest.mark.slow(BufferMachine.TestCase)
