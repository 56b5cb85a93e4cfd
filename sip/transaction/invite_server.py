"""INVITE server transaction: RFC 3261 §17.2.1, Figure 7, as amended by RFC 6026 §8.5 and §8.7.

A pair (state, input) missing from the table is dropped and counted. TIMER_TRYING is the 200 ms of §17.2.1 after which
100 Trying is due; a first answer sent earlier makes it needless.
"""

from enum import StrEnum, auto
from typing import Any

from sip.flow import Flow
from sip.machine import Edge, bind, to
from sip.message import Request, Response
from sip.timers import Timer
from sip.transaction.base import Host, ServerUser, Transaction


class State(StrEnum):
    """Figure 7 with RFC 6026's ACCEPTED."""

    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class Input(StrEnum):
    """What can happen to it."""

    INVITE = auto()  # a retransmission
    ACK = auto()
    SEND_1XX = auto()
    SEND_2XX = auto()
    SEND_300_699 = auto()
    TIMER_TRYING = auto()
    TIMER_G = auto()
    TIMER_H = auto()
    TIMER_I = auto()
    TIMER_L = auto()
    TRANSPORT_ERROR = auto()


class Do(StrEnum):
    """What it does then; each value names a method."""

    SEND_TRYING = auto()
    SEND_RESPONSE = auto()
    RESEND_RESPONSE = auto()
    STOP_TRYING = auto()
    START_TIMERS_G_H = auto()
    DOUBLE_TIMER_G_UP_TO_T2 = auto()
    STOP_TIMERS_G_H = auto()
    START_TIMER_I = auto()
    START_TIMER_L = auto()
    REPORT_TIMEOUT = auto()
    REPORT_TRANSPORT_ERROR = auto()


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.PROCEEDING: {
        Input.INVITE:          to(State.PROCEEDING, Do.RESEND_RESPONSE),
        Input.TIMER_TRYING:    to(State.PROCEEDING, Do.SEND_TRYING),
        Input.SEND_1XX:        to(State.PROCEEDING, Do.STOP_TRYING, Do.SEND_RESPONSE),
        Input.SEND_2XX:        to(State.ACCEPTED, Do.STOP_TRYING, Do.SEND_RESPONSE, Do.START_TIMER_L),
        Input.SEND_300_699:    to(State.COMPLETED, Do.STOP_TRYING, Do.SEND_RESPONSE, Do.START_TIMERS_G_H),
        Input.TRANSPORT_ERROR: to(State.TERMINATED, Do.REPORT_TRANSPORT_ERROR),
    },
    State.ACCEPTED: {
        # RFC 6026 §7.1: "any retransmission of the INVITE that [...] is received is absorbed"; 2xx are repeated by the TU alone.
        Input.INVITE:          to(State.ACCEPTED),
        Input.ACK:             to(State.ACCEPTED),
        Input.SEND_2XX:        to(State.ACCEPTED, Do.SEND_RESPONSE),
        Input.TIMER_L:         to(State.TERMINATED),
        # RFC 6026 §7.1 informs the TU; ours repeats the 2xx until its own patience ends, perhaps over a new connection.
        Input.TRANSPORT_ERROR: to(State.ACCEPTED),
    },
    State.COMPLETED: {
        Input.INVITE:          to(State.COMPLETED, Do.RESEND_RESPONSE),
        Input.TIMER_G:         to(State.COMPLETED, Do.RESEND_RESPONSE, Do.DOUBLE_TIMER_G_UP_TO_T2),
        Input.ACK:             to(State.CONFIRMED, Do.STOP_TIMERS_G_H, Do.START_TIMER_I),
        Input.TIMER_H:         to(State.TERMINATED, Do.REPORT_TIMEOUT),
        Input.TRANSPORT_ERROR: to(State.TERMINATED, Do.REPORT_TRANSPORT_ERROR),
    },
    State.CONFIRMED: {
        Input.ACK:             to(State.CONFIRMED),
        Input.INVITE:          to(State.CONFIRMED),
        Input.TIMER_I:         to(State.TERMINATED),
    },
    State.TERMINATED: {},
}
# fmt: on


