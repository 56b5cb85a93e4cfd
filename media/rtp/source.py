"""What is known of one synchronization source we receive: RFC 3550 A.1 (validity), A.3 (loss), A.8 (interarrival jitter).

Deviation: A.1's probation (two packets in sequence) is off by default, since the SDP announced this source and its first
20 ms are wanted. Deviation: A.3 counts duplicates as received and may show negative loss; here a duplicate is recognised
by the set of missing numbers and counted apart.
"""

from __future__ import annotations

from enum import Enum, auto

from media.frame import SAMPLE_RATE

MAX_DROPOUT = 3000
MAX_MISORDER = 100
"""RFC 3550 A.1: 50 packets/s for one minute, and two seconds."""
_NEW_TIME_BASE_S = 1.0
"""A step of transit above it is a new time base of the sender (hold, talk-spurt, re-INVITE), not jitter (house)."""


class Arrival(Enum):
    """What one packet was, seen from the numbers before it."""

    IN_ORDER = auto()
    LATE = auto()
    DUPLICATE = auto()
    RESTARTED = auto()
    """The source began a new numbering; whoever maps its numbers must begin anew."""
    INVALID = auto()
    """A jump not yet confirmed by a second packet in sequence: drop."""


_IN_ORDER = Arrival.IN_ORDER


class Source:
    """Receive state of one SSRC. `receive` is on the hot path: one call a packet, no allocation in the good case."""

    __slots__ = (
        "_bad_sequence",
        "_clock_rate",
        "_cycles",
        "_earlier_expected",
        "_earlier_received",
        "_expected_prior",
        "_first",
        "_jitter",
        "_missing",
        "_new_time_base",
        "_next",
        "_received_prior",
        "_transit",
        "late_or_duplicate",
        "received",
        "ssrc",
    )

    def __init__(self, ssrc: int, sequence_number: int, clock_rate: int = SAMPLE_RATE) -> None:
        self.ssrc = ssrc
        self.received = 0
        self.late_or_duplicate = 0
        self._earlier_expected = 0
        self._earlier_received = 0
        self.run_at(clock_rate)
        self._begin(sequence_number)
        self._expected_prior = 0
        self._received_prior = 0

    def run_at(self, clock_rate: int) -> None:
        """Its timestamps count so many ticks a second from now on; what was measured by another clock says nothing."""
        self._clock_rate = clock_rate
        self._new_time_base = _NEW_TIME_BASE_S * clock_rate
        self._jitter = 0.0
        self._transit: float | None = None

    def _begin(self, sequence_number: int) -> None:
        self._first = sequence_number
        self._next = sequence_number
        self._cycles = 0
        self._bad_sequence = -1
        self._missing: set[int] = set()
        self._transit = None

    def receive(self, sequence_number: int, timestamp: int, now: float) -> Arrival:
        """Count one packet that arrived at `now` (monotonic s)."""
        # A.8, in timestamp units. A duplicate or late packet moves no jitter: its transit is the network's, not the clock's.
        if sequence_number == self._next:
            self._next = sequence_number + 1
            if sequence_number == 0xFFFF:
                self._next = 0
                self._cycles += 0x10000
            self.received += 1
            arrival = _IN_ORDER
        else:
            arrival = self._receive_out_of_order(sequence_number)
            if arrival is not _IN_ORDER:
                return arrival
        transit = now * self._clock_rate - timestamp
        before = self._transit
        self._transit = transit
        if before is not None:
            step = transit - before if transit > before else before - transit
            if step < self._new_time_base:
                self._jitter += (step - self._jitter) * 0.0625
        return arrival

    @property
    def next_sequence_number(self) -> int:
        """The one that is expected."""
        return self._next

    def receive_untimed(self, sequence_number: int) -> Arrival:
        """Count a packet whose timestamp is not its sending time, as the repeats of RFC 4733 events."""
        if sequence_number != self._next:
            return self._receive_out_of_order(sequence_number)
        self._advance_to(sequence_number)
        self.received += 1
        return _IN_ORDER

    def _advance_to(self, sequence_number: int) -> None:
        self._next = (sequence_number + 1) & 0xFFFF
        if sequence_number == 0xFFFF:
            self._cycles += 0x10000

    def _receive_out_of_order(self, sequence_number: int) -> Arrival:
        ahead = (sequence_number - self._next) & 0xFFFF
        if ahead < MAX_DROPOUT:
            if sequence_number < self._next:
                self._cycles += 0x10000
            self._missing.update((self._next + step) & 0xFFFF for step in range(ahead))
            if len(self._missing) > MAX_DROPOUT:
                self._missing = {number for number in self._missing if (self._next - number) & 0xFFFF < MAX_DROPOUT}
            self._advance_to(sequence_number)
            self.received += 1
            return Arrival.IN_ORDER
        if ahead >= 0x10000 - MAX_MISORDER:
            self.late_or_duplicate += 1
            if sequence_number in self._missing:
                self._missing.discard(sequence_number)
                self.received += 1
                return Arrival.LATE
            return Arrival.DUPLICATE
        # A.1: "the sequence number made a very large jump": two in sequence mean that the other side restarted.
        if sequence_number == self._bad_sequence:
            self._earlier_expected += self.expected_here
            self._earlier_received = self.received
            self._begin(sequence_number)
            self._advance_to(sequence_number)
            self.received += 1
            return Arrival.RESTARTED
        self._bad_sequence = (sequence_number + 1) & 0xFFFF
        return Arrival.INVALID

    @property
    def extended_highest(self) -> int:
        """RFC 3550 §6.4.1, extended highest sequence number received."""
        return (self._cycles + self._next - 1) & 0xFFFFFFFF

    @property
    def expected_here(self) -> int:
        """Packets expected since the numbering (re)started."""
        return self._cycles + self._next - self._first

    @property
    def expected(self) -> int:
        """A.3, over all numberings of this source."""
        return self._earlier_expected + self.expected_here

    @property
    def cumulative_lost(self) -> int:
        """A.3; never negative, since duplicates are not counted as received."""
        return max(0, self.expected - self.received)

    @property
    def interarrival_jitter(self) -> float:
        """A.8, in timestamp units."""
        return self._jitter

    def close_interval(self) -> int:
        """End a report interval: fraction lost since the last one as RFC 3550 A.3's eight-bit fixed point number."""
        expected, received = self.expected, self.received
        expected_interval = expected - self._expected_prior
        lost_interval = expected_interval - (received - self._received_prior)
        self._expected_prior, self._received_prior = expected, received
        if expected_interval <= 0 or lost_interval <= 0:
            return 0
        return min(255, (lost_interval << 8) // expected_interval)
