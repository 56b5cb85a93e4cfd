"""Keys that we send to a far end: RFC 4733 events, or tones in band where it takes none; one step a packet time."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

from media import dtmf, tones
from media.codecs.registry import CODECS
from media.frame import SAMPLE_RATE

log = logging.getLogger("media.legs.digits_out")

PASSED_ON_MS: Final = 100
"""A digit passed on in another form than it came: its true length is not known when it begins."""


class Step:
    """One packet's time of digits we send: an event packet, a frame of tone, or the gap between two digits."""

    __slots__ = ("begins", "payload", "tone")

    def __init__(self, payload: bytes | None, *, tone: bool = False, begins: bool = False) -> None:
        self.payload = payload
        self.tone = tone
        self.begins = begins

    def translate(self, table: bytes) -> None:
        """The leg's codec changed before it was sent."""
        if self.tone and self.payload is not None:
            self.payload = self.payload.translate(table)


class DigitsOut:
    """What is still to be sent, in order."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps: deque[Step] = deque()

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def sounds(self) -> bool:
        """Whether a digit is being sent, and not the gap behind one."""
        return bool(self.steps and self.steps[0].payload is not None)

    def add(
        self,
        leg: str,
        digits: str,
        duration_ms: int,
        gap_ms: int,
        *,
        as_events: bool,
        codec: str,
        ptime_ms: int,
        frame: int,
        clock_rate: int = SAMPLE_RATE,
    ) -> None:
        """Queue digits; letters that are none are left out.

        Args:
            codec: what tones are kept in until they are sent.
            frame: octets of audio in a packet.
            clock_rate: of the stream that events go out in.
        """
        steps = self.steps
        gap = [Step(None)] * max(0, round(gap_ms / ptime_ms))
        for digit in digits.upper():
            if digit not in dtmf.DIGITS:
                log.warning("! leg=%s was to press what is no DTMF digit", leg)
                continue
            if steps:
                steps.extend(gap)
            if as_events:
                packets = dtmf.event_packets(digit, duration_ms, ptime_ms, clock_rate)
                steps.extend(Step(packet.payload, begins=packet.marker) for packet in packets)
            else:
                frames = max(1, round(duration_ms / ptime_ms))
                encoded = CODECS[codec].encoder().encode(tones.dtmf(digit, frames * ptime_ms))
                cuts = range(0, len(encoded), frame)
                steps.extend(Step(encoded[at : at + frame], tone=True, begins=at == 0) for at in cuts)
