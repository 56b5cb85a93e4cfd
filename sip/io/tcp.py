"""SIP over TCP: connections taken and opened, framed, reused, closed when idle (RFC 3261 §18.2.1, §18.3; RFC 5923; RFC 5626 §3.5.1).

Whoever connects is a stranger until somebody has registered or been let in with a call over the connection: strangers' connections are
closed sooner, and are counted by source. Connections opened from here, and those of phones and trunks, are closed when idle only; what a
call or a registration goes by is not, however long nothing is said on it.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import ClassVar, cast

from sip import trace
from sip.errors import ParseError
from sip.flow import Flow, HostPort, TransportName
from sip.io.transport import Shell
from sip.parser import KeepAlive, Limits, StreamParser
from sip.strangers import Strangers

# RFC 3261 §18: keep a connection open "for some implementation-defined duration after the last message"; registered phones send keep-alives
# every 25-120 s (RFC 5626 §4.4.1), and 64*T1 is the shortest a transaction may need it.
IDLE_S = 600.0
CONNECT_TIMEOUT_S = 8.0
MAX_CONNECTIONS = 10_000
# House: what two hundred phones behind one address need that all connect again after a power cut, before each has registered.
STRANGERS_PER_SOURCE = 256
MAX_STRANGERS = 2_000
# Of those who have registered or called: one device can prove itself over as many connections as it likes, and must take nobody's place.
# An office behind one address has fewer phones; what is left of all places is for connections that we open.
KNOWN_PER_SOURCE = 1_000
MAX_KNOWN = 7_000
# Longer than 64*T1, so that no transaction of a stranger (an INVITE that is challenged) loses its connection.
STRANGER_IDLE_S = 60.0
# A peer that connects has something to say: the first message is whole after this part of a stranger's time.
FIRST_MESSAGE_PART = 1 / 6
# A peer that does not read: beyond this the connection is given up, not the memory.
MAX_UNSENT_OCTETS = 1024 * 1024
# What is kept for a connection not yet open.
MAX_WAITING = 64
# House: the names a peer goes by are those of its trunks and of the Contacts in its calls.
MAX_NAMES = 64


def figures_of(name: str) -> tuple[str, ...]:
    """The names of the figures of connections of that transport."""
    told = (
        "connections",
        "strangers",
        "strangers_displaced_total",
        "known_displaced_total",
        "strangers_silent_total",
        "connections_refused_total",
    )
    return tuple(f"{name}_{one}" for one in told)


FIGURES = figures_of("tcp")


async def open_tcp(shell: Shell, address: HostPort) -> "TcpConnections":
    """A row of the registry."""
    made = TcpConnections(shell)
    await made.listen(address)
    return made


class Connection(asyncio.Protocol):
    """One TCP connection, whoever opened it."""

    def __init__(self, owner: "TcpConnections", local: HostPort, limits: Limits, remote: HostPort | None = None) -> None:
        self._owner = owner
        self._local = local
        self._remote = remote
        self._parser = StreamParser(limits)
        self._transport: asyncio.Transport | None = None
        self.flow = Flow(owner.name, local, remote or ("", 0))
        self.last_used = owner.now()
        self.has_spoken = False
        """Whether a whole message has come: keep-alives are none, and a stranger lives by messages."""
        self.called: set[HostPort] = set()
        """What the far end is called by who sends over it: by name, say."""

    @property
    def is_ours(self) -> bool:
        """Whether it was opened from here."""
        return self._remote is not None

    @property
    def key(self) -> HostPort:
        """What it is found by: the peer's address."""
        return self.flow.remote

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: it is open."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if self._remote is None and peer is not None:
            self.flow = Flow(self._owner.name, self._local, (peer[0], peer[1]), id=self._owner.flows.enter(self))
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: octets have come."""
        is_stranger = self._owner.is_stranger(self)
        if not is_stranger:
            self.last_used = self._owner.now()
        for item in self._parser.feed(data):
            if isinstance(item, KeepAlive):
                if item is KeepAlive.PING:
                    self.write(KeepAlive.PONG.value)
            elif isinstance(item, ParseError):
                self._owner.on_malformed(item, self.flow)
            else:
                self.last_used, self.has_spoken = self._owner.now(), True
                if trace.is_on():
                    trace.received(self.flow, item.to_bytes())
                self._owner.on_message(item, self.flow)
            if self._transport is None:
                return
        if self._parser.closed:
            self.close()  # RFC 3261 §18.3: the framing is lost, and with it every later message

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it is gone."""
        del exc
        self._transport = None
        self._owner.lost(self)

    @property
    def is_open(self) -> bool:
        """Whether it can be written to."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_heard(self) -> bool:
        """Whether it is open and the peer takes what is sent."""
        return self._transport is not None and self.is_open and not self._transport.get_write_buffer_size()

    def is_called(self, name: HostPort) -> None:
        """Note what the sender calls it; a peer that has a thousand names is known by the first ones."""
        if name != self.flow.remote and len(self.called) < MAX_NAMES:
            self.called.add(name)

    def write(self, octets: bytes) -> None:
        """Send; a peer that stopped reading is cut off."""
        if self._transport is None:
            return
        if not self._owner.is_stranger(self):
            self.last_used = self._owner.now()
        self._transport.write(octets)
        if self._transport.get_write_buffer_size() > MAX_UNSENT_OCTETS:
            trace.trouble(self.flow, "does not read, cut off")
            self._transport.abort()

    def stop_reading(self) -> None:
        """What comes is left to the kernel."""
        if self._transport is not None:
            self._transport.pause_reading()

    def close(self) -> None:
        """Close after what is buffered has been sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()


