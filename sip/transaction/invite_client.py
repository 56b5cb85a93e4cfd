"""INVITE client transaction: RFC 3261 §17.1.1, Figure 5, as amended by RFC 6026 §8.4.

A pair (state, input) missing from the table is dropped and counted. Two inputs are ours: ABANDON (§9.1: "If there is no final
response for the original request in 64*T1 seconds [after CANCEL], the client SHOULD then consider the original transaction
cancelled and SHOULD destroy the client transaction handling the original request").
"""

from enum import StrEnum, auto
from typing import Any

from sip.flow import Flow
from sip.machine import Edge, bind, to
from sip.message import MAX_FORWARDS, Request, Response
from sip.timers import Timer
from sip.transaction.base import ClientUser, Host, Transaction


class State(StrEnum):
    """Figure 5."""

    CALLING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    TERMINATED = auto()


class Input(StrEnum):
    """What can happen to it."""

    RESPONSE_1XX = auto()
    RESPONSE_2XX = auto()
    RESPONSE_300_699 = auto()
    TIMER_A = auto()
    TIMER_B = auto()
    TIMER_D = auto()
    TIMER_M = auto()
    TRANSPORT_ERROR = auto()
    ABANDON = auto()


class Do(StrEnum):
    """What it does then; each value names a method."""

    RESEND_INVITE = auto()
    DOUBLE_TIMER_A = auto()
    STOP_TIMERS_A_B = auto()
    START_TIMER_D = auto()
    START_TIMER_M = auto()
    SEND_ACK = auto()
    RESEND_ACK = auto()
    PASS_UP = auto()
    REPORT_TIMEOUT = auto()
    REPORT_TRANSPORT_ERROR = auto()


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.CALLING: {
        Input.TIMER_A:          to(State.CALLING, Do.RESEND_INVITE, Do.DOUBLE_TIMER_A),
        Input.RESPONSE_1XX:     to(State.PROCEEDING, Do.STOP_TIMERS_A_B, Do.PASS_UP),
        Input.RESPONSE_2XX:     to(State.ACCEPTED, Do.STOP_TIMERS_A_B, Do.START_TIMER_M, Do.PASS_UP),
        Input.RESPONSE_300_699: to(State.COMPLETED, Do.STOP_TIMERS_A_B, Do.SEND_ACK, Do.START_TIMER_D, Do.PASS_UP),
        Input.TIMER_B:          to(State.TERMINATED, Do.REPORT_TIMEOUT),
        Input.TRANSPORT_ERROR:  to(State.TERMINATED, Do.REPORT_TRANSPORT_ERROR),
        Input.ABANDON:          to(State.TERMINATED),
    },
    State.PROCEEDING: {
        Input.RESPONSE_1XX:     to(State.PROCEEDING, Do.PASS_UP),
        Input.RESPONSE_2XX:     to(State.ACCEPTED, Do.START_TIMER_M, Do.PASS_UP),
        Input.RESPONSE_300_699: to(State.COMPLETED, Do.SEND_ACK, Do.START_TIMER_D, Do.PASS_UP),
        Input.TRANSPORT_ERROR:  to(State.TERMINATED, Do.REPORT_TRANSPORT_ERROR),
        Input.ABANDON:          to(State.TERMINATED),
    },
    State.ACCEPTED: {
        # RFC 6026 §7.2: 2xx retransmissions and 2xx of other branches of a fork go up, where they are ACKed.
        Input.RESPONSE_2XX:     to(State.ACCEPTED, Do.PASS_UP),
        Input.TIMER_M:          to(State.TERMINATED),
    },
    State.COMPLETED: {
        Input.RESPONSE_300_699: to(State.COMPLETED, Do.RESEND_ACK),
        Input.TIMER_D:          to(State.TERMINATED),
        Input.TRANSPORT_ERROR:  to(State.TERMINATED, Do.REPORT_TRANSPORT_ERROR),
    },
    State.TERMINATED: {},
}
# fmt: on


# Looked up once: finding a member in its enumeration costs more than everything else in the lines that name it.
A, B, D, M = Timer.A, Timer.B, Timer.D, Timer.M
CALLING = State.CALLING
UNANSWERED = frozenset({State.CALLING, State.PROCEEDING})
RESPONSE_1XX, RESPONSE_2XX, RESPONSE_300_699 = Input.RESPONSE_1XX, Input.RESPONSE_2XX, Input.RESPONSE_300_699


