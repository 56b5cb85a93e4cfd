"""A REFER of a phone on its way to the core, and what the core says to it on its way back (RFC 3515): whose it is, where to, at what cost.

Whatever is refused leaves the call as it is: the phone keeps its party.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from acd.core import effects as ef
from acd.core import inputs as inp
from acd.core.ids import AgentId, TenantId
from acd.core.inputs import Input
from acd.errors import DialRefused, NoSuchNumber, PriceRefused
from acd.switch.causes import telling
from acd.switch.dialled import WHY_REFUSED, Dialling
from acd.switch.legs import SwitchLeg
from acd.switch.sip_port import SipPort
from sip.events import ReferReceived

MayTransfer = Callable[[TenantId, AgentId, str], None]
"""Looks at the price, the budget and the classes of a transfer to a number; raises NoSuchNumber, PriceRefused, DialRefused."""


ACCEPTED: Final = (202, "")
"""RFC 3515 §2.4.2."""
REFUSALS: Final = {
    "not_an_agent": (403, "Only an agent's phone may transfer a call."),
    "under_way": (491, "Another transfer of this call is under way."),
    "nobody_there": (403, "There is nobody on the line to be transferred."),
    "conference": (403, "Several are on the line: they go on when you hang up."),
}
PROGRESS: Final = {"ringing": 180, "taken": 200}
"""What a phone is told in message/sipfrag; that its target cannot be had is told by the cause."""


class _Refused(Exception):
    """The text says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Referrals:
    """See the module.

    Args:
        report: hands a fact to the tenant's exchange.
        dialling: reads addresses as where they are dialled.
        may_transfer: as for the desk's transfer.
        counters: the switch's.
    """

    def __init__(
        self, report: Callable[[TenantId, Input], None], dialling: Dialling, may_transfer: MayTransfer, counters: Counter[str]
    ) -> None:
        self._dialling = dialling
        self._report = report
        self._may_transfer = may_transfer
        self._counters = counters

    def received(self, sip: SipPort, leg: SwitchLeg | None, event: ReferReceived) -> None:
        """Ask the core, or refuse at once."""
        try:
            tenant, fact = self._asked(leg, event)
        except _Refused as refused:
            self._counters["transfers_by_phone_refused"] += 1
            sip.answer_refer(event.session, refused.status, reason=str(refused))
            return
        self._report(tenant, fact)

    def _asked(self, leg: SwitchLeg | None, event: ReferReceived) -> tuple[TenantId, inp.LegReferred]:
        """What the core is told.

        Raises: _Refused: nothing.
        """
        if leg is None or leg.is_gone:
            raise _Refused(481, "The call is over.")
        if leg.agent is None or leg.trunk is not None:  # a carrier, or a PBX of the tenant's own, sends nobody anywhere on our account
            raise _Refused(403, "Only an agent's phone may transfer a call.")
        meant = self._dialling.meant(leg.tenant, event.target)
        if not meant.number:
            raise _Refused(404, "The address names no number.")
        if meant.unknown is not None:
            raise _Refused(*WHY_REFUSED[meant.unknown])
        if meant.colleague is None:
            self._check_price(leg.tenant, leg.agent, meant.number)
        return leg.tenant, inp.LegReferred(leg=leg.leg, number=meant.number, colleague=meant.colleague)

    def _check_price(self, tenant: TenantId, agent: AgentId, number: str) -> None:
        try:
            self._may_transfer(tenant, agent, number)
        except NoSuchNumber as error:
            raise _Refused(404, str(error)) from error
        except PriceRefused as error:
            raise _Refused(403, str(error)) from error
        except DialRefused as error:
            raise _Refused(telling(error.cause).status, str(error)) from error

    def answer(self, sip: SipPort, leg: SwitchLeg, effect: ef.AnswerReferrer) -> None:
        """What the core says to it."""
        self._counters["transfers_by_phone" if effect.refused is None else "transfers_by_phone_refused"] += 1
        status, reason = ACCEPTED if effect.refused is None else REFUSALS[effect.refused]
        if leg.session is not None:
            sip.answer_refer(leg.session, status, reason=reason)

    def notify(self, sip: SipPort, leg: SwitchLeg, effect: ef.NotifyReferrer) -> None:
        """How it goes."""
        status = PROGRESS.get(effect.progress) or telling(effect.cause or "error").status
        if leg.session is not None:
            sip.notify_referrer(leg.session, status, final=effect.progress != "ringing")
