"""What the four transaction machines share: their host, their timers, and the firing of a table (RFC 3261 §17)."""

from enum import StrEnum
from typing import Any, ClassVar, Protocol

from sip.flow import Flow
from sip.machine import Bound
from sip.message import Request, Response
from sip.timers import Timer, TimerTable, TimerValues


class Host(Protocol):
    """What a transaction needs from its layer."""

    timers: TimerTable
    values: TimerValues

    def send(self, flow: Flow, octets: bytes) -> None: ...
    def forget(self, transaction: "Transaction") -> None: ...
    def unexpected(self, transaction: "Transaction", event: StrEnum) -> None: ...


class ClientUser(Protocol):
    """The transaction user (TU) above a client transaction."""

    def on_response(self, transaction: "Transaction", response: Response, now: float) -> None: ...
    def on_timeout(self, transaction: "Transaction", now: float) -> None: ...
    def on_transport_error(self, transaction: "Transaction", now: float) -> None: ...


class Nobody:
    """The user of a request whose outcome changes nothing."""

    def on_response(self, transaction: "Transaction", response: Response, now: float) -> None: ...
    def on_timeout(self, transaction: "Transaction", now: float) -> None: ...
    def on_transport_error(self, transaction: "Transaction", now: float) -> None: ...


NOBODY = Nobody()


class ServerUser(Protocol):
    """The transaction user above a server transaction, when it wants to hear of failure."""

    def on_server_timeout(self, transaction: "Transaction", now: float) -> None: ...
    def on_server_transport_error(self, transaction: "Transaction", now: float) -> None: ...


class Transaction:
    """One transaction: a state, a flow, timers, and the table of its machine.

    An input for which the present state has no edge is dropped and counted by the host.
    """

    __slots__ = ("flow", "host", "key", "request", "state", "timers")

    EDGES: ClassVar[Bound]
    TIMER_INPUTS: ClassVar[dict[Timer, StrEnum]]
    TRANSPORT_ERROR: ClassVar[StrEnum]
    TERMINATED: ClassVar[StrEnum]

    def __init__(self, host: Host, key: tuple[Any, ...], request: Request, flow: Flow, state: StrEnum) -> None:
        self.host = host
        self.key = key
        self.request = request
        self.flow = flow
        self.state = state
        self.timers: dict[Timer, list[Any]] = {}

    def fire(self, event: StrEnum, now: float, argument: Any = None) -> None:
        """Take one input: follow its edge, or let the host count it as unexpected."""
        edge = self.EDGES[self.state].get(event)
        if edge is None:
            self.host.unexpected(self, event)
            return
        self.state = edge[0]
        for act in edge[1]:
            act(self, now, argument)
        if self.state is self.TERMINATED:
            self.host.timers.stop_all(self)
            self.host.forget(self)

    def on_timer(self, timer: Timer, now: float) -> None:
        """A timer of this transaction has run out."""
        self.fire(self.TIMER_INPUTS[timer], now)

    def transport_failed(self, now: float) -> None:
        """The transport below reports that this transaction's flow is of no use any more."""
        self.fire(self.TRANSPORT_ERROR, now)

    def start(self, timer: Timer, deadline: float) -> None:
        """Start or restart one of the own timers."""
        self.host.timers.start(self, timer, deadline)

    def rest(self) -> None:
        """From here it only absorbs retransmissions, for up to 64*T1: what was read of its request need not be kept meanwhile.

        At 60 calls a second two thousand transactions rest at any time; each object kept is one more for the collector to walk.
        """
        self.request.headers.forget_read()

    def stop(self, *timers: Timer) -> None:
        """Stop some of the own timers."""
        for timer in timers:
            if timer in self.timers:
                self.host.timers.stop(self, timer)

    def describe(self, now: float) -> dict[str, Any]:
        """State and seconds left, for `/debug/state`."""
        return {
            "machine": type(self).__name__,
            "method": self.request.method,
            "call_id": self.request.call_id,
            "state": self.state.value,
            "flow": str(self.flow),
            "timers": self.host.timers.running(self, now),
        }
