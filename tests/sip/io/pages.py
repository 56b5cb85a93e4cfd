"""A WebSocket as ASGI has it, and the user agent of a page behind it (RFC 7118): its host does not exist, and one way leads to it."""

import asyncio
import contextlib
import re
import secrets

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.events import IncomingInvite
from sip.flow import Flow
from sip.io.websocket import WebSockets
from sip.registration import RegistrationPlan
from sip.uri import Uri
from sip.user_agent import UserAgent

SERVER, CLIENT = ("192.0.2.1", 8080), ("203.0.113.7", 40_000)


class Wire:
    """One WebSocket under a server that is not there: what the callable sends is heard, what is said here it receives."""

    def __init__(self, serves: WebSockets, *, client=CLIENT, server=SERVER, subprotocols=("sip",), extensions=None, opened_by=""):
        self.scope = {
            "type": "websocket",
            "scheme": serves.name,
            "client": client,
            "server": server,
            "subprotocols": list(subprotocols),
            "extensions": extensions or {},
        }
        self._to_app = asyncio.Queue()
        self.heard = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.is_gone = False
        self._to_app.put_nowait({"type": "websocket.connect"})
        self.serving = asyncio.ensure_future(serves.serve(self.scope, self._to_app.get, self._send, opened_by))

    async def _send(self, message):
        await self.reads.wait()
        if self.is_gone:
            raise ConnectionResetError
        self.heard.put_nowait(message)

    async def hears(self):
        async with asyncio.timeout(5):
            return await self.heard.get()

    async def accepted(self):
        assert await self.hears() == {"type": "websocket.accept", "subprotocol": "sip"}
        return self

    def say(self, octets, *, as_text=True):
        self._to_app.put_nowait({"type": "websocket.receive"} | ({"text": octets.decode()} if as_text else {"bytes": octets}))

    async def go(self, code=1006):
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": code})
        await self.ended()

    async def ended(self):
        async with asyncio.timeout(5):
            await asyncio.wait({self.serving})
        self.serving.result()


class Page:
    """A user agent in a page; it may change its WebSocket, and is the same phone."""

    def __init__(self, aor, instance="00000000-0000-1000-8000-000a95a0e128"):
        self.aor, self.instance = aor, instance
        self.agent = UserAgent(UserAgentConfig(classify=lambda *_: TRUNK), lambda: secrets.token_hex(8))
        self.loop = asyncio.get_running_loop()
        self.events = []
        self.name = f"{secrets.token_hex(6)}.invalid"
        self.wire = self._hearing = None
        self.sdp = b""

    async def on(self, wire):
        """Speak over this WebSocket from now on."""
        if self._hearing is not None:
            self._hearing.cancel()
        self.wire = await wire.accepted()
        self.flow = Flow(wire.scope["scheme"], (self.name, 80), SERVER)
        self._hearing = asyncio.ensure_future(self._hear())
        return self

    async def _hear(self):
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                message = await self.wire.heard.get()
                if message["type"] != "websocket.send":
                    return
                self.agent.receive(message["text"].encode() if "text" in message else message["bytes"], self.flow, self.loop.time())
                self.drain()

    def drain(self):
        for event in self.agent.events():
            self.events.append(event)
            if isinstance(event, IncomingInvite):
                self.agent.ring(event.session, self.loop.time())
                self.agent.accept(event.session, self.sdp, self.loop.time())
        for _, octets in self.agent.datagrams_to_send():
            self.wire.say(self._with_instance(octets))

    def _with_instance(self, octets):
        """RFC 5626 §4.1: a page says which phone it is; our own user agent, which speaks here, does not."""
        if self.instance is None or not octets.startswith(b"REGISTER "):
            return octets
        which = f';+sip.instance="<urn:uuid:{self.instance}>";reg-id=1\r\n'.encode()
        return re.sub(rb"(?m)^(Contact: .*)\r\n", lambda line: line[1] + which, octets)

    def register(self, credentials=None):
        plan = RegistrationPlan(self.aor, Uri("sip", host=self.aor.host), self.flow, credentials, patience_s=5)
        self.agent.register(secrets.token_hex(4), plan, self.loop.time())
        self.drain()

    async def has(self, kind):
        async with asyncio.timeout(5):
            while not (found := [event for event in self.events if isinstance(event, kind)]):
                await asyncio.sleep(0)
        return found[-1]

    def close(self):
        if self._hearing is not None:
            self._hearing.cancel()


__all__ = ["CLIENT", "SERVER", "Page", "Wire"]
