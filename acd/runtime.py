"""The voice service of one process: SIP endpoint, media plane, switch, and an exchange per tenant (composition of the shell).

INVITE -> sip.io -> sip.user_agent -> switch -> exchange(core engine -> journal) -> effects -> switch -> sip, media
`-> events -> cdr_feed -> billing_cdr -> database
`-> live stream -> api
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import msgspec

from acd.brake import Brake
from acd.bus import Bus, MemoryBus
from acd.call_log import CallLog
from acd.cdr_feed import CdrFeed, instant
from acd.certificates import LOOK_S, SipCertificate
from acd.clock import Clock
from acd.config import Listen, VoiceSettings
from acd.core import inputs as inp
from acd.core.configuration import TenantConfiguration, ToOutside
from acd.core.configuration_changes import difference
from acd.core.engine import UnknownName
from acd.core.events import Event, WorkConnected
from acd.core.ids import AgentId, CallId, ContactId, LegId, RecordingId, TenantId, TrunkId
from acd.core.inputs import Command, Input
from acd.core.live import LiveState, WholeContact
from acd.core.replay import Entry
from acd.core.state.values import Leg
from acd.directory import Directory
from acd.door import admit, plain
from acd.errors import CannotStart, DialRefused, NoSuchNumber, PriceRefused
from acd.exchange import TenantExchange
from acd.guard import Guard
from acd.ledger import Late
from acd.numbers import is_private, normalise
from acd.platform import Lookup, PinCheck
from acd.resolve import problems_after, reaches, resolved
from acd.service import (
    LineCheck,
    LineCheckBegun,
    LiveAt,
    PhonePass,
    ScreenPop,
    Sighting,
    Spending,
    TenantSetup,
    TenantState,
    events_of,
    state_of,
)
from acd.sink import CdrSink, Home, Homes
from acd.switch.addresses import host_port, reach
from acd.switch.channel_costs import with_costs
from acd.switch.lines import Lines
from acd.switch.phones import Phones
from acd.switch.pins import nobodys_pin
from acd.switch.sip_port import SipPort
from acd.switch.switch import Switch
from acd.watchdog import Watchdog
from billing_cdr.book import read_book
from billing_cdr.cdr import Cdr
from billing_cdr.charge import Charge
from billing_cdr.errors import Unreachable
from billing_cdr.rating import Offer, PlanBook, offer, rate
from billing_cdr.tariff import Plan
from media.client import MediaPlane, PlaneReport
from media.control import Held, LegClosed, RecordingEnded
from media.errors import MediaError
from sip.flow import WEBSOCKETS, Flow
from sip.io.driver import SipEndpoint
from sip.io.websocket import Receive, Scope, Send, WebSockets
from sip.overload import Verdict

log = logging.getLogger(__name__)

DRAIN_S = 2.0
"""How long the last BYEs may take at an orderly stop."""
LINGER_S = 0.5
"""How long a stop that leaves its calls waits for the figures of those that are over."""
WATCH_S = 1.0
HOLD_S = 5.0
"""After a start that takes calls over phones are heard so late at most: those whose tenant takes longer are told that their call is gone. A
request over UDP is sent again for 32 s."""
BIND_WITHIN_S = 2.0
"""A predecessor that was asked to leave closes its sockets within milliseconds; its last connections take longer."""
RECOUNT_S = 0.05
DIGEST_SECRET_OCTETS = 32
PAGES: Final = tuple([(name, "", 0) for name in sorted(WEBSOCKETS)])
"""Whose sockets are handed to us (`Voice.serve_page`): nothing is bound."""
SIP_COUNTERS = ("requests_sent_anew", "session_refreshes_refused", "sessions_kept_unrefreshed", "refused_in_plain")
DENIALS = ("requests_denied", "audio_addresses_denied", "calls_refused_for_budget", "calls_refused_for_class", "pins_refused")
"""Counters that are shown before they count: an alarm is set on them beforehand."""
MEDIA_FIGURES = {
    "legs": "legs",
    "legs_protected": "legs_protected",
    "legs_opus": "legs_opus",
    "bridges": "bridges",
    "mixes": "mixes",
    "jitter_buffer_seconds": "jitter_buffer_s",
    "jitter_buffer_max_seconds": "jitter_buffer_max_s",
    "concealed_frames_total": "concealed_frames",
    "recordings": "recordings",
    "ports_free": "ports_free",
    "packets_received_total": "packets_received",
    "packets_sent_total": "packets_sent",
    "packets_dropped_total": "packets_dropped",
    "packets_of_unknown_type_total": "packets_of_unknown_type",
    "packets_rejected_total": "packets_rejected",
    "packets_of_noise_total": "packets_of_noise",
    "late_ticks_total": "late_ticks",
    "cpu_seconds_total": "cpu_s",
}
"""Metric behind `fernamt_media_` -> field of `media.control.Status`."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What the composition root gives the service."""

    homes: Homes
    """Where tenants live."""
    bus: Bus = msgspec.field(default_factory=MemoryBus)
    """Where events go."""
    lookup: Lookup | None = None
    """Asks who is calling; None: nobody knows."""
    check_pin: PinCheck = nobodys_pin
    """Judges a PIN."""


