"""Octets of a journal file to records and back, both formats; what is flawed is said with its place (house format, pure).

Format 1 (release 0.1.0): records `length:u32 crc32:u32 payload`, nothing else.

Format 2: a file head, then batches. A batch is what one sync made durable, so a power cut can hurt no more than the last one, in whatever
order its pages reached the disk: damage with a batch behind it is damage to what was acknowledged, damage in the last batch is a torn
tail. Heads have a checksum of their own: a flipped bit in a length cannot lead astray.

    file   = "FERNJRNL" format:u16 0:u16 first_seq:u64 crc32:u32                    (of the 20 octets before)
    batch  = "BTCH" words:u16 kind:u16 first_seq:u64 count:u32 octets:u32 crc32:u32   (of the 24 octets before), then `count` records
    record = length:u32 crc32:u32 payload

All numbers are big-endian; `words` is the version of the vocabulary the entries are written in (`acd.journal.words`).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

FILE_MAGIC: Final = b"FERNJRNL"
BATCH_MARK: Final = b"BTCH"
FORMAT: Final = 2
_FILE: Final = struct.Struct(">8sHHQI")
_BATCH: Final = struct.Struct(">4sHHQIII")
RECORD: Final = struct.Struct(">II")
FILE_OCTETS: Final = _FILE.size
MAX_ENTRY_OCTETS: Final = 16 * 1024 * 1024
"""A configuration of 10 000 agents is about 4 MiB; a longer length is damage, not data."""
_CRC: Final = struct.Struct(">I")
_FIRST_OCTET_V1: Final = 0x94
"""An entry of format 1 is a MessagePack array of four."""


class Kind(IntEnum):
    """What a batch says."""

    ENTRIES = 0
    CLOSED = 1
    """The writer ended in order: everything before was acknowledged. No records; `first_seq` is the next one's number."""
    GAP = 2
    """A repair: `first_seq` and `count` say which entries are lost for good; its one record says why, as JSON."""


@dataclass(frozen=True, slots=True)
class Record:
    """One whole record."""

    offset: int
    end: int
    payload: bytes
    words: int
    seq: int | None
    """Where the frame tells it (format 2); else the entry does."""
    batch_end: int | None
    """Where its batch ends; None: the file ends before."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries that a repair has given up."""

    offset: int
    end: int
    first: int
    last: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is not as it was written."""

    offset: int
    what: str
    torn: bool
    """Nothing whole lies behind it: what a crash or a power cut leaves of the last write."""
    end: int
    """Where reading goes on; the file's end when nothing whole follows."""
    begin: int
    """Where the batch begins that it is in; its own offset where it is in none."""
    seq: int | None = None
    """The entry that stood there, where it can be known."""


Found = Record | Gap | Flaw


def file_head(first_seq: int) -> bytes:
    """What a file of format 2 begins with."""
    head = _FILE.pack(FILE_MAGIC, FORMAT, 0, first_seq, 0)[: -_CRC.size]
    return head + _CRC.pack(zlib.crc32(head))


def batch(first_seq: int, payloads: Sequence[bytes], words: int, kind: Kind = Kind.ENTRIES, count: int | None = None) -> bytes:
    """A batch whole: its head and its records."""
    records = b"".join(part for payload in payloads for part in (RECORD.pack(len(payload), zlib.crc32(payload)), payload))
    number = len(payloads) if count is None else count
    head = _BATCH.pack(BATCH_MARK, words, kind, first_seq, number, len(records), 0)[: -_CRC.size]
    return head + _CRC.pack(zlib.crc32(head)) + records


def format_of(octets: bytes) -> int | None:
    """1 or 2; None: a file that was being begun, or whose head is damaged."""
    if not octets:
        return None
    if FILE_MAGIC.startswith(octets[: len(FILE_MAGIC)]):
        head = octets[:FILE_OCTETS]
        whole = len(head) == FILE_OCTETS and _CRC.unpack(head[-_CRC.size :])[0] == zlib.crc32(head[: -_CRC.size])
        return FORMAT if whole else None
    # A first batch that checks out is told from records without frame, whatever happened to the head before it.
    return None if _batch_head(octets, FILE_OCTETS) is not None else 1


def scan(octets: bytes, start: int = 0) -> Iterator[Found]:
    """Everything in a file, in order: whole records, gaps, flaws.

    Args:
        start: offset of a record (format 1) or batch (format 2) to begin at; 0 is the beginning.
    """
    for found in _scan(octets, start):
        yield found
        if type(found) is Flaw and found.torn:
            return


def _scan(octets: bytes, start: int) -> Iterator[Found]:
    found = format_of(octets)
    if found == 1:
        yield from _scan_bare(octets, start)
        return
    if found is None and start == 0:
        behind = _next_batch(octets, 0)
        yield Flaw(0, _what_for_a_head(octets), behind is None, len(octets) if behind is None else behind, 0)
        if behind is None:
            return
        start = behind
    yield from _scan_batches(octets, max(start, FILE_OCTETS))


def _what_for_a_head(octets: bytes) -> str:
    if not octets:
        return "an empty file"
    return "a file without its head" if octets.strip(b"\0") else "octets of zero"


# ---------------------------------------------------------------------- format 2


@dataclass(frozen=True, slots=True)
class _Head:
    words: int
    kind: int
    first_seq: int
    count: int
    octets: int


