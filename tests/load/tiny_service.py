"""A service of a hundred lines to load: answers callers, queues them first come first served, rings one free agent each, relays audio.

It stands in for the product so that the generator can be tested alone; it is honest SIP and RTP, and deliberately has nothing else.
"""

import asyncio
import secrets
import socket
from collections import deque

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.events import IncomingInvite, Registered, SessionAccepted, SessionConfirmed, SessionEnded, SessionFailed
from sip.headers.name_addr import NameAddr
from sip.io.driver import SipEndpoint
from sip.registrar import Registrar
from sip.sdp.offer_answer import LocalMedia, answer, audio_offer
from sip.sdp.parser import parse_sdp
from sip.uri import Uri
from sip.user_agent import UserAgent


class Relay:
    """Two sockets, each sending on what the other receives, to where that came from; `loses` drops every nth packet of the caller."""

    def __init__(self, loses: int | None):
        self._loop = asyncio.get_running_loop()
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        self._peers = [None, None]
        self._loses = loses
        self._count = 0
        for side, one in enumerate(self._sockets):
            one.bind(("127.0.0.1", 0))
            one.setblocking(False)
            self._loop.add_reader(one.fileno(), self._readable, side)

    def port(self, side):
        return self._sockets[side].getsockname()[1]

    def _readable(self, side):
        try:
            packet, self._peers[side] = self._sockets[side].recvfrom(2048)
        except (BlockingIOError, ConnectionRefusedError):
            return
        if side == 0:
            self._count += 1
        if self._peers[1 - side] is not None and not (side == 0 and self._loses and self._count % self._loses == 0):
            self._sockets[1 - side].sendto(packet, self._peers[1 - side])

    def close(self):
        for one in self._sockets:
            if one.fileno() >= 0:
                self._loop.remove_reader(one.fileno())
                one.close()


class Call:
    def __init__(self, session, calling, loses):
        self.caller = session
        self.calling = calling
        self.agent_leg = None
        self.agent = None
        self.relay = Relay(loses)


class TinyService:
    def __init__(self, *, loses=None, newest_first=False, refuses=frozenset()):
        self.loses = loses
        self.newest_first = newest_first
        self.refuses = refuses
        config = UserAgentConfig(classify=lambda _request, _flow: TRUNK, registrar=Registrar(lambda uri, _who: f"{uri.user}@{uri.host}"))
        self.agent = UserAgent(config, lambda: secrets.token_hex(8))
        self.endpoint = SipEndpoint(self.agent, [("udp", "127.0.0.1", 0)], self._on_event)
        self.free = deque()
        self.flows = {}
        self.waiting = deque()
        self.calls = {}
        self.arrived = 0

    async def __aenter__(self):
        await self.endpoint.start()
        return self

    async def __aexit__(self, *_):
        for call in set(self.calls.values()):
            call.relay.close()
        await self.endpoint.close()

    @property
    def address(self):
        return ("127.0.0.1", self.endpoint.addresses[0][2])

    def _on_event(self, event):
        now = self.endpoint.now()
        match event:
            case Registered(aor=aor, contact=contact, flow=flow, refreshed=refreshed):
                if not refreshed:
                    self.flows[aor] = (contact, flow)
                    self.free.append(aor)
                    self._route(now)
            case IncomingInvite(session=session, request=request, offer=offer):
                self.arrived += 1
                if self.arrived in self.refuses:
                    self.agent.reject(session, 503, now)
                    return
                call = self.calls[session] = Call(session, request.from_.uri.user, self.loses)
                agreed = answer(parse_sdp(offer), LocalMedia("127.0.0.1", call.relay.port(0)), session_id=1)
                self.agent.accept(session, agreed.description.to_bytes(), now)
                self.waiting.append(call)
                self._route(now)
            case SessionEnded(session=session) | SessionFailed(session=session):
                self._over(session, now)
            case SessionAccepted() | SessionConfirmed():
                pass

    def _route(self, now):
        while self.free and self.waiting:
            call = self.waiting.pop() if self.newest_first else self.waiting.popleft()
            call.agent = self.free.popleft()
            contact, flow = self.flows[call.agent]
            call.agent_leg = f"leg-{call.caller}"
            self.calls[call.agent_leg] = call
            self.agent.invite(
                session=call.agent_leg,
                target=contact,
                flow=flow,
                from_=NameAddr(Uri("sip", call.calling, "127.0.0.1")),
                to=NameAddr(contact),
                sdp=audio_offer(LocalMedia("127.0.0.1", call.relay.port(1)), session_id=2).to_bytes(),
                now=now,
            )

    def _over(self, session, now):
        call = self.calls.pop(session, None)
        if call is None:
            return
        if call in self.waiting:
            self.waiting.remove(call)
        if session == call.agent_leg:
            self.free.append(call.agent)
        for other in (call.caller, call.agent_leg):
            if other in self.calls:
                self.agent.cancel_or_bye(other, now)
        if call.caller not in self.calls and call.agent_leg not in self.calls:
            call.relay.close()
        self._route(now)


class DeafService(TinyService):
    """Takes the call and then hears nothing of it any more: neither BYE nor agent."""

    def _over(self, session, now):
        if session in self.calls and session == self.calls[session].agent_leg:
            return  # the agent hung up, and the caller is never told
        super()._over(session, now)
