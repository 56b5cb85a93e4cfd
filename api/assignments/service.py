"""Use cases of assignments: a tenant takes what is free and gives it back; the operator assigns, grants, withdraws; what was there is kept.

What a tenant takes is written in the control database before its own transaction ends, and given back when that fails: a crash between
the two leaves a claim without a document, which the tenant can use and the operator can withdraw, and never a thing that two have.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import TenantId
from acd.numbers import is_emergency, may_be_shown
from acd.service import DialRules, TenantSetup
from acd.strangers import Network
from api.assignments import repository
from api.assignments.errors import (
    CallerIdNotYours,
    DomainTaken,
    InternalNotAllowed,
    NeverShown,
    NotAssigned,
    NotFree,
    NumberTaken,
    PeerNotFree,
    SourceNotFree,
    TooManyClaims,
    TooWide,
    UnknownAssignment,
)
from api.assignments.models import CallerIdGrant, NumberOwner, PrepaidEntry, Rights, SourceClaim, SourceGrant
from api.assignments.rules import Wanted, covers, domain_of, is_special, is_wide, overlaps, own_claims, places, prepaid, wanted_by
from api.assignments.rules import network as as_network
from api.assignments.trail import ANOTHER, OPERATOR, note, note_refusal
from api.audit import By
from api.db import Unit, UnknownTenant
from api.errors import Problem
from api.kit.ids import drawn_id
from api.kit.paging import Cut
from api.services import Assigned, Services

log = logging.getLogger(__name__)

MOST_NUMBERS = 10_000
"""What a tenant can take by itself, lest one takes the Internet in advance: a block of ten thousand numbers, the largest that is given out
(BNetzA, Rufnummernblöcke). The operator assigns more. Of sources: `[tenants] claim_networks`, `claim_addresses`."""


def held(services: Services, tenant: TenantId) -> Assigned:
    """What an open tenant has.

    Raises: UnknownTenant
    """
    try:
        return services.assigned[tenant]
    except KeyError:
        raise UnknownTenant(tenant) from None


def with_assigned(setup: TenantSetup, assigned: Assigned) -> TenantSetup:
    """The setup as the voice service takes it: sources that the tenant does not have (any more) are left out, and a trunk is the tenant's
    own PBX where the operator allows that only.
    """
    trunks = tuple(
        line
        if assigned.sources.issuperset(line.sources)
        else msgspec.structs.replace(line, sources=tuple(one for one in line.sources if one in assigned.sources))
        for line in setup.trunks
    )
    configuration = setup.configuration
    if not assigned.may_have_internal_trunks and any(trunk.internal for trunk in configuration.trunks):
        common = tuple(msgspec.structs.replace(trunk, internal=False) if trunk.internal else trunk for trunk in configuration.trunks)
        configuration = msgspec.structs.replace(configuration, trunks=common)
    if not assigned.prices_itself:
        services = tuple(
            msgspec.structs.replace(trunk, own_carrier=False) if trunk.own_carrier else trunk for trunk in configuration.trunks
        )
        configuration = msgspec.structs.replace(configuration, trunks=services)
        setup = msgspec.structs.replace(setup, plans=(), trunk_plans={})
    return msgspec.structs.replace(
        setup,
        configuration=configuration,
        trunks=trunks,
        domain=assigned.domain,
        assigned=assigned.numbers,
        caller_ids=assigned.caller_ids,
        granted=assigned.granted,
        dialling=_with_money(setup.dialling, assigned),
    )


def _with_money(dialling: DialRules, assigned: Assigned) -> DialRules:
    """With what the operator says: of two limits the lower one."""
    limits = [limit for limit in (dialling.per_hour, assigned.budget_per_hour) if limit is not None]
    per_hour = min(limits, default=None)
    return msgspec.structs.replace(dialling, per_hour=per_hour, paid_in=assigned.paid_in, since=assigned.paid_since)


# ---------------------------------------------------------------------- a tenant begins and ends


async def begin(services: Services, tenant: TenantId, domain: str | None) -> None:
    """Give a new tenant its telephony domain and its rights.

    Raises: DomainTaken
    """
    async with services.assignments_lock, services.databases.unit(None) as unit:
        await _learn(services, unit.session, await _begin(unit.session, services, tenant, domain))


async def _begin(session: AsyncSession, services: Services, tenant: TenantId, domain: str | None) -> Rights:
    realm = services.settings.sip.realm
    taken = await repository.domains(session)
    chosen = domain.lower() if domain is not None else domain_of(tenant, realm, taken)
    if chosen in taken or chosen == realm.lower():
        raise DomainTaken(chosen)
    allowed = services.settings.tenants
    rights = Rights(
        tenant=tenant,
        domain=chosen,
        may_claim_numbers=allowed.claim_numbers,
        may_have_internal_trunks=allowed.internal_trunks,
        may_have_bare_names=allowed.bare_device_names,
    )
    session.add(rights)
    await session.flush()
    return rights


async def end(services: Services, tenant: TenantId, *, for_good: bool) -> None:
    """A tenant was closed: what it had can be had by others; not `for_good`: it did not come about, and leaves nothing."""
    services.assigned.pop(tenant, None)
    async with services.assignments_lock, services.databases.unit(None) as unit:
        if for_good:
            await repository.free_all(unit.session, tenant)
        else:
            await repository.forget(unit.session, tenant)


async def admit(services: Services, setup: TenantSetup, now: datetime) -> None:
    """A tenant opens: know what it has. One of a release that knew no owners keeps what it used, as far as nobody had it before."""
    tenant = setup.configuration.tenant
    lost: list[tuple[str, str]] = []
    async with services.assignments_lock, services.databases.unit(None) as unit:
        session = unit.session
        rights = await repository.rights(session, tenant)
        if rights is None:
            rights = await _begin(session, services, tenant, None)
            used = wanted_by(setup)
            rights.may_claim_numbers = rights.may_have_bare_names = True
            rights.may_have_internal_trunks = rights.may_have_internal_trunks or used.is_internal
            lost = await _inherit(session, tenant, used, now)
        await _learn(services, session, rights)
    for owner, number in lost:
        log.error("! tenant %s: the number %s is set up and is another tenant's: calls to it are not this tenant's", tenant, number)
        await note_refusal(services, tenant, OPERATOR, TenantId(owner), "number", number, now)


async def read(services: Services, tenant: TenantId) -> Assigned:
    """What a tenant has, as the control database says.

    Raises: UnknownAssignment
    """
    async with services.databases.unit(None) as unit:
        return await _read(unit.session, await _rights(unit.session, tenant))


async def _read(session: AsyncSession, rights: Rights) -> Assigned:
    has = await repository.belongings(session, rights.tenant)
    balance = prepaid(await repository.payments(session, rights.tenant))
    return Assigned(
        domain=rights.domain,
        may_claim_numbers=rights.may_claim_numbers,
        numbers=frozenset(has["number"]),
        sources=frozenset(has["source"]),
        caller_ids=frozenset(has["caller_id"]),
        granted=tuple(has["grant"]),
        may_have_internal_trunks=rights.may_have_internal_trunks,
        may_have_bare_names=rights.may_have_bare_names,
        limits=rights.limits or {},
        budget_per_hour=None if rights.budget_per_hour is None else Decimal(rights.budget_per_hour),
        paid_in=None if balance is None else balance.paid_in,
        paid_since=None if balance is None else balance.since,
        own_prices=rights.own_prices,
    )


async def _inherit(session: AsyncSession, tenant: TenantId, used: Wanted, now: datetime) -> list[tuple[str, str]]:
    """Let the tenant keep what it used; returns owner and number of those that an older tenant has."""
    owners = await repository.owners(session, used.numbers | used.caller_ids)
    numbers = [number for number in sorted(used.numbers) if number not in owners]
    session.add_all([NumberOwner(number=number, tenant=tenant, how="inherited", at=now) for number in numbers])
    claims = await repository.claims(session)
    others = [as_network(claim.network) for claim in claims if claim.tenant != tenant]
    for source in sorted(used.sources):
        network = as_network(source)
        if is_wide(network):
            log.warning(
                "! tenant %s: its calls come from %s, a wider network than a tenant may name by itself now. They are taken as before the "
                "update, but whoever changes the trunk is asked for a grant: POST /api/v1/tenants/%s/sources, or let the tenant name just "
                "the addresses it calls from", tenant, source, tenant,
            )  # fmt: skip
        if overlaps(network, others):
            log.warning("! tenant %s: the source %s is another tenant's too: the assigned number decides whose a call is", tenant, source)
        session.add(SourceClaim(id=drawn_id(), tenant=tenant, network=source, how="inherited", at=now))
    for number in sorted(used.caller_ids - set(numbers)):
        owner = owners.get(number)
        if may_be_shown(number) and (owner is None or owner.tenant == tenant):
            session.add(CallerIdGrant(tenant=tenant, number=number, at=now))
    await session.flush()
    return [(owners[number].tenant, number) for number in sorted(used.numbers) if number in owners]


# ---------------------------------------------------------------------- a tenant takes and gives back


async def claim(unit: Unit, services: Services, tenant: TenantId, by: By, before: Wanted, after: Wanted, now: datetime) -> None:
    """Take what a changed document needs more than it did; it is given back when the tenant's transaction fails.

    Raises: NotAssigned, NotFree, TooWide, SourceNotFree, CallerIdNotYours, NeverShown, InternalNotAllowed
    """
    assigned = held(services, tenant)
    if after.is_internal and not assigned.may_have_internal_trunks:
        unit.otherwise(lambda: note_refusal(services, tenant, by, None, "trunk", "internal", now))
        raise InternalNotAllowed
    own = assigned.numbers | after.numbers | assigned.caller_ids
    wrong = next(((one, why) for one in sorted(after.caller_ids - before.caller_ids) if (why := _not_shown(one, own)) is not None), None)
    if wrong is not None:
        number, problem = wrong
        owner = await _owner_of(services, number)
        unit.otherwise(lambda: note_refusal(services, tenant, by, owner, "caller_id", number, now))
        raise problem
    numbers, sources = after.numbers - assigned.numbers, after.sources - assigned.sources
    gone = Wanted(before.numbers - after.numbers, before.sources - after.sources)
    if numbers or sources:
        await _take(unit, services, tenant, by, Wanted(numbers, sources), gone, now)
    if gone.numbers or gone.sources:
        await _release(unit, services, tenant, gone)


def _not_shown(number: str, own: Collection[str]) -> Problem | None:
    """Why a tenant may not show a number; `own`: those it may."""
    if not may_be_shown(number):
        return NeverShown(number)
    return CallerIdNotYours(number) if number not in own else None


async def _owner_of(services: Services, number: str) -> TenantId | None:
    """Whose number it is."""
    async with services.databases.unit(None) as control:
        owner = (await repository.owners(control.session, [number])).get(number)
    return TenantId(owner.tenant) if owner is not None else None


def has(services: Services, tenant: TenantId, needs: Wanted) -> bool:
    """Whether the tenant has the numbers and sources, and the right to what else it needs."""
    assigned = held(services, tenant)
    if needs.is_internal and not assigned.may_have_internal_trunks:
        return False
    return needs.numbers <= assigned.numbers and needs.sources <= assigned.sources


async def may_be_bare(session: AsyncSession, services: Services, tenant: TenantId, username: str) -> bool:
    """Whether a device of the tenant may be known in the whole installation by its name alone, if nobody has the name yet.

    `<tenant>-…` is that tenant's, whoever comes first; a name that begins with no tenant's takes the operator's leave, lest one tenant
    keeps those that others will want.

    Args:
        session: of the control database.
    """
    parts = username.split("-")
    whose = await repository.longest(session, ["-".join(parts[:end]) for end in range(1, len(parts))])
    return held(services, tenant).may_have_bare_names if whose is None else whose == tenant


async def _take(unit: Unit, services: Services, tenant: TenantId, by: By, taken: Wanted, gone: Wanted, now: datetime) -> None:
    numbers, sources = taken.numbers, taken.sources
    shared: dict[str, set[TenantId]] = {}
    try:
        async with services.assignments_lock, services.databases.unit(None) as control:
            await _take_numbers(control.session, services, tenant, numbers, now)
            for source in sorted(sources):
                shared[source] = await _take_source(control.session, services, tenant, source, gone.sources, now)
            await control.session.flush()
    except _Refused as refused:
        at = refused
        unit.otherwise(lambda: note_refusal(services, tenant, by, at.owner, at.kind, at.subject, now))
        raise at.problem from None
    before = services.assigned[tenant]
    services.assigned[tenant] = replace(before, numbers=before.numbers | set(numbers), sources=before.sources | set(sources))

    async def give_back() -> None:
        await _give_back(services, tenant, numbers, sources)

    async def tell() -> None:
        for source, others in shared.items():
            for other in (tenant, *sorted(others)) if others else ():
                await note(services, other, by if other == tenant else ANOTHER, "claimed", "source", source, {"shared": True}, now)

    unit.otherwise(give_back)
    unit.then(tell)


class _Refused(Exception):
    """Why, and who has it; the rollback of the control database comes before anybody is told."""

    def __init__(self, problem: Problem, kind: str, subject: str, owner: TenantId | None) -> None:
        super().__init__(str(problem))
        self.problem, self.kind, self.subject, self.owner = problem, kind, subject, owner


async def _take_numbers(session: AsyncSession, services: Services, tenant: TenantId, numbers: Collection[str], now: datetime) -> None:
    owners = await repository.owners(session, numbers)
    left = MOST_NUMBERS - await repository.count_numbers(session, tenant)
    for number in sorted(numbers):
        owner = owners.get(number)
        if owner is not None and owner.tenant == tenant:
            continue
        if is_emergency(number):
            raise _Refused(NotAssigned(number), "number", number, None)
        if not services.assigned[tenant].may_claim_numbers:
            raise _Refused(NotAssigned(number), "number", number, TenantId(owner.tenant) if owner is not None else None)
        if owner is not None:
            raise _Refused(NotFree(number), "number", number, TenantId(owner.tenant))
        if (left := left - 1) < 0:
            raise _Refused(TooManyClaims("numbers", MOST_NUMBERS), "number", number, None)
        session.add(NumberOwner(number=number, tenant=tenant, how="claimed", at=now))


async def _take_source(
    session: AsyncSession, services: Services, tenant: TenantId, source: str, leaving: Collection[str], now: datetime
) -> set[TenantId]:
    """Claim a network; returns the other tenants that it is shared with by the operator's grant.

    Args:
        leaving: networks that the same document gives back.
    """
    network = as_network(source)
    claims, grants = await repository.claims(session), await repository.grants(session)
    granted = covers(network, [as_network(one.network) for one in grants if one.tenant == tenant])
    known: list[SourceClaim | SourceGrant] = [*claims, *grants]
    others = {TenantId(one.tenant) for one in known if one.tenant != tenant and overlaps(network, [as_network(one.network)])}
    # An address of which phones of others come is theirs, as if they had named it; one that no call can come from is nobody's.
    # So is one that their calls and registrations go to: they could go there no more, and whose account is known by our address?
    others |= (await services.voice.registered_in(source) | await services.voice.sends_to(source)) - {tenant}
    if not granted:
        if is_wide(network):
            raise _Refused(TooWide(source), "source", source, None)
        if others:
            raise _Refused(SourceNotFree(source), "source", source, min(others))
        if await _is_nobodys(services, network):
            raise _Refused(SourceNotFree(source), "source", source, None)
        kept = [one for one in claims if one.tenant == tenant and one.network not in leaving]
        mine = [as_network(one.network) for one in kept if one.how == "claimed"]
        _check_room(services, source, own_claims(mine, [as_network(one.network) for one in grants if one.tenant == tenant]))
    session.add(SourceClaim(id=drawn_id(), tenant=tenant, network=source, how="claimed", at=now))
    await session.flush()  # the next one of the document counts it
    return others


async def _is_nobodys(services: Services, network: Network) -> bool:
    """Whether no carrier's calls come from all of it: special addresses, this machine's own, and what the operator rules out. Whether
    tenants may call there is another question: for a demonstration the operator lets them reach loopback.
    """
    if is_special(network):
        return True
    for host in _hosts_of(network):
        if await services.voice.is_own(host) or not await services.voice.may_reach(host):
            return True
    return False


def _check_room(services: Services, source: str, taken: Sequence[Network]) -> None:
    """Whether the tenant may take one more by itself."""
    most = services.settings.tenants
    if len(taken) >= most.claim_networks:
        raise _Refused(TooManyClaims("networks", most.claim_networks), "source", source, None)
    if sum(map(places, taken)) + places(as_network(source)) > most.claim_addresses:
        raise _Refused(TooManyClaims("addresses", most.claim_addresses), "source", source, None)


def _hosts_of(network: Network) -> Iterator[str]:
    """The addresses to be asked of a network: all of an IPv4 network; of IPv6 the first, and this machine's own in it."""
    if network.version == 4 and not is_wide(network):
        yield from map(str, network)
        return
    yield str(network.network_address)
    with contextlib.suppress(OSError):  # the kernel has no IPv6
        lines = Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines()
        yield from (str(own) for line in lines if (own := ipaddress.IPv6Address(int(line[:32], 16))) in network)


