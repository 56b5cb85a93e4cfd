"""Plays messages as they were sent, octet for octet, from a bare socket, and gathers what everybody then sees.

A message is a text with placeholders: `{SERVER}` the service, `{IP}:{PORT}` the sender, `{RTP}` its RTP port, `{DID}` the number called,
`{RANDOM}` a fresh token at each place, `{LENGTH}` the octets of the body. `cases.message` reads one from outside.
"""

import asyncio
import contextlib
import re
import secrets
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acd.core import inputs as inp
from acd.core.ids import AgentId
from acd.service import ScreenContext, ScreenPop, TenantSetup
from load.phones import PhoneCall, SyntheticPhone
from sip.message import Message, Request, Response
from sip.parser import parse_datagram
from tests.acd.voice import HOST, TENANT, Running, running

DID = "+4989123456"

SDP = """v=0
o=- 4711 1 IN IP4 {IP}
s=-
c=IN IP4 {IP}
t=0 0
m=audio {RTP} RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
"""


def invite(
    uri: str = "sip:{DID}@{SERVER}",
    *headers: str,
    from_: str = "<sip:+491711234567@carrier.example>",
    to: str = "<sip:{DID}@{SERVER}>",
) -> str:
    """An INVITE of a carrier, with further header lines."""
    lines = [
        f"INVITE {uri} SIP/2.0",
        "Via: SIP/2.0/UDP {IP}:{PORT};rport;branch=z9hG4bK{RANDOM}",
        "Max-Forwards: 70",
        f"From: {from_};tag={{RANDOM}}",
        f"To: {to}",
        "Call-ID: {RANDOM}",
        "CSeq: 1 INVITE",
        "Contact: <sip:gw@{IP}:{PORT}>",
        *headers,
        "Content-Type: application/sdp",
        "Content-Length: {LENGTH}",
    ]
    return "\n".join(lines) + "\n\n" + SDP


def filled(message: str, **values: object) -> bytes:
    """The octets of a message: placeholders filled in, lines ended by CRLF."""
    text = message.replace("\r\n", "\n")
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    text = re.sub(r"\{RANDOM\}", lambda _: secrets.token_hex(6), text)
    head, _, body = text.partition("\n\n")
    octets = body.replace("\n", "\r\n").encode()
    return head.replace("{LENGTH}", str(len(octets))).replace("\n", "\r\n").encode() + b"\r\n\r\n" + octets


class Peer(asyncio.DatagramProtocol):
    """A gateway on a bare socket: what it sends is what the test wrote."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.server = server
        self.received: asyncio.Queue[Message] = asyncio.Queue()
        self.all: list[Message] = []
        self._invite: Request | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.host, self.port = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, _address: Any) -> None:
        message = parse_datagram(data)
        self.all.append(message)
        self.received.put_nowait(message)

    def send(self, octets: bytes) -> None:
        self._transport.sendto(octets, self.server)

    def play(self, message: str, rtp: int, did: str = DID, **values: object) -> bytes:
        """Send it; returns the octets."""
        host, port = self.server
        octets = filled(message, SERVER=f"{host}:{port}", IP=self.host, PORT=self.port, RTP=rtp, DID=did, **values)
        sent = parse_datagram(octets)
        if isinstance(sent, Request) and sent.method == "INVITE":
            self._invite = sent
        self.send(octets)
        return octets

    async def response(self, least: int = 200, timeout_s: float = 8.0) -> Response:
        """The next response with at least this status to what was played; a 2xx and a refusal are acknowledged."""
        async with asyncio.timeout(timeout_s):
            while True:
                message = await self.received.get()
                if isinstance(message, Response) and message.status >= least and message.cseq.method == "INVITE":
                    if message.status >= 200:
                        self.send(self._in_dialog("ACK", message))
                    return message

    def give_up(self) -> None:
        """CANCEL the INVITE."""
        assert self._invite is not None
        headers = [(name, self._invite.headers.get(name) or "") for name in ("Via", "From", "To", "Call-ID")]
        self.send(Request.build("CANCEL", self._invite.uri, [*headers, ("CSeq", "1 CANCEL"), ("Max-Forwards", "70")]).to_bytes())

    def hang_up(self, answer: Response) -> None:
        """BYE in the dialog of a 2xx."""
        self.send(self._in_dialog("BYE", answer, 2))

    def _in_dialog(self, method: str, response: Response, number: int = 1) -> bytes:
        assert self._invite is not None
        target = response.contacts[0].uri if response.status < 300 and response.contacts else self._invite.uri
        branch = self._invite.headers.get("Via") or ""
        if response.status < 300:
            branch = f"SIP/2.0/UDP {self.host}:{self.port};rport;branch=z9hG4bK{secrets.token_hex(6)}"
        headers = [
            ("Via", branch),
            ("From", self._invite.headers.get("From") or ""),
            ("To", response.headers.get("To") or ""),
            ("Call-ID", self._invite.call_id),
            ("CSeq", f"{number} {method}"),
            ("Max-Forwards", "70"),
        ]
        return Request.build(method, target, headers).to_bytes()


@contextlib.asynccontextmanager
async def peer(server: tuple[str, int], address: str = HOST) -> AsyncIterator[tuple[Peer, int]]:
    """A gateway, and the port where it takes RTP."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp:
        rtp.bind((address, 0))
        transport, protocol = await loop.create_datagram_endpoint(lambda: Peer(server), local_addr=(address, 0))
        try:
            yield protocol, rtp.getsockname()[1]
        finally:
            transport.close()


