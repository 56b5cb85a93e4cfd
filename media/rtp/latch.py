"""Symmetric RTP with protection: send to where packets come from (RFC 4961 §4), but do not let a stranger steal the stream.

The SDP names an address, NAT makes another of it. A port is found by trying, so packets alone prove nothing: what a stranger off the path
cannot know is where the far end signals from, and the SSRC and sequence numbers of its stream. From this follows who is believed:

| nothing was heard yet | from a host that is known: at once; from elsewhere: `RELATCH_AFTER` packets of one stream on end |
|                       | a known host is heard while another has it: at once                                              |
| the stream is known   | its SSRC goes on elsewhere (Wi-Fi to mobile): `RELATCH_AFTER` packets on end                     |
|                       | another SSRC from a known host, and nothing from the old address for `SILENT_S`: the same        |
|                       | anything else: never, until there is a new description                                          |
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

Address = tuple[str, int] | tuple[str, int, int, int]

RELATCH_AFTER = 10
"""200 ms of 20 ms packets without one from the old address: a handover is quick, an injected packet does nothing."""
SILENT_S = 0.2
"""The same in seconds: a burst of ten packets takes no time at all."""
AHEAD = 3000
"""Sequence numbers by which a stream may have gone on meanwhile (RFC 3550 A.1, MAX_DROPOUT)."""


class Verdict(Enum):
    """What to do with a packet from an address that is not the latched one."""

    LATCHED = auto()
    FOREIGN = auto()


class Latch:
    """Where one leg's far end is. Every packet of the latched address that comes after one of another must be told by `heard_latched`."""

    __slots__ = ("_candidate", "_consecutive", "_hosts", "_next", "address", "described")

    def __init__(self) -> None:
        self.address: Address | None = None
        self.described: Address | None = None
        self._hosts: frozenset[str] = frozenset()
        self._candidate: tuple[Address, int] | None = None
        self._next = 0
        self._consecutive = 0

    def describe(self, address: Address, signals_from: Iterable[str] = ()) -> None:
        """A new description begins anew when the address it names is new; a re-INVITE that changes nothing keeps the latch.

        Args:
            signals_from: hosts from which the far end's messages came, as the kernel writes them.
        """
        if address != self.described:
            self.address = None
        self.described = address
        self._hosts = frozenset({address[0], *signals_from})
        self.heard_latched()

    def heard_latched(self) -> None:
        """A packet came from where it should: candidates start over."""
        self._candidate = None
        self._consecutive = 0

    def consider(self, address: Address, ssrc: int, sequence_number: int, *, known: tuple[int, int] | None, silent_s: float) -> Verdict:
        """A valid packet came from elsewhere.

        Args:
            known: SSRC and next sequence number of the latched stream; None: none was heard.
            silent_s: for how long nothing has come from the latched address.
        """
        if address[0] in self._hosts and (self.address is None or self.address[0] not in self._hosts):
            return self._follow(address)  # whoever was believed for want of better is not any more
        if not self._may_be(address, ssrc, sequence_number, known, silent_s):
            return Verdict.FOREIGN
        if (address, ssrc) != self._candidate or (sequence_number - self._next) & 0xFFFF > AHEAD:
            self._candidate = address, ssrc
            self._consecutive = 0
        self._next = sequence_number + 1
        self._consecutive += 1
        return Verdict.FOREIGN if self._consecutive < RELATCH_AFTER else self._follow(address)

    def _may_be(self, address: Address, ssrc: int, sequence_number: int, known: tuple[int, int] | None, silent_s: float) -> bool:
        if self.address is None:
            return True
        if known is not None and ssrc == known[0]:
            return (sequence_number - known[1]) & 0xFFFF <= AHEAD
        return silent_s >= SILENT_S and address[0] in {*self._hosts, self.address[0]}

    def _follow(self, address: Address) -> Verdict:
        self.address = address
        self.heard_latched()
        return Verdict.LATCHED
