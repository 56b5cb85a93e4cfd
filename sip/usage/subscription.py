"""NOTIFY within a dialog, handed on by its event package (RFC 6665 §4.1.3, §8.2.1). SUBSCRIBE is not served.

Deviation: Allow does not name NOTIFY. We take it within subscriptions that a REFER of ours has made, and the two that desk phones send
without any; whoever reads Allow would take it for more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sip.dialog import Dialog
from sip.session import Session
from sip.transaction.layer import ServerTransaction
from sip.usage.usage import Usage

if TYPE_CHECKING:
    from sip.user_agent import UserAgent


class SubscriptionUsage(Usage):
    """News of what was subscribed to; whose they are, the usages say by `notified`."""

    def __init__(self, agent: UserAgent) -> None:
        super().__init__(agent)
        self.within = {"NOTIFY": self._notified}

    def _notified(self, session: Session, dialog: Dialog, transaction: ServerTransaction, now: float) -> None:
        event = transaction.request.event
        take = None if event is None else self.agent.usages.notified.get(event.package)
        if take is None:  # §8.3.2: "the server did not understand the event package specified in a 'Event' header field"
            self.agent.answer(transaction, 489, now, self.agent.usages.allow_events)
            return
        take(session, dialog, transaction, now)
