"""Changing a session: re-INVITE in both directions and its glare, RFC 3261 §14.

The machine lives inside an established session. A pair (state, input) missing from the table is dropped and counted.
"""

from collections.abc import Sequence
from enum import StrEnum, auto
from typing import TYPE_CHECKING, Any
from weakref import ref

from sip.events import ReInviteAnswered, ReInviteCancelled, ReInviteConfirmed, ReInviteReceived
from sip.machine import Edge, bind, to
from sip.message import Request, Response
from sip.session_timer import agree_as_uac
from sip.timers import Timer
from sip.transaction.base import Transaction
from sip.transaction.invite_server import InviteServer

if TYPE_CHECKING:
    from sip.session.session import Session


class State(StrEnum):
    """Who is asking whom."""

    IDLE = auto()
    SENT = auto()  # ours is out
    RETRY_WAIT = auto()  # ours met theirs (491): waiting for a random while
    RECEIVED = auto()  # theirs waits for the application
    ANSWERED = auto()  # our 2xx is out, its ACK awaited
    CLOSED = auto()  # the session has ended


class Input(StrEnum):
    """What can happen to it."""

    SEND = auto()
    RESPONSE_2XX = auto()
    RESPONSE_422 = auto()  # the session interval is to be longer, and we can do that
    RESPONSE_491 = auto()
    RESPONSE_300_699 = auto()
    RESPONSE_GONE = auto()  # 408 or 481, or no response at all (§12.2.1.2, §14.1)
    INVITE = auto()
    ACCEPT = auto()
    REJECT = auto()
    CANCEL = auto()
    ACK = auto()
    TIMER_2XX = auto()
    TIMER_ACK = auto()
    TIMER_RETRY = auto()
    SESSION_ENDED = auto()


class Do(StrEnum):
    """What it does then; each value names a method."""

    SEND_INVITE = auto()
    SEND_AGAIN = auto()
    NOTE_REFUSAL = auto()
    SEND_ACK = auto()
    RESEND_ACK = auto()
    REPORT_ANSWER = auto()
    REPORT_GLARE = auto()
    REPORT_REQUEST_PENDING = auto()
    REPORT_RECEIVED = auto()
    REPORT_CONFIRMED = auto()
    REPORT_CANCELLED = auto()
    START_RETRY_TIMER = auto()
    STOP_RETRY_TIMER = auto()
    SEND_2XX = auto()
    RESEND_2XX = auto()
    STOP_2XX_TIMERS = auto()
    SEND_REFUSAL = auto()
    SEND_487 = auto()
    SEND_491 = auto()
    SEND_500 = auto()
    GIVE_UP_SESSION = auto()


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.IDLE: {
        Input.SEND:             to(State.SENT, Do.SEND_INVITE),
        Input.INVITE:           to(State.RECEIVED, Do.REPORT_RECEIVED),
        Input.RESPONSE_2XX:     to(State.IDLE, Do.RESEND_ACK),  # the peer has not seen our ACK
        Input.SESSION_ENDED:    to(State.CLOSED),
    },
    State.SENT: {
        Input.SEND:             to(State.SENT, Do.REPORT_REQUEST_PENDING),
        Input.INVITE:           to(State.SENT, Do.SEND_491),  # §14.2: "MUST return a 491"
        Input.RESPONSE_2XX:     to(State.IDLE, Do.SEND_ACK, Do.REPORT_ANSWER),
        Input.RESPONSE_422:     to(State.SENT, Do.SEND_AGAIN),  # RFC 4028 §7.4
        Input.RESPONSE_491:     to(State.RETRY_WAIT, Do.NOTE_REFUSAL, Do.START_RETRY_TIMER),
        Input.RESPONSE_300_699: to(State.IDLE, Do.NOTE_REFUSAL, Do.REPORT_ANSWER),
        Input.RESPONSE_GONE:    to(State.IDLE, Do.REPORT_ANSWER, Do.GIVE_UP_SESSION),
        Input.SESSION_ENDED:    to(State.CLOSED),
    },
    State.RETRY_WAIT: {
        Input.SEND:             to(State.RETRY_WAIT, Do.REPORT_REQUEST_PENDING),
        Input.TIMER_RETRY:      to(State.SENT, Do.SEND_AGAIN),
        # Theirs comes first. Our old offer is not sent after it (what is answered now outdates it): the application offers anew.
        Input.INVITE:           to(State.RECEIVED, Do.STOP_RETRY_TIMER, Do.REPORT_GLARE, Do.REPORT_RECEIVED),
        Input.SESSION_ENDED:    to(State.CLOSED, Do.STOP_RETRY_TIMER),
    },
    State.RECEIVED: {
        Input.SEND:             to(State.RECEIVED, Do.REPORT_REQUEST_PENDING),
        Input.INVITE:           to(State.RECEIVED, Do.SEND_500),  # §14.2: a second INVITE before the final response to the first
        Input.ACCEPT:           to(State.ANSWERED, Do.SEND_2XX),
        Input.REJECT:           to(State.IDLE, Do.SEND_REFUSAL),
        Input.CANCEL:           to(State.IDLE, Do.SEND_487, Do.REPORT_CANCELLED),
        Input.SESSION_ENDED:    to(State.CLOSED, Do.SEND_487),
    },
    State.ANSWERED: {
        Input.SEND:             to(State.ANSWERED, Do.REPORT_REQUEST_PENDING),
        Input.INVITE:           to(State.ANSWERED, Do.SEND_491),
        Input.TIMER_2XX:        to(State.ANSWERED, Do.RESEND_2XX),
        Input.ACK:              to(State.IDLE, Do.STOP_2XX_TIMERS, Do.REPORT_CONFIRMED),
        Input.TIMER_ACK:        to(State.IDLE, Do.STOP_2XX_TIMERS, Do.GIVE_UP_SESSION),
        Input.SESSION_ENDED:    to(State.CLOSED, Do.STOP_2XX_TIMERS),
    },
    State.CLOSED: {
        Input.RESPONSE_2XX:     to(State.CLOSED, Do.SEND_ACK),  # a 2xx is always ACKed, also when nobody is interested any more
    },
}
# fmt: on


