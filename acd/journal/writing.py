"""Writing the journal of one tenant: entries are group-committed with fsync, a batch a sync (DESIGN.md §3; shell).

A file `journal-<first seq>.log` holds batches (`acd.journal.framing`); a new one begins when it grows past `SEGMENT_OCTETS`, and behind
one of an earlier format. Entries that arrive while a sync is running share the next one, so the cost of a sync is divided by the load.
Nothing is ever removed: what a crash has torn off is kept aside before writing goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeAlias

from acd.core.replay import Entry, encode
from acd.journal.framing import FILE_OCTETS, FORMAT, Kind, batch, file_head
from acd.journal.reading import MANIFEST, Reading, Tail, segments
from acd.journal.words import WORDS

log = logging.getLogger(__name__)

_Record: TypeAlias = tuple[int, bytes, Callable[[], None]]
"""Sequence number, encoded entry, what to do once it is on disk."""

SEGMENT_OCTETS = 64 * 1024 * 1024
"""A day of a busy tenant; small enough to copy, compress and hand to support."""
GATHER_S = 0.001
"""How long an entry waits for company before it is synced: inputs come in handfuls, and each sync wakes the loop once more."""
PATIENT_S = 0.05
"""The same for an entry that nobody waits for: quality figures, a phone that rings. One that is awaited takes it along."""
_DRAFT: Final = ".new"


def sync_directory(directory: Path) -> None:
    """A file's name must survive a crash too."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, octets: bytes) -> None:
    """Write every octet: a full disk shows in a short write first, and only then as an error.

    Raises: OSError
    """
    view = memoryview(octets)
    while view:
        written = os.write(descriptor, view)
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[written:]


def replace(path: Path, octets: bytes) -> None:
    """Put a file in the place of one, whole or not at all."""
    draft = path.with_name(path.name + _DRAFT)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, octets)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    sync_directory(path.parent)


def name_segments(directory: Path) -> None:
    """Write down which files there are, and how large those are that grow no more, so that what is missing is missed."""
    files = segments(directory)
    sizes = {file.name: file.stat().st_size if file != files[-1] else None for file in files}
    replace(directory / MANIFEST, json.dumps({"segments": sizes}, indent=1).encode())


def set_aside(tail: Tail) -> Path:
    """Move a torn batch out of the journal, into a file beside it; returns that file. Not one octet is lost.

    Its records before the flaw are whole and stay in the journal, in a batch of their own.
    """
    assert tail.file is not None
    aside = unused(tail.file.with_name(tail.file.name + ".torn"))
    if tail.end == 0:
        tail.file.rename(aside)
        name_segments(tail.file.parent)
        return aside
    replace(aside, tail.file.read_bytes()[tail.end :])
    descriptor = os.open(tail.file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, tail.end)
        os.lseek(descriptor, 0, os.SEEK_END)
        write_all(descriptor, saved_batch(tail))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return aside


def saved_batch(tail: Tail) -> bytes:
    """What stays of a torn batch; nothing where nothing was torn."""
    if not tail.saved or tail.torn is None or tail.format != FORMAT:
        return b""
    first = tail.saved[0]
    assert first.seq is not None
    return batch(first.seq, [one.payload for one in tail.saved], first.words)


