"""SIP over WebSocket: a callable of ASGI that whoever has the HTTP port hands its sockets to (RFC 7118; RFC 6455; ASGI 3.0 "websocket").

Each message of the WebSocket, text or binary, is one SIP message (RFC 7118 §5). The server under the callable frames them, answers and
sends Pings (RFC 7118 §6: they keep the way open and show that the network still leads to the page, whose script need do nothing for
them), and ends a handshake that is none. So we send no CRLF of our own; one that comes is answered (RFC 5626 §4.4.1).

Who comes here has been let in by whoever owns the port: there are no strangers to be counted, and an idle WebSocket is not closed. Nobody
can be dialled: when the WebSocket is gone, so is the flow.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

from sip import trace
from sip.flow import Flow, HostPort, TransportName
from sip.io.transport import Shell
from sip.parser import KeepAlive, is_keep_alive

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SUBPROTOCOL: Final = "sip"
"""RFC 7118 §4: "The WebSocket subprotocol [...] MUST be 'sip'"."""
# Those of all users together; whoever owns the port counts them by user.
MAX_CONNECTIONS: Final = 10_000
# A page that does not read: beyond this the connection is given up, not the memory.
MAX_UNSENT_OCTETS: Final = 1024 * 1024
# What an unsent message takes beside its octets: a flood of CRLFs must not be taken for nothing.
UNSENT_OVERHEAD: Final = 64
# So many messages are read at a time; then the loop's other work has its turn.
BATCH: Final = 16
# The host of a peer whose server does not say where it is: behind a socket of the file system, say.
NOWHERE: Final = "nowhere.invalid"

GOING_AWAY, SERVICE_RESTART = 1001, 1012
"""RFC 6455 §7.4.1, and its registry."""
FIGURES: Final = (
    "websocket_connections",
    "websocket_connections_total",
    "websocket_connections_refused_total",
    "websocket_connections_cut_off_total",
)


class Ending(NamedTuple):
    """How a WebSocket ends from here."""

    code: int
    reason: str


async def open_websocket(name: TransportName, shell: Shell, address: HostPort) -> "WebSockets":
    """A row of the registry; nothing is bound, the port is somebody else's."""
    return WebSockets(name, shell, address)


