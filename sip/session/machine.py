"""The machine of an INVITE session: RFC 3261 §13 (initiating, accepting, 2xx, ACK), §9 (CANCEL and its races), §15 (BYE), §12.1 (forks).

One machine serves both roles: the upper half of the table is the caller's (UAC), the lower the callee's (UAS), and they meet in
ESTABLISHED. A pair (state, input) missing from the table is dropped and counted. What the actions do stands in `caller`, `callee`, `within`
and `refresh`; re-INVITE has a machine of its own (`sip.session.reinvite`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from enum import StrEnum, auto
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from sip import session_timer
from sip.dialog import Dialog
from sip.digest import ClientDigest
from sip.events import Event
from sip.flow import Flow
from sip.machine import Bound, Edge, to
from sip.message import Request, Response
from sip.session import reinvite
from sip.timers import Timer, TimerTable, TimerValues
from sip.transaction.base import ClientUser, Transaction
from sip.transaction.invite_server import InviteServer
from sip.transaction.layer import ClientTransaction

if TYPE_CHECKING:
    from sip.session.session import Session

Fields = Sequence[tuple[str, str]]
SDP_TYPE = "application/sdp"


class State(StrEnum):
    """Where a session stands."""

    CALLING = auto()  # INVITE sent, nothing heard
    PROCEEDING = auto()  # a provisional response was heard
    RETRY_WAIT = auto()  # 491: the far end was busy with a change of its own; waiting for a random while
    CANCEL_PENDING = auto()  # hang-up wanted, but §9.1: no CANCEL before a provisional response
    CANCELLING = auto()  # CANCEL sent, the INVITE's final response awaited
    GIVEN_UP = auto()  # reported as failed, since nothing was heard; what comes late must not ring for nobody
    TAKEN_BACK = auto()  # it did come late: CANCEL sent
    OFFERED = auto()  # INVITE received, no final response sent
    ANSWERED = auto()  # 2xx sent, ACK awaited
    HANG_UP_PENDING = auto()  # hang-up wanted, but §15: no BYE before the ACK
    ESTABLISHED = auto()
    ENDING = auto()  # BYE sent
    ENDED = auto()


class Input(StrEnum):
    """What can happen to it."""

    RESPONSE_1XX = auto()
    RESPONSE_2XX = auto()  # the first
    REPEATED_2XX = auto()  # the same once more: our ACK was lost
    FORKED_2XX = auto()  # another callee has answered too
    RESPONSE_300_699 = auto()
    CHALLENGE = auto()  # a 401 or 407 that we can answer
    TOO_BRIEF = auto()  # a 422: the session interval we proposed
    PENDING = auto()  # a 491
    TIMER_RETRY = auto()
    INVITE_TIMEOUT = auto()
    OUT_OF_PATIENCE = auto()
    TRANSPORT_ERROR = auto()
    HANG_UP = auto()
    RING = auto()
    ACCEPT = auto()
    REJECT = auto()
    ACK = auto()
    CANCEL = auto()
    BYE = auto()
    BYE_DONE = auto()  # answered, or given up
    LOST = auto()  # the peer has lost the dialog (481, 408 inside it), or has not refreshed the session (RFC 4028)
    TIMER_2XX = auto()
    TIMER_ACK = auto()
    TIMER_CANCEL = auto()


class Do(StrEnum):
    """What it does then; each value names a method."""

    NOTE_PROGRESS = auto()
    CONFIRM = auto()
    SEND_ACK = auto()
    RESEND_ACK = auto()
    HANG_UP_FORK = auto()
    RETRY_WITH_CREDENTIALS = auto()
    RETRY_WITH_LONGER_INTERVAL = auto()
    WAIT_FOR_RETRY = auto()
    STOP_RETRY_TIMER = auto()
    RETRY = auto()
    SEND_CANCEL = auto()
    ABANDON_INVITE = auto()
    STOP_RESENDING = auto()
    SEND_PROVISIONAL = auto()
    SEND_2XX = auto()
    RESEND_2XX = auto()
    STOP_2XX_TIMERS = auto()
    SEND_REFUSAL = auto()
    SEND_480 = auto()
    SEND_487 = auto()
    SEND_BYE = auto()
    SAY_TIMED_OUT = auto()
    ANSWER_BYE = auto()
    CLOSE_REINVITE = auto()
    RELEASE = auto()
    REPORT_ACCEPTED = auto()
    REPORT_CONFIRMED = auto()
    REPORT_REFUSED = auto()
    REPORT_UNANSWERED = auto()
    REPORT_UNREACHABLE = auto()
    REPORT_ENDED_HERE = auto()
    REPORT_ANSWERED_LATE = auto()
    REPORT_ENDED_THERE = auto()
    REPORT_ENDED_BY_TIMEOUT = auto()
    REPORT_ENDED_BY_TRANSPORT = auto()


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.CALLING: {
        Input.RESPONSE_1XX:     to(State.PROCEEDING, Do.NOTE_PROGRESS),
        Input.RESPONSE_2XX:     to(State.ESTABLISHED, Do.CONFIRM, Do.SEND_ACK, Do.REPORT_ACCEPTED),
        Input.RESPONSE_300_699: to(State.ENDED, Do.RELEASE, Do.REPORT_REFUSED),
        Input.CHALLENGE:        to(State.CALLING, Do.RETRY_WITH_CREDENTIALS),
        Input.TOO_BRIEF:        to(State.CALLING, Do.RETRY_WITH_LONGER_INTERVAL),
        Input.PENDING:          to(State.RETRY_WAIT, Do.WAIT_FOR_RETRY),
        Input.INVITE_TIMEOUT:   to(State.ENDED, Do.RELEASE, Do.REPORT_UNANSWERED),
        Input.TRANSPORT_ERROR:  to(State.ENDED, Do.RELEASE, Do.REPORT_UNREACHABLE),
        Input.OUT_OF_PATIENCE:  to(State.GIVEN_UP, Do.STOP_RESENDING, Do.SAY_TIMED_OUT, Do.REPORT_UNANSWERED),
        Input.HANG_UP:          to(State.CANCEL_PENDING),
    },
    State.PROCEEDING: {
        Input.RESPONSE_1XX:     to(State.PROCEEDING, Do.NOTE_PROGRESS),
        Input.RESPONSE_2XX:     to(State.ESTABLISHED, Do.CONFIRM, Do.SEND_ACK, Do.REPORT_ACCEPTED),
        Input.RESPONSE_300_699: to(State.ENDED, Do.RELEASE, Do.REPORT_REFUSED),
        Input.CHALLENGE:        to(State.CALLING, Do.RETRY_WITH_CREDENTIALS),
        Input.TOO_BRIEF:        to(State.CALLING, Do.RETRY_WITH_LONGER_INTERVAL),
        Input.PENDING:          to(State.RETRY_WAIT, Do.WAIT_FOR_RETRY),
        Input.TRANSPORT_ERROR:  to(State.ENDED, Do.RELEASE, Do.REPORT_UNREACHABLE),
        Input.HANG_UP:          to(State.CANCELLING, Do.SEND_CANCEL),
    },
    State.RETRY_WAIT: {
        Input.TIMER_RETRY:      to(State.CALLING, Do.RETRY),
        Input.HANG_UP:          to(State.ENDED, Do.STOP_RETRY_TIMER, Do.RELEASE, Do.REPORT_ENDED_HERE),
    },
    State.CANCEL_PENDING: {
        Input.RESPONSE_1XX:     to(State.CANCELLING, Do.SEND_CANCEL),
        Input.RESPONSE_2XX:     to(State.ENDING, Do.CONFIRM, Do.SEND_ACK, Do.SEND_BYE, Do.REPORT_ANSWERED_LATE, Do.REPORT_ENDED_HERE),
        Input.RESPONSE_300_699: to(State.ENDED, Do.RELEASE, Do.REPORT_ENDED_HERE),
        Input.CHALLENGE:        to(State.ENDED, Do.RELEASE, Do.REPORT_ENDED_HERE),
        Input.TOO_BRIEF:        to(State.ENDED, Do.RELEASE, Do.REPORT_ENDED_HERE),
        Input.INVITE_TIMEOUT:   to(State.ENDED, Do.RELEASE, Do.REPORT_ENDED_HERE),
        Input.OUT_OF_PATIENCE:  to(State.CANCEL_PENDING),
        Input.TRANSPORT_ERROR:  to(State.ENDED, Do.RELEASE, Do.REPORT_ENDED_HERE),
    },
    State.CANCELLING: {
        # The CANCEL crossed the 2xx: what was not wanted is taken down at once.
        Input.RESPONSE_2XX:     to(State.ENDING, Do.CONFIRM, Do.SEND_ACK, Do.SEND_BYE, Do.REPORT_ANSWERED_LATE, Do.REPORT_ENDED_HERE),
        Input.RESPONSE_300_699: to(State.ENDED, Do.RELEASE, Do.REPORT_ENDED_HERE),
        Input.CHALLENGE:        to(State.ENDED, Do.RELEASE, Do.REPORT_ENDED_HERE),
        Input.TOO_BRIEF:        to(State.ENDED, Do.RELEASE, Do.REPORT_ENDED_HERE),
        Input.RESPONSE_1XX:     to(State.CANCELLING),
        Input.TRANSPORT_ERROR:  to(State.ENDED, Do.RELEASE, Do.REPORT_ENDED_HERE),
        Input.TIMER_CANCEL:     to(State.ENDED, Do.ABANDON_INVITE, Do.RELEASE, Do.REPORT_ENDED_HERE),
    },
    State.GIVEN_UP: {
        Input.RESPONSE_1XX:     to(State.TAKEN_BACK, Do.SEND_CANCEL),
        Input.RESPONSE_2XX:     to(State.ENDING, Do.CONFIRM, Do.SEND_ACK, Do.SEND_BYE, Do.REPORT_ANSWERED_LATE),
        Input.RESPONSE_300_699: to(State.ENDED, Do.RELEASE),
        Input.CHALLENGE:        to(State.ENDED, Do.RELEASE),
        Input.TOO_BRIEF:        to(State.ENDED, Do.RELEASE),
        Input.INVITE_TIMEOUT:   to(State.ENDED, Do.RELEASE),
        Input.TRANSPORT_ERROR:  to(State.ENDED, Do.RELEASE),
    },
    State.TAKEN_BACK: {
        Input.RESPONSE_1XX:     to(State.TAKEN_BACK),
        Input.RESPONSE_2XX:     to(State.ENDING, Do.CONFIRM, Do.SEND_ACK, Do.SEND_BYE, Do.REPORT_ANSWERED_LATE),
        Input.RESPONSE_300_699: to(State.ENDED, Do.RELEASE),
        Input.CHALLENGE:        to(State.ENDED, Do.RELEASE),
        Input.TOO_BRIEF:        to(State.ENDED, Do.RELEASE),
        Input.TRANSPORT_ERROR:  to(State.ENDED, Do.RELEASE),
        Input.TIMER_CANCEL:     to(State.ENDED, Do.ABANDON_INVITE, Do.RELEASE),
    },
    State.OFFERED: {
        Input.RING:             to(State.OFFERED, Do.SEND_PROVISIONAL),
        Input.ACCEPT:           to(State.ANSWERED, Do.SEND_2XX),
        Input.REJECT:           to(State.ENDED, Do.SEND_REFUSAL, Do.RELEASE, Do.REPORT_ENDED_HERE),
        Input.HANG_UP:          to(State.ENDED, Do.SEND_480, Do.RELEASE, Do.REPORT_ENDED_HERE),
        Input.CANCEL:           to(State.ENDED, Do.SEND_487, Do.RELEASE, Do.REPORT_ENDED_THERE),
        # §15.1.2: a caller may end an early dialog with BYE; the INVITE is still owed an answer.
        Input.BYE:              to(State.ENDED, Do.ANSWER_BYE, Do.SEND_487, Do.RELEASE, Do.REPORT_ENDED_THERE),
        Input.TRANSPORT_ERROR:  to(State.ENDED, Do.RELEASE, Do.REPORT_ENDED_BY_TRANSPORT),
    },
    State.ANSWERED: {
        Input.ACK:              to(State.ESTABLISHED, Do.STOP_2XX_TIMERS, Do.REPORT_CONFIRMED),
        Input.TIMER_2XX:        to(State.ANSWERED, Do.RESEND_2XX),
        # §13.3.1.4: "If the server retransmits the 2xx response for 64*T1 seconds without receiving an ACK, the dialog is confirmed, but
        # the session SHOULD be terminated. This is accomplished with a BYE".
        Input.TIMER_ACK:        to(State.ENDING, Do.STOP_2XX_TIMERS, Do.SAY_TIMED_OUT, Do.SEND_BYE, Do.REPORT_ENDED_BY_TIMEOUT),
        Input.HANG_UP:          to(State.HANG_UP_PENDING, Do.REPORT_ENDED_HERE),
        Input.BYE:              to(State.ENDED, Do.STOP_2XX_TIMERS, Do.ANSWER_BYE, Do.RELEASE, Do.REPORT_ENDED_THERE),
    },
    State.HANG_UP_PENDING: {
        Input.ACK:              to(State.ENDING, Do.STOP_2XX_TIMERS, Do.SEND_BYE),
        Input.TIMER_2XX:        to(State.HANG_UP_PENDING, Do.RESEND_2XX),
        Input.TIMER_ACK:        to(State.ENDING, Do.STOP_2XX_TIMERS, Do.SEND_BYE),
        Input.BYE:              to(State.ENDED, Do.STOP_2XX_TIMERS, Do.ANSWER_BYE, Do.RELEASE),
    },
    State.ESTABLISHED: {
        Input.REPEATED_2XX:     to(State.ESTABLISHED, Do.RESEND_ACK),
        Input.FORKED_2XX:       to(State.ESTABLISHED, Do.HANG_UP_FORK),
        Input.ACK:              to(State.ESTABLISHED),  # a repetition
        Input.HANG_UP:          to(State.ENDING, Do.CLOSE_REINVITE, Do.SEND_BYE, Do.REPORT_ENDED_HERE),
        Input.BYE:              to(State.ENDED, Do.ANSWER_BYE, Do.CLOSE_REINVITE, Do.RELEASE, Do.REPORT_ENDED_THERE),
        Input.LOST:             to(State.ENDING, Do.CLOSE_REINVITE, Do.SAY_TIMED_OUT, Do.SEND_BYE, Do.REPORT_ENDED_BY_TIMEOUT),
    },
    State.ENDING: {
        Input.REPEATED_2XX:     to(State.ENDING, Do.RESEND_ACK),
        Input.FORKED_2XX:       to(State.ENDING, Do.HANG_UP_FORK),
        Input.ACK:              to(State.ENDING),
        Input.BYE:              to(State.ENDING, Do.ANSWER_BYE),  # both hung up at once
        Input.BYE_DONE:         to(State.ENDED, Do.RELEASE),
    },
    State.ENDED: {
        Input.REPEATED_2XX:     to(State.ENDED, Do.RESEND_ACK),
        Input.FORKED_2XX:       to(State.ENDED, Do.HANG_UP_FORK),
        Input.TRANSPORT_ERROR:  to(State.ENDED),  # our refusal could not be delivered: nothing more to be done
    },
}
# fmt: on


class Agent(Protocol):
    """What a session needs from its user agent."""

    timers: TimerTable
    values: TimerValues
    session_timer: session_timer.SessionTimerPolicy | None
    answered_from: str
    answered_over: Flow | None
    timed_out_reason: str
    forked_reason: str

    def emit(self, event: Event) -> None: ...
    def count(self, what: str) -> None: ...
    def new_token(self) -> str: ...
    def random_share(self) -> float: ...
    def via(self, flow: Flow) -> str: ...
    def contact(self, flow: Flow, user: str | None = None, *, is_sips: bool = False) -> str: ...
    def send(self, flow: Flow, octets: bytes) -> None: ...
    def request(self, request: Request, flow: Flow, user: ClientUser, now: float) -> ClientTransaction: ...
    def enter_dialog(self, dialog: Dialog, session: Session) -> None: ...
    def leave_dialog(self, dialog: Dialog) -> None: ...
    def may_come_back(self, account: str | None) -> bool: ...
    def release(self, session: Session, now: float) -> None: ...
    def move_transaction(self, transaction: Transaction, flow: Flow) -> None: ...
    def changed(self, session: str) -> None: ...

    @property
    def invite_headers(self) -> Fields: ...
    @property
    def plain_headers(self) -> Fields: ...


REQUESTS_PER_S, REQUESTS_AT_ONCE = 20.0, 40.0
"""New requests of the far end within one session. Keys by INFO come ten a second at most (50 ms of tone, 50 ms of pause), holds and
refreshes seldom: only a program sends more, and each would cost a transaction for 32 s."""


class Machine:
    """The state of one session, and the firing of its table."""

    EDGES: ClassVar[Bound]
    """The table with the methods of `Session` in it."""

    __slots__ = (
        "__weakref__",
        "_modification",
        "_room",
        "_room_at",
        "account",
        "ack",
        "agent",
        "agreement",
        "bye_reason",
        "challenge_rounds",
        "delayed_offer",
        "dialog",
        "digest",
        "early_answers",
        "final_status",
        "flow",
        "forks",
        "gone",
        "id",
        "interval",
        "invite",
        "is_caller",
        "is_interval_raised",
        "is_over",
        "local_sdp",
        "local_tag",
        "min_se_s",
        "ok",
        "owes_bye",
        "patience_s",
        "pending_rounds",
        "raises",
        "refusals",
        "remote_sdp",
        "second_tries",
        "sequence_number",
        "state",
        "stray",
        "timers",
        "transaction",
        "uas",
    )  # fmt: skip

    def __init__(self, agent: Agent, session: str, invite: Request, flow: Flow, *, is_caller: bool) -> None:
        self.agent = agent
        self.id = session
        self._room, self._room_at = REQUESTS_AT_ONCE, 0.0
        self.invite = invite
        self.sequence_number = invite.cseq.number
        self.flow = flow
        self.is_caller = is_caller
        self.state = State.CALLING if is_caller else State.OFFERED
        self.timers: dict[Timer, list[Any]] = {}
        self.dialog: Dialog | None = None
        self.forks: dict[str, Dialog] = {}
        self.early_answers: dict[str, bytes] = {}
        """The description that came last before the 2xx, by the To tag it came with; last heard, last in order."""
        self.transaction: Transaction | None = None
        self.uas: InviteServer | None = None
        self.digest: ClientDigest | None = None
        self.challenge_rounds = 0
        self.ack: tuple[Flow, bytes] | None = None
        self.ok: Response | None = None
        self.interval = 0.0
        self.patience_s: float | None = None
        self.local_tag = ""
        self.bye_reason: str | None = None
        self.final_status: int | None = None
        self.delayed_offer = False
        self.is_interval_raised = False
        self.pending_rounds = 0
        self.agreement: session_timer.Agreement | None = None
        self.min_se_s: int | None = None
        """The longest Min-SE that a 422 has asked for."""
        self.raises = 0
        """How often the interval was raised since the last 2xx."""
        self.refusals = 0
        """Answers in a row that were neither 2xx nor those of a peer that knows of no session: it is there."""
        self.local_sdp: bytes | None = None
        self.remote_sdp: bytes | None = None
        self.is_over = False
        self.account: str | None = None
        """The address of record of the phone at the far end, where it is one of ours."""
        self.owes_bye = False
        """The connection was gone when the phone was to hear that its call is over; it may come back."""
        self.second_tries: set[int] = set()
        """CSeq of requests that go another way than one that could not be sent."""
        self.gone: Flow | None = None
        """After a restart: the connection it went by, which died with the process, until the far end is heard over another."""
        self.stray = 0
        """CSeq of a re-INVITE of an earlier run whose 2xx was acknowledged here."""
        self._modification: reinvite.ReInvite | None = None

    @property
    def whole(self) -> Session:
        """Itself, with both sides in it."""
        return cast("Session", self)

    # What transactions and timers say is heard where all sides are known: in `sip.session.session`.

    @abstractmethod
    def on_timer(self, timer: Timer, now: float) -> None: ...
    @abstractmethod
    def on_response(self, transaction: Transaction, response: Response, now: float) -> None: ...
    @abstractmethod
    def on_timeout(self, transaction: Transaction, now: float) -> None: ...
    @abstractmethod
    def on_transport_error(self, transaction: Transaction, now: float) -> None: ...

    def fire(self, event: Input, now: float, argument: Any = None) -> None:
        """Take one input."""
        edge = self.EDGES[self.state].get(event)
        if edge is None:
            self.agent.count(f"session.{self.state.value}.{event.value}")
            return
        self.state = edge[0]
        for act in edge[1]:
            act(self, now, argument)

    def start(self, timer: Timer, deadline: float) -> None:
        """Start one of the own timers."""
        self.agent.timers.start(self, timer, deadline)

    def stop(self, timer: Timer) -> None:
        """Stop one of the own timers."""
        if timer in self.timers:
            self.agent.timers.stop(self, timer)

    def has_room(self, now: float) -> bool:
        """Whether one more request of the far end is served; it takes its place."""
        room = min(REQUESTS_AT_ONCE, self._room + max(0.0, now - self._room_at) * REQUESTS_PER_S)
        self._room_at = now
        self._room = room - 1.0 if room >= 1.0 else room
        return room >= 1.0
