"""What `fernamt journal check | repair | export` do with a tenant's journal (shell).

A repair removes nothing: files that it writes anew keep their originals beside them (`….damaged`), and what is lost for good is written
down as a gap, so that numbers are never used twice. Lost are the entries that cannot be read, and those that make no sense
without them: the later entries of the same calls. Everything else stays, in the octets in which it was written.
"""

from __future__ import annotations

import json
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from acd.core.engine import BrokenHistory, Engine
from acd.core.ids import TenantId
from acd.core.inputs import ServiceStarted
from acd.core.replay import Entry, restore, snapshot
from acd.journal import words
from acd.journal.by_call import calls_of
from acd.journal.framing import Gap, Kind, Record, batch, file_head, scan
from acd.journal.reading import MANIFEST, Reading, Trouble, calls_in, first_of, missing, named, segments
from acd.journal.writing import name_segments, replace, set_aside, sync_directory, unused

HIDDEN = "***"
"""Stands for a number that its caller withholds."""
Range = tuple[int, int]
"""First and last number, both included."""


@dataclass(slots=True)
class FileReport:
    """One file, as far as it can be read."""

    name: str
    octets: int
    entries: int = 0
    first: int | None = None
    last: int | None = None
    began_at: float | None = None
    ended_at: float | None = None
    words: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Report:
    """What a check found."""

    directory: Path
    files: list[FileReport]
    troubles: list[Trouble]
    gaps: list[Range]
    """Given up by earlier repairs."""
    last: int

    @property
    def is_sound(self) -> bool:
        """Nothing is damaged; a torn tail is no damage."""
        return all(trouble.torn for trouble in self.troubles)

    @property
    def is_of_a_later_release(self) -> bool:
        """It can be read by that one, so that a repair by this one would throw away what is whole."""
        return any(trouble.later for trouble in self.troubles)


def check(directory: Path) -> Report:
    """Read everything; changes nothing."""
    reading = Reading(directory)
    troubles = [found for found in reading.walk() if isinstance(found, Trouble)]
    files, gaps = [], []
    for file in segments(directory):
        octets = file.read_bytes()
        told = FileReport(file.name, len(octets))
        for found in scan(octets):
            if isinstance(found, Gap):
                gaps.append((found.first, found.last))
            elif isinstance(found, Record):
                _note(told, found)
        files.append(told)
    return Report(directory, files, troubles, gaps, reading.tail.seq)


def _note(told: FileReport, record: Record) -> None:
    try:
        entry = words.read(record.payload, record.words)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    told.entries += 1
    told.words.add(record.words)
    told.first = entry.seq if told.first is None else told.first
    told.began_at = entry.now if told.began_at is None else told.began_at
    told.last, told.ended_at = entry.seq, entry.now


# ---------------------------------------------------------------------- repair


@dataclass(frozen=True, slots=True)
class _Kept:
    """An entry that stays, as it lies on disk."""

    seq: int
    payload: bytes
    words: int


@dataclass(slots=True)
class Plan:
    """What a repair would do."""

    directory: Path
    lost: list[Range]
    """Numbers that nothing is left of, or nothing that makes sense."""
    calls: list[str]
    """Calls that lose something, as far as that can be known."""
    doubled: int
    """Records that stood there again."""
    rewritten: list[Path]
    kept: dict[Path, list[_Kept]]
    renamed: bool = False
    """The list of the files is made again."""

    @property
    def is_needed(self) -> bool:
        return bool(self.lost or self.rewritten or self.renamed)

    @property
    def entries_lost(self) -> int:
        return sum(last - first + 1 for first, last in self.lost)


def plan(directory: Path, tenant: TenantId, known_seq: int = 0) -> Plan:
    """Find out what can be kept; changes nothing.

    Args:
        known_seq: the entry up to which a database or a snapshot is known to hold something.
    """
    report = check(directory)
    found = _readable(directory, report)
    entries = sorted((one for some in found.kept.values() for one in some), key=lambda one: one.seq)
    numbers = [(one.seq, one.seq) for one in entries] + report.gaps
    # Of a last file that is gone, nothing but its first number may be known.
    firsts = [first_of(Path(name)) for name in missing(directory)]
    last = max([known_seq, *firsts, *(span[1] for span in numbers)], default=0)
    missed = _between(numbers, last)
    refused = _without_sense(entries, tenant, missed[0][0], found.hurt) if missed else set()
    calls = dict.fromkeys(found.hurt)
    for one in entries:
        if one.seq in refused:
            calls.update(dict.fromkeys(sorted(calls_of(one.payload))))
    kept = _by_file(directory, [one for one in entries if one.seq not in refused])
    rewritten = sorted(file for file in segments(directory) if file in found.flawed or kept[file] != found.kept[file])
    lost = _between([(one.seq, one.seq) for one in entries if one.seq not in refused] + report.gaps, last)
    return Plan(directory, lost, list(calls), found.doubled, rewritten, kept, renamed=named(directory) is None)


