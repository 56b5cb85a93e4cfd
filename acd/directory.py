"""Who is who in all tenants together: devices by tenant and name, trunks by where they come from, numbers by tenant (pure).

No tenant can take what is another's: a device is found in its tenant, by the tenant's telephony domain or because the bare name was its
first; a call from a source that several tenants have is of the tenant to whom the number that was called is assigned, and of nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

from acd.core.configuration import Agent, Site, TenantConfiguration
from acd.core.configuration_changes import middles
from acd.core.ids import AgentId, SiteId, TenantId, TrunkId
from acd.networks import forms
from acd.numbers import hears_who_calls, is_private, may_be_shown
from acd.service import Device, Sighting, Srtp, TenantSetup, TrunkLine
from sip.source import Network, address_of, is_within, network_of

T = TypeVar("T")

ANONYMOUS = "anonymous"
"""User part of who does not say a number (RFC 3323 §4.1.1.3)."""
PROVEN = 1000
"""The width of a network that is narrower than every network: who has proved who he is."""
MAX_HOSTS = 10_000
"""Senders whose lines are remembered."""


@dataclass(slots=True)
class _Line:
    tenant: TenantId
    line: TrunkLine
    networks: tuple[Network, ...]


Called = Callable[[TrunkLine], str]
"""The number that a request means, if it comes over this trunk."""


@dataclass(frozen=True, slots=True)
class Nobodys:
    """A request from a source that tenants have, for a number that is none of theirs."""


NOBODYS = Nobodys()


def device_aor(tenant: TenantId, username: str) -> str:
    """The address of record of a device inside the house: its name belongs to the tenant."""
    return f"{username}@{tenant}"


def _enter(table: dict[TenantId, T], tenant: TenantId, value: T | None) -> None:
    table.pop(tenant, None)
    if value is not None:
        table[tenant] = value


@dataclass(slots=True)
class Directory:
    """Follows the setups, a change at the price of what changed; reading it costs a dictionary look-up."""

    setups: dict[TenantId, TenantSetup] = field(default_factory=dict)
    suspended: set[TenantId] = field(default_factory=set)
    """Tenants that are known and that no exchange decides for: whoever asks for them is told to come again (503)."""
    _devices: dict[tuple[TenantId, str], Device] = field(default_factory=dict)
    _bare: dict[str, TenantId] = field(default_factory=dict)
    """Device name -> the tenant that had it first."""
    _domains: dict[str, TenantId] = field(default_factory=dict)
    """Telephony domain -> whose it is."""
    _device_of_agent: dict[tuple[TenantId, AgentId], Device] = field(default_factory=dict)
    _lines: dict[TenantId, tuple[_Line, ...]] = field(default_factory=dict)
    _numbers: dict[TenantId, frozenset[str]] = field(default_factory=dict)
    _assigned: dict[str, frozenset[TenantId]] = field(default_factory=dict)
    """Number -> whose it is; one tenant's, but for the moment in which it goes from one to another."""
    _agents: dict[tuple[TenantId, AgentId], Agent] = field(default_factory=dict)
    _internal: set[tuple[TenantId, TrunkId]] = field(default_factory=set)
    _main_numbers: dict[TenantId, str] = field(default_factory=dict)
    """The lowest number that is assigned to a tenant and may be shown, as text is ordered."""
    _only_carriers: dict[TenantId, TrunkId] = field(default_factory=dict)
    """The trunk over which all calls to the outside go, where a tenant has one only."""
    _contacts: dict[str, tuple[TenantId, TrunkId]] = field(default_factory=dict)
    """User parts of our Contacts at carriers."""
    _addresses: dict[tuple[TenantId, TrunkId], frozenset[str]] = field(default_factory=dict)
    """What the names of registering trunks stand for."""
    _peers: dict[tuple[TenantId, TrunkId], frozenset[str]] = field(default_factory=dict)
    """Addresses that a trunk's calls and registrations go to, as its names were last asked for."""
    _customers: set[tuple[TenantId, str]] = field(default_factory=set)
    """Tenant, and address of a carrier that has shown that the tenant is its customer."""
    _sightings: dict[Sighting, None] = field(default_factory=dict)
    """What is to be written down of lines, in order."""
    _identified: dict[str, dict[tuple[TenantId, TrunkId], _Line]] = field(default_factory=dict)
    """What certificates prove -> the lines that have to prove it."""
    _lines_of: dict[str, tuple[tuple[_Line, int], ...]] = field(default_factory=dict)
    """Host -> the lines it may belong to, each with the width of the network that says so; kept while nothing changes."""

    def put(self, setup: TenantSetup) -> None:
        """Add or replace a tenant.

        Raises: ValueError: a bare device name or the telephony domain is already another tenant's, or a trunk's source is no network.
        """
        tenant = setup.configuration.tenant
        before = self.setups.get(tenant) or TenantSetup(configuration=TenantConfiguration(tenant=tenant))
        for device in middles(before.devices, setup.devices)[2]:
            if device.bare and self._bare.get(device.username, tenant) != tenant:
                raise ValueError(f"device {device.username}: the bare user name is taken")
        if setup.domain and self._domains.get(setup.domain.lower(), tenant) != tenant:
            raise ValueError(f"tenant {tenant}: the telephony domain {setup.domain} is taken")
        if setup.trunks != before.trunks:
            self._check_sources(setup)
        self.setups[tenant] = setup
        self._follow(tenant, before, setup)

    @staticmethod
    def _check_sources(setup: TenantSetup) -> None:
        for line in setup.trunks:
            for source in line.sources:
                try:
                    network_of(source)
                except ValueError as error:
                    raise ValueError(f"trunk {line.id}: source {source!r} is not an IP network: {error}") from None

    def drop(self, tenant: TenantId) -> None:
        """Forget a tenant."""
        self.suspended.discard(tenant)
        before = self.setups.pop(tenant, None)
        if before is not None:
            self._follow(tenant, before, TenantSetup(configuration=TenantConfiguration(tenant=tenant)))
            del self._numbers[tenant], self._lines[tenant]
            self._main_numbers.pop(tenant, None)
            self._only_carriers.pop(tenant, None)

    def _follow(self, tenant: TenantId, before: TenantSetup, after: TenantSetup) -> None:
        """What was entered for `before` is what `after` says."""
        _, gone, come = middles(before.devices, after.devices)
        for device in gone:
            self._devices.pop((tenant, device.username), None)
            self._device_of_agent.pop((tenant, device.agent), None)
            if device.bare:
                self._bare.pop(device.username, None)
        for device in come:
            self._devices[tenant, device.username] = device
            self._device_of_agent[tenant, device.agent] = device
            if device.bare:
                self._bare[device.username] = tenant
        if before.domain != after.domain:
            self._domains.pop(before.domain.lower(), None)
            if after.domain:
                self._domains[after.domain.lower()] = tenant
        if before.assigned != after.assigned:
            self._follow_assigned(tenant, before.assigned, after.assigned)
        old, new = before.configuration, after.configuration
        _, left, joined = middles(old.agents, new.agents)
        for agent in left:
            del self._agents[tenant, agent.id]
        self._agents.update({(tenant, agent.id): agent for agent in joined})
        if tenant not in self._numbers or new.numbers is not old.numbers:
            self._numbers[tenant] = frozenset(number.number for number in new.numbers)
        if new.trunks is not old.trunks:
            self._internal.difference_update([(tenant, trunk.id) for trunk in old.trunks])
            self._internal.update((tenant, trunk.id) for trunk in new.trunks if trunk.internal)
            carriers = [trunk.id for trunk in new.trunks if trunk.outbound and not trunk.internal]
            _enter(self._only_carriers, tenant, carriers[0] if len(carriers) == 1 else None)
        if after.assigned is not before.assigned:
            shown = (number for number in after.assigned if may_be_shown(number))
            _enter(self._main_numbers, tenant, min(shown, default=None))
        if tenant not in self._lines or after.trunks != before.trunks:
            self._lines[tenant] = tuple(_Line(tenant, line, tuple(map(network_of, line.sources))) for line in after.trunks)
            self._lines_of.clear()
            self._follow_identities(tenant, before.trunks)

    def _follow_identities(self, tenant: TenantId, before: Iterable[TrunkLine]) -> None:
        for name in {line.tls_identity for line in before} - {None}:
            left = {key: one for key, one in self._identified.pop(str(name), {}).items() if key[0] != tenant}
            if left:
                self._identified[str(name)] = left
        for line in self._lines[tenant]:
            if line.line.tls_identity is not None:
                self._identified.setdefault(line.line.tls_identity, {})[tenant, line.line.id] = line

    def _follow_assigned(self, tenant: TenantId, before: frozenset[str], after: frozenset[str]) -> None:
        for number in before - after:
            left = self._assigned[number] - {tenant}
            if left:
                self._assigned[number] = left
            else:
                del self._assigned[number]
        for number in after - before:
            self._assigned[number] = self._assigned.get(number, frozenset()) | {tenant}

    def device_at(self, aor: str) -> tuple[TenantId, Device] | None:
        """The device behind an address of record that `device_aor` made."""
        username, _, tenant = aor.rpartition("@")
        device = self._devices.get((TenantId(tenant), username))
        return None if device is None else (TenantId(tenant), device)

    def device_named(self, tenant: TenantId, name: str) -> Device | None:
        """The tenant's device of this user name, `anna` or `anna@acme.example` with the tenant's telephony domain."""
        username, at, domain = name.rpartition("@")
        if at and self._domains.get(domain.lower()) != tenant:
            return None
        return self._devices.get((tenant, username if at else name))

    def has_extension(self, tenant: TenantId, number: str) -> bool:
        """Whether somebody has it; looks through all agents."""
        setup = self.setups.get(tenant)
        return setup is not None and any(agent.extension == number for agent in setup.configuration.agents)

    def has_own_line(self, tenant: TenantId) -> bool:
        """Whether calls go out over a line of the tenant's own too, a PBX say."""
        setup = self.setups.get(tenant)
        return setup is not None and any(trunk.internal and trunk.outbound for trunk in setup.configuration.trunks)

    def account(self, login: str, domain: str) -> tuple[TenantId, Device, bool] | None:
        """Whose device proves itself.

        Args:
            login: the digest's user name: `anna`, or `anna@acme.example` with the tenant's telephony domain.
            domain: of the address of record that the request speaks for.
        Returns: tenant, device, and whether the long name was given. A bare name under no tenant's domain is of whoever had it first.
        """
        username, at, named = login.rpartition("@")
        tenant = self._domains.get((named if at else domain).lower())
        if not at:
            username = login
            tenant = tenant or self._bare.get(login)
        device = self._devices.get((tenant, username)) if tenant is not None else None
        return None if tenant is None or device is None else (tenant, device, bool(at))

    def tenant_of_domain(self, domain: str) -> TenantId | None:
        """Whose telephony domain it is."""
        return self._domains.get(domain.lower())

    def caller_id(self, tenant: TenantId, trunk: TrunkId, *wishes: str | None) -> str | None:
        """The first of the wishes that the tenant may show over the trunk (§ 120 TKG); None: none of them.

        To its own PBX a tenant shows what it likes, internal numbers too.
        """
        setup = self.setups[tenant]
        internal = self.is_internal(tenant, trunk)
        for number in wishes:
            if number is None or not (may_be_shown(number) or (internal and is_private(number))):
                continue
            if internal or setup.caller_ids is None or number in setup.assigned or number in setup.caller_ids:
                return number
        return None

    def shown(self, tenant: TenantId, trunk: TrunkId, called: str, *wishes: str | None) -> str:
        """What a call to the outside shows: the first of the wishes that the tenant may show, else a number that is assigned to it.

        Where nobody wished anything, the lowest assigned number, if it surely lies at this trunk: it is the tenant's only one, or the trunk
        its only carrier. To emergency services in any case (§ 15 TDDDG, § 164 TKG: no call to them hides its number).
        """
        chosen, main = self.caller_id(tenant, trunk, *wishes), self._main_numbers.get(tenant)
        if chosen is None and main is not None:
            lies_there = len(self.setups[tenant].assigned) == 1 or self._only_carriers.get(tenant) == trunk
            if hears_who_calls(called) or (lies_there and not self.is_internal(tenant, trunk)):
                chosen = main
        return chosen or ANONYMOUS

    def device_of(self, tenant: TenantId, agent: AgentId) -> Device | None:
        return self._device_of_agent.get((tenant, agent))

    def has_number(self, tenant: TenantId, number: str) -> bool:
        """Whether calls from outside to this number lead anywhere."""
        return number in self._numbers.get(tenant, ())

    def agent(self, tenant: TenantId, agent: AgentId) -> Agent | None:
        return self._agents.get((tenant, agent))

    def site(self, tenant: TenantId, site: SiteId) -> Site | None:
        setup = self.setups.get(tenant)
        return next((one for one in setup.configuration.sites if one.id == site), None) if setup is not None else None

    def site_of(self, tenant: TenantId, agent: AgentId) -> Site | None:
        """Where a person sits."""
        person = self.agent(tenant, agent)
        return self.site(tenant, person.site) if person is not None and person.site is not None else None

    def trunk(self, tenant: TenantId, trunk: TrunkId) -> TrunkLine | None:
        setup = self.setups.get(tenant)
        if setup is None:
            return None
        return next((line for line in setup.trunks if line.id == trunk), None)

    def srtp_of(self, tenant: TenantId, line: TrunkLine) -> Srtp:
        """What calls over a trunk do with keys for their audio."""
        return line.srtp or self.setups[tenant].srtp

    def srtp_of_phone(self, tenant: TenantId, agent: AgentId | None) -> Srtp:
        """The same of the phone of an agent."""
        setup = self.setups[tenant]
        if agent is None:
            return setup.srtp
        site = self.agent_site(tenant, agent)
        return setup.phones_srtp.get(agent) or (setup.sites_srtp.get(site) if site is not None else None) or setup.srtp

    def line_is_encrypted(self, tenant: TenantId, line: TrunkLine) -> bool:
        """Whether a trunk signals under encryption alone: it or its tenant says so, or it has to prove what only TLS proves."""
        return "encrypted" in {line.signalling, self.setups[tenant].signalling} or line.tls_identity is not None

    def phone_is_encrypted(self, tenant: TenantId, agent: AgentId) -> bool:
        """The same of an agent's phone: it, its site or its tenant says so."""
        setup = self.setups[tenant]
        if setup.signalling == "encrypted" or agent in setup.encrypted_phones:
            return True
        return bool(setup.encrypted_sites) and self.agent_site(tenant, agent) in setup.encrypted_sites

    def agent_site(self, tenant: TenantId, agent: AgentId) -> SiteId | None:
        """The name of where a person sits."""
        person = self.agent(tenant, agent)
        return person.site if person is not None else None

    def is_internal(self, tenant: TenantId, trunk: TrunkId) -> bool:
        """Whether a trunk is the tenant's own line, over which calls have no price."""
        return (tenant, trunk) in self._internal

    def learn_contact(self, user: str, tenant: TenantId, trunk: TrunkId) -> None:
        """We register at this trunk's carrier with `user` in the Contact: whoever calls it got it from there."""
        self._contacts[user] = (tenant, trunk)

    def learn_addresses(self, tenant: TenantId, trunk: TrunkId, hosts: Iterable[str]) -> None:
        """The names of a trunk we register at stand for these addresses."""
        self._addresses[tenant, trunk] = frozenset(str(address) for host in hosts if (address := address_of(host)) is not None)
        self._lines_of.clear()

    def learn_peers(self, tenant: TenantId, trunk: TrunkId, addresses: Iterable[str]) -> None:
        """Calls and registrations of this trunk go to these addresses."""
        self._peers[tenant, trunk] = frozenset(addresses)

    def peers_of(self, tenant: TenantId, trunk: TrunkId) -> frozenset[str]:
        """Addresses that calls and registrations of this trunk go to."""
        return self._peers.get((tenant, trunk), frozenset())

    def is_source_of(self, tenant: TenantId, trunk: TrunkId, host: str) -> bool:
        """Whether the trunk's calls may come from this address, as its `sources` say."""
        return any(line.line.id == trunk and is_within(host, line.networks) for line in self._lines.get(tenant, ()))

    def sends_to(self, network: str) -> frozenset[TenantId]:
        """The tenants whose trunks' calls or registrations go to a network, where something shows that they are that carrier's customers:
        to name a host proves nothing. Who claims the network as a source cuts them off (`may_send`).
        """
        within = (network_of(network),)
        return frozenset(
            tenant
            for (tenant, _), addresses in self._peers.items()
            if any(is_within(one, within) and (tenant, one) in self._customers for one in addresses)
        )

    def remember_customers(self, known: Iterable[tuple[TenantId, str]]) -> None:
        """What was seen before this process began."""
        self._customers.update(known)

    def saw_answer(self, tenant: TenantId, trunk: TrunkId, host: str) -> None:
        """A call of this trunk was answered, or its registration accepted, by this host: the tenant is a customer where it asked to be one.

        An answer that comes from elsewhere proves nothing of that host.
        """
        address = address_of(host)
        if address is not None and str(address) in self.peers_of(tenant, trunk):
            self._customers.add((tenant, str(address)))
            self._note(Sighting(tenant=tenant, address=str(address), what="answered"))

    def saw_call(self, tenant: TenantId, host: str) -> None:
        """A call came over one of the tenant's trunks from this host."""
        address = address_of(host)
        if address is not None:
            self._note(Sighting(tenant=tenant, address=str(address), what="called"))

    def saw_refusal(self, tenant: TenantId, host: str) -> None:
        """A name of the tenant's stands for an address where other tenants' calls come from; nothing was sent there."""
        self._note(Sighting(tenant=tenant, address=host, what="refused"))

    def _note(self, sighting: Sighting) -> None:
        if len(self._sightings) < MAX_HOSTS:
            self._sightings[sighting] = None

    def sightings(self) -> tuple[Sighting, ...]:
        """What was seen since the last question."""
        seen, self._sightings = tuple(self._sightings), {}
        return seen

    def forget_line(self, tenant: TenantId, trunk: TrunkId) -> None:
        """A trunk is gone, or begins anew."""
        self._peers.pop((tenant, trunk), None)
        self._contacts = {user: whose for user, whose in self._contacts.items() if whose != (tenant, trunk)}
        self._addresses.pop((tenant, trunk), None)
        self._lines_of.clear()

    def trunk_registered_as(self, user: str) -> tuple[TenantId, TrunkLine] | None:
        """The trunk whose carrier knows us by this Contact."""
        known = self._contacts.get(user)
        line = self.trunk(*known) if known is not None else None
        return (known[0], line) if known is not None and line is not None else None

    def may_send(self, tenant: TenantId, host: str) -> bool:
        """Whether a request for the tenant may go there. Where calls of others come from is their carrier, which may take ours for theirs.

        Args:
            host: an address; of a name nothing can be told.
        """
        return not self.owners_of(tenant, host)

    def owners_of(self, tenant: TenantId, host: str) -> frozenset[TenantId]:
        """The tenants whose calls come from there, because of which nothing of this one may go there; empty: it may.

        An address that a translator or tunnel makes another of (NAT64, 6to4) is that other one too.
        """
        address = address_of(host)
        if address is None or tenant not in self.setups:
            return frozenset()
        return frozenset().union(*(self._owners_at(tenant, str(one)) for one in forms(address)))

    def _owners_at(self, tenant: TenantId, host: str) -> set[TenantId]:
        claiming = {line.tenant for line, _ in self._lines_at(host) if line.networks}
        if tenant in claiming or is_within(host, map(network_of, self.setups[tenant].granted)):
            return set()
        return claiming

    def is_anothers(self, tenant: TenantId, number: str) -> bool:
        """Whether a number is assigned to another tenant."""
        return bool(self._assigned.get(number, frozenset()) - {tenant})

    def tenants_at(self, host: str) -> set[TenantId]:
        """Those whose trunks `host` belongs to."""
        return {line.tenant for line, _ in self._lines_at(host)}

    def trunk_from(self, host: str, called: Called, proven: Sequence[str] = ()) -> tuple[TenantId, TrunkLine] | Nobodys | None:
        """The trunk that `host` belongs to by its source networks or, where it registers and has none, by the addresses of its names.

        Where several tenants have the source, the call is of the one to whom the number is assigned; a line that is known by the
        addresses of its names claims none of what others have given as their source. Then, of the tenant's lines, the narrowest network.
        A line that has to prove something is asked for that, not for its address, and comes before those that are known by theirs.

        Args:
            proven: what the peer's certificate says it is.
        Returns: None: no trunk's source; NOBODYS: of several tenants' source, and the number is none of theirs.
        """
        lines = self._lines_at(host)
        if self._identified:
            proved = {key: one for name in proven for key, one in self._identified.get(name, {}).items()}
            by_address = [(line, width) for line, width in lines if line.line.tls_identity is None]
            lines = (*((line, PROVEN) for line in proved.values()), *by_address)
        if not lines:
            return None
        if any(line.tenant != lines[0][0].tenant for line, _ in lines):
            meant = [(line, width) for line, width in lines if called(line.line) in self.setups[line.tenant].assigned]
            # Who names what a certificate proves takes nothing from who names the source; where nobody does, it is his.
            claiming = {line.tenant for line, _ in lines if line.networks and line.line.tls_identity is None}
            claiming = claiming or {line.tenant for line, width in lines if width == PROVEN}
            if not meant and len(claiming) == 1:
                meant = [(line, width) for line, width in lines if line.tenant in claiming]
            lines = tuple(meant)
        best: tuple[bool, int] = (False, -1)
        found: tuple[TenantId, TrunkLine] | None = None
        for line, width in lines:
            fit = (called(line.line) in self._numbers[line.tenant], width)
            if fit > best:
                best, found = fit, (line.tenant, line.line)
        return found or NOBODYS

    def _lines_at(self, host: str) -> tuple[tuple[_Line, int], ...]:
        lines = self._lines_of.get(host)
        if lines is None:
            if len(self._lines_of) >= MAX_HOSTS:  # a flood from forged addresses must not fill the memory
                self._lines_of.clear()
            lines = self._lines_of[host] = tuple(self._find_lines(host))
        return lines

    def _find_lines(self, host: str) -> Iterator[tuple[_Line, int]]:
        address = address_of(host)
        if address is None:
            return
        for line in chain.from_iterable(self._lines.values()):
            if line.networks:
                width = max((network.prefixlen for network in line.networks if address in network), default=-1)
            else:
                known = str(address) in self._addresses.get((line.tenant, line.line.id), ())
                width = address.max_prefixlen if known else -1
            if width >= 0:
                yield line, width