class Voice:
    """What answers the messages of `acd.service` (`acd.serving`); made by `Voice.start`."""

    def __init__(self, settings: VoiceSettings, media: MediaPlane, clock: Clock, guard: Guard, given: Given) -> None:
        self._settings = settings
        self._homes, self._bus = given.homes, given.bus
        self._clock = clock
        self._media = media
        self._directory = Directory()
        self._exchanges: dict[TenantId, TenantExchange] = {}
        self._sinks: dict[TenantId, CdrSink] = {}
        self._plans: dict[TenantId, PlanBook] = {}
        self._brakes: dict[TenantId, Brake] = {}
        self._stopping = False
        self._started = time.monotonic()
        self._media_figures: dict[str, float] = {}
        self._watching: asyncio.Task[None] | None = None
        self._braking: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._holding: asyncio.TimerHandle | None = None
        """Set: what comes from phones is put aside, until the tenants whose calls go on are open."""
        self._awaited: set[TenantId] = set()
        """Those."""
        self._counting: dict[TenantId, asyncio.Task[None]] = {}
        self._adding_up: dict[TenantId, asyncio.Lock] = defaultdict(asyncio.Lock)
        """One count at a time: what the later one leaves to the records, an earlier one must not be told to leave out."""
        self.phones = Phones(settings, self._directory, clock, self._report, guard)
        self._reach = reach(settings)
        self.lines = Lines(settings, self._directory, self._report, self._digest_secret(), self._reach, self.phones.probed)
        self.switch = Switch(
            settings,
            self._directory,
            clock,
            media,
            report=self._report,
            fund=self._fund,
            pop=self._pop,
            lookup=given.lookup,
            silent=self.lines.suspect,
            silent_phone=self.phones.probes.silent,
            ask_page=self.phones.pages.ask,
            route=self.lines.route,
            may_transfer=self._may_transfer,
            user_of=self._user_of_phone,
            check_pin=given.check_pin,
            rule=self._reach,
        )
        self.watchdog = Watchdog(self.switch, self._report)
        self._hears = {**self.phones.hears, **self.lines.hears, **self.switch.hears}
        """Kind of SIP event -> who takes it; the rest is for whoever reads traces."""
        self.sip: SipPort
        self._endpoint: SipEndpoint
        self._pages: dict[str, WebSockets]
        self._certificate: SipCertificate | None = None
        """Where TLS is listened on."""
        self._certifying: asyncio.Task[None] | None = None
        self._reload = asyncio.Event()

    @classmethod
    async def start(cls, settings: VoiceSettings, given: Given, guard: Guard | None = None) -> Voice:
        """Bind the sockets, start the media workers; tenants are opened one by one afterwards.

        Args:
            given: by the composition root.
            guard: counts wrong passwords at the SIP door and, where it is given, at others too; None: one of its own.
        Raises: OSError: an address is taken; the text names it.
        """
        settings.data.mkdir(parents=True, exist_ok=True)
        clock = Clock()

        def on_report(report: PlaneReport) -> None:
            voice.switch.on_media(report)

        check_addresses(settings.listen)  # before workers of an earlier run are ended for a start that comes to nothing
        try:
            media = await cls._start_media(settings, on_report)
        except MediaError as error:
            raise CannotStart(f"the media workers: {error}") from error
        try:
            voice = cls(settings, media, clock, guard or Guard(), given)
            await voice._open_sip()
        except BaseException:
            # What was adopted stays where it is, for the next start.
            await (media.leave() if media.held else media.close())
            raise
        voice._watching = asyncio.create_task(voice._watch(), name="watch")
        voice._braking = asyncio.create_task(voice._look_after_money(), name="money")
        if voice._certificate is not None:
            voice._certifying = asyncio.create_task(voice._look_after(voice._certificate), name="certificate")
        return voice

    @staticmethod
    async def _start_media(settings: VoiceSettings, on_report: Callable[[PlaneReport], None]) -> MediaPlane:
        return await MediaPlane.start(
            workers=settings.media_workers,
            address=settings.advertised_address or "127.0.0.1",
            ports=settings.media_ports,
            on_report=on_report,
            control=settings.data / "media",
            orphan_s=settings.media_orphan_s,
            log_level=settings.log.level,
            log_form=settings.log.form,
        )

    async def _open_sip(self) -> None:
        user_agent = self.phones.user_agent(self._digest_secret())
        if any(one.transport == "tls" for one in self._settings.listen):
            self._certificate = SipCertificate(self._settings)
            self._certificate.start(time.time())
        listen = [(listen.transport, listen.host, listen.port) for listen in self._settings.listen]
        self._endpoint = SipEndpoint(
            user_agent,
            listen=[*listen, *PAGES],
            on_event=self._on_sip,
            may_reach=self._may_send,
            on_denied=self._on_denied,
            on_unresolved=self._on_unresolved,
            on_unproven=lambda flow, why: self.lines.unproven(flow.remote[0], why),
            tcp_strangers_per_source=self._settings.tcp_strangers_per_source,
            tcp_stranger_idle_s=self._settings.tcp_stranger_idle_s,
            tls=self._certificate.contexts if self._certificate is not None else None,
            asks_at=[(one.host, one.port) for one in self._settings.listen if one.asks],
        )
        self._awaited = set(self.switch.adoption.tenants())
        try:
            await self._endpoint.start(listening=not self._awaited, bind_within_s=BIND_WITHIN_S)
        except OSError as error:
            where = ", ".join(f"{transport} {host}:{port}" for transport, host, port in listen)
            raise OSError(f"SIP addresses {where}: {error.strerror or error}") from error
        of = self._endpoint.transports.of
        self._pages = {name: one for name in WEBSOCKETS for one in of(name).values() if isinstance(one, WebSockets)}
        self.sip = SipPort(user_agent, self._endpoint)
        self.switch.attach(self.sip)
        self.lines.attach(self.sip)
        self.phones.attach(self.sip)
        if self._awaited:
            self._holding = self._loop.call_later(HOLD_S, self._begin)

    @property
    def listening(self) -> tuple[tuple[str, str, int], ...]:
        """Transport, host and port of every SIP socket that is open."""
        return tuple([one for one in self._endpoint.addresses if one[0] not in WEBSOCKETS])

    async def serve_page(self, scope: Scope, receive: Receive, send: Send, tenant: TenantId, agent: AgentId) -> None:
        """SIP over a WebSocket (RFC 7118) that somebody takes on their HTTP port, until it ends (`sip.io.websocket`); whoever ends it from
        there cancels this and closes it.

        Args:
            scope, receive, send: of ASGI, before the WebSocket is accepted.
            tenant, agent: who has opened it, and has proved that.
        Raises: UnknownName: the agent has no phone, or the tenant is not open.
        """
        self._exchange(tenant)
        opened_by = self.phones.aor_of(tenant, agent)
        await self._pages[scope["scheme"]].serve(scope, receive, send, opened_by)

    def phone_pass(self, tenant: TenantId, agent: AgentId) -> PhonePass:
        return self.phones.pass_of(tenant, agent)

    def _on_unresolved(self, flow: Flow, error: OSError) -> None:
        self.lines.unresolved(flow.remote[0], error)

    def _on_denied(self, flow: Flow, address: str) -> None:
        """A request was not sent, since a setting or a message names an address that the operator does not allow."""
        self.switch.counters["requests_denied"] += 1
        if flow.behalf and self._reach.allows(address):  # so it was for another tenant's sake
            self._directory.saw_refusal(TenantId(flow.behalf), address)
        self.lines.denied(flow.remote[0], address)

    def _may_send(self, address: str, behalf: str) -> bool:
        return self._reach.allows(address) and self._directory.may_send(TenantId(behalf), address)

    def may_reach(self, host: str) -> bool:
        return self._reach.allows_name(host)

    def is_own(self, host: str) -> bool:
        return self._reach.is_own(host)

    def owners_of(self, host: str, tenant: TenantId) -> frozenset[TenantId]:
        return self._directory.owners_of(tenant, host)

    def registered_in(self, network: str) -> frozenset[TenantId]:
        return self.phones.registered_in(network)

    def sends_to(self, network: str) -> frozenset[TenantId]:
        return self._directory.sends_to(network)

    def remember_customers(self, known: Iterable[tuple[TenantId, str]]) -> None:
        self._directory.remember_customers(known)

    def sightings(self) -> tuple[Sighting, ...]:
        return self._directory.sightings()

    def _digest_secret(self) -> bytes:
        """Nonces outlive a restart when their secret does: no phone has to be challenged twice because we were updated."""
        path = self._settings.data / "digest.secret"
        if not path.exists():
            draft = path.with_suffix(".new")
            draft.touch(mode=0o600)
            draft.write_bytes(secrets.token_bytes(DIGEST_SECRET_OCTETS))
            draft.replace(path)
        secret = path.read_bytes()
        if len(secret) != DIGEST_SECRET_OCTETS:
            raise CannotStart(f"{path} holds {len(secret)} octets, not {DIGEST_SECRET_OCTETS}: restore it, or remove it for a new one")
        return secret

    def _on_sip(self, event: Any) -> None:
        act = self._hears.get(type(event))
        if act is None:
            return
        try:
            act(event)
            if (session := getattr(event, "session", None)) is not None:
                self.switch.session_changed(session)
        except Exception:
            # One message must never take the exchange down; what it was is in the log, that it was is in the figures.
            self.switch.counters["sip_events_failed"] += 1
            log.exception("! %s could not be handled", type(event).__name__)

    # ------------------------------------------------------------------ tenants

    async def open_tenant(self, setup: TenantSetup) -> None:
        tenant = setup.configuration.tenant
        if tenant in self._exchanges:
            raise ValueError(f"tenant {tenant} is open already")
        _check(setup, None)
        book = await asyncio.to_thread(_plan_book, setup)
        home = self._homes(tenant)
        self._directory.put(setup)
        self._plans[tenant], self._sinks[tenant] = book, home.sink
        try:
            await self._open_exchange(setup, home)
        except BaseException:  # a damaged journal, a full disk: this tenant stays shut, and its callers are told; the others go on
            await self._suspend(tenant)
            raise
        self._directory.suspended.discard(tenant)
        self._say_state(tenant, is_open=True)

    def _say_state(self, tenant: TenantId, *, is_open: bool, trouble: str | None = None) -> None:
        self._bus.publish(state_of(tenant), TenantState(tenant=tenant, is_open=is_open, trouble=trouble), retained=True)

    async def _open_exchange(self, setup: TenantSetup, home: Home) -> None:
        tenant = setup.configuration.tenant
        feed = CdrFeed(
            tenant,
            lambda cdr: self._rate(tenant, cdr),
            lambda cdrs, charges, seq: self._save(tenant, cdrs, charges, seq),
            lambda notes: self._note(tenant, notes),
        )
        known_seq = await home.sink.position()
        clock, settings = self._clock, self._settings
        calls = CallLog(tenant, masks_numbers=settings.log.masks_numbers)
        loop = asyncio.get_running_loop()

        def tell(fact: inp.CreditEnds) -> None:
            loop.call_soon(self._report, tenant, fact)

        brake = Brake(setup.dialling, clock(), tell)

        def told(entry: Entry) -> None:
            brake.heard(entry)  # first: what the log stumbles over must not cost money
            calls.told(entry)

        try:
            exchange = TenantExchange(
                tenant,
                home.directory,
                clock,
                self.switch.carry_out,
                feed,
                self._on_failure,
                self._bus.publisher(events_of(tenant)),
                known_seq=known_seq,
                accept_clock=settings.accept_clock,
                on_durable=told,
            )
        except BaseException:
            feed.abandon()
            raise
        calls.take_up(exchange.engine.state, feed.ledger)
        self._exchanges[tenant], self._brakes[tenant] = exchange, brake
        started = self._take_up(exchange)
        given = self._configuring(exchange, setup.configuration)
        if given is not None:
            exchange.submit(given)
        self.lines.setup_changed(tenant)
        if started is not None:
            await started
        unsettled = exchange.feed.lingering_calls
        await exchange.feed.flush()  # what a crash has cut is written by now, or waits for what its media workers have to say
        await self._count(tenant, brake)
        brake.unsettled = unsettled

    async def _suspend(self, tenant: TenantId) -> None:
        """No exchange decides for the tenant; who it is stays known, so that callers and phones are told to come again."""
        self._directory.suspended.add(tenant)
        self.switch.give_up(tenant)
        exchange = self._exchanges.pop(tenant, None)
        try:
            if exchange is not None:
                await exchange.close()
        except RuntimeError as error:  # CDRs that cannot be saved now are in the journal
            log.warning("! tenant %s: %s", tenant, error)
        finally:
            self._plans.pop(tenant, None)
            self._brakes.pop(tenant, None)
            self._sinks.pop(tenant, None)
            self._adding_up.pop(tenant, None)
            if exchange is not None:
                self._say_state(tenant, is_open=False, trouble=exchange.trouble)

    def _take_up(self, exchange: TenantExchange) -> asyncio.Future[tuple[Event, ...]] | None:
        """Go on with what an earlier run of the service has left (ADR 0024): its phones, the calls whose media workers live, what those
        have to tell. Returns: what `submit` does.
        """
        tenant, state = exchange.tenant, exchange.engine.state
        bindings = ((agent.id, binding) for agent in state.agents.values() for binding in agent.bindings.values())
        gone = self.phones.restore(self.sip, tenant, bindings)
        held = self.switch.adoption.take_up(tenant, state.legs)
        if held:
            log.warning("= tenant %s: %d of %d legs go on", tenant, len(held), len(state.legs))
            self._brakes[tenant].take_up(state, held, partial(self._offer_again, tenant), self._clock())
        started = exchange.submit(self._service_started(exchange, held))
        for fact in gone:
            exchange.tell(fact)
        if held:
            for report in self._kept_for(frozenset(held)):
                self.switch.on_media(report)
            missing = tuple(leg for leg in state.legs if leg not in held)
            exchange.tell(inp.Reconciled(missing=missing, calls=tuple(state.calls), reason="the service has started and took calls over"))
        self._awaited.discard(tenant)
        if not self._awaited:
            self._begin()
        return started

    def _kept_for(self, legs: frozenset[LegId]) -> list[PlaneReport]:
        """What workers kept of these legs while nobody listened, in order."""
        kept = [one for one in self._media.kept if getattr(one, "leg", None) in legs]
        self._media.kept[:] = [one for one in self._media.kept if getattr(one, "leg", None) not in legs]
        return kept

    def _begin(self) -> None:
        """Every call that goes on is known: from now on what phones and workers say is heard. See `HOLD_S`."""
        if self._holding is None:
            return
        self._holding.cancel()
        self._holding = None
        for report in self._media.take_kept():
            self.switch.on_media(report)
        self._endpoint.begin()
        self._loop.call_later(self._settings.media_orphan_s, self._give_up_unclaimed)

    def _give_up_unclaimed(self) -> None:
        """Tenants that could not be opened had as long for it as their calls would have had without us."""
        left = self._media.unclaimed()
        for leg in left:
            self._media.abandon(leg)
        if left:
            log.warning("! %d legs of an earlier run belonged to nobody who was opened: closed", len(left))

    def _service_started(self, exchange: TenantExchange, held: tuple[LegId, ...]) -> inp.ServiceStarted:
        """That we run again, with what outlived workers tell of this tenant's calls, and the recordings nobody is left to tell of."""
        state = exchange.engine.state
        known = {recording: call for recording, (call, _) in state.recordings.items()}
        told: set[str] = set(self.switch.recordings.take_up(exchange.tenant, self._media.held_recordings, known))
        measured, recordings = [], []
        for report in (*self._media.taken_over, *self._media.kept):
            if isinstance(report, LegClosed):
                if report.leg in state.legs or report.leg in state.ended_legs:
                    measured.append(inp.QualityMeasured(leg=LegId(report.leg), quality=msgspec.structs.asdict(report.quality)))
            elif isinstance(report, RecordingEnded) and report.recording in state.recordings:
                told.add(report.recording)
                recordings.append(
                    inp.RecordingEnded(
                        recording=RecordingId(report.recording), path=report.path, duration_ms=report.duration_ms, error=report.error
                    )
                )
        left = [one for one in state.recordings if one not in told]
        recordings += [found for one in left if (found := self.switch.recordings.left_behind(exchange.tenant, one)) is not None]
        return inp.ServiceStarted(measured=tuple(measured), recordings=tuple(recordings), held=held)

    async def _book_of(self, setup: TenantSetup) -> PlanBook:
        """The book of a changed setup; plans that are new are read beside the loop, where calls go on.

        Raises: whatever `_exchange` raises
        """
        tenant = setup.configuration.tenant
        self._exchange(tenant)
        before, book = self._directory.setups[tenant], self._plans[tenant]
        if (setup.plans, setup.trunk_plans, _own_carriers(setup)) == (before.plans, before.trunk_plans, _own_carriers(before)):
            return book
        return await asyncio.to_thread(_plan_book, setup, _plans_by_document(before, book))

    async def configure(self, setup: TenantSetup) -> None:
        tenant = setup.configuration.tenant
        book = await self._book_of(setup)
        exchange, before = self._exchange(tenant), self._directory.setups[tenant]
        _check(setup, before)
        self._directory.put(setup)
        self._plans[tenant] = book
        self._brakes[tenant].take(setup.dialling)
        given = self._configuring(exchange, setup.configuration)
        done = exchange.submit(given) if given is not None else None
        if setup.trunks != before.trunks:
            self.lines.setup_changed(tenant)  # after it: a fact about a trunk that the core does not know yet would be dropped
            self.phones.probes.setup_changed(tenant)
        if done is not None:
            await done
        if _who_is_encrypted(setup) != _who_is_encrypted(before):
            self.phones.setup_changed(tenant, self.sip)

    def _configuring(self, exchange: TenantExchange, wanted: TenantConfiguration) -> inp.Configured | inp.Reconfigured | None:
        """What tells the exchange of a configuration, with the dates and figures it is decided by (ADR 0015, ADR 0004); None: it knows."""
        known = exchange.engine.state.configuration
        wanted = with_costs(resolved(wanted, self._clock(), known), self._directory, lambda peer: host_port(peer)[0])
        if known is None:  # the first goes to the exchange whole, every later one as what differs (ADR 0007)
            return inp.Configured(configuration=wanted)
        changes = difference(known, wanted)
        return inp.Reconfigured(changes=changes) if changes else None

    async def close_tenant(self, tenant: TenantId, *, for_good: bool = True) -> None:
        exchange = self._exchanges.get(tenant)
        if exchange is None and tenant not in self._directory.suspended:
            raise UnknownName("tenant", tenant)
        if exchange is not None:
            exchange.tell(inp.ServiceStopping())
            await self._drain([exchange])
        await self._suspend(tenant)
        if for_good:
            self._directory.drop(tenant)
            self.lines.setup_changed(tenant)

    def _exchange(self, tenant: TenantId) -> TenantExchange:
        exchange = self._exchanges.get(tenant)
        if exchange is None:
            raise UnknownName("tenant", tenant)
        return exchange

    # ------------------------------------------------------------------ desk

    async def command(self, tenant: TenantId, command: Command) -> tuple[Event, ...]:
        exchange = self._exchange(tenant)
        if isinstance(command, inp.Dial) and command.quote is None:
            number = normalise(command.number)
            price = self._offer_if_outside(tenant, number)
            if price is not None:
                self._brakes[tenant].check(price, command.agent, self._clock())
            command = msgspec.structs.replace(command, number=number, quote=None if price is None else plain(price.quote))
        elif isinstance(command, inp.Transfer | inp.Consult) and isinstance(command.target, ToOutside):
            # Whoever is transferred must not be lost, and nobody held, for a call that would not be placed.
            price = self._offer_of_first(tenant, command.target.number)
            if price is not None:
                self._brakes[tenant].check(price, command.agent if command.by is None else None, self._clock())
        future = exchange.submit(admit(command))
        events = await future if future is not None else ()
        if isinstance(command, inp.Answer) and not any(isinstance(event, WorkConnected) for event in events):
            await self.switch.until_taken(tenant, command.agent)
        return events

    async def begin_line_check(self, tenant: TenantId, agent: AgentId, host: str, offers: tuple[bytes, ...]) -> LineCheckBegun:
        self._agent_of(tenant, agent)
        return await self.switch.line_checks.begin(tenant, agent, host, offers)

    async def line_check(self, tenant: TenantId, agent: AgentId) -> LineCheck | None:
        self._agent_of(tenant, agent)
        return await self.switch.line_checks.outcome(tenant, agent)

    def _agent_of(self, tenant: TenantId, agent: AgentId) -> None:
        """Raises: UnknownName: the tenant is not open, or has no such agent."""
        self._exchange(tenant)
        if self._directory.agent(tenant, agent) is None:
            raise UnknownName("agent", agent)

    def _user_of_phone(self, tenant: TenantId, owner: AgentId) -> AgentId:
        exchange = self._exchanges.get(tenant)
        return exchange.engine.user_of_phone(owner) if exchange is not None else owner

    def _may_transfer(self, tenant: TenantId, agent: AgentId, number: str) -> None:
        """Look at what a transfer would cost: whoever is transferred must not be lost for a call that would not be placed.

        Raises: NoSuchNumber, PriceRefused, DialRefused.
        """
        price = self._offer_if_outside(tenant, number)
        if price is not None:
            self._brakes[tenant].check(price, agent, self._clock())

    def _offer_if_outside(self, tenant: TenantId, number: str) -> Offer | None:
        configuration = self._directory.setups[tenant].configuration
        inside = {entry.number for entry in configuration.numbers} | {agent.extension for agent in configuration.agents}
        if number in inside:
            return None
        return self._offer_of_first(tenant, number)

    def _offer_of_first(self, tenant: TenantId, number: str) -> Offer | None:
        """The price over the trunk that the call will try first: in order, one that is up, and whose plan has a price.

        None: it will go over a line of the tenant's own.

        Raises: NoSuchNumber, PriceRefused.
        """
        known = self._exchange(tenant).engine.state.trunks
        configured = self._directory.setups[tenant].configuration.trunks
        refusal: str | None = None
        for trunk in sorted((one for one in configured if one.outbound), key=lambda one: (one.order, one.id)):
            if trunk.id in known and not known[trunk.id].up:
                continue
            if trunk.internal:
                return None
            try:
                return self._offer(tenant, number, trunk.id)
            except PriceRefused as error:
                refusal = refusal or str(error)  # its text alone: an error that its own frame holds is a circle
        if is_private(number):  # it has no price because it is no number of the public's
            raise NoSuchNumber(number)
        if refusal is not None:
            raise PriceRefused(refusal)
        return self._offer(tenant, number, None)

    def mint_call(self) -> CallId:
        return self.switch.mint_call()

    def contact(self, tenant: TenantId, contact: ContactId) -> WholeContact:
        return self._exchange(tenant).engine.contact(contact)

    def open_contacts(self, tenant: TenantId) -> int:
        return self._exchange(tenant).engine.open_contacts

    async def quote(self, tenant: TenantId, number: str) -> dict[str, Any]:
        self._exchange(tenant)
        found = self._offer_if_outside(tenant, normalise(number))
        told: dict[str, Any] = {} if found is None else plain(found.quote)
        return told

    def live(self, tenant: TenantId) -> LiveState:
        """The live board at this moment."""
        return self._exchange(tenant).engine.live_at(self._clock())

    def live_at(self, tenant: TenantId) -> LiveAt:
        return self._exchange(tenant).live_at()

    def parts(self, tenant: TenantId) -> dict[CallId, tuple[AgentId, ...]]:
        return self._exchange(tenant).parts()

    def shown(self, tenant: TenantId, agent: AgentId, contact: ContactId) -> None:
        self.switch.screens.told(tenant, contact, agent)

    def describe(self, tenant: TenantId) -> dict[str, Any]:
        return {
            "core": self._exchange(tenant).engine.describe(),
            "switch": self.switch.describe(tenant),
            "share": self._share_figures(tenant),
        }

    def why_waiting(self, tenant: TenantId, contact: ContactId) -> dict[str, Any]:
        return self._exchange(tenant).why_waiting(contact)

    async def decisions(self, tenant: TenantId, contact: ContactId) -> list[dict[str, Any]]:
        return await self._exchange(tenant).decisions(contact)

    # ------------------------------------------------------------------ money

    def _offer(self, tenant: TenantId, number: str, trunk: TrunkId | None) -> Offer:
        at = instant(self._clock())
        found = offer(number, self._plans[tenant].pick(tenant, trunk, at), at)
        if not isinstance(found, Offer):
            raise PriceRefused(found.message)
        return found

    def _offer_again(self, tenant: TenantId, leg: Leg) -> Offer | None:
        """The price of a leg that an earlier run has placed; None: it costs nothing, or no price is known any more."""
        if leg.trunk is None or leg.number is None or self._directory.is_internal(tenant, leg.trunk):
            return None
        try:
            return self._offer(tenant, leg.number, leg.trunk)
        except (NoSuchNumber, PriceRefused):
            return None

    def _fund(self, tenant: TenantId, leg: LegId, number: str, trunk: TrunkId, agent: AgentId | None) -> dict[str, Any]:
        """The price of a leg over a carrier's trunk, once what it owes as soon as it is answered has been reserved."""
        found = self._offer(tenant, number, trunk)
        try:
            self._brakes[tenant].reserve(leg, found, agent, self._clock())
        except DialRefused as refusal:
            self.switch.counters[f"calls_refused_for_{'budget' if refusal.cause == 'budget' else 'class'}"] += 1
            raise
        told: dict[str, Any] = plain(found.quote)
        return told

    def spending(self, tenant: TenantId) -> Spending:
        self._exchange(tenant)
        return self._brakes[tenant].spending(self._clock())

    async def _look_after_money(self) -> None:
        """Once a second, whatever else is slow: nobody's database keeps another's call from its end."""
        while True:
            for tenant, brake in tuple(self._brakes.items()):
                try:
                    brake.look(self._clock())
                except Exception:
                    log.exception("! tenant %s: what its running calls cost could not be looked at", tenant)
                if (not brake.is_counted or brake.unsettled) and tenant not in self._counting:
                    self._counting[tenant] = asyncio.create_task(self._count_again(tenant, brake), name=f"count {tenant}")
            await asyncio.sleep(WATCH_S)

    async def _look_after(self, certificate: SipCertificate) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reload.wait(), LOOK_S)
            is_asked = self._reload.is_set()
            self._reload.clear()
            try:
                await asyncio.to_thread(certificate.look, time.time(), is_asked=is_asked)
            except Exception:
                log.exception("! the certificate of SIP over TLS could not be looked at")

    def reload_certificate(self) -> None:
        """Read the certificate of SIP over TLS again, now; connections that are up stay up under the one they began with."""
        self._reload.set()

    async def _count_again(self, tenant: TenantId, brake: Brake) -> None:
        """Records of what a crash has cut are a moment late; another balance is another count."""
        exchange = self._exchanges.get(tenant)
        try:
            if exchange is not None and not exchange.feed.lingers(brake.unsettled):
                await exchange.feed.flush()
                if not exchange.feed.waiting and self._brakes.get(tenant) is brake:
                    await self._count(tenant, brake)
        except Exception as error:
            if not isinstance(error, Unreachable):  # whoever waits for the database says so; it is asked again in a second
                log.exception("! tenant %s: what was spent could not be added up", tenant)
        finally:
            del self._counting[tenant]

    async def recount(self, tenant: TenantId) -> None:
        exchange, brake = self._exchange(tenant), self._brakes[tenant]
        async with self._adding_up[tenant]:
            now = self._clock()
            brake.is_counting = True  # who ends from here on is in the purse, whether or not its record is written meanwhile
            try:
                await exchange.settle()
                over = exchange.feed.lingering_calls
                while exchange.feed.lingers(over):  # noqa: ASYNC110 - a few seconds at most: their records are to be counted too
                    await asyncio.sleep(RECOUNT_S)
                await exchange.feed.flush()
                brake.count_all(await self._spent(tenant, brake, now), now)
            finally:
                brake.is_counting = False

    async def _count(self, tenant: TenantId, brake: Brake) -> None:
        """What was spent by calls that were over before the exchange was opened, from their records."""
        async with self._adding_up[tenant]:
            brake.count(await self._spent(tenant, brake, brake.since))

    async def _spent(self, tenant: TenantId, brake: Brake, before: float) -> list[tuple[str, int, int]]:
        rules = brake.rules
        return await self._sinks[tenant].spent(rules.currency, instant(self._clock()), rules.since, before=instant(before))

    def _rate(self, tenant: TenantId, cdr: Cdr) -> Charge:
        return rate(cdr, self._plans[tenant])

    async def _save(self, tenant: TenantId, cdrs: Sequence[Cdr], charges: Sequence[Charge], seq: int) -> None:
        await self._sinks[tenant].save(cdrs, charges, seq)

    async def _note(self, tenant: TenantId, notes: Sequence[tuple[str, Late]]) -> None:
        for call in await self._sinks[tenant].note(notes, lambda cdr: self._rate(tenant, cdr)):
            log.warning("! %s: something is noted for %s, of which there is no record", tenant, call)

    # ------------------------------------------------------------------ inside

    def _report(self, tenant: TenantId, fact: Input) -> None:
        exchange = self._exchanges.get(tenant)
        if exchange is None:
            return
        try:
            admitted = admit(fact)
        except msgspec.ValidationError:  # a defect of ours: decided on, it would shut the tenant's journal for ever
            self.switch.counters["facts_refused"] += 1
            log.exception("! tenant %s: %s could not be read again", tenant, type(fact).__name__)
            return
        exchange.tell(admitted)

    def _pop(self, tenant: TenantId, screen: ScreenPop) -> bool:
        exchange = self._exchanges.get(tenant)
        return exchange is not None and exchange.pop(screen)

    def _on_failure(self, tenant: TenantId, reason: str) -> None:
        """A journal cannot be written: nothing may be decided that would be forgotten, so this tenant's calls end; the others live."""
        self._directory.suspended.add(tenant)
        released = self.switch.give_up(tenant)
        log.critical("! %s; its %d legs were released, and its calls are refused until it is opened again", reason, released)
        if tenant in self._exchanges:
            self._say_state(tenant, is_open=True, trouble=reason)

    def troubles(self) -> dict[TenantId, str]:
        """Tenants that cannot go on, and why."""
        return {tenant: exchange.trouble for tenant, exchange in self._exchanges.items() if exchange.trouble is not None}

    def figures(self) -> Mapping[str, float]:
        counters = dict.fromkeys(DENIALS, 0) | self.switch.counters
        figures: dict[str, float] = {f"fernamt_switch_{name}_total": count for name, count in counters.items()}
        figures["fernamt_legs"] = self.switch.live_legs
        figures["fernamt_line_check_streams"] = self.switch.line_checks.streams
        figures["fernamt_phones_unreachable"] = self.phones.probes.unreachable
        figures["fernamt_phone_probes_total"] = self.phones.probes.sent
        pages = self.phones.pages
        figures["fernamt_pages"] = pages.registered_now
        figures["fernamt_pages_silent"] = pages.silent
        figures["fernamt_page_pings_total"] = pages.pings
        figures["fernamt_page_questions_total"] = pages.questions
        figures["fernamt_page_questions_unanswered_total"] = pages.unanswered
        figures["fernamt_up_seconds"] = time.monotonic() - self._started
        cpu = os.times()
        figures["fernamt_main_cpu_seconds_total"] = cpu.user + cpu.system
        figures |= self._media_figures
        figures |= {f"fernamt_sip_{name}": value for name, value in self._endpoint.figures().items()}
        if self._certificate is not None:
            figures |= {f"fernamt_sip_{name}": value for name, value in self._certificate.figures().items()}
        figures |= {f"fernamt_sip_{name}_total": self.sip.user_agent.counters[name] for name in SIP_COUNTERS}
        for tenant, exchange in self._exchanges.items():
            label = f'{{tenant="{tenant}"}}'
            for name, value in exchange.figures().items():
                figures[f"fernamt_{name}_total{label}"] = value
            figures |= {f'fernamt_{name}{{tenant="{tenant}",channel="{channel}"}}': value for name, channel, value in exchange.contacts()}
            for kind, count in exchange.conversations():
                figures[f'fernamt_conversations_total{{tenant="{tenant}",kind="{kind}"}}'] = count
            for what, count in exchange.lost_pages():
                figures[f'fernamt_lost_pages_total{{tenant="{tenant}",what="{what}"}}'] = count
            for step, count in exchange.channels():
                figures[f'fernamt_channels_by_plan_total{{tenant="{tenant}",step="{step}"}}'] = count
            figures[f"fernamt_cdrs_total{label}"] = exchange.feed.cdrs
            figures[f"fernamt_cdr_feed_stumbles_total{label}"] = exchange.feed.stumbles
            figures[f"fernamt_cdr_save_failures_total{label}"] = exchange.feed.save_failures
            figures[f"fernamt_cdrs_waiting{label}"] = exchange.feed.waiting
            figures[f"fernamt_cdrs_refused_total{label}"] = exchange.feed.refused
            figures |= {f"fernamt_{name}{label}": value for name, value in self._brakes[tenant].figures(self._clock()).items()}
            for what, value in self._share_figures(tenant).items():
                name, _, by = what.partition(" by ")
                labels = f'tenant="{tenant}",by="{by}"' if by else f'tenant="{tenant}"'
                figures[f"fernamt_{name}{{{labels}}}"] = value
        figures |= {f'fernamt_repairs_total{{what="{what}"}}': count for what, count in self.watchdog.repairs.items()}
        figures["fernamt_strangers_refused_total"] = self.sip.user_agent.overload.strangers_refused
        figures["fernamt_emergency_port_pairs"] = self.switch.ports.kept
        figures["fernamt_emergency_port_pairs_used"] = self.switch.ports.kept_used
        return figures

    def _share_figures(self, tenant: TenantId) -> dict[str, int]:
        """What a tenant has of the common resources, and what it was refused; `name by reason` where there are several."""
        overload, ports = self.sip.user_agent.overload, self.switch.ports
        holding = ports.holding(self.switch.shares.of_phones(tenant), time.monotonic())
        return {
            "calls_admitted_total": overload.verdicts[tenant, Verdict.ADMITTED],
            "calls_refused_total by share": overload.verdicts[tenant, Verdict.BY_SHARE],
            "calls_refused_total by rate": overload.verdicts[tenant, Verdict.BY_RATE],
            "calls_refused_total by ceiling": overload.verdicts[tenant, Verdict.BY_CEILING],
            "calls_refused_total by ports": ports.refused[tenant],
            "calls_unrecorded_total": self.switch.unrecorded[tenant],
            "calls_urgent_total": overload.emergencies[tenant],
            "requests_refused_total": overload.requests_refused[tenant],
            "port_pairs_used": holding.used,
            "port_pairs_guaranteed": holding.guaranteed,
            "port_pairs_borrowed": holding.borrowed,
        }

    def _follow_clock(self) -> None:
        step = self._clock.step()
        if step:
            log.error(
                "! the wall clock was set by %+.3f s: every exchange follows, and what is going on has lasted as long as before", step
            )
            for exchange in self._exchanges.values():
                exchange.clock_stepped(step)

    async def _watch(self) -> None:
        """Look at the clock, and ask the media workers for their figures, so that /metrics need not wait for them."""
        while True:
            self._follow_clock()
            for exchange in tuple(self._exchanges.values()):
                exchange.look()
            self._resolve_ahead()
            try:
                statuses, held = await asyncio.gather(self._media.status(), self._media.ask_held())
                self._compare(held.values())
            except MediaError as error:  # a worker is being replaced: its figures come again when it is there
                if not self._stopping:
                    log.warning("! no media figures: %s", error)
                statuses = []
            self._media_figures = {
                f'fernamt_media_{name}{{worker="{index}"}}': float(getattr(status, field))
                for index, status in enumerate(statuses)
                for name, field in MEDIA_FIGURES.items()
            }
            await asyncio.sleep(WATCH_S)

    def _compare(self, held: Iterable[Held]) -> None:
        """Let the watchdog look, unless what was decided is still on its way."""
        if self._stopping or self._holding is not None:
            return
        settled = {tenant: one.engine.state for tenant, one in self._exchanges.items() if one.is_settled}
        try:
            self.watchdog.look(settled, held)
        except Exception:
            log.exception("! the watchdog stumbled")

    def _resolve_ahead(self) -> None:
        """A service that runs for years is told of time zones and public holidays before it needs them."""
        for tenant, exchange in tuple(self._exchanges.items()):
            known = exchange.engine.state.configuration
            if known is None or exchange.trouble is not None or reaches(known, self._clock()):
                continue
            given = self._configuring(exchange, self._directory.setups[tenant].configuration)
            if given is not None:
                exchange.tell(given)
                log.info("= tenant %s: time zones and public holidays are resolved for the years to come", tenant)

    async def _drain(self, exchanges: list[TenantExchange]) -> None:
        deadline = time.monotonic() + DRAIN_S
        while time.monotonic() < deadline and (  # noqa: ASYNC110 - two rooms empty out by many small events; asking now and then is plainer
            self.switch.live_legs or any(exchange.feed.lingering for exchange in exchanges)
        ):
            await asyncio.sleep(0.02)

    def stopping(self) -> None:
        """`close` will come soon: what ends by itself from now on, a media worker that got the same signal, is not missed."""
        self._stopping = True
        for pages in self._pages.values():  # whoever has their port closes them before we leave: a successor goes on with what they carry
            pages.stop_reading()
        self._media.stopping()

    async def let_pages_go(self, *, leaves: bool) -> None:
        """Whoever has the port of pages is about to close it.

        Args:
            leaves: `leave` comes next: a successor goes on with what they carry, and nobody is told that they have gone. Otherwise `close`
                does, and their calls are ended while there is a way to them.
        """
        if leaves:
            for pages in self._pages.values():
                pages.stop_reading()
        elif any(map(len, self._pages.values())):
            await self._clear(list(self._exchanges.values()))

    async def _clear(self, exchanges: list[TenantExchange]) -> None:
        """End all calls, and let the last BYEs out."""
        for exchange in exchanges:
            exchange.tell(inp.ServiceStopping())
        await asyncio.sleep(0.05)
        await self._drain(exchanges)

    async def leave(self) -> None:
        """Leave all calls to a successor: nothing of them ends, media workers keep them up for `media_orphan_s`. Where no call is up, or
        the workers were told to end as well, this is `close`.
        """
        self.stopping()
        await self.switch.line_checks.close()
        if not self.switch.live_legs or not self._media.is_whole:
            await self.close()
            return
        log.warning("> %d legs are left to a successor, for %g s", self.switch.live_legs, self._settings.media_orphan_s)
        exchanges = list(self._exchanges.values())
        deadline = time.monotonic() + LINGER_S
        while time.monotonic() < deadline and any(exchange.feed.lingering for exchange in exchanges):  # noqa: ASYNC110 - as `_drain`
            await asyncio.sleep(0.02)
        await self._endpoint.leave()  # first: whatever is told from now on is told to the successor
        for exchange in exchanges:
            await exchange.settle()
        self.switch.write_notes()
        await self._media.leave()
        self.phones.close()
        self.lines.leave()
        await self._end(exchanges)

    async def close(self) -> None:
        """Clear all calls, let the last BYEs out, sync and save everything."""
        self.stopping()
        await self.switch.line_checks.close()
        exchanges = list(self._exchanges.values())
        await self._clear(exchanges)
        await self.lines.close()
        self.phones.close()
        await self._end(exchanges)
        await self._media.close()

    async def _end(self, exchanges: Sequence[TenantExchange]) -> None:
        errors = await asyncio.gather(*(exchange.close() for exchange in exchanges), return_exceptions=True)
        await self._endpoint.close()
        beside = [task for task in (self._watching, self._braking, self._certifying, *self._counting.values()) if task is not None]
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        for tenant in self._exchanges:
            self._say_state(tenant, is_open=False)
        self._exchanges.clear()
        for error in errors:
            if isinstance(error, BaseException):
                log.error("! closing: %s", error)


