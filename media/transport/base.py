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
    """Send one RTP packet. Raises: OSError: it did not leave."""
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
    """Turns packets into what goes over the line and back; the contexts of both directions (as libsrtp has them, RFC 3711 §3.2)."""

    def protect_rtp(self, packet: bytes) -> bytes: ...

    def protect_rtcp(self, compound: bytes) -> bytes: ...

    def unprotect_rtp(self, packet: bytes) -> bytes:
        """Raises: NotAuthentic: not the far end's, or seen before."""
        ...

    def unprotect_rtcp(self, compound: bytes) -> bytes:
        """Raises: NotAuthentic."""
        ...