@dataclass(slots=True)
class _Readable:
    """What is left of a journal."""

    kept: dict[Path, list[_Kept]] = field(default_factory=dict)
    """As it lies in the files, each number once."""
    flawed: set[Path] = field(default_factory=set)
    doubled: int = 0
    hurt: list[str] = field(default_factory=list)
    """Calls that are named in octets which cannot be read."""


def _readable(directory: Path, report: Report) -> _Readable:
    files = segments(directory)
    found, seen = _Readable(), set()
    for trouble in report.troubles:
        if not trouble.torn:
            found.hurt += trouble.calls
            if trouble.file in files:
                found.flawed.add(trouble.file)
    for file in files:
        found.kept[file] = []
        for one in scan(file.read_bytes()):
            if not isinstance(one, Record):
                continue
            try:
                seq = words.read(one.payload, one.words).seq
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if seq in seen:
                found.doubled += 1
                found.flawed.add(file)
                continue
            seen.add(seq)
            found.kept[file].append(_Kept(seq, one.payload, one.words))
    return found


def _by_file(directory: Path, entries: list[_Kept]) -> dict[Path, list[_Kept]]:
    """Each entry in the file whose name says so."""
    files = segments(directory)
    kept: dict[Path, list[_Kept]] = {file: [] for file in files}
    firsts = [first_of(file) for file in files]
    for one in entries:
        kept[files[max(0, bisect_right(firsts, one.seq) - 1)]].append(one)
    return kept


def _without_sense(entries: list[_Kept], tenant: TenantId, lost: int, hurt: list[str]) -> set[int]:
    """Numbers of entries that do not follow from the others: what they build on is lost.

    The rest of every call that something is missing of goes, so that what is left can be folded, and the next start can end what it finds.
    Where even that does not help, everything behind the loss goes.
    """
    about = {one.seq: calls_of(one.payload) for one in entries if one.seq > lost}
    refused: set[int] = set()
    bad = set(hurt)
    while True:
        refused |= {seq for seq, calls in about.items() if calls & bad}
        engine, failing = _fold([one for one in entries if one.seq not in refused], tenant)
        if failing:
            refused |= failing
            bad |= {call for seq in failing for call in about.get(seq, ())}
            continue
        breaking = _breaks(engine) if engine is not None else set()
        if not breaking:
            return refused
        if breaking <= bad:
            return set(about)
        bad |= breaking


def _fold(entries: list[_Kept], tenant: TenantId) -> tuple[Engine | None, set[int]]:
    engine, failing = Engine(tenant), set()
    for one in entries:
        entry = words.read(one.payload, one.words)
        try:
            for event in entry.events:
                engine.apply(event, entry.now)
        except BrokenHistory:
            failing.add(one.seq)
    return (None, failing) if failing else (engine, failing)


def _breaks(engine: Engine) -> set[str]:
    """The calls that keep the next start from ending what was up; they are spoken of and not there, or the other way round."""
    state = engine.state
    known = state.contacts.keys()
    spoken_of = {leg.call for leg in state.legs.values()} | {one.contact for some in (state.entries, state.offers) for one in some.values()}
    lost = spoken_of - known
    try:
        restore(snapshot(engine)).handle(ServiceStarted(), state.clock + 86_400.0)
    except (BrokenHistory, KeyError) as error:
        return {str(one) for one in lost} | set(calls_in(str(error).encode())) or {str(one) for one in known}
    return {str(one) for one in lost}


def _between(there: list[Range], last: int) -> list[Range]:
    """What is not there, up to `last`."""
    spans: list[Range] = []
    expected = 1
    for begin, end in [*sorted(there), (last + 1, last + 1)]:
        if begin > expected:
            spans.append((expected, begin - 1))
        expected = max(expected, end + 1)
    return spans


