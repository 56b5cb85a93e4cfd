"""Connections to HTTPS: counted among strangers before their handshake, which has a deadline; those without one are taken as HTTP (shell).

The loop's own way counts nothing before a handshake is done, and tells of its end by a trace or not at all. Here a connection has its
lease first; its first octet says what is spoken (RFC 8446 §5.1: a record of a handshake begins with 22); then the loop takes it over.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from acd.certificates import REASONS, TOO_LATE, Telling, reason_of, words_of
from api.edge.connections import Connections, Lease

log = logging.getLogger(__name__)

HANDSHAKE: Final = b"\x16"
"""A record's content type, the first octet of a connection under TLS."""
SHUTDOWN_S: Final = 5.0
"""How long the far end may take to say goodbye."""
_AGAIN_S: Final = 0.5
_WANTING: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""What another connection would need is not there now."""


class _Arriving:
    """One that has not said yet what it speaks, or has no handshake yet: nothing is at work on it."""

    is_idle = True

    task: asyncio.Task[None] | None = None

    def give_way(self) -> None:
        """Close, for somebody else."""
        if self.task is not None:
            self.task.cancel()


class TlsListener:
    """The listening socket of HTTPS."""

    def __init__(
        self,
        listening: socket.socket,
        connections: Connections,
        context: Callable[[], ssl.SSLContext],
        protocol: Callable[[Lease], asyncio.Protocol],
        handshake_s: float,
    ) -> None:
        """Args:
        context: what the next handshake is made with.
        protocol: what speaks HTTP on a connection that has this lease.
        handshake_s: for it, from when the connection is open.
        """
        self._listening = listening
        self._connections = connections
        self._context = context
        self._protocol = protocol
        self._handshake_s = handshake_s
        self.handshakes = 0
        self.failures: Counter[str] = Counter()
        """Handshakes that came to nothing, by reason."""
        self._telling = Telling()
        self._arriving: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take connections."""
        self._listening.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(), name="https")

    def close(self) -> None:
        """Take no more; what is under way in a handshake ends."""
        for task in (*self._arriving, *([self._accepting] if self._accepting is not None else ())):
            task.cancel()

    async def wait_closed(self) -> None:
        """Until nothing of it runs; the socket is closed."""
        await asyncio.gather(*self._arriving, *([self._accepting] if self._accepting is not None else ()), return_exceptions=True)
        self._listening.close()

    def figures(self) -> Mapping[str, float]:
        """By name."""
        return {
            "fernamt_https_handshakes_total": self.handshakes,
            **{f'fernamt_https_handshake_failures_total{{reason="{reason}"}}': self.failures[reason] for reason in REASONS},
        }

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listening)
            except OSError as error:
                if error.errno in _WANTING:
                    log.error("! HTTPS takes no connection: %s", error.strerror)  # noqa: TRY400 - the trace says nothing more
                    await asyncio.sleep(_AGAIN_S)
                elif self._listening.fileno() < 0:
                    return
                continue  # it was gone before it was taken
            arriving = _Arriving()
            lease = Lease(self._connections)
            if not lease.begin(arriving, str(address[0])):
                connection.close()
                continue
            arriving.task = asyncio.create_task(self._greet(connection, address, lease), name="handshake")
            self._arriving.add(arriving.task)
            arriving.task.add_done_callback(self._arriving.discard)

    async def _greet(self, connection: socket.socket, address: tuple[str, int], lease: Lease) -> None:
        """Hand the connection over to who speaks on it, or close it and say why."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._handshake_s
        is_handed_over = False
        try:
            async with asyncio.timeout_at(until):
                first = await _first_octet(connection)
            if first != HANDSHAKE:
                if first:
                    await loop.connect_accepted_socket(lambda: self._protocol(lease), connection)
                    is_handed_over = True
                else:
                    self._failed(address, "closed", "the far end closed before a handshake")
                return
            lease.is_encrypted = True
            await loop.connect_accepted_socket(
                lambda: self._protocol(lease),
                connection,
                ssl=self._context(),
                ssl_handshake_timeout=max(until - loop.time(), 0.001),
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
            is_handed_over = True
            self.handshakes += 1
        except ssl.SSLError as error:
            self._failed(address, reason_of(error), words_of(error))
        except TimeoutError:
            self._failed(address, *TOO_LATE)
        except OSError as error:
            if loop.time() >= until:  # the loop says so by ConnectionAbortedError
                self._failed(address, *TOO_LATE)
            else:
                self._failed(address, "closed", f"the far end closed in the handshake ({error.strerror or type(error).__name__})")
        finally:
            if not is_handed_over:
                lease.end()
                connection.close()

    def _failed(self, address: tuple[str, int], reason: str, words: str) -> None:
        self.failures[reason] += 1
        for line in self._telling.failed(words, asyncio.get_running_loop().time()):
            log.info("! https %s:%d: %s", address[0], address[1], line)


async def _first_octet(connection: socket.socket) -> bytes:
    """What the far end begins with, left where it is; empty: it has closed.

    Raises: OSError
    """
    loop = asyncio.get_running_loop()
    while True:
        try:
            return connection.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            readable = asyncio.Event()
            loop.add_reader(connection.fileno(), readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(connection.fileno())
