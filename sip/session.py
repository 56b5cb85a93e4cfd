"""The INVITE session: RFC 3261 §13 (initiating, accepting, 2xx, ACK), §9 (CANCEL and its races), §15 (BYE), §12.1 (forked dialogs).

One machine serves both roles: the upper half of the table is the caller's (UAC), the lower the callee's (UAS), and they meet in
ESTABLISHED. A pair (state, input) missing from the table is dropped and counted. Re-INVITE has a machine of its own (`sip.reinvite`).
"""

from collections.abc import Sequence
from enum import StrEnum, auto
from typing import Any, Protocol

from sip import dialog as dialogs
from sip import reinvite, session_timer
from sip.dialog import Dialog, uac_dialog, uas_dialog
from sip.digest import ClientDigest
from sip.events import (
    AnsweredLate,
    Event,
    InfoAnswered,
    SessionAccepted,
    SessionConfirmed,
    SessionEnded,
    SessionFailed,
    SessionProgress,
    TalkAnswered,
)
from sip.flow import Flow
from sip.machine import Edge, bind, to
from sip.message import MAX_FORWARDS, Headers, Request, Response
from sip.status import reason_phrase
from sip.timers import Timer, TimerTable, TimerValues
from sip.transaction.base import NOBODY, ClientUser, Transaction
from sip.transaction.invite_client import Input as InviteClientInput
from sip.transaction.invite_server import InviteServer
from sip.transaction.layer import ClientTransaction, ServerTransaction

Fields = Sequence[tuple[str, str]]
SDP_TYPE = "application/sdp"

# RFC 3261 §22.2: a new challenge to each new attempt must not become an endless conversation (stale nonces and a proxy before the registrar
# need two rounds, the rest is patience).
MAX_CHALLENGE_ROUNDS = 3

# A forked INVITE has as many early dialogs as phones ring: more descriptions than this are a flood.
MOST_EARLY_ANSWERS = 32

# A far end that is busy with another change is done with it in a round trip or two; one that never is must not keep a caller.
MAX_PENDING_ROUNDS = 2

# RFC 4028 §7.4: each proxy on the way may want a longer interval than the one before.
MAX_RAISES = 3

# When a re-INVITE is under way as a refresh falls due: that one refreshes too; this is for the case that it does not succeed.
REFRESH_AGAIN_S = 10.0


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


# What every call comes by, looked up once: finding a member in its enumeration costs more than the rest of the line that names it.
ESTABLISHED = State.ESTABLISHED
RESPONSE_1XX, RESPONSE_2XX, ACK_RECEIVED, BYE_DONE = Input.RESPONSE_1XX, Input.RESPONSE_2XX, Input.ACK, Input.BYE_DONE
FINAL_2XX = dialogs.Input.FINAL_2XX
PATIENCE, RESEND_2XX, ACK = Timer.PATIENCE, Timer.RESEND_2XX, Timer.ACK
SESSION_REFRESH, SESSION_EXPIRES = Timer.SESSION_REFRESH, Timer.SESSION_EXPIRES


class Agent(Protocol):
    """What a session needs from its user agent."""

    timers: TimerTable
    values: TimerValues
    session_timer: session_timer.SessionTimerPolicy | None
    answered_from: str
    timed_out_reason: str
    forked_reason: str

    def emit(self, event: Event) -> None: ...
    def count(self, what: str) -> None: ...
    def new_token(self) -> str: ...
    def random_share(self) -> float: ...
    def via(self, flow: Flow) -> str: ...
    def contact(self, flow: Flow) -> str: ...
    def send(self, flow: Flow, octets: bytes) -> None: ...
    def request(self, request: Request, flow: Flow, user: ClientUser, now: float) -> ClientTransaction: ...
    def enter_dialog(self, dialog: Dialog, session: "Session") -> None: ...
    def leave_dialog(self, dialog: Dialog) -> None: ...
    def may_come_back(self, account: str | None) -> bool: ...
    def release(self, session: "Session", now: float) -> None: ...

    @property
    def invite_headers(self) -> Fields: ...
    @property
    def plain_headers(self) -> Fields: ...


REQUESTS_PER_S, REQUESTS_AT_ONCE = 20.0, 40.0
"""New requests of the far end within one session. Keys by INFO come ten a second at most (50 ms of tone, 50 ms of pause), holds and
refreshes seldom: only a program sends more, and each would cost a transaction for 32 s."""


