"""What a leg needs of the worker it lives in, and no more (house)."""

from __future__ import annotations

from typing import Protocol

from media.channel import Channel
from media.control import Report
from media.io.pacer import TimerHeap


class Ticking(Protocol):
    """Something that is due once a packet time: a leg that plays, a conversation that is mixed."""

    name: str
    ptime_ms: int

    def tick(self, now: float) -> bool:
        """One packet time; False when there is nothing more to do and the ticks may stop."""
        ...

    def failed(self, now: float) -> bool:
        """A tick ended in a fault of ours; whether there shall be another one."""
        ...


class Host(Protocol):
    """The loop that a leg lives in."""

    buffer: bytearray
    """One datagram: the one that was read last, or the one that goes out next."""
    view: memoryview
    """Of `buffer`."""
    timers: TimerHeap
    packets_received: int
    packets_sent: int
    packets_of_unknown_type: int
    packets_of_noise: int

    def report(self, message: Report) -> None:
        """Tell the exchange."""
        ...

    def record(self, channels: tuple[Channel, ...], timestamp: int, payload: memoryview, now: float) -> None:
        """Lay one received packet into every recording its leg is in."""
        ...

    def record_noise(self, channels: tuple[Channel, ...], timestamp: int, level: int, now: float) -> None:
        """From that time on noise, -dBov loud, until the next packet: in every recording its leg is in."""
        ...

    def want_ticks(self, ticking: Ticking, now: float) -> None:
        """Call `tick` from now on, until it says that it is enough; nothing changes for what is ticking already."""
        ...

    def tick_anew(self, ticking: Ticking, now: float) -> None:
        """The packet time of something that may be ticking is another."""
        ...

    def end_ticking(self, ticking: Ticking) -> None:
        """It is gone."""
        ...
