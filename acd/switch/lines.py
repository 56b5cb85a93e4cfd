"""Trunks: our registrations at carriers, keep-alive probes, and whether a line is up (R1, R5; RFC 3261 §10.2, §11).

A carrier we register at knows us by a Contact nobody else can guess: its calls come to that user name, from whatever address. One that
puts the number into the Request-URI instead is known by the addresses of its registrar and its peer.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import socket
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from acd.config import VoiceSettings
from acd.core import inputs as inp
from acd.core.ids import TenantId, TrunkId
from acd.core.inputs import Input
from acd.directory import Directory
from acd.networks import Reach
from acd.service import TrunkLine
from acd.switch.addresses import host_port, reach
from acd.switch.sip_port import SipPort
from acd.wire_text import LONGEST_LINE, fit
from sip import events as sip_events
from sip.digest import DigestCredentials
from sip.flow import default_port
from sip.registration import RegistrationPlan
from sip.source import address_of
from sip.uri import Uri

log = logging.getLogger(__name__)

FAILURES_TO_DOWN = 2
"""One lost probe is a lost packet, two are a line that is down."""
NOT_ALLOWED = "not allowed by the operator"
"""What the tenant is told, whether anybody listens there or not: it was not asked."""
MAX_DENIED = 1000
"""Pairs of trunk and address that have been logged; beyond it they are logged anew."""
GOODBYE_S = 1.0
"""How long taking our registrations back may hold up an orderly stop; carriers forget us by themselves otherwise."""


def credentials(line: TrunkLine) -> DigestCredentials | None:
    """What we prove ourselves with at this carrier."""
    registration = line.registration
    if registration is None:
        return None
    return DigestCredentials(registration.auth_username or registration.username, registration.password)


def _proxy(line: TrunkLine) -> tuple[Uri, ...]:
    """The way over the outbound proxy of a registration, where it has one."""
    if line.registration is None or not line.registration.outbound_proxy:
        return ()
    host, port = host_port(line.registration.outbound_proxy)
    transport = (("transport", line.transport),) if line.transport != "udp" else ()
    return (Uri("sip", None, host, port, params=(*transport, ("lr", None))),)


@dataclass(slots=True)
class _Line:
    tenant: TenantId
    line: TrunkLine
    name: str
    """Of its registration or probes: fresh at each beginning, so that a late answer to the line as it was before means nothing."""
    up: bool | None = None
    """None until something was heard; what the journal knows holds until then."""
    failures: int = 0
    is_denied: bool = False
    """What was asked last went to an address that the operator does not allow."""
    unresolved: str = ""
    """The host that had no address when it was asked last."""
    unproven: str = ""
    """Why the peer that was reached last under TLS has not proved to be it."""
    nameless: str = ""
    """The same, as the log was told: once when it begins, once when it is over."""
    is_registering: bool = False
    """The SIP engine has it, and will tell of its end."""
    timer: asyncio.TimerHandle | None = None

    @property
    def key(self) -> str:
        return f"{self.tenant}/{self.line.id}"

    @property
    def hosts(self) -> set[str]:
        """Where its requests go, as configured."""
        registration = self.line.registration
        ours = (registration.registrar, registration.outbound_proxy) if registration is not None else ()
        return {host_port(text)[0] for text in (self.line.peer, *ours) if text}

    @property
    def is_probed(self) -> bool:
        return self.line.registration is None and self.line.probe_every_s > 0 and bool(self.line.peer)


def _why(line: _Line) -> str | None:
    """Why nothing was sent; None: it was."""
    if line.is_denied:
        return NOT_ALLOWED
    if line.unproven:
        return fit(f"TLS: {line.unproven}", LONGEST_LINE)
    return fit(f"{line.unresolved} has no address", LONGEST_LINE) if line.unresolved else None


class Lines:
    """See the module.

    Args:
        report: hands a fact to the tenant's exchange; never raises.
        rule: which addresses may be reached; None: as the settings say.
        of_phone: told of probes that came back and are not ours.
        secret: of this installation; our Contacts at carriers are made from it, the same after a restart.
    """

    def __init__(
        self,
        settings: VoiceSettings,
        directory: Directory,
        report: Callable[[TenantId, Input], None],
        secret: bytes,
        rule: Reach | None = None,
        of_phone: Callable[[sip_events.OptionsAnswered], None] = lambda _event: None,
    ) -> None:
        self._settings = settings
        self._of_phone = of_phone
        self._reach = rule or reach(settings)
        self._denied: set[tuple[str, str]] = set()
        self._directory = directory
        self._report = report
        self._secret = secret
        self._lines: dict[str, _Line] = {}
        self._by_name: dict[str, _Line] = {}
        self._leaving: set[str] = set()
        self._all_gone = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = 0
        self._port: SipPort | None = None
        self.hears: Mapping[type, Callable[[Any], None]] = {
            sip_events.OptionsAnswered: self._answered_probe,
            sip_events.RegistrationUp: self._registered,
            sip_events.RegistrationDown: self._not_registered,
        }
        """What of the SIP engine's events is ours."""

    def attach(self, port: SipPort) -> None:
        self._port = port

    @property
    def _sip(self) -> SipPort:
        assert self._port is not None, "lines were set up before the SIP port was attached"
        return self._port

    def setup_changed(self, tenant: TenantId) -> None:
        """Begin, end and begin again what changed; a line that stays as it was is left alone."""
        setup = self._directory.setups.get(tenant)
        wanted = {f"{tenant}/{line.id}": line for line in setup.trunks} if setup is not None else {}
        for key, known in list(self._lines.items()):
            if known.tenant == tenant and wanted.get(key) != known.line:
                self._end(known)
        for key, line in wanted.items():
            if key not in self._lines:
                self._begun += 1
                self._begin(_Line(tenant, line, f"{key}#{self._begun}"))

    def _begin(self, line: _Line) -> None:
        self._lines[line.key] = self._by_name[line.name] = line
        try:
            self._directory.learn_peers(line.tenant, line.line.id, [host for host in line.hosts if address_of(host) is not None])
            if not all(self._reach.allows_name(host) for host in line.hosts):
                # Set up before the operator ruled it out: nothing is sent there, so nothing need be asked.
                for host in line.hosts:
                    self._log_denied(line.key, host, host)
                self._say(line, up=False, detail=NOT_ALLOWED)
            elif line.line.registration is not None:
                self._register(line)
            elif line.is_probed and self._settings.probe_trunks:
                self._probe(line)
            else:
                self._say(line, up=True, detail=None)  # nobody asks, so nothing can be known against it
            if line.line.registration is None and any(address_of(host) is None for host in line.hosts):
                self._spawn(self._learn_addresses(line))
        except (LookupError, ValueError) as error:
            log.warning("! trunk %s cannot be used: %s", line.key, error)
            self._say(line, up=False, detail=str(error))

    def _register(self, line: _Line) -> None:
        registration = line.line.registration
        assert registration is not None
        self._say(line, up=False, detail="not registered yet")  # until the carrier has said yes
        host, port = host_port(registration.registrar)
        route = _proxy(line.line)
        usual = default_port(line.line.transport)
        next_hop = (route[0].host, route[0].port or usual) if route else (host, port or usual)
        flow = self._sip.flow_to(line.line.transport, next_hop, line.tenant, asks=line.line.tls_identity is not None)
        contact_user = self._contact_user(line)
        self._directory.learn_contact(contact_user, line.tenant, line.line.id)
        self._spawn(self._learn_addresses(line))
        line.is_registering = True
        self._sip.register(
            line.name,
            RegistrationPlan(
                aor=Uri("sip", registration.username, registration.from_domain or host),
                registrar=Uri("sip", None, host, port),
                flow=flow,
                route=route,
                credentials=credentials(line.line),
                contact_user=contact_user,
                expires_s=registration.expires_s,
                backoff_s=registration.retry_s,
                patience_s=line.line.answer_within_s,
            ),
        )

    def _contact_user(self, line: _Line) -> str:
        # A changed line gets another Contact: the old one may be taken back after the new one was registered (RFC 3261 §10.2.2).
        what = line.key.encode() + b"\0" + msgspec.json.encode(line.line)
        return "line-" + hmac.new(self._secret, what, hashlib.sha256).hexdigest()[:24]

    async def _learn_addresses(self, line: _Line, registered_at: str = "") -> None:
        """Where its requests go and, where it registers, the carrier's calls may come from: every address its names have at this moment.

        Args:
            registered_at: host that has just taken its registration.
        """
        found: set[str] = set()
        for host in line.hosts:
            try:
                answers = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
            except (OSError, UnicodeError) as error:  # the second: a label is empty or longer than 63 octets
                if self._lines.get(line.key) is line:
                    self._miss(line, host, error if isinstance(error, OSError) else OSError(str(error)))
                continue
            found.update(str(answer[4][0]) for answer in answers)
        if self._lines.get(line.key) is line:
            self._directory.learn_peers(line.tenant, line.line.id, found)
            self._directory.saw_answer(line.tenant, line.line.id, registered_at)
            if line.line.registration is not None:
                self._directory.learn_addresses(line.tenant, line.line.id, found)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self, line: _Line) -> None:
        del self._lines[line.key], self._by_name[line.name]
        if line.timer is not None:
            line.timer.cancel()
        self._directory.forget_line(line.tenant, line.line.id)
        if line.is_registering:
            self._leaving.add(line.name)
            self._all_gone.clear()
            self._sip.unregister(line.name)

    def suspect(self, tenant: TenantId, trunk: TrunkId) -> None:
        """A call over this trunk got no answer at all: ask at once whether anybody is there."""
        line = self._lines.get(f"{tenant}/{trunk}")
        if line is not None and line.timer is not None and line.up is not False:
            line.timer.cancel()
            line.timer = None
            self._probe(line)

    def route(self, tenant: TenantId, trunk: TrunkId) -> tuple[Uri, ...]:
        """What a call over this trunk has to pass, nearest first: its outbound proxy, then what its registrar wants (RFC 3608 §6.1)."""
        line = self._lines.get(f"{tenant}/{trunk}")
        if line is None or line.line.registration is None:
            return ()
        proxy = _proxy(line.line)
        wanted = self._sip.service_route(line.name) if line.is_registering else ()
        usual = default_port(line.line.transport)
        if proxy and wanted and (wanted[0].host, wanted[0].port or usual) == (proxy[0].host, proxy[0].port or usual):
            return wanted  # it names the proxy itself
        return (*proxy, *wanted)

    def denied(self, host: str, address: str) -> None:
        """A request to this host was not sent, since the address it has at the moment is not allowed."""
        lines = [line for line in self._lines.values() if host in line.hosts]
        for line in lines:
            line.is_denied = True
            self._log_denied(line.key, host, address)
        if not lines:
            self._log_denied("", host, address)

    def unresolved(self, host: str, error: OSError) -> None:
        """A request to this host was not sent, since it has no address at the moment."""
        for line in self._lines.values():
            if host in line.hosts:
                self._miss(line, host, error)

    def unproven(self, host: str, why: str) -> None:
        """Who answers at this host has not proved to be it: nothing was sent there."""
        for line in self._lines.values():
            if host in line.hosts:
                line.unproven = why

    def _miss(self, line: _Line, host: str, error: OSError) -> None:
        line.unresolved = host
        if line.nameless != host:
            line.nameless = host
            log.warning("! trunk %s: %s has no address: %s", line.key, host, error.strerror or error)

    def _regard_name(self, line: _Line) -> None:
        """After an attempt: whether a name that had no address has one again."""
        if line.nameless and not line.unresolved:
            log.info("= trunk %s: %s has an address again", line.key, line.nameless)
            line.nameless = ""

    def _log_denied(self, trunk: str, host: str, address: str) -> None:
        """Once for each trunk and address, not for each packet."""
        if (trunk, address) in self._denied:
            return
        if len(self._denied) >= MAX_DENIED:
            self._denied.clear()
        self._denied.add((trunk, address))
        whose = f"trunk {trunk}" if trunk else "a header of a message"
        log.warning("! %s leads to %s (%s), where the operator allows no calls", whose, host, address)

    def _probe(self, line: _Line) -> None:
        line.timer = None
        line.is_denied = False
        line.unresolved = line.unproven = ""
        host, port = host_port(line.line.peer)
        remote = host, port or default_port(line.line.transport)
        flow = self._sip.flow_to(line.line.transport, remote, line.tenant, asks=line.line.tls_identity is not None)
        self._sip.options(line.name, Uri("sip", None, host, port), flow, patience_s=line.line.answer_within_s)

    def _answered_probe(self, event: sip_events.OptionsAnswered) -> None:
        line = self._by_name.get(event.probe)
        if line is not None:
            self._probed(line, event.status)
        else:
            self._of_phone(event)

    def _registered(self, event: sip_events.RegistrationUp) -> None:
        line = self._by_name.get(event.registration)
        if line is not None:
            line.unresolved = line.unproven = ""
            self._regard_name(line)
            self._spawn(self._learn_addresses(line, event.came_from))
            self._say(line, up=True, detail=None)

    def _not_registered(self, event: sip_events.RegistrationDown) -> None:
        line = self._by_name.get(event.registration)
        if line is not None:
            self._regard_name(line)
            self._say(line, up=False, detail=_why(line) or fit(f"registration: {event.status} {event.reason}", LONGEST_LINE))
            line.is_denied = False
            line.unresolved = line.unproven = ""
        self._leaving.discard(event.registration)
        if not self._leaving:
            self._all_gone.set()

    def _probed(self, line: _Line, status: int | None) -> None:
        # Any answer is a sign of life (RFC 3261 §11: even 405 comes from somebody), except that nobody can take calls.
        alive = status is not None and status != 503
        self._regard_name(line)
        line.failures = 0 if alive else line.failures + 1
        if alive:
            if not line.up:
                self._spawn(self._learn_addresses(line))
            self._say(line, up=True, detail=None)
        elif line.is_denied:
            line.failures = FAILURES_TO_DOWN  # no second opinion: nothing was lost on the way
            self._say(line, up=False, detail=NOT_ALLOWED)
        elif line.failures >= FAILURES_TO_DOWN:
            self._say(line, up=False, detail=_why(line) or ("no answer to OPTIONS" if status is None else f"OPTIONS answered {status}"))
        # The second opinion is asked for at once.
        wait = 0.0 if 0 < line.failures < FAILURES_TO_DOWN else line.line.probe_every_s
        line.timer = asyncio.get_running_loop().call_later(wait, self._probe, line)

    def _say(self, line: _Line, *, up: bool, detail: str | None) -> None:
        if up != line.up or not up:
            line.up = up
            self._report(line.tenant, inp.TrunkChanged(trunk=TrunkId(line.line.id), up=up, detail=detail))

    def leave(self) -> None:
        """Stop, and leave the registrations as they are: a successor registers again, and calls that come meanwhile come again."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Take the registrations back and stop probing."""
        for line in list(self._lines.values()):
            self._end(line)
        for task in self._tasks:
            task.cancel()
        try:
            async with asyncio.timeout(GOODBYE_S):
                while self._leaving:
                    await self._all_gone.wait()
        except TimeoutError:
            log.warning("! %d registrations could not be taken back in %g s", len(self._leaving), GOODBYE_S)
