"""Phones: who may register, whose phone it is, where it is reached, also after a restart (RFC 3261 §10, RFC 7616)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec

from acd.clock import Clock
from acd.config import VoiceSettings
from acd.core import inputs as inp
from acd.core.channel_costs import ChannelCosts
from acd.core.errors import UnknownName
from acd.core.ids import AgentId, TenantId
from acd.core.inputs import Input
from acd.core.state.values import Binding as KnownBinding
from acd.directory import Directory, Nobodys, device_aor
from acd.guard import Guard, SipGuard
from acd.numbers import is_emergency
from acd.passes import Login, Passes, read_login
from acd.service import Device, PhonePass
from acd.switch.addresses import LocalAddresses
from acd.switch.callers import Arrival, arrival
from acd.switch.causes import FORKED, TIMED_OUT
from acd.switch.channel_costs import of_our_offer
from acd.switch.identities import written
from acd.switch.pages import Pages
from acd.switch.probes import Probes
from acd.switch.shares import Shares
from acd.switch.sip_port import SipPort
from acd.wire_text import LONGEST_LINE, fit_or_none
from sip import events as sip_events
from sip.classified import CHALLENGE, Classified
from sip.config import UserAgentConfig
from sip.digest import Account, Algorithm, Authenticator, ha1
from sip.flow import Flow, HostPort
from sip.message import Request
from sip.overload import OverloadPolicy
from sip.registrar import Binding, Registrar, RegistrarPolicy
from sip.sdp.crypto import SrtpUse
from sip.session_timer import SessionTimerPolicy
from sip.share import Share
from sip.source import is_within, network_of
from sip.uri import Uri
from sip.user_agent import UserAgent


class _Way(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a registered contact is reached: what the core keeps for us as text."""

    flow: Flow
    call_id: str
    cseq: int
    q: float
    instance: str | None = None
    reg_id: int | None = None
    path: tuple[str, ...] = ()