async def check_peer(unit: Unit, services: Services, tenant: TenantId, by: By, place: str, host: str, now: datetime) -> None:
    """Whether the tenant's calls may go to a host, as far as other tenants are concerned; a refusal is in the audit of both.

    Raises: PeerNotFree
    """
    owners = await services.voice.owners_of(host, tenant)
    if owners:
        unit.otherwise(lambda: note_refusal(services, tenant, by, min(owners), "peer", host, now))
        raise PeerNotFree(place, host)


async def _release(unit: Unit, services: Services, tenant: TenantId, gone: Wanted) -> None:
    """Give back what a document that is gone needed, once the tenant's transaction is done."""
    before = services.assigned[tenant]
    async with services.databases.unit(None) as control:
        owners = await repository.owners(control.session, gone.numbers)
    numbers = {number for number, owner in owners.items() if owner.tenant == tenant and owner.how != "assigned"}
    services.assigned[tenant] = replace(before, numbers=before.numbers - numbers, sources=before.sources - gone.sources)

    async def take_back() -> None:
        now = services.assigned[tenant]
        kept = Wanted(before.numbers & numbers, before.sources & gone.sources)
        services.assigned[tenant] = replace(now, numbers=now.numbers | kept.numbers, sources=now.sources | kept.sources)

    unit.otherwise(take_back)
    unit.then(lambda: _give_back(services, tenant, numbers, gone.sources))