# Looked up once: finding a member in its enumeration costs more than everything else in the lines that name it.
PROCEEDING = State.PROCEEDING
TRYING, G, H, I, L = Timer.TRYING, Timer.G, Timer.H, Timer.I, Timer.L  # noqa: E741
SEND_1XX, SEND_2XX, SEND_300_699 = Input.SEND_1XX, Input.SEND_2XX, Input.SEND_300_699


class InviteServer(Transaction):
    """Absorbs repeated INVITEs, repeats refusals until they are ACKed."""

    __slots__ = ("interval", "last", "merge_key", "user")

    TRANSPORT_ERROR = Input.TRANSPORT_ERROR
    TERMINATED = State.TERMINATED
    TIMER_INPUTS = {  # noqa: RUF012
        Timer.TRYING: Input.TIMER_TRYING,
        Timer.G: Input.TIMER_G,
        Timer.H: Input.TIMER_H,
        Timer.I: Input.TIMER_I,
        Timer.L: Input.TIMER_L,
    }

    def __init__(self, host: Host, key: tuple[Any, ...], request: Request, flow: Flow, user: ServerUser | None, now: float) -> None:
        super().__init__(host, key, request, flow, PROCEEDING)
        self.user = user
        self.last = b""
        self.merge_key: tuple[Any, ...] | None = None
        self.interval = host.values.t1
        self.start(TRYING, now + host.values.trying)

    def respond(self, response: Response, now: float) -> None:
        """Send the transaction user's response."""
        status = response.status
        self.fire(SEND_1XX if status < 200 else SEND_2XX if status < 300 else SEND_300_699, now, response)

    def receive(self, request: Request, now: float) -> None:
        """A retransmitted INVITE, or the ACK, that matched this transaction."""
        self.fire(Input.ACK if request.method == "ACK" else Input.INVITE, now)

    @property
    def is_answered(self) -> bool:
        """Whether a final response has been sent (§9.2 asks this for CANCEL)."""
        return self.state is not PROCEEDING

    def send_trying(self, _now: float, _argument: None) -> None:
        self.last = self.request.response(100).to_bytes()
        self.host.send(self.flow, self.last)

    def send_response(self, _now: float, response: Response) -> None:
        self.last = response.to_bytes()
        self.host.send(self.flow, self.last)

    def resend_response(self, now: float, _argument: None) -> None:
        if self.last:
            self.host.send(self.flow, self.last)
        else:  # a repeated INVITE says that 100 Trying is overdue
            self.stop(TRYING)
            self.send_trying(now, None)

    def stop_trying(self, _now: float, _response: Response) -> None:
        self.stop(TRYING)

    def start_timers_g_h(self, now: float, _response: Response) -> None:
        if not self.flow.is_reliable:
            self.start(G, now + self.interval)
        self.start(H, now + self.host.values.give_up)

    def double_timer_g_up_to_t2(self, now: float, _argument: None) -> None:
        self.interval = min(2 * self.interval, self.host.values.t2)
        self.start(G, now + self.interval)

    def stop_timers_g_h(self, _now: float, _argument: None) -> None:
        self.stop(G, H)

    def start_timer_i(self, now: float, _argument: None) -> None:
        self.rest()
        self.start(I, now if self.flow.is_reliable else now + self.host.values.t4)

    def start_timer_l(self, now: float, _response: Response) -> None:
        self.rest()
        self.last = b""  # repeated by the session, if at all
        self.start(L, now + self.host.values.give_up)

    def report_timeout(self, now: float, _argument: None) -> None:
        if self.user is not None:
            self.user.on_server_timeout(self, now)

    def report_transport_error(self, now: float, _argument: None) -> None:
        if self.user is not None:
            self.user.on_server_transport_error(self, now)


InviteServer.EDGES = bind(TRANSITIONS, InviteServer)
