"""A tenant's journal files to entries, every one of them in its place, or the word for what is not (shell: reads, changes nothing).

The numbers of the entries have no gap and no repetition, from file to file: a record that was removed or doubled, and a file that is
missing, are found like a flipped bit. `journal.segments` names the files there are, so that the last one is missed too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from acd.core.replay import Entry
from acd.errors import JournalDamaged
from acd.journal import words
from acd.journal.framing import FORMAT, Flaw, Gap, Record, format_of, scan

MANIFEST: Final = "journal.segments"
_NAME: Final = re.compile(r"journal-\d{12}\.log")
_CALL: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{12}")
"""As `acd.switch` mints them."""


def segments(directory: Path) -> list[Path]:
    """The journal's files, oldest first."""
    return sorted(file for file in directory.glob("journal-*.log") if _NAME.fullmatch(file.name))


def first_of(file: Path) -> int:
    """Number of a file's first entry, from its name."""
    return int(file.stem.removeprefix("journal-"))


def named(directory: Path) -> dict[str, int | None] | None:
    """The files that must be there -> their octets, where they have their last size; None: the list cannot be read."""
    try:
        known = json.loads((directory / MANIFEST).read_bytes())["segments"]
        found = {str(name): None if octets is None else int(octets) for name, octets in known.items()}
    except FileNotFoundError:
        return {}  # release 0.1.0 kept none
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if all(_NAME.fullmatch(name) for name in found) else None


def missing(directory: Path) -> list[str]:
    """Files that are named and not there."""
    there = {file.name for file in segments(directory)}
    return [name for name in named(directory) or {} if name not in there]


@dataclass(frozen=True, slots=True)
class Tail:
    """Where writing goes on."""

    seq: int
    """Number of the last entry; 0: none."""
    now: float = 0.0
    """Its time."""
    file: Path | None = None
    """The last file; None: there is none."""
    end: int = 0
    """Octets of it in whole batches."""
    format: int = FORMAT
    torn: Flaw | None = None
    """What lies behind them."""
    saved: tuple[Record, ...] = ()
    """Whole records of the torn batch, before the flaw."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is not as it was written."""

    file: Path
    offset: int
    what: str
    seq: int | None
    """The entry it hits, where that can be known."""
    calls: tuple[str, ...]
    """Calls that are named in the damaged octets."""
    torn: bool = False
    later: bool = False
    """No damage: a later release has written it."""

    def sentence(self) -> str:
        """File, offset, entry, call."""
        entry = f", entry {self.seq}" if self.seq is not None else ""
        calls = f", call {', '.join(self.calls)}" if self.calls else ""
        return f"{self.file}: {self.what} at offset {self.offset}{entry}{calls}"