async def _give_back(services: Services, tenant: TenantId, numbers: Collection[str], sources: Collection[str]) -> None:
    """Free what a tenant took itself; what the operator changed meanwhile is read again."""
    async with services.assignments_lock, services.databases.unit(None) as control:
        await repository.free(control.session, tenant, numbers, sources)
        await _refresh(services, control.session, await _rights(control.session, tenant))


# ---------------------------------------------------------------------- the operator


async def allow(
    services: Services,
    tenant: TenantId,
    *,
    claim_numbers: bool | None = None,
    internal_trunks: bool | None = None,
    bare_names: bool | None = None,
    limits: Mapping[str, int] | None = None,
    budget: Budget | None = None,
) -> None:
    """Whether the tenant's administrators may take numbers that are free, have internal trunks, give devices any bare name; how much they
    may store where that is not what the settings say. None: as it was.

    Raises: UnknownAssignment
    """
    async with services.assignments_lock, services.databases.unit(None) as unit:
        rights = await _rights(unit.session, tenant)
        rights.may_claim_numbers = rights.may_claim_numbers if claim_numbers is None else claim_numbers
        rights.may_have_internal_trunks = rights.may_have_internal_trunks if internal_trunks is None else internal_trunks
        rights.may_have_bare_names = rights.may_have_bare_names if bare_names is None else bare_names
        rights.limits = rights.limits if limits is None else dict(limits)
        if budget is not None:
            rights.own_prices = rights.own_prices if budget.own_prices is None else budget.own_prices
            rights.budget_per_hour = None if budget.per_hour is None else str(budget.per_hour)
        await unit.session.flush()
        await _refresh(services, unit.session, rights)


