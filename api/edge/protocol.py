"""uvicorn's protocols with what they leave open: deadlines for those who send or read slowly, a lease for every connection (house).

- A head is whole `head_s` after the connection opened, or after its first octet on a connection that is kept.
- A body is whole `body_s` after its head, of a stranger `stranger_body_s`; what nobody wants to read any more is thrown away up to a bound.
- A request with two lengths, or with one its version does not know, is refused and the connection ends (RFC 9112 §6.1, §6.3).
- A body in chunks is no cheaper to send than to read: chunks of an octet each cost h11 a hundred times their weight.
- A connection between two requests ends after uvicorn's `timeout_keep_alive`.
- A client that takes nothing of its answer for `stalled_s` is cut off: closing would wait for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any, cast

import h11
import uvicorn
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from api.edge.answers import HEADERS, RAW_HEADERS
from api.edge.connections import MADE_ROOM, STATE, Connections, Lease
from api.edge.requests import HEAD_FIELDS, HEAD_OCTETS, LINGER_OCTETS, LINGER_S
from api.errors import MEDIA_TYPE, RETRY_AFTER_S, TYPES

log = logging.getLogger(__name__)

MESSAGE_OCTETS = 16 * 1024
"""The largest WebSocket message of a client, unpacked. What clients say is not listened to (`api.telephony.stream`)."""
SIP_PATH = "/api/v1/sip"
SIP_MESSAGE_OCTETS = 65_535
"""There what they say is SIP, whose messages are no larger over any transport (`sip.parser`). They are not compressed: each is a secret of
its own beside what the far end chooses (RFC 7692 §8), and a phone speaks seldom."""
LINE_OCTETS = 8000
"""The longest header field that the WebSocket library reads is 8192 octets with its name (`websockets.http11`)."""

SLICE_OCTETS = 4096
"""What is given to h11 at once of heads and chunks: a read may hold 256 KiB, and forty thousand chunks are seconds of work."""
CHUNK_OVERHEAD_OCTETS = 4096
"""What the framing of chunks may add to a body, beside a 64th of it: eight hundred chunks of an octet, or any number of half a KiB."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take, in seconds."""

    head_s: float = 10.0
    body_s: float = 60.0
    stranger_body_s: float = 5.0
    """Before it is known who sends. Such a body has at most `STRANGER_OCTETS`, 16 KiB, which a modem sends in four seconds; a log-in
    is a single packet. Who turns out to be somebody while the body comes has the rest of `body_s`."""
    keep_alive_s: int = 5
    stalled_s: float = 60.0


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration, and what our protocols need."""

    def __init__(self, app: Any, connections: Connections, patience: Patience, **more: Any) -> None:
        super().__init__(
            app,
            http=HttpProtocol,
            ws=WebSocketProtocol,
            ws_max_size=MESSAGE_OCTETS,
            h11_max_incomplete_event_size=HEAD_OCTETS,
            timeout_keep_alive=patience.keep_alive_s,
            server_header=False,
            log_config=None,
            access_log=False,
            lifespan="off",
            **more,
        )
        self.connections = connections
        self.patience = patience


class Phase(Enum):
    """What a connection waits for."""

    HEAD = "slow_head"
    BODY = "slow_body"
    NOTHING = "nothing"


def _send_at_once(transport: asyncio.Transport) -> None:
    """Head and body of an answer are two writes: without this the second waits for the client's delayed acknowledgement, 40 ms (RFC 896).

    asyncio does so itself only where the listening socket was made with IPPROTO_TCP, which `socket.create_server` does not.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        with suppress(OSError):  # it is gone already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Stalled:
    """Cuts a connection off whose peer takes nothing of what is unsent; also one that is closing, which waits for that peer."""

    def __init__(self, config: ServerConfig, loop: asyncio.AbstractEventLoop) -> None:
        self._config = config
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        self.end()
        self._look_later(transport)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self, transport: asyncio.Transport) -> None:
        unsent = transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._config.patience.stalled_s, self._look, transport, unsent)

    def _look(self, transport: asyncio.Transport, unsent: int) -> None:
        if transport.get_write_buffer_size() < unsent:
            self._look_later(transport)
            return
        self._config.connections.refused["stalled"] += 1
        transport.abort()