def repair(plan: Plan, why: str) -> list[Path]:
    """Do what was planned; returns the originals that were kept.

    Raises: OSError: the disk; what was there is there still.
    """
    directory = plan.directory
    reading = Reading(directory)
    for _ in reading.walk():
        pass
    originals = [set_aside(reading.tail)] if reading.tail.torn is not None else []
    gaps = sorted(plan.lost)
    for file in segments(directory):
        entries = plan.kept.get(file, [])
        mine = [span for span in gaps if entries and span[0] <= entries[-1].seq]
        gaps = [span for span in gaps if span not in mine]
        if file in plan.rewritten or mine:
            originals.append(_rewrite(file, entries, mine + _declared(file), why))
    if gaps:
        _append_gaps(directory, gaps, why)
    _put_away(directory / "snapshot")
    for index in directory.glob("journal-*.index"):
        index.unlink()
    _put_away(directory / MANIFEST)
    name_segments(directory)
    return originals


def _declared(file: Path) -> list[Range]:
    return [(found.first, found.last) for found in scan(file.read_bytes()) if isinstance(found, Gap)]


def _rewrite(file: Path, entries: list[_Kept], gaps: list[Range], why: str) -> Path:
    original = _put_away(file, ".damaged")
    octets = file_head(min([first_of(file), *(span[0] for span in gaps)]))
    pieces = sorted(
        [(one.seq, batch(one.seq, [one.payload], one.words)) for one in entries] + [(span[0], _gap(span, why)) for span in gaps]
    )
    replace(file, octets + b"".join(piece for _, piece in pieces) + batch(_next(entries, gaps), (), words.WORDS, Kind.CLOSED))
    assert original is not None
    return original


def _next(entries: list[_Kept], gaps: list[Range]) -> int:
    return max([one.seq for one in entries] + [span[1] for span in gaps], default=0) + 1


def _append_gaps(directory: Path, gaps: list[Range], why: str) -> None:
    """Behind the last entry: a file of its own."""
    file = directory / f"journal-{gaps[0][0]:012d}.log"
    _put_away(file, ".damaged")
    last = gaps[-1][1]
    replace(file, file_head(gaps[0][0]) + b"".join(_gap(span, why) for span in gaps) + batch(last + 1, (), words.WORDS, Kind.CLOSED))


def _gap(span: Range, why: str) -> bytes:
    return batch(span[0], [json.dumps({"lost": span, "why": why}).encode()], words.WORDS, Kind.GAP, span[1] - span[0] + 1)


def _put_away(path: Path, suffix: str = ".before-repair") -> Path | None:
    if not path.exists():
        return None
    kept = unused(path.with_name(path.name + suffix))
    path.rename(kept)
    sync_directory(path.parent)
    return kept


# ---------------------------------------------------------------------- export


def export(directory: Path, call: str | None = None, first: int = 1, last: int | None = None) -> Iterator[dict[str, Any]]:
    """Entries as JSON documents, in order; a document with `trouble` where something cannot be read.

    Without what ends a dialog, in which its caller's From stands too, and without numbers that callers withhold (§ 15 TDDDG).
    """
    for found in Reading(directory).walk():
        if isinstance(found, Trouble):
            yield {"trouble": found.sentence(), "torn": found.torn}
        elif found.seq >= first and (last is None or found.seq <= last) and (call is None or _is_about(found, call)):
            yield {
                "seq": found.seq,
                "now": found.now,
                "input": _told(found.input),
                "events": [_told(event) for event in found.events],
            }


def _told(word: object) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(word)
    told.pop("dialog", None)
    if "withheld" in told:
        told["withheld"] = HIDDEN
    return told


def _is_about(entry: Entry, call: str) -> bool:
    return call in calls_of(msgspec.msgpack.encode(entry))


def known_to_snapshot(directory: Path) -> int:
    """Number of the entry up to which the snapshot goes; 0: there is none that can be read."""
    try:
        octets = (directory / "snapshot").read_bytes()
        if zlib.crc32(octets[4:]).to_bytes(4, "big") != octets[:4]:
            return 0
        return int(msgspec.msgpack.decode(octets[4:])["seq"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError):
        return 0


__all__ = ["Plan", "Report", "check", "export", "known_to_snapshot", "plan", "repair"]
