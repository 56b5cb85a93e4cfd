"""A UDP socket without asyncio's datagram protocol (RFC 3261 §18): that allocates 256 KiB for each datagram and costs 35-45 µs.

A non-blocking socket under `loop.add_reader`, one buffer for all datagrams, several of them a wake-up.
"""

import asyncio
import contextlib
import errno
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from sip.flow import Flow, HostPort
from sip.io.transport import Shell

# At 1 kB a message this is 4 MiB / 1 kB = 4000 messages of grace while the loop is busy elsewhere (the kernel may grant less).
BUFFER_OCTETS = 4 * 1024 * 1024
LARGEST_DATAGRAM = 65_535
# So many datagrams a wake-up; then the loop's other work has its turn.
BATCH = 64
# Datagrams that wait for a full send buffer; beyond it they are lost as the network would lose them, and SIP repeats them.
MAX_BACKLOG = 4096


async def open_udp(shell: Shell, address: HostPort) -> "UdpSocket":
    """A row of the registry."""
    return UdpSocket(shell.loop, address, shell.on_datagram, shell.on_lost)


class UdpSocket:
    """One bound socket. Its flows are pairs of addresses and have no id."""

    dials = True

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: HostPort,
        on_datagram: Callable[[bytes, Flow], None],
        on_error: Callable[[Flow], None],
    ) -> None:
        host, port = address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.family = int(family)
        self._loop = loop
        self._on_datagram = on_datagram
        self._on_error = on_error
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            if family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                with contextlib.suppress(OSError):  # a smaller buffer is a smaller grace, no reason not to start
                    self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_OCTETS)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.address: HostPort = self._socket.getsockname()[:2]
        self._buffer = bytearray(LARGEST_DATAGRAM)
        self._flows: dict[Any, Flow] = {}
        self._backlog: deque[tuple[bytes, HostPort, Flow]] = deque()
        self.lost_to_backlog = 0
        self._sent = asyncio.Event()
        self._sent.set()
        loop.add_reader(self._socket.fileno(), self._readable)

    def send(self, octets: bytes, remote: HostPort, flow: Flow) -> None:
        """Send now, or as soon as the socket takes it; `flow` is what the sender calls that peer.

        Raises: OSError: the address cannot be reached from here; the caller reports the flow as failed.
        """
        if self._backlog:
            self._wait(octets, remote, flow)
            return
        try:
            self._socket.sendto(octets, remote)
        except (BlockingIOError, InterruptedError):
            self._wait(octets, remote, flow)
        except ConnectionRefusedError:
            # An ICMP error of an earlier datagram, told to whoever sends next: this one was not sent. Once more, then it counts.
            self._socket.sendto(octets, remote)

    def _wait(self, octets: bytes, remote: HostPort, flow: Flow) -> None:
        if len(self._backlog) >= MAX_BACKLOG:
            self.lost_to_backlog += 1
            return
        if not self._backlog:
            self._sent.clear()
            self._loop.add_writer(self._socket.fileno(), self._writable)
        self._backlog.append((octets, remote, flow))

    def _writable(self) -> None:
        while self._backlog:
            octets, remote, flow = self._backlog[0]
            try:
                self._socket.sendto(octets, remote)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno != errno.ECONNREFUSED:
                    self._on_error(flow)
            self._backlog.popleft()
        self._loop.remove_writer(self._socket.fileno())
        self._sent.set()

    def _readable(self) -> None:
        receive, buffer = self._socket.recvfrom_into, self._buffer
        for _ in range(BATCH):
            try:
                size, peer = receive(buffer)
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # an ICMP error; which datagram it means is not told, and SIP's timers find out
            except OSError:
                if self._socket.fileno() < 0:
                    return
                raise
            flow = self._flows.get(peer)
            if flow is None:
                if len(self._flows) > 50_000:  # a scan from forged addresses must not fill the memory
                    self._flows.clear()
                flow = self._flows[peer] = Flow("udp", self.address, (peer[0], peer[1]))
            self._on_datagram(bytes(buffer[:size]), flow)
            if self._socket.fileno() < 0:  # closed by what was just received
                return

    def let_in(self, flow: Flow) -> None:
        """Nothing is kept of who sends."""

    def figures(self) -> Mapping[str, float]:
        """None."""
        return {}

    def stop_reading(self) -> None:
        """What comes waits in the kernel, and is lost with the socket."""
        self._loop.remove_reader(self._socket.fileno())

    async def leave(self, within_s: float) -> None:
        """Close, at once unless the send buffer is full."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._sent.wait()
        await self.close()

    async def close(self) -> None:
        """Stop reading and close."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
