"""One outgoing RTP stream that stays whole whatever feeds it: RFC 3550 §5.1, §7.1 (our own SSRC), RFC 3551 §4.1 (marker).

A leg hears ring-back, a prompt, one partner, music, another partner. For the far end that is one stream: one SSRC, sequence
numbers without a step, timestamps that follow the clock. Relayed packets keep their partner's numbering, shifted, so that
loss and reordering on the way in stay visible to the far end's jitter buffer; what we make ourselves counts on by one.
"""

from __future__ import annotations

from media.frame import PTIME_MS, SAMPLE_RATE
from media.rtp.packet import HEADER

_PACK_INTO = HEADER.pack_into
_FIRST_OCTET = 0x80
_MARKER = 0x80


class OutgoingStream:
    """Numbers of one stream. The caller draws `ssrc`, `sequence_number` and `timestamp` at random (RFC 3550 §5.1)."""

    __slots__ = (
        "_last_at",
        "_numbered_ssrc",
        "_relay_first",
        "_samples",
        "_sequence_offset",
        "_timed_ssrc",
        "_timestamp_offset",
        "clock_rate",
        "octets_before",
        "octets_sent",
        "packets_before",
        "packets_sent",
        "sequence_number",
        "ssrc",
        "timestamp",
    )

    def __init__(self, ssrc: int, sequence_number: int, timestamp: int) -> None:
        self.ssrc = ssrc
        self.sequence_number = sequence_number
        """Of the newest packet sent."""
        self.timestamp = timestamp
        """Of the newest audio sent."""
        self.clock_rate = SAMPLE_RATE
        """Of its timestamps, ticks a second."""
        self.packets_sent = 0
        self.octets_sent = 0
        self.packets_before = 0
        """Of those, what went out under earlier SSRCs."""
        self.octets_before = 0
        self._last_at: float | None = None
        self._numbered_ssrc = -1  # whose sequence numbers the offset fits; -1 after packets of our own
        self._timed_ssrc = -1  # whose timestamps the offset fits; survives events put in between
        self._relay_first = 0
        self._samples = self._frame  # of the newest audio of ours
        self._sequence_offset = 0
        self._timestamp_offset = 0

    @property
    def _frame(self) -> int:
        return self.clock_rate * PTIME_MS // 1000

    def run_at(self, clock_rate: int) -> None:
        """Another codec's clock: what follows is fitted to it. One SSRC has one clock (RFC 7160 §4.1): `begin_anew` as well."""
        self.clock_rate = clock_rate
        self._samples = self._frame
        self.break_off()

    def begin_anew(self, ssrc: int, sequence_number: int) -> None:
        """Another stream begins for the far end, in the same time; both are drawn at random, the number in the lower half."""
        self.ssrc, self.sequence_number = ssrc, sequence_number
        self.packets_before, self.octets_before = self.packets_sent, self.octets_sent
        self._numbered_ssrc = -1

    def relay(
        self, buffer: bytearray, second: int, sequence_number: int, timestamp: int, ssrc: int, payload_octets: int, now: float
    ) -> bool:
        """Write our header over the first twelve octets of `buffer`.

        Args:
            second: marker and payload type as the far end shall see them.
            sequence_number, timestamp, ssrc: of the packet that is passed on.
        Returns: whether it may be sent; False for one older than the switch to its source, whose number was given away already.
        """
        if ssrc != self._numbered_ssrc and self._follow(sequence_number, timestamp, ssrc, now):
            second |= _MARKER  # RFC 3551 §4.1: the first packet of a talk-spurt
        sequence_number = (sequence_number + self._sequence_offset) & 0xFFFF
        ahead = (sequence_number - self.sequence_number) & 0xFFFF
        timestamp = (timestamp + self._timestamp_offset) & 0xFFFFFFFF
        if 0 < ahead < 0x8000:
            self.sequence_number = sequence_number
            if timestamp != self.timestamp or self._last_at is None:  # the updates of an event repeat its timestamp while the clock goes on
                self.timestamp = timestamp
                self._last_at = now
        elif (sequence_number - self._relay_first) & 0xFFFF >= 0x8000:
            return False
        _PACK_INTO(buffer, 0, _FIRST_OCTET, second, sequence_number, timestamp, self.ssrc)
        self.packets_sent += 1
        self.octets_sent += payload_octets
        return True

    def relay_event(
        self, buffer: bytearray, second: int, sequence_number: int, timestamp: int, ssrc: int, payload_octets: int, now: float, *, kept: int
    ) -> bool:
        """As `relay`, for a later packet of an event; it carries the timestamp `kept` that the event began with for the far end.

        Where the source's time is another by now, or audio of ours went out meanwhile, it is numbered as our own, and time stays as it is.
        """
        is_newest = (kept - self.timestamp) & 0xFFFFFFFF < 0x80000000
        if self.follows(ssrc) and is_newest and kept == (timestamp + self._timestamp_offset) & 0xFFFFFFFF:
            return self.relay(buffer, second, sequence_number, timestamp, ssrc, payload_octets, now)
        self._number(buffer, second & ~_MARKER, kept, payload_octets)
        return True

    def follows(self, ssrc: int) -> bool:
        """Whether timestamps of this source have their place in the far end's time."""
        return ssrc == self._timed_ssrc

    def _follow(self, sequence_number: int, timestamp: int, ssrc: int, now: float) -> bool:
        """Shift the numbers of `ssrc` so that this packet comes next; True when its time base is new to the far end."""
        self._relay_first = (self.sequence_number + 1) & 0xFFFF
        self._sequence_offset = (self._relay_first - sequence_number) & 0xFFFF
        self._numbered_ssrc = ssrc
        if ssrc == self._timed_ssrc:
            return False
        self._timestamp_offset = (self._timestamp_at(now) - timestamp) & 0xFFFFFFFF
        self._timed_ssrc = ssrc
        return True

    def _timestamp_at(self, now: float) -> int:
        """The timestamp due at `now`: the clock went on while nothing was sent, in whole frames, at least what was sent last."""
        if self._last_at is None:
            return self.timestamp
        frames = round((now - self._last_at) * 1000 / PTIME_MS)
        return (self.timestamp + max(self._samples, frames * self._frame)) & 0xFFFFFFFF

    def audio(self, buffer: bytearray, payload_type: int, samples: int, now: float, *, begins: bool, octets: int | None = None) -> None:
        """Header for audio of our own; `begins` a talk-spurt: marker, and a timestamp fitted to the clock; else it counts on.

        Args:
            samples: how long it is, in ticks of the RTP clock.
            octets: of payload; None: as many.
        """
        if begins:
            self.timestamp = self._timestamp_at(now)
            payload_type |= _MARKER
        else:
            self.timestamp = (self.timestamp + samples) & 0xFFFFFFFF
        self._last_at = now
        self._samples = samples
        self._number(buffer, payload_type, self.timestamp, samples if octets is None else octets)

    def relay_cut(
        self,
        buffer: bytearray,
        payload_type: int,
        timestamp: int,
        ssrc: int,
        samples: int,
        now: float,
        *,
        begins: bool,
        octets: int | None = None,
    ) -> None:
        """Header for audio of a source that was cut into other packets: its time goes on, its numbers do not. Args: as `audio`."""
        if ssrc != self._timed_ssrc:
            self._timestamp_offset = (self._timestamp_at(now) - timestamp) & 0xFFFFFFFF
            self._timed_ssrc = ssrc
            begins = True
        self.timestamp = (timestamp + self._timestamp_offset) & 0xFFFFFFFF
        self._last_at = now
        self._samples = samples
        second = payload_type | _MARKER if begins else payload_type
        self._number(buffer, second, self.timestamp, samples if octets is None else octets)

    def begin_event(self, now: float) -> int:
        """The timestamp of an event that begins now, which all its packets carry (RFC 4733 §2.5.1.1)."""
        self.timestamp = self._timestamp_at(now)
        self._last_at = now
        return self.timestamp

    def event(self, buffer: bytearray, second: int, timestamp: int, payload_octets: int) -> None:
        """Header for one packet of an event."""
        self._number(buffer, second, timestamp, payload_octets)

    def _number(self, buffer: bytearray, second: int, timestamp: int, payload_octets: int) -> None:
        self.sequence_number = (self.sequence_number + 1) & 0xFFFF
        self._numbered_ssrc = -1  # a number is used up: the next relayed packet must be fitted anew
        _PACK_INTO(buffer, 0, _FIRST_OCTET, second, self.sequence_number, timestamp, self.ssrc)
        self.packets_sent += 1
        self.octets_sent += payload_octets

    def leave_out(self) -> None:
        """A packet of the source is not passed on: that is no loss to the far end, whose numbers go on without a step."""
        self._numbered_ssrc = -1

    def break_off(self) -> None:
        """The source of this stream changes: fit the next packet to the clock, whatever it is."""
        self._numbered_ssrc = -1
        self._timed_ssrc = -1

    def timestamp_now(self, now: float) -> int:
        """The RTP timestamp that corresponds to `now`, for a sender report (RFC 3550 §6.4.1)."""
        if self._last_at is None:
            return self.timestamp
        return (self.timestamp + round((now - self._last_at) * self.clock_rate)) & 0xFFFFFFFF
