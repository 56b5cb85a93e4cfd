"""The application behind a real socket in the test's own loop, and a client that sends what it likes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from api.commands.run import _Server
from api.edge.connections import Connections
from api.edge.protocol import Patience, ServerConfig
from api.https import Https


@dataclass(frozen=True)
class Served:
    url: str
    port: int
    connections: Connections
    wires: list[Wire] = field(default_factory=list)
    """All that were opened: closed with the server, so that no test has to."""

    plain_port: int = 0
    """Beside HTTPS."""

    async def connect(self, source: str = "127.0.0.1", tls: ssl.SSLContext | None = None, name: str | None = None, port: int = 0) -> Wire:
        """Args:
        tls: what a handshake is made with; None: there is none.
        name: that is asked for in it.
        """
        wire = await asyncio.open_connection("127.0.0.1", port or self.port, local_addr=(source, 0), ssl=tls, server_hostname=name)
        self.wires.append(Wire(*wire))
        return self.wires[-1]


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """One connection, octet for octet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def request(self, method: str, target: str, *fields: str, body: bytes = b"") -> None:
        head = "\r\n".join((f"{method} {target} HTTP/1.1", "Host: test", *fields))
        await self.send(head.encode() + b"\r\n\r\n" + body)

    async def reply(self) -> Reply:
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Reply(int(head[0].split()[1]), headers, body)

    async def ended(self) -> bytes:
        """What still comes before the connection ends, however it ends."""
        rest = b""
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                while piece := await self.reader.read(65536):
                    rest += piece
        return rest

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):  # under TLS also that what still came was not taken
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(
    app: Any, patience: Patience | None = None, connections: Connections | None = None, https: Https | None = None, plain_port: int = 0
) -> AsyncIterator[Served]:
    """As `fernamt run` serves.

    Args:
        https: which has started; None: all without TLS.
        plain_port: beside it; 0: any.
    """
    held = connections or Connections(per_source=100, strangers=100, per_user=100)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    sockets = [listening] if https is None else [listening, socket.create_server(("127.0.0.1", plain_port))]
    started = asyncio.Event()
    outer = app if https is None else https.outside(app)
    server = _Server(ServerConfig(outer, held, patience or Patience(), timeout_graceful_shutdown=1), started.set, https)
    running = asyncio.create_task(server.serve(sockets=sockets))
    try:
        await started.wait()
        scheme = "http" if https is None else "https"
        yield (served := Served(f"{scheme}://127.0.0.1:{port}", port, held, plain_port=sockets[-1].getsockname()[1]))
        for wire in served.wires:
            await wire.close()
    finally:
        server.should_exit = True
        await running
        for one in sockets:
            one.close()
