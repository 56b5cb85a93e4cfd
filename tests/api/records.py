"""Records and charges as the CDR feed would save them."""

from __future__ import annotations

from datetime import datetime, timedelta

from acd.core.ids import TenantId
from billing_cdr import facts, store
from billing_cdr.assemble import fold
from billing_cdr.cdr import Cdr
from billing_cdr.house import house_plan
from billing_cdr.rating import PlanBook, rate
from tests.api.conftest import ACME, Service


def outbound(call: str, to: str, seconds: float, at: datetime, tenant: str = "acme") -> Cdr:
    """Anna dials somebody and talks for a while."""
    answered = at + timedelta(seconds=5)
    ended = answered + timedelta(seconds=seconds)
    told: list[facts.Fact] = [
        facts.ConversationBegan(conversation=call, at=at, tenant=tenant, direction="outbound", calling="21", called=to),
    ]
    for leg, role, party, number in ((f"{call}.1", "agent", "anna", None), (f"{call}.2", "destination", to, to)):
        told += [
            facts.LegBegan(
                conversation=call,
                at=at,
                leg=leg,
                role=role,
                party=party,
                number=number,
                agent=party if role == "agent" else None,
                dialled=True,
            ),  # type: ignore[arg-type]
            facts.SegmentBegan(conversation=call, at=at, segment=f"{leg}/1", leg=leg, kind="ring", party=party),
        ]
    for leg in (f"{call}.1", f"{call}.2"):
        told += [
            facts.LegAnswered(conversation=call, at=answered, leg=leg),
            facts.SegmentEnded(conversation=call, at=answered, segment=f"{leg}/1", outcome="answered"),
            facts.SegmentBegan(conversation=call, at=answered, segment=f"{leg}/2", leg=leg, kind="talk", party=to),
        ]
    for leg in (f"{call}.1", f"{call}.2"):
        told += [
            facts.SegmentEnded(conversation=call, at=ended, segment=f"{leg}/2", outcome="hang_up"),
            facts.LegEnded(conversation=call, at=ended, leg=leg, cause="hang_up"),
        ]
    told.append(facts.ConversationEnded(conversation=call, at=ended, cause="hang_up"))
    return fold(told)


async def talk(service: Service, call: str, to: str, seconds: float, at: datetime | None = None, tenant: TenantId = ACME) -> Cdr:
    """Save the record and the charge of such a call in the tenant's database."""
    cdr = outbound(call, to, seconds, at or service.clock(), tenant)
    charge = rate(cdr, PlanBook(house=(house_plan(),), tenants={}, trunks={}))
    async with service.databases.tenant(tenant).begin() as connection:
        await store.save(connection, [cdr], [charge], "test", int(cdr.began_at.timestamp()))
    return cdr
