"""Screen pops, carried out: who is calling is asked of the platform, desks are told, phones ring when they may (`screen_pop` decides)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from acd.core.effects import PopScreen
from acd.core.ids import VOICE, AgentId, CallId, ContactId, TenantId, channel_of
from acd.platform import Lookup
from acd.service import ScreenContext, ScreenPop, number_to_look_up
from acd.switch.screen_pop import Action, Ring, ScreenPops, Show

log = logging.getLogger(__name__)


class Screens:
    """See the module.

    Args:
        pop: publishes a screen pop to one agent's desks; says whether anybody may hear it.
        lookup: asks who has a number; None: nobody knows.
    """

    def __init__(
        self,
        pop: Callable[[TenantId, ScreenPop], bool],
        lookup: Lookup | None,
        counters: Counter[str],
        spawn: Callable[[Awaitable[None]], Any],
    ) -> None:
        self._pop = pop
        self._lookup = lookup
        self._counters = counters
        self._spawn = spawn
        self._pops = ScreenPops()
        self._rings: dict[tuple[ContactId, AgentId], Callable[[], None]] = {}
        """Phones that are to ring as soon as they may."""
        self._timer: asyncio.TimerHandle | None = None

    def arrived(self, tenant: TenantId, contact: ContactId, number: str | None) -> None:
        """Ask who it is, long before somebody is to be told."""
        if self._lookup is None or number is None:
            return
        self._pops.asked(contact)
        self._spawn(self._ask(self._lookup, tenant, contact, number))

    async def _ask(self, lookup: Lookup, tenant: TenantId, contact: ContactId, number: str) -> None:
        context: ScreenContext | None = None
        try:
            context = await lookup(tenant, number)
        except Exception:
            self._counters["lookups_failed"] += 1
            log.exception("! %s: looking up who it is failed", contact)
        self._carry_out(self._pops.known(contact, context))

    def wanted(self, tenant: TenantId, effect: PopScreen) -> None:
        """Tell the desk first; the phone, if one is to ring, is rung when it has been told, or a moment later (`PATIENCE_S`)."""
        if not self._pops.is_asked(effect.contact):
            number = effect.calling if channel_of(effect.contact) == VOICE else number_to_look_up(effect)
            self.arrived(tenant, effect.contact, number)
        self._carry_out(self._pops.wanted(tenant, effect, asyncio.get_running_loop().time()))

    def told(self, tenant: TenantId, contact: ContactId, agent: AgentId) -> None:
        """Every desk of the agent knows, or there is none."""
        self._carry_out(self._pops.told(tenant, contact, agent))

    def when_released(self, call: CallId, agent: AgentId, ring: Callable[[], None]) -> None:
        """Ring the agent's phone as soon as it may."""
        if self._pops.may_ring(call, agent):
            ring()
        else:
            self._rings[call, agent] = ring

    def over(self, call: CallId) -> None:
        """The call is over."""
        self._pops.over(call)
        for key in [one for one in self._rings if one[0] == call]:
            del self._rings[key]

    def _carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Show(tenant=tenant, pop=pop):
                    if not self._pop(tenant, pop):
                        self._carry_out(self._pops.told(tenant, pop.call, pop.agent))
                case Ring(contact=contact, agent=agent):
                    ring = self._rings.pop((contact, agent), None)
                    if ring is not None:
                        ring()
        self._arm()

    def _arm(self) -> None:
        """One timer for all: it comes too early rather than be moved at each offer."""
        if self._timer is not None:
            return
        due = self._pops.next_timeout()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._carry_out(self._pops.handle_timeout(asyncio.get_running_loop().time()))
