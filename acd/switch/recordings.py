"""Recordings on their way from the core to the media worker, and what becomes of their files (`acd.core.steps.recording` decides).

An order for a leg waits until the leg has ports; a worker that ends leaves a file that is whole as far as it goes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from acd.core import effects as ef
from acd.core import inputs as inp
from acd.core.ids import CallId, LegId, RecordingId, TenantId
from acd.core.inputs import Input
from media import control
from media.client import MediaPlane
from media.recorder import salvage

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Recording:
    tenant: TenantId
    recording: RecordingId
    call: CallId
    path: str
    legs: tuple[LegId, ...]
    is_begun: bool = False
    """The worker has been told."""
    further: list[LegId] = field(default_factory=list)
    """Who came later."""
    talking: tuple[LegId, ...] | None = None
    """Who is recorded now; None: everybody."""


class Recordings:
    """Those that run.

    Args:
        data: the data directory.
        when_open: does something as soon as a leg has ports; never, if it is gone.
        report: hands a fact to the tenant's exchange.
    """

    def __init__(
        self,
        data: Path,
        media: MediaPlane,
        *,
        when_open: Callable[[LegId, Callable[[], None]], None],
        report: Callable[[TenantId, Input], None],
        spawn: Callable[[Awaitable[None]], Any],
    ) -> None:
        self._data = data
        self._media = media
        self._when_open = when_open
        self._report = report
        self._spawn = spawn
        self._running: dict[str, Recording] = {}

    def of_tenant(self, tenant: TenantId) -> list[str]:
        """Names of those that run."""
        return [name for name, one in self._running.items() if one.tenant == tenant]

    def take_up(self, tenant: TenantId, held: Iterable[control.HeldRecording], known: Mapping[RecordingId, CallId]) -> set[RecordingId]:
        """Those of an earlier run that its workers go on with.

        Args:
            known: recording -> call, of the tenant's journal.
        Returns: which those are.
        """
        taken: set[RecordingId] = set()
        for one in held:
            recording = RecordingId(one.recording)
            if recording in known:
                legs = tuple(LegId(leg) for leg in one.legs)
                talking = tuple(leg for leg in legs if leg not in one.silent)
                running = Recording(tenant, recording, known[recording], one.path, legs, is_begun=True, talking=talking)
                self._running[recording] = running
                taken.add(recording)
        return taken

    # ------------------------------------------------------------------ effects of the core

    def begin(self, tenant: TenantId, effect: ef.BeginRecording) -> None:
        """When the last of its legs is open. One that runs goes on."""
        if effect.recording in self._running:
            return
        file = self._path(tenant, effect.recording)
        file.parent.mkdir(parents=True, exist_ok=True)
        path = str(file)
        recording = self._running[effect.recording] = Recording(tenant, effect.recording, effect.call, path, effect.legs)

        def begin() -> None:
            if self._running.get(effect.recording) is not recording:
                return  # its end was ordered before its legs had ports
            recording.is_begun = True
            self._media.send(effect.call, control.StartRecording(recording=effect.recording, path=path, legs=tuple(effect.legs)))
            for leg in recording.further:
                self._record_further(recording, leg)
            self._tell_parties(recording)

        for name in reversed(effect.legs):
            begin = partial(self._when_open, name, begin)
        begin()

    def join(self, _tenant: TenantId, effect: ef.RecordLeg) -> None:
        """A further party."""
        recording = self._running.get(effect.recording)
        if recording is not None:
            recording.legs = (*recording.legs, effect.leg)
            recording.further.append(effect.leg)
            if recording.is_begun:
                self._tell_parties(recording)
            self._record_further(recording, effect.leg)

    def _record_further(self, recording: Recording, leg: LegId) -> None:
        """When the worker knows both, whichever comes last; what it is told twice it does once."""

        def join() -> None:
            if recording.is_begun and self._running.get(recording.recording) is recording:
                self._media.send(recording.call, control.RecordLeg(recording=recording.recording, leg=leg))

        self._when_open(leg, join)

    def declare(self, _tenant: TenantId, effect: ef.RecordParties) -> None:
        """Who is recorded, and on whose channels is silence."""
        recording = self._running.get(effect.recording)
        if recording is not None and recording.talking != effect.legs:
            recording.talking = effect.legs
            if recording.is_begun:
                self._tell_parties(recording)

    def _tell_parties(self, recording: Recording) -> None:
        if recording.talking is None:
            return
        silent = tuple(leg for leg in recording.legs if leg not in recording.talking)
        for legs, paused in ((silent, True), (recording.talking, False)):
            if legs:
                self._media.send(recording.call, control.PauseRecording(recording=recording.recording, paused=paused, legs=legs))

    def end(self, _tenant: TenantId, effect: ef.EndRecording) -> None:
        """Its `RecordingEnded` follows."""
        recording = self._running.get(effect.recording)
        if recording is None:
            return
        if recording.is_begun:
            self._media.send(recording.call, control.StopRecording(recording=effect.recording))
            return
        del self._running[effect.recording]
        never = inp.RecordingEnded(recording=effect.recording, path=recording.path, duration_ms=0, error="its legs never had ports")
        self._report(recording.tenant, never)

    # ------------------------------------------------------------------ files

    def ended(self, report: control.RecordingEnded) -> None:
        """A file is closed."""
        recording = self._running.pop(report.recording, None)
        if recording is not None:
            ended = inp.RecordingEnded(recording=recording.recording, path=report.path, duration_ms=report.duration_ms, error=report.error)
            self._report(recording.tenant, ended)

    def worker_lost(self, legs: set[str]) -> None:
        """The worker of these legs has ended."""
        for recording in list(self._running.values()):
            if recording.is_begun and not legs.isdisjoint(recording.legs):
                del self._running[recording.recording]
                self._spawn(self._break_off(recording))

    async def _break_off(self, recording: Recording) -> None:
        """Its worker ended: what is in the file is all there will be. Whether another one is begun is the core's to say."""
        error = "its media worker ended"
        duration_ms = 0
        try:
            duration_ms = await asyncio.to_thread(salvage, recording.path)
        except OSError as fault:
            error = f"{error}, and the file cannot be read: {fault}"
        log.warning("! %s: recording %s broke off after %d ms: %s", recording.call, recording.recording, duration_ms, error)
        ended = inp.RecordingEnded(recording=recording.recording, path=recording.path, duration_ms=duration_ms, error=error, broke_off=True)
        self._report(recording.tenant, ended)

    def left_behind(self, tenant: TenantId, recording: RecordingId) -> inp.RecordingEnded | None:
        """What an earlier run left of a recording whose end nobody reported; None: there is no file."""
        path = self._path(tenant, recording)
        try:
            duration_ms = salvage(str(path))
        except FileNotFoundError:
            return None
        except OSError as fault:
            return inp.RecordingEnded(recording=recording, path=str(path), duration_ms=0, error=f"the file cannot be read: {fault}")
        error = "the exchange was gone when it ended"
        return inp.RecordingEnded(recording=recording, path=str(path), duration_ms=duration_ms, error=error)

    def _path(self, tenant: TenantId, recording: RecordingId) -> Path:
        return (self._data / "tenants" / tenant / "recordings" / f"{recording.replace('/', '-')}.wav").resolve()
