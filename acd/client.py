"""The voice service as the platform asks it: a method for each message of `acd.service`, whatever the bus between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from acd.bus.protocol import Bus, Subscription
from acd.core.events import Event
from acd.core.ids import AgentId, CallId, ContactId, TenantId
from acd.core.inputs import Command
from acd.core.live import LiveState, WholeContact
from acd.minting import mint
from acd.service import (
    VOICE_TOPIC,
    CarryOut,
    CloseTenant,
    Configure,
    ContactOf,
    Decisions,
    Describe,
    Figures,
    IsOwn,
    Live,
    LiveAt,
    MayReach,
    OpenContacts,
    OpenTenant,
    OwnersOf,
    Parts,
    PassOf,
    PhonePass,
    QuoteOf,
    Recount,
    RegisteredIn,
    RememberCustomers,
    SendsTo,
    Shown,
    Sighting,
    Spending,
    SpendingOf,
    TakeSightings,
    TenantSetup,
    Troubles,
    WhyWaits,
    events_of,
    of_tenant,
    state_of,
)

ANSWER_WITHIN_S = 120.0
"""A command may wait for a phone to be picked up, an opening for a journal to be read, a recount for what lingers."""


class VoiceClient:
    """See the module. Every method raises what the message's class says, and `Unanswered`.

    Args:
        now: epoch seconds, for ids that are made here.
    """

    def __init__(self, bus: Bus, now: Callable[[], float] = time.time) -> None:
        self._bus = bus
        self._now = now

    # ------------------------------------------------------------------ tenants

    async def open_tenant(self, setup: TenantSetup) -> None:
        """See `OpenTenant`."""
        await self._bus.request(VOICE_TOPIC, OpenTenant(setup=setup), within_s=ANSWER_WITHIN_S)

    async def configure(self, setup: TenantSetup) -> None:
        """See `Configure`."""
        await self._bus.request(of_tenant(setup.configuration.tenant), Configure(setup=setup), within_s=ANSWER_WITHIN_S)

    async def close_tenant(self, tenant: TenantId, *, for_good: bool = True) -> None:
        """See `CloseTenant`."""
        await self._bus.request(of_tenant(tenant), CloseTenant(tenant=tenant, for_good=for_good), within_s=ANSWER_WITHIN_S)

    async def recount(self, tenant: TenantId) -> None:
        """See `Recount`."""
        await self._bus.request(of_tenant(tenant), Recount(tenant=tenant), within_s=ANSWER_WITHIN_S)

    def states(self) -> Subscription:
        """`TenantState` of every tenant, as they are and as they change."""
        return self._bus.subscribe(state_of("+"))

    async def troubles(self) -> dict[TenantId, str]:
        """See `Troubles`."""
        return await self._bus.request(VOICE_TOPIC, Troubles())

    # ------------------------------------------------------------------ desk

    async def command(self, tenant: TenantId, command: Command) -> tuple[Event, ...]:
        """See `CarryOut`."""
        return await self._bus.request(of_tenant(tenant), CarryOut(tenant=tenant, command=command), within_s=ANSWER_WITHIN_S)

    def mint_call(self) -> CallId:
        """A fresh conversation id, for `Dial`."""
        return mint(self._now())

    def mint_contact(self, channel: str) -> ContactId:
        """A fresh id for `OpenContact`."""
        return ContactId(f"{channel}:{mint(self._now())}")

    async def contact(self, tenant: TenantId, contact: ContactId) -> WholeContact:
        """See `ContactOf`."""
        return await self._bus.request(of_tenant(tenant), ContactOf(tenant=tenant, contact=contact))

    async def open_contacts(self, tenant: TenantId) -> int:
        """See `OpenContacts`."""
        return await self._bus.request(of_tenant(tenant), OpenContacts(tenant=tenant))

    async def why_waiting(self, tenant: TenantId, contact: ContactId) -> dict[str, Any]:
        """See `WhyWaits`."""
        return await self._bus.request(of_tenant(tenant), WhyWaits(tenant=tenant, contact=contact))

    async def decisions(self, tenant: TenantId, contact: ContactId) -> list[dict[str, Any]]:
        """See `Decisions`."""
        return await self._bus.request(of_tenant(tenant), Decisions(tenant=tenant, contact=contact))

    async def quote(self, tenant: TenantId, number: str) -> dict[str, Any]:
        """See `QuoteOf`."""
        return await self._bus.request(of_tenant(tenant), QuoteOf(tenant=tenant, number=number))

    async def spending(self, tenant: TenantId) -> Spending:
        """See `SpendingOf`."""
        return await self._bus.request(of_tenant(tenant), SpendingOf(tenant=tenant))

    # ------------------------------------------------------------------ what is live

    async def live(self, tenant: TenantId) -> LiveState:
        """The live board at this moment."""
        return (await self.live_at(tenant)).live

    async def live_at(self, tenant: TenantId) -> LiveAt:
        """See `Live`."""
        return await self._bus.request(of_tenant(tenant), Live(tenant=tenant))

    async def parts(self, tenant: TenantId) -> dict[CallId, tuple[AgentId, ...]]:
        """See `Parts`."""
        return await self._bus.request(of_tenant(tenant), Parts(tenant=tenant))

    def events(self, tenant: TenantId) -> Subscription:
        """`LiveEvent`s of a tenant from now on, and its `TenantState`, at once and when it changes: the events end when it is not open.

        Whoever is told of a `ScreenPop` says so (`shown`), once every desk of its agent knows: the phone waits for that a quarter of a
        second.
        """
        return self._bus.subscribe(events_of(tenant), state_of(tenant))

    async def phone_pass(self, tenant: TenantId, agent: AgentId) -> PhonePass:
        """See `PassOf`."""
        return await self._bus.request(of_tenant(tenant), PassOf(tenant=tenant, agent=agent))

    async def shown(self, tenant: TenantId, agent: AgentId, contact: ContactId) -> None:
        """See `Shown`."""
        await self._bus.request(of_tenant(tenant), Shown(tenant=tenant, agent=agent, contact=contact))

    async def describe(self, tenant: TenantId) -> dict[str, Any]:
        """See `Describe`."""
        return await self._bus.request(of_tenant(tenant), Describe(tenant=tenant))

    async def figures(self) -> dict[str, float]:
        """See `Figures`."""
        return await self._bus.request(VOICE_TOPIC, Figures())

    # ------------------------------------------------------------------ addresses

    async def may_reach(self, host: str) -> bool:
        """See `MayReach`."""
        return await self._bus.request(VOICE_TOPIC, MayReach(host=host))

    async def is_own(self, host: str) -> bool:
        """See `IsOwn`."""
        return await self._bus.request(VOICE_TOPIC, IsOwn(host=host))

    async def owners_of(self, host: str, tenant: TenantId) -> frozenset[TenantId]:
        """See `OwnersOf`."""
        return await self._bus.request(VOICE_TOPIC, OwnersOf(host=host, tenant=tenant))

    async def registered_in(self, network: str) -> frozenset[TenantId]:
        """See `RegisteredIn`."""
        return await self._bus.request(VOICE_TOPIC, RegisteredIn(network=network))

    async def sends_to(self, network: str) -> frozenset[TenantId]:
        """See `SendsTo`."""
        return await self._bus.request(VOICE_TOPIC, SendsTo(network=network))

    async def remember_customers(self, known: Iterable[tuple[TenantId, str]]) -> None:
        """See `RememberCustomers`."""
        await self._bus.request(VOICE_TOPIC, RememberCustomers(known=tuple(known)))

    async def sightings(self) -> tuple[Sighting, ...]:
        """See `TakeSightings`."""
        return await self._bus.request(VOICE_TOPIC, TakeSightings())
