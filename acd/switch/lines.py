"""Trunks: our registrations at carriers, keep-alive probes, and whether a line is up (R1, R5; RFC 3261 §10.2, §11)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from acd.config import VoiceSettings
from acd.core import inputs
from acd.core.ids import TenantId, TrunkId
from acd.core.inputs import Input
from acd.directory import Directory
from acd.service import TrunkLine
from acd.switch.addresses import host_port
from acd.switch.sip_port import SipPort
from sip import events as sip_events
from sip.digest import DigestCredentials
from sip.registration import RegistrationPlan
from sip.uri import Uri

FAILURES_TO_DOWN = 2
"""One lost probe is a lost packet, two are a line that is down."""


def credentials(line: TrunkLine) -> DigestCredentials | None:
    """What we prove ourselves with at this carrier."""
    registration = line.registration
    if registration is None:
        return None
    return DigestCredentials(registration.auth_username or registration.username, registration.password)


@dataclass(slots=True)
class _Line:
    tenant: TenantId
    line: TrunkLine
    up: bool = True
    failures: int = 0
    timer: asyncio.TimerHandle | None = None

    @property
    def key(self) -> str:
        return f"{self.tenant}/{self.line.id}"


class Lines:
    def __init__(self, settings: VoiceSettings, directory: Directory, report: Callable[[TenantId, Input], None]) -> None:
        self._settings = settings
        self._directory = directory
        self._report = report
        self._lines: dict[str, _Line] = {}
        self._port: SipPort | None = None

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
                self._begin(_Line(tenant, line))

    def _begin(self, line: _Line) -> None:
        self._lines[line.key] = line
        registration = line.line.registration
        if registration is not None:
            host, port = host_port(registration.registrar)
            line.up = False  # until the carrier has said yes
            self._say(line, up=False, detail="not registered yet")
            self._sip.register(
                line.key,
                RegistrationPlan(
                    aor=Uri("sip", registration.username, host),
                    registrar=Uri("sip", None, host, port),
                    flow=self._sip.flow_to(line.line.transport, (host, port or 5060)),
                    credentials=credentials(line.line),
                    expires_s=registration.expires_s,
                ),
            )
        elif self._settings.probe_trunks and line.line.probe_every_s > 0 and line.line.peer:
            self._probe(line)

    def _end(self, line: _Line) -> None:
        del self._lines[line.key]
        if line.timer is not None:
            line.timer.cancel()
        if line.line.registration is not None:
            self._sip.unregister(line.key)

    def _probe(self, line: _Line) -> None:
        host, port = host_port(line.line.peer)
        self._sip.options(line.key, Uri("sip", None, host, port), self._sip.flow_to(line.line.transport, (host, port or 5060)))

    def on_sip(self, event: sip_events.Event) -> bool:
        """Returns: whether the event was about a line."""
        match event:
            case sip_events.OptionsAnswered():
                line = self._lines.get(event.probe)
                if line is not None:
                    self._probed(line, event.status)
                return True
            case sip_events.RegistrationUp():
                line = self._lines.get(event.registration)
                if line is not None:
                    self._say(line, up=True, detail=None)
                return True
            case sip_events.RegistrationDown():
                line = self._lines.get(event.registration)
                if line is not None:
                    self._say(line, up=False, detail=f"registration: {event.status} {event.reason}")
                return True
            case _:
                return False

    def _probed(self, line: _Line, status: int | None) -> None:
        # Any answer is a sign of life (RFC 3261 §11: even 405 comes from somebody), except that nobody can take calls.
        alive = status is not None and status != 503
        line.failures = 0 if alive else line.failures + 1
        if alive:
            self._say(line, up=True, detail=None)
        elif line.failures >= FAILURES_TO_DOWN:
            self._say(line, up=False, detail="no answer to OPTIONS" if status is None else f"OPTIONS answered {status}")
        line.timer = asyncio.get_running_loop().call_later(line.line.probe_every_s, self._probe, line)

    def _say(self, line: _Line, *, up: bool, detail: str | None) -> None:
        if up != line.up or not up:
            line.up = up
            self._report(line.tenant, inputs.TrunkChanged(trunk=TrunkId(line.line.id), up=up, detail=detail))

    async def close(self) -> None:
        """Take the registrations back and stop probing."""
        for line in list(self._lines.values()):
            self._end(line)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
