"""Callers at next to no cost: one socket that sends INVITEs, acknowledges whatever comes, and holds what was answered (house).

A whole user agent a call (`parties.py`) costs as much as the service does; who wants to know what a flood does to others needs a flood that
takes nothing from them but what arrives. Nothing is repeated: what is lost is lost.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from typing import cast

from load.phone_bank import new_id
from sip.errors import ParseError
from sip.flow import HostPort
from sip.message import Request, Response
from sip.parser import parse_datagram

TICK_S = 0.01


class Flood(asyncio.DatagramProtocol):
    """Calls from one address to one number. `await Flood.open(...)` makes one."""

    def __init__(self, server: HostPort, number: str) -> None:
        self._server = server
        self._number = number
        self._ours: HostPort = ("", 0)
        self._transport: asyncio.DatagramTransport
        self._sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        """What the callers would hear goes here: bound, so that the service gets no error, and never read."""
        self.sent = 0
        self.statuses: Counter[int] = Counter()
        """Final answers."""
        self.warnings: Counter[str] = Counter()
        self._final: set[str] = set()
        self._up: dict[str, Response] = {}
        self._answered = asyncio.Event()

    @classmethod
    async def open(cls, server: HostPort, number: str, source: str) -> Flood:
        """Bind a port of `source`.

        Raises: OSError: the address is not ours.
        """
        loop = asyncio.get_running_loop()
        _, flood = await loop.create_datagram_endpoint(lambda: cls(server, number), local_addr=(source, 0))
        return flood

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self._ours = transport.get_extra_info("sockname")[:2]
        self._sink.bind((self._ours[0], 0))

    @property
    def up(self) -> int:
        """Calls that were answered and not ended."""
        return len(self._up)

    def call(self) -> None:
        """One INVITE."""
        self.sent += 1
        host, port = self._sink.getsockname()
        sdp = f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n"
        self._send("INVITE", f"<sip:{self._number}@{self._server[0]}>", new_id(), 1, sdp, "Content-Type: application/sdp\r\n")

    def _send(self, method: str, to: str, call_id: str, cseq: int, body: str = "", more: str = "", branch: str = "") -> None:
        host, port = self._ours
        text = (
            f"{method} sip:{self._number}@{self._server[0]} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};branch={branch or 'z9hG4bK' + new_id()};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:+4930{port}@{host}>;tag=f\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n"
            f"Contact: <sip:flood@{host}:{port}>\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self._transport.sendto(text.encode(), self._server)

    def datagram_received(self, data: bytes, addr: tuple[str | bytes, int]) -> None:
        del addr
        try:
            message = parse_datagram(data)
        except ParseError:
            return
        if isinstance(message, Request):
            if message.method == "BYE":
                self._up.pop(message.call_id, None)
                self._transport.sendto(message.response(200).to_bytes(), self._server)
        elif message.status >= 200 and message.cseq.method == "INVITE":
            self._answered_finally(message)

    def _answered_finally(self, response: Response) -> None:
        """Acknowledge it (RFC 3261 §13.2.2.4; §17.1.1.3: that of a refusal belongs to the transaction); a repeated one counts once."""
        is_refused = response.status >= 300
        self._send("ACK", str(response.to), response.call_id, 1, branch=response.top_via.branch or "" if is_refused else "")
        if response.call_id in self._final:
            return
        self._final.add(response.call_id)
        self.statuses[response.status] += 1
        if is_refused:
            self.warnings.update(response.headers.get_all("Warning"))
        else:
            self._up[response.call_id] = response
        self._answered.set()

    async def calls(self, count: int, timeout_s: float = 10.0) -> None:
        """So many calls, a few at a time, until each was answered; what was lost on the way is waited for until the time is up."""
        for number in range(count):
            self.call()
            if number % 20 == 19:
                await self._settle(timeout_s)
        await self._settle(timeout_s)

    async def _settle(self, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while self.statuses.total() < self.sent:
                self._answered.clear()
                await self._answered.wait()

    async def answered_with(self, status: int, timeout_s: float) -> None:
        """Wait until some call has got this answer.

        Raises: TimeoutError: none has.
        """
        async with asyncio.timeout(timeout_s):
            while not self.statuses[status]:
                self._answered.clear()
                await self._answered.wait()

    async def pour(self, per_s: float) -> None:
        """So many calls a second until cancelled, whatever is answered."""
        loop = asyncio.get_running_loop()
        began, already = loop.time(), self.sent
        while True:
            for _ in range(round((loop.time() - began) * per_s) - (self.sent - already)):
                self.call()
            await asyncio.sleep(TICK_S)

    def hang_up(self) -> None:
        """End every call that is up; nobody waits for the answers."""
        for call_id, response in self._up.items():
            self._send("BYE", str(response.to), call_id, 2)
        self._up.clear()

    def close(self) -> None:
        """Hang up, close the socket."""
        self.hang_up()
        self._transport.close()
        self._sink.close()
