"""Recording: one channel per leg on one time line (house). `media.channel` runs beside the packets, `RecordingWriter` owns the disk.

Every second what is older than the jitter tolerance goes to the writer thread, which decodes, conceals short gaps, interleaves
and writes. So a slow disk delays no packet. The file's header is brought up to date with every write: after a crash it plays up to
a second and a half before the end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from media.codecs.registry import CODECS
from media.concealment import Concealer
from media.errors import ParseError
from media.frame import SAMPLE_RATE, Samples, silence
from media.wave_file import HEADER_OCTETS, pcm_duration_ms, pcm_header

log = logging.getLogger("media.recorder")

FLUSH_S = 1.0
MAX_BACKLOG_OCTETS = 64 << 20
"""Over one hour of one recording waiting for the disk: it is not slow, it is gone."""


class ChannelDecoder:
    """The writer's side of a channel: octets and presence to samples, gaps concealed while they are short."""

    def __init__(self, *, concealment: bool) -> None:
        self._concealer = Concealer() if concealment else None
        self._heard = False

    def decode(self, codec: str, audio: bytes, present: bytes) -> Samples:
        """Same number of samples as octets; silence where nothing was and nothing can be made up."""
        linear = CODECS[codec].decode(audio)
        there = np.frombuffer(present, dtype=np.uint8)
        parts: list[Samples] = []
        edges = np.flatnonzero(np.diff(there)) + 1
        for start, end in zip([0, *edges.tolist()], [*edges.tolist(), there.size], strict=True):
            if start == end:
                continue
            if there[start]:
                self._heard = True
                parts.append(self._concealer.good(linear[start:end]) if self._concealer else linear[start:end])
            else:
                parts.append(self._concealer.lost(end - start) if self._concealer and self._heard else silence(end - start))
        return np.concatenate(parts) if parts else silence(0)


@dataclass(frozen=True, slots=True)
class Ended:
    """A file is closed."""

    recording: str
    path: str
    duration_ms: int
    error: str | None


@dataclass(slots=True)
class _File:
    path: str
    descriptor: int
    decoders: list[ChannelDecoder]
    frames: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Open:
    recording: str
    path: str
    concealment: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class _Write:
    recording: str
    channels: tuple[tuple[str, bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class _Close:
    recording: str


@dataclass(slots=True)
class RecordingWriter:
    """The thread that owns the files. `wake` is called from it whenever `ended` got something."""

    wake: Callable[[], None]
    ended: deque[Ended] = field(default_factory=deque)
    _orders: SimpleQueue[_Open | _Write | _Close | None] = field(default_factory=SimpleQueue)
    _backlog: int = 0
    _files: dict[str, _File] = field(default_factory=dict)
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, recording: str, path: str, concealment: tuple[bool, ...]) -> None:
        """Begin a file with one channel for each entry of `concealment`; a failure comes back as `Ended` with its error."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
            self._thread.start()
        self._orders.put(_Open(recording, path, concealment))

    def write(self, recording: str, channels: tuple[tuple[str, bytes, bytes], ...]) -> bool:
        """Append equal lengths of every channel; False when the disk is so far behind that it was thrown away."""
        octets = sum(len(audio) for _, audio, _ in channels)
        with self._lock:
            if self._backlog + octets > MAX_BACKLOG_OCTETS:
                return False
            self._backlog += octets
        self._orders.put(_Write(recording, channels))
        return True

    def close(self, recording: str) -> None:
        """Bring the header up to date and close; `Ended` follows."""
        self._orders.put(_Close(recording))

    def finish(self, timeout_s: float) -> bool:
        """Do everything ordered so far, close what is open, end the thread; False when the disk did not manage in time."""
        if self._thread is None:
            return True
        self._orders.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # ------------------------------------------------------------ in the thread

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            match order:
                case _Open():
                    self._open(order)
                case _Write():
                    with self._lock:
                        self._backlog -= sum(len(audio) for _, audio, _ in order.channels)
                    opened = self._files.get(order.recording)
                    if opened is not None:
                        self._append(opened, order.channels)
                case _Close():
                    self._close(order.recording)
        for recording in list(self._files):
            self._close(recording)

    def _open(self, order: _Open) -> None:
        try:
            Path(order.path).parent.mkdir(parents=True, exist_ok=True)
            # O_EXCL: a recording never overwrites another; 0600: it is somebody's voice.
            descriptor = os.open(order.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._report(Ended(order.recording, order.path, 0, str(error)))
            return
        opened = _File(order.path, descriptor, [ChannelDecoder(concealment=each) for each in order.concealment])
        self._files[order.recording] = opened
        self._append(opened, ())

    def _append(self, opened: _File, channels: tuple[tuple[str, bytes, bytes], ...]) -> None:
        if opened.error is not None:
            return
        try:
            block = 2 * len(opened.decoders)
            if channels:
                columns = [decoder.decode(*channel) for decoder, channel in zip(opened.decoders, channels, strict=True)]
                samples = np.stack(columns, axis=1).astype("<i2").tobytes()
                _write_all(opened.descriptor, samples, HEADER_OCTETS + opened.frames * block)
                opened.frames += len(columns[0])
            _write_all(opened.descriptor, pcm_header(len(opened.decoders), opened.frames * block), 0)
        except OSError as error:
            opened.error = str(error)
            log.error("! %s breaks off: %s", opened.path, error)  # noqa: TRY400 - the trace says nothing more

    def _close(self, recording: str) -> None:
        opened = self._files.pop(recording, None)
        if opened is None:
            return
        try:
            os.fsync(opened.descriptor)
        except OSError as error:
            opened.error = opened.error or str(error)
        finally:
            with contextlib.suppress(OSError):  # the descriptor is gone either way; fsync above told what matters
                os.close(opened.descriptor)
        self._report(Ended(recording, opened.path, opened.frames * 1000 // SAMPLE_RATE, opened.error))

    def _report(self, ended: Ended) -> None:
        self.ended.append(ended)
        self.wake()


def salvage(path: str) -> int:
    """Make sure of a file whose worker died: what was written is forced to disk.

    Returns: how many ms it plays; 0 when there is no such file, or nothing in it.
    Raises: OSError: the disk does not take it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        os.fsync(descriptor)
        return pcm_duration_ms(os.pread(descriptor, HEADER_OCTETS, 0))
    except ParseError:  # it died before the header was written
        return 0
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, octets: bytes, offset: int) -> None:
    view = memoryview(octets)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