class WebSocketConnection:
    """One WebSocket, opened at the far end."""

    def __init__(self, owner: "WebSockets", local: HostPort, remote: HostPort, opened_by: str) -> None:
        self._owner = owner
        self.flow = Flow(owner.name, local, remote, id=owner.flows.enter(self), opened_by=opened_by)
        self.is_open = True
        self.ending: Ending | None = None
        """How it ends from here, when what is unsent is out."""
        self.cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done: it ends at once."""
        self._unsent: deque[bytes] = deque()
        self._unsent_octets = 0
        self._wake = asyncio.Event()

    def write(self, octets: bytes) -> None:
        """Send one message, in its turn; a page that stopped reading is cut off."""
        if not self.is_open:
            return
        self._unsent.append(octets)
        self._unsent_octets += len(octets) + UNSENT_OVERHEAD
        if self._unsent_octets > MAX_UNSENT_OCTETS:
            trace.trouble(self.flow, "does not read, cut off")
            self._owner.cut_off += 1
            self.cut_off()
        self._wake.set()

    def end(self, ending: Ending) -> None:
        """Close when what is unsent has been taken."""
        self.is_open = False
        self.ending = self.ending or ending
        self._wake.set()

    def cut_off(self) -> None:
        """Close at once; whoever owns the port is rid of what is unsent."""
        self.is_open = False
        if not self.cut.done():
            self.cut.set_result(None)

    async def send_all(self, send: Send) -> None:
        """Send what is written, until it is to be closed and nothing is left; then close."""
        while self.is_open or self._unsent:
            while self._unsent:
                octets = self._unsent[0]
                await send(_message_of(octets))
                self._unsent.popleft()
                self._unsent_octets -= len(octets) + UNSENT_OVERHEAD
            if self.is_open:
                self._wake.clear()
                await self._wake.wait()
        if self.ending is not None:
            await send({"type": "websocket.close", "code": self.ending.code, "reason": self.ending.reason})


def _message_of(octets: bytes) -> Message:
    """RFC 7118 §5: text where it is text, since some pages read nothing else."""
    try:
        return {"type": "websocket.send", "text": octets.decode()}
    except UnicodeDecodeError:
        return {"type": "websocket.send", "bytes": octets}


class WebSockets:
    """The WebSockets of one scheme."""

    dials = False

    def __init__(self, name: TransportName, shell: Shell, address: HostPort) -> None:
        self.name = name
        self.address = address
        self.flows = shell.flows
        self._on_datagram = shell.on_datagram
        self._on_lost = shell.on_lost
        self._open: dict[HostPort, WebSocketConnection] = {}
        self._serial = random.randrange(1, 1 << 16)
        self._is_leaving = self._is_closed = False
        self._all_lost = asyncio.Event()
        self.opened = self.refused = self.cut_off = 0

    # --- what the owner of the port calls

    async def serve(self, scope: Scope, receive: Receive, send: Send, opened_by: str = "") -> None:
        """Serve one WebSocket that has not been accepted yet, until it ends; when the caller ends it, the closing is the caller's as well.

        Args:
            receive, send: as ASGI has them; an OSError says that the far end has gone.
            opened_by: whose it is, as the application calls them.
        """
        first = await receive()
        if first["type"] != "websocket.connect":
            return
        if SUBPROTOCOL not in scope.get("subprotocols", ()):
            await self._refuse(scope, send, 400, "The subprotocol sip must be offered (RFC 7118).")
            return
        if self._is_leaving or self._is_closed or len(self._open) >= MAX_CONNECTIONS:
            await self._refuse(scope, send, 503, "There is no room now: come again.")
            return
        try:
            await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        except OSError:  # it has gone already
            return
        connection = WebSocketConnection(self, self._local(scope), self._remote(scope), opened_by)
        self._open[connection.flow.remote] = connection
        self.opened += 1
        try:
            with contextlib.suppress(OSError):  # it is gone
                await self._work(connection, receive, send)
        finally:
            self._lost(connection)

    async def _work(self, connection: WebSocketConnection, receive: Receive, send: Send) -> None:
        reading = asyncio.ensure_future(self._read(connection, receive))
        writing = asyncio.ensure_future(connection.send_all(send))
        try:
            await asyncio.wait({reading, writing, connection.cut}, return_when=asyncio.FIRST_COMPLETED)
            for task in (reading, writing):
                if task.done():
                    task.result()
        finally:
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    async def _read(self, connection: WebSocketConnection, receive: Receive) -> None:
        """Take what comes until it is gone; each message is dealt with before the next is asked for, so the server holds the others up."""
        taken = 0
        while connection.is_open:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            self._take(connection, text.encode() if text is not None else message.get("bytes") or b"")
            taken += 1
            if not taken % BATCH:
                await asyncio.sleep(0)
        await asyncio.get_running_loop().create_future()  # nothing is read any more; `_work` ends this

    def _take(self, connection: WebSocketConnection, octets: bytes) -> None:
        if not connection.is_open or self._is_leaving:
            return
        if is_keep_alive(octets):
            if octets.startswith(KeepAlive.PING.value):
                connection.write(KeepAlive.PONG.value)
            return
        self._on_datagram(octets, connection.flow)

    def _lost(self, connection: WebSocketConnection) -> None:
        connection.is_open = False
        self.flows.leave(connection.flow.id)
        del self._open[connection.flow.remote]
        if not self._open:
            self._all_lost.set()
        if not (self._is_leaving or self._is_closed):
            self._on_lost(connection.flow)

    async def _refuse(self, scope: Scope, send: Send, status: int, why: str) -> None:
        """RFC 6455 §4.2.2: as HTTP, where the server under us can."""
        self.refused += 1
        if "websocket.http.response" in (scope.get("extensions") or {}):
            body = why.encode()
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
            await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": body})
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": why})

    def _local(self, scope: Scope) -> HostPort:
        server = scope.get("server")
        return (str(server[0]), int(server[1])) if server and server[1] is not None else self.address

    def _remote(self, scope: Scope) -> HostPort:
        """Where it comes from. The port tells flows apart while they live, and a proxy names none: then one is made up."""
        client = scope.get("client")
        host, port = (str(client[0]), int(client[1] or 0)) if client else (NOWHERE, 0)
        while not port or (host, port) in self._open:
            port = self._serial = self._serial % 65_535 + 1
        return host, port

    # --- what the driver calls

    def send(self, octets: bytes, remote: HostPort, flow: Flow) -> None:
        """A flow that lives is written to by its id; no other leads anywhere."""
        del octets, flow
        raise OSError(f"nobody can be dialled at {remote[0]}: it opens the WebSocket itself")

    def let_in(self, flow: Flow) -> None:
        """Nothing changes: nobody here is a stranger."""

    def figures(self) -> Mapping[str, float]:
        """See FIGURES."""
        return dict(zip(FIGURES, (len(self._open), self.opened, self.refused, self.cut_off), strict=True))

    def __len__(self) -> int:
        return len(self._open)

    def stop_reading(self) -> None:
        """Read nothing more, take no new one, and tell of none that goes: a successor goes on with what they carry."""
        self._is_leaving = True

    async def leave(self, within_s: float) -> None:
        """Close all; a page that does not take what is unsent has so long. It comes again by itself."""
        self._is_leaving = True
        await self._end_all(Ending(SERVICE_RESTART, "come again"), within_s)

    async def close(self) -> None:
        """Close all."""
        self._is_closed = True
        await self._end_all(Ending(GOING_AWAY, ""), 0.1)

    async def _end_all(self, ending: Ending, within_s: float) -> None:
        if not self._open:
            return
        self._all_lost.clear()
        for connection in self._open.values():
            connection.end(ending)
        try:
            async with asyncio.timeout(within_s):
                await self._all_lost.wait()
        except TimeoutError:
            for connection in self._open.values():
                connection.cut_off()