@dataclass(frozen=True, slots=True)
class Budget:
    """What the operator lets a tenant spend within sixty minutes; None: as much as it lets itself."""

    per_hour: Decimal | None
    own_prices: bool | None = None
    """Whether the tenant's own tariffs hold all the same; None: as it was."""


async def pay(services: Services, tenant: TenantId, amount: Decimal, text: str, now: datetime) -> PrepaidEntry:
    """Book a payment, or a correction (below 0). The first makes the tenant prepaid: from then on its calls cost what is there.

    Raises: UnknownAssignment
    """
    async with services.assignments_lock, services.databases.unit(None) as unit:
        rights = await _rights(unit.session, tenant)
        entry = PrepaidEntry(id=drawn_id(), tenant=tenant, at=now, amount=str(amount), note=text, closed_at=None)
        unit.session.add(entry)
        await unit.session.flush()
        await _refresh(services, unit.session, rights)
    await note(services, tenant, OPERATOR, "created", "prepaid", str(amount), {"note": text}, now)
    return entry


async def end_prepaid(services: Services, tenant: TenantId, now: datetime) -> None:
    """The tenant is prepaid no more; its payments stay written down.

    Raises: UnknownAssignment
    """
    async with services.assignments_lock, services.databases.unit(None) as unit:
        rights = await _rights(unit.session, tenant)
        paid = await repository.payments(unit.session, tenant)
        if not paid:
            raise UnknownAssignment("prepaid balance")
        for one in paid:
            one.closed_at = now
        await unit.session.flush()
        await _refresh(services, unit.session, rights)
    await note(services, tenant, OPERATOR, "closed", "prepaid", tenant, None, now)


