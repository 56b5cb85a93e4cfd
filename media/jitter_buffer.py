"""Adaptive jitter buffer: packets in any order to what is played each 20 ms (house; sequence numbers as RFC 3550 §5.1).

Pure: the caller says `tick` every 20 ms, then asks `pop` until it has 20 ms of audio; it calls `push` for each packet that comes.

| what happens                                                 | is                                                                  |
|--------------------------------------------------------------|---------------------------------------------------------------------|
| the first packet of a talk-spurt                             | BUFFERING until it has waited `depth_frames` whole ticks            |
| a packet is missing, later ones are there                    | lost: its length is concealed                                       |
| nothing is there                                             | concealed for 60 ms at most, in place of the packets that then turn |
|                                                              | out to be lost; else the delay has grown by it                      |
| nothing is there after that, or a noise or key packet was    | the talk-spurt is over: BUFFERING                                   |
| the newest one                                               |                                                                     |
| a packet comes too late to be played, or after a dry moment  | the depth grows by a frame, once in 100 ms at most                  |
| no such thing for 10 s                                       | the depth shrinks by a frame                                        |
| more is there than the depth for a whole second              | a packet is left out: a clock that runs faster, or a burst          |
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from media.comfort_noise import Hush
from media.frame import FRAME_SAMPLES, PTIME_MS
from media.rtp.sequence import sequence_distance

MIN_FRAMES = 1
MAX_FRAMES = 10
"""20 to 200 ms; beyond that talking at each other is worse than loss (G.114: 150 ms one way)."""
CALM_FRAMES = 500
"""10 s without a late packet before the depth shrinks by one frame."""
MAX_AHEAD = 100
"""A packet two seconds ahead of play-out is another stream: begin anew."""
DRY_SAMPLES = 3 * FRAME_SAMPLES
"""What concealment bridges before it is silent (G.711 Appendix I: 60 ms)."""
WATCHED_FRAMES = 50
"""More than the depth for so long is no jitter. Far more than it (`_FAR_FRAMES`) is given back sooner."""
_SOON_FRAMES = 10
_FAR_FRAMES = 3
_GROWS_EACH_FRAMES = 5
"""One delay on the line makes several packets late: it is one reason to grow, not several."""


class State(Enum):
    BUFFERING = auto()
    PLAYING = auto()


class Lost(Enum):
    """In place of a packet: conceal."""

    LOST = auto()
    """`JitterBuffer.packet_samples`, the length of the packet that is missing."""
    DRY = auto()
    """One frame: nothing has come."""


@dataclass(slots=True)
class JitterStatistics:
    """What happened so far; every packet pushed is counted in exactly one of the first four, or is still in the buffer."""

    played: int = 0
    late: int = 0
    duplicates: int = 0
    discarded: int = 0
    """Thrown away when the buffer was too full or the stream began anew."""
    concealed: int = 0
    """Times that something had to be made up."""
    ticks: int = 0
    """While it played."""
    held_samples: int = 0
    """Sum over `ticks` of what was in the buffer."""
    most_held_samples: int = 0

    @property
    def mean_ms(self) -> float:
        """What audio waited in the buffer, on average."""
        return self.held_samples * PTIME_MS / FRAME_SAMPLES / self.ticks if self.ticks else 0.0

    @property
    def most_ms(self) -> float:
        """The most that it waited."""
        return self.most_held_samples * PTIME_MS / FRAME_SAMPLES


class JitterBuffer:
    """One stream's buffer. Lengths are in samples at 8 kHz, 160 a frame, whatever the RTP clock."""

    def __init__(self, depth_frames: int = 2, *, maximum_frames: int = MAX_FRAMES, statistics: JitterStatistics | None = None) -> None:
        if not MIN_FRAMES <= depth_frames <= maximum_frames:
            raise ValueError(f"depth {depth_frames} is not between {MIN_FRAMES} and {maximum_frames}")
        self.state = State.BUFFERING
        self.depth_frames = depth_frames
        """The delay that is wanted: each packet waits so many whole ticks at least."""
        self.held_samples = 0
        """Of audio that is in it."""
        self.packet_samples = FRAME_SAMPLES
        """Length of the newest packet."""
        self.statistics = statistics or JitterStatistics()
        self._maximum = maximum_frames
        self._packets: dict[int, tuple[bytes, int] | Hush | None] = {}  # no tuple: what is no audio, and takes no time
        self._next = 0
        self._played: deque[int] = deque(maxlen=MAX_AHEAD)
        self._waited = 0
        self._calm = 0
        self._since_growth = _GROWS_EACH_FRAMES
        self._dry_samples = 0
        self._to_insert = 0
        self._is_over = False
        self._watched = 0
        self._least = 0

    @property
    def waiting_frames(self) -> int:
        """Ticks after which all that is in it now has been played."""
        if not self._packets:
            return 0
        frames = -(-self.held_samples // FRAME_SAMPLES)
        return frames + (self._to_insert if self.state is State.PLAYING else self.depth_frames + 1 - self._waited)

    def __len__(self) -> int:
        return len(self._packets)

    def push(self, sequence_number: int, payload: bytes, samples: int = FRAME_SAMPLES) -> None:
        """A packet came."""
        if not self._has_place(sequence_number):
            return
        self._packets[sequence_number] = (payload, samples)
        self.packet_samples = samples
        self.held_samples += samples
        while self.held_samples > 2 * self._maximum * FRAME_SAMPLES and len(self._packets) > 1:
            if self.state is State.BUFFERING:
                self._next = self._lowest()
            self._skip_one()

    def leave_out(self, sequence_number: int, hush: Hush | None = None) -> bool:
        """A packet came that is none of audio: comfort noise, a key. It is not lost, and ends the talk-spurt where nothing follows.

        Returns: whether it is in force at once: it is not late, and there is nothing before it. Else `pop` gives the noise in its turn.
        """
        if not self._has_place(sequence_number, counts=False):
            return False
        if self._packets or self.state is State.PLAYING:
            self._packets[sequence_number] = hush
            return False
        return True

    def _has_place(self, number: int, *, counts: bool = True) -> bool:
        """Whether a packet of that number is still to be played."""
        if self.state is State.PLAYING:
            ahead = sequence_distance(number, self._next)
        elif self._played:
            ahead = sequence_distance(number, self._played[-1]) - 1
        elif self._packets:
            ahead = abs(sequence_distance(number, next(iter(self._packets))))
        else:
            return True
        if abs(ahead) > MAX_AHEAD:
            self.restart()
        elif number in self._packets or (ahead < 0 and number in self._played):
            self.statistics.duplicates += counts
            return False
        elif ahead < 0:
            if counts:
                self.statistics.late += 1
                self._deepen()
            return False
        return True

    @property
    def following(self) -> bytes | None:
        """The packet that is next, where it is here: what was lost just before it may be in there as well."""
        packet = self._packets.get(self._next)
        return packet[0] if isinstance(packet, tuple) else None

    def end_spurt(self) -> None:
        """The packet that was taken last says that nothing follows for a while: what does not come then is no loss."""
        self._is_over = True

    def tick(self) -> None:
        """20 ms went by; `pop` is asked for their audio next."""
        self._since_growth += 1
        if self.state is State.BUFFERING:
            if self.held_samples:
                self._waited += 1
                if self._waited > self.depth_frames:
                    self._begin()
            return
        statistics, held = self.statistics, self.held_samples
        statistics.ticks += 1
        statistics.held_samples += held
        statistics.most_held_samples = max(statistics.most_held_samples, held)
        self._calm += 1
        if self._calm >= CALM_FRAMES:
            self._calm = 0
            self.depth_frames = max(MIN_FRAMES, self.depth_frames - 1)
        self._least = min(self._least, held)
        self._watched += 1
        if self._watched >= _SOON_FRAMES:
            self._give_back()

    def _give_back(self) -> None:
        """Leave a packet out where more is there than wanted; what is there just before a `pop` is the depth and the frame it takes."""
        spare = self._least - (self.depth_frames + 1) * FRAME_SAMPLES
        if spare >= self.packet_samples and (self._watched >= WATCHED_FRAMES or spare >= _FAR_FRAMES * FRAME_SAMPLES):
            self._skip_one()
        elif self._watched < WATCHED_FRAMES:
            return
        self._watch_anew()

    def _watch_anew(self) -> None:
        self._watched, self._least = 0, 1 << 30

    def _begin(self) -> None:
        self.state = State.PLAYING
        self._next = self._lowest()
        self._dry_samples = self._to_insert = 0
        self._is_over = False
        self._watch_anew()

    def _lowest(self) -> int:
        first = next(iter(self._packets))
        return min(self._packets, key=lambda number: sequence_distance(number, first))

    def pop(self) -> bytes | Lost | Hush | None:
        """What to play next: a payload, something to conceal, or None for silence; or what that silence is from now on: ask again."""
        if self.state is State.BUFFERING:
            return None
        if self._to_insert:
            self._to_insert -= 1
            self.statistics.concealed += 1
            return Lost.DRY
        while self._packets:
            number, self._next = self._next, (self._next + 1) & 0xFFFF
            if number in self._packets:
                packet = self._packets.pop(number)
                self._played.append(number)
                if not isinstance(packet, tuple):
                    self._is_over = True
                    if packet is None:
                        continue
                    return packet
                if self._dry_samples:
                    self._dry_samples = 0
                    self._deepen()
                    self._to_insert = 0  # that delay is there already
                self._is_over = False
                self.held_samples -= packet[1]
                self.statistics.played += 1
                return packet[0]
            if self._dry_samples >= self.packet_samples:
                self._dry_samples -= self.packet_samples  # was concealed before it was known to be lost
                continue
            self._dry_samples = 0
            self.statistics.concealed += 1
            return Lost.LOST
        if self._is_over or self._dry_samples >= DRY_SAMPLES:
            self._rest()
            return None
        self._dry_samples += FRAME_SAMPLES
        self.statistics.concealed += 1
        return Lost.DRY

    def _rest(self) -> None:
        self.state = State.BUFFERING
        self._waited = 0

    def _deepen(self) -> None:
        self._calm = 0
        if self._since_growth < _GROWS_EACH_FRAMES:
            return
        self._since_growth = 0
        if self.depth_frames < self._maximum:
            self.depth_frames += 1
            if self.state is State.PLAYING:
                self._to_insert += 1

    def _skip_one(self) -> None:
        """Play-out leaps over the next packet."""
        number, self._next = self._next, (self._next + 1) & 0xFFFF
        packet = self._packets.pop(number, None)
        if isinstance(packet, tuple):
            self.held_samples -= packet[1]
            self.statistics.discarded += 1
            self._played.append(number)

    def restart(self) -> None:
        """Another stream begins, or what is in it shall not be heard."""
        self.statistics.discarded += sum(isinstance(packet, tuple) for packet in self._packets.values())
        self._packets.clear()
        self._played.clear()
        self.held_samples = 0
        self._rest()
