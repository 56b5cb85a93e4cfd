"""A carrier on SIP over TCP, message by message: it calls over a connection of its own, and listens at its Contact for others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Self

from load.phone_bank import new_id
from sip.flow import HostPort
from sip.message import Request, Response
from sip.parser import DEFAULT_LIMITS, StreamParser
from sip.uri import Uri
from tests.field.desk_phone import SDP, until
from tests.ports import HOST

SUPPORTED = ("Supported", "timer")


class TcpCarrier:
    """One call of it.

    Attributes:
        said: statuses for re-INVITEs, with headers, in order; 200 behind the last.
        at_contact: requests that came over connections to its Contact.
        on_own: requests that came over the connection it had called by.
    """

    def __init__(self, server: HostPort) -> None:
        self.server = server
        self.said: list[tuple[int, tuple[tuple[str, str], ...]]] = []
        self.at_contact: list[Request] = []
        self.on_own: list[Request] = []
        self.answers: list[Response] = []
        self.is_cut = False
        self._call_id, self._tag = new_id(), new_id()
        self._dialog: list[tuple[str, str]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        reader, self._writer = await asyncio.open_connection(*self.server)
        self._writers.append(self._writer)
        self._tasks.append(asyncio.create_task(self._read(reader, self._writer, self.on_own, is_own=True)))
        return self

    async def close(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self, *, with_reset: bool) -> None:
        """Its connection is closed (FIN), or gone (RST)."""
        if with_reset:
            self._writer.transport.abort()
        else:
            self._writer.close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._tasks.append(asyncio.create_task(self._read(reader, writer, self.at_contact)))

    async def _read(self, reader, writer, heard: list[Request], *, is_own: bool = False) -> None:
        parser = StreamParser(DEFAULT_LIMITS)
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                for item in parser.feed(data):
                    if isinstance(item, Response):
                        self.answers.append(item)
                    elif isinstance(item, Request):
                        heard.append(item)
                        self._serve(item, writer)
        self.is_cut = self.is_cut or is_own

    def _serve(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.method == "ACK":
            return
        is_change = request.method == "INVITE"
        status, more = self.said.pop(0) if is_change and self.said else (200, ())
        fields = [("Contact", self.contact)] if is_change else []
        if is_change and status == 200:
            fields += [("Session-Expires", request.headers.get("Session-Expires") or "1800"), ("Require", "timer")]
        body = SDP if is_change and status == 200 else b""
        writer.write(
            request.response(status, headers=[*fields, *more], body=body, content_type="application/sdp" if body else None).to_bytes()
        )

    @property
    def contact(self) -> str:
        return f"<sip:gw@{HOST}:{self.port};transport=tcp>"

    def _send(self, method: str, more: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> None:
        via = f"SIP/2.0/TCP {HOST}:{self.port};branch=z9hG4bK{new_id()}"
        fields = [("Via", via), ("Max-Forwards", "70"), *self._dialog, ("CSeq", f"1 {method}"), *more]
        request = Request.build(method, Uri("sip", "601", *self.server), fields, body, "application/sdp" if body else None)
        self._writer.write(request.to_bytes())

    async def call(self, number: str, *more: tuple[str, str]) -> None:
        """INVITE; `up` waits for the answer."""
        self._dialog = [
            ("From", f"<sip:+491711234567@{HOST}>;tag={self._tag}"),
            ("To", f"<sip:{number}@{HOST}>"),
            ("Call-ID", self._call_id),
        ]
        self._send("INVITE", (("Contact", self.contact), SUPPORTED, *more), SDP)

    async def up(self) -> None:
        """Until it is answered; ACK."""
        await until(lambda: any(one.status == 200 for one in self.answers))
        ok = next(one for one in self.answers if one.status == 200)
        self._dialog[1] = ("To", str(ok.to))
        self._send("ACK")

    async def hears(self, method: str) -> Request:
        """Until one has come, over whatever connection."""

        def heard():
            return [one for one in (*self.on_own, *self.at_contact) if one.method == method]

        await until(heard)
        return heard()[-1]


@contextlib.asynccontextmanager
async def tcp_carrier(server: HostPort) -> AsyncIterator[TcpCarrier]:
    carrier = await TcpCarrier(server).open()
    try:
        yield carrier
    finally:
        await carrier.close()
