"""What the routes of all slices share in one process: settings, databases, voice service, clock (house composition)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from starlette.types import Receive, Scope, Send

from acd.client import VoiceClient
from acd.core.ids import AgentId, TenantId
from acd.guard import Guard
from api.config import Settings
from api.db import Databases
from api.edge.turns import Lane
from api.kit.clock import Clock, utc_now
from api.kit.jobs import Jobs
from api.kit.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a tenant that should be open is not."""

    reason: str
    """One sentence, with the path or the database; for operators."""
    passes: bool
    """It may pass by itself (a database that is away, another process), so it is tried again."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """What a tenant has of the platform, as the control database says."""

    domain: str
    """Its telephony domain."""
    may_claim_numbers: bool
    numbers: frozenset[str]
    sources: frozenset[str]
    """Networks its trunks may take calls from; one that a trunk names and that is not here is not listened to."""
    caller_ids: frozenset[str]
    """Granted, beside the numbers."""
    granted: tuple[str, ...] = ()
    """Networks, in order."""
    may_have_bare_names: bool = False
    """Without it only its devices called `<tenant>-…` are known by their names alone."""
    may_have_internal_trunks: bool = False
    """Without it a trunk that says it is the tenant's own PBX is a trunk like others."""
    budget_per_hour: Decimal | None = None
    """What its calls may cost within sixty minutes, whatever it says itself."""
    paid_in: Decimal | None = None
    """What was paid since `paid_since`; None: it is not prepaid."""
    paid_since: datetime | None = None
    own_prices: bool = False
    """Its own tariffs hold although the operator limits what it spends."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """What the operator says of this tenant otherwise than `[limits]`; kept by `Databases.quotas` too, which asks."""

    @property
    def prices_itself(self) -> bool:
        """Whether its own tariffs hold. Whoever says the prices says what a limit in money is worth: the operator's is in the house's."""
        return self.own_prices or (self.budget_per_hour is None and self.paid_in is None)


ServePage = Callable[[Scope, Receive, Send, TenantId, AgentId], Coroutine[Any, Any, None]]
"""`acd.runtime.Voice.serve_page`: the WebSocket of a phone in a page, from its handshake to its end."""


@dataclass(frozen=True, slots=True)
class Services:
    """Made once by the composition root; found by routes through `api.shared.services`."""

    settings: Settings
    databases: Databases
    voice: VoiceClient
    clock: Clock = utc_now
    serve_page: ServePage | None = None
    """None: the voice service does not run in this process. Octets of SIP go by no bus."""
    guard: Guard = field(default_factory=Guard)
    """Who may guess passwords how often: the one of the voice service, where both run in one process."""
    lane: Lane = field(default_factory=Lane)
    """Where exports and sums over a whole month are made, a piece at a time."""
    tenants_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One tenant is made at a time: two of one name must not cross, and the row of a tenant is written last."""
    converting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One sound is converted at a time: it takes up to 130 MiB and a second of a core, and calls need the cores more."""
    failed: dict[TenantId, Failure] = field(default_factory=dict)
    """Active tenants that are not open."""
    opening_locks: dict[TenantId, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """A tenant is opened, lost or closed by one at a time."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """What runs beside requests and belongs to none."""
    reopening: dict[TenantId, asyncio.Task[None]] = field(default_factory=dict)
    """Those that are tried again."""
    setup_locks: dict[TenantId, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """Changes of one tenant's configuration reach the voice service in the order in which they were committed."""
    known_setups: dict[TenantId, object] = field(default_factory=dict)
    """What the rows of an open tenant's configuration say, kept by `api.telephony_setup`: it alone changes them, under the lock."""
    assigned: dict[TenantId, Assigned] = field(default_factory=dict)
    """Of open tenants; kept by `api.assignments`, which alone changes it."""
    assignments_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Two tenants that ask for one thing ask one after the other."""
    refusals_told: dict[tuple[TenantId, str], datetime] = field(default_factory=dict)
    """Owner and thing -> when the owner was last told that somebody else had asked for it."""
    jobs: Jobs = field(init=False)
    """What is done for open tenants beside requests, whether or not the process lives on."""
    outbox: Outbox = field(init=False)
    """What has happened, and who is told of it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "jobs", Jobs(self.databases, self.clock))
        object.__setattr__(self, "outbox", Outbox(self.jobs, self.settings.webhooks.days))
