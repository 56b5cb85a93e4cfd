"""Virtual time: user agents joined by a link that loses, delays, reorders and doubles, all from one seed."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.events import Event, IncomingInvite, SessionEnded, SessionFailed
from sip.flow import Flow
from sip.headers.name_addr import NameAddr
from sip.timers import RFC3261
from sip.uri import Uri
from sip.user_agent import UserAgent

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
ANSWER = SDP.replace(b"4000", b"5000")
OPEN = UserAgentConfig(classify=lambda _request, _flow: TRUNK)


@dataclass
class LossyLink:
    """What happens to one datagram."""

    loss: float = 0.0
    duplication: float = 0.0
    latency: tuple[float, float] = (0.01, 0.01)
    seed: int = 0

    def __post_init__(self):
        self.random = random.Random(self.seed)

    def delays(self) -> list[float]:
        if self.random.random() < self.loss:
            return []
        copies = 2 if self.random.random() < self.duplication else 1
        return [self.random.uniform(*self.latency) for _ in range(copies)]


class Node:
    """One user agent with an application that keeps its events and reacts to them."""

    def __init__(self, network: "Network", host: str, config: UserAgentConfig, transport: str):
        self.network = network
        self.host = host
        self.transport = transport
        serial = itertools.count()
        self.agent = UserAgent(config, lambda: f"{host.replace('.', '')}x{next(serial):06d}")
        self.events: list[Event] = []
        self.times: list[float] = []
        self.react: Callable[[Event], None] = lambda _event: None

    @property
    def uri(self):
        return Uri(scheme="sip", user="phone", host=self.host, port=5060)

    def flow(self, other: "Node"):
        return Flow(self.transport, (self.host, 5060), (other.host, 5060))

    def call(self, other: "Node", session="call", sdp=SDP, **more):
        self.agent.invite(
            session=session,
            target=other.uri,
            flow=self.flow(other),
            from_=NameAddr(self.uri),
            to=NameAddr(other.uri),
            sdp=sdp,
            now=self.now,
            **more,
        )

    @property
    def now(self):
        return self.network.now

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def one(self, kind):
        [event] = self.of(kind)
        return event

    @property
    def session(self):
        """The session of the one call that came in."""
        return self.of(IncomingInvite)[-1].session

    @property
    def endings(self):
        return self.of(SessionEnded | SessionFailed)


class Network:
    """All nodes, the link between them, the clock, and a record of what was on the wire."""

    def __init__(self, link: LossyLink | None = None):
        self.link = link or LossyLink()
        self.now = 1000.0
        self.nodes: dict[str, Node] = {}
        self.wire: list[tuple[float, str, str, bytes]] = []
        self.drop: Callable[[bytes], bool] = lambda _data: False
        self.values = RFC3261
        self._queue: list[tuple[float, int, Flow, bytes]] = []
        self._serial = itertools.count()

    def node(self, host: str, config: UserAgentConfig = OPEN, transport: str = "udp"):
        made = Node(self, host, config, transport)
        self.nodes[host] = made
        return made

    def drain(self):
        """One input, then everything it has caused."""
        busy = True
        while busy:
            busy = False
            for node in self.nodes.values():
                for flow, data in node.agent.datagrams_to_send():
                    busy = True
                    self.wire.append((self.now, node.host, flow.remote[0], data))
                    if self.drop(data):
                        continue
                    for delay in self.link.delays():
                        heapq.heappush(self._queue, (self.now + delay, next(self._serial), flow, data))
                for event in node.agent.events():
                    busy = True
                    node.events.append(event)
                    node.times.append(self.now)
                    node.react(event)

    def run(self, duration: float):
        """Let time pass, jumping from deadline to deadline."""
        end = self.now + duration
        self.drain()
        while True:
            timeouts = [at for node in self.nodes.values() if (at := node.agent.next_timeout()) is not None]
            if self._queue:
                timeouts.append(self._queue[0][0])
            if not timeouts or min(timeouts) > end:
                break
            self.now = max(self.now, min(timeouts))
            while self._queue and self._queue[0][0] <= self.now:
                _, _, flow, data = heapq.heappop(self._queue)
                peer = self.nodes.get(flow.remote[0])
                if peer is not None:
                    peer.agent.receive(data, Flow(flow.transport, flow.remote, flow.local), self.now)
                    self.drain()
            for node in self.nodes.values():
                due = node.agent.next_timeout()
                if due is not None and due <= self.now:
                    node.agent.handle_timeout(self.now)
                    self.drain()
        self.now = end

    def sent(self, start: str, by: str | None = None):
        """Times and messages on the wire whose start line begins so."""
        return [(at, data) for at, source, _, data in self.wire if data.startswith(start.encode()) and by in {None, source}]

    def ladder(self):
        """The start lines, for tests that state a whole flow."""
        return [
            (source, data.split(b"\r\n", 1)[0].decode().removesuffix(" SIP/2.0").removeprefix("SIP/2.0 ").split(" ")[0])
            for _, source, _, data in self.wire
        ]


def pair(link: LossyLink | None = None, **configs):
    """Two user agents: Alice calls, Bob is called."""
    network = Network(link)
    return network, network.node("192.0.2.1", configs.get("a", OPEN)), network.node("192.0.2.2", configs.get("b", OPEN))


def answering(node: Node, ring_first=True):
    """Make a node ring and accept whatever comes."""

    def react(event):
        if isinstance(event, IncomingInvite):
            if ring_first:
                node.agent.ring(event.session, node.now)
            node.agent.accept(event.session, ANSWER, node.now)

    node.react = react
    return node


def ringing(node: Node):
    """Make a node ring only."""

    def react(event):
        if isinstance(event, IncomingInvite):
            node.agent.ring(event.session, node.now)

    node.react = react
    return node