def _batch_head(octets: bytes, offset: int) -> _Head | None:
    if offset + _BATCH.size > len(octets):
        return None
    mark, words, kind, first_seq, count, size, crc = _BATCH.unpack_from(octets, offset)
    if mark != BATCH_MARK or crc != zlib.crc32(octets[offset : offset + _BATCH.size - _CRC.size]):
        return None
    return _Head(words, kind, first_seq, count, size)


def _next_batch(octets: bytes, after: int) -> int | None:
    """Offset of the next head that checks out."""
    at = octets.find(BATCH_MARK, after)
    while at >= 0:
        if _batch_head(octets, at) is not None:
            return at
        at = octets.find(BATCH_MARK, at + 1)
    return None


def _scan_batches(octets: bytes, offset: int) -> Iterator[Found]:
    size = len(octets)
    while offset < size:
        head = _batch_head(octets, offset)
        if head is None:
            behind = _next_batch(octets, offset + 1)
            zeros = not octets[offset : behind or size].strip(b"\0")
            what = "octets of zero" if zeros else "a batch without its head"
            yield Flaw(offset, what, behind is None, size if behind is None else behind, offset)
            offset = size if behind is None else behind
            continue
        begin, end = offset + _BATCH.size, offset + _BATCH.size + head.octets
        if end > size:
            yield from _cut_batch(octets, head, offset, begin)
            return
        yield from _records_of(octets, head, offset, begin, end)
        offset = end


def _cut_batch(octets: bytes, head: _Head, offset: int, begin: int) -> Iterator[Found]:
    """A batch that the file's end cuts off; or one with another behind it, then octets are missing in the middle."""
    behind = _next_batch(octets, begin)
    limit = len(octets) if behind is None else behind
    at, seq = begin, head.first_seq
    while (record := _whole(octets, at, limit)) is not None:
        yield Record(at, record[1], record[0], head.words, seq, None)
        at, seq = record[1], seq + 1
    yield Flaw(at, "a batch that is not whole", behind is None, limit, offset, seq)
    if behind is not None:
        yield from _scan_batches(octets, behind)


def _records_of(octets: bytes, head: _Head, offset: int, begin: int, end: int) -> Iterator[Found]:
    if head.kind == Kind.GAP:
        record = _whole(octets, begin, end)
        yield Gap(offset, end, head.first_seq, head.first_seq + head.count - 1, record[0] if record is not None else b"")
        return
    at = begin
    for index in range(head.count):
        record = _whole(octets, at, end)
        if record is None:
            behind = _next_batch(octets, end)
            length = RECORD.unpack_from(octets, at)[0] if at + RECORD.size <= end else end
            sound = at + RECORD.size + length
            what = "a checksum that does not fit" if sound <= end else f"a length of {length} octets"
            # In the last batch the pages may have reached the disk in any order: nothing behind the flaw counts.
            follows = end if sound > end or behind is None else sound
            torn = behind is None and sound <= end
            yield Flaw(at, what, torn, len(octets) if behind is None else follows, offset, head.first_seq + index)
            if behind is None or sound > end:
                return
            at = sound
            continue
        yield Record(at, record[1], record[0], head.words, head.first_seq + index, end)
        at = record[1]


def _whole(octets: bytes, offset: int, limit: int) -> tuple[bytes, int] | None:
    """Payload and end of a record that checks out."""
    begin = offset + RECORD.size
    if begin > limit:
        return None
    length, crc = RECORD.unpack_from(octets, offset)
    end = begin + length
    if end > limit or length > MAX_ENTRY_OCTETS:
        return None
    payload = octets[begin:end]
    return (payload, end) if payload and zlib.crc32(payload) == crc else None


# ---------------------------------------------------------------------- format 1


def _scan_bare(octets: bytes, offset: int) -> Iterator[Found]:
    size = len(octets)
    while offset < size:
        record = _whole(octets, offset, size)
        if record is not None:
            yield Record(offset, record[1], record[0], 1, None, record[1])
            offset = record[1]
            continue
        behind = _next_bare(octets, offset + 1)
        possible = size - offset < RECORD.size or RECORD.unpack_from(octets, offset)[0] <= MAX_ENTRY_OCTETS
        yield Flaw(offset, _what_bare(octets, offset), behind is None and possible, size if behind is None else behind, offset)
        offset = size if behind is None else behind


def _what_bare(octets: bytes, offset: int) -> str:
    rest = octets[offset:]
    if not rest.strip(b"\0"):
        return "octets of zero"
    if len(rest) < RECORD.size:
        return "a torn header"
    (length, _) = RECORD.unpack_from(rest)
    if length > MAX_ENTRY_OCTETS:
        return f"a length of {length} octets"
    return "a torn record" if RECORD.size + length > len(rest) else "a checksum that does not fit"


def _next_bare(octets: bytes, after: int) -> int | None:
    """Offset of the next record that checks out: a payload begins with the array of an entry, so few places have to be tried."""
    at = octets.find(_FIRST_OCTET_V1, after + RECORD.size)
    while at >= 0:
        if _whole(octets, at - RECORD.size, len(octets)) is not None:
            return at - RECORD.size
        at = octets.find(_FIRST_OCTET_V1, at + 1)
    return None