class Phones:
    def __init__(
        self, settings: VoiceSettings, directory: Directory, clock: Clock, report: Callable[[TenantId, Input], None], guard: Guard
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._clock = clock
        self._report = report
        self._guard = guard
        self._addresses = LocalAddresses(settings.advertised_address)
        self._shares = Shares(directory, settings.tenant_weights)
        self.probes = Probes(settings, directory, report)
        self.pages = Pages(settings, directory, report)
        self.hears: Mapping[type, Callable[[Any], None]] = {
            sip_events.Registered: self._registered,
            sip_events.Unregistered: self._unregistered,
        }
        """What of the SIP engine's events is ours."""

    def user_agent(self, digest_secret: bytes) -> UserAgent:
        """The SIP engine with our policies in it."""
        settings = self._settings
        self._passes = Passes(digest_secret)
        self.registrar = Registrar(
            self._canonical_aor,
            RegistrarPolicy(
                min_expires=settings.registration_min_s,
                max_expires=settings.registration_max_s,
                default_expires=settings.registration_max_s,
                max_contacts=settings.contacts_per_device,
            ),
        )
        self.registrar.may_use = self._may_use
        guard = SipGuard(self._guard, self._tenant_of, self._is_trunk)
        config = UserAgentConfig(
            advertise=self._advertise,
            classify=self._classify,
            authenticator=Authenticator(settings.realm, self._account, digest_secret, guard=guard),
            guard=guard,
            is_emergency=lambda request: is_emergency(written(request.uri)),
            registrar=self.registrar,
            serves=self._serves,
            forces_rport=self._forces_rport,
            must_be_encrypted=self._must_be_encrypted,
            session_timer=SessionTimerPolicy(settings.session_refresh_s) if settings.session_refresh_s else None,
            timed_out_reason=TIMED_OUT,
            forked_reason=FORKED,
            share=self._share,
            overload=OverloadPolicy(
                invites_per_s=settings.calls_per_second,
                burst=settings.burst,
                live_sessions=settings.max_sessions,
                strangers_per_s=settings.strangers_per_second,
                strangers_burst=settings.strangers_burst,
                guaranteed=settings.guaranteed,
            ),
        )
        return UserAgent(config, lambda: os.urandom(8).hex())

    def _advertise(self, flow: Flow) -> HostPort:
        return self._addresses.reaching(flow.remote[0]), flow.local[1]

    def _classify(self, request: Request, flow: Flow) -> Classified:
        """What comes from a trunk's source is a trunk call, whatever its From: no tenant's device names are looked at for another's calls.

        A phone that has registered from there goes on proving itself, and so does every page. All others are challenged, so nobody learns
        from the answer whether a user exists.
        """
        found = None if flow.is_websocket else arrival(self._directory, request, flow)
        if found is None:
            return CHALLENGE
        if not isinstance(found, Nobodys) and found.by_contact:
            return Classified("trunk", found)
        return CHALLENGE if self._is_phone(request, flow) else Classified("trunk", found)

    def _is_phone(self, request: Request, flow: Flow) -> bool:
        """Whether a device has registered under the name that stands in From: from this very flow, or from this host where its own tenant
        has a trunk.

        So nobody makes another tenant's phone a caller over a trunk of his by naming its address as a source.
        """
        (host, port), user = flow.remote, request.from_.uri.user or ""
        tenants = self._directory.tenants_at(host)
        for aor, bound in self.registrar.bound_at(host):
            username, _, tenant = aor.rpartition("@")
            if username == user.partition("@")[0] and (bound == port or TenantId(tenant) in tenants):
                return True
        return False

    def registered_in(self, network: str) -> frozenset[TenantId]:
        """The tenants of which phones are registered from a network."""
        within = (network_of(network),)
        hosts = [host for host in self.registrar.hosts() if is_within(host, within)]
        return frozenset(TenantId(aor.rpartition("@")[2]) for host in hosts for aor, _ in self.registrar.bound_at(host))

    def _share(self, request: Request, flow: Flow, authenticated_as: str | None, classified: Classified | None) -> Share | None:
        """Whose share a request takes from: of who has proved it, else of the trunk it comes over; None: nobody's.

        110 and 112 are emergency calls from our own people: from a phone that has proved whose it is, or over a line of the tenant's own
        (a PBX). What a carrier sends to these numbers is none, and gets no privilege that a flood could use.
        """
        if authenticated_as is not None:
            found = self._directory.device_at(authenticated_as)
            if found is None:
                return None
            urgent = request.method == "INVITE" and is_emergency(written(request.uri))
            return self._shares.of_phone(found[0], found[1].username, urgent=urgent)
        if flow.is_websocket:
            return None  # whatever else comes from that address
        came = arrival(self._directory, request, flow) if classified is None else classified.found
        if not isinstance(came, Arrival):
            return None
        urgent = request.method == "INVITE" and is_emergency(came.called) and self._directory.is_internal(came.tenant, came.line.id)
        return self._shares.of_trunk(came.tenant, came.line.id, urgent=urgent)

    def _must_be_encrypted(self, request: Request, flow: Flow, authenticated_as: str | None, classified: Classified | None) -> bool:
        """Whether who has proved himself, or the trunk it is, may speak under encryption alone. Whoever calls for help may do so over
        whatever there is: 110 and 112 from our own people, as in `_share`.
        """
        if authenticated_as is not None:
            found = self._directory.device_at(authenticated_as)
            if found is None or (request.method == "INVITE" and is_emergency(written(request.uri))):
                return False
            return self._directory.phone_is_encrypted(found[0], found[1].agent)
        came = arrival(self._directory, request, flow) if classified is None else classified.found
        if not isinstance(came, Arrival) or came.tenant not in self._directory.setups:
            return False
        is_urgent = is_emergency(came.called) and self._directory.is_internal(came.tenant, came.line.id)
        return not is_urgent and self._directory.line_is_encrypted(came.tenant, came.line)

    def _may_use(self, aor: str, flow: Flow) -> bool:
        """Whether a phone may be reached that way."""
        found = self._directory.device_at(aor)
        return found is None or flow.is_encrypted or not self._directory.phone_is_encrypted(found[0], found[1].agent)

    def setup_changed(self, tenant: TenantId, port: SipPort) -> None:
        """Registrations over ways that the tenant's rules do not allow any more come to their end: those phones come again under
        encryption, or not at all.
        """
        setup = self._directory.setups.get(tenant)
        if setup is None:
            return
        for device in setup.devices:
            if self._directory.phone_is_encrypted(tenant, device.agent):
                aor = device_aor(tenant, device.username)
                for binding in port.bindings(aor):
                    if not binding.flow.is_encrypted:
                        port.forget_contact(aor, binding.contact)

    def _account(self, request: Request, login: str, realm: str, algorithm: str) -> Account | None:
        """Who proves itself by `login`, and what its digest must be made of; the account's name is the device's address of record."""
        speaks_for = request.to if request.method == "REGISTER" else request.from_
        found = self._directory.account(login, speaks_for.uri.host or "")
        if found is None:
            passed = read_login(login)
            return None if passed is None else self._account_of_pass(passed, speaks_for.uri, realm, algorithm)
        tenant, device, is_long = found
        if algorithm == "SHA-256":
            digest = device.long_sha256 if is_long else device.ha1_sha256
        else:
            digest = device.long_md5 if is_long else device.ha1_md5
        return None if digest is None else Account(device_aor(tenant, device.username), digest)

    def _account_of_pass(self, login: Login, speaks_for: Uri, realm: str, algorithm: str) -> Account | None:
        """Of a page: it is good for the device that it names, which must be the one that the request speaks for, over its own WebSocket."""
        found = self._directory.account(login.username, speaks_for.host or "")
        if found is None or speaks_for.user != login.username:
            return None
        tenant, device, _ = found
        name = device_aor(tenant, device.username)
        kind: Algorithm = "SHA-256" if algorithm == "SHA-256" else "MD5"
        digest = ha1(str(login), realm, self._passes.password(login, name), kind)
        return Account(name, digest, is_for_own_flow=True, is_over=self._clock() >= login.until)

    def pass_of(self, tenant: TenantId, agent: AgentId) -> PhonePass:
        """A new pass for the phone of an agent.

        Raises: UnknownName: the agent has none.
        """
        device = self._device_of(tenant, agent)
        login = Login(device.username, int(self._clock()) + self._settings.phone_pass_s, os.urandom(8).hex())
        return PhonePass(
            uri=f"sip:{device.username}@{self._directory.setups[tenant].domain or self._settings.realm}",
            login=str(login),
            password=self._passes.password(login, device_aor(tenant, device.username)),
            realm=self._settings.realm,
            expires_at=login.until,
        )

    def aor_of(self, tenant: TenantId, agent: AgentId) -> str:
        """Address of record of an agent's phone.

        Raises: UnknownName: the agent has none.
        """
        return device_aor(tenant, self._device_of(tenant, agent).username)

    def _device_of(self, tenant: TenantId, agent: AgentId) -> Device:
        device = self._directory.device_of(tenant, agent)
        if device is None:
            raise UnknownName("phone of agent", agent)
        return device

    def _tenant_of(self, account: str) -> str | None:
        found = self._directory.device_at(account)
        return None if found is None else found[0]

    def _is_trunk(self, host: str) -> bool:
        return bool(self._directory.tenants_at(host))

    def _canonical_aor(self, uri: Uri, authenticated_as: str | None) -> str | None:
        found = self._directory.device_at(authenticated_as or "")
        if found is None:
            return None
        tenant, device = found
        domain = self._directory.setups[tenant].domain
        spoken_of = self._directory.tenant_of_domain(uri.host or "")
        if uri.user not in {device.username, f"{device.username}@{domain}"} or spoken_of not in {None, tenant}:
            return None
        return device_aor(tenant, device.username)

    def _serves(self, authenticated_as: str | None) -> bool:
        """A registration that the exchange does not hear of would be lost: the phone is told to come again soon."""
        found = self._directory.device_at(authenticated_as or "")
        return found is None or found[0] not in self._directory.suspended

    def _forces_rport(self, request: Request, flow: Flow) -> bool:
        """As the site says at which the device that is spoken of stands. Nobody has proved anything yet, and nobody need have: an answer
        that goes back to where its request came from harms nobody.
        """
        spoken_of = (request.to if request.method == "REGISTER" else request.from_).uri
        found = self._directory.account(spoken_of.user or "", spoken_of.host or "")
        if found is None and self._is_trunk(flow.remote[0]):
            return False  # a carrier is answered as its Via says
        site = self._directory.site_of(found[0], found[1].agent) if found is not None else None
        own = site.force_rport if site is not None else None
        return self._settings.force_rport if own is None else own

    def _registered(self, event: sip_events.Registered) -> None:
        found = self._directory.device_at(event.aor)
        if found is not None:
            way = _Way(event.flow, event.call_id, event.cseq, event.q, event.instance, event.reg_id, event.path)
            fact = inp.DeviceRegistered(
                agent=found[1].agent,
                contact=str(event.contact),
                expires_at=self._clock() + event.expires,
                flow=msgspec.json.encode(way).decode(),
                user_agent=fit_or_none(event.user_agent, LONGEST_LINE),
                is_page=event.flow.is_websocket,
                channel=self._channel_to(found[0], found[1].agent, event.flow),
            )
            self._report(found[0], fact)
            if event.flow.is_websocket:
                self.pages.registered(event.aor, event.contact)
            else:
                self.probes.registered(event.aor, event.contact, is_new=not event.refreshed)

    def _channel_to(self, tenant: TenantId, agent: AgentId, flow: Flow) -> ChannelCosts | None:
        """What a channel to this contact costs; None: the phone stands at no site, so that nobody counts it."""
        if self._directory.site_of(tenant, agent) is None:
            return None
        use = SrtpUse(self._directory.srtp_of_phone(tenant, agent))
        return of_our_offer(self._settings.phone_codecs, use, flow.remote[0], is_page=flow.is_websocket)

    def _unregistered(self, event: sip_events.Unregistered) -> None:
        self.probes.unregistered(event.aor, event.contact)
        self.pages.unregistered(event.aor, event.contact)
        found = self._directory.device_at(event.aor)
        if found is not None:
            why: Literal["expired", "removed"] = "expired" if event.why == "expired" else "removed"
            self._report(found[0], inp.DeviceUnregistered(agent=found[1].agent, contact=str(event.contact), why=why))

    def attach(self, port: SipPort) -> None:
        self.probes.attach(port)
        self.pages.attach(port)

    def probed(self, event: sip_events.OptionsAnswered) -> None:
        """OPTIONS came back, or did not."""
        self.probes.answered(event)
        self.pages.answered(event)

    def close(self) -> None:
        """Ask nobody any more."""
        self.probes.close()
        self.pages.close()

    def restore(self, port: SipPort, tenant: TenantId, known: Iterable[tuple[AgentId, KnownBinding]]) -> list[inp.DeviceUnregistered]:
        """Give the registrar back what the journal knows.

        Returns: what is to be told of those that do not live on.
        """
        gone: list[inp.DeviceUnregistered] = []
        restored: list[Binding] = []
        away: set[str] = set()
        for agent, binding in list(known):
            device = self._directory.device_of(tenant, agent)
            if device is None or not binding.flow:
                continue
            way = msgspec.json.decode(binding.flow, type=_Way)
            if not self._may_use(device_aor(tenant, device.username), way.flow):
                gone.append(inp.DeviceUnregistered(agent=agent, contact=binding.contact, why="removed"))
                continue
            if way.flow.is_reliable:
                # Its connection died with the process: nobody is offered a call there until the phone has noticed and registers again.
                gone.append(inp.DeviceUnregistered(agent=agent, contact=binding.contact, why="expired"))
            if binding.unreachable_since is not None:
                away.add(binding.contact)
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
                    way.instance,
                    way.reg_id,
                    way.path,
                )
            )
        port.restore_bindings(restored)
        for one in restored:
            if not one.flow.is_reliable:
                self.probes.registered(one.aor, one.contact, is_unreachable=str(one.contact) in away)
        return gone
