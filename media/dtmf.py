"""DTMF: telephone-event in and out (RFC 4733 §2), and a detector for tones in band (Q.24, Goertzel's filters as one matrix product)."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

import numpy as np

from media.errors import ParseError
from media.frame import FRAME_SAMPLES, PTIME_MS, SAMPLE_RATE, Samples
from media.tones import DTMF_COLUMNS_HZ, DTMF_KEYS, DTMF_ROWS_HZ

DIGITS = "0123456789*#ABCD"
"""RFC 4733 §3.2 table 3: event codes 0-15 in this order."""
END_REPEATS = 3
"""§2.5.1.4: the final packet "SHOULD be sent a total of three times at the interval used by the source for updates"."""
VOLUME = 10
"""-10 dBm0, a usual level (§2.3.4)."""
_PAYLOAD = Struct("!BBH")
_PAYLOAD_OCTETS = 4


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """RFC 4733 §2.3, figure 1."""

    code: int
    is_end: bool
    volume: int
    duration: int
    """In timestamp units since the event began."""

    def __bytes__(self) -> bytes:
        return _PAYLOAD.pack(self.code, self.is_end << 7 | self.volume, self.duration)


def parse_event(payload: bytes) -> TelephoneEvent:
    """The first event block of a payload.

    Raises: ParseError: fewer than four octets.
    """
    if len(payload) < _PAYLOAD_OCTETS:
        raise ParseError(f"telephone-event of {len(payload)} octets")
    code, second, duration = _PAYLOAD.unpack_from(payload)
    return TelephoneEvent(code, bool(second & 0x80), second & 0x3F, duration)


@dataclass(frozen=True, slots=True)
class Digit:
    """A key that was pressed."""

    digit: str
    duration_ms: int


class EventReceiver:
    """Packets of telephone-event to digits, one a key press: at its end, when the next begins, or when `expire` finds it gone quiet.

    RFC 4733 §2.5.1.1 tells presses apart by their timestamp. What devices make of that, and what counts:

    | what comes                                                              | is                              |
    |-------------------------------------------------------------------------|---------------------------------|
    | same timestamp and code: updates, the end three times, duplicates       | the same press                  |
    | another code; the same code with the marker, or as of the last row      | a new press                     |
    | end packets right behind an end, the timestamp moved, no shorter        | the same press                  |
    | updates and ends right behind, the timestamp moved, the duration grows  | the same press                  |
    | no end yet, and the timestamp is where the duration had come to         | the same press: §2.5.1.3, a key |
    |                                                                         | held for longer than 8 s        |
    | no packet for `QUIET_S`: all ends were lost                             | the end; what comes later of it |
    |                                                                         | counts no more                  |
    | a number below the newest: it was overtaken                             | nothing, its press is known     |
    | the timestamp of a press that has ended, with the marker, begun anew    | a new press                     |
    | anything else                                                           | a new press                     |
    """

    __slots__ = ("_before", "_clock_rate", "_code", "_duration", "_ended", "_number", "_reported", "_timestamp", "heard_at", "press")

    QUIET_S = 0.2
    """All three end packets lost: ten intervals of 20 ms without an update mean that the key is up (house)."""

    def __init__(self, clock_rate: int = SAMPLE_RATE) -> None:
        self._clock_rate = clock_rate
        self.press = 0
        """How many there were, with the newest."""
        self._timestamp = -1
        self._code = -1
        self._before = 0  # duration of the segments before this one
        self._duration = 0
        self._number = -1
        self.heard_at = 0.0
        """When its last packet came."""
        self._ended = True
        self._reported = True

    @property
    def is_open(self) -> bool:
        """A key is down and not reported yet."""
        return not self._reported

    @property
    def digit(self) -> str:
        """The digit of the newest key press; empty before the first."""
        return DIGITS[self._code] if self._code >= 0 else ""

    @property
    def began(self) -> int:
        """The timestamp that all packets of the newest press, or of its segment, should have."""
        return self._timestamp

    def covers(self, timestamp: int) -> bool:
        """Whether the newest press lasted at that time."""
        return (timestamp - self._timestamp) & 0xFFFFFFFF < self._duration

    def mutes(self, timestamp: int, now: float) -> bool:
        """Whether audio of that time is not to be heard: a key is down, or was down then."""
        return not self._reported or (now - self.heard_at < self.QUIET_S and self.covers(timestamp))

    @property
    def newest(self) -> int:
        """The sequence number of the newest packet that was taken."""
        return self._number

    def run_at(self, clock_rate: int) -> tuple[Digit, ...]:
        """Timestamps and durations count so many ticks a second from now on (§2.1: as the audio's do); the digit that is over by that."""
        if clock_rate == self._clock_rate:
            return ()
        digits = self._close()
        self._clock_rate, self._duration = clock_rate, 0
        return digits

    def new_source(self) -> tuple[Digit, ...]:
        """Numbers and timestamps begin anew; the digit that is over by that."""
        self._number = -1
        digits = self._close()
        self._duration = 0
        return digits

    def renumbered(self) -> None:
        """The source numbers its packets anew, its time goes on."""
        self._number = -1

    def receive(self, timestamp: int, event: TelephoneEvent, now: float, *, number: int, marker: bool) -> tuple[Digit, ...]:
        """Take in one packet with its RTP timestamp, sequence number and marker; the digits that are over now."""
        if event.code >= len(DIGITS):
            return ()  # hook flash, fax and modem signals (§3.2, RFC 4734) are no digits
        ahead = (number - self._number) & 0xFFFF if self._number >= 0 else 1
        if ahead == 0 or ahead >= 0x8000:
            return ()
        self._number = number
        digits: tuple[Digit, ...] = ()
        if self._goes_on(timestamp, event, ahead, marker=marker):
            if not self._ended and event.duration < self._duration and timestamp != self._timestamp:
                self._timestamp, self._before, self._duration = timestamp, self._before + self._duration, 0
        else:
            digits = self._close()
            self.press += 1
            self._timestamp, self._code, self._before, self._duration = timestamp, event.code, 0, 0
            self._ended = self._reported = False
        self._duration = max(self._duration, event.duration)
        self.heard_at = now
        self._ended = self._ended or event.is_end
        return digits + self._close() if event.is_end else digits

    def _goes_on(self, timestamp: int, event: TelephoneEvent, ahead: int, *, marker: bool) -> bool:
        """Whether it is a packet of the newest press."""
        if event.code != self._code:
            return False
        if timestamp == self._timestamp:
            return not (self._ended and marker and not event.is_end and event.duration < self._duration)
        if marker:
            return False
        if event.duration >= self._duration and ahead <= END_REPEATS and (event.is_end or not self._ended):
            return True
        late = (timestamp - self._timestamp - self._duration) & 0xFFFFFFFF
        return not self._ended and min(late, 0x100000000 - late) <= self._clock_rate * PTIME_MS // 1000

    def expire(self, now: float) -> tuple[Digit, ...]:
        """What has gone quiet without an end."""
        return self._close() if now - self.heard_at >= self.QUIET_S else ()

    def _close(self) -> tuple[Digit, ...]:
        if self._reported:
            return ()
        self._reported = True
        return (Digit(DIGITS[self._code], round((self._before + self._duration) * 1000 / self._clock_rate)),)


@dataclass(frozen=True, slots=True)
class EventPacket:
    """One packet to send; all packets of a digit carry the timestamp of its beginning."""

    payload: bytes
    marker: bool


def event_packets(digit: str, duration_ms: int, ptime_ms: int = PTIME_MS, clock_rate: int = SAMPLE_RATE) -> tuple[EventPacket, ...]:
    """The packets of one digit, one every `ptime_ms`. What lasts longer than the field holds (8 s, beside Opus 1.3 s) says the most of it.

    Raises: ValueError: not one of 0-9 A-D * #.
    """
    code = DIGITS.find(digit) if len(digit) == 1 else -1
    if code < 0:
        raise ValueError(f"{digit!r} is no DTMF digit")
    updates = max(1, round(duration_ms / ptime_ms))
    step = ptime_ms * clock_rate // 1000
    packets = [
        EventPacket(bytes(TelephoneEvent(code, is_end=False, volume=VOLUME, duration=min(0xFFFF, update * step))), update == 1)
        for update in range(1, updates)
    ]
    end = bytes(TelephoneEvent(code, is_end=True, volume=VOLUME, duration=min(0xFFFF, updates * step)))
    packets += [EventPacket(end, updates == 1 and repeat == 0) for repeat in range(END_REPEATS)]
    return tuple(packets)


_SHIFTS = (0.988, 1.0, 1.012)
"""Q.24 wants +-1.5 % accepted; a frame of 20 ms resolves 50 Hz, so each frequency is listened to at three places and the best counts."""
_FREQUENCIES = np.outer(_SHIFTS, DTMF_ROWS_HZ + DTMF_COLUMNS_HZ).ravel()
_PHASES = 2 * np.pi * np.outer(_FREQUENCIES, np.arange(FRAME_SAMPLES)) / SAMPLE_RATE
_FILTERS = np.concatenate([np.cos(_PHASES), np.sin(_PHASES)])
"""Goertzel's filters at the end of a block are the DFT at those frequencies: one product of (48, 160) with a frame."""
_MINIMUM_POWER = (32768.0 * 10 ** (-36 / 20)) ** 2
"""Below -36 dBFS a tone is not accepted (Q.24: receivers work down to about -25 to -30 dBm0)."""
_PURITY = 0.72
"""Share of the frame's energy that must lie in the two tones: speech rarely reaches it."""
_TWIST = 10 ** (8 / 10)
"""Q.24: difference of the two levels, 4 to 10 dB by country."""
_DOMINANCE = 10 ** (6 / 10)
"""Over the next strongest of its group; rows lie 1.5 DFT bins apart, a true tone leaks at -11 dB at worst."""


class ToneDetector:
    """DTMF in band, frame by frame: a digit must last two frames (Q.24: >= 40 ms) and end with two frames without it."""

    def __init__(self) -> None:
        self._rest: Samples = np.zeros(0, dtype=np.int16)
        self._digit = ""
        self._frames = 0
        self._other = 0
        self._confirmed = False

    @property
    def sounding(self) -> str:
        """The digit that certainly sounds now, or the empty string."""
        return self._digit if self._confirmed else ""

    def end(self) -> tuple[Digit, ...]:
        """Nothing more is listened to; the digit that sounds is over."""
        return (Digit(self._digit, self._frames * PTIME_MS),) if self._confirmed else ()

    def receive(self, audio: Samples) -> tuple[Digit, ...]:
        """Audio in any cut; the digits that are over now."""
        if self._rest.size:
            audio = np.concatenate([self._rest, audio])
        digits: tuple[Digit, ...] = ()
        whole = audio.size // FRAME_SAMPLES * FRAME_SAMPLES
        for start in range(0, whole, FRAME_SAMPLES):
            digits += self._receive_frame(audio[start : start + FRAME_SAMPLES])
        self._rest = audio[whole:]
        return digits

    def _receive_frame(self, frame: Samples) -> tuple[Digit, ...]:
        heard = detect_frame(frame)
        if heard and heard == self._digit:
            self._frames += 1 + self._other
            self._other = 0
            self._confirmed = self._confirmed or self._frames >= 2
            return ()
        self._other += 1
        if self._digit and self._other < 2:
            return ()
        digits = (Digit(self._digit, self._frames * PTIME_MS),) if self._confirmed else ()
        self._digit, self._frames, self._other, self._confirmed = heard, 1 if heard else 0, 0, False
        return digits


def detect_frame(frame: Samples) -> str:
    """The digit that sounds in one frame of 160 samples, or the empty string."""
    if frame.size != FRAME_SAMPLES:
        return ""
    samples = frame.astype(np.float64)
    energy = float(samples @ samples)
    if energy < _MINIMUM_POWER * FRAME_SAMPLES:
        return ""
    parts = _FILTERS @ samples
    # |X|^2 * 2/N is the energy a sine of that frequency has in the frame.
    half = parts.size // 2
    powers = ((parts[:half] ** 2 + parts[half:] ** 2) * (2.0 / FRAME_SAMPLES)).reshape(len(_SHIFTS), 8).max(axis=0)
    rows, columns = powers[:4], powers[4:]
    row, column = int(np.argmax(rows)), int(np.argmax(columns))
    low, high = float(rows[row]), float(columns[column])
    if low + high < _PURITY * energy or low > high * _TWIST or high > low * _TWIST:
        return ""
    second_row, second_column = float(np.partition(rows, -2)[-2]), float(np.partition(columns, -2)[-2])
    if low < second_row * _DOMINANCE or high < second_column * _DOMINANCE:
        return ""
    return DTMF_KEYS[row][column]
