"""What a party hears, counted exactly: RFC 3550 A.1 and A.3 for sequence numbers, and the same for the stamps parties put into their audio.

A gap in RTP sequence numbers says that the way from the service lost a packet. A stamp, the number of the call and a counter
in the payload, says more: whether the audio came through from end to end, and whether it reached the right party.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from load.records import RtpFigures

MAX_DROPOUT = 3000
"""RFC 3550 A.1: a larger step is a new beginning, not a loss."""
WINDOW = 64
"""Packets a late one may be behind and still be told from a duplicate."""
_FULL = (1 << WINDOW) - 1
AGENT_SIDE = 1 << 31
"""Set in the stamp of an agent: both parties of a call have its key, and one hears the other's."""
LATENCY_BINS = 200

RECEIVED = np.dtype([("stream", "i4"), ("ssrc", "u4"), ("sequence", "u2"), ("stamp", "i8"), ("counter", "u4"), ("latency_us", "i8")])
"""One received packet; `stamp` -1: none (music, prompts)."""


class Numbers:
    """Numbers that should come one by one and wrap at 2^bits: how many are missing, late, twice."""

    __slots__ = ("_half", "_mask", "_window", "begun", "duplicate", "first", "highest", "late", "received", "restarts", "set_aside")

    def __init__(self, bits: int) -> None:
        self._mask = (1 << bits) - 1
        self._half = 1 << (bits - 1)
        self.begun = False
        self.first = self.highest = 0
        self._window = 0
        self.received = 0
        """Different numbers since `first`."""
        self.duplicate = 0
        self.late = 0
        self.restarts = 0
        self.set_aside = 0
        """Lost before the last restart."""

    @property
    def lost(self) -> int:
        """RFC 3550 A.3: expected less received, with duplicates not set off."""
        return self.set_aside + (self.highest - self.first + 1 - self.received if self.begun else 0)

    def run(self, number: int, count: int) -> bool:
        """Take `count` numbers in unbroken order if they go on where the last left off; False: they do not, nothing was taken."""
        if self.begun and number != (self.highest + 1) & self._mask:
            return False
        if not self.begun:
            self._begin(number)
            self.run(number + 1 & self._mask, count - 1)
            return True
        self.highest += count
        self.received += count
        self._window = (self._window << count | (1 << count) - 1) & _FULL if count < WINDOW else _FULL
        return True

    def one(self, number: int) -> None:
        """Take one number, whatever it is."""
        if not self.begun:
            self._begin(number)
            return
        step = ((number - self.highest + self._half) & self._mask) - self._half
        if abs(step) >= MAX_DROPOUT:
            self.set_aside = self.lost
            self.restarts += 1
            self._begin(number)
        elif step > 0:
            self.highest += step
            self.received += 1
            self._window = (self._window << step | 1) & _FULL if step < WINDOW else 1
        elif -step < WINDOW and self._window >> -step & 1:
            self.duplicate += 1
        elif -step >= WINDOW:
            self.late += 1  # too old to know whether it is new; counted late, left lost
        else:
            self._window |= 1 << -step
            self.late += 1
            self.received += 1
            self.first = min(self.first, self.highest + step)

    def _begin(self, number: int) -> None:
        self.begun = True
        self.first = self.highest = number
        self.received = 1
        self._window = 1


class StreamWatch:
    """Everything one party heard during one call."""

    __slots__ = ("_heard", "_stamps", "crossed", "expected_stamp", "latency", "marked", "packets")

    def __init__(self, expected_stamp: int) -> None:
        self.expected_stamp = expected_stamp
        self.packets = 0
        self.marked = 0
        self.crossed = 0
        self.latency = np.zeros(LATENCY_BINS, dtype=np.int64)
        self._heard: dict[int, Numbers] = {}
        """By SSRC."""
        self._stamps: dict[int, Numbers] = {}
        """By stamp: a conference, or a transfer, brings several."""

    def absorb(self, received: NDArray[np.void]) -> None:
        """Take packets of this stream, in the order they came; shape (packets,), dtype `RECEIVED`."""
        self.packets += len(received)
        _take(self._heard, received["ssrc"], received["sequence"], 16)
        marked = received[received["stamp"] >= 0]
        if not len(marked):
            return
        self.marked += len(marked)
        self.crossed += int(np.count_nonzero(marked["stamp"] != self.expected_stamp))
        _take(self._stamps, marked["stamp"], marked["counter"], 32)
        bins = np.clip(marked["latency_us"] // 1000, 0, LATENCY_BINS - 1)
        self.latency += np.bincount(bins, minlength=LATENCY_BINS)

    def figures(self, sent: int, connected_s: float) -> RtpFigures:
        """The account of the call. Half a second of talk without a single stamp is one-way audio; less proves nothing."""
        heard, stamps = self._heard.values(), self._stamps.values()
        filled = np.flatnonzero(self.latency)
        return RtpFigures(
            streams=1,
            sent=sent,
            received=self.packets,
            lost=sum(one.lost for one in heard),
            duplicate=sum(one.duplicate for one in heard),
            late=sum(one.late for one in heard),
            marked_received=self.marked,
            marked_lost=sum(one.lost for one in stamps),
            crossed=self.crossed,
            silent_streams=int(connected_s >= 0.5 and not self.marked),
            latency_ms=tuple(int(n) for n in self.latency[: filled[-1] + 1]) if len(filled) else (),
        )


def _take(numbers: dict[int, Numbers], keys: NDArray[np.integer], values: NDArray[np.integer], bits: int) -> None:
    """Give each key its values, whole runs at once: a second of sound audio costs one call a stream, not fifty."""
    for key in [int(keys[0])] if (keys == keys[0]).all() else [int(key) for key in np.unique(keys)]:
        mine = values[keys == key].astype(np.int64)
        counter = numbers.get(key)
        if counter is None:
            counter = numbers[key] = Numbers(bits)
        unbroken = bool((np.diff(mine) & ((1 << bits) - 1) == 1).all())
        if not (unbroken and counter.run(int(mine[0]), len(mine))):
            for value in mine.tolist():
                counter.one(value)


def by_stream(received: NDArray[np.void]) -> list[tuple[int, NDArray[np.void]]]:
    """Split packets by stream, each in the order they came."""
    order = np.argsort(received["stream"], kind="stable")
    ordered = received[order]
    streams, starts = np.unique(ordered["stream"], return_index=True)
    return list(zip((int(stream) for stream in streams), np.split(ordered, starts[1:]), strict=True))
