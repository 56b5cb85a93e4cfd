"""A phone that a test plays message by message: real sockets, and every header as makers really write them.

`load.phones` is a well-behaved phone; this one can be started anew under another port, fall silent, lose its connection, refuse.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

from load.phone_bank import new_id
from sip.digest import ClientDigest, DigestCredentials
from sip.flow import HostPort
from sip.message import Request, Response
from sip.parser import DEFAULT_LIMITS, StreamParser, parse_datagram
from sip.uri import Uri
from tests.field.cases import story
from tests.ports import HOST

SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
WAIT_S = 8.0


def contact_params(name: str, step: int, otherwise: str) -> str:
    """What a step of a story writes behind its Contact's address, or this where the cases are not there."""
    told = story(name)
    found = re.search(r"Contact \S*?(;\S+)", told["steps"][step]) if told is not None else None
    return found[1] if found is not None else otherwise


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not true():
            await asyncio.sleep(0.02)


class DeskPhone:
    """See the module.

    Attributes:
        invited: statuses that an INVITE is answered with, in order; 200 with an SDP.
        asked: status for OPTIONS; None: nothing.
        heard: every request that came, also repeated ones.
    """

    def __init__(self, server: HostPort, user: str, *, transport: str = "udp", port: int = 0) -> None:
        self.server, self.user, self.transport, self._wanted = server, user, transport, port
        self.invited: tuple[int, ...] = (180,)
        self.asked: int | None = 200
        self.is_carrier = False
        """It waits for others, and answers where they are."""
        self.registrar: Callable[[Request], tuple[int, tuple[tuple[str, str], ...]]] | None = None
        """What it says to a REGISTER; None: nothing."""
        self.heard: list[Request] = []
        self.answers: list[Response] = []
        self.contact_host = HOST
        self.via_port: int | None = None
        """What stands in Via; None: the port it sends from, with rport."""
        self._digest = ClientDigest(DigestCredentials(user, f"{user}-secret"))
        self._call_id, self._tag, self._cseq = new_id(), new_id(), 0
        self._sent: dict[tuple[str, int], list[bytes]] = {}
        self._write: Callable[[bytes], None] = lambda _octets: None
        self._close: Callable[[], None] = lambda: None
        self._news = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self.port = 0

    # ------------------------------------------------------------------ sockets

    async def open(self) -> Self:
        loop = asyncio.get_running_loop()
        if self.transport == "udp":
            phone = self

            class Datagrams(asyncio.DatagramProtocol):
                def datagram_received(self, data: bytes, addr: Any) -> None:
                    phone.server = addr if phone.is_carrier else phone.server
                    phone._take(parse_datagram(data))

            transport, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=(HOST, self._wanted))
            self._write = lambda octets: transport.sendto(octets, self.server)
            self._close = transport.close
            self.port = transport.get_extra_info("sockname")[1]
            return self
        reader, writer = await asyncio.open_connection(*self.server)
        self._write, self._close = writer.write, writer.transport.abort
        self.port = writer.get_extra_info("sockname")[1]
        self._reading = asyncio.create_task(self._read(reader))
        return self

    async def _read(self, reader: asyncio.StreamReader) -> None:
        parser = StreamParser(DEFAULT_LIMITS)
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                for item in parser.feed(data):
                    if isinstance(item, Request | Response):
                        self._take(item)

    def close(self) -> None:
        """Its power is gone: no word to anybody."""
        self._close()
        self._write = lambda _octets: None
        if self._reading is not None:
            self._reading.cancel()

    # ------------------------------------------------------------------ what comes

    def _take(self, message: Request | Response) -> None:
        if isinstance(message, Response):
            self.answers.append(message)
        else:
            self.heard.append(message)
            self._serve(message)
        self._news.set()

    def _serve(self, request: Request) -> None:
        statuses: tuple[int, ...]
        match request.method:
            case "INVITE":
                statuses = self.invited
            case "OPTIONS":
                statuses = () if self.asked is None else (self.asked,)
            case "CANCEL":
                self.say(request, 200)
                self.say(next(one for one in self.heard if one.method == "INVITE" and one.call_id == request.call_id), 487)
                return
            case "BYE" | "INFO" | "NOTIFY":
                statuses = (200,)
            case "REGISTER" if self.registrar is not None:
                status, headers = self.registrar(request)
                self._write(request.response(status, to_tag=self._tag, headers=headers).to_bytes())
                return
            case _:
                return
        for status in statuses:
            self.say(request, status)

    def say(self, request: Request, status: int, *headers: tuple[str, str]) -> None:
        """Answer."""
        fields = [("Contact", self.contact)] if request.method == "INVITE" else []
        body = SDP if status == 200 and request.method == "INVITE" else b""
        self._write(
            request.response(
                status, to_tag=self._tag, headers=[*fields, *headers], body=body, content_type="application/sdp" if body else None
            ).to_bytes()
        )

    def of(self, method: str) -> list[Request]:
        """Requests of this kind, each once."""
        return list({(one.call_id, one.cseq.number): one for one in self.heard if one.method == method}.values())

    async def hears(self, method: str) -> Request:
        """Until one has come."""
        await until(lambda: self.of(method))
        return self.of(method)[-1]

    @property
    def invite(self) -> Request:
        return self.of("INVITE")[-1]

    # ------------------------------------------------------------------ registering

    @property
    def contact(self) -> str:
        return f"<sip:{self.user}@{self.contact_host}:{self.port}{';transport=tcp' if self.transport == 'tcp' else ''}>"

    async def register(
        self, params: str = "", *, expires: int = 300, contact: str | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> Response:
        """Register, with the challenge answered; `params` stand behind the Contact."""
        for _ in range(3):
            self._cseq += 1
            host, port = self.server
            rport = "" if self.via_port is not None else ";rport"
            uri = Uri("sip", None, host, port)
            fields = [
                ("Via", f"SIP/2.0/{self.transport.upper()} {HOST}:{self.via_port or self.port};branch=z9hG4bK{new_id()}{rport}"),
                ("Max-Forwards", "70"),
                ("From", f"<sip:{self.user}@{host}>;tag={self._tag}"),
                ("To", f"<sip:{self.user}@{host}>"),
                ("Call-ID", self._call_id),
                ("CSeq", f"{self._cseq} REGISTER"),
                ("Contact", contact or self.contact + params),
                ("Expires", str(expires)),
                *headers,
                *self._digest.headers("REGISTER", uri, new_id()),
            ]
            self._write(Request.build("REGISTER", uri, fields).to_bytes())
            number = self._cseq

            def answered(number: int = number) -> Response | None:
                return next((one for one in self.answers if one.cseq.number == number and one.cseq.method == "REGISTER"), None)

            await until(answered)
            response = answered()
            assert response is not None
            if response.status != 401 or not self._digest.learn(response):
                return response
        return response


@contextlib.asynccontextmanager
async def desk_phone(server: HostPort, user: str, **options: Any) -> AsyncIterator[DeskPhone]:
    phone = await DeskPhone(server, user, **options).open()
    try:
        yield phone
    finally:
        phone.close()
