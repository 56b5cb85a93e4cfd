"""INFO without a package (RFC 6086 §3, the legacy usage): keys, and what else the application takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sip import dtmf_info
from sip.dialog import Dialog
from sip.errors import ParseError
from sip.events import InfoReceived
from sip.session import Session
from sip.transaction.layer import ServerTransaction
from sip.usage.usage import Usage

if TYPE_CHECKING:
    from sip.user_agent import UserAgent


class InfoUsage(Usage):
    """Bodies that belong to a session. What it takes is said by its own 415: an answer to OPTIONS is about INVITE."""

    METHODS = ("INFO",)

    def __init__(self, agent: UserAgent) -> None:
        super().__init__(agent)
        self.within = {"INFO": self._informed}

    def _informed(self, session: Session, _dialog: Dialog, transaction: ServerTransaction, now: float) -> None:
        agent, request = self.agent, transaction.request
        content_type = request.content_type
        essence = "" if content_type is None else content_type.essence
        if request.body and essence not in agent.config.info_types:
            agent.answer(transaction, 415, now, [("Accept", ", ".join(sorted(agent.config.info_types)))])
            return
        pressed: dtmf_info.InfoKey | None = None
        if request.body and essence in dtmf_info.TYPES:
            try:
                pressed = dtmf_info.read(request.body)
            except ParseError as error:
                agent.counters["info_unreadable"] += 1
                agent.answer(transaction, 400, now, [agent.warning(str(error))])
                return
        agent.answer(transaction, 200, now)
        if request.body:
            agent.emit(InfoReceived(session.id, essence, request.body, pressed))
