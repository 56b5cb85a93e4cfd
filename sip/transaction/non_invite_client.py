"""Non-INVITE client transaction: RFC 3261 §17.1.2, Figure 6.

A pair (state, input) missing from the table is dropped and counted.
"""

from enum import StrEnum, auto
from typing import Any

from sip.flow import Flow
from sip.machine import Edge, bind, to
from sip.message import Request, Response
from sip.timers import Timer
from sip.transaction.base import ClientUser, Host, Transaction


class State(StrEnum):
    """Figure 6."""

    TRYING = auto()
    PROCEEDING = auto()
    COMPLETED = auto()
    TERMINATED = auto()


class Input(StrEnum):
    """What can happen to it."""

    RESPONSE_1XX = auto()
    RESPONSE_200_699 = auto()
    TIMER_E = auto()
    TIMER_F = auto()
    TIMER_K = auto()
    TRANSPORT_ERROR = auto()


class Do(StrEnum):
    """What it does then; each value names a method."""

    RESEND = auto()
    DOUBLE_TIMER_E_UP_TO_T2 = auto()
    TIMER_E_AT_T2 = auto()
    STOP_TIMERS_E_F = auto()
    START_TIMER_K = auto()
    PASS_UP = auto()
    REPORT_TIMEOUT = auto()
    REPORT_TRANSPORT_ERROR = auto()


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.TRYING: {
        Input.TIMER_E:          to(State.TRYING, Do.RESEND, Do.DOUBLE_TIMER_E_UP_TO_T2),
        Input.RESPONSE_1XX:     to(State.PROCEEDING, Do.PASS_UP),
        Input.RESPONSE_200_699: to(State.COMPLETED, Do.STOP_TIMERS_E_F, Do.START_TIMER_K, Do.PASS_UP),
        Input.TIMER_F:          to(State.TERMINATED, Do.REPORT_TIMEOUT),
        Input.TRANSPORT_ERROR:  to(State.TERMINATED, Do.REPORT_TRANSPORT_ERROR),
    },
    State.PROCEEDING: {
        Input.TIMER_E:          to(State.PROCEEDING, Do.RESEND, Do.TIMER_E_AT_T2),
        Input.RESPONSE_1XX:     to(State.PROCEEDING, Do.PASS_UP),
        Input.RESPONSE_200_699: to(State.COMPLETED, Do.STOP_TIMERS_E_F, Do.START_TIMER_K, Do.PASS_UP),
        Input.TIMER_F:          to(State.TERMINATED, Do.REPORT_TIMEOUT),
        Input.TRANSPORT_ERROR:  to(State.TERMINATED, Do.REPORT_TRANSPORT_ERROR),
    },
    State.COMPLETED: {
        # Absorbs what the server repeats: an edge without action, so that it is not counted as unexpected.
        Input.RESPONSE_1XX:     to(State.COMPLETED),
        Input.RESPONSE_200_699: to(State.COMPLETED),
        Input.TIMER_K:          to(State.TERMINATED),
    },
    State.TERMINATED: {},
}
# fmt: on


# Looked up once: finding a member in its enumeration costs more than everything else in the lines that name it.
E, F, K = Timer.E, Timer.F, Timer.K
TRYING = State.TRYING
RESPONSE_1XX, RESPONSE_200_699 = Input.RESPONSE_1XX, Input.RESPONSE_200_699


class NonInviteClient(Transaction):
    """Sends any request but INVITE and ACK until it is answered."""

    __slots__ = ("interval", "octets", "user")

    TRANSPORT_ERROR = Input.TRANSPORT_ERROR
    TERMINATED = State.TERMINATED
    TIMER_INPUTS = {Timer.E: Input.TIMER_E, Timer.F: Input.TIMER_F, Timer.K: Input.TIMER_K}  # noqa: RUF012

    def __init__(
        self, host: Host, key: tuple[Any, ...], request: Request, flow: Flow, user: ClientUser, now: float, patience_s: float | None = None
    ) -> None:
        super().__init__(host, key, request, flow, TRYING)
        self.user = user
        self.octets = request.to_bytes()
        self.interval = host.values.t1
        host.send(flow, self.octets)
        if not flow.is_reliable:
            self.start(E, now + self.interval)
        self.start(F, now + (patience_s or host.values.give_up))

    def receive(self, response: Response, now: float) -> None:
        """A response with this transaction's branch and CSeq method."""
        self.fire(RESPONSE_1XX if response.status < 200 else RESPONSE_200_699, now, response)

    def resend(self, _now: float, _argument: None) -> None:
        self.host.send(self.flow, self.octets)

    def double_timer_e_up_to_t2(self, now: float, _argument: None) -> None:
        self.interval = min(2 * self.interval, self.host.values.t2)
        self.start(E, now + self.interval)

    def timer_e_at_t2(self, now: float, _argument: None) -> None:
        self.start(E, now + self.host.values.t2)

    def stop_timers_e_f(self, _now: float, _response: Response) -> None:
        self.stop(E, F)

    def start_timer_k(self, now: float, _response: Response) -> None:
        self.rest()
        self.octets = b""
        self.start(K, now if self.flow.is_reliable else now + self.host.values.t4)

    def pass_up(self, now: float, response: Response) -> None:
        self.user.on_response(self, response, now)

    def report_timeout(self, now: float, _argument: None) -> None:
        self.user.on_timeout(self, now)

    def report_transport_error(self, now: float, _argument: None) -> None:
        self.user.on_transport_error(self, now)


NonInviteClient.EDGES = bind(TRANSITIONS, NonInviteClient)
