"""Non-INVITE server transaction: RFC 3261 §17.2.2, Figure 8.

A pair (state, input) missing from the table is dropped and counted.
"""

from enum import StrEnum, auto
from typing import Any

from sip.flow import Flow
from sip.machine import Edge, bind, to
from sip.message import Request, Response
from sip.timers import Timer
from sip.transaction.base import Host, Transaction


class State(StrEnum):
    """Figure 8."""

    TRYING = auto()
    PROCEEDING = auto()
    COMPLETED = auto()
    TERMINATED = auto()


class Input(StrEnum):
    """What can happen to it."""

    REQUEST = auto()  # a retransmission
    SEND_1XX = auto()
    SEND_200_699 = auto()
    TIMER_J = auto()
    TRANSPORT_ERROR = auto()


class Do(StrEnum):
    """What it does then; each value names a method."""

    SEND_RESPONSE = auto()
    RESEND_RESPONSE = auto()
    START_TIMER_J = auto()


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.TRYING: {
        # §17.2.2: "In the 'Trying' state, any further request retransmissions [...] are discarded."
        Input.REQUEST:         to(State.TRYING),
        Input.SEND_1XX:        to(State.PROCEEDING, Do.SEND_RESPONSE),
        Input.SEND_200_699:    to(State.COMPLETED, Do.SEND_RESPONSE, Do.START_TIMER_J),
        Input.TRANSPORT_ERROR: to(State.TERMINATED),
    },
    State.PROCEEDING: {
        Input.REQUEST:         to(State.PROCEEDING, Do.RESEND_RESPONSE),
        Input.SEND_1XX:        to(State.PROCEEDING, Do.SEND_RESPONSE),
        Input.SEND_200_699:    to(State.COMPLETED, Do.SEND_RESPONSE, Do.START_TIMER_J),
        Input.TRANSPORT_ERROR: to(State.TERMINATED),
    },
    State.COMPLETED: {
        Input.REQUEST:         to(State.COMPLETED, Do.RESEND_RESPONSE),
        # "Any other final responses passed by the TU to the server transaction MUST be discarded while in the 'Completed' state."
        Input.SEND_200_699:    to(State.COMPLETED),
        Input.TIMER_J:         to(State.TERMINATED),
        Input.TRANSPORT_ERROR: to(State.TERMINATED),
    },
    State.TERMINATED: {},
}
# fmt: on


# Looked up once: finding a member in its enumeration costs more than everything else in the lines that name it.
TRYING, COMPLETED, TERMINATED = State.TRYING, State.COMPLETED, State.TERMINATED
SEND_1XX, SEND_200_699 = Input.SEND_1XX, Input.SEND_200_699
J = Timer.J


class NonInviteServer(Transaction):
    """Answers repeated requests with the same response."""

    __slots__ = ("last", "merge_key")

    TRANSPORT_ERROR = Input.TRANSPORT_ERROR
    TERMINATED = State.TERMINATED
    TIMER_INPUTS = {Timer.J: Input.TIMER_J}  # noqa: RUF012

    def __init__(self, host: Host, key: tuple[Any, ...], request: Request, flow: Flow) -> None:
        super().__init__(host, key, request, flow, TRYING)
        self.last = b""
        self.merge_key: tuple[Any, ...] | None = None

    def respond(self, response: Response, now: float) -> None:
        """Send the transaction user's response."""
        self.fire(SEND_1XX if response.status < 200 else SEND_200_699, now, response)

    def receive(self, _request: Request, now: float) -> None:
        """A retransmission that matched this transaction."""
        self.fire(Input.REQUEST, now)

    @property
    def is_answered(self) -> bool:
        """Whether a final response has been sent."""
        return self.state is COMPLETED or self.state is TERMINATED

    def send_response(self, _now: float, response: Response) -> None:
        self.last = response.to_bytes()
        self.host.send(self.flow, self.last)

    def resend_response(self, _now: float, _argument: None) -> None:
        self.host.send(self.flow, self.last)

    def start_timer_j(self, now: float, _response: Response) -> None:
        self.rest()
        self.start(J, now if self.flow.is_reliable else now + self.host.values.give_up)


NonInviteServer.EDGES = bind(TRANSITIONS, NonInviteServer)
