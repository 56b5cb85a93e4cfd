"""UDP sockets for RTP and RTCP: bound pairs, deep receive buffers, and what the kernel dropped (Linux `SO_MEMINFO`, socket(7)).

The drop counter is read with one getsockopt when somebody asks. `SO_RXQ_OVFL` would cost a recvmsg with ancillary octets for every packet.
recvmmsg/sendmmsg gain nothing here: they batch one socket, and a leg's socket holds one packet at a time (50 a second).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from struct import Struct
from typing import Any

from media.rtp.latch import Address

RECEIVE_BUFFER_OCTETS = 256 * 1024
"""The kernel charges about 768 octets a G.711 packet: some 300 packets, 6 s of one leg, or a stall nobody will have."""
MTU_OCTETS = 2048
_SO_MEMINFO = 55
_MEMINFO = Struct("9I")
_DROPS = 8
_IP_TOS_EXPEDITED = 46 << 2
"""DSCP EF for voice (RFC 3246, RFC 4594 §4.1)."""


class UdpTransport:
    """Plain RTP and RTCP: implements `media.transport.base.Transport` with the sockets' own bound methods, so that nothing is between."""

    __slots__ = ("_rtcp", "_rtp", "receive", "rejected", "send")

    def __init__(self, sockets: tuple[socket.socket, socket.socket]) -> None:
        self._rtp, self._rtcp = sockets
        self.receive: Callable[[bytearray], tuple[int, Any]] = self._rtp.recvfrom_into
        self.send: Callable[[memoryview, Address], int] = self._rtp.sendto
        self.rejected = 0

    @property
    def descriptors(self) -> tuple[int, int]:
        return self._rtp.fileno(), self._rtcp.fileno()

    @property
    def is_v6(self) -> bool:
        return self._rtp.family == socket.AF_INET6

    def receive_reports(self) -> tuple[bytes, Address]:
        return self._rtcp.recvfrom(MTU_OCTETS)

    def send_reports(self, datagram: bytes, address: Address, *, at_rtp_port: bool) -> None:
        (self._rtp if at_rtp_port else self._rtcp).sendto(datagram, address)

    def drops(self) -> int:
        return kernel_drops(self._rtp)

    def close(self) -> None:
        self._rtp.close()
        self._rtcp.close()


def open_udp(address: str, rtp_port: int) -> UdpTransport:
    """A leg's two ports.

    Raises: OSError: in use, or no such address here; nothing stays open.
    """
    return UdpTransport(open_pair(address, rtp_port))


def open_pair(address: str, rtp_port: int) -> tuple[socket.socket, socket.socket]:
    """RTP and RTCP sockets on `rtp_port` and the next, non-blocking.

    Raises: OSError: in use, or no such address here; nothing stays open.
    """
    rtp = _open(address, rtp_port)
    try:
        return rtp, _open(address, rtp_port + 1)
    except OSError:
        rtp.close()
        raise


def _open(address: str, port: int) -> socket.socket:
    is_v6 = ipaddress.ip_address(address.partition("%")[0]).version == 6
    opened = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_OCTETS)
        if is_v6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _IP_TOS_EXPEDITED)
        else:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _IP_TOS_EXPEDITED)
        opened.bind((address, port))
    except OSError:
        opened.close()
        raise
    return opened


def kernel_drops(opened: socket.socket) -> int:
    """Packets the kernel threw away at this socket since it was opened (`SK_MEMINFO_DROPS`)."""
    return int(_MEMINFO.unpack(opened.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[_DROPS])


def address_of(host: str, port: int, *, is_v6: bool) -> Address:
    """As the kernel writes it in recvfrom: "::1", never "0:0:0:0:0:0:0:1". Raises: ValueError: no IP address where it is one of IPv6."""
    return (str(ipaddress.ip_address(host)), port, 0, 0) if is_v6 else (host, port)


def ip_version(address: str) -> int | None:
    """4 or 6; None for what is no IP address: a name would block every call while it resolves."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).version
    except ValueError:
        return None
