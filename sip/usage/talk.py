"""The event package `talk` of desk phones: a phone is asked to take its call, or to go on with a held one.

No RFC has it. Deviation: RFC 6665 §3.2 wants a subscription first; Polycom, Snom, Yealink and Grandstream send and take it without.
What we send ourselves is `Session.send_talk`, in the early dialogs of a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sip.dialog import Dialog
from sip.events import TalkRequested
from sip.session import Session
from sip.transaction.layer import ServerTransaction
from sip.usage.usage import Usage

if TYPE_CHECKING:
    from sip.user_agent import UserAgent


class TalkUsage(Usage):
    """Remote hands on the handset."""

    def __init__(self, agent: UserAgent) -> None:
        super().__init__(agent)
        self.notified = {"talk": self._asked_to_talk}

    def _asked_to_talk(self, session: Session, _dialog: Dialog, transaction: ServerTransaction, now: float) -> None:
        self.agent.answer(transaction, 200, now)
        self.agent.emit(TalkRequested(session.id))
