"""Adaptive jitter buffer: packets in any order to one frame each 20 ms (house; sequence numbers as RFC 3550 §5.1).

Two states: BUFFERING until the wanted depth is reached, then PLAYING. The depth follows the line: it grows at once when a packet
came too late to be played, and shrinks by one frame after a long calm. `pop` says what to play: a frame, or that one is lost, or nothing.
Pure: the caller calls `pop` every 20 ms and `push` for each packet.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from media.rtp.sequence import sequence_distance

MIN_FRAMES = 1
MAX_FRAMES = 10
"""20 to 200 ms; beyond that talking at each other is worse than loss (G.114: 150 ms one way)."""
CALM_FRAMES = 500
"""10 s without a late packet before the depth shrinks by one frame."""
MAX_AHEAD = 100
"""A packet two seconds ahead of play-out is another stream: begin anew."""


class State(Enum):
    BUFFERING = auto()
    PLAYING = auto()


class Lost(Enum):
    """In place of a frame: conceal one frame."""

    LOST = auto()


@dataclass(slots=True)
class JitterStatistics:
    """What happened so far; every packet pushed is counted in exactly one of the first four, or is still in the buffer."""

    played: int = 0
    late: int = 0
    duplicates: int = 0
    discarded: int = 0
    """Thrown away when the buffer was too full or the stream began anew."""
    lost: int = 0


class JitterBuffer:
    """One stream's buffer."""

    def __init__(self, depth_frames: int = 2, *, maximum_frames: int = MAX_FRAMES) -> None:
        if not MIN_FRAMES <= depth_frames <= maximum_frames:
            raise ValueError(f"depth {depth_frames} is not between {MIN_FRAMES} and {maximum_frames}")
        self.state = State.BUFFERING
        self.depth_frames = depth_frames
        self.statistics = JitterStatistics()
        self._maximum = maximum_frames
        self._frames: dict[int, bytes] = {}
        self._next: int | None = None
        self._played: deque[int] = deque(maxlen=MAX_AHEAD)
        self._calm = 0

    def __len__(self) -> int:
        return len(self._frames)

    def push(self, sequence_number: int, payload: bytes) -> None:
        """A packet came."""
        if sequence_number in self._frames or sequence_number in self._played:
            self.statistics.duplicates += 1
            return
        if self._next is not None:
            distance = sequence_distance(sequence_number, self._next)
            if abs(distance) > MAX_AHEAD:
                self._restart()
            elif distance < 0:
                if self.state is State.PLAYING or not self._is_after_played(sequence_number):
                    self.statistics.late += 1
                    self._calm = 0
                    self.depth_frames = min(self._maximum, self.depth_frames + 1)
                    return
                self._next = sequence_number
        if self._next is None:
            self._next = sequence_number
        self._frames[sequence_number] = payload
        if len(self._frames) > 2 * self._maximum:
            self._skip_one()

    def pop(self) -> bytes | Lost | None:
        """What to play for the next 20 ms: a payload, `Lost.LOST` to conceal, or None for silence while buffering."""
        if self.state is State.BUFFERING:
            if len(self._frames) < self.depth_frames:
                return None
            self.state = State.PLAYING
        if self._next is None or not self._frames:
            # Under-run: the talk-spurt is over or the line is gone; gather again before playing on.
            self.state = State.BUFFERING
            return None
        self._calm += 1
        if self._calm >= CALM_FRAMES and len(self._frames) > self.depth_frames > MIN_FRAMES:
            self._calm = 0
            self.depth_frames -= 1
            self._skip_one()
            if not self._frames:
                return None
        number, self._next = self._next, (self._next + 1) & 0xFFFF
        payload = self._frames.pop(number, None)
        if payload is None:
            self.statistics.lost += 1
            return Lost.LOST
        self._played.append(number)
        self.statistics.played += 1
        return payload

    def _is_after_played(self, sequence_number: int) -> bool:
        return not self._played or sequence_distance(sequence_number, self._played[-1]) > 0

    def _skip_one(self) -> None:
        """Play-out leaps one number ahead to give back 20 ms of delay."""
        if self._next is None:
            return
        if self._frames.pop(self._next, None) is not None:
            self.statistics.discarded += 1
            self._played.append(self._next)
        self._next = (self._next + 1) & 0xFFFF

    def _restart(self) -> None:
        self.statistics.discarded += len(self._frames)
        self._frames.clear()
        self._played.clear()
        self._next = None
        self.state = State.BUFFERING
