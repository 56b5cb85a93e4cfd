"""Which entries of a journal speak of a call: an index a file, so that one call's story is read without the history around it (shell).

A file that is written no more gets its index once, beside it (`journal-….index`); the last file's is kept in memory and follows the
file as it grows. An index can be computed again at any time: one that is missing, of another version or of another file is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from acd.core.replay import Entry
from acd.errors import JournalDamaged
from acd.journal import words
from acd.journal.framing import FILE_OCTETS, FORMAT, Flaw, Gap, Record, format_of, scan
from acd.journal.reading import segments

VERSION: Final = 2


class _Names(msgspec.Struct, gc=False):
    """What an event calls its call or contact, or something whose name begins with theirs."""

    call: str = ""
    contact: str = ""
    leg: str = ""
    entry: str = ""
    offer: str = ""
    recording: str = ""


_NAMES = msgspec.msgpack.Decoder(tuple[int, float, msgspec.Raw, list[_Names]])


def calls_of(payload: bytes) -> set[str]:
    """The calls and other contacts that an entry's events are about. Names of legs, stays, offers and recordings begin with theirs."""
    found = set()
    for one in _NAMES.decode(payload)[3]:
        name = one.call or one.contact or one.leg or one.entry or one.offer or one.recording
        if name:
            found.add(name.partition("/")[0].partition(".")[0])
    return found


class _Kept(msgspec.Struct):
    """An index as it lies beside its file."""

    version: int
    octets: int
    """Size of the file it was made of."""
    places: dict[str, list[tuple[int, int]]]


@dataclass(slots=True)
class Index:
    """Call -> places (offset, version of the words) of one file."""

    file: Path
    read_to: int = 0
    places: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def follow(self) -> None:
        """Take in what was appended since; stops at what cannot be read, which is for others to complain about."""
        with self.file.open("rb") as opened:
            opened.seek(self.read_to)
            octets = opened.read()
        if not octets:
            return
        # Behind the beginning a piece of format 2 looks like a file whose head was left out.
        head, shift = (b"", 0) if self.read_to == 0 or self._is_bare() else (_head_of(self.file), FILE_OCTETS)
        whole = head + octets
        base = self.read_to - shift
        for found in scan(whole):
            if isinstance(found, Flaw) or (isinstance(found, Record) and found.batch_end is None):
                break  # a batch that is being written is looked at when it is whole
            if isinstance(found, Record):
                for call in calls_of(found.payload):
                    self.places.setdefault(call, []).append((base + found.offset, found.words))
            if isinstance(found, Gap) or found.batch_end == found.end:
                self.read_to = base + found.end

    def _is_bare(self) -> bool:
        return format_of(_head_of(self.file)) != FORMAT

    def entries(self, call: str) -> Iterator[Entry]:
        """The entries about a call, in order."""
        places = self.places.get(call, [])
        with self.file.open("rb") as opened:
            for offset, version in places:
                opened.seek(offset)
                length = int.from_bytes(opened.read(4), "big")
                opened.seek(4, 1)
                yield words.read(opened.read(length), version)


def _head_of(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(FILE_OCTETS)


class CallIndex:
    """The story of one call out of a tenant's journal; may be asked from any thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._growing: Index | None = None
        """That of the file which is written to."""
        self._lock = threading.Lock()

    def entries(self, call: str) -> list[Entry]:
        """Every entry about a call, in order.

        Raises: JournalDamaged: an entry cannot be read.
        """
        files = segments(self._directory)
        told: list[Entry] = []
        for number, file in enumerate(files):
            try:
                told += self._of(file, last=number + 1 == len(files)).entries(call)
            except msgspec.DecodeError as error:
                raise JournalDamaged(f"{file}: an entry of call {call} cannot be read: {error}") from error
        return told

    def _of(self, file: Path, *, last: bool) -> Index:
        kept = file.with_suffix(".index")
        with self._lock:
            if not last and (known := _load(kept, file)) is not None:
                return known
            index = self._growing if self._growing is not None and self._growing.file == file else Index(file)
            index.follow()
            if last:
                self._growing = index
            else:
                _keep(kept, _Kept(VERSION, file.stat().st_size, index.places))
            return index


def _load(path: Path, file: Path) -> Index | None:
    try:
        kept = msgspec.msgpack.decode(path.read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return None
    octets = file.stat().st_size
    return Index(file, octets, kept.places) if (kept.version, kept.octets) == (VERSION, octets) else None


def _keep(path: Path, kept: _Kept) -> None:
    draft = path.with_suffix(".index.new")
    try:
        draft.write_bytes(msgspec.msgpack.encode(kept))
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)  # a full disk: it is computed again next time
