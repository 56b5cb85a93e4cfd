"""REFER within a dialog: RFC 3515 (REFER and its implicit subscription), RFC 6665 §4.2 (the notifier), RFC 4488 (Refer-Sub: false).

We carry out blind transfers (RFC 5589 §6) and refuse what we do not do: after a refusal a phone has its call as before. One machine is one
REFER that was received; a pair (state, input) missing from the table is dropped and counted. The subscription outlives no session: with its
end the phone is told how far things had come. Our own BYE waits until the last NOTIFY is answered: a phone that ends its dialog first would
answer 481 and never learn what became of its transfer.
"""

from collections.abc import Sequence
from enum import StrEnum, auto
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sip.dialog import Dialog
from sip.errors import ParseError
from sip.events import ReferAnswered, ReferProgress, ReferReceived
from sip.headers.name_addr import NameAddr
from sip.machine import Edge, bind, to
from sip.message import Request, Response
from sip.session import Input as SessionInput
from sip.session import Session
from sip.session import State as SessionState
from sip.status import reason_phrase
from sip.timers import Timer
from sip.transaction.base import Transaction
from sip.transaction.layer import ServerTransaction
from sip.uri import Uri
from sip.usage.usage import Usage

if TYPE_CHECKING:
    from sip.user_agent import UserAgent

EVENT: Final = "refer"
OPTION_TAG: Final = "norefersub"
SIPFRAG: Final = "message/sipfrag;version=2.0"
EXPIRES_S: Final = 180
"""How long a phone is told how it goes: longer than a target rings, and a forwarding of it after that."""
LAST_NOTIFY_S: Final = 2.0
"""The longest that a BYE of ours waits for the answer to the last NOTIFY (house): two lost packets (0.5 s and 1 s, RFC 3261 §17.1.2.2)."""


class State(StrEnum):
    """Where a REFER stands."""

    ASKED = auto()  # it has come; the application says yes or no
    ACTIVE = auto()  # accepted: its sender is told how it goes
    LAST_TOLD = auto()  # the last NOTIFY is on its way
    LEAVING = auto()  # so it is, and we want to hang up behind it
    TERMINATED = auto()


class Input(StrEnum):
    """What can happen to it."""

    ACCEPT = auto()
    ACCEPT_UNTOLD = auto()  # RFC 4488: its sender does not want to know
    REJECT = auto()
    NOTIFY = auto()
    NOTIFY_LAST = auto()
    LAST_ANSWERED = auto()
    HANG_UP = auto()  # we want to end its session
    SUBSCRIBER_GONE = auto()  # a NOTIFY was refused, or nobody answered it
    TIMER_EXPIRES = auto()
    SESSION_ENDED = auto()


