"""A transport whose packets are protected on the line: where SRTP is put in between (RFC 3711; RFC 5761 §4 for RTCP at the RTP port).

A packet that does not unprotect is counted and dropped: for the leg nothing has come. RTP is worked on where it lies, in the worker's
buffer.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Any, ClassVar, Final

from media.errors import NotAuthentic
from media.rtp import packet as rtp
from media.rtp.latch import Address
from media.rtp.packet import DatagramKind
from media.transport.base import Protection, Transport

log = logging.getLogger("media.transport.protected")

_REPORT_ROOM: Final = 64
"""Octets behind a compound, for its index and tag."""


class ProtectedTransport:
    """Implements `Transport` over another one."""

    __slots__ = ("_is_told", "_line", "_protection", "_view", "_viewed", "receive", "rejected", "send")

    _newest: ClassVar[memoryview] = memoryview(b"")
    """Of the last buffer that was another one: the worker has one for all packets, and one view of it stays in the processor's cache."""

    def __init__(self, line: Transport, protection: Protection) -> None:
        self._line = line
        self._protection = protection
        self._is_told = False
        self._viewed: bytearray | None = None
        self._view = memoryview(b"")
        self.receive: Callable[[bytearray], tuple[int, Any]] = self._receive
        self.send: Callable[[memoryview, Address], int] = self._send
        self.rejected = line.rejected

    @property
    def descriptors(self) -> tuple[int, int]:
        return self._line.descriptors

    @property
    def is_v6(self) -> bool:
        return self._line.is_v6

    def bare(self) -> Transport:
        """The transport below, from now on without protection; what was rejected stays counted."""
        self._line.rejected = self.rejected
        return self._line

    def _receive(self, buffer: bytearray) -> tuple[int, Address]:
        octets, address = self._line.receive(buffer)
        try:
            # RFC 3550 §5.1 version 2; RFC 5761 §4: 192..223 are RTCP.
            if octets >= rtp.HEADER_OCTETS and buffer[0] & 0xC0 == 0x80 and buffer[1] & 0xE0 != 0xC0:
                return self._protection.unprotect_rtp(buffer, octets), address
            if rtp.kind_of(memoryview(buffer)[:octets]) in {DatagramKind.RTP, DatagramKind.RTCP}:
                return self._protection.unprotect_rtcp(buffer, octets), address
        except NotAuthentic as error:
            raise self._rejected(octets, address, error) from error
        return octets, address  # STUN, DTLS, noise: not under these keys

    def _rejected(self, octets: int, address: Address, error: NotAuthentic) -> BlockingIOError:
        level = logging.DEBUG if self._is_told else logging.INFO  # the first of a leg tells what to look for
        self._is_told = True
        self.rejected += 1
        log.log(level, "! %d octets from %s:%d dropped: %s", octets, address[0], address[1], error)
        return BlockingIOError(errno.EAGAIN, "nothing of use was there")

    def _send(self, packet: memoryview, address: Address) -> int:
        buffer = packet.obj
        if buffer is not self._viewed:
            assert isinstance(buffer, bytearray), "see `Transport.send`"
            if ProtectedTransport._newest.obj is not buffer:
                ProtectedTransport._newest = memoryview(buffer)
            self._viewed, self._view = buffer, ProtectedTransport._newest
        return self._line.send(self._view[: self._protection.protect_rtp(buffer, len(packet))], address)

    def receive_reports(self) -> tuple[bytes, Address]:
        datagram, address = self._line.receive_reports()
        buffer = bytearray(datagram)
        try:
            octets = self._protection.unprotect_rtcp(buffer, len(buffer))
        except NotAuthentic as error:
            raise self._rejected(len(datagram), address, error) from error
        return bytes(memoryview(buffer)[:octets]), address

    def send_reports(self, datagram: bytes, address: Address, *, at_rtp_port: bool) -> None:
        buffer = bytearray(datagram) + bytes(_REPORT_ROOM)
        octets = self._protection.protect_rtcp(buffer, len(datagram))
        self._line.send_reports(bytes(memoryview(buffer)[:octets]), address, at_rtp_port=at_rtp_port)

    def drops(self) -> int:
        return self._line.drops()

    def close(self) -> None:
        self._line.close()