def check_addresses(listen: Sequence[Listen]) -> None:
    """See that the SIP addresses are free.

    Raises: OSError: one is taken; the text names it.
    """
    for one in listen:
        kind = socket.SOCK_DGRAM if one.transport == "udp" else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET6 if ":" in one.host else socket.AF_INET, kind) as trial:
            if one.transport != "udp":
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((one.host, one.port))
            except OSError as error:
                raise OSError(error.errno, f"SIP address {one.transport} {one.host}:{one.port}: {error.strerror}") from error


def _check(setup: TenantSetup, before: TenantSetup | None) -> None:
    problems = problems_after(before.configuration if before is not None else None, setup.configuration)
    if problems:
        raise ValueError("\n".join(problems))


def _who_is_encrypted(setup: TenantSetup) -> tuple[object, ...]:
    """What it depends on whether a phone may signal in plain."""
    sites = {agent.id: agent.site for agent in setup.configuration.agents} if setup.encrypted_sites else {}
    return setup.signalling, setup.encrypted_phones, setup.encrypted_sites, sites


def _plans_by_document(setup: TenantSetup, book: PlanBook) -> dict[bytes, Plan]:
    """What was read already: a version never changes, and ten thousand rates are a sixth of a second on the loop, each time."""
    tenant = setup.configuration.tenant
    found = dict(zip(setup.plans, book.tenants.get(tenant, ()), strict=True))
    for trunk, documents in setup.trunk_plans.items():
        found |= zip(documents, book.trunks[(str(tenant), str(trunk))], strict=True)
    return found


def _own_carriers(setup: TenantSetup) -> tuple[TrunkId, ...]:
    return tuple(trunk.id for trunk in setup.configuration.trunks if trunk.own_carrier)


def _plan_book(setup: TenantSetup, known: Mapping[bytes, Plan] = MappingProxyType({})) -> PlanBook:
    return read_book(
        setup.configuration.tenant,
        setup.plans,
        {str(trunk): documents for trunk, documents in setup.trunk_plans.items()},
        known,
        _own_carriers(setup),
    )