class TcpConnections:
    """The connections of one listening socket, by the peer's address; those that the peer has opened by the id of their flow too."""

    name: ClassVar[TransportName] = "tcp"
    dials = True

    def __init__(self, shell: Shell) -> None:
        patience = shell.patience
        self._loop = shell.loop
        self.now = shell.now
        self.on_message = shell.on_message
        self.on_malformed = shell.on_malformed
        self._on_lost = shell.on_lost
        self.flows = shell.flows
        self._limits = shell.limits
        self._idle_s = patience.idle_s
        self._stranger_idle_s = patience.stranger_idle_s
        self._in_use = shell.in_use
        """These are never idle. Asked when one would be closed."""
        self.strangers: Strangers[Connection] = Strangers(patience.strangers_per_source, MAX_STRANGERS)
        self.known: Strangers[Connection] = Strangers(KNOWN_PER_SOURCE, MAX_KNOWN)
        """The same for those who are strangers no more."""
        self.silent_strangers = 0
        """Connections closed early: nobody had registered or called over them."""
        self._open: dict[HostPort, Connection] = {}
        self._opening: dict[HostPort, list[tuple[bytes, Flow]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        self._all_lost = asyncio.Event()
        self.address: HostPort = ("", 0)
        self.refused_connections = 0

    async def listen(self, address: HostPort) -> None:
        """Bind and accept."""
        host, port = address
        self._server = await self._loop.create_server(self._accepted, host, port, reuse_address=True, backlog=1024)
        self.address = self._server.sockets[0].getsockname()[:2]
        self._sweep_later()

    def send(self, octets: bytes, remote: HostPort, flow: Flow) -> None:
        """Send over the connection to that peer, opening it if there is none; failure comes back as a lost flow.

        Args:
            flow: what the sender calls that peer (perhaps by name); it is this that a failure to connect reports.
        """
        connection = self._open.get(remote)
        if connection is not None and connection.is_open:
            connection.is_called(flow.remote)
            connection.write(octets)
        else:
            self._send_when_open(octets, remote, flow, remote)

    def _send_when_open(self, octets: bytes, remote: HostPort, flow: Flow, key: HostPort) -> None:
        """Open a connection, if none is being opened, and send over it.

        Args:
            key: what it will be found by.
        """
        waiting = self._opening.get(key)
        if waiting is not None:
            if len(waiting) < MAX_WAITING:
                waiting.append((octets, flow))
            return
        self._opening[key] = [(octets, flow)]
        task = self._loop.create_task(self._connect(remote, key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, remote: HostPort, key: HostPort) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await self._dial(remote, key)
        except OSError as error:  # TimeoutError is one
            for flow in {flow for _, flow in self._opening.pop(key, ())}:
                trace.trouble(flow, f"cannot connect: {trace.words(error)}")
                if not self._closed:
                    self._tell_unopened(flow, error)
            return
        for octets, flow in self._opening.pop(key, ()):
            connection.is_called(flow.remote)
            connection.write(octets)

    def _tell_unopened(self, flow: Flow, _error: OSError) -> None:
        self._on_lost(flow)

    def _accepted(self) -> Connection:
        """One that its far end has opened."""
        return Connection(self, self.address, self._limits)

    async def _dial(self, remote: HostPort, _key: HostPort) -> Connection:
        """Open one. Raises: OSError: it cannot be had."""
        _, connection = await self._loop.create_connection(lambda: Connection(self, self.address, self._limits, remote), *remote)
        return connection

    def opened(self, connection: Connection) -> None:
        """A connection is open: later messages to that peer take it."""
        if self._closed or len(self._open) >= MAX_CONNECTIONS:
            self.refused_connections += 1
            connection.close()
            return
        if not connection.is_ours:
            # Any of them may go: a peer whose connection is closed before it has proved itself opens another.
            admitted, goes = self.strangers.enter(connection, connection.flow.remote[0], lambda _: True)
            if goes is not None:
                goes.close()
            assert admitted
        self._open[connection.key] = connection

    def is_stranger(self, connection: Connection) -> bool:
        """Whether nobody has registered or called over it yet."""
        return connection in self.strangers

    def let_in(self, flow: Flow) -> None:
        """Somebody has registered, or been let in with a call, over the connection of that peer."""
        connection = self._open.get(flow.remote)
        if connection is None or connection not in self.strangers:
            return
        self.strangers.leave(connection)
        admitted, goes = self.known.enter(connection, connection.flow.remote[0], lambda _: True)
        if goes is not None:
            goes.close()
        if not admitted:
            connection.close()

    def lost(self, connection: Connection) -> None:
        """A connection is gone: what waits for answers on it must know."""
        self.flows.leave(connection.flow.id)
        self.strangers.leave(connection)
        self.known.leave(connection)
        if self._open.get(connection.key) is connection:
            del self._open[connection.key]
            if not self._open:
                self._all_lost.set()
            if not self._closed:
                self._tell_lost(connection)

    def _tell_lost(self, connection: Connection) -> None:
        self._on_lost(connection.flow)

    def _close_idle(self) -> None:
        now = self.now()
        used: AbstractSet[HostPort] | None = None
        for connection in list(self._open.values()):
            if now - connection.last_used <= self._patience_s(connection):
                continue
            used = self._in_use() if used is None else used
            if connection.is_heard and (connection.flow.remote in used or not used.isdisjoint(connection.called)):
                connection.last_used = now  # nothing need be said on it for hours: a call or registration goes by it
                continue
            if not connection.is_open:  # it was closed before, and its peer does not take what is unsent
                connection.abort()
                continue
            if connection in self.strangers:
                self.silent_strangers += 1
            connection.close()
        self._sweep_later()

    def _patience_s(self, connection: Connection) -> float:
        if connection not in self.strangers:
            return self._idle_s
        return min(self._idle_s, self._stranger_idle_s * (1 if connection.has_spoken else FIRST_MESSAGE_PART))

    def _sweep_later(self) -> None:
        self._sweep = self._loop.call_later(min(self._idle_s, self._stranger_idle_s * FIRST_MESSAGE_PART) / 4, self._close_idle)

    def figures(self) -> Mapping[str, float]:
        """See FIGURES."""
        told = (
            len(self),
            len(self.strangers),
            self.strangers.displaced,
            self.known.displaced,
            self.silent_strangers,
            self.refused_connections,
        )
        return dict(zip(figures_of(self.name), told, strict=True))

    def __len__(self) -> int:
        return len(self._open)

    def stop_reading(self) -> None:
        """Take no new connection, and nothing more over those there are."""
        if self._server is not None:
            self._server.close()
        for connection in self._open.values():
            connection.stop_reading()

    async def leave(self, within_s: float) -> None:
        """Close all by FIN; a peer that does not take what is unsent has so long."""
        until = self._loop.time() + within_s
        if self._tasks:  # connections being opened, for what is to be sent over them
            await asyncio.wait(self._tasks, timeout=within_s)
        self._closed = True
        self._all_lost.clear()
        for connection in list(self._open.values()):
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while self._open:
                    await self._all_lost.wait()
        for connection in list(self._open.values()):
            connection.abort()
        await self.close()

    async def close(self) -> None:
        """Stop listening, close all, wait for what is under way."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self._open.values()):
            connection.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
