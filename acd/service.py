"""The voice service as the API sees it: house interface between `api` and `acd` (DESIGN.md §1, "cmds" and "events").

`acd.runtime.VoiceService` implements it; tests of the API use a small one of their own over the real core engine. Configuration
comes from above as values, telephony facts from below; whoever calls this never sees SIP or RTP.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from acd.codecs import USUAL
from acd.core.configuration import TenantConfiguration
from acd.core.effects import PopScreen
from acd.core.events import Event
from acd.core.ids import VOICE, AgentId, CallId, ContactId, TenantId, TrunkId, channel_of
from acd.core.inputs import Command
from acd.core.live import LiveState, WholeContact
from billing_cdr.numbers import Format


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A SIP device an agent registers with. The password is never kept, only the digests of RFC 7616 §3.4.2."""

    agent: AgentId
    username: str
    """Unique in its tenant. A phone that says the tenant's telephony domain, or proves itself as `username@domain`, is never taken for
    another tenant's."""
    ha1_md5: str
    ha1_sha256: str
    bare: bool = True
    """The name alone is this device's too, whatever domain the phone says: it was the first of that name in the installation."""
    long_md5: str | None = None
    """Digest of the user name `username@domain`; None: its password is older than the tenant's domain."""
    long_sha256: str | None = None

    def __repr__(self) -> str:
        """Without the digests: they are as good as the password."""
        return f"Device(agent={self.agent!r}, username={self.username!r})"


class TrunkRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """We register at the customer's own carrier (R5)."""

    registrar: str
    """`host` or `host:port`."""
    username: str
    password: str
    auth_username: str | None = None
    outbound_proxy: str | None = None
    """`host` or `host:port` that REGISTER and calls are sent to first (RFC 3261 §8.1.2); a Service-Route follows behind it."""
    from_user: str | None = None
    """User part of From in calls, where the carrier wants its account there; the number shown then stands in P-Preferred-Identity."""
    from_domain: str | None = None
    """Domain of our address of record and of From in calls; None: the registrar's host."""
    expires_s: int = 300
    retry_s: float = 30.0
    """After a refusal or silence it is tried again so much later, then in doubled steps up to ten minutes (RFC 5626 §4.5)."""

    def __repr__(self) -> str:
        """Never shows the password: lines stand in setups that are logged."""
        return f"TrunkRegistration(registrar={self.registrar!r}, username={self.username!r})"


class TrunkLine(msgspec.Struct, frozen=True, kw_only=True):
    """How a trunk is reached and recognised; the routing side is `acd.core.configuration.Trunk` with the same id."""

    id: TrunkId
    peer: str
    """`host[:port]` of the carrier or PBX that outbound calls go to."""
    transport: Literal["udp", "tcp"] = "udp"
    sources: tuple[str, ...] = ()
    """IP networks its calls come from (IP authentication), e.g. `203.0.113.0/28`. None given and registered: the Contact we registered,
    or the addresses of registrar and peer."""
    registration: TrunkRegistration | None = None
    probe_every_s: float = 30.0
    """OPTIONS keep-alive; 0 never. A line with a registration is not probed: the registration tells."""
    answer_within_s: float = 4.0
    """A request that got no answer at all for so long, not even 100, has failed, and the call goes to the next trunk. RFC 3261's own
    patience (timers B and F, 32 s) is longer than that of any caller."""
    caller_id: str | None = None
    codecs: tuple[str, ...] = USUAL
    """What it is offered, in this order; names of the registry. What it offers is answered with one of them or G.711, else with what there
    is."""
    numbers_in: Format = "auto"
    """How the peer writes numbers of calls to us; it decides about digits with neither `+` nor 0 in front."""
    numbers_out: Format = "auto"
    """How it wants them in calls from us: Request-URI, To, From, P-Asserted-Identity, Diversion."""
    trusted: bool = False
    """Of our trust domain (RFC 3325 §3): it is told the number of callers who withhold it, with the Privacy that binds it."""
    default_number: str | None = None
    """The number of ours that a call means which names none of ours: of an account with a single number."""
    early_media: Literal["pass", "ringback"] = "pass"
    """What the carrier says before a call is answered (183 with a description): heard by the caller, or replaced by our own ring-back."""


class AgentDialRules(msgspec.Struct, frozen=True, kw_only=True):
    """What differs for one agent."""

    classes: frozenset[str] | None = None
    """None: the tenant's."""
    per_hour: Decimal | None = None
    """None: that of each agent."""


