"""The callee's side of a session: provisional responses, the 2xx and its repetitions, refusals (RFC 3261 §13.3)."""

from typing import Any

from sip import dialog as dialogs
from sip import session_timer
from sip.dialog import uas_dialog
from sip.events import SessionConfirmed
from sip.message import Request, Response
from sip.session.machine import Fields
from sip.session.refresh import Refresh
from sip.timers import Timer
from sip.transaction.invite_server import InviteServer

# What every call comes by, looked up once: finding a member in its enumeration costs more than the rest of the line that names it.
FINAL_2XX = dialogs.Input.FINAL_2XX
RESEND_2XX, ACK = Timer.RESEND_2XX, Timer.ACK


class Callee(Refresh):
    """What a UAS does."""

    __slots__ = ()

    def be_offered(self, uas: InviteServer, local_tag: str) -> None:
        """UAS: the INVITE has come and waits for the application."""
        self.uas = uas
        self.local_tag = local_tag
        self.dialog = uas_dialog(self.invite, local_tag, self.flow)
        self.agent.enter_dialog(self.dialog, self.whole)

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
        if self.gone is not None and self.agent.may_come_back(self.account):
            return  # its connection died with an earlier run: what cannot be sent would end the call, and the phone has heard one already
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

    def report_confirmed(self, _now: float, ack: Request) -> None:
        if ack.has_sdp:
            self.remote_sdp = ack.sdp
        self.agent.emit(SessionConfirmed(self.id, ack.sdp))
