"""All SQL of assignments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CompoundSelect, bindparam, delete, func, literal_column, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from api.assignments.models import CallerIdGrant, CarrierCustomer, NumberOwner, PrepaidEntry, Rights, SourceClaim, SourceGrant
from api.kit.paging import Cut, cut

_AT_ONCE = 500
"""Names in one IN clause; SQLite takes 32,766 parameters, older ones 999."""


async def rights(session: AsyncSession, tenant: str) -> Rights | None:
    return await session.get(Rights, tenant)


async def domains(session: AsyncSession) -> set[str]:
    return set((await session.scalars(select(Rights.domain))).all())


async def owners(session: AsyncSession, numbers: Collection[str]) -> dict[str, NumberOwner]:
    asked, found = sorted(numbers), {}
    for start in range(0, len(asked), _AT_ONCE):
        some = await session.scalars(select(NumberOwner).where(NumberOwner.number.in_(asked[start : start + _AT_ONCE])))
        found.update({row.number: row for row in some})
    return found


_HAS = {"number": NumberOwner.number, "source": SourceClaim.network, "caller_id": CallerIdGrant.number, "grant": SourceGrant.network}
_OWN: CompoundSelect[Any] = union_all(
    *(
        select(literal_column(f"'{kind}'").label("kind"), column.label("what")).where(column.class_.tenant == bindparam("tenant"))
        for kind, column in _HAS.items()
    )
)


async def belongings(session: AsyncSession, tenant: str) -> dict[str, list[str]]:
    """Numbers, sources, caller ids and granted networks of one tenant, sorted, by `number`, `source`, `caller_id`, `grant`."""
    await session.flush()
    found: dict[str, list[str]] = {kind: [] for kind in _HAS}
    for kind, what in await session.execute(_OWN, {"tenant": tenant}):
        found[kind].append(what)
    return {kind: sorted(some) for kind, some in found.items()}


async def payments(session: AsyncSession, tenant: str) -> Sequence[PrepaidEntry]:
    """Those that make the tenant prepaid, the oldest first."""
    wanted = select(PrepaidEntry).where(PrepaidEntry.tenant == tenant, PrepaidEntry.closed_at.is_(None))
    return (await session.scalars(wanted.order_by(PrepaidEntry.at, PrepaidEntry.id))).all()


async def count_numbers(session: AsyncSession, tenant: str) -> int:
    return await session.scalar(select(func.count()).select_from(NumberOwner).where(NumberOwner.tenant == tenant)) or 0


async def page_of_numbers(session: AsyncSession, tenant: str, page: Cut) -> Sequence[NumberOwner]:
    return (await session.scalars(cut(select(NumberOwner).where(NumberOwner.tenant == tenant), NumberOwner.number, page))).all()


async def claims(session: AsyncSession) -> Sequence[SourceClaim]:
    return (await session.scalars(select(SourceClaim).order_by(SourceClaim.tenant, SourceClaim.network, SourceClaim.id))).all()


async def grants(session: AsyncSession) -> Sequence[SourceGrant]:
    return (await session.scalars(select(SourceGrant).order_by(SourceGrant.tenant, SourceGrant.network, SourceGrant.id))).all()


async def customers(session: AsyncSession) -> Sequence[CarrierCustomer]:
    return (await session.scalars(select(CarrierCustomer))).all()


async def customer(session: AsyncSession, tenant: str, address: str) -> CarrierCustomer | None:
    return await session.get(CarrierCustomer, (tenant, address))


async def forget_customers(session: AsyncSession, before: datetime) -> None:
    """Those that no carrier answered since."""
    await session.execute(delete(CarrierCustomer).where(CarrierCustomer.at < before))


async def caller_ids(session: AsyncSession, tenant: str) -> Sequence[CallerIdGrant]:
    return (await session.scalars(select(CallerIdGrant).where(CallerIdGrant.tenant == tenant).order_by(CallerIdGrant.number))).all()


async def free(session: AsyncSession, tenant: str, numbers: Collection[str], sources: Collection[str]) -> None:
    """Give back what the tenant took itself; what the operator assigned stays its own."""
    for number in numbers:
        await session.execute(
            delete(NumberOwner).where(NumberOwner.number == number, NumberOwner.tenant == tenant, NumberOwner.how != "assigned")
        )
    for source in sources:
        await session.execute(delete(SourceClaim).where(SourceClaim.network == source, SourceClaim.tenant == tenant))


async def free_all(session: AsyncSession, tenant: str) -> None:
    """A tenant is closed for good: its numbers and sources can be had by others. Its domain stays its own."""
    for table in (NumberOwner, SourceClaim, SourceGrant, CallerIdGrant, CarrierCustomer):
        await session.execute(delete(table).where(table.tenant == tenant))


async def forget(session: AsyncSession, tenant: str) -> None:
    """A tenant did not come about."""
    await free_all(session, tenant)
    await session.execute(delete(PrepaidEntry).where(PrepaidEntry.tenant == tenant))
    await session.execute(delete(Rights).where(Rights.tenant == tenant))


async def longest(session: AsyncSession, tenants: Sequence[str]) -> str | None:
    """Of these names the longest that a tenant has."""
    found = (await session.scalars(select(Rights.tenant).where(Rights.tenant.in_(tenants)))).all() if tenants else ()
    return max(found, key=len, default=None)
