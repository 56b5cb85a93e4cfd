"""Symmetric RTP with protection: send to where packets come from (RFC 4961 §4), but do not let a stranger steal the stream.

The SDP names an address, NAT makes another of it. The first valid packet of the agreed payload type decides; from then on another
address takes over only after it alone was heard for `RELATCH_AFTER` packets on end, or after a new description.
"""

from __future__ import annotations

from enum import Enum, auto

Address = tuple[str, int] | tuple[str, int, int, int]

RELATCH_AFTER = 10
"""200 ms of 20 ms packets without one from the old address: a handover (Wi-Fi to mobile) is quick, an injected packet does nothing."""


class Verdict(Enum):
    """What to do with a packet from an address that is not the latched one."""

    LATCHED = auto()
    FOREIGN = auto()


class Latch:
    """Where one leg's far end is. Every packet of the latched address that comes after one of another must be told by `heard_latched`."""

    __slots__ = ("_candidate", "_consecutive", "address", "described")

    def __init__(self) -> None:
        self.address: Address | None = None
        self.described: Address | None = None
        self._candidate: Address | None = None
        self._consecutive = 0

    def describe(self, address: Address) -> None:
        """A new description begins anew when the address it names is new; a re-INVITE that changes nothing keeps the latch."""
        if address != self.described:
            self.address = None
        self.described = address
        self.heard_latched()

    def heard_latched(self) -> None:
        """A packet came from where it should: candidates start over."""
        self._candidate = None
        self._consecutive = 0

    def consider(self, address: Address) -> Verdict:
        """A valid packet came from elsewhere."""
        if self.address is None:
            self.address = address
            return Verdict.LATCHED
        if address != self._candidate:
            self._candidate = address
            self._consecutive = 0
        self._consecutive += 1
        if self._consecutive < RELATCH_AFTER:
            return Verdict.FOREIGN
        self.address = address
        self.heard_latched()
        return Verdict.LATCHED
