"""The append-only journal of one tenant: framed entries, group-committed with fsync (DESIGN.md §3).

A file `journal-<first seq>.log` holds records `length:u32 crc32:u32 payload`, both big-endian; a new file begins when one grows
past `SEGMENT_OCTETS`. Entries that arrive while a sync is running share the next one, so the cost of a sync is divided by the load.
A torn record at the end of the last file is what a crash leaves behind: it was never acknowledged, so it is cut off. Anything
else that does not check out is damage, and is reported with its place instead of being skipped.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO, TypeAlias

import msgspec

from acd.core.replay import Entry, decode, encode
from acd.errors import JournalDamaged

log = logging.getLogger(__name__)

_Record: TypeAlias = tuple[int, bytes, Callable[[], None]]
"""Sequence number, encoded entry, what to do once it is on disk."""

HEADER = struct.Struct(">II")
SEGMENT_OCTETS = 64 * 1024 * 1024
"""A day of a busy tenant; small enough to copy, compress and hand to support."""
GATHER_S = 0.001
"""How long an entry waits for company before it is synced: inputs come in handfuls, and each sync wakes the loop once more."""
PATIENT_S = 0.05
"""The same for an entry that nobody waits for: quality figures, a phone that rings. One that is awaited takes it along."""
MAX_ENTRY_OCTETS = 16 * 1024 * 1024
"""A configuration of 10 000 agents is about 4 MiB; a longer length is damage, not data."""


def segments(directory: Path) -> list[Path]:
    """The journal's files, oldest first."""
    return sorted(directory.glob("journal-*.log"))


def read(directory: Path, after: int = 0) -> Iterator[Entry]:
    """Entries with a sequence number above `after`, in order; stops before a torn tail.

    Raises: JournalDamaged: a record that is neither whole nor the torn last one.
    """
    files = segments(directory)
    firsts = [int(file.stem.removeprefix("journal-")) for file in files]
    for index, file in enumerate(files):
        if index + 1 < len(files) and firsts[index + 1] <= after + 1:
            continue
        for _, entry in _records(file, last=index + 1 == len(files)):
            if entry.seq > after:
                yield entry


def _records(file: Path, *, last: bool) -> Iterator[tuple[int, Entry]]:
    """(offset behind the record, entry) of one file."""
    octets = file.read_bytes()
    offset = 0
    while offset < len(octets):
        problem = None
        end = offset + HEADER.size
        if end > len(octets):
            problem = "a torn header"
        else:
            length, checksum = HEADER.unpack_from(octets, offset)
            end += length
            if length > MAX_ENTRY_OCTETS:
                problem = f"a length of {length} octets"
            elif end > len(octets):
                problem = "a torn record"
            elif zlib.crc32(octets[end - length : end]) != checksum:
                problem = "a checksum that does not fit"
        if problem is not None:
            if last and _is_tail(octets, end):
                return
            raise JournalDamaged(f"{file}: {problem} at offset {offset}")
        try:
            entry = decode(octets[end - length : end])
        except msgspec.DecodeError as error:
            raise JournalDamaged(f"{file}: an entry of another version at offset {offset}: {error}") from error
        yield end, entry
        offset = end


def _is_tail(octets: bytes, end: int) -> bool:
    """Whether nothing follows the bad record: only then it can be what a crash tore."""
    return end >= len(octets)


def _cut_torn_tail(file: Path) -> None:
    whole = max((end for end, _ in _records(file, last=True)), default=0)
    size = file.stat().st_size
    if size > whole:
        log.warning("%s: cut %d octets of an entry that was never acknowledged", file, size - whole)
        with file.open("r+b") as opened:
            opened.truncate(whole)
            os.fsync(opened.fileno())


class Journal:
    """Writes entries durably; a thread syncs, the loop is told.

    `append` returns at once; `on_durable` is called in the loop, in the order of appending, once the entry is on disk.
    When the disk fails the service must not go on deciding: `on_failure` is called once and nothing is acknowledged any more.
    """

    def __init__(self, directory: Path, loop: asyncio.AbstractEventLoop, on_failure: Callable[[OSError], None]) -> None:
        self.directory = directory
        self._loop = loop
        self._on_failure = on_failure
        directory.mkdir(parents=True, exist_ok=True)
        if files := segments(directory):
            _cut_torn_tail(files[-1])
        self._file: BinaryIO | None = None
        self._octets = 0
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
            while (batch := self._batches.get()) is not None:
                self._commit(batch)
                self._loop.call_soon_threadsafe(self._acknowledge, batch)
        except OSError as error:
            self._loop.call_soon_threadsafe(self._fail, error)
        finally:
            if self._file is not None:
                self._file.close()

    def _commit(self, batch: list[_Record]) -> None:
        if self._file is None or self._octets > SEGMENT_OCTETS:
            self._begin_segment(batch[0][0])
        assert self._file is not None
        octets = b"".join(part for _, payload, _ in batch for part in (HEADER.pack(len(payload), zlib.crc32(payload)), payload))
        self._file.write(octets)
        os.fdatasync(self._file.fileno())
        self._octets += len(octets)
        self.commits += 1
        self.entries += len(batch)

    def _begin_segment(self, seq: int) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        files = segments(self.directory)
        if files and files[-1].stat().st_size <= SEGMENT_OCTETS and self._octets == 0:
            path = files[-1]
        else:
            path = self.directory / f"journal-{seq:012d}.log"
        self._file = path.open("ab", buffering=0)
        self._octets = path.stat().st_size
        directory = os.open(self.directory, os.O_RDONLY)
        try:  # the file's name must survive a crash too
            os.fsync(directory)
        finally:
            os.close(directory)