class Do(StrEnum):
    """What it does then; each value names a method."""

    SEND_ACCEPTANCE = auto()
    SEND_UNTOLD_ACCEPTANCE = auto()
    SEND_REFUSAL = auto()
    SEND_481 = auto()
    START_TIMER = auto()
    START_LAST_TIMER = auto()
    STOP_TIMER = auto()
    SEND_NOTIFY = auto()
    SEND_TRYING = auto()
    SEND_LAST_NOTIFY = auto()
    SEND_TIMED_OUT = auto()
    SEND_LEFT = auto()
    HANG_UP = auto()


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.ASKED: {
        # RFC 3515 §2.4.4: a NOTIFY "MUST" follow immediately; it says 100 Trying, since nothing is known yet.
        Input.ACCEPT:          to(State.ACTIVE, Do.SEND_ACCEPTANCE, Do.START_TIMER, Do.SEND_TRYING),
        Input.ACCEPT_UNTOLD:   to(State.TERMINATED, Do.SEND_UNTOLD_ACCEPTANCE),
        Input.REJECT:          to(State.TERMINATED, Do.SEND_REFUSAL),
        Input.SESSION_ENDED:   to(State.TERMINATED, Do.SEND_481),
    },
    State.ACTIVE: {
        Input.NOTIFY:          to(State.ACTIVE, Do.SEND_NOTIFY),
        Input.NOTIFY_LAST:     to(State.LAST_TOLD, Do.STOP_TIMER, Do.SEND_LAST_NOTIFY, Do.START_LAST_TIMER),
        Input.SUBSCRIBER_GONE: to(State.TERMINATED, Do.STOP_TIMER),
        Input.TIMER_EXPIRES:   to(State.LAST_TOLD, Do.SEND_TIMED_OUT, Do.START_LAST_TIMER),
        Input.HANG_UP:         to(State.LEAVING, Do.STOP_TIMER, Do.SEND_LEFT, Do.START_LAST_TIMER),
        Input.SESSION_ENDED:   to(State.TERMINATED, Do.STOP_TIMER, Do.SEND_LEFT),
    },
    State.LAST_TOLD: {
        Input.NOTIFY:          to(State.LAST_TOLD),
        Input.NOTIFY_LAST:     to(State.LAST_TOLD),
        Input.LAST_ANSWERED:   to(State.TERMINATED, Do.STOP_TIMER),
        Input.SUBSCRIBER_GONE: to(State.TERMINATED, Do.STOP_TIMER),
        Input.TIMER_EXPIRES:   to(State.TERMINATED),
        Input.HANG_UP:         to(State.LEAVING),
        Input.SESSION_ENDED:   to(State.TERMINATED, Do.STOP_TIMER),
    },
    State.LEAVING: {
        Input.NOTIFY:          to(State.LEAVING),
        Input.NOTIFY_LAST:     to(State.LEAVING),
        Input.LAST_ANSWERED:   to(State.TERMINATED, Do.STOP_TIMER, Do.HANG_UP),
        Input.SUBSCRIBER_GONE: to(State.TERMINATED, Do.STOP_TIMER, Do.HANG_UP),
        Input.TIMER_EXPIRES:   to(State.TERMINATED, Do.HANG_UP),
        Input.HANG_UP:         to(State.LEAVING),
        Input.SESSION_ENDED:   to(State.TERMINATED, Do.STOP_TIMER),  # the phone's own BYE was first
    },
    State.TERMINATED: {
        Input.NOTIFY:          to(State.TERMINATED),  # nobody wants to know any more
        Input.NOTIFY_LAST:     to(State.TERMINATED),
        Input.LAST_ANSWERED:   to(State.TERMINATED),  # later than we wait
        Input.SUBSCRIBER_GONE: to(State.TERMINATED),  # the answer to a NOTIFY before the last
        Input.SESSION_ENDED:   to(State.TERMINATED),
    },
}
# fmt: on


class Refused(Exception):
    """A REFER that we do not carry out; the call goes on."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Asked(msgspec.Struct, frozen=True):
    """What a REFER asks for."""

    target: Uri
    referred_by: str | None
    """RFC 3892, verbatim; nothing is believed of it."""
    wants_to_know: bool


def read(request: Request) -> Asked:
    """Read a REFER.

    Raises: Refused: another one than a blind transfer. ParseError: a header cannot be read.
    """
    targets = request.refer_to
    if len(targets) != 1:  # RFC 3515 §2.4.2: "MUST contain exactly one Refer-To header field value"
        raise Refused(400, f"A REFER has one Refer-To, not {len(targets)}.")
    target = targets[0].uri
    if not (target.is_sip or target.scheme == "tel"):
        raise Refused(416, f"Nobody can be called at a {target.scheme} URI.")
    if any(name.lower() == "replaces" for name, _ in target.headers):  # RFC 3891, RFC 5589 §7
        raise Refused(501, "An attended transfer cannot be carried out here; the call goes on.")
    if (target.param("method") or "INVITE").upper() != "INVITE":
        raise Refused(501, "Only an INVITE can be sent for somebody.")
    return Asked(target, request.headers.get("Referred-By"), request.refer_sub is not False)


class Noted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is written down of one for after a restart."""

    state: State
    event: str
    told: int