class _Reader(h11.Connection):
    """h11, which takes `Transfer-Encoding` for the length wherever it stands: a proxy before us that takes the other one sees the end of
    the request elsewhere, and what is the body of one client becomes the request of another (request smuggling).
    """

    fault = ""
    """What was wrong with the length, for the answer."""

    def next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        """The next event of the peer.

        Raises: h11.RemoteProtocolError: RFC 9112 §6.1 and §6.3 let a server refuse what has both, and tell it to take a request of
            HTTP/1.0 with `Transfer-Encoding` for faulty.
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            if b"transfer-encoding" in names:
                if b"content-length" in names:
                    self.fault = "The request has both Content-Length and Transfer-Encoding."
                elif event.http_version < b"1.1":
                    self.fault = "HTTP/1.0 has no Transfer-Encoding."
                if self.fault:
                    raise h11.RemoteProtocolError(self.fault)
        return event


class HttpProtocol(H11Protocol):
    """One connection that speaks HTTP/1.1."""

    config: ServerConfig
    conn: _Reader

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        lease: Lease | None = None,
    ) -> None:
        """Args:
        lease: the connection's, where it has one already; None: it begins here.
        """
        assert isinstance(config, ServerConfig)
        self.lease = lease or Lease(config.connections)
        super().__init__(config, server_state, {**app_state, STATE: self.lease}, _loop)
        self.conn = _Reader(h11.SERVER, HEAD_OCTETS)
        self._phase = Phase.NOTHING
        self._served: object = None
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled = _Stalled(config, self.loop)
        self._unwanted = 0
        self._chunk_overhead = 0.0
        self._is_over = False
        """An answer of our own has been given, and the end waits for the peer."""

    # --- asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """It is open; whether it may stay is the lease's to say."""
        super().connection_made(transport)
        # We want to be told as soon as anything stays unsent. Under TLS the loop compares with "as many", without TLS with "more".
        transport.set_write_buffer_limits(high=int(transport.get_extra_info("sslcontext") is not None), low=0)
        _send_at_once(transport)
        peer = transport.get_extra_info("peername")
        if self.lease.is_open:
            self.lease.pass_on(self)
        elif not self.lease.begin(self, str(peer[0]) if peer else ""):
            transport.write(problem(503, self.lease.refusal, [("retry-after", str(RETRY_AFTER_S))]))
            transport.close()
            return
        self._wait_for(Phase.HEAD)

    def data_received(self, data: bytes) -> None:
        """Octets have come."""
        if self._is_over:
            self._unwanted += len(data)
            if self._unwanted > LINGER_OCTETS:
                self.transport.close()
            return
        while data and not self._is_over and not self.transport.is_closing() and self.transport.get_protocol() is self:
            piece = data if self.conn.their_state is h11.SEND_BODY and not self._is_chunked else data[:SLICE_OCTETS]
            data = data[len(piece) :]
            if self._takes(piece):
                self._feed(piece)

    def _takes(self, piece: bytes) -> bool:
        """Whether it is worth reading: of a body that nobody waits for any more, only so much is thrown away."""
        if not self.is_idle or self.cycle is None or self.conn.their_state is not h11.SEND_BODY:
            return True
        self._unwanted += len(piece)
        if self._is_chunked or self._unwanted > LINGER_OCTETS:
            self.transport.close()
            return False
        return True

    def _feed(self, piece: bytes) -> None:
        cycle, is_body = self.cycle, self.conn.their_state is h11.SEND_BODY
        before = len(cycle.body) if cycle is not None else 0
        super().data_received(piece)
        if self._is_over:
            return
        if is_body and self._is_chunked and cycle is self.cycle:
            taken = len(cycle.body) - before
            self._chunk_overhead += len(piece) - taken - taken / 64
            if self._chunk_overhead > CHUNK_OVERHEAD_OCTETS:
                self.config.connections.refused["small_chunks"] += 1
                self._answer(400, "The body comes in too many chunks.")
                return
        elif not is_body:
            self._chunk_overhead = 0.0
        self._follow()

    @property
    def _is_chunked(self) -> bool:
        return self.headers is not None and any(name == b"transfer-encoding" for name, _ in self.headers)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._wait_for(Phase.NOTHING)
        if self._deadline is not None:
            self._deadline.cancel()
        self._stalled.end()
        self.lease.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Something is unsent."""
        super().pause_writing()
        self._stalled.begin(self.transport)

    def resume_writing(self) -> None:
        """Everything is sent."""
        super().resume_writing()
        self._stalled.end()

    # --- uvicorn

    def on_response_complete(self) -> None:
        """An answer has been given wholly."""
        self._unwanted = 0
        super().on_response_complete()
        self._follow(quiet=True)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over; a head that the library would stumble on is refused here."""
        self._wait_for(Phase.NOTHING)
        if len(self.headers) > HEAD_FIELDS or any(len(name) + len(value) > LINE_OCTETS for name, value in self.headers):
            self._answer(431, "The header is too large.")
            return
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a problem document like any other."""
        self.config.connections.refused["malformed"] += 1
        self._answer(431 if self._is_head_too_large() else 400, self.conn.fault or msg)

    # --- lease

    @property
    def is_idle(self) -> bool:
        """Whether no request is being served."""
        return self.cycle is None or self.cycle.response_complete

    def give_way(self) -> None:
        """Close, for somebody else, at work or not; at once, so that nobody can hold more connections than he has places."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
            return
        if not self.is_idle and not self._is_over and self._can_answer:
            self.transport.write(problem(503, MADE_ROOM, [("retry-after", str(RETRY_AFTER_S))]))
        self.transport.close()

    # --- deadlines

    def _follow(self, *, quiet: bool = False) -> None:
        """Look what the connection waits for now; of one that is over, nothing.

        Args:
            quiet: nothing has come since the last answer: uvicorn's own timer runs until something does.
        """
        if self._is_over:
            return
        if self.transport.is_closing() or isinstance(self.transport.get_protocol(), WebSocketProtocol):
            self._wait_for(Phase.NOTHING)
        elif self.conn.their_state is h11.SEND_BODY:
            self._wait_for(Phase.BODY)
        elif self.conn.their_state is h11.IDLE and self.is_idle and not quiet:
            self._wait_for(Phase.HEAD)
        else:
            self._wait_for(Phase.NOTHING)

    def _wait_for(self, phase: Phase) -> None:
        if phase is self._phase and self.cycle is self._served:
            return
        self._phase, self._served = phase, self.cycle
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if phase is not Phase.NOTHING:
            patience = self.config.patience
            if phase is Phase.BODY and self.lease.user is None and patience.stranger_body_s < patience.body_s:
                self._deadline = self.loop.call_later(patience.stranger_body_s, self._too_slow_for_a_stranger)
            else:
                self._deadline = self.loop.call_later(patience.head_s if phase is Phase.HEAD else patience.body_s, self._too_slow)

    def _too_slow_for_a_stranger(self) -> None:
        if self.lease.user is None:
            self._too_slow()
            return
        patience = self.config.patience
        self._deadline = self.loop.call_later(patience.body_s - patience.stranger_body_s, self._too_slow)

    def _too_slow(self) -> None:
        self.config.connections.refused[self._phase.value] += 1
        self._answer(408, "The request did not come in time.")

    # --- answers without the application

    def _is_head_too_large(self) -> bool:
        waiting, _ = self.conn.trailing_data
        return len(waiting) > HEAD_OCTETS and self.conn.their_state in {h11.IDLE, h11.ERROR}

    @property
    def _can_answer(self) -> bool:
        return self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE} and (self.is_idle or not self.cycle.response_started)

    def _answer(self, status: int, detail: str) -> None:
        """A problem document, and the end; only the end where an answer has begun already.

        What the peer is still sending is thrown away for a while, so that no reset takes the answer away (RFC 9112 §9.6).
        """
        self._wait_for(Phase.NOTHING)
        if not self._can_answer or self.transport.is_closing():
            self.transport.close()
            return
        if self.cycle is not None and not self.cycle.response_complete:  # the application hears that its client is gone
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(problem(status, detail))
        if self.transport.can_write_eof():  # under TLS there is no half of a connection
            self.transport.write_eof()
        self._is_over, self._unwanted = True, 0
        self._deadline = self.loop.call_later(LINGER_S, self.transport.close)


