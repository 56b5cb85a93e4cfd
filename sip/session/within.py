"""What a session does inside its dialog, whoever called: BYE, INFO, NOTIFY, re-INVITE (RFC 3261 §12.2, §14, §15; RFC 6086), and which way
they go when a connection is lost or a phone has moved (RFC 5923, RFC 5626).
"""

from typing import Any

from sip import dialog as dialogs
from sip import session_timer
from sip.dialog import Dialog
from sip.events import InfoAnswered, SessionEnded, TalkAnswered
from sip.flow import Flow
from sip.message import Request, Response
from sip.session import reinvite
from sip.session.machine import SDP_TYPE, Fields, Input, Machine, State
from sip.timers import Timer
from sip.transaction.base import Transaction
from sip.transaction.invite_client import InviteClient
from sip.transaction.layer import ServerTransaction

# RFC 3261 §22.2: a new challenge to each new attempt must not become an endless conversation (stale nonces and a proxy before the registrar
# need two rounds, the rest is patience).
MAX_CHALLENGE_ROUNDS = 3

# When a re-INVITE is under way as a refresh falls due: that one refreshes too; this is for the case that it does not succeed.
REFRESH_AGAIN_S = 10.0


class Within(Machine):
    """Requests within the dialog."""

    __slots__ = ()

    @property
    def dialog_now(self) -> Dialog:
        """The dialog; only asked for where there is one."""
        assert self.dialog is not None
        return self.dialog

    @property
    def modification(self) -> reinvite.ReInvite:
        """The re-INVITE side, made when first needed: most sessions are never changed."""
        made = self._modification
        if made is None:
            made = self._modification = reinvite.ReInvite(self.whole, reinvite.State.CLOSED if self.is_over else reinvite.State.IDLE)
        return made

    @property
    def their_change(self) -> reinvite.ReInvite | None:
        """A re-INVITE of theirs that waits for our answer, or whose answer waits for its ACK."""
        change = self._modification
        return change if change is not None and change.state in {reinvite.State.RECEIVED, reinvite.State.ANSWERED} else None

    def response(
        self, request: Request, status: int, *, reason: str | None = None, sdp: bytes | None = None, headers: Fields = ()
    ) -> Response:
        """A response inside this session: our tag, and Contact and Record-Route where a dialog stands on them (§12.1.1)."""
        fields = list(headers)
        if 100 < status < 300 and request.method == "INVITE":
            fields.append(("Contact", self.agent.contact(self.flow, is_sips=request.is_sips)))
            fields += [("Record-Route", value) for value in request.headers.get_all("Record-Route")]
            fields += self.agent.invite_headers
        else:
            fields += self.agent.plain_headers
        return request.response(
            status, reason, to_tag=self.local_tag or None, headers=fields, body=sdp or b"", content_type=SDP_TYPE if sdp else None
        )

    def send_bye(self, now: float, _argument: Any) -> None:
        self._send_within("BYE", now)

    def say_timed_out(self, _now: float, _argument: Any) -> None:
        # Nobody asked for this end: the BYE or CANCEL says itself why it comes (RFC 3326 §2).
        self.bye_reason = self.agent.timed_out_reason

    def answer_bye(self, now: float, bye: ServerTransaction) -> None:
        bye.respond(self.response(bye.request, 200), now)

    def close_reinvite(self, now: float, _argument: Any) -> None:
        self.stop(Timer.SESSION_REFRESH)
        self.stop(Timer.SESSION_EXPIRES)
        self.is_over = True
        if self._modification is not None:
            self._modification.fire(reinvite.Input.SESSION_ENDED, now)

    def release(self, now: float, _argument: Any) -> None:
        self.agent.timers.stop_all(self)
        self._leave_forks()
        if self.dialog is not None:
            self.dialog.fire(dialogs.Input.BYE)
            self.agent.leave_dialog(self.dialog)
        self.agent.release(self.whole, now)
        # For 32 s more its transactions know it, which may have to be told of a late 2xx: that takes none of these.
        self.ok = self.local_sdp = self.remote_sdp = None

    def _leave_forks(self) -> None:
        for fork in self.forks.values():
            self.agent.leave_dialog(fork)
        self.forks.clear()

    def send_reinvite(self, offer: bytes | None, now: float) -> Transaction:
        """Send a re-INVITE with this offer."""
        return self._send_within("INVITE", now, body=offer or b"", content_type=SDP_TYPE if offer else None)

    def send_info(self, content_type: str, body: bytes, now: float) -> None:
        """Send an INFO (RFC 6086 §3, the legacy usage without a package)."""
        if self.state is State.ESTABLISHED:
            self._send_within("INFO", now, body=body, content_type=content_type)
        else:
            self.agent.count("session.info.unexpected")

    def _on_info_response(self, status: int, now: float) -> None:
        if self.state is State.ESTABLISHED:
            self.agent.emit(InfoAnswered(self.id, status))
            if status == 481:  # §12.2.1.2
                self.fire(Input.LOST, now)

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
                ("Contact", self.agent.contact(early.send_flow, is_sips=early.is_sips)),
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
            headers = [("Contact", self.agent.contact(dialog.send_flow, is_sips=dialog.is_sips)), *self.agent.invite_headers]
            if self.agent.session_timer is not None and self.agreement is not None:
                headers += session_timer.headers_of_request(self.agent.session_timer, self.agreement, self.min_se_s)
        if method == "BYE" and self.bye_reason:
            headers.append(("Reason", self.bye_reason))
        if self.digest is not None:
            headers += self.digest.headers(method, dialog.remote_target, self.agent.new_token(), body)
        request = dialog.request(method, self.agent.via(dialog.send_flow), headers, body, content_type)
        return self.agent.request(request, dialog.send_flow, self, now)

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

    def acknowledge_stray(self, response: Response, now: float) -> bool:
        """A final response to an INVITE of ours in this dialog, whose transaction an earlier run has taken with it.

        §13.3.1.4: unacknowledged, the far end would repeat a 2xx for 32 s and then send BYE. It has changed the session as that run asked,
        which nobody here knows of: what is in force here is offered again, once, and an answer that differs is told as ever.

        Returns: whether it was such a one.
        """
        dialog, number = self.dialog, response.cseq.number
        if dialog is None or dialog.remote_tag != (response.to_tag or "") or number > dialog.local_sequence_number:
            return False
        self.answered_over(self.agent.answered_over, now)
        if self.is_caller and number == self.sequence_number:  # the first one: a session has its ACK, or waits for its application
            if self.ack is None or response.status >= 300:
                return False
            self.agent.send(*self.ack)
            return True
        if response.status >= 300:
            # §17.1.1.3: in the transaction of its INVITE, whose branch stands in the response; the session is as it was (§14.1).
            via = str(response.top_via)
            ack = dialog.request("ACK", via, self._ack_headers(), sequence_number=number)
            self.agent.send(dialog.send_flow, ack.to_bytes())
            return True
        self.agent.send(*self.build_ack(number, None))
        if number != self.stray:
            self.stray = number
            self.whole.ask_whether_there(now)
        return True

    def _ack_headers(self) -> Fields:
        # §13.2.2.4: "If the 2xx [...] MUST contain the same credentials as the INVITE".
        return (
            [(name, value) for name in ("Authorization", "Proxy-Authorization") for value in self.invite.headers.get_all(name)]
            if self.digest is not None
            else ()
        )

    def _can_answer(self, response: Response) -> bool:
        if self.digest is None or self.challenge_rounds >= MAX_CHALLENGE_ROUNDS:
            return False
        self.challenge_rounds += 1
        return self.digest.learn(response)

    def give_up(self, now: float) -> None:
        """The dialog turned out to be dead (§12.2.1.2: "the UAC SHOULD terminate the dialog")."""
        self.fire(Input.LOST, now)

    def receive_ack(self, ack: Request, now: float) -> None:
        """An ACK in our dialog: for the first 2xx or for that of a re-INVITE."""
        uas = None if self._modification is None else self._modification.uas
        number = ack.cseq.number
        if uas is not None and uas.request.cseq.number == number:
            self.modification.fire(reinvite.Input.ACK, now, ack)
        elif not self.is_caller and number == self.sequence_number:
            self.fire(Input.ACK, now, ack)
        else:
            self.agent.count("session.ack.unmatched")

    # --- where they go

    def is_in_plain(self, flow: Flow) -> bool:
        """Whether something came in plain that may only come under encryption."""
        return self.flow.sealed and not flow.is_encrypted

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
            self.agent.enter_dialog(one, self.whole)
        if self.gone is not None and (has_moved or before.way == self.gone.way):
            has_moved = True
            self._leave_gone(after)
        if not has_moved:
            return False
        self.agent.changed(self.id)
        self._repeat_acks_over(after)
        if self.owes_bye:
            self.stop(Timer.COMES_BACK)
            self._send_within("BYE", now)
        return True

    def _leave_gone(self, after: Flow) -> None:
        """After a restart: what was under way over the connection that died goes on over this one."""
        self.gone = None
        self.flow = after.sealed_as(self.flow)
        change = self.their_change
        for one in (self.transaction, self.uas, None if change is None else change.uas):
            if one is not None:
                self.agent.move_transaction(one, after)
        if isinstance(self.transaction, InviteClient):
            self.transaction.say_again()

    def answered_over(self, flow: Flow | None, now: float) -> None:
        """After a restart: a response came over a connection, which is where the far end is now (compare RFC 5923 §8)."""
        gone = self.gone
        if gone is None or flow is None or not flow.is_reliable:
            return
        if flow.leads_as(gone):
            self.gone = None
        else:
            self.move(gone, flow, now)

    def heard_over(self, flow: Flow, now: float) -> bool:
        """A request within the dialog came over this flow: over another connection than before, that is where the far end is now.

        Returns: whether that is new.
        """
        dialog = self.dialog
        if dialog is None or not flow.is_reliable or flow.leads_as(dialog.send_flow):
            return False
        return (dialog.send_flow.is_reliable or dialog.has_lost_connection) and self.move(dialog.send_flow, flow, now)

    # --- how it ended

    def report_ended_here(self, _now: float, _argument: Any) -> None:
        self.agent.emit(SessionEnded(self.id, "local", self.final_status, None))

    def report_ended_there(self, _now: float, by: ServerTransaction) -> None:
        self.agent.emit(SessionEnded(self.id, "remote", self.final_status, ", ".join(by.request.headers.get_all("Reason")) or None))

    def report_ended_by_timeout(self, _now: float, _argument: Any) -> None:
        self.agent.emit(SessionEnded(self.id, "timeout", self.final_status, None))

    def report_ended_by_transport(self, _now: float, _argument: Any) -> None:
        self.agent.emit(SessionEnded(self.id, "transport", self.final_status, None))