async def payments(session: AsyncSession, tenant: TenantId) -> Sequence[PrepaidEntry]:
    """What was paid in since the tenant is prepaid, the oldest first."""
    return await repository.payments(session, tenant)


async def assign(services: Services, tenant: TenantId, numbers: Sequence[str], now: datetime) -> None:
    """Assign numbers to a tenant; those it has already become the operator's to take away.

    Raises: NumberTaken: the first that another tenant has; none is assigned then.
    """
    async with services.assignments_lock, services.databases.unit(None) as unit:
        rights = await _rights(unit.session, tenant)
        owners = await repository.owners(unit.session, numbers)
        for number in dict.fromkeys(numbers):
            owner = owners.get(number)
            if owner is None:
                unit.session.add(NumberOwner(number=number, tenant=tenant, how="assigned", at=now))
            elif owner.tenant == tenant:
                owner.how = "assigned"
            else:
                raise NumberTaken(number, owner.tenant)
        await unit.session.flush()
        await _refresh(services, unit.session, rights)
    for number in numbers:
        await note(services, tenant, OPERATOR, "granted", "number", number, None, now)


async def withdraw_number(services: Services, tenant: TenantId, number: str, now: datetime) -> None:
    """Take a number from a tenant. What the tenant has set up for it stays, and means nothing where the source is shared.

    Raises: UnknownAssignment
    """
    async with services.assignments_lock, services.databases.unit(None) as unit:
        rights = await _rights(unit.session, tenant)
        owner = (await repository.owners(unit.session, [number])).get(number)
        if owner is None or owner.tenant != tenant:
            raise UnknownAssignment(f"number {number}")
        await unit.session.delete(owner)
        await unit.session.flush()
        await _refresh(services, unit.session, rights)
    await note(services, tenant, OPERATOR, "deleted", "number", number, None, now)


