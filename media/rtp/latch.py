"""Symmetric RTP with protection: send to where packets come from (RFC 4961 §4), but do not let a stranger steal the stream.

The SDP names an address, NAT makes another of it. A port is found by trying, so packets alone prove nothing: what a stranger off the path
cannot know is where the far end signals from, and the SSRC and sequence numbers of its stream. From this follows who is believed:

| nothing was heard yet | from a host that is known: at once; from elsewhere: `RELATCH_AFTER` packets of one stream on end |
|                       | a known host is heard while another has it: at once                                              |
| the stream is known   | its SSRC goes on elsewhere (Wi-Fi to mobile): `RELATCH_AFTER` packets on end                     |
|                       | another SSRC from a known host, and nothing from the old address for `SILENT_S`: the same        |
|                       | anything else: never, until there is a new description                                          |
| a new description     | it is sent to at once, wherever packets come from; those of the old place are heard until some  |
| names another place   | come from elsewhere, and followed (`RELATCH_AFTER`) only where it cannot be right, or the one    |
|                       | before was not: a NAT had made another port of it                                                |

A party that sends nothing (a muted phone without comfort noise) is one from which nothing was heard yet, for as long as the call lasts: so
to be heard is less than to be sent to. Known hosts are the described one and those the far end signals from. What comes from a known one is
followed (RFC 7362 §5, restricted latching), and so is a stream that was followed and goes on elsewhere. A stranger is

| the described host                                                 | heard | sent to             |
|--------------------------------------------------------------------|-------|---------------------|
| is where the far end signals from, or is known to be its own       | yes   | no                  |
| can be reached from everywhere (a carrier that sends from another) | yes   | no                  |
| is local, and so is a host that it signals from: one network       | yes   | no                  |
| is local, and the signalling comes from elsewhere: NAT, a proxy    | yes   | yes                 |
| is no place to send to (`nowhere`)                                 | yes   | yes, nobody else is |

In the last two nothing would reach the far end where it says it is; there a stranger can still take what a silent party should hear, until
anything comes from a known host. (Compare `strictrtp` of Asterisk, `endpoint-learning` of rtpengine: they learn from the first packets.)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from enum import Enum, auto

Address = tuple[str, int] | tuple[str, int, int, int]

RELATCH_AFTER = 10
"""200 ms of 20 ms packets without one from the old address: a handover is quick, an injected packet does nothing."""
SILENT_S = 0.2
"""The same in seconds: a burst of ten packets takes no time at all."""
LOCAL = tuple(
    ipaddress.ip_network(one)
    for one in (
        "0.0.0.0/8",  # "this network" (RFC 791)
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # between a carrier's NAT and its customers (RFC 6598)
        "127.0.0.0/8",  # loopback (RFC 1122 §3.2.1.3)
        "169.254.0.0/16",  # link-local (RFC 3927)
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::/127",  # unspecified, loopback (RFC 4291 §2.5)
        "fc00::/7",  # unique local (RFC 4193)
        "fe80::/10",  # link-local
    )
)
"""Addresses that mean something inside one network only."""
AHEAD = 3000
"""Sequence numbers by which a stream may have gone on meanwhile (RFC 3550 A.1, MAX_DROPOUT)."""


class Verdict(Enum):
    """What to do with a packet from an address that is not the latched one."""

    LATCHED = auto()
    """It is the far end's: take it, and send there."""
    HEARD = auto()
    """Take it and those that follow, and send where the description says."""
    FOREIGN = auto()


class Latch:
    """Where one leg's far end is. Every packet of the latched address that comes after one of another must be told by `heard_latched`."""

    __slots__ = (
        "_candidate",
        "_consecutive",
        "_follows_strangers",
        "_hosts",
        "_left",
        "_named",
        "_next",
        "_place",
        "_stays_left",
        "address",
        "described",
        "is_followed",
    )

    def __init__(self) -> None:
        self.address: Address | None = None
        """Whose packets are taken."""
        self.is_followed = False
        """Whether it is sent to; else the description is."""
        self.described: Address | None = None
        self._hosts: frozenset[str] = frozenset()
        self._follows_strangers = False
        self._candidate: tuple[Address, int] | None = None
        self._next = 0
        self._consecutive = 0
        self._named: Address | None = None  # the newest description that names a place; 0.0.0.0 (a hold, RFC 3264 §8.4) names none
        self._place: Address | None = None  # where packets came from under it
        self._left: Address | None = None  # where they came from under the one before
        self._stays_left = False  # the new one is believed: that one was right

    def describe(self, address: Address, signals_from: Iterable[str] = (), *, nowhere: bool = False) -> None:
        """A new description begins anew when the address it names is new; a re-INVITE that changes nothing keeps the latch.

        Args:
            signals_from: hosts from which the far end's messages came, and others that are known to be its own, as the kernel writes them.
            nowhere: nothing can be sent to the address.
        """
        known = frozenset(signals_from)
        self._hosts = known | {address[0]}
        self._follows_strangers = nowhere or _cannot_be_right(address[0], known)
        is_new = address != self.described
        if is_new or (self.address is not None and not self.is_followed and self._may_follow(self.address)):
            self.address, self.is_followed = None, False
        if address != self._named and not is_unspecified(address[0]):
            self._left = self._place if self._place != address else None
            self._stays_left = self._left == self._named
            self._named, self._place = address, None
        self.described = address
        self.heard_latched()

    def knows(self, host: str) -> bool:
        """Whether the far end is known to send from there."""
        return host in self._hosts

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
        if address == self._left:
            if self.address is None and self._stays_left and not self._follows_strangers and address[0] in self._hosts:
                return self._latch(address, follow=False)  # what is still on its way; the description says where it is sent to
        elif address[0] in self._hosts and (self.address in {None, self._left} or self.address[0] not in self._hosts):
            return self._latch(address, follow=True)  # whoever was believed for want of better is not any more
        if not self._may_be(address, ssrc, sequence_number, known, silent_s):
            return Verdict.FOREIGN
        if (address, ssrc) != self._candidate or (sequence_number - self._next) & 0xFFFF > AHEAD:
            self._candidate = address, ssrc
            self._consecutive = 0
        self._next = sequence_number + 1
        self._consecutive += 1
        if self._consecutive < RELATCH_AFTER:
            return Verdict.FOREIGN
        return self._latch(address, follow=self.is_followed or self._may_follow(address))

    def _may_be(self, address: Address, ssrc: int, sequence_number: int, known: tuple[int, int] | None, silent_s: float) -> bool:
        if self.address is None:
            return True
        if known is not None and ssrc == known[0]:
            return (sequence_number - known[1]) & 0xFFFF <= AHEAD
        return silent_s >= SILENT_S and address[0] in {*self._hosts, self.address[0]} and address != self._left

    def _may_follow(self, address: Address) -> bool:
        return self._follows_strangers or address[0] in self._hosts

    def _latch(self, address: Address, *, follow: bool) -> Verdict:
        self.address, self.is_followed = address, follow
        if address != self._left or follow:
            self._place = address
        self.heard_latched()
        return Verdict.LATCHED if follow else Verdict.HEARD


def _cannot_be_right(host: str, signals_from: frozenset[str]) -> bool:
    """Whether who signals from there is surely not reached at the host it describes."""
    return bool(signals_from) and _is_local(host) and not any(map(_is_local, signals_from))


def is_unspecified(host: str) -> bool:
    """Whether it is 0.0.0.0 or "::", by which a description names no place."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_unspecified
    except ValueError:
        return False


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in LOCAL)
