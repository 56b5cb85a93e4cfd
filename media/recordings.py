"""The recordings that run in a worker: which leg feeds which channel of which file (house; `media.channel`, `media.recorder`).

A recording has one channel per party on one time line, in the order they came. A party that joins gets a channel behind the others, silent
up to then; one that leaves leaves its channel silent. It ends when the exchange says so, or when its last leg closes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from media.channel import TOLERANCE_SAMPLES, Channel
from media.control import HeldRecording, PauseRecording, RecordingEnded, Report, StartRecording
from media.frame import SAMPLE_RATE
from media.recorder import FLUSH_S, RecordingWriter

if TYPE_CHECKING:
    from media.io.pacer import TimerHeap
    from media.legs.leg import Leg

log = logging.getLogger("media.recordings")


class Recording:
    """One file and the channels that feed it."""

    def __init__(self, order: StartRecording, legs: Sequence[Leg], now: float) -> None:
        self.name = order.recording
        self.path = order.path
        self.channels: list[Channel] = []
        self.legs: list[Leg | None] = []
        self.began_at = now
        self.taken = 0
        """Position up to which the writer has every channel."""
        self.error: str | None = None
        self.closing = False
        self._names: list[str] = []
        self._is_paused = False
        self._paused: frozenset[str] = frozenset()
        for leg in legs:
            self.add(leg)

    def position(self, now: float) -> int:
        """The sample that is now."""
        return int((now - self.began_at) * SAMPLE_RATE)

    def has(self, leg: Leg) -> bool:
        return any(other is leg for other in self.legs)

    def add(self, leg: Leg) -> None:
        """A channel of its own, as long as the others."""
        channel = Channel(self.taken)
        channel.codec = leg.codec
        channel.began_at = self.began_at
        self.channels.append(channel)
        self.legs.append(leg)
        self._names.append(leg.name)
        leg.receiver.channels = (*leg.receiver.channels, channel)
        self._fit_pauses()

    def pause(self, legs: tuple[str, ...], *, paused: bool) -> None:
        """All channels, or those of some legs alone."""
        if not legs:
            self._is_paused = paused
        else:
            self._paused = self._paused | set(legs) if paused else self._paused - set(legs)
        self._fit_pauses()

    def _fit_pauses(self) -> None:
        for name, channel in zip(self._names, self.channels, strict=True):
            channel.pause(paused=self._is_paused or name in self._paused)

    def held(self) -> HeldRecording:
        """As it is now."""
        silent = tuple(name for name, channel in zip(self._names, self.channels, strict=True) if channel.paused)
        return HeldRecording(recording=self.name, path=self.path, legs=tuple(self._names), silent=silent)

    def take(self, until: int) -> tuple[tuple[str, bytes, bytes], ...]:
        """Cut off what is older than a position."""
        self.taken = max(self.taken, until)
        return tuple(channel.take(until) for channel in self.channels)

    def release(self, leg: Leg) -> None:
        """The leg is closed; its channel stays silent."""
        for index, other in enumerate(self.legs):
            if other is leg:
                channel = self.channels[index]
                self.legs[index] = None
                leg.receiver.channels = tuple(each for each in leg.receiver.channels if each is not channel)
                channel.close()


class Recordings:
    """Of one worker.

    Args:
        wake: called from the writer's thread when `report_ended` has something to do.
    """

    def __init__(self, timers: TimerHeap, report: Callable[[Report], None], wake: Callable[[], None]) -> None:
        self.running: dict[str, Recording] = {}
        self._timers = timers
        self._report = report
        self._writer = RecordingWriter(wake)

    def start(self, order: StartRecording, legs: Sequence[Leg], now: float) -> None:
        """Begin a file; nothing happens when it runs.

        Args:
            legs: those of the order that are open.
        """
        problem = None
        running = self.running.get(order.recording)
        if running is not None and running.path == order.path and not running.closing:
            return
        if running is not None:
            problem = f"recording {order.recording} runs already"
        elif not order.legs or len(legs) != len(order.legs):
            problem = "not every leg is open"
        if problem is not None:
            log.error("! recording=%s %s", order.recording, problem)
            self._report(RecordingEnded(recording=order.recording, path=order.path, duration_ms=0, error=problem))
            return
        recording = Recording(order, legs, now)
        self.running[order.recording] = recording
        self._writer.open(order.recording, order.path, tuple(leg.loss_concealment for leg in legs))
        self._schedule_flush(recording, now)

    def add(self, name: str, leg: Leg) -> None:
        """A further party; nothing happens when it has a channel."""
        recording = self._running(name)
        if recording is not None and not recording.closing and not recording.has(leg):
            recording.add(leg)
            self._writer.grow(name, concealment=leg.loss_concealment)

    def pause(self, order: PauseRecording) -> None:
        """Silence in place of audio, or audio again."""
        recording = self._running(order.recording)
        if recording is not None:
            recording.pause(order.legs, paused=order.paused)

    def held(self) -> tuple[HeldRecording, ...]:
        """Those that run and were not told to stop."""
        return tuple(recording.held() for recording in self.running.values() if not recording.closing)

    def _running(self, name: str) -> Recording | None:
        recording = self.running.get(name)
        if recording is None:
            log.info("! recording=%s does not run", name)
        return recording

    def _schedule_flush(self, recording: Recording, now: float) -> None:
        def flush(at: float) -> None:
            if not recording.closing:
                self._flush(recording, recording.position(at) - TOLERANCE_SAMPLES)
                self._schedule_flush(recording, at)

        self._timers.at(now + FLUSH_S, flush)

    def _flush(self, recording: Recording, until: int) -> None:
        taken = recording.take(until)
        if taken[0][1] and not self._writer.write(recording.name, taken) and recording.error is None:
            recording.error = "the disk is too slow; audio is missing"
            log.error("! recording=%s %s", recording.name, recording.error)

    def stop(self, name: str, now: float) -> None:
        """Write what is left, close the file; `RecordingEnded` follows."""
        recording = self.running.get(name)
        if recording is None or recording.closing:
            return
        recording.closing = True
        self._flush(recording, recording.position(now))
        _release_all(recording)
        self._writer.close(name)

    def release(self, leg: Leg, now: float) -> None:
        """A leg closes; a recording without any ends."""
        for recording in list(self.running.values()):
            recording.release(leg)
            if not any(recording.legs):
                self.stop(recording.name, now)

    def report_ended(self) -> None:
        """Tell of the files that are closed and whole."""
        while self._writer.ended:
            ended = self._writer.ended.popleft()
            recording = self.running.pop(ended.recording, None)
            error = ended.error
            if recording is not None:
                _release_all(recording)
                error = error or recording.error
            self._report(RecordingEnded(recording=ended.recording, path=ended.path, duration_ms=ended.duration_ms, error=error))

    def finish(self, timeout_s: float, now: float) -> bool:
        """Stop all; False when the disk did not manage in time."""
        for name in list(self.running):
            self.stop(name, now)
        return self._writer.finish(timeout_s)


def _release_all(recording: Recording) -> None:
    for leg in list(recording.legs):
        if leg is not None:
            recording.release(leg)
