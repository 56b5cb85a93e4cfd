"""What a transport is to the driver, and the flows that only their far end can open (RFC 3261 §18, RFC 5626 §3, §4.2.2).

A phone behind a NAT or in a browser has no address that could be dialled: it is reached over the flow it has opened, or not at all. Such a
flow has an id, a token that is drawn for it and never again. A flow without an id is a pair of addresses, and can be opened from here.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple, Protocol

from sip.errors import ParseError
from sip.flow import Flow, HostPort, IdSource
from sip.message import Request, Response
from sip.parser import Limits


class Contexts:
    """What handshakes are made with. Either may be replaced at any time: that concerns the handshakes that begin afterwards."""

    def __init__(self, listening: ssl.SSLContext, dialling: ssl.SSLContext, asking: ssl.SSLContext | None = None) -> None:
        """Args:
        asking: in place of `listening` where clients are asked for certificates; None: nowhere.
        """
        self.listening = listening
        self.dialling = dialling
        self.asking = asking


class LiveFlow(Protocol):
    """A flow that its far end has opened."""

    @property
    def is_open(self) -> bool:
        """Whether it can be written to."""

    def write(self, octets: bytes) -> None:
        """Send one message; a failure comes back as a lost flow."""


class Flows:
    """The flows that have an id, of all transports, while they live."""

    def __init__(self, draw: IdSource) -> None:
        self._draw = draw
        self._live: dict[str, LiveFlow] = {}

    def enter(self, flow: LiveFlow) -> str:
        """A flow was opened at the far end. Returns: its id."""
        name = self._draw()
        self._live[name] = flow
        return name

    def leave(self, name: str) -> None:
        """It is gone; nothing happens when it has none or was gone before."""
        self._live.pop(name, None)

    def find(self, name: str) -> LiveFlow | None:
        """The flow of that id; None: it is gone, or is going."""
        found = self._live.get(name)
        return found if found is not None and found.is_open else None

    def __len__(self) -> int:
        return len(self._live)


class Patience(NamedTuple):
    """How long connections live, in seconds, and how many a source has of those over which nobody was let in."""

    idle_s: float
    strangers_per_source: int
    stranger_idle_s: float


class Shell(NamedTuple):
    """What the driver gives a transport: its loop, and ears for what comes."""

    loop: asyncio.AbstractEventLoop
    now: Callable[[], float]
    flows: Flows
    on_datagram: Callable[[bytes, Flow], None]
    """A message that nobody has read yet."""
    on_message: Callable[[Request | Response, Flow], None]
    """One that was read out of a stream."""
    on_malformed: Callable[[ParseError, Flow], None]
    on_lost: Callable[[Flow], None]
    """A flow is gone, or could not be opened."""
    limits: Limits
    patience: Patience
    in_use: Callable[[], AbstractSet[HostPort]]
    """The far ends of flows that calls and registrations go by."""
    tls: Contexts | None = None
    """What handshakes are made with; None: nothing is listened on that has any."""
    asks_at: AbstractSet[HostPort] = frozenset()
    """Addresses, as they are asked to be listened at, where clients are asked for certificates."""
    on_unproven: Callable[[Flow, str], None] = lambda _flow, _why: None
    """Whom a flow was to reach has not proved to be it, in words; that it could not be opened is told after it."""


class Transport(Protocol):
    """One transport at one address of ours.

    The remote address of its flows tells them apart while they live, dialable or not: that of a browser is where its connection comes from.
    """

    @property
    def address(self) -> HostPort:
        """Where it listens: the local address of its flows."""

    @property
    def dials(self) -> bool:
        """Whether it can send to an address to which nothing is open."""

    def send(self, octets: bytes, remote: HostPort, flow: Flow) -> None:
        """Send one message to an address; `flow` is what the sender calls that peer, and what is reported as lost.

        Raises: OSError, ValueError: it cannot be reached from here.
        """

    def let_in(self, flow: Flow) -> None:
        """Somebody has registered, or been let in with a call, over this flow."""

    def figures(self) -> Mapping[str, float]:
        """What it has to tell, by name."""

    def stop_reading(self) -> None:
        """Read nothing more, and take no new connection; the address is free as soon as may be."""

    async def leave(self, within_s: float) -> None:
        """Reading was stopped: close all when what is unsent has been taken, after so many seconds at the latest."""

    async def close(self) -> None:
        """Stop listening, close all."""


class Kind(NamedTuple):
    """A row of the registry."""

    open: Callable[[Shell, HostPort], Awaitable[Transport]]
    """Listens at an address. Raises: OSError: it cannot be bound."""
    figures: tuple[str, ...] = ()
    """The names of its figures, which are told as 0 where it is not listened on."""