class Referral:
    """One REFER that was received, and the subscription that it makes."""

    __slots__ = ("_agent", "_dialog", "_last", "_wants_to_know", "answer_to", "event", "session", "state", "timers", "told")

    def __init__(
        self,
        agent: "UserAgent",
        session: Session,
        transaction: ServerTransaction | None,
        event: str,
        *,
        wants_to_know: bool = True,
        state: State = State.ASKED,
        told: int = 100,
    ) -> None:
        """Args:
        transaction: that of the REFER; None: it was answered before a restart.
        event: the Event header of its NOTIFYs.
        told: the last status that its sender was told.
        """
        self._agent = agent
        self._dialog = session.dialog_now
        self._wants_to_know = wants_to_know
        self._last: Transaction | None = None
        self.event = event
        self.told = told
        self.session = session
        self.answer_to = transaction
        self.state = state
        self.timers: dict[Timer, list[Any]] = {}

    @property
    def is_pending(self) -> bool:
        """Nothing has become of it yet."""
        return self.state in {State.ASKED, State.ACTIVE}

    @property
    def is_leaving(self) -> bool:
        """Its session is over for us but for the BYE."""
        return self.state is State.LEAVING

    def fire(self, event: Input, now: float, argument: Any = None) -> None:
        """Take one input."""
        edge = EDGES[self.state].get(event)
        if edge is None:
            self._agent.count(f"refer.{self.state.value}.{event.value}")
            return
        self.state = edge[0]
        for act in edge[1]:
            act(self, now, argument)

    # --- what the application says

    def answer(self, status: int, reason: str, now: float) -> None:
        """Accept (below 300) or refuse."""
        if status >= 300:
            self.fire(Input.REJECT, now, (status, reason))
        else:
            self.fire(Input.ACCEPT if self._wants_to_know else Input.ACCEPT_UNTOLD, now)

    def notify(self, status: int, now: float, *, final: bool) -> None:
        """Tell how it goes; what was told already is not told again."""
        if final or status != self.told:
            self.fire(Input.NOTIFY_LAST if final else Input.NOTIFY, now, status)

    def holds_back_bye(self, now: float) -> bool:
        """Whether the session's BYE has to wait for the last NOTIFY to be answered; it follows by itself then."""
        if Input.HANG_UP not in TRANSITIONS[self.state]:
            return False
        self.fire(Input.HANG_UP, now)
        return True

    # --- what the transactions and timers say

    def on_timer(self, _timer: Timer, now: float) -> None:
        self.fire(Input.TIMER_EXPIRES, now)

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """RFC 6665 §4.2.2: a NOTIFY that is refused ends the subscription; RFC 5057 §5.1: the call has no part in that."""
        if response.status >= 300:
            self.fire(Input.SUBSCRIBER_GONE, now)
        elif response.status >= 200 and transaction is self._last:
            self.fire(Input.LAST_ANSWERED, now)

    def on_timeout(self, _transaction: Transaction, now: float) -> None:
        self.fire(Input.SUBSCRIBER_GONE, now)

    def on_transport_error(self, _transaction: Transaction, now: float) -> None:
        self.fire(Input.SUBSCRIBER_GONE, now)

    # --- actions

    def send_acceptance(self, now: float, _argument: None) -> None:
        # Deviation: RFC 6665 §8.3.1 wants 200 of whoever makes a subscription; phones of RFC 3515 know 202 alone, later ones both.
        self._answer(202, now, [("Contact", self._agent.contact(self._dialog.send_flow, is_sips=self._dialog.is_sips))])

    def send_untold_acceptance(self, now: float, _argument: None) -> None:
        # RFC 4488 §4: "MUST" be 2xx with the header that says that there will be no subscription.
        self._answer(
            200, now, [("Contact", self._agent.contact(self._dialog.send_flow, is_sips=self._dialog.is_sips)), ("Refer-Sub", "false")]
        )

    def send_refusal(self, now: float, argument: tuple[int, str]) -> None:
        status, reason = argument
        self._answer(status, now, _warning(self._agent, reason))

    def send_481(self, now: float, _argument: None) -> None:
        self._answer(481, now, [])

    def _answer(self, status: int, now: float, headers: list[tuple[str, str]]) -> None:
        assert self.answer_to is not None
        self.answer_to.respond(self.answer_to.request.response(status, headers=[*headers, *self._agent.plain_headers]), now)

    def start_timer(self, now: float, _argument: None) -> None:
        self._agent.timers.start(self, Timer.SUBSCRIPTION, now + EXPIRES_S)

    def start_last_timer(self, now: float, _argument: Any) -> None:
        self._agent.timers.start(self, Timer.LAST_NOTIFY, now + LAST_NOTIFY_S)

    def hang_up(self, now: float, _argument: Any) -> None:
        self.session.fire(SessionInput.HANG_UP, now)

    def stop_timer(self, _now: float, _argument: Any) -> None:
        self._agent.timers.stop_all(self)

    def send_trying(self, now: float, _argument: None) -> None:
        self._send(100, f"active;expires={EXPIRES_S}", now)

    def send_notify(self, now: float, status: int) -> None:
        self.told = status
        self._send(status, f"active;expires={EXPIRES_S}", now)

    def send_last_notify(self, now: float, status: int) -> None:
        # §4.1.3: the resource (what became of the target) "no longer exists", which is what RFC 3515 §2.4.7 has here.
        self._last = self._send(status, "terminated;reason=noresource", now)

    def send_timed_out(self, now: float, _argument: None) -> None:
        self._last = self._send(self.told, "terminated;reason=timeout", now)

    def send_left(self, now: float, _argument: None) -> None:
        # Its sender has ended, or we end, the call that it was about; what becomes of the target is told to nobody.
        self._last = self._send(self.told, "terminated;reason=noresource", now)

    def _send(self, status: int, state: str, now: float) -> Transaction:
        dialog, agent = self._dialog, self._agent
        headers = [
            ("Contact", agent.contact(dialog.send_flow, is_sips=dialog.is_sips)),
            ("Event", self.event),
            ("Subscription-State", state),
            *agent.plain_headers,
        ]
        body = f"SIP/2.0 {status} {reason_phrase(status)}\r\n".encode()
        notify = dialog.request("NOTIFY", agent.via(dialog.send_flow), headers, body, SIPFRAG)
        return agent.request(notify, dialog.send_flow, self, now)


