"""The shell around the user agent: sockets, one timer, and the drive rule "one input, then drain everything" (house; RFC 3261 §18)."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from sip import trace
from sip.errors import LocalMisuse, ParseError
from sip.events import Event
from sip.flow import Flow, HostPort, TransportName
from sip.io.aside import Aside
from sip.io.registry import TRANSPORTS, Transports
from sip.io.resolver import Resolver, is_numeric
from sip.io.tcp import STRANGER_IDLE_S, STRANGERS_PER_SOURCE
from sip.io.transport import Contexts, Flows, Kind, Patience, Shell, Transport
from sip.message import Request, Response
from sip.user_agent import UserAgent

LOG = logging.getLogger("sip.io")
Listen = tuple[TransportName, str, int]
# How long our own address towards a peer is believed: a machine that moves to another network is itself again after a minute.
LOCAL_HOST_S = 60.0
WILDCARDS = frozenset({"0.0.0.0", "::"})
# RFC 3261 §18.1.1: "If a request is [...] larger than 1300 bytes and the path MTU is unknown, the request MUST be
# sent using [...] TCP". Deviation, by default: LAN phones often have no TCP, and fragments arrive there; a setting turns it on.
UDP_REQUEST_LIMIT = 1300
# A predecessor closes its sockets within milliseconds of being told to.
BIND_AGAIN_S = 0.005
# How long a peer has to take what is unsent on its connection when we leave.
LEAVE_S = 2.0
# So much of what was put aside is read at a time; then the loop's other work has its turn.
BATCH = 64
FIGURES = ("put_aside_total", "put_aside_dropped_total")


def _size(message: Request | Response) -> int:
    """About how many octets it has; at least one."""
    return 1 + len(message.body) + sum([len(name) + len(value) for name, value in message.headers])


class SipEndpoint:
    """A user agent on real sockets. `start()` it, give it commands, `close()` it, or `leave()` its calls to a successor.

    Commands: call the user agent's methods and then `flush()`; inside `on_event` no flush is needed.
    """

    def __init__(
        self,
        user_agent: UserAgent,
        listen: Sequence[Listen],
        on_event: Callable[[Event], None],
        clock: Callable[[], float] | None = None,
        *,
        large_requests_over_tcp: bool = False,
        tcp_idle_s: float = 600.0,
        may_reach: Callable[[str, str], bool] | None = None,
        on_denied: Callable[[Flow, str], None] | None = None,
        on_unresolved: Callable[[Flow, OSError], None] | None = None,
        tcp_strangers_per_source: int = STRANGERS_PER_SOURCE,
        tcp_stranger_idle_s: float = STRANGER_IDLE_S,
        transports: Mapping[TransportName, Kind] = TRANSPORTS,
        tls: Contexts | None = None,
        asks_at: Collection[HostPort] = (),
        on_unproven: Callable[[Flow, str], None] | None = None,
    ) -> None:
        """Args:
        on_event: called for each event, synchronously, in order; it may call the user agent.
        clock: monotonic seconds; the loop's by default, and it must run as the loop's does, since one of its timers is armed by it.
        may_reach: whether requests may go to an IP address that is only said (`Flow.said`), and for whom; asked at each of them about the
            address that the name has at that moment; None: to every one. What it denies fails as what cannot be sent does, at once.
        on_denied: told of a request that was not sent for that reason, before the user agent hears that its flow failed.
        transports: what may be listened on, by name.
        tls: what handshakes are made with; needed where TLS is listened on.
        asks_at: of `listen`, the addresses at which clients of TLS are asked for certificates.
        on_unproven: told why a peer that was to prove itself has not, before the user agent hears that its flow failed.
        on_unresolved: told of a message that was not sent since its host has no address, before the user agent hears of it too.
        """
        self.user_agent = user_agent
        self._listen = list(listen)
        self._on_event = on_event
        self._clock = clock
        self._large_requests_over_tcp = large_requests_over_tcp
        self._patience = Patience(tcp_idle_s, tcp_strangers_per_source, tcp_stranger_idle_s)
        self._may_reach = may_reach
        self._on_denied = on_denied
        self._on_unresolved = on_unresolved
        self.transports = Transports(transports)
        self.flows = Flows(user_agent.new_token)
        user_agent.let_in = self.transports.let_in
        user_agent.bound = self._bound
        self._tls, self._asks_at = tls, frozenset(asks_at)
        self._on_unproven = on_unproven
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._is_draining = False
        self._is_closed = False
        self._aside: Aside | None = None
        self.put_aside = 0
        """Messages that came before reading began."""
        self.put_aside_dropped = 0
        """Of those that came then: for which there was no room."""
        self.failures = 0
        """Faults of ours that a message or an event brought to light; anything but 0 belongs in an alarm."""
        self._local_hosts: dict[tuple[str, str], tuple[float, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, *, listening: bool = True, bind_within_s: float = 0.0) -> None:
        """Open the sockets.

        Args:
            listening: False: what comes is put aside, in order, until `begin()`: the calls it belongs to (`UserAgent.resume`) are not there
                yet. Sending works, timers run, connections are accepted.
            bind_within_s: how long an address may be in use still: a predecessor is about to leave it. A UDP address has one socket: two
                with SO_REUSEPORT would each get a part of what comes. A TCP address is free as soon as its listener is closed, whatever
                becomes of its connections (SO_REUSEADDR).

        Raises: OSError: an address cannot be bound, LocalMisuse: there is no such transport; nothing stays open then.
        """
        self._aside = None if listening else Aside()
        self._loop = asyncio.get_running_loop()
        self._now = self._clock or self._loop.time
        self._resolver = Resolver(self._loop, self._now)
        shell = Shell(
            self._loop,
            self._now,
            self.flows,
            self._receive_datagram,
            self._receive_message,
            self._receive_malformed,
            self._flow_lost,
            self.user_agent.config.limits,
            self._patience,
            self.user_agent.connections_in_use,
            self._tls,
            self._asks_at,
            self._on_unproven or (lambda _flow, _why: None),
        )
        try:
            for transport, host, port in self._listen:
                await self._open(transport, (host, port), shell, self._loop.time() + bind_within_s)
        except (OSError, LocalMisuse):
            await self.close()
            raise

    async def _open(self, transport: TransportName, address: HostPort, shell: Shell, until: float) -> None:
        while True:
            try:
                await self.transports.open(transport, address, shell)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or self._loop.time() >= until:
                    raise
                await asyncio.sleep(BIND_AGAIN_S)
            else:
                return

    def begin(self) -> None:
        """Read what was put aside, in order, and from then on what comes; nothing happens when that is so already."""
        if self._aside is not None:
            self._loop.call_soon(self._read_aside, self._aside)

    def _read_aside(self, aside: Aside) -> None:
        """What comes meanwhile queues up behind it."""
        for _ in range(BATCH):
            take = None if self._is_closed else aside.take()
            if take is None:
                self._aside = None
                return
            take()
        self._loop.call_soon(self._read_aside, aside)

    async def leave(self, within_s: float = LEAVE_S) -> None:
        """Let go of the sockets and end nothing: a successor goes on with the calls (`UserAgent.keep_living`, `resume`).

        From the call on nothing is read: what comes over UDP is sent again, to the successor. What is to be sent is sent. A UDP address and
        a TCP listener are free at once, but for what a full send buffer holds up; connections are closed by FIN when their peer has taken
        what is unsent, or after `within_s` seconds. (Linux sends RST where the peer has sent what nobody has read: it learns at once that
        this is lost.) `close()` afterwards does nothing.
        """
        if self._is_closed:
            return
        self.transports.stop_reading()
        self.flush()
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        await self.transports.leave(within_s)
        await self.close()

    async def close(self) -> None:
        """Send what is waiting, then close every socket. Sessions are not ended: that is the application's to decide beforehand."""
        if not self._is_closed:
            self.user_agent.wait_no_longer(self.now())
            self.flush()
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.transports.close()

    @property
    def addresses(self) -> list[Listen]:
        """What is really listened on (port 0 asks the kernel for one)."""
        return [(name, *one.address) for name, one in self.transports]

    def figures(self) -> Mapping[str, float]:
        """What the connections have to tell, by name."""
        return {**self.transports.figures(), **dict(zip(FIGURES, (self.put_aside, self.put_aside_dropped), strict=True))}

    def now(self) -> float:
        """The time to give to the user agent's methods."""
        return self._now()

    def flow_to(self, host: str, port: int, transport: TransportName = "udp", behalf: str = "", *, asks: bool = False) -> Flow:
        """The flow on which to reach a peer: from a listening socket of its family, under the address the peer will see.

        Args:
            asks: from one that asks clients for certificates, if there is any: what the peer begins comes there.
        Raises: LookupError: nothing listens on that transport and family.
        """
        wanted_v6 = ":" in host
        of_this_name = self.transports.of(transport)
        for address in sorted(of_this_name, key=lambda one: getattr(of_this_name[one], "asks", False) != asks):
            if (":" in address[0]) == wanted_v6:
                return Flow(transport, (self._local_host(address[0], host), address[1]), (host, port), said=True, behalf=behalf)
        raise LookupError(f"no {transport} socket for {host}")

    # --- inputs

    def _put_aside(self, aside: Aside, octets: int, take: Callable[[], None]) -> None:
        if aside.put(octets, take):
            self.put_aside += 1
        else:
            self.put_aside_dropped += 1

    def _receive_datagram(self, data: bytes, flow: Flow) -> None:
        if trace.is_on():
            trace.received(flow, data)
        if self._aside is not None:
            self._put_aside(self._aside, 1 + len(data), partial(self._take_datagram, data, flow))
        else:
            self._take_datagram(data, flow)

    def _take_datagram(self, data: bytes, flow: Flow) -> None:
        if self._is_closed:
            return
        if flow.local[0] in WILDCARDS:
            flow = self._concrete(flow)
        try:
            self.user_agent.receive(data, flow, self._now())
        except Exception as error:
            self._survived(flow, data, error)
        self.flush()

    def _receive_message(self, message: Request | Response, flow: Flow) -> None:
        if self._aside is not None:
            self._put_aside(self._aside, _size(message), partial(self._take_message, message, flow))
        else:
            self._take_message(message, flow)

    def _take_message(self, message: Request | Response, flow: Flow) -> None:
        if self._is_closed:
            return
        try:
            self.user_agent.receive_message(message, self._concrete(flow), self._now())
        except Exception as error:
            self._survived(flow, message.to_bytes(), error)
        self.flush()

    def _receive_malformed(self, error: ParseError, flow: Flow) -> None:
        if trace.is_on():
            trace.unread(flow, error)
        if self._aside is not None:
            self._put_aside(self._aside, 1, partial(self._take_malformed, error, flow))
        else:
            self._take_malformed(error, flow)

    def _take_malformed(self, error: ParseError, flow: Flow) -> None:
        if self._is_closed:
            return
        self.user_agent.receive_malformed(error, self._concrete(flow), self._now())
        self.flush()

    def _concrete(self, flow: Flow) -> Flow:
        if flow.local[0] in WILDCARDS:
            return replace(flow, local=(self._local_host(flow.local[0], flow.remote[0]), flow.local[1]))
        return flow

    def _flow_lost(self, flow: Flow) -> None:
        """A connection is gone: after all that has come over it."""
        if self._aside is not None and flow.id:
            self._aside.put(0, partial(self._flow_failed, flow))
        else:
            self._flow_failed(flow)

    def _flow_failed(self, flow: Flow) -> None:
        if not self._is_closed:
            self.user_agent.transport_failed(self._concrete(flow), self._now())
            self.flush()

    def _timeout(self) -> None:
        self._timer = self._timer_at = None
        try:
            self.user_agent.handle_timeout(self._now())
        except Exception:
            LOG.exception("! a timer failed")
            self.failures += 1
        self.flush()

    def _survived(self, flow: Flow, data: bytes, error: Exception) -> None:
        """One message found a fault of ours: it is lost, logged with its first line, and counted; every other call goes on."""
        LOG.error("! %s could not serve %r", flow, data.partition(b"\r\n")[0][:80], exc_info=error)
        self.failures += 1

    # --- the drain

    def flush(self) -> None:
        """Send everything, deliver every event, until nothing is left; then arm the one timer."""
        if self._is_draining or self._is_closed:
            return  # an event handler's commands are seen by the loop below
        self._is_draining = True
        user_agent, on_event = self.user_agent, self._on_event
        try:
            while True:
                out = user_agent.datagrams_to_send()
                if out:
                    is_traced = trace.is_on()
                    for flow, octets in out:
                        if is_traced:
                            trace.sent(flow, octets)
                        self._send(flow, octets)
                events = user_agent.events()
                if not events:
                    break  # sending asks nothing of the user agent: only an event's handler can have given it more to do
                for event in events:
                    try:
                        on_event(event)
                    except Exception:
                        LOG.exception("! event handler failed on %s", type(event).__name__)
                        self.failures += 1
        finally:
            self._is_draining = False
        self._arm()

    def _arm(self) -> None:
        deadline = self.user_agent.next_timeout()
        if self._timer is not None:
            # A timer armed too early only wakes up for nothing; re-arming at each message would cost more.
            if deadline is None or (self._timer_at is not None and self._timer_at <= deadline):
                return
            self._timer.cancel()
        if deadline is None:
            self._timer = self._timer_at = None
            return
        self._timer_at = deadline
        self._timer = self._loop.call_later(max(0.0, deadline - self._now()), self._timeout)

    def _send(self, flow: Flow, octets: bytes) -> None:
        """Send; what cannot be sent, whatever the address of a peer's making, is told to whoever waits for an answer (§8.1.3.1: as 503)."""
        try:
            self._send_or_raise(flow, octets)
        except (OSError, ValueError) as error:
            trace.trouble(flow, f"cannot send: {trace.words(error)}")
            self._loop.call_soon(self._flow_failed, flow)

    def _send_or_raise(self, flow: Flow, octets: bytes) -> None:
        if flow.id and (live := self.flows.find(flow.id)) is not None:
            live.write(octets)
            return
        transport = flow.transport
        if (
            transport == "udp"
            and self._large_requests_over_tcp
            and len(octets) > UDP_REQUEST_LIMIT
            and self.transports.of("tcp")
            and not octets.startswith(b"SIP/")
        ):
            transport = "tcp"
            octets = octets.replace(b"Via: SIP/2.0/UDP", b"Via: SIP/2.0/TCP", 1)
        host = flow.remote[0]
        sender = self.transports.sender(flow, transport)
        if flow.is_websocket or (sender is not None and not sender.dials):
            trace.trouble(flow, "is gone, and nobody can be dialled there")
            self._loop.call_soon(self._flow_failed, flow)
            return
        if sender is None:
            LOG.warning("! no %s socket to send to %s", transport, host)
            self._loop.call_soon(self._flow_failed, flow)
            return
        if is_numeric(host):
            self._send_allowed(sender, flow, octets, (host,))
            return
        family = socket.AF_INET6 if ":" in sender.address[0] else socket.AF_INET
        addresses = self._resolver.lookup(host, family)
        if addresses is None:
            task = self._loop.create_task(self._resolve_and_send(sender, flow, octets, family))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        self._send_allowed(sender, flow, octets, addresses)

    def _send_allowed(self, sender: Transport, flow: Flow, octets: bytes, addresses: Sequence[str]) -> None:
        """Send to the first address that may be reached; a response goes back to where its request really came from, whatever that is."""
        port = flow.remote[1]
        may_reach = self._may_reach
        if may_reach is None or not flow.said or octets.startswith(b"SIP/"):
            self._send_to(sender, flow, octets, (addresses[0], port))
            return
        for address in addresses:
            if may_reach(address, flow.behalf):
                self._send_to(sender, flow, octets, (address, port))
                return
        if self._on_denied is not None:
            self._on_denied(flow, addresses[0])
        self._loop.call_soon(self._flow_failed, flow)

    def _send_to(self, sender: Transport, flow: Flow, octets: bytes, remote: HostPort) -> None:
        try:
            sender.send(octets, remote, flow)
        except (OSError, ValueError) as error:
            trace.trouble(flow, f"cannot send: {trace.words(error)}")
            self._loop.call_soon(self._flow_failed, flow)

    async def _resolve_and_send(self, sender: Transport, flow: Flow, octets: bytes, family: int) -> None:
        try:
            addresses = await self._resolver.resolve(flow.remote[0], family)
        except OSError as error:
            trace.unresolved(flow, error)
            if self._on_unresolved is not None:
                self._on_unresolved(flow, error)
            self._flow_failed(flow)
            return
        self._send_allowed(sender, flow, octets, addresses)

    def _bound(self, flow: Flow) -> HostPort | None:
        """Our address on a flow that leaves another socket than the one it is named after: of another transport, on a port of its own."""
        if flow.is_websocket:  # the port is not ours to listen on
            return flow.local
        sender = self.transports.sender(flow, flow.transport)
        if sender is None:
            return None
        return flow.local if sender.address[1] == flow.local[1] else (flow.local[0], sender.address[1])

    def _local_host(self, listening: str, remote: str) -> str:
        """Our address as that peer sees it, where the socket listens on all: what the kernel would send from."""
        if listening not in WILDCARDS:
            return listening
        known = self._local_hosts.get((listening, remote))
        if known is not None and known[0] > self._now():
            return known[1]
        is_v6 = listening == "::"
        elsewhere, own = ("2001:db8::1", "::1") if is_v6 else ("192.0.2.1", "127.0.0.1")
        with socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                # For UDP, connect sends nothing and only asks the routing table. A name is not resolved for this (that would block): what
                # is sent to a documentation address (RFC 5737) leaves by the default route, as what is sent to a carrier does.
                probe.connect((remote if is_numeric(remote) else elsewhere, 9))
                found = str(probe.getsockname()[0])
            except OSError:
                found = own
        if len(self._local_hosts) > 10_000:
            self._local_hosts.clear()
        self._local_hosts[listening, remote] = (self._now() + LOCAL_HOST_S, found)
        return found