class DialRules(msgspec.Struct, frozen=True, kw_only=True):
    """Who may dial what, and for how much. Amounts are with VAT."""

    classes: frozenset[str] | None = None
    """`billing_cdr.destination.DialClass`es that are allowed; None: all."""
    currency: str = "EUR"
    per_hour: Decimal | None = None
    """What all calls of the tenant together may cost in sixty minutes; None: no limit."""
    agent_per_hour: Decimal | None = None
    """The same of each agent."""
    agents: dict[AgentId, AgentDialRules] = {}
    paid_in: Decimal | None = None
    """Set: the tenant has paid so much since `since`, and its calls may cost no more in all."""
    since: datetime | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """How a budget stands."""

    account: str
    """`tenant`, `agent:<id>`, `balance`."""
    limit: Decimal | None
    reserved: Decimal
    """Used up in the last hour (of a balance: since it was opened), with what running calls and attempts have reserved."""
    running: Decimal
    """That part of it."""


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """How all budgets of a tenant stand."""

    currency: str
    accounts: tuple[Account, ...]


class TenantSetup(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the voice service needs of one tenant."""

    configuration: TenantConfiguration
    devices: tuple[Device, ...] = ()
    trunks: tuple[TrunkLine, ...] = ()
    domain: str = ""
    """The tenant's telephony domain, which no other tenant has; empty: it has none, and its devices are known by bare names."""
    assigned: frozenset[str] = frozenset()
    """E.164 numbers that are this tenant's and nobody else's: they decide whose a call is where a source is shared."""
    granted: tuple[str, ...] = ()
    """Networks that the operator lets it take calls from and call, whoever else has them."""
    caller_ids: frozenset[str] | None = None
    """Further numbers that it may show to those it calls; None: nobody keeps a list, and it shows any number that may be shown at all."""
    plans: tuple[bytes, ...] = ()
    """The tenant's own tariff plan versions, JSON documents of `billing_cdr.tariff`; none: the house plan."""
    trunk_plans: dict[TrunkId, tuple[bytes, ...]] = {}
    """Plan versions of the tenant's own carriers, by trunk (R15)."""
    dialling: DialRules = DialRules()
    own_sounds: dict[str, str] = {}
    """`de/queue.greeting` -> id of the audio, a file of the tenant's folder of sounds; another recording has another id (ADR 0018)."""


class LiveEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing on the live stream: a journal event after it is on disk, or a screen pop."""

    tenant: TenantId
    seq: int
    at: float
    """Epoch seconds, UTC."""
    event: Event | ScreenPop
    only_agent: AgentId | None = None
    """Set: for this agent's desk and nobody else's."""


class ScreenContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the platform knows of a number."""

    contact: dict[str, Any] | None = None
    tickets: tuple[dict[str, Any], ...] = ()
    appointment: dict[str, Any] | None = None


class ScreenPop(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Who it is, for the one agent about to be rung or offered a message (U25)."""

    agent: AgentId
    call: ContactId
    """The call, or the contact of another channel; `contact` is whom the platform knows under the number."""
    channel: str = VOICE
    queue: str | None
    number: str | None
    """Caller in E.164; None withheld, or the customer is known by something else than a number."""
    customer: str | None = None
    """Of what is no call: where the customer can be answered."""
    subject: str | None = None
    """Of what is no call."""
    called: str
    """Of what is no call: nothing."""
    waited_s: float
    contact: dict[str, Any] | None = None
    tickets: tuple[dict[str, Any], ...] = ()
    appointment: dict[str, Any] | None = None

    @classmethod
    def of(cls, effect: PopScreen, known: ScreenContext) -> Self:
        """What the desk is told of an offer."""
        channel = channel_of(effect.contact)
        is_call = channel == VOICE
        return cls(
            agent=effect.agent,
            call=effect.contact,
            channel=channel,
            queue=effect.queue,
            number=number_to_look_up(effect),
            customer=None if is_call else effect.calling,
            subject=None if is_call else effect.called or None,
            called=effect.called if is_call else "",
            waited_s=effect.waited_s,
            contact=known.contact,
            tickets=known.tickets,
            appointment=known.appointment,
        )


_NUMBER = re.compile(r"\+?[0-9]{2,15}")


def number_to_look_up(effect: PopScreen) -> str | None:
    """The number that a caller, or a customer of another channel, is known by; None: by none."""
    customer = effect.calling
    if customer is None or channel_of(effect.contact) == VOICE:
        return customer
    return customer if _NUMBER.fullmatch(customer) else None


Lookup = Callable[[TenantId, str], Awaitable[ScreenContext]]
"""Given by the API: tenant and E.164 number -> what is known. Asked when a call arrives, so that the pop itself waits for nothing."""


PinVerdict = Literal["right", "wrong", "wait", "failed"]
PinCheck = Callable[[TenantId, AgentId, AgentId, str], Awaitable[PinVerdict]]
"""Given by the API: tenant, agent, whose phone it was keyed on, PIN -> what became of it (`acd.core.inputs.PinJudged`)."""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was seen of a tenant's lines, for the platform to write down."""

    tenant: TenantId
    address: str
    what: Literal["answered", "called", "refused"]
    """A carrier there took a registration or answered a call; a call came from there; a name leads there, where others' calls come from."""


class VoiceService(Protocol):
    """Commands go in, events come out; one per process."""

    async def open_tenant(self, setup: TenantSetup, database: AsyncEngine, directory: Path) -> None:
        """Recover the tenant's journal in `directory`, then route its calls. CDRs and charges go to `database`."""

    async def configure(self, setup: TenantSetup) -> None:
        """Let a changed setup take effect at the next event.

        Raises: ValueError: `acd.resolve.problems` of the configuration is not empty; the text holds them all, one a line.
        """

    on_trouble: Callable[[TenantId, str], None] | None
    """Told, once, of a tenant that was open and cannot go on, with the reason."""

    async def close_tenant(self, tenant: TenantId, *, for_good: bool = True) -> None:
        """Clear its calls, sync its journal, forget it; not `for_good`: its callers and phones are told to come again (503).

        Raises: UnknownName: it is neither open nor closed for a while.
        """

    async def command(self, tenant: TenantId, command: Command) -> tuple[Event, ...]:
        """Carry out a desk command; returns its events once they are on disk.

        `Answer` returns when the phone has taken the call.

        Raises: IllegalTransition (409), UnknownName (404) of `acd.core.engine`; NoSuchNumber (404), PriceRefused (409), DialRefused (403,
        409), PhoneRefused (409), JournalStopped (503) of `acd.errors`.
        """

    def mint_call(self) -> CallId:
        """A fresh conversation id, for `Dial`."""

    def mint_contact(self, channel: str) -> ContactId:
        """A fresh id for `OpenContact`."""

    def contact(self, tenant: TenantId, contact: ContactId) -> WholeContact:
        """A contact that is open, with what was written; raises UnknownName."""

    def open_contacts(self, tenant: TenantId) -> int:
        """How many contacts are open that are no calls."""

    async def quote(self, tenant: TenantId, number: str) -> dict[str, Any]:
        """Price of a call to `number` from now, before it is placed; raises NoSuchNumber, or PriceRefused with the reason."""

    def spending(self, tenant: TenantId) -> Spending:
        """How the tenant's budgets stand at this moment."""

    async def recount(self, tenant: TenantId) -> None:
        """Charges were changed: what was spent is added up again from the records."""

    def live(self, tenant: TenantId) -> LiveState:
        """The live board at this moment."""

    def describe(self, tenant: TenantId) -> dict[str, Any]:
        """Everything of the tenant for /debug/state: core, switch legs, SIP sessions."""

    def stream(self, tenant: TenantId, *, agent: AgentId | None = None) -> AsyncIterator[LiveEvent]:
        """Live events from now on; with `agent`, that agent's private events too. A reader 10 000 events behind gets `StreamOverrun`."""

    def why_waiting(self, tenant: TenantId, contact: ContactId) -> dict[str, Any]:
        """Why somebody still waits: what stands between it and every agent now; raises UnknownName when it waits in no queue."""

    async def decisions(self, tenant: TenantId, contact: ContactId) -> list[dict[str, Any]]:
        """Decision records of a call or another contact, each with `offer`, `at` and the outcomes, from the journal."""

    def may_reach(self, host: str) -> bool:
        """Whether the operator lets calls of tenants go to this host, as far as can be told without asking DNS."""

    def is_own(self, host: str) -> bool:
        """Whether this IP address is this machine's, whatever the operator lets tenants reach."""

    def owners_of(self, host: str, tenant: TenantId) -> frozenset[TenantId]:
        """The tenants whose calls come from this IP address, because of which no call of this tenant goes there; of a name: none."""

    def registered_in(self, network: str) -> frozenset[TenantId]:
        """The tenants of which phones are registered from there."""

    def sends_to(self, network: str) -> frozenset[TenantId]:
        """The tenants whose trunks' calls or registrations go there, as the names of the trunks were last asked for, and were answered."""

    def remember_customers(self, known: Iterable[tuple[TenantId, str]]) -> None:
        """Tenants, and addresses of carriers that have answered them before this process began."""

    def sightings(self) -> tuple[Sighting, ...]:
        """What was seen since the last question."""

    def troubles(self) -> Mapping[TenantId, str]:
        """Tenants that cannot go on, and why, one sentence each with the path; nothing is decided for them."""

    def figures(self) -> Mapping[str, float]:
        """Counters and gauges of the whole service for /metrics: name -> value (labels in the name as Prometheus writes them)."""
