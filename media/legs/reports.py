"""RTCP of one leg: where it goes, what it says, when (RFC 3550 §6, RFC 4961, RFC 5761)."""

from __future__ import annotations

import logging
import secrets
import time
from typing import TYPE_CHECKING

from media.errors import ParseError
from media.rtp import rtcp

if TYPE_CHECKING:
    from media.control import DescribeLeg
    from media.io.pacer import Timer
    from media.legs.host import Host
    from media.legs.sender import Sender
    from media.rtp.latch import Address, Latch
    from media.rtp.session import RtpSession
    from media.transport.base import Transport

log = logging.getLogger("media.legs.reports")


class Reports:
    """Both ways."""

    __slots__ = ("_described", "_host", "_latch", "_name", "_remote", "_sender", "_session", "_timer", "_transport", "ignored")

    def __init__(self, host: Host, name: str, transport: Transport, session: RtpSession, latch: Latch, sender: Sender) -> None:
        self._host = host
        self._name = name
        self._transport = transport
        self._session = session
        self._latch = latch
        self._sender = sender
        self._described: DescribeLeg | None = None
        self._remote: Address | None = None
        self._timer: Timer | None = None
        self.ignored = 0

    def listen_at(self, transport: Transport) -> None:
        """Reports go both ways through this one, from now on."""
        self._transport = transport

    def describe(self, order: DescribeLeg, described: Address, now: float) -> None:
        """What the far end said; the latch and the sender know of it already."""
        before, self._described = self._described, order
        named: Address = (described[0], order.remote_rtcp_port, *described[2:])
        if not self._latch.is_followed:
            self._remote = None if order.until_heard else named
        elif before is not None and before.remote_rtcp_port != order.remote_rtcp_port and self._sender.remote == described:
            self._remote = named
        if before is None:
            self._schedule(now)

    def follow(self, address: Address) -> None:
        """Audio comes from there, and goes there from now on."""
        order = self._described
        if order is not None and (order.until_heard or (self._latch.described is not None and address[0] != self._latch.described[0])):
            # The SDP's address was not the truth, so its RTCP port is not either: mux if it was mux, else the port above.
            self._remote = address if self._is_muxed else (address[0], address[1] + 1, *address[2:])

    @property
    def _is_muxed(self) -> bool:
        return self._described is not None and self._described.remote_rtcp_port == self._described.remote_port

    def receive(self, datagram: bytes, address: Address, now: float, *, at_rtcp_port: bool = False) -> bool:
        """Whether somebody is there by it: it was read, is the far end's, and no goodbye.

        At the RTP port it says who is alive and how it hears us, but not where reports are expected: nobody has agreed on rtcp-mux.
        """
        heard = self._latch.address
        is_known = address[0] in {known[0] for known in (self._sender.remote, self._remote) if known is not None} or self._latch.knows(
            address[0]
        )
        if not is_known and (heard is None or address[0] != heard[0]):
            self._ignore("RTCP of a stranger", address)
            return False
        try:
            packets = rtcp.parse(datagram)
        except ParseError as error:
            self._ignore("RTCP", address, error)
            return False
        if is_known and at_rtcp_port:
            self._remote = address
        self._session.receive_reports(packets, len(datagram), now, time.time())
        self._sender.expect_loss(self._session.remote_fraction_lost)
        return not any(isinstance(packet, rtcp.Goodbye) for packet in packets)

    def _ignore(self, what: str, address: Address, error: Exception | None = None) -> None:
        self.ignored += 1
        log.debug("! leg=%s %s from %s ignored %s", self._name, what, address, error or "")

    def _schedule(self, now: float) -> None:
        def send_report(at: float) -> None:
            self._send(self._session.report(at, time.time()))
            self._schedule(at)

        wait = self._session.seconds_to_next_report(secrets.randbelow(1 << 16) / (1 << 16))
        self._timer = self._host.timers.at(now + wait, send_report)

    def _send(self, datagram: bytes) -> None:
        if self._remote is None:
            return
        try:
            self._transport.send_reports(datagram, self._remote, at_rtp_port=self._is_muxed)
        except OSError as error:
            log.debug("! leg=%s RTCP send: %s", self._name, error)

    def end(self, now: float) -> None:
        """Say goodbye (RFC 3550 §6.6)."""
        if self._timer is not None:
            self._timer.cancel()
        if self._described is not None:
            self._send(self._session.goodbye(now, time.time()))
