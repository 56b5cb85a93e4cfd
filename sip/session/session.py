"""One session with both sides in it, as transactions and timers see it: what they say becomes an input of the machine."""

from typing import Any

from sip.events import TalkAnswered
from sip.machine import bind
from sip.message import Response
from sip.session import reinvite
from sip.session.callee import Callee
from sip.session.caller import Caller
from sip.session.machine import TRANSITIONS, Input, State
from sip.timers import Timer
from sip.transaction.base import Transaction

# A far end that is busy with another change is done with it in a round trip or two; one that never is must not keep a caller.
MAX_PENDING_ROUNDS = 2

# What every call comes by, looked up once: finding a member in its enumeration costs more than the rest of the line that names it.
RESPONSE_1XX, RESPONSE_2XX, BYE_DONE = Input.RESPONSE_1XX, Input.RESPONSE_2XX, Input.BYE_DONE
PATIENCE = Timer.PATIENCE


class Session(Caller, Callee):
    """One INVITE usage, caller or callee; told by transactions, timers and the application, it answers through its agent."""

    __slots__ = ()

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
        if self.gone is not None:
            self.answered_over(self.agent.answered_over, now)
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


Session.EDGES = bind(TRANSITIONS, Session)