class Session:
    """One INVITE usage, caller or callee; told by transactions, timers and the application, it answers through its agent."""

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
        "provisional",
        "raises",
        "refusals",
        "remote_sdp",
        "second_tries",
        "sequence_number",
        "state",
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
        self.provisional: Response | None = None
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
        self._modification: reinvite.ReInvite | None = None

    def has_room(self, now: float) -> bool:
        """Whether one more request of the far end is served; it takes its place."""
        room = min(REQUESTS_AT_ONCE, self._room + max(0.0, now - self._room_at) * REQUESTS_PER_S)
        self._room_at = now
        self._room = room - 1.0 if room >= 1.0 else room
        return room >= 1.0

    @property
    def modification(self) -> reinvite.ReInvite:
        """The re-INVITE side, made when first needed: most sessions are never changed."""
        made = self._modification
        if made is None:
            made = self._modification = reinvite.ReInvite(self, reinvite.State.CLOSED if self.is_over else reinvite.State.IDLE)
        return made

    # --- driving

    def fire(self, event: Input, now: float, argument: Any = None) -> None:
        """Take one input."""
        edge = EDGES[self.state].get(event)
        if edge is None:
            self.agent.count(f"session.{self.state.value}.{event.value}")
            return
        self.state = edge[0]
        for act in edge[1]:
            act(self, now, argument)

    def on_timer(self, timer: Timer, now: float) -> None:
        """A timer of this session has run out."""
        if timer is Timer.RESEND_2XX:
            self.fire(Input.TIMER_2XX, now)
        elif timer is Timer.ACK:
            self.fire(Input.TIMER_ACK, now)
        elif timer is Timer.CANCELLED:
            self.fire(Input.TIMER_CANCEL, now)
        elif timer is Timer.PATIENCE:
            self.fire(Input.OUT_OF_PATIENCE, now)
        elif timer is Timer.COMES_BACK:
            self.fire(Input.BYE_DONE, now)
        elif timer is Timer.INVITE_RETRY:
            self.fire(Input.TIMER_RETRY, now)
        elif timer is Timer.SESSION_REFRESH:
            self.refresh(now)
        elif timer is Timer.SESSION_EXPIRES:
            self.expire(now)
        elif timer is Timer.REINVITE_RESEND_2XX:
            self.modification.fire(reinvite.Input.TIMER_2XX, now)
        elif timer is Timer.REINVITE_ACK:
            self.modification.fire(reinvite.Input.TIMER_ACK, now)
        else:
            self.modification.fire(reinvite.Input.TIMER_RETRY, now)

    def start(self, timer: Timer, deadline: float) -> None:
        """Start one of the own timers."""
        self.agent.timers.start(self, timer, deadline)

    def stop(self, timer: Timer) -> None:
        """Stop one of the own timers."""
        if timer in self.timers:
            self.agent.timers.stop(self, timer)

    # --- beginnings

    def call(self, now: float) -> None:
        """UAC: send the INVITE."""
        self.transaction = self.agent.request(self.invite, self.flow, self, now)
        if self.patience_s is not None:
            self.start(Timer.PATIENCE, now + self.patience_s)

    def be_offered(self, uas: InviteServer, local_tag: str) -> None:
        """UAS: the INVITE has come and waits for the application."""
        self.uas = uas
        self.local_tag = local_tag
        self.dialog = uas_dialog(self.invite, local_tag, self.flow)
        self.agent.enter_dialog(self.dialog, self)

    # --- what the transactions say

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """A response to any request of this session."""
        method = transaction.request.method
        if method == "INVITE":
            self._on_invite_response(transaction, response, now)
        elif response.status < 200 or method == "CANCEL":
            return  # §9.1: what matters is the INVITE's final response
        elif response.status in {401, 407} and self.dialog is not None and self._can_answer(response):
            self._send_within(method, now, transaction.request)
        elif method == "BYE":
            self.fire(BYE_DONE, now)
        elif method == "INFO":
            self._on_info_response(response.status, now)
        elif method == "NOTIFY":
            self.agent.emit(TalkAnswered(self.id, response.status))

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        """No final response within 64*T1."""
        method = transaction.request.method
        if method == "INVITE":
            if transaction is self.transaction:
                self.fire(Input.INVITE_TIMEOUT, now)
            else:
                self.modification.fire(reinvite.Input.RESPONSE_GONE, now)
        elif method == "BYE":
            self.fire(Input.BYE_DONE, now)
        elif method == "INFO":
            self._on_info_response(408, now)
        elif method == "NOTIFY":
            self.agent.emit(TalkAnswered(self.id, 408))

    def on_transport_error(self, transaction: Transaction, now: float) -> None:
        """The request could not be sent."""
        method = transaction.request.method
        if method == "INVITE" and transaction is self.transaction:
            self.fire(Input.TRANSPORT_ERROR, now)
        elif self.agent.may_come_back(self.account):
            if transaction.flow.is_reliable and method in {"BYE", "INVITE"} and not self.owes_bye:
                self._await_phone(method, now)
            else:
                self.on_timeout(transaction, now)
        elif not self._goes_another_way(transaction, now):
            self.on_timeout(transaction, now)  # §8.1.3.1: inside the dialog, no transport and no answer come to the same

    def _goes_another_way(self, transaction: Transaction, now: float) -> bool:
        """The connection failed a request in the dialog: where the dialog says it is tried once more, before it has failed.

        §12.2.1.1 and §18.1.1 send it there in any case: that it goes over a connection known already is RFC 5923's shortcut.
        """
        request, dialog = transaction.request, self.dialog
        number = request.cseq.number
        if number in self.second_tries:
            self.second_tries.discard(number)
            return False
        if dialog is None or not transaction.flow.is_reliable or (request.to_tag or "") != dialog.remote_tag:
            return False
        if dialog.send_flow.way == transaction.flow.way:
            dialog.leave_connection()
        changes = self._modification
        if changes is not None and transaction is changes.transaction:
            changes.send_again(now, None)
            self.second_tries.add(changes.sequence_number)
        elif request.method in {"BYE", "INFO"}:
            self.second_tries.add(self._send_within(request.method, now, request).request.cseq.number)
        else:
            return False
        self.agent.count("requests_sent_anew")
        return True

    def lose_connection(self, gone: Flow) -> None:
        """A connection of its dialogs is closed. A phone comes back by registering; any other peer is reached where its dialog says."""
        if self.agent.may_come_back(self.account):
            return
        dialog = self.dialog
        for one in {dialog, *self.forks.values()} - {None}:
            assert one is not None
            if one.lose_connection(gone) and one is dialog:
                self._repeat_acks_over(one.send_flow)

    def _repeat_acks_over(self, flow: Flow) -> None:
        if self.ack is not None:  # the ACK is repeated where the 2xx now comes from
            self.ack = (flow, self.ack[1])
        if self._modification is not None and self._modification.ack is not None:
            self._modification.ack = (flow, self._modification.ack[1])

    def _await_phone(self, method: str, now: float) -> None:
        """Its connection is lost, and the phone may register over another: §8.1.3.1 has 503 for that, which ends no dialog (§12.2.1.2)."""
        if method == "BYE":
            self.owes_bye = True
            self.start(Timer.COMES_BACK, now + self.agent.values.give_up)
            return
        if self.modification.is_refresh:
            self.start(Timer.SESSION_REFRESH, now + REFRESH_AGAIN_S)
        self.modification.fire(reinvite.Input.RESPONSE_300_699, now, 503)

    def move(self, before: Flow, after: Flow, now: float) -> bool:
        """The far end is reached over another flow now. Returns: whether that concerned this session."""
        has_moved = False
        for one in [one for one in (self.dialog, *self.forks.values()) if one is not None]:
            self.agent.leave_dialog(one)
            has_moved = one.move(before, after) or has_moved
            self.agent.enter_dialog(one, self)
        if not has_moved:
            return False
        self._repeat_acks_over(after)
        if self.owes_bye:
            self.stop(Timer.COMES_BACK)
            self._send_within("BYE", now)
        return True

    def heard_over(self, flow: Flow, now: float) -> bool:
        """A request within the dialog came over this flow: over another connection than before, that is where the far end is now.

        Returns: whether that is new.
        """
        dialog = self.dialog
        if dialog is None or not flow.is_reliable or flow.way == dialog.send_flow.way:
            return False
        return (dialog.send_flow.is_reliable or dialog.has_lost_connection) and self.move(dialog.send_flow, flow, now)

    def on_server_timeout(self, _transaction: Transaction, _now: float) -> None:
        """No ACK for our refusal: the session is over already."""

    def on_server_transport_error(self, transaction: Transaction, now: float) -> None:
        """Our response to the INVITE could not be sent."""
        if transaction is self.uas:
            self.fire(Input.TRANSPORT_ERROR, now)

    def _on_invite_response(self, transaction: Transaction, response: Response, now: float) -> None:
        status = response.status
        if transaction is not self.transaction:
            if self._modification is not None and transaction is self._modification.transaction:
                if status in {401, 407} and self._can_answer(response):
                    self.modification.send_again(now, None)
                else:
                    self.modification.on_response(response, now)
            return
        self.stop(PATIENCE)  # a sign of life
        if status < 200:
            self.fire(RESPONSE_1XX, now, response)
        elif status < 300:
            tag = response.to_tag or ""
            if self.dialog is None:
                self.fire(RESPONSE_2XX, now, response)
            else:
                self.fire(Input.REPEATED_2XX if tag == self.dialog.remote_tag else Input.FORKED_2XX, now, response)
        elif status in {401, 407} and self._can_answer(response):
            self.fire(Input.CHALLENGE, now, response)
        elif status == 422 and self.agent.session_timer is not None and not self.is_interval_raised:
            self.fire(Input.TOO_BRIEF, now, response)
        elif status == 491 and self.pending_rounds < MAX_PENDING_ROUNDS and self.state in {State.CALLING, State.PROCEEDING}:
            self.pending_rounds += 1
            self.fire(Input.PENDING, now, response)
        else:
            self.final_status = status
            self.fire(Input.RESPONSE_300_699, now, response)

    def _can_answer(self, response: Response) -> bool:
        if self.digest is None or self.challenge_rounds >= MAX_CHALLENGE_ROUNDS:
            return False
        self.challenge_rounds += 1
        return self.digest.learn(response)

    def _on_info_response(self, status: int, now: float) -> None:
        if self.state is State.ESTABLISHED:
            self.agent.emit(InfoAnswered(self.id, status))
            if status == 481:  # §12.2.1.2
                self.fire(Input.LOST, now)

    # --- UAC actions

    def note_progress(self, _now: float, response: Response) -> None:
        tag = response.to_tag
        if response.status == 100 or tag is None:
            return
        if tag not in self.forks:
            self.forks[tag] = early = uac_dialog(self.invite, response, self.flow)
            self.agent.enter_dialog(early, self)
        sdp = response.sdp
        if sdp is not None and (tag in self.early_answers or len(self.early_answers) < MOST_EARLY_ANSWERS):
            self.early_answers.pop(tag, None)
            self.early_answers[tag] = sdp
        self.agent.emit(SessionProgress(self.id, response.status, sdp, response, tag, self.agent.answered_from))

    def confirm(self, now: float, response: Response) -> None:
        # §13.2.2.4: an early dialog's state is transformed, its route set "MUST be recomputed based on the 2xx"; others are done with.
        early = self.forks.pop(response.to_tag or "", None)
        self._leave_forks()
        if early is None:
            self.dialog = uac_dialog(self.invite, response, self.flow)
            self.agent.enter_dialog(self.dialog, self)
        else:
            early.confirm(response)
            self.dialog = early
        if self.digest is not None:
            self.digest.heard(response)
        self.renew(session_timer.agree_as_uac(response), now)
        self.final_status = response.status

    def send_ack(self, _now: float, response: Response) -> None:
        if self.delayed_offer and self.state is ESTABLISHED and response.has_sdp:
            return  # the application owes an answer to the offer in the 2xx: `acknowledge`
        self.ack = self.build_ack(self.sequence_number, None)
        self.agent.send(*self.ack)

    def resend_ack(self, _now: float, _response: Response) -> None:
        if self.ack is not None:
            self.agent.send(*self.ack)

    def acknowledge(self, sdp: bytes) -> None:
        """Send the ACK that carries the answer to an offer we got in the 2xx."""
        if self.delayed_offer and self.ack is None and self.state is State.ESTABLISHED:
            self.local_sdp = sdp
            self.ack = self.build_ack(self.sequence_number, sdp)
            self.agent.send(*self.ack)
        else:
            self.agent.count("session.acknowledge.unexpected")

    def hang_up_fork(self, now: float, response: Response) -> None:
        # §13.2.2.4: "an ACK for each 2xx"; the callees that came later are thanked and let go.
        fork = uac_dialog(self.invite, response, self.flow)
        ack = fork.request("ACK", self.agent.via(fork.send_flow), self._ack_headers(), sequence_number=self.sequence_number)
        self.agent.send(fork.send_flow, ack.to_bytes())
        if fork.remote_tag not in self.forks:
            self.forks[fork.remote_tag] = fork
            reason = ("Reason", self.agent.forked_reason)
            bye = fork.request("BYE", self.agent.via(fork.send_flow), [*self.agent.plain_headers, reason])
            self.agent.request(bye, fork.send_flow, NOBODY, now)
            self.report_answered_late(now, response)

    def retry_with_credentials(self, now: float, _response: Response) -> None:
        self._call_again(self.invite.headers.copy(), now)

    def retry_with_longer_interval(self, now: float, response: Response) -> None:
        # RFC 4028 §7.3: "the UAC MAY retry the request", with the Min-SE of the 422.
        assert self.agent.session_timer is not None
        self.is_interval_raised = True
        headers = self.invite.headers.copy()
        self.min_se_s = session_timer.min_se(response)
        for name, value in session_timer.headers_of_request(self.agent.session_timer, None, self.min_se_s):
            headers.set(name, value)
        self._call_again(headers, now)

    def wait_for_retry(self, now: float, _response: Response) -> None:
        # A 491 belongs to re-INVITEs, but back-to-back user agents pass it on from their other side. §14.1, of the owner of the Call-ID,
        # which we are: "a randomly chosen value between 2.1 and 4 seconds in units of 10 ms".
        self._leave_forks()
        self.start(Timer.INVITE_RETRY, now + round(2.1 + 1.9 * self.agent.random_share(), 2))

    def stop_retry_timer(self, _now: float, _argument: Any) -> None:
        self.stop(Timer.INVITE_RETRY)

    def retry(self, now: float, _argument: None) -> None:
        self._call_again(self.invite.headers.copy(), now)

    def _call_again(self, headers: Headers, now: float) -> None:
        """The same INVITE in a new transaction (§8.1.3.5): new branch, next CSeq, credentials where we have been asked for some."""
        self._leave_forks()
        self.early_answers.clear()
        self.sequence_number += 1
        headers.set("CSeq", f"{self.sequence_number} INVITE")
        headers.replace_first("Via", self.agent.via(self.flow))
        if self.digest is not None:
            headers.remove("Authorization")
            headers.remove("Proxy-Authorization")
            for name, value in self.digest.headers("INVITE", self.invite.uri, self.agent.new_token(), self.invite.body):
                headers.add(name, value)
        self.invite = self.invite.with_headers(headers)
        self.call(now)

    def send_cancel(self, now: float, _argument: Any) -> None:
        # §9.1: Request-URI, Call-ID, To, From, CSeq number and top Via of the INVITE, "MUST have [its] Route header field values".
        invite = self.invite
        fields = [
            ("Via", str(invite.top_via)),
            ("Max-Forwards", str(MAX_FORWARDS)),
            ("From", invite.headers.get("From") or ""),
            ("To", invite.headers.get("To") or ""),
            ("Call-ID", invite.call_id),
            ("CSeq", f"{self.sequence_number} CANCEL"),
            *(("Route", route) for route in invite.headers.get_all("Route")),
        ]
        if self.bye_reason:
            fields.append(("Reason", self.bye_reason))
        self.agent.request(Request.build("CANCEL", invite.uri, fields), self.flow, self, now)
        self.start(Timer.CANCELLED, now + self.agent.values.give_up)

    def stop_resending(self, _now: float, _argument: None) -> None:
        # The transaction goes on listening until timer B, so that a late answer finds somebody who takes the call back.
        if self.transaction is not None:
            self.transaction.stop(Timer.A)

    def abandon_invite(self, now: float, _argument: None) -> None:
        if self.transaction is not None:
            self.transaction.fire(InviteClientInput.ABANDON, now)

    # --- UAS actions

    def response(
        self, request: Request, status: int, *, reason: str | None = None, sdp: bytes | None = None, headers: Fields = ()
    ) -> Response:
        """A response inside this session: our tag, and Contact and Record-Route where a dialog stands on them (§12.1.1)."""
        fields = list(headers)
        if 100 < status < 300 and request.method == "INVITE":
            fields.append(("Contact", self.agent.contact(self.flow)))
            fields += [("Record-Route", value) for value in request.headers.get_all("Record-Route")]
            fields += self.agent.invite_headers
        else:
            fields += self.agent.plain_headers
        return request.response(
            status, reason, to_tag=self.local_tag or None, headers=fields, body=sdp or b"", content_type=SDP_TYPE if sdp else None
        )

    def acceptance(self, request: Request, sdp: bytes, now: float, headers: Fields = ()) -> Response:
        """The 200 to an INVITE or re-INVITE, with what it agrees to about refreshing."""
        self.local_sdp = sdp
        if request.has_sdp:
            self.remote_sdp = request.sdp
        policy = self.agent.session_timer
        if policy is None:
            return self.response(request, 200, sdp=sdp, headers=headers)
        agreement = session_timer.agree_as_uas(request, policy)
        self.renew(agreement, now)
        return self.response(request, 200, sdp=sdp, headers=[*headers, *session_timer.headers_of_2xx(agreement, request)])

    def send_provisional(self, now: float, argument: tuple[int, bytes | None, Fields]) -> None:
        assert self.uas is not None
        status, sdp, headers = argument
        self.uas.respond(self.response(self.invite, status, sdp=sdp, headers=headers), now)

    def send_2xx(self, now: float, argument: tuple[bytes, Fields]) -> None:
        assert self.uas is not None
        assert self.dialog is not None
        sdp, headers = argument
        self.ok = self.acceptance(self.invite, sdp, now, headers)
        self.dialog.fire(FINAL_2XX)
        self.final_status = 200
        self.uas.respond(self.ok, now)
        # §13.3.1.4: "an interval that starts at T1 seconds and doubles for each retransmission until it reaches T2 [...] irrespective of
        # whatever underlying transport protocols".
        self.interval = self.agent.values.t1
        self.start(RESEND_2XX, now + self.interval)
        self.start(ACK, now + self.agent.values.give_up)

    def resend_2xx(self, now: float, _argument: None) -> None:
        assert self.uas is not None
        assert self.ok is not None
        self.uas.respond(self.ok, now)
        self.interval = min(2 * self.interval, self.agent.values.t2)
        self.start(Timer.RESEND_2XX, now + self.interval)

    def stop_2xx_timers(self, _now: float, _argument: Any) -> None:
        self.stop(RESEND_2XX)
        self.stop(ACK)
        self.ok = None

    def send_refusal(self, now: float, argument: tuple[int, str | None, Fields]) -> None:
        status, reason, headers = argument
        self._refuse(status, now, reason, headers)

    def send_480(self, now: float, _argument: Any) -> None:
        self._refuse(480, now)

    def send_487(self, now: float, _argument: Any) -> None:
        self._refuse(487, now)

    def _refuse(self, status: int, now: float, reason: str | None = None, headers: Fields = ()) -> None:
        assert self.uas is not None
        self.final_status = status
        fields = list(headers)
        if self.bye_reason:
            fields.append(("Reason", self.bye_reason))
        self.uas.respond(self.response(self.invite, status, reason=reason, headers=fields), now)

    # --- actions of both

    def send_bye(self, now: float, _argument: Any) -> None:
        self._send_within("BYE", now)

    def say_timed_out(self, _now: float, _argument: Any) -> None:
        # Nobody asked for this end: the BYE or CANCEL says itself why it comes (RFC 3326 §2).
        self.bye_reason = self.agent.timed_out_reason

    def answer_bye(self, now: float, bye: ServerTransaction) -> None:
        bye.respond(self.response(bye.request, 200), now)

    def close_reinvite(self, now: float, _argument: Any) -> None:
        self.stop(SESSION_REFRESH)
        self.stop(SESSION_EXPIRES)
        self.is_over = True
        if self._modification is not None:
            self._modification.fire(reinvite.Input.SESSION_ENDED, now)

    def release(self, now: float, _argument: Any) -> None:
        self.agent.timers.stop_all(self)
        self._leave_forks()
        if self.dialog is not None:
            self.dialog.fire(dialogs.Input.BYE)
            self.agent.leave_dialog(self.dialog)
        self.agent.release(self, now)
        # For 32 s more its transactions know it, which may have to be told of a late 2xx: that takes none of these.
        self.ok = self.provisional = self.local_sdp = self.remote_sdp = None

    def _leave_forks(self) -> None:
        for fork in self.forks.values():
            self.agent.leave_dialog(fork)
        self.forks.clear()

    # --- reports

    def report_accepted(self, _now: float, response: Response) -> None:
        self.remote_sdp = self._answer_in(response)
        self.agent.emit(SessionAccepted(self.id, self.remote_sdp, response, self.agent.answered_from))

    def _answer_in(self, response: Response) -> bytes | None:
        """The answer to our offer: that of the 2xx, else the one that came before it.

        §13.2.1: the answer of the 2xx "MAY also be placed in any provisional responses sent prior to the answer", and a 2xx behind one
        need not repeat it. Deviation: of two that differ the later holds, though the first should: a gateway that played its announcement
        from elsewhere means where the callee is now. Deviation: a 2xx without one under a new tag takes what was heard last: there are
        back-to-back user agents that answer under another tag than they rang.
        """
        early = self.early_answers
        found = response.sdp
        if found is None and early and not self.delayed_offer:
            found = early.get(response.to_tag or "") or next(reversed(early.values()))
        early.clear()
        return found

    def report_confirmed(self, _now: float, ack: Request) -> None:
        if ack.has_sdp:
            self.remote_sdp = ack.sdp
        self.agent.emit(SessionConfirmed(self.id, ack.sdp))

    def report_refused(self, _now: float, response: Response) -> None:
        contacts = tuple(contact.uri for contact in response.contacts) if 300 <= response.status < 400 else ()
        self.agent.emit(SessionFailed(self.id, response.status, response.reason, response, contacts))

    def report_unanswered(self, _now: float, _argument: None) -> None:
        self.agent.emit(SessionFailed(self.id, 408, reason_phrase(408), None, ()))

    def report_unreachable(self, _now: float, _argument: None) -> None:
        # §8.1.3.1: "a fatal transport error [...] the condition MUST be treated as a 503".
        self.agent.emit(SessionFailed(self.id, 503, reason_phrase(503), None, ()))

    def report_ended_here(self, _now: float, _argument: Any) -> None:
        self.agent.emit(SessionEnded(self.id, "local", self.final_status, None))

    def report_answered_late(self, _now: float, _response: Response) -> None:
        self.agent.emit(AnsweredLate(self.id))

    def report_ended_there(self, _now: float, by: ServerTransaction) -> None:
        self.agent.emit(SessionEnded(self.id, "remote", self.final_status, ", ".join(by.request.headers.get_all("Reason")) or None))

    def report_ended_by_timeout(self, _now: float, _argument: Any) -> None:
        self.agent.emit(SessionEnded(self.id, "timeout", self.final_status, None))

    def report_ended_by_transport(self, _now: float, _argument: Any) -> None:
        self.agent.emit(SessionEnded(self.id, "transport", self.final_status, None))

    # --- requests within the dialog

    @property
    def dialog_now(self) -> Dialog:
        """The dialog; only asked for where there is one."""
        assert self.dialog is not None
        return self.dialog

    def build_ack(self, sequence_number: int, sdp: bytes | None) -> tuple[Flow, bytes]:
        """The ACK for a 2xx: a request of its own in the dialog, outside all transactions (§13.2.2.4)."""
        dialog = self.dialog_now
        ack = dialog.request(
            "ACK",
            self.agent.via(dialog.send_flow),
            self._ack_headers(),
            sdp or b"",
            SDP_TYPE if sdp else None,
            sequence_number=sequence_number,
        )
        return dialog.send_flow, ack.to_bytes()

    def _ack_headers(self) -> Fields:
        # §13.2.2.4: "If the 2xx [...] MUST contain the same credentials as the INVITE".
        return (
            [(name, value) for name in ("Authorization", "Proxy-Authorization") for value in self.invite.headers.get_all(name)]
            if self.digest is not None
            else ()
        )

    def send_reinvite(self, offer: bytes | None, now: float) -> Transaction:
        """Send a re-INVITE with this offer."""
        return self._send_within("INVITE", now, body=offer or b"", content_type=SDP_TYPE if offer else None)

    def send_info(self, content_type: str, body: bytes, now: float) -> None:
        """Send an INFO (RFC 6086 §3, the legacy usage without a package)."""
        if self.state is State.ESTABLISHED:
            self._send_within("INFO", now, body=body, content_type=content_type)
        else:
            self.agent.count("session.info.unexpected")

    def send_talk(self, now: float) -> None:
        """Ask a phone that rings to take the call: NOTIFY with Event: talk in its early dialog.

        Deviation: RFC 6665 §3.2 wants a subscription first; desk phones (Polycom, Snom, Yealink, Grandstream) take this one without.
        """
        if self.state is not State.PROCEEDING or not self.forks:
            self.agent.count("session.talk.unexpected")
            self.agent.emit(TalkAnswered(self.id, None))
            return
        for early in self.forks.values():
            headers = [
                ("Contact", self.agent.contact(early.send_flow)),
                ("Event", "talk"),
                ("Subscription-State", "active"),
                *self.agent.plain_headers,
            ]
            notify = early.request("NOTIFY", self.agent.via(early.send_flow), headers, b"", None)
            self.agent.request(notify, early.send_flow, self, now)

    def _send_within(
        self, method: str, now: float, again: Request | None = None, *, body: bytes = b"", content_type: str | None = None
    ) -> Transaction:
        dialog = self.dialog_now
        headers = [*self.agent.plain_headers]
        if again is not None:  # the same once more, now with credentials
            body, content_type = again.body, again.headers.get("Content-Type")
        if method == "INVITE":
            headers = [("Contact", self.agent.contact(dialog.send_flow)), *self.agent.invite_headers]
            if self.agent.session_timer is not None and self.agreement is not None:
                headers += session_timer.headers_of_request(self.agent.session_timer, self.agreement, self.min_se_s)
        if method == "BYE" and self.bye_reason:
            headers.append(("Reason", self.bye_reason))
        if self.digest is not None:
            headers += self.digest.headers(method, dialog.remote_target, self.agent.new_token(), body)
        request = dialog.request(method, self.agent.via(dialog.send_flow), headers, body, content_type)
        return self.agent.request(request, dialog.send_flow, self, now)

    # --- session timer, RFC 4028

    def renew(self, agreement: session_timer.Agreement | None, now: float) -> None:
        """A 2xx to an INVITE or re-INVITE was sent or received: the interval begins anew, under what it says."""
        self.stop(SESSION_REFRESH)
        self.stop(SESSION_EXPIRES)
        if self.agent.session_timer is None:
            return
        self.refusals = self.raises = 0
        self.agreement = agreement
        if agreement is not None:
            self.start(Timer.SESSION_EXPIRES, now + agreement.expire_after_s)
            if agreement.we_refresh:
                self.start(Timer.SESSION_REFRESH, now + agreement.refresh_after_s)

    def refresh(self, now: float) -> None:
        """Half of the interval has gone: offer again what is in force; the application hears of it only if the answer differs."""
        if self.modification.state is reinvite.State.IDLE and self.local_sdp is not None:
            self.modification.is_refresh = True
            self.modification.fire(reinvite.Input.SEND, now, self.local_sdp)
        else:
            self.refresh_later(now)

    def refresh_later(self, now: float) -> None:
        """Something is in the way of the refresh: if that does not refresh as well, it is for another time."""
        if self.agreement is not None and self.agreement.we_refresh:
            self.start(SESSION_REFRESH, now + REFRESH_AGAIN_S)

    def raise_interval(self, response: Response) -> bool:
        """A 422 to a re-INVITE: §7.4 has it sent again with the Min-SE that it names. Returns: whether that is to be done."""
        agreement, wanted = self.agreement, session_timer.min_se(response)
        if self.agent.session_timer is None or agreement is None or wanted <= agreement.interval_s or self.raises >= MAX_RAISES:
            return False
        self.raises += 1
        self.min_se_s = max(wanted, self.min_se_s or 0)
        self.agreement = session_timer.Agreement(wanted, agreement.we_refresh)
        return True

    def note_refusal(self, response: Response | None, now: float, *, asks_again: bool) -> None:
        """A re-INVITE of ours was refused: the peer is there, and the session as it was (RFC 3261 §14.1).

        Args:
            response: None: it could not be sent, which says nothing of the peer.
            asks_again: it was a refresh that is over with this.
        """
        if response is None:
            self.refusals = 0
            return
        self.refusals += 1
        if asks_again and self.agreement is not None and self.agreement.we_refresh and SESSION_REFRESH not in self.timers:
            expires = self.timers.get(SESSION_EXPIRES)
            left_s = max(0.0, expires[0] - now) if expires is not None else 0.0
            asked = response.retry_after
            wait_s = session_timer.ask_again_after_s(self.refusals, left_s, None if asked is None else asked.seconds)
            self.start(SESSION_REFRESH, now + wait_s)
            self.agent.count("session_refreshes_refused")

    def expire(self, now: float) -> None:
        """The interval is over without a refresh. §10 ends the session, since the peer may be gone; one that refuses is not, and is asked
        on for another interval.
        """
        agreement = self.agreement
        if not self.refusals or agreement is None or not agreement.we_refresh:
            self.fire(Input.LOST, now)
            return
        self.agent.count("sessions_kept_unrefreshed")
        self.start(SESSION_EXPIRES, now + agreement.expire_after_s)
        if SESSION_REFRESH not in self.timers and self.modification.state is reinvite.State.IDLE:
            self.refresh(now)

    def ask_whether_there(self, now: float) -> None:
        """The same at any time, for an answer: a peer that gives none, or knows of no dialog, has lost it (RFC 3261 §14.1, RFC 5057 §5.1).

        Nothing is sent while a change of the session is under way, which asks as much.
        """
        if self.state is State.ESTABLISHED and self.modification.state is reinvite.State.IDLE and self.local_sdp is not None:
            self.refresh(now)

    def receive_ack(self, ack: Request, now: float) -> None:
        """An ACK in our dialog: for the first 2xx or for that of a re-INVITE."""
        uas = None if self._modification is None else self._modification.uas
        number = ack.cseq.number
        if uas is not None and uas.request.cseq.number == number:
            self.modification.fire(reinvite.Input.ACK, now, ack)
        elif not self.is_caller and number == self.sequence_number:
            self.fire(ACK_RECEIVED, now, ack)
        else:
            self.agent.count("session.ack.unmatched")

    def give_up(self, now: float) -> None:
        """The dialog turned out to be dead (§12.2.1.2: "the UAC SHOULD terminate the dialog")."""
        self.fire(Input.LOST, now)

    def describe(self, now: float) -> dict[str, Any]:
        """State and seconds left."""
        return {
            "session": self.id,
            "role": "uac" if self.is_caller else "uas",
            "state": self.state.value,
            "reinvite": self.modification.state.value,
            "call_id": self.invite.call_id,
            "dialog": None if self.dialog is None else self.dialog.state.value,
            "remote_target": None if self.dialog is None else self.dialog.remote_target.host_port,  # its user may be a withheld number
            "early_dialogs": len(self.forks),
            "flow": str(self.flow if self.dialog is None else self.dialog.send_flow),
            "timers": self.agent.timers.running(self, now),
        }


EDGES = bind(TRANSITIONS, Session)
