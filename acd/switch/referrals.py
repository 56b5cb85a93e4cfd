"""A REFER of a phone on its way to the core, and what the core says to it on its way back (RFC 3515): whose it is, where to, at what cost.

Whatever is refused leaves the call as it is: the phone keeps its party.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from acd.core import effects as do
from acd.core import inputs
from acd.core.clearing import refusal
from acd.core.ids import AgentId, TenantId
from acd.core.inputs import Input
from acd.errors import DialRefused, PriceRefused
from acd.numbers import is_private, normalise
from acd.switch.legs import SwitchLeg
from acd.switch.sip_port import SipPort
from sip.events import ReferReceived
from sip.refer import dialled

MayTransfer = Callable[[TenantId, AgentId, str], None]
"""Looks at the price, the budget and the classes of a transfer to a number; raises PriceRefused, DialRefused."""


class Referrals:
    """See the module.

    Args:
        report: hands a fact to the tenant's exchange.
        may_transfer: as for the desk's transfer.
        counters: the switch's.
    """

    def __init__(self, report: Callable[[TenantId, Input], None], may_transfer: MayTransfer, counters: Counter[str]) -> None:
        self._report = report
        self._may_transfer = may_transfer
        self._counters = counters

    def received(self, sip: SipPort, leg: SwitchLeg | None, event: ReferReceived) -> None:
        """Ask the core, or refuse at once."""
        refused = self._reason_to_refuse(leg, event)
        if refused is not None:
            self._counters["transfers_by_phone_refused"] += 1
            status, reason = refused
            sip.answer_refer(event.session, status, reason=reason)
            return
        assert leg is not None
        self._report(leg.tenant, inputs.LegReferred(leg=leg.leg, number=normalise(dialled(event.target))))

    def _reason_to_refuse(self, leg: SwitchLeg | None, event: ReferReceived) -> tuple[int, str] | None:
        if leg is None or leg.is_gone:
            return 481, "The call is over."
        if leg.agent is None or leg.trunk is not None:  # a carrier, or a PBX of the tenant's own, sends nobody anywhere on our account
            return 403, "Only an agent's phone may transfer a call."
        number = normalise(dialled(event.target))
        if not number:
            return 404, "The address names no number."
        try:
            self._may_transfer(leg.tenant, leg.agent, number)
        except PriceRefused as error:
            return (404, "The number does not exist here.") if is_private(number) else (403, str(error))
        except DialRefused as error:
            return refusal(error.cause).status, str(error)
        return None

    def answer(self, sip: SipPort, leg: SwitchLeg, effect: do.AnswerReferrer) -> None:
        """What the core says to it."""
        self._counters["transfers_by_phone" if effect.status < 300 else "transfers_by_phone_refused"] += 1
        if leg.session is not None:
            sip.answer_refer(leg.session, effect.status, reason=effect.reason)

    def notify(self, sip: SipPort, leg: SwitchLeg, effect: do.NotifyReferrer) -> None:
        """How it goes."""
        if leg.session is not None:
            sip.notify_referrer(leg.session, effect.status, final=effect.final)