async def give_source(services: Services, tenant: TenantId, network: str, remark: str, now: datetime) -> SourceGrant:
    """Let a tenant's trunks take calls from a network, though it is wide, or another tenant's too."""
    async with services.assignments_lock, services.databases.unit(None) as unit:
        rights = await _rights(unit.session, tenant)
        found = next((one for one in await repository.grants(unit.session) if (one.tenant, one.network) == (tenant, network)), None)
        if found is not None:
            found.note = remark or found.note
            return found
        grant = SourceGrant(id=drawn_id(), tenant=tenant, network=network, note=remark, at=now)
        unit.session.add(grant)
        await unit.session.flush()
        await _refresh(services, unit.session, rights)
        others = {
            TenantId(one.tenant)
            for one in await repository.claims(unit.session)
            if one.tenant != tenant and overlaps(as_network(network), [as_network(one.network)])
        }
    others |= await services.voice.sends_to(network) - {tenant}
    await note(services, tenant, OPERATOR, "granted", "source", network, {"note": remark}, now)
    for other in sorted(others):
        await note(services, other, OPERATOR, "granted", "source", network, {"shared": True}, now)
    return grant


async def withdraw_source(services: Services, tenant: TenantId, key: str, now: datetime) -> None:
    """Take a grant from a tenant, and with it every claim that does not hold without; or take a claim.

    Raises: UnknownAssignment
    """
    async with services.assignments_lock, services.databases.unit(None) as unit:
        session = unit.session
        rights = await _rights(session, tenant)
        claims, grants = await repository.claims(session), await repository.grants(session)
        known: list[SourceClaim | SourceGrant] = [*grants, *claims]
        found = next((one for one in known if one.id == key and one.tenant == tenant), None)
        if found is None:
            raise UnknownAssignment(f"source {key}")
        network = found.network
        await session.delete(found)
        if isinstance(found, SourceGrant):
            left = [as_network(one.network) for one in grants if one.tenant == tenant and one is not found]
            others = [as_network(one.network) for one in known if one.tenant != tenant]
            for one in (one for one in claims if one.tenant == tenant and covers(as_network(one.network), [as_network(found.network)])):
                source = as_network(one.network)
                if not covers(source, left) and (is_wide(source) or overlaps(source, others) or await _is_nobodys(services, source)):
                    await session.delete(one)
        await session.flush()
        await _refresh(services, session, rights)
    await note(services, tenant, OPERATOR, "deleted", "source", network, None, now)


