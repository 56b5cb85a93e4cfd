"""INVITE within a dialog: the peer wants to change the session (RFC 3261 §14.2). The machine of a change is `sip.session.reinvite`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sip.dialog import Dialog
from sip.session import Session, State, reinvite
from sip.transaction.layer import ServerTransaction
from sip.usage.invite import is_unreadable
from sip.usage.usage import Usage

if TYPE_CHECKING:
    from sip.user_agent import UserAgent


class ReInviteUsage(Usage):
    """Changes of a session."""

    METHODS = ("INVITE",)

    def __init__(self, agent: UserAgent) -> None:
        super().__init__(agent)
        self.within = {"INVITE": self._invited_again}

    def _invited_again(self, session: Session, _dialog: Dialog, transaction: ServerTransaction, now: float) -> None:
        if is_unreadable(self.agent, transaction, now):
            return
        if session.state is State.ESTABLISHED:
            session.modification.fire(reinvite.Input.INVITE, now, transaction)
        elif session.state in {State.ENDING, State.ENDED, State.HANG_UP_PENDING}:
            self.agent.answer(transaction, 481, now)
        elif session.is_caller:
            # §14.2: while the first INVITE is not settled: 491 if it was ours, 500 with Retry-After if theirs.
            self.agent.answer(transaction, 491, now)
        else:
            self.agent.answer(transaction, 500, now, [("Retry-After", "1")])
