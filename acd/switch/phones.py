"""Phones: who may register, whose phone it is, where it is reached, also after a restart (RFC 3261 §10, RFC 7616)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec

from acd.clock import Clock
from acd.config import VoiceSettings
from acd.core import inputs
from acd.core.ids import AgentId, TenantId
from acd.core.inputs import Input
from acd.core.state import Binding as KnownBinding
from acd.directory import Directory
from acd.guard import Guard, SipGuard, source_of
from acd.numbers import is_emergency
from acd.switch.addresses import LocalAddresses
from acd.switch.callers import arrival
from acd.switch.sip_port import SipPort
from sip import events as sip_events
from sip.digest import Authenticator
from sip.flow import Flow, HostPort
from sip.message import Request
from sip.overload import OverloadPolicy
from sip.registrar import Binding, Registrar, RegistrarPolicy
from sip.session_timer import SessionTimerPolicy
from sip.uri import Uri
from sip.user_agent import UserAgent, UserAgentConfig


class _Way(msgspec.Struct, frozen=True):
    """How a registered contact is reached: what the core keeps for us as text."""

    flow: Flow
    call_id: str
    cseq: int
    q: float


def device_aor(tenant: TenantId, username: str) -> str:
    """The address of record of a device: user names are unique over all tenants, the domain says whose it is."""
    return f"{username}@{tenant}"


class Phones:
    def __init__(
        self, settings: VoiceSettings, directory: Directory, clock: Clock, report: Callable[[TenantId, Input], None], guard: Guard
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._clock = clock
        self._report = report
        self._guard = guard
        guard.serves, guard.is_trunk = self._serves_host, self._is_trunk
        self._addresses = LocalAddresses(settings.advertised_address)
        self.hears: Mapping[type, Callable[[Any], None]] = {
            sip_events.Registered: self._registered,
            sip_events.Unregistered: self._unregistered,
        }
        """What of the SIP engine's events is ours."""

    def user_agent(self, digest_secret: bytes) -> UserAgent:
        """The SIP engine with our policies in it."""
        settings = self._settings
        self.registrar = Registrar(
            self._canonical_aor,
            RegistrarPolicy(
                min_expires=settings.registration_min_s,
                max_expires=settings.registration_max_s,
                default_expires=settings.registration_max_s,
            ),
        )
        guard = SipGuard(self._guard, self._tenant_of)
        config = UserAgentConfig(
            advertise=self._advertise,
            classify=self._classify,
            authenticator=Authenticator(settings.realm, self._ha1, digest_secret, guard=guard),
            guard=guard,
            is_emergency=lambda request: is_emergency(request.uri.user or ""),
            registrar=self.registrar,
            serves=self._serves,
            session_timer=SessionTimerPolicy(settings.session_refresh_s) if settings.session_refresh_s else None,
            overload=OverloadPolicy(invites_per_s=settings.calls_per_second, burst=settings.burst, live_sessions=settings.max_sessions),
        )
        return UserAgent(config, lambda: os.urandom(8).hex())

    def _advertise(self, flow: Flow) -> HostPort:
        return self._addresses.reaching(flow.remote[0]), flow.local[1]

    def _classify(self, request: Request, flow: Flow) -> Literal["trunk", "challenge", "reject"]:
        """A known user name must prove itself wherever it comes from; a trunk is known by its address, or by the Contact that
        only its carrier knows; all others are challenged.

        So nobody learns from the answer whether a user exists.
        """
        found = arrival(self._directory, request, flow)
        if found is not None and found.by_contact:
            return "trunk"
        if found is None or self._directory.device(request.from_.uri.user or "") is not None:
            return "challenge"
        return "trunk"

    def _ha1(self, username: str, _realm: str, algorithm: str) -> str | None:
        found = self._directory.device(username)
        if found is None:
            return None
        return found[1].ha1_sha256 if algorithm == "SHA-256" else found[1].ha1_md5

    def _tenant_of(self, username: str) -> str | None:
        found = self._directory.device(username)
        return None if found is None else found[0]

    def _is_trunk(self, host: str) -> bool:
        return self._directory.trunk_from(host, "") is not None

    def _serves_host(self, host: str) -> bool:
        """Whether a trunk is there, or a phone that is registered: no machine bans it."""
        source = source_of(host)
        return self._is_trunk(host) or any(source_of(one) == source for one in self.registrar.hosts())

    def _canonical_aor(self, uri: Uri, authenticated_as: str | None) -> str | None:
        username = (authenticated_as or "").rpartition("@")[0]
        found = self._directory.device(username)
        if found is None or uri.user != username:
            return None
        return device_aor(found[0], username)

    def _serves(self, authenticated_as: str | None) -> bool:
        """A registration that the exchange does not hear of would be lost: the phone is told to come again soon."""
        found = self._directory.device((authenticated_as or "").rpartition("@")[0])
        return found is None or found[0] not in self._directory.suspended

    def _registered(self, event: sip_events.Registered) -> None:
        found = self._directory.device(event.aor.rpartition("@")[0])
        if found is not None:
            way = _Way(event.flow, event.call_id, event.cseq, event.q)
            fact = inputs.DeviceRegistered(
                agent=found[1].agent,
                contact=str(event.contact),
                expires_at=self._clock() + event.expires,
                flow=msgspec.json.encode(way).decode(),
                user_agent=event.user_agent,
            )
            self._report(found[0], fact)

    def _unregistered(self, event: sip_events.Unregistered) -> None:
        found = self._directory.device(event.aor.rpartition("@")[0])
        if found is not None:
            why: Literal["expired", "removed"] = "expired" if event.why == "expired" else "removed"
            self._report(found[0], inputs.DeviceUnregistered(agent=found[1].agent, contact=str(event.contact), why=why))

    def restore(self, port: SipPort, tenant: TenantId, known: Iterable[tuple[AgentId, KnownBinding]]) -> int:
        """Give the registrar back what the journal knows; returns how many contacts live on."""
        restored = []
        for agent, binding in list(known):
            device = self._directory.device_of(tenant, agent)
            if device is None or not binding.flow:
                continue
            way = msgspec.json.decode(binding.flow, type=_Way)
            if way.flow.is_reliable:
                # Its connection died with the process: nobody is offered a call there until the phone has noticed and registers again.
                self._report(tenant, inputs.DeviceUnregistered(agent=agent, contact=binding.contact, why="expired"))
                continue
            restored.append(
                Binding(
                    device_aor(tenant, device.username),
                    Uri.parse(binding.contact),
                    way.flow,
                    port.now + (binding.expires_at - self._clock()),
                    way.q,
                    way.call_id,
                    way.cseq,
                    binding.user_agent,
                )
            )
        port.restore_bindings(restored)
        return len(restored)
