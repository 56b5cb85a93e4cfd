"""A transport whose packets are protected on the line: where SRTP is put in between (RFC 3711; RFC 5761 §4 for RTCP at the RTP port).

A packet that does not unprotect is counted and dropped: for the leg nothing has come.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from media.errors import NotAuthentic
from media.rtp import packet as rtp
from media.rtp.latch import Address
from media.rtp.packet import DatagramKind
from media.transport.base import Protection, Transport

log = logging.getLogger("media.transport.protected")


class ProtectedTransport:
    """Implements `Transport` over another one."""

    __slots__ = ("_line", "_protection", "receive", "rejected", "send")

    def __init__(self, line: Transport, protection: Protection) -> None:
        self._line = line
        self._protection = protection
        self.receive: Callable[[bytearray], tuple[int, Any]] = self._receive
        self.send: Callable[[memoryview, Address], int] = self._send
        self.rejected = 0

    @property
    def descriptors(self) -> tuple[int, int]:
        return self._line.descriptors

    @property
    def is_v6(self) -> bool:
        return self._line.is_v6

    def _receive(self, buffer: bytearray) -> tuple[int, Address]:
        octets, address = self._line.receive(buffer)
        datagram = bytes(memoryview(buffer)[:octets])
        match rtp.kind_of(datagram):
            case DatagramKind.RTP:
                plain = self._unprotect(self._protection.unprotect_rtp, datagram, address)
            case DatagramKind.RTCP:
                plain = self._unprotect(self._protection.unprotect_rtcp, datagram, address)
            case _:
                return octets, address  # STUN, DTLS, noise: not under these keys
        buffer[: len(plain)] = plain
        return len(plain), address

    def _unprotect(self, unprotect: Callable[[bytes], bytes], datagram: bytes, address: Address) -> bytes:
        try:
            return unprotect(datagram)
        except NotAuthentic as error:
            self.rejected += 1
            log.debug("! %d octets from %s:%d dropped: %s", len(datagram), address[0], address[1], error)
            raise BlockingIOError from error

    def _send(self, packet: memoryview, address: Address) -> int:
        return self._line.send(memoryview(self._protection.protect_rtp(bytes(packet))), address)

    def receive_reports(self) -> tuple[bytes, Address]:
        datagram, address = self._line.receive_reports()
        return self._unprotect(self._protection.unprotect_rtcp, datagram, address), address

    def send_reports(self, datagram: bytes, address: Address, *, at_rtp_port: bool) -> None:
        self._line.send_reports(self._protection.protect_rtcp(datagram), address, at_rtp_port=at_rtp_port)

    def drops(self) -> int:
        return self._line.drops()

    def close(self) -> None:
        self._line.close()