EDGES = bind(TRANSITIONS, Referral)


def _warning(agent: "UserAgent", reason: str) -> list[tuple[str, str]]:
    return [agent.warning(reason)] if reason else []


class ReferUsage(Usage):
    """Transfers that are asked of us, and those that we ask for."""

    METHODS = ("REFER",)
    PACKAGES = (EVENT,)

    def __init__(self, agent: "UserAgent") -> None:
        super().__init__(agent)
        self.outside = {"REFER": self._asked_by_nobody}
        self.within = {"REFER": self._asked}
        self.notified = {EVENT: self._told}
        self.option_tags = (OPTION_TAG,)
        self.referrals: dict[str, Referral] = {}
        """Session -> the last REFER it has brought."""
        self.referring: set[str] = set()
        """Sessions in which we have sent one."""

    def _asked_by_nobody(self, transaction: ServerTransaction, now: float) -> None:
        # Whom nobody talks to has nobody to transfer; a click-to-dial is the desk's.
        self.agent.answer(transaction, 403, now)

    def _asked(self, session: Session, _dialog: Dialog, transaction: ServerTransaction, now: float) -> None:
        """A REFER in the session's dialog: answered here if it cannot be carried out, else ReferReceived asks the application."""
        agent, known = self.agent, self.referrals.get(session.id)
        try:
            is_over = session.state in {SessionState.ENDING, SessionState.ENDED, SessionState.HANG_UP_PENDING}
            if is_over or (known is not None and known.is_leaving):
                raise Refused(481, "The call is over.")
            if session.state is not SessionState.ESTABLISHED:
                raise Refused(403, "There is nobody on the line to be transferred.")
            if known is not None and known.is_pending:
                raise Refused(491, "Another transfer of this call is under way.")
            asked = read(transaction.request)
        except Refused as refusal:
            agent.count("refer_refused")
            headers = [*_warning(agent, refusal.reason), *agent.plain_headers]
            transaction.respond(transaction.request.response(refusal.status, headers=headers), now)  # the To tag of the dialog is there
            return
        # RFC 3515 §2.4.6: the id, which is the REFER's CSeq, MAY stand in the first one's NOTIFYs and MUST in all later ones'. Phones that
        # know one REFER a call do not know it.
        event = EVENT if known is None else f"{EVENT};id={transaction.request.cseq.number}"
        self.referrals[session.id] = Referral(agent, session, transaction, event, wants_to_know=asked.wants_to_know)
        agent.emit(ReferReceived(session.id, asked.target, asked.referred_by))

    def holds_back_bye(self, session: Session, now: float) -> bool:
        """Whether the BYE has to wait for the last NOTIFY of a REFER to be answered."""
        referral = self.referrals.get(session.id)
        return session.state is SessionState.ESTABLISHED and referral is not None and referral.holds_back_bye(now)

    def session_ended(self, session: Session, now: float) -> None:
        """The subscription outlives no session."""
        self.referring.discard(session.id)
        referral = self.referrals.pop(session.id, None)
        if referral is not None:
            referral.fire(Input.SESSION_ENDED, now)

    def noted(self, session: Session) -> Noted | None:
        """What goes on after a restart: the last REFER that was answered. One that waits for its answer is sent again."""
        found = self.referrals.get(session.id)
        return None if found is None or found.state is State.ASKED else Noted(found.state, found.event, found.told)

    def resume(self, session: Session, noted: Noted, now: float) -> None:
        """After a restart: whoever sent the REFER is told on how it goes; a BYE that waited behind the last NOTIFY is sent."""
        is_told = noted.state is State.ACTIVE
        self.referrals[session.id] = referral = Referral(
            self.agent, session, None, noted.event, state=State.ACTIVE if is_told else State.TERMINATED, told=noted.told
        )
        if is_told:
            referral.start_timer(now, None)
        elif noted.state is State.LEAVING:
            session.fire(SessionInput.HANG_UP, now)

    def wait_no_longer(self, now: float) -> None:
        """A BYE that waits behind its NOTIFY is sent."""
        for referral in [one for one in self.referrals.values() if one.is_leaving]:
            referral.fire(Input.SUBSCRIBER_GONE, now)

    # --- the other side: we ask

    def send(self, session: Session, refer_to: NameAddr | str, now: float, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Ask the peer of an established session to call somebody; ReferAnswered follows, then ReferProgress.

        Args:
            refer_to: as text: put into the header as it is.
        """
        agent, dialog = self.agent, session.dialog_now
        fields = [
            ("Contact", agent.contact(dialog.send_flow, is_sips=dialog.is_sips)),
            ("Refer-To", str(refer_to)),
            *headers,
            *agent.plain_headers,
        ]
        request = dialog.request("REFER", agent.via(dialog.send_flow), fields)
        agent.request(request, dialog.send_flow, _Referring(agent, session.id), now)
        self.referring.add(session.id)

    def _told(self, session: Session, _dialog: Dialog, transaction: ServerTransaction, now: float) -> None:
        """A NOTIFY with Event: refer."""
        request, agent = transaction.request, self.agent
        if session.id not in self.referring:
            transaction.respond(request.response(481, headers=agent.plain_headers), now)
            return
        status = status_of(request.body)
        transaction.respond(request.response(200, headers=agent.plain_headers), now)
        agent.emit(ReferProgress(session.id, status, (request.headers.get("Subscription-State") or "").strip()))


class _Referring:
    """The user of a REFER of ours."""

    def __init__(self, agent: "UserAgent", session: str) -> None:
        self._agent = agent
        self._session = session

    def on_response(self, _transaction: Transaction, response: Response, _now: float) -> None:
        if response.status >= 200:
            self._agent.emit(ReferAnswered(self._session, response.status))

    def on_timeout(self, _transaction: Transaction, _now: float) -> None:
        self._agent.emit(ReferAnswered(self._session, 408))

    def on_transport_error(self, transaction: Transaction, now: float) -> None:
        self.on_timeout(transaction, now)


def status_of(sipfrag: bytes) -> int:
    """The status in the first line of a message/sipfrag (RFC 3420 §2).

    Raises: ParseError: there is none.
    """
    words = sipfrag.split(None, 2)[:2]
    if len(words) != 2 or words[0].upper() != b"SIP/2.0" or len(words[1]) != 3 or not words[1].isdigit():
        raise ParseError(f"no status line: {sipfrag[:40]!r}", where="sipfrag")
    return int(words[1])