class Reading:
    """One walk through a journal; `tail` is known when it is over.

    Args:
        after: entries up to this number are known already (a snapshot).
    """

    def __init__(self, directory: Path, after: int = 0) -> None:
        self.directory = directory
        self._after = after
        self.tail = Tail(seq=0)

    def entries(self) -> Iterator[Entry]:
        """In order; stops before a torn tail.

        Raises: JournalDamaged: names the first thing that is not as it was written.
        """
        for found in self.walk():
            if isinstance(found, Trouble):
                if not found.torn:
                    raise JournalDamaged(found.sentence())
            else:
                yield found

    def walk(self) -> Iterator[Entry | Trouble]:
        """Everything that can be read, and between it everything that cannot."""
        files = segments(self.directory)
        yield from self._check_names(files)
        firsts = [first_of(file) for file in files]
        expected = 1
        for index, file in enumerate(files):
            last = index + 1 == len(files)
            if not last and firsts[index + 1] <= self._after + 1:
                expected = firsts[index + 1]  # a file that is not looked into has what the next one's name says
                continue
            expected = yield from self._walk_file(file, expected, last=last)

    def _check_names(self, files: list[Path]) -> Iterator[Trouble]:
        """What can be said of the files without looking into them."""
        known = named(self.directory)
        if known is None:
            what = "the list of the journal's files cannot be read; a repair makes it again"
            yield Trouble(self.directory / MANIFEST, 0, what, None, ())
            return
        sizes = {file.name: file.stat().st_size for file in files}
        for name, octets in known.items():
            if name not in sizes:
                yield Trouble(self.directory / name, 0, "the file is missing", first_of(Path(name)), ())
            elif octets is not None and sizes[name] != octets:
                what = f"{sizes[name]} octets where {octets} were written"
                yield Trouble(self.directory / name, min(octets, sizes[name]), what, None, ())

    def _walk_file(self, file: Path, expected: int, *, last: bool) -> Generator[Entry | Trouble, None, int]:
        """Yields what is found; returns the number that the next file begins with."""
        octets = file.read_bytes()
        now, end, torn, told = self.tail.now, len(octets), None, False
        batch: list[Record] = []
        known: Record | None = None
        """The last one that was passed over: its checksum fits, and what it says is known."""
        for found in scan(octets):
            match found:
                case Record():
                    if batch and batch[-1].batch_end != found.batch_end:
                        batch.clear()
                    batch.append(found)
                    if found.seq == expected <= self._after:
                        expected, told, known = expected + 1, False, found
                        continue
                    read = self._read(file, found, expected)
                    seq = read.seq if isinstance(read, Entry) else found.seq or expected
                    if seq < expected or (seq > expected and not told):
                        yield self._out_of_order(file, found, seq, expected)
                    if seq < expected:
                        continue
                    expected, told = seq + 1, False
                    if isinstance(read, Trouble):
                        yield read
                        continue
                    now = read.now
                    if read.seq > self._after:
                        yield read
                case Gap():
                    if found.first > expected and not told:
                        yield Trouble(file, found.offset, f"entries {expected} to {found.first - 1} are missing", expected, ())
                    expected, told = max(expected, found.last + 1), False
                case Flaw():
                    # The next whole record tells by its number how many were lost here.
                    told = True
                    yield self._flaw(file, octets, found, expected, last=last)
                    if found.torn and last:
                        torn, end = found, found.begin
        if known is not None and known.seq == expected - 1 and isinstance(last_known := self._read(file, known, expected), Entry):
            now = last_known.now
        saved = tuple(one for one in batch if one.offset >= end)
        self.tail = Tail(expected - 1, now, file, end, format_of(octets) or FORMAT, torn, saved)
        return expected

    @staticmethod
    def _flaw(file: Path, octets: bytes, found: Flaw, expected: int, *, last: bool) -> Trouble:
        torn = found.torn and last
        what = found.what if torn or not found.torn else f"{found.what} at the end of a file that is not the last"
        seq = found.seq if found.seq is not None else expected
        return Trouble(file, found.offset, what, seq, calls_in(octets[found.offset : found.end]), torn)

    @staticmethod
    def _read(file: Path, record: Record, expected: int) -> Entry | Trouble:
        try:
            entry = words.read(record.payload, record.words)
        except words.LaterWords as error:
            return Trouble(file, record.offset, f"an entry in {error}", record.seq, calls_in(record.payload), later=True)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            seq = record.seq if record.seq is not None else expected
            return Trouble(file, record.offset, f"an entry that cannot be read ({error})", seq, calls_in(record.payload))
        if record.seq is not None and record.seq != entry.seq:
            return Trouble(file, record.offset, f"entry {entry.seq} in the place of {record.seq}", record.seq, calls_in(record.payload))
        return entry

    @staticmethod
    def _out_of_order(file: Path, record: Record, seq: int, expected: int) -> Trouble:
        if seq < expected:
            return Trouble(file, record.offset, f"entry {seq} stands there again", seq, calls_in(record.payload))
        lost = f"entry {expected} is" if seq == expected + 1 else f"entries {expected} to {seq - 1} are"
        return Trouble(file, record.offset, f"{lost} missing before it", expected, ())


def read(directory: Path, after: int = 0) -> Iterator[Entry]:
    """Entries with a number above `after`, in order; stops before a torn tail.

    Raises: JournalDamaged: a record is neither whole nor the torn last one, or one is missing or stands twice.
    """
    return Reading(directory, after).entries()


def calls_in(octets: bytes) -> tuple[str, ...]:
    """Calls whose names stand in octets that cannot be read any more."""
    return tuple(dict.fromkeys(found.decode() for found in _CALL.findall(octets)))
