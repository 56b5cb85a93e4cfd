"""A voice service of our own over the real core engine: no SIP, no media; effects are kept, telephony facts are told by the test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from acd.bus import MemoryBus
from acd.client import VoiceClient
from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration_changes import difference
from acd.core.effects import Effect
from acd.core.engine import Engine, UnknownName
from acd.core.events import Event
from acd.core.ids import AgentId, CallId, ContactId, LegId, TenantId, TrunkId
from acd.core.inputs import Command, Input
from acd.core.live import LiveState, WholeContact
from acd.errors import NoSuchNumber, PriceRefused
from acd.networks import EVERYTHING, LOOPBACK, Reach
from acd.numbers import is_private
from acd.platform import Platform
from acd.resolve import problems, resolved
from acd.service import (
    Account,
    LiveAt,
    LiveEvent,
    PhonePass,
    ScreenContext,
    ScreenPop,
    Sighting,
    Spending,
    TenantSetup,
    TenantState,
    codec,
    events_of,
    number_to_look_up,
    state_of,
)
from acd.serving import serve
from billing_cdr.house_plan import house_plan
from billing_cdr.quote import Quote
from billing_cdr.rating import quote
from tests.api.waits import assert_nothing_is_held


class EngineVoice:
    """What answers the messages of `acd.service`: everything that it is asked, answers and tells travels as octets."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.bus = MemoryBus(codec())
        self.client = VoiceClient(self.bus, now)
        self.platform = Platform(self.bus)
        self.stop_serving = serve(self, self.bus)
        self.engines: dict[TenantId, Engine] = {}
        self.setups: dict[TenantId, TenantSetup] = {}
        self.effects: dict[TenantId, list[Effect]] = defaultdict(list)
        self._decisions: dict[tuple[TenantId, ContactId], list[dict[str, Any]]] = defaultdict(list)
        self._parts: dict[tuple[TenantId, CallId], dict[AgentId, None]] = defaultdict(dict)
        self._seq = 0
        self._calls = 0
        self.refuse_opening = False
        self.others: dict[TenantId, dict[str, frozenset[TenantId]]] = {}
        """Where calls of others come from, and who they are."""
        self.own: set[str] = set()
        self.customers: set[tuple[TenantId, str]] = set()
        self.seen: list[Sighting] = []
        self.registered: dict[str, frozenset[TenantId]] = {}
        self.sent_to: dict[str, frozenset[TenantId]] = {}
        self.recounted: list[TenantId] = []
        self.reach = Reach(EVERYTHING + LOOPBACK)
        self.in_trouble: dict[TenantId, str] = {}
        self.shown_to: list[tuple[AgentId, ContactId]] = []
        """Agents whose desks were told of a contact."""

    async def lookup(self, tenant: TenantId, number: str) -> ScreenContext:
        return await self.platform.who_is(tenant, number)

    async def open_tenant(self, setup: TenantSetup) -> None:
        assert_nothing_is_held("open_tenant")
        if self.refuse_opening:
            raise OSError("the journal's disk is full")
        tenant = setup.configuration.tenant
        self.engines[tenant] = Engine(tenant)
        await self.fact(tenant, inp.ServiceStarted())
        await self.configure(setup)
        self.say_state(tenant, is_open=True)

    def say_state(self, tenant: TenantId, *, is_open: bool, trouble: str | None = None) -> None:
        self.bus.publish(state_of(tenant), TenantState(tenant=tenant, is_open=is_open, trouble=trouble), retained=True)

    async def configure(self, setup: TenantSetup) -> None:
        assert_nothing_is_held("configure")
        assert problems(setup.configuration) == []
        tenant = setup.configuration.tenant
        self.setups[tenant] = setup
        known = self.engines[tenant].state.configuration
        wanted = resolved(setup.configuration, self._now(), known)
        if known is None:
            await self.fact(tenant, inp.Configured(configuration=wanted))
        else:
            await self.fact(tenant, inp.Reconfigured(changes=difference(known, wanted)))
        assert self.engines[tenant].state.configuration == wanted

    async def close_tenant(self, tenant: TenantId, *, for_good: bool = True) -> None:
        assert_nothing_is_held("close_tenant")
        del for_good  # without SIP nobody asks meanwhile
        if tenant not in self.engines:
            raise UnknownName("tenant", tenant)
        del self.engines[tenant], self.setups[tenant]
        self.say_state(tenant, is_open=False)

    async def command(self, tenant: TenantId, command: Command) -> tuple[Event, ...]:
        assert_nothing_is_held("command")
        if isinstance(command, inp.Dial):
            command = msgspec.structs.replace(command, quote=await self.quote(tenant, command.number) or None)
        return await self.fact(tenant, command)

    def mint_call(self) -> CallId:
        self._calls += 1
        return CallId(ContactId(f"call-{self._calls}"))

    def contact(self, tenant: TenantId, contact: ContactId) -> WholeContact:
        assert_nothing_is_held("contact")
        return self.engines[tenant].contact(contact)

    def open_contacts(self, tenant: TenantId) -> int:
        assert_nothing_is_held("open_contacts")
        return self.engines[tenant].open_contacts

    async def quote(self, tenant: TenantId, number: str) -> dict[str, Any]:
        assert_nothing_is_held("quote")
        if is_private(number):
            configuration = self.setups[tenant].configuration
            if number not in {one.number for one in configuration.numbers} | {one.extension for one in configuration.agents}:
                raise NoSuchNumber(number)
            return {}
        offer = quote(number, house_plan(), _instant(self._now()))
        if not isinstance(offer, Quote):
            raise PriceRefused(offer.message)
        told: dict[str, Any] = msgspec.to_builtins(offer)
        return told

    def may_reach(self, host: str) -> bool:
        return self.reach.allows_name(host)

    def is_own(self, host: str) -> bool:
        return host in self.own or self.reach.is_own(host)

    def owners_of(self, host: str, tenant: TenantId) -> frozenset[TenantId]:
        return self.others.get(tenant, {}).get(host, frozenset())

    def remember_customers(self, known: Iterable[tuple[TenantId, str]]) -> None:
        self.customers.update(known)

    def sightings(self) -> tuple[Sighting, ...]:
        seen, self.seen = tuple(self.seen), []
        return seen

    def phone_pass(self, tenant: TenantId, agent: AgentId) -> PhonePass:
        assert_nothing_is_held("phone_pass")
        if agent not in {one.agent for one in self.setups[tenant].devices}:
            raise UnknownName("phone of agent", agent)
        return PhonePass(
            uri=f"sip:{agent}@{tenant}", login=f"{agent}.1790000000.0", password="secret", realm="fernamt", expires_at=1790000000
        )

    def sends_to(self, network: str) -> frozenset[TenantId]:
        return self.sent_to.get(network, frozenset())

    def spending(self, tenant: TenantId) -> Spending:
        assert_nothing_is_held("spending")
        dialling = self.setups[tenant].dialling
        limits = {"tenant": dialling.per_hour, "balance": dialling.paid_in}
        limits |= {f"agent:{agent}": own.per_hour for agent, own in dialling.agents.items()}
        accounts = [Account(account=name, limit=limit, reserved=Decimal(0), running=Decimal(0)) for name, limit in limits.items() if limit]
        return Spending(currency=dialling.currency, accounts=tuple(accounts))

    async def recount(self, tenant: TenantId) -> None:
        assert_nothing_is_held("recount")
        self.recounted.append(tenant)

    def registered_in(self, network: str) -> frozenset[TenantId]:
        return self.registered.get(network, frozenset())

    def live(self, tenant: TenantId) -> LiveState:
        assert_nothing_is_held("live")
        return self.engine(tenant).live_at(self._now())

    def engine(self, tenant: TenantId) -> Engine:
        if tenant not in self.engines:
            raise UnknownName("tenant", tenant)
        return self.engines[tenant]

    def live_at(self, tenant: TenantId) -> LiveAt:
        return LiveAt(seq=self._seq, live=self.live(tenant))

    def parts(self, tenant: TenantId) -> dict[CallId, tuple[AgentId, ...]]:
        return {call: tuple(had) for (of, call), had in self._parts.items() if of == tenant}

    def shown(self, tenant: TenantId, agent: AgentId, contact: ContactId) -> None:
        assert tenant in self.engines
        self.shown_to.append((agent, contact))

    def describe(self, tenant: TenantId) -> dict[str, Any]:
        assert_nothing_is_held("describe")
        return {"core": self.engines[tenant].describe()}

    def readers(self, tenant: TenantId) -> int:
        return len(self.bus.publisher(events_of(tenant)).heard)

    def why_waiting(self, tenant: TenantId, contact: ContactId) -> dict[str, Any]:
        assert_nothing_is_held("why_waiting")
        return msgspec.to_builtins(self.engines[tenant].why_waiting(contact, self._now()))

    async def decisions(self, tenant: TenantId, contact: ContactId) -> list[dict[str, Any]]:
        assert_nothing_is_held("decisions")
        return self._decisions[tenant, contact]

    def troubles(self) -> Mapping[TenantId, str]:
        return self.in_trouble

    def figures(self) -> Mapping[str, float]:
        return {f'fernamt_inputs_total{{tenant="{tenant}"}}': 1.0 for tenant in self.engines} | {"fernamt_legs": 0}

    # ------------------------------------------------------------------ what the switch would report

    async def fact(self, tenant: TenantId, given: Input) -> tuple[Event, ...]:
        """One input, then drain: events to the readers, effects kept, pops looked up."""
        now = self._now()
        step = self.engines[tenant].handle(given, now)
        self._seq += 1
        for event in step.events:
            if isinstance(event, ev.OfferMade):
                self._decisions[tenant, event.contact].append({**msgspec.to_builtins(event), "at": now, "outcomes": []})
            elif isinstance(event, ev.OfferEnded):
                (record,) = [one for one in self._decisions[tenant, event.contact] if one["offer"] == event.offer]
                record["outcomes"].append({**msgspec.to_builtins(event), "at": now})
            elif isinstance(event, ev.LegInitiated) and event.agent is not None:
                self._parts[tenant, event.call][event.agent] = None
            elif isinstance(event, ev.CallCleared):
                self._parts.pop((tenant, event.call), None)
            self._publish(LiveEvent(tenant=tenant, seq=self._seq, at=now, event=event))
        for effect in step.effects:
            self.effects[tenant].append(effect)
            if isinstance(effect, ef.PopScreen):
                await self._pop(tenant, effect)
        return tuple(step.events)

    async def _pop(self, tenant: TenantId, effect: ef.PopScreen) -> None:
        number = number_to_look_up(effect)
        context = await self.lookup(tenant, number) if number else ScreenContext()
        screen = ScreenPop.of(effect, context)
        self._publish(LiveEvent(tenant=tenant, seq=self._seq, at=self._now(), event=screen, only_agent=effect.agent))

    def _publish(self, event: LiveEvent) -> None:
        self.bus.publisher(events_of(event.tenant))(event)

    async def time_passed(self, tenant: TenantId) -> None:
        """What is due by now is done."""
        engine = self.engines[tenant]
        while (deadline := engine.next_timeout()) is not None and deadline <= self._now():
            await self.fact(tenant, inp.TimePassed())

    async def arrive(self, tenant: TenantId, called: str, calling: str | None, trunk: str | None = None) -> CallId:
        """A call arrives and is answered where the core answers it."""
        call = self.mint_call()
        leg = LegId(f"{call}.0")
        await self.fact(
            tenant, inp.CallArrived(call=call, leg=leg, trunk=TrunkId(trunk) if trunk else None, calling=calling, called=called)
        )
        if any(isinstance(effect, ef.AnswerCaller) and effect.leg == leg for effect in self.effects[tenant]):
            await self.fact(tenant, inp.LegAnswered(leg=leg))
        return call

    async def register(self, tenant: TenantId, agent: str) -> None:
        """The agent's device is there."""
        await self.fact(
            tenant,
            inp.DeviceRegistered(agent=AgentId(agent), contact=f"sip:{agent}@127.0.0.1:5062", expires_at=self._now() + 3600),
        )

    async def answer_agent(self, tenant: TenantId, agent: str) -> None:
        """The agent's ringing phone is picked up."""
        leg = next(e.leg for e in reversed(self.effects[tenant]) if isinstance(e, ef.OriginateToAgent) and e.agent == agent)
        await self.fact(tenant, inp.LegAnswered(leg=leg))


def _instant(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)
