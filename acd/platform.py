"""What the voice service asks of the platform: who a caller is, and whether a PIN is right. Both ends of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from acd.bus.protocol import Bus
from acd.core.ids import AgentId, TenantId
from acd.service import PLATFORM_TOPIC, CheckPin, PinVerdict, ScreenContext, WhoIs

Lookup = Callable[[TenantId, str], Awaitable[ScreenContext]]
"""Tenant and E.164 number -> what is known."""
PinCheck = Callable[[TenantId, AgentId, AgentId, str], Awaitable[PinVerdict]]
"""Tenant, agent, whose phone it was keyed on, PIN -> what became of it (`acd.core.inputs.PinJudged`)."""


class Platform:
    """The platform, as the voice service asks it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def who_is(self, tenant: TenantId, number: str) -> ScreenContext:
        """See `WhoIs`."""
        return await self._bus.request(PLATFORM_TOPIC, WhoIs(tenant=tenant, number=number))

    async def check_pin(self, tenant: TenantId, agent: AgentId, at: AgentId, pin: str) -> PinVerdict:
        """See `CheckPin`."""
        return await self._bus.request(PLATFORM_TOPIC, CheckPin(tenant=tenant, agent=agent, at=at, pin=pin))


def serve_platform(bus: Bus, lookup: Lookup, check_pin: PinCheck) -> Callable[[], None]:
    """Answer the voice service's questions; returns what ends it."""

    async def answer(asked: WhoIs | CheckPin) -> ScreenContext | PinVerdict:
        if isinstance(asked, WhoIs):
            return await lookup(asked.tenant, asked.number)
        return await check_pin(asked.tenant, asked.agent, asked.at, asked.pin)

    return bus.serve(PLATFORM_TOPIC, answer)
