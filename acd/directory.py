"""Who is who in all tenants together: devices by user name, trunks by where they come from, numbers by tenant (pure)."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from acd.core.configuration import Agent, TenantConfiguration
from acd.core.configuration_changes import middles
from acd.core.ids import AgentId, TenantId, TrunkId
from acd.service import Device, TenantSetup, TrunkLine

MAX_HOSTS = 10_000
"""Senders whose lines are remembered."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@dataclass(slots=True)
class _Line:
    tenant: TenantId
    line: TrunkLine
    networks: tuple[Network, ...]


def _accounts(setup: TenantSetup) -> Iterator[str]:
    """Our names at the tenant's carriers."""
    for line in setup.trunks:
        if line.registration is not None:
            yield from {name for name in (line.registration.username, line.registration.auth_username) if name}


@dataclass(slots=True)
class Directory:
    """Follows the setups, a change at the price of what changed; reading it costs a dictionary look-up."""

    setups: dict[TenantId, TenantSetup] = field(default_factory=dict)
    suspended: set[TenantId] = field(default_factory=set)
    """Tenants that are known and that no exchange decides for: whoever asks for them is told to come again (503)."""
    _devices: dict[str, tuple[TenantId, Device]] = field(default_factory=dict)
    _device_of_agent: dict[tuple[TenantId, AgentId], Device] = field(default_factory=dict)
    _lines: dict[TenantId, tuple[_Line, ...]] = field(default_factory=dict)
    _numbers: dict[TenantId, frozenset[str]] = field(default_factory=dict)
    _agents: dict[tuple[TenantId, AgentId], Agent] = field(default_factory=dict)
    _internal: set[tuple[TenantId, TrunkId]] = field(default_factory=set)
    _accounts: Counter[str] = field(default_factory=Counter)
    """Our names at carriers, and how many registrations have them."""
    _contacts: dict[str, tuple[TenantId, TrunkId]] = field(default_factory=dict)
    """User parts of our Contacts at carriers."""
    _addresses: dict[tuple[TenantId, TrunkId], frozenset[str]] = field(default_factory=dict)
    """What the names of registering trunks stand for."""
    _lines_of: dict[str, tuple[tuple[_Line, int], ...]] = field(default_factory=dict)
    """Host -> the lines it may belong to, each with the width of the network that says so; kept while nothing changes."""

    def put(self, setup: TenantSetup) -> None:
        """Add or replace a tenant.

        Raises: ValueError: a device's user name is already another tenant's, or a trunk's source is no network.
        """
        tenant = setup.configuration.tenant
        before = self.setups.get(tenant) or TenantSetup(configuration=TenantConfiguration(tenant=tenant))
        for device in middles(before.devices, setup.devices)[2]:
            owner = self._devices.get(device.username)
            if owner is not None and owner[0] != tenant:
                raise ValueError(f"device {device.username}: the user name is taken by another tenant")
        if setup.trunks != before.trunks:
            self._check_sources(setup)
        self.setups[tenant] = setup
        self._follow(tenant, before, setup)

    @staticmethod
    def _check_sources(setup: TenantSetup) -> None:
        for line in setup.trunks:
            for source in line.sources:
                try:
                    ipaddress.ip_network(source, strict=False)
                except ValueError as error:
                    raise ValueError(f"trunk {line.id}: source {source!r} is not an IP network: {error}") from None

    def drop(self, tenant: TenantId) -> None:
        """Forget a tenant."""
        self.suspended.discard(tenant)
        before = self.setups.pop(tenant, None)
        if before is not None:
            self._follow(tenant, before, TenantSetup(configuration=TenantConfiguration(tenant=tenant)))
            del self._numbers[tenant], self._lines[tenant]

    def _follow(self, tenant: TenantId, before: TenantSetup, after: TenantSetup) -> None:
        """What was entered for `before` is what `after` says."""
        _, gone, come = middles(before.devices, after.devices)
        for device in gone:
            self._devices.pop(device.username, None)
            self._device_of_agent.pop((tenant, device.agent), None)
        for device in come:
            self._devices[device.username] = (tenant, device)
            self._device_of_agent[tenant, device.agent] = device
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
        if tenant not in self._lines or after.trunks != before.trunks:
            self._accounts -= Counter(_accounts(before))
            self._accounts += Counter(_accounts(after))
            self._lines[tenant] = tuple(
                _Line(tenant, line, tuple(ipaddress.ip_network(source, strict=False) for source in line.sources)) for line in after.trunks
            )
            self._lines_of.clear()

    def device(self, username: str) -> tuple[TenantId, Device] | None:
        return self._devices.get(username)

    def device_of(self, tenant: TenantId, agent: AgentId) -> Device | None:
        return self._device_of_agent.get((tenant, agent))

    def has_number(self, tenant: TenantId, number: str) -> bool:
        """Whether calls from outside to this number lead anywhere."""
        return number in self._numbers.get(tenant, ())

    def agent(self, tenant: TenantId, agent: AgentId) -> Agent | None:
        return self._agents.get((tenant, agent))

    def trunk(self, tenant: TenantId, trunk: TrunkId) -> TrunkLine | None:
        setup = self.setups.get(tenant)
        if setup is None:
            return None
        return next((line for line in setup.trunks if line.id == trunk), None)

    def is_internal(self, tenant: TenantId, trunk: TrunkId) -> bool:
        """Whether a trunk is the tenant's own line, over which calls have no price."""
        return (tenant, trunk) in self._internal

    def is_account(self, user: str) -> bool:
        """Whether this is our name at some carrier."""
        return user in self._accounts

    def learn_contact(self, user: str, tenant: TenantId, trunk: TrunkId) -> None:
        """We register at this trunk's carrier with `user` in the Contact: whoever calls it got it from there."""
        self._contacts[user] = (tenant, trunk)

    def learn_addresses(self, tenant: TenantId, trunk: TrunkId, hosts: Iterable[str]) -> None:
        """The names of a trunk we register at stand for these addresses."""
        self._addresses[tenant, trunk] = frozenset(str(address) for host in hosts if (address := _address(host)) is not None)
        self._lines_of.clear()

    def forget_line(self, tenant: TenantId, trunk: TrunkId) -> None:
        """A registering trunk is gone, or begins anew."""
        self._contacts = {user: whose for user, whose in self._contacts.items() if whose != (tenant, trunk)}
        self._addresses.pop((tenant, trunk), None)
        self._lines_of.clear()

    def trunk_registered_as(self, user: str) -> tuple[TenantId, TrunkLine] | None:
        """The trunk whose carrier knows us by this Contact."""
        known = self._contacts.get(user)
        line = self.trunk(*known) if known is not None else None
        return (known[0], line) if known is not None and line is not None else None

    def trunk_from(self, host: str, called: str) -> tuple[TenantId, TrunkLine] | None:
        """The trunk that `host` belongs to by its source networks or, where it registers and has none, by the addresses of its names.

        Of several: one whose tenant owns the number that was called, then the narrowest network, then the first.
        """
        lines = self._lines_of.get(host)
        if lines is None:
            if len(self._lines_of) >= MAX_HOSTS:  # a flood from forged addresses must not fill the memory
                self._lines_of.clear()
            lines = self._lines_of[host] = tuple(self._find_lines(host))
        best: tuple[bool, int] = (False, -1)
        found: tuple[TenantId, TrunkLine] | None = None
        for line, width in lines:
            fit = (called in self._numbers[line.tenant], width)
            if fit > best:
                best, found = fit, (line.tenant, line.line)
        return found

    def _find_lines(self, host: str) -> Iterator[tuple[_Line, int]]:
        address = _address(host)
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
