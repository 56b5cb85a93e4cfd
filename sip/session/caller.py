"""The caller's side of a session: INVITE, the same with credentials or a longer interval, forks, ACK, CANCEL (RFC 3261 §13.2, §9.1)."""

from typing import Any

from sip import session_timer
from sip.dialog import uac_dialog
from sip.events import AnsweredLate, SessionAccepted, SessionFailed, SessionProgress
from sip.message import MAX_FORWARDS, Headers, Request, Response
from sip.session.machine import State
from sip.session.refresh import Refresh
from sip.status import reason_phrase
from sip.timers import Timer
from sip.transaction.base import NOBODY
from sip.transaction.invite_client import Input as InviteClientInput

# A forked INVITE has as many early dialogs as phones ring: more descriptions than this are a flood.
MOST_EARLY_ANSWERS = 32

ESTABLISHED = State.ESTABLISHED


class Caller(Refresh):
    """What a UAC does."""

    __slots__ = ()

    def call(self, now: float) -> None:
        """UAC: send the INVITE."""
        self.transaction = self.agent.request(self.invite, self.flow, self, now)
        if self.patience_s is not None:
            self.start(Timer.PATIENCE, now + self.patience_s)

    def note_progress(self, _now: float, response: Response) -> None:
        tag = response.to_tag
        if response.status == 100 or tag is None:
            self.agent.changed(self.id)
            return
        if tag not in self.forks:
            self.forks[tag] = early = uac_dialog(self.invite, response, self.flow)
            self.agent.enter_dialog(early, self.whole)
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
            self.agent.enter_dialog(self.dialog, self.whole)
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
        self.start(Timer.INVITE_RETRY, now + self.pending_wait_s())

    def pending_wait_s(self) -> float:
        """How long a 491 is waited out."""
        return round(2.1 + 1.9 * self.agent.random_share(), 2)

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
        self.agent.changed(self.id)
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

    # --- what came of it

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

    def report_refused(self, _now: float, response: Response) -> None:
        contacts = tuple(contact.uri for contact in response.contacts) if 300 <= response.status < 400 else ()
        self.agent.emit(SessionFailed(self.id, response.status, response.reason, response, contacts))

    def report_unanswered(self, _now: float, _argument: None) -> None:
        self.agent.emit(SessionFailed(self.id, 408, reason_phrase(408), None, ()))

    def report_unreachable(self, _now: float, _argument: None) -> None:
        # §8.1.3.1: "a fatal transport error [...] the condition MUST be treated as a 503".
        self.agent.emit(SessionFailed(self.id, 503, reason_phrase(503), None, ()))

    def report_answered_late(self, _now: float, _response: Response) -> None:
        self.agent.emit(AnsweredLate(self.id))
