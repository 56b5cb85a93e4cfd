"""The voice service at its end of a bus: which method answers which message of `acd.service`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from acd.bus.protocol import Bus, Request
from acd.core.events import Event
from acd.core.ids import AgentId, CallId, ContactId, TenantId
from acd.core.inputs import Command
from acd.core.live import WholeContact
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
    of_tenant,
)


class Served(Protocol):
    """What is behind the messages: `acd.runtime.Voice`, and the tests' own over the core alone. What each does stands at its message."""

    async def open_tenant(self, setup: TenantSetup) -> None: ...
    async def configure(self, setup: TenantSetup) -> None: ...
    async def close_tenant(self, tenant: TenantId, *, for_good: bool = True) -> None: ...
    async def command(self, tenant: TenantId, command: Command) -> tuple[Event, ...]: ...
    async def quote(self, tenant: TenantId, number: str) -> dict[str, Any]: ...
    async def recount(self, tenant: TenantId) -> None: ...
    async def decisions(self, tenant: TenantId, contact: ContactId) -> list[dict[str, Any]]: ...
    def contact(self, tenant: TenantId, contact: ContactId) -> WholeContact: ...
    def open_contacts(self, tenant: TenantId) -> int: ...
    def spending(self, tenant: TenantId) -> Spending: ...
    def live_at(self, tenant: TenantId) -> LiveAt: ...
    def parts(self, tenant: TenantId) -> dict[CallId, tuple[AgentId, ...]]: ...
    def describe(self, tenant: TenantId) -> dict[str, Any]: ...
    def why_waiting(self, tenant: TenantId, contact: ContactId) -> dict[str, Any]: ...
    def phone_pass(self, tenant: TenantId, agent: AgentId) -> PhonePass: ...
    def shown(self, tenant: TenantId, agent: AgentId, contact: ContactId) -> None: ...
    def may_reach(self, host: str) -> bool: ...
    def is_own(self, host: str) -> bool: ...
    def owners_of(self, host: str, tenant: TenantId) -> frozenset[TenantId]: ...
    def registered_in(self, network: str) -> frozenset[TenantId]: ...
    def sends_to(self, network: str) -> frozenset[TenantId]: ...
    def remember_customers(self, known: Iterable[tuple[TenantId, str]]) -> None: ...
    def sightings(self) -> tuple[Sighting, ...]: ...
    def troubles(self) -> Mapping[TenantId, str]: ...
    def figures(self) -> Mapping[str, float]: ...


def serve(voice: Served, bus: Bus) -> Callable[[], None]:
    """Answer what is asked of the voice service; returns what ends it."""
    done: Mapping[type[Request[Any]], Callable[[Any], Awaitable[Any]]] = {
        OpenTenant: lambda asked: voice.open_tenant(asked.setup),
        Configure: lambda asked: voice.configure(asked.setup),
        CloseTenant: lambda asked: voice.close_tenant(asked.tenant, for_good=asked.for_good),
        CarryOut: lambda asked: voice.command(asked.tenant, asked.command),
        QuoteOf: lambda asked: voice.quote(asked.tenant, asked.number),
        Recount: lambda asked: voice.recount(asked.tenant),
        Decisions: lambda asked: voice.decisions(asked.tenant, asked.contact),
    }
    told: Mapping[type[Request[Any]], Callable[[Any], Any]] = {
        ContactOf: lambda asked: voice.contact(asked.tenant, asked.contact),
        OpenContacts: lambda asked: voice.open_contacts(asked.tenant),
        SpendingOf: lambda asked: voice.spending(asked.tenant),
        Live: lambda asked: voice.live_at(asked.tenant),
        Parts: lambda asked: voice.parts(asked.tenant),
        Describe: lambda asked: voice.describe(asked.tenant),
        WhyWaits: lambda asked: voice.why_waiting(asked.tenant, asked.contact),
        PassOf: lambda asked: voice.phone_pass(asked.tenant, asked.agent),
        Shown: lambda asked: voice.shown(asked.tenant, asked.agent, asked.contact),
        MayReach: lambda asked: voice.may_reach(asked.host),
        IsOwn: lambda asked: voice.is_own(asked.host),
        OwnersOf: lambda asked: voice.owners_of(asked.host, asked.tenant),
        RegisteredIn: lambda asked: voice.registered_in(asked.network),
        SendsTo: lambda asked: voice.sends_to(asked.network),
        RememberCustomers: lambda asked: voice.remember_customers(asked.known),
        TakeSightings: lambda _: voice.sightings(),
        Troubles: lambda _: voice.troubles(),
        Figures: lambda _: voice.figures(),
    }

    async def answer(asked: Request[Any]) -> Any:
        act = done.get(type(asked))
        return await act(asked) if act is not None else told[type(asked)](asked)

    ends = [bus.serve(topic, answer) for topic in (VOICE_TOPIC, of_tenant("+"))]

    def stop() -> None:
        for end in ends:
            end()

    return stop
