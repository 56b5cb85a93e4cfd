"""Session timers at work: when a session is refreshed, and when given up (RFC 4028 §7.4, §10). The rules are in `sip.session_timer`."""

from sip import session_timer
from sip.message import Response
from sip.session import reinvite
from sip.session.machine import Input, State
from sip.session.within import REFRESH_AGAIN_S, Within
from sip.timers import Timer

# RFC 4028 §7.4: each proxy on the way may want a longer interval than the one before.
MAX_RAISES = 3

SESSION_REFRESH, SESSION_EXPIRES = Timer.SESSION_REFRESH, Timer.SESSION_EXPIRES


class Refresh(Within):
    """The session interval."""

    __slots__ = ()

    def renew(self, agreement: session_timer.Agreement | None, now: float) -> None:
        """A 2xx to an INVITE or re-INVITE was sent or received: the interval begins anew, under what it says."""
        self.stop(SESSION_REFRESH)
        self.stop(SESSION_EXPIRES)
        self.agent.changed(self.id)
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