async def grant_caller_id(services: Services, tenant: TenantId, number: str, now: datetime) -> None:
    """Let a tenant show a number that is not assigned to it.

    Raises: NeverShown
    """
    if not may_be_shown(number):
        raise NeverShown(number)
    async with services.assignments_lock, services.databases.unit(None) as unit:
        rights = await _rights(unit.session, tenant)
        if all(row.number != number for row in await repository.caller_ids(unit.session, tenant)):
            unit.session.add(CallerIdGrant(tenant=tenant, number=number, at=now))
            await unit.session.flush()
        await _refresh(services, unit.session, rights)
    await note(services, tenant, OPERATOR, "granted", "caller_id", number, None, now)


async def withdraw_caller_id(services: Services, tenant: TenantId, number: str, now: datetime) -> None:
    """Take a caller id back; calls show the trunk's, or none.

    Raises: UnknownAssignment
    """
    async with services.assignments_lock, services.databases.unit(None) as unit:
        rights = await _rights(unit.session, tenant)
        found = next((row for row in await repository.caller_ids(unit.session, tenant) if row.number == number), None)
        if found is None:
            raise UnknownAssignment(f"caller id {number}")
        await unit.session.delete(found)
        await unit.session.flush()
        await _refresh(services, unit.session, rights)
    await note(services, tenant, OPERATOR, "deleted", "caller_id", number, None, now)


async def _rights(session: AsyncSession, tenant: TenantId) -> Rights:
    found = await repository.rights(session, tenant)
    if found is None:
        raise UnknownAssignment("rights: there is no such tenant, or it was never open since the upgrade")
    return found


async def _refresh(services: Services, session: AsyncSession, rights: Rights) -> None:
    tenant = TenantId(rights.tenant)
    if tenant in services.assigned:
        await _learn(services, session, rights)


async def _learn(services: Services, session: AsyncSession, rights: Rights) -> None:
    tenant = TenantId(rights.tenant)
    services.assigned[tenant] = read = await _read(session, rights)
    services.databases.quotas.set(tenant, read.limits)


# ---------------------------------------------------------------------- reading


async def rights_of(session: AsyncSession, tenant: TenantId) -> Rights:
    """The tenant's domain and rights.

    Raises: UnknownAssignment
    """
    return await _rights(session, tenant)


async def numbers(session: AsyncSession, tenant: TenantId, page: Cut) -> Sequence[NumberOwner]:
    """A page of the tenant's numbers, and one more."""
    return await repository.page_of_numbers(session, tenant, page)


async def count_of_numbers(session: AsyncSession, tenant: TenantId) -> int:
    """How many it has."""
    return await repository.count_numbers(session, tenant)


async def sources(session: AsyncSession, tenant: TenantId) -> tuple[list[SourceGrant], list[SourceClaim], set[str]]:
    """Grants, claims, and ids of the claims that other tenants have too."""
    claims, grants = await repository.claims(session), await repository.grants(session)
    others = [as_network(one.network) for one in claims if one.tenant != tenant]
    own = [one for one in claims if one.tenant == tenant]
    shared = {one.id for one in own if overlaps(as_network(one.network), others)}
    return [one for one in grants if one.tenant == tenant], own, shared


async def all_sources(session: AsyncSession) -> list[tuple[SourceClaim, bool, bool]]:
    """The claims of all tenants; of each whether another tenant has it too, and whether a grant covers it."""
    claims, grants = await repository.claims(session), await repository.grants(session)
    networks = {one.id: as_network(one.network) for one in claims}
    granted: dict[str, list[Network]] = {}
    for grant in grants:
        granted.setdefault(grant.tenant, []).append(as_network(grant.network))
    told = []
    for one in claims:
        others = (networks[other.id] for other in claims if other.tenant != one.tenant)
        told.append((one, overlaps(networks[one.id], others), covers(networks[one.id], granted.get(one.tenant, ()))))
    return told


async def caller_ids(session: AsyncSession, tenant: TenantId) -> Sequence[CallerIdGrant]:
    """Numbers it may show beside its own."""
    return await repository.caller_ids(session, tenant)