def problem(status: int, detail: str, headers: list[tuple[str, str]] | None = None) -> bytes:
    """A whole answer with a problem document (RFC 9457) that says the connection ends."""
    title = HTTPStatus(status).phrase
    kind = TYPES + title.lower().replace(" ", "-")
    document = {"type": kind, "title": title, "status": status, "detail": detail, "instance": "", "errors": []}
    body = json.dumps(document).encode()
    fields = [
        ("content-type", MEDIA_TYPE),
        ("content-length", str(len(body))),
        ("connection", "close"),
        *((name.decode(), value.decode()) for name, value in RAW_HEADERS),
        *(headers or ()),
    ]
    head = f"HTTP/1.1 {status} {title}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    return head.encode() + body


class _Handshake(ServerProtocol):
    """Refusals of a handshake carry the headers of every answer."""

    def reject(self, status: int, text: str) -> Response:
        """RFC 6455 §4.2.2, answered as HTTP."""
        response = super().reject(HTTPStatus(status), text)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection that speaks WebSocket. A peer that answers no ping within uvicorn's 20 + 20 s is gone; one that does not read, too."""

    config: ServerConfig

    def __init__(
        self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any], _loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        assert isinstance(config, ServerConfig)
        super().__init__(config, server_state, app_state, _loop)
        self.conn = _Handshake(
            extensions=self.conn.available_extensions, max_size=config.ws_max_size, logger=logging.getLogger("uvicorn.error")
        )
        self.lease = cast("Lease", app_state[STATE])
        self._stalled = _Stalled(config, self.loop)

    def handle_connect(self, event: Request) -> None:
        """What is no stream of events has bounds of its own."""
        if event.path.partition("?")[0] == SIP_PATH:
            self.conn.max_message_size, self.conn.available_extensions = SIP_MESSAGE_OCTETS, []
        super().handle_connect(event)

    async def send(self, message: ASGISendEvent) -> None:
        """As uvicorn does; a refusal with a body is the end of the handshake too, and no fault of the application."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It was an HTTP connection until now."""
        super().connection_made(transport)
        self.lease.pass_on(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._stalled.end()
        self.lease.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Something is unsent."""
        super().pause_writing()
        self._stalled.begin(self.transport)

    def resume_writing(self) -> None:
        """Everything is sent."""
        super().resume_writing()
        self._stalled.end()

    @property
    def is_idle(self) -> bool:
        """A stream is always at work."""
        return False

    def give_way(self) -> None:
        """Asked of one that has not logged in yet, where all places are taken."""
        self.transport.close()