IDLE = State.IDLE


class ReInvite:
    """The re-INVITE side of one session."""

    __slots__ = ("_session", "ack", "interval", "is_refresh", "offer", "ok", "sequence_number", "state", "transaction", "uas")

    def __init__(self, session: "Session", state: State = State.IDLE) -> None:
        # The session owns us and is who calls us; a reference back would leave both to the cyclic collector.
        self._session = ref(session)
        self.state = state
        self.transaction: Transaction | None = None
        self.uas: InviteServer | None = None
        self.sequence_number = 0
        self.offer: bytes | None = None
        self.ack: tuple[Any, bytes] | None = None
        self.ok: Response | None = None
        self.interval = 0.0
        self.is_refresh = False

    @property
    def session(self) -> "Session":
        session = self._session()
        assert session is not None
        return session

    def fire(self, event: Input, now: float, argument: Any = None) -> None:
        """Take one input."""
        edge = EDGES[self.state].get(event)
        if edge is None:
            self.session.agent.count(f"reinvite.{self.state.value}.{event.value}")
            return
        self.state = edge[0]
        for act in edge[1]:
            act(self, now, argument)

    def on_response(self, response: Response, now: float) -> None:
        """A response to our re-INVITE."""
        status = response.status
        if status < 200:
            return
        if status < 300:
            event = Input.RESPONSE_2XX
        elif status == 422 and self.session.raise_interval(response):
            event = Input.RESPONSE_422
        elif status == 491:
            event = Input.RESPONSE_491
        elif status in {408, 481}:
            event = Input.RESPONSE_GONE
        else:
            event = Input.RESPONSE_300_699
        self.fire(event, now, response)

    # --- ours

    def send_invite(self, now: float, offer: bytes | None) -> None:
        self.offer = offer
        self.send_again(now, None)

    def send_again(self, now: float, _argument: None) -> None:
        self.transaction = self.session.send_reinvite(self.offer, now)
        self.sequence_number = self.transaction.request.cseq.number

    def send_ack(self, now: float, response: Response) -> None:
        self.session.dialog_now.refresh_target(response)
        self.session.challenge_rounds = 0  # the next one is a new attempt
        if self.state is not State.CLOSED:
            self.session.local_sdp = self.offer or self.session.local_sdp
            self.session.renew(agree_as_uac(response), now)
        self.ack = self.session.build_ack(self.sequence_number, None)
        self.resend_ack(now, response)

    def resend_ack(self, _now: float, response: Response) -> None:
        if self.ack is not None and response.cseq.number == self.sequence_number:
            self.session.agent.send(*self.ack)

    def note_refusal(self, now: float, answer: Response | int) -> None:
        # A number is a status of our own: the peer was not reached, and has said nothing.
        self.session.note_refusal(answer if isinstance(answer, Response) else None, now, asks_again=self.is_refresh and self.state is IDLE)

    def report_answer(self, _now: float, response: Response | int | None) -> None:
        status = 408 if response is None else response if isinstance(response, int) else response.status
        sdp = response.sdp if isinstance(response, Response) and status < 300 else None
        was_refresh, self.is_refresh = self.is_refresh, False
        if was_refresh and sdp == (self.session.remote_sdp if status < 300 else None):
            return  # a refresh (RFC 4028) that changed nothing is nobody's news
        if sdp is not None:
            self.session.remote_sdp = sdp
        self.session.agent.emit(ReInviteAnswered(self.session.id, sdp, status))

    def report_glare(self, now: float, _argument: Any) -> None:
        if self.is_refresh:
            self.is_refresh = False  # the re-INVITE in its way refreshes as well, if it is accepted
            self.session.refresh_later(now)
            return
        self.session.agent.emit(ReInviteAnswered(self.session.id, None, 491))

    def report_request_pending(self, _now: float, _argument: Any) -> None:
        # Whatever is under way stays what it is; a refresh is never asked for while something is.
        self.session.agent.emit(ReInviteAnswered(self.session.id, None, 491))

    def start_retry_timer(self, now: float, _response: Response) -> None:
        # §14.1: the owner of the Call-ID waits 2.1 to 4 s, the other 0 to 2 s, "in units of 10 ms".
        share = self.session.agent.random_share()
        wait = 2.1 + 1.9 * share if self.session.is_caller else 2.0 * share
        self.session.start(Timer.REINVITE_RETRY, now + round(wait, 2))

    def stop_retry_timer(self, _now: float, _argument: Any) -> None:
        self.session.stop(Timer.REINVITE_RETRY)

    # --- theirs

    def report_received(self, _now: float, uas: InviteServer) -> None:
        self.uas = uas
        request = uas.request
        self.session.dialog_now.refresh_target(request)
        self.session.agent.emit(ReInviteReceived(self.session.id, request.sdp, request))

    def send_2xx(self, now: float, sdp: bytes) -> None:
        assert self.uas is not None
        self.ok = self.session.acceptance(self.uas.request, sdp, now)
        self.uas.respond(self.ok, now)
        values = self.session.agent.values
        self.interval = values.t1
        self.session.start(Timer.REINVITE_RESEND_2XX, now + self.interval)
        self.session.start(Timer.REINVITE_ACK, now + values.give_up)

    def resume(self, uas: InviteServer, ok: Response | None, now: float) -> None:
        """After a restart: theirs waits for the application, which is told of it again, or our answer for its ACK."""
        self.uas, self.ok = uas, ok
        if ok is None:
            self.state = State.RECEIVED
            self.session.agent.emit(ReInviteReceived(self.session.id, uas.request.sdp, uas.request))
            return
        self.state = State.ANSWERED
        values = self.session.agent.values
        self.interval = values.t1 / 2
        self.resend_2xx(now, None)
        self.session.start(Timer.REINVITE_ACK, now + values.give_up)

    def resend_2xx(self, now: float, _argument: None) -> None:
        assert self.uas is not None
        assert self.ok is not None
        self.uas.respond(self.ok, now)
        self.interval = min(2 * self.interval, self.session.agent.values.t2)
        self.session.start(Timer.REINVITE_RESEND_2XX, now + self.interval)

    def stop_2xx_timers(self, _now: float, _argument: Any) -> None:
        self.session.stop(Timer.REINVITE_RESEND_2XX)
        self.session.stop(Timer.REINVITE_ACK)

    def report_confirmed(self, _now: float, ack: Request) -> None:
        if self.uas is not None and not self.uas.request.has_sdp and ack.has_sdp:  # ours was the offer (RFC 3264 §4)
            self.session.remote_sdp = ack.sdp
        self.session.agent.emit(ReInviteConfirmed(self.session.id, ack.sdp))

    def send_refusal(self, now: float, argument: tuple[int, Sequence[tuple[str, str]]]) -> None:
        status, headers = argument
        self._refuse(self.uas, status, now, headers)

    def send_487(self, now: float, _argument: Any) -> None:
        self._refuse(self.uas, 487, now)

    def report_cancelled(self, _now: float, _argument: Any) -> None:
        self.session.agent.emit(ReInviteCancelled(self.session.id))

    def send_491(self, now: float, uas: InviteServer) -> None:
        self._refuse(uas, 491, now)

    def send_500(self, now: float, uas: InviteServer) -> None:
        # §14.2: "MUST return a 500 [...] and MUST include a Retry-After header field with a randomly chosen value of between 0 and 10".
        retry_after = round(10 * self.session.agent.random_share())
        uas.respond(self.session.response(uas.request, 500, headers=[("Retry-After", str(retry_after))]), now)

    def _refuse(self, uas: InviteServer | None, status: int, now: float, headers: Sequence[tuple[str, str]] = ()) -> None:
        if uas is not None:
            uas.respond(self.session.response(uas.request, status, headers=headers), now)

    def give_up_session(self, now: float, _argument: Any) -> None:
        self.session.give_up(now)


EDGES = bind(TRANSITIONS, ReInvite)
