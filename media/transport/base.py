"""What a leg sends through and receives from: two ports, and whatever protects what goes over them (RFC 3550 §11, RFC 3711).

The packet path calls `receive` and `send` once a packet, as they are; both are attributes, so that plain UDP puts the sockets' own methods
there and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from media.rtp.latch import Address


class Transport(Protocol):
    """One leg's way to its far end; non-blocking."""

    receive: Callable[[bytearray], tuple[int, Any]]
    """Read one datagram of the RTP port into the buffer: its octets, as the far end meant them, and the address it came from.

    Raises: BlockingIOError: nothing is there, or nothing of use was. OSError: an ICMP error of an earlier packet.
    """
    send: Callable[[memoryview, Address], int]
    """Send one RTP packet, which lies at the beginning of a bytearray and is not read afterwards: a protected one is protected right there.

    Raises: OSError: it did not leave.
    """
    rejected: int
    """Datagrams that did not prove to be the far end's, and were dropped."""

    @property
    def descriptors(self) -> tuple[int, int]:
        """Of the RTP and the RTCP port, to wait on."""
        ...

    @property
    def is_v6(self) -> bool: ...

    def receive_reports(self) -> tuple[bytes, Address]:
        """One datagram of the RTCP port; raises as `receive`."""
        ...

    def send_reports(self, datagram: bytes, address: Address, *, at_rtp_port: bool) -> None:
        """Send one RTCP compound. Raises: OSError."""
        ...

    def drops(self) -> int:
        """Packets the kernel threw away at the RTP port."""
        ...

    def close(self) -> None: ...


class Protection(Protocol):
    """Turns packets into what goes over the line and back, where they lie; the contexts of both directions (RFC 3711 §3.2).

    Args of all: a buffer that keeps its size, and how many octets from its beginning are the packet. Returns: how many are after it.
    Attributes, as those of `Transport` are: they may change with the keys.
    """

    protect_rtp: Callable[[bytearray, int], int]
    """Raises: OSError: it cannot be protected, or has no room to grow in the buffer: it must not leave."""
    protect_rtcp: Callable[[bytearray, int], int]
    """Raises: OSError: as above."""
    unprotect_rtp: Callable[[bytearray, int], int]
    """Raises: NotAuthentic: not the far end's, or seen before; what is in the buffer is nothing then."""
    unprotect_rtcp: Callable[[bytearray, int], int]
    """Raises: NotAuthentic: as above."""
