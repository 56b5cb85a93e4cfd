"""Recording: one channel per leg on one time line (house). `media.channel` runs beside the packets, `RecordingWriter` owns the disk.

Every second what is older than the jitter tolerance goes to the writer thread, which decodes, conceals short gaps, interleaves
and writes. So a slow disk delays no packet. The file's header is brought up to date with every write: after a crash it plays up to
a second and a half before the end.

A party that joins needs a file with one channel more: it is written beside the old one, piece by piece between what else is to be written,
and takes its place when it is whole. Meanwhile what is new goes into both, so whatever happens one whole file is there.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from media.channel import NOISE, OVER, PRESENT, runs
from media.codecs.base import octets_in
from media.codecs.g711 import PCMA
from media.codecs.registry import kept
from media.codecs.transcoder import decoder_at
from media.comfort_noise import QUIETEST, Hush, Noise
from media.concealment import Concealer
from media.errors import ParseError
from media.frame import SAMPLE_RATE, Samples, silence
from media.wave_file import HEADER_OCTETS, pcm_duration_ms, pcm_header

log = logging.getLogger("media.recorder")

FLUSH_S = 1.0
GROWING = ".growing"
"""Behind the name of a file while one with more channels is written beside it."""
_COPIED_FRAMES = 1 << 17
"""16 s of each party, half a MiB for two: so long a recording waits for another one that grows."""
MAX_BACKLOG_OCTETS = 64 << 20
"""Over one hour of one recording waiting for the disk: it is not slow, it is gone."""


class ChannelDecoder:
    """The writer's side of a channel: octets and presence to samples at 8 kHz, gaps concealed while they are short.

    A decoder that remembers goes on after a gap from where it was, and finds the speaker again: of G.722 the packet after a lost one has an
    SNR of 2 dB, the one after that 9, the sixth 21 (measured with speech). To feed it silence, or the last packet again, is worse.
    """

    def __init__(self, *, concealment: bool) -> None:
        self._codec = PCMA.name
        self._decoder = decoder_at(PCMA, SAMPLE_RATE)
        self._concealer = Concealer() if concealment else None
        self._heard = False
        self._noise: Noise | None = None

    def decode(self, codec: str, audio: bytes, present: bytes) -> Samples:
        """A sample each tick; silence where nothing was and nothing can be made up."""
        if codec != self._codec:
            self._codec, self._decoder = codec, decoder_at(kept(codec), SAMPLE_RATE)
        octets = octets_in(kept(codec), 1)
        parts: list[Samples] = []
        for start, end, kind in runs(present):
            if kind == OVER:
                self._heard = False
                parts.append(silence(end - start))
            elif kind == PRESENT:
                self._heard = True
                linear = self._decoder.decode(audio[start * octets : end * octets])
                parts.append(self._concealer.good(linear) if self._concealer else linear)
            elif kind == NOISE:
                linear = self._make_noise(np.frombuffer(audio, dtype=np.uint8)[start * octets : end * octets : octets])
                parts.append(self._concealer.good(linear) if self._concealer else linear)
            else:
                parts.append(self._concealer.lost(end - start) if self._concealer and self._heard else silence(end - start))
        return np.concatenate(parts) if parts else silence(0)

    def _make_noise(self, levels: NDArray[np.uint8]) -> Samples:
        """Of a level for each sample, which seldom changes."""
        if self._noise is None:
            self._noise = Noise(Hush(QUIETEST))
        edges = [0, *(np.flatnonzero(np.diff(levels)) + 1).tolist(), levels.size]
        parts = []
        for start, end in pairwise(edges):
            self._noise.fit(Hush(int(levels[start])))
            parts.append(self._noise.take(end - start))
        return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class Ended:
    """A file is closed."""

    recording: str
    path: str
    duration_ms: int
    error: str | None


@dataclass(slots=True)
class _Growing:
    """A file with more channels, written beside the one it will replace."""

    path: str
    descriptor: int
    channels: int
    frames: int
    """Of the old file when it began; what comes after goes into both."""
    copied: int = 0


@dataclass(slots=True)
class _File:
    path: str
    descriptor: int
    decoders: list[ChannelDecoder]
    channels: int
    """In the file; there may be more decoders, for a file that grows or could not."""
    frames: int = 0
    error: str | None = None
    missing: str | None = None
    growing: _Growing | None = None


@dataclass(frozen=True, slots=True)
class _Open:
    recording: str
    path: str
    concealment: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class _Grow:
    recording: str
    concealment: bool


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
    _orders: SimpleQueue[_Open | _Grow | _Write | _Close | None] = field(default_factory=SimpleQueue)
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

    def grow(self, recording: str, *, concealment: bool) -> None:
        """One more channel behind the others, silent up to now; each later `write` has it."""
        self._orders.put(_Grow(recording, concealment))

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
        while (order := self._next_order()) is not None:
            match order:
                case _Open():
                    self._open(order)
                case _Grow():
                    self._begin_to_grow(order)
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

    def _next_order(self) -> _Open | _Grow | _Write | _Close | None:
        """Files that grow are copied while nothing else is to be done, and a piece between every two orders."""
        while True:
            growing = next((opened for opened in self._files.values() if opened.growing is not None), None)
            if growing is None:
                return self._orders.get()
            self._copy_some(growing)
            with contextlib.suppress(Empty):
                return self._orders.get_nowait()

    def _begin_to_grow(self, order: _Grow) -> None:
        opened = self._files.get(order.recording)
        if opened is None:
            return
        self._complete(opened)
        opened.decoders.append(ChannelDecoder(concealment=order.concealment))
        if opened.error is not None:
            return
        beside = opened.path + GROWING
        try:
            descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._give_up_growing(opened, error)
            return
        opened.growing = _Growing(beside, descriptor, len(opened.decoders), opened.frames)

    def _complete(self, opened: _File) -> None:
        while opened.growing is not None:
            self._copy_some(opened)

    def _copy_some(self, opened: _File) -> None:
        """One piece of the old file into the new one, which takes its place when it is whole."""
        growing = opened.growing
        if growing is None:
            return
        try:
            count = min(_COPIED_FRAMES, growing.frames - growing.copied)
            if count:
                block = 2 * opened.channels
                octets = os.pread(opened.descriptor, count * block, HEADER_OCTETS + growing.copied * block)
                count = len(octets) // block
                wide = np.zeros((count, growing.channels), dtype="<i2")
                wide[:, : opened.channels] = np.frombuffer(octets, dtype="<i2", count=count * opened.channels).reshape(count, -1)
                _write_all(growing.descriptor, wide.tobytes(), HEADER_OCTETS + growing.copied * 2 * growing.channels)
                growing.copied += count
                if not count:
                    raise OSError(errno.EIO, "shorter than what was written")
            if growing.copied >= growing.frames:
                self._replace(opened, growing)
        except OSError as error:
            self._give_up_growing(opened, error)

    @staticmethod
    def _replace(opened: _File, growing: _Growing) -> None:
        """Raises: OSError: the old file stays."""
        _write_all(growing.descriptor, pcm_header(growing.channels, opened.frames * 2 * growing.channels), 0)
        os.fsync(growing.descriptor)
        Path(growing.path).replace(opened.path)
        with contextlib.suppress(OSError):
            os.close(opened.descriptor)
        opened.descriptor, opened.channels, opened.growing = growing.descriptor, growing.channels, None

    @staticmethod
    def _give_up_growing(opened: _File, error: OSError) -> None:
        """The parties that have a channel are recorded on."""
        log.error("! %s takes no further party: %s", opened.path, error)
        opened.missing = f"a party that joined is missing: {error}"
        growing, opened.growing = opened.growing, None
        if growing is not None:
            with contextlib.suppress(OSError):
                os.close(growing.descriptor)
            with contextlib.suppress(OSError):
                Path(growing.path).unlink(missing_ok=True)

    def _open(self, order: _Open) -> None:
        try:
            Path(order.path).parent.mkdir(parents=True, exist_ok=True)
            # O_EXCL: a recording never overwrites another; 0600: it is somebody's voice.
            descriptor = os.open(order.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._report(Ended(order.recording, order.path, 0, str(error)))
            return
        decoders = [ChannelDecoder(concealment=each) for each in order.concealment]
        opened = _File(order.path, descriptor, decoders, len(decoders))
        self._files[order.recording] = opened
        self._append(opened, ())

    def _append(self, opened: _File, channels: tuple[tuple[str, bytes, bytes], ...]) -> None:
        if opened.error is not None:
            return
        try:
            block = 2 * opened.channels
            if channels:
                columns = [decoder.decode(*channel) for decoder, channel in zip(opened.decoders, channels, strict=True)]
                samples = np.stack(columns, axis=1).astype("<i2")
                _write_all(opened.descriptor, samples[:, : opened.channels].tobytes(), HEADER_OCTETS + opened.frames * block)
                if opened.growing is not None:
                    self._append_beside(opened, opened.growing, samples)
                opened.frames += len(columns[0])
            _write_all(opened.descriptor, pcm_header(opened.channels, opened.frames * block), 0)
        except OSError as error:
            opened.error = str(error)
            log.error("! %s breaks off: %s", opened.path, error)  # noqa: TRY400 - the trace says nothing more

    def _append_beside(self, opened: _File, growing: _Growing, samples: NDArray[np.int16]) -> None:
        try:
            _write_all(growing.descriptor, samples.tobytes(), HEADER_OCTETS + opened.frames * 2 * growing.channels)
        except OSError as error:
            self._give_up_growing(opened, error)

    def _close(self, recording: str) -> None:
        opened = self._files.get(recording)
        if opened is None:
            return
        self._complete(opened)
        del self._files[recording]
        try:
            os.fsync(opened.descriptor)
        except OSError as error:
            opened.error = opened.error or str(error)
        finally:
            with contextlib.suppress(OSError):  # the descriptor is gone either way; fsync above told what matters
                os.close(opened.descriptor)
        self._report(Ended(recording, opened.path, opened.frames * 1000 // SAMPLE_RATE, opened.error or opened.missing))

    def _report(self, ended: Ended) -> None:
        self.ended.append(ended)
        self.wake()


def salvage(path: str) -> int:
    """Make sure of a file whose worker died: what was written is forced to disk.

    A file that was growing when it died is there as it was before.

    Returns: how many ms it plays; 0 when there is no such file, or nothing in it.
    Raises: OSError: the disk does not take it.
    """
    with contextlib.suppress(OSError):
        Path(path + GROWING).unlink(missing_ok=True)
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