def unused(path: Path) -> Path:
    """`path`, or with `.2`, `.3` … behind it where that name is taken: what was put aside is never overwritten."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


class Journal:
    """Writes entries durably; a thread syncs, the loop is told.

    `append` returns at once; `on_durable` is called in the loop, in the order of appending, once the entry is on disk.
    When the disk fails the tenant must not go on deciding: `on_failure` is called once and nothing is acknowledged any more.

    Args:
        tail: where the journal ends, from whoever has read it; None: it is read here.

    Raises: JournalDamaged (without `tail`), OSError: the directory cannot be written.
    """

    def __init__(
        self, directory: Path, loop: asyncio.AbstractEventLoop, on_failure: Callable[[OSError], None], tail: Tail | None = None
    ) -> None:
        self.directory = directory
        self._loop = loop
        self._on_failure = on_failure
        directory.mkdir(parents=True, exist_ok=True)
        if tail is None:
            reading = Reading(directory)
            for _ in reading.entries():
                pass
            tail = reading.tail
        self.torn = self._set_aside(tail) if tail.torn is not None else None
        """Where a torn tail was put."""
        self._last, self._octets = (tail.file, tail.end + len(saved_batch(tail))) if tail.end else (None, 0)
        if tail.file is not None and (tail.format != FORMAT or tail.end < FILE_OCTETS):
            self._last = None  # of an earlier release, or without a head: it stays as it is, and another one follows
        if segments(directory) and not (directory / MANIFEST).exists():
            name_segments(directory)
        self._descriptor: int | None = None
        self._seq = tail.seq
        self._waiting: list[_Record] = []
        self._batches: SimpleQueue[list[_Record] | None] = SimpleQueue()
        self._gathering: asyncio.TimerHandle | None = None
        self._awaited = False
        """Whether anything that waits is awaited."""
        self._syncing = False
        self._failed = False
        self._idle: asyncio.Future[None] | None = None
        self.commits = 0
        self.entries = 0
        self._thread = threading.Thread(target=self._write, name=f"journal {directory.name}", daemon=True)
        self._thread.start()

    def append(self, entry: Entry, on_durable: Callable[[], None], *, awaited: bool = True) -> None:
        """Take an entry; `awaited`: something is to happen as soon as it is on disk."""
        self._waiting.append((entry.seq, encode(entry), on_durable))
        if awaited and not self._awaited:
            self._awaited = True
            if self._gathering is not None:
                self._gathering.cancel()
                self._gathering = None
        if not self._syncing and self._gathering is None:
            self._gathering = self._loop.call_later(GATHER_S if awaited else PATIENT_S, self._hand_over)

    async def close(self) -> None:
        """Write, sync and acknowledge what waits, and what comes of that; then end the thread."""
        while (self._waiting or self._syncing) and not self._failed:
            if not self._syncing:
                self._hand_over()
            self._idle = self._loop.create_future()
            await self._idle
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    @property
    def is_there(self) -> bool:
        """Whether what is written to has a name still: the directory may have been removed under us."""
        return self._descriptor is None or self.last_file.exists()

    @property
    def last_file(self) -> Path:
        """Where the next entry goes, or would have gone; for those who must say which disk is full."""
        return self._last or self.directory

    @staticmethod
    def _set_aside(tail: Tail) -> Path:
        aside = set_aside(tail)
        assert tail.torn is not None
        log.warning(
            "! %s: %s at offset %d, and nothing whole behind it: what was being written when the process or the machine stopped. "
            "It was kept in %s (%d octets); most likely it was never acknowledged, but after a fault of the disk it may have been",
            tail.file, tail.torn.what, tail.end, aside.name, aside.stat().st_size,
        )  # fmt: skip
        return aside

    # ------------------------------------------------------------------ in the loop

    def _hand_over(self) -> None:
        """One batch at a time goes to the thread: what comes while it syncs shares the next."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        batch, self._waiting = self._waiting, []
        self._awaited = False
        self._syncing = True
        self._batches.put(batch)

    def _acknowledge(self, batch: list[_Record]) -> None:
        for seq, _, on_durable in batch:
            try:
                on_durable()
            except Exception:
                # What is on disk has happened: the entries behind it must not be lost to it.
                log.exception("! %s: what follows entry %d failed", self.directory, seq)
        self._syncing = False
        if self._awaited:
            self._hand_over()
            return
        if self._waiting:
            self._gathering = self._loop.call_later(PATIENT_S, self._hand_over)
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _fail(self, error: OSError) -> None:
        self._failed = True
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        self._on_failure(error)

    # ------------------------------------------------------------------ in the thread

    def _write(self) -> None:
        try:
            while (records := self._batches.get()) is not None:
                self._commit(records)
                self._loop.call_soon_threadsafe(self._acknowledge, records)
            self._write_closed()
        except OSError as error:
            self._loop.call_soon_threadsafe(self._fail, error)
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)

    def _commit(self, records: list[_Record]) -> None:
        if self._descriptor is None or self._octets > SEGMENT_OCTETS:
            self._begin_segment(records[0][0])
        self._append(batch(records[0][0], [payload for _, payload, _ in records], WORDS))
        self._seq = records[-1][0]
        self.commits += 1
        self.entries += len(records)

    def _append(self, octets: bytes) -> None:
        assert self._descriptor is not None
        try:
            write_all(self._descriptor, octets)
        except OSError:
            # None of it was acknowledged, and we know where it began: the next start need not wonder about it.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._octets)
            raise
        os.fdatasync(self._descriptor)
        self._octets += len(octets)

    def _write_closed(self) -> None:
        """Say that all before was acknowledged: from now on damage at the end is told from a torn tail."""
        if self._descriptor is not None and not self._failed:
            self._append(batch(self._seq + 1, (), WORDS, Kind.CLOSED))

    def _begin_segment(self, seq: int) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._last is not None and self._octets <= SEGMENT_OCTETS:
            self._descriptor = os.open(self._last, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            return
        self._last = self.directory / f"journal-{seq:012d}.log"
        self._octets = 0
        self._descriptor = os.open(self._last, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._append(file_head(seq))
        sync_directory(self.directory)
        name_segments(self.directory)
