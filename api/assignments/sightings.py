"""What shows that a claim is meant: calls that came from it; and that a peer is: a carrier there took a registration or answered a call.

To name a host proves nothing: a tenant that only named a carrier as a peer would keep it from the tenant that is its customer. What the
voice service sees is written down beside the requests, a moment later, and read at the start.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from acd.bus import Unanswered
from acd.core.ids import TenantId
from acd.service import Sighting
from acd.strangers import is_within
from api.assignments import repository
from api.assignments.models import CarrierCustomer
from api.assignments.rules import network as as_network
from api.assignments.trail import note_peer
from api.outages import sentence
from api.services import Services

log = logging.getLogger(__name__)

EVERY_S = 60.0
AGAIN = timedelta(days=1)
"""What is seen again is written down once a day."""
KEPT = timedelta(days=365)
"""Who was a carrier's customer a year ago, and not since, is none."""


class Watch:
    """Writes down what is seen of tenants' lines."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._seen: dict[Sighting, None] = {}

    async def start(self) -> None:
        """Tell the voice service what was seen before."""
        services = self._services
        async with services.databases.unit(None) as unit:
            await repository.forget_customers(unit.session, services.clock() - KEPT)
            known = await repository.customers(unit.session)
        await services.voice.remember_customers([(TenantId(one.tenant), one.address) for one in known])

    async def keep(self) -> None:
        """Write it down from time to time, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Write down what was seen; what cannot be written is kept for the next time."""
        services, now = self._services, self._services.clock()
        try:
            self._seen |= dict.fromkeys(await services.voice.sightings())
        except Unanswered as error:  # it keeps them until it is asked again
            log.warning("! what was seen of trunks: %s", error)
        if not self._seen:
            return
        seen = tuple(self._seen)
        try:
            async with services.assignments_lock, services.databases.unit(None) as unit:
                await _put(unit.session, seen, now)
        except Exception as error:
            if sentence(error) is None:  # an outage is told by `api.outages`
                log.exception("! what was seen of trunks could not be written")
            return
        self._seen.clear()
        for one in seen:
            if one.what == "refused":
                for owner in sorted(await services.voice.owners_of(one.address, one.tenant))[:1]:
                    await note_peer(services, one.tenant, owner, one.address, now)


async def _put(session: AsyncSession, seen: tuple[Sighting, ...], now: datetime) -> None:
    claims = await repository.claims(session) if any(one.what == "called" for one in seen) else ()
    for one in seen:
        if one.what == "answered":
            known = await repository.customer(session, one.tenant, one.address)
            if known is None:
                session.add(CarrierCustomer(tenant=one.tenant, address=one.address, at=now))
            elif now - known.at >= AGAIN:
                known.at = now
        elif one.what == "called":
            for claim in claims:
                is_due = claim.used_at is None or now - claim.used_at >= AGAIN
                if claim.tenant == one.tenant and is_due and is_within(one.address, (as_network(claim.network),)):
                    claim.used_at = now