class InviteClient(Transaction):
    """Sends an INVITE until it is answered and ACKs what is not a 2xx."""

    __slots__ = ("ack", "interval", "octets", "user")

    TRANSPORT_ERROR = Input.TRANSPORT_ERROR
    TERMINATED = State.TERMINATED
    TIMER_INPUTS = {Timer.A: Input.TIMER_A, Timer.B: Input.TIMER_B, Timer.D: Input.TIMER_D, Timer.M: Input.TIMER_M}  # noqa: RUF012

    def __init__(self, host: Host, key: tuple[Any, ...], request: Request, flow: Flow, user: ClientUser, now: float) -> None:
        super().__init__(host, key, request, flow, CALLING)
        self.user = user
        self.octets = request.to_bytes()
        self.ack = b""
        self.interval = host.values.t1
        host.send(flow, self.octets)
        if not flow.is_reliable:
            self.start(A, now + self.interval)
        self.start(B, now + host.values.give_up)

    @classmethod
    def resumed(
        cls, host: Host, key: tuple[Any, ...], request: Request, flow: Flow, user: ClientUser, state: State = State.PROCEEDING
    ) -> "InviteClient":
        """Nothing sent, no timer running: the transaction of an INVITE that went out before a restart, to hear its responses."""
        made = cls.__new__(cls)
        Transaction.__init__(made, host, key, request, flow, state)
        made.user = user
        made.octets = request.to_bytes() if state in UNANSWERED else b""
        made.ack = b""
        made.interval = host.values.t1
        return made

    def say_again(self) -> None:
        """It has no final answer, and there is another way to go: a phone that has lost what rang with its connection rings again; for one
        that has not, it is a retransmission (§17.2.3 matches by branch, not by connection).
        """
        if self.state in UNANSWERED:
            self.host.send(self.flow, self.octets)

    def receive(self, response: Response, now: float) -> None:
        """A response with this transaction's branch and CSeq method INVITE."""
        status = response.status
        self.fire(RESPONSE_1XX if status < 200 else RESPONSE_2XX if status < 300 else RESPONSE_300_699, now, response)

    def resend_invite(self, now: float, _argument: None) -> None:
        del now
        self.host.send(self.flow, self.octets)

    def double_timer_a(self, now: float, _argument: None) -> None:
        self.interval *= 2
        self.start(A, now + self.interval)

    def stop_timers_a_b(self, _now: float, _argument: Response) -> None:
        self.stop(A, B)

    def start_timer_d(self, now: float, _response: Response) -> None:
        self.rest()
        self.octets = b""
        self.start(D, now if self.flow.is_reliable else now + self.host.values.d)

    def start_timer_m(self, now: float, _response: Response) -> None:
        self.rest()
        self.octets = b""
        self.start(M, now + self.host.values.give_up)

    def send_ack(self, _now: float, response: Response) -> None:
        self.ack = ack_to_refusal(self.request, response).to_bytes()
        self.host.send(self.flow, self.ack)

    def resend_ack(self, _now: float, _response: Response) -> None:
        self.host.send(self.flow, self.ack)

    def pass_up(self, now: float, response: Response) -> None:
        self.user.on_response(self, response, now)

    def report_timeout(self, now: float, _argument: None) -> None:
        self.user.on_timeout(self, now)

    def report_transport_error(self, now: float, _argument: None) -> None:
        self.user.on_transport_error(self, now)


def ack_to_refusal(invite: Request, response: Response) -> Request:
    """The ACK for a 3xx-6xx: RFC 3261 §17.1.1.3.

    "a Via header field [...] equal to the top Via header field of the original request", To from the response, the rest,
    Route included, from the request.
    """
    headers = [
        ("Via", str(invite.top_via)),
        ("Max-Forwards", str(MAX_FORWARDS)),
        ("From", invite.headers.get("From") or ""),
        ("To", response.headers.get("To") or ""),
        ("Call-ID", invite.call_id),
        ("CSeq", f"{invite.cseq.number} ACK"),
    ]
    headers += [("Route", route) for route in invite.headers.get_all("Route")]
    return Request.build("ACK", invite.uri, headers)


InviteClient.EDGES = bind(TRANSITIONS, InviteClient)