@dataclass
class Seen:
    """What everybody saw of one call."""

    phone: str | None
    """Number at the agent's phone, and the name there."""
    name: str
    board: list[str | None]
    pops: list[ScreenPop]
    looked_up: list[str]
    record: Any
    """The CDR."""
    invite: str
    """The INVITE at the agent's phone, as it came."""
    told: str = ""
    """All of it as one text, in which a number can be looked for."""


@dataclass
class Lookups:
    """The platform's side of the pop: knows everybody."""

    asked: list[str] = field(default_factory=list)

    async def __call__(self, _tenant: object, number: str) -> ScreenContext:
        self.asked.append(number)
        return ScreenContext(contact={"name": f"Customer {number}"})


class Desk:
    """Anna at her phone, of a service that leads a number to her queue, and all that is told of her calls."""

    def __init__(self, service: Running, lookups: Lookups, phone: SyntheticPhone) -> None:
        self.service = service
        self.lookups = lookups
        self.phone = phone
        self.events: list[Any] = []
        self.calls = 0

    async def watch(self, agent: AgentId | None) -> None:
        async for told in self.service.stream(TENANT, agent=agent):
            if agent is None or isinstance(told.event, ScreenPop):
                self.events.append(told.event)

    async def takes(self, message: str, did: str = DID, **values: object) -> Seen:
        """Play an INVITE; she takes the call, and the caller hangs up."""
        self.events.clear()
        self.lookups.asked.clear()
        async with peer(self.service.address) as (gateway, rtp):
            gateway.play(message, rtp, did, **values)
            offered: PhoneCall = await self.phone.incoming()
            board = self.service.voice.live(TENANT)
            shown = [entry.calling for queue in board.queues for entry in queue.waiting] + [call.calling for call in board.calls]
            await offered.answer()
            gateway.hang_up(await gateway.response())
            self.calls += 1
            record = max(await self.service.cdrs(self.calls), key=lambda entry: entry.cdr.began_at).cdr
        assert offered.request is not None
        from_ = offered.request.from_
        seen = Seen(
            phone=from_.uri.user,
            name=from_.display_name,
            board=shown,
            pops=[event for event in self.events if isinstance(event, ScreenPop)],
            looked_up=list(self.lookups.asked),
            record=record,
            invite=offered.request.to_bytes().decode(),
        )
        seen.told = "\n".join(map(str, (seen.invite, board, seen.looked_up, record, *self.events)))
        return seen


@contextlib.asynccontextmanager
async def desk(directory: Path, setup: TenantSetup, **settings: Any) -> AsyncIterator[Desk]:
    """A whole service for this tenant, and Anna ready at her phone."""
    lookups = Lookups()
    async with running(directory, setup, lookup=lookups, **{"phone_shows": "{caller}"} | settings) as service:
        anna = await service.phone("anna")
        await service.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
        made = Desk(service, lookups, anna)
        watchers = [asyncio.create_task(made.watch(agent)) for agent in (None, AgentId("anna"))]
        await asyncio.sleep(0)
        try:
            yield made
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
