"""Reading the journal: what is torn is told from what is damaged, each with its place; nothing that lies on the disk is ever removed."""

import asyncio
import json
import random
import re

import pytest

from acd.core import inputs as inp
from acd.core.events import CallCleared
from acd.core.ids import AgentId, CallId
from acd.core.replay import Entry, encode
from acd.errors import JournalDamaged
from acd.journal import Journal, Reading, Trouble, read, segments
from acd.journal.framing import BATCH_MARK, FILE_OCTETS, Flaw, Record, batch, file_head, scan
from acd.journal.reading import MANIFEST
from acd.journal.words import WORDS

CALL = "6928c7a1-0123456789ab"


def entry(seq: int) -> Entry:
    return Entry(
        seq=seq,
        now=1_000.0 + seq,
        input=inp.GoReady(agent=AgentId(f"agent-{seq}")),
        events=(CallCleared(call=CallId(CALL), cause="hang_up"),) if seq == 4 else (),
    )


def journal_of(directory, *batches: tuple[int, ...], closed: bool = False) -> list[int]:
    """A file with these batches; returns where each begins."""
    octets, places = file_head(batches[0][0]), []
    for numbers in batches:
        places.append(len(octets))
        octets += batch(numbers[0], [encode(entry(number)) for number in numbers], WORDS)
    if closed:
        octets += batch(batches[-1][-1] + 1, (), WORDS, 1)
    (directory / f"journal-{batches[0][0]:012d}.log").write_bytes(octets)
    return places


async def opened(directory) -> Journal:
    """As a start does: read, set aside what is torn, write on."""
    journal = Journal(directory, asyncio.get_running_loop(), pytest.fail)
    await journal.close()
    return journal


def numbers(directory) -> list[int]:
    return [one.seq for one in read(directory)]


def damage(directory) -> str:
    with pytest.raises(JournalDamaged) as told:
        list(read(directory))
    return str(told.value)


def flip(file, offset: int, bit: int = 0) -> None:
    octets = bytearray(file.read_bytes())
    octets[offset] ^= 1 << bit
    file.write_bytes(octets)


async def test_a_torn_tail_is_kept_aside_and_writing_goes_on(tmp_path, caplog):
    """Each cut of the last batch, to the octet: the entries before are read, the octets behind lie in a file beside."""
    journal_of(tmp_path, (1, 2), (3,), (4,))
    (file,) = segments(tmp_path)
    whole = file.read_bytes()
    last = whole.rindex(BATCH_MARK)
    for cut in (last + 1, last + 20, last + 30, len(whole) - 1):
        file.write_bytes(whole[:cut])
        journal = await opened(tmp_path)
        assert numbers(tmp_path) == [1, 2, 3]
        assert journal.torn is not None
        assert journal.torn.read_bytes() == whole[last:cut]
        assert "it may have been" in caplog.text  # acknowledged, that is: nobody claims to know
        journal.torn.unlink()
        (tmp_path / MANIFEST).unlink()


async def test_zero_pages_of_a_power_cut_are_a_torn_tail(tmp_path):
    journal_of(tmp_path, (1, 2), (3,))
    (file,) = segments(tmp_path)
    file.write_bytes(file.read_bytes() + bytes(4096))
    journal = await opened(tmp_path)
    assert numbers(tmp_path) == [1, 2, 3]
    assert journal.torn.read_bytes() == bytes(4096)


async def test_zero_pages_behind_a_journal_of_the_first_format_are_a_torn_tail(tmp_path):
    """Length 0 with checksum 0 looks like a record: crc32 of nothing is 0."""
    file = tmp_path / "journal-000000000001.log"
    file.write_bytes(b"".join(bare(number) for number in (1, 2)) + bytes(4096))
    await opened(tmp_path)
    assert numbers(tmp_path) == [1, 2]
    assert (tmp_path / "journal-000000000001.log.torn").read_bytes() == bytes(4096)


def bare(number: int) -> bytes:
    """A record of the first format; batches of one are cut out of the second's."""
    return batch(number, [encode(entry(number))], WORDS)[28:]


async def test_a_later_page_of_the_last_batch_without_an_earlier_one_is_torn_too(tmp_path):
    """One sync, three entries, the page with the second never reached the disk (power cut): what was not acknowledged may be missing."""
    places = journal_of(tmp_path, (1, 2), (3, 4, 5))
    (file,) = segments(tmp_path)
    octets = bytearray(file.read_bytes())
    records = [found for found in scan(bytes(octets)) if isinstance(found, Record)]
    fourth = next(one for one in records if one.seq == 4)
    octets[fourth.offset : fourth.end] = bytes(fourth.end - fourth.offset)
    file.write_bytes(octets)
    assert places[1] < fourth.offset
    await opened(tmp_path)
    assert numbers(tmp_path) == [1, 2, 3]


def test_the_same_with_a_batch_behind_it_is_damage(tmp_path):
    journal_of(tmp_path, (1, 2), (3, 4, 5), (6,))
    (file,) = segments(tmp_path)
    octets = bytearray(file.read_bytes())
    fourth = next(found for found in scan(bytes(octets)) if isinstance(found, Record) and found.seq == 4)
    flip(file, fourth.end - 2)
    assert damage(tmp_path) == f"{file}: a checksum that does not fit at offset {fourth.offset}, entry 4, call {CALL}"
    assert [found.seq for found in Reading(tmp_path).walk() if isinstance(found, Entry)] == [1, 2, 3, 5, 6]


def test_a_flipped_bit_in_a_length_field_of_the_first_format_is_damage_and_nothing_is_cut(tmp_path):
    """55,116 octets of acknowledged entries were removed by such a bit once."""
    file = tmp_path / "journal-000000000001.log"
    octets = b"".join(bare(number) for number in range(1, 200))
    for bit in range(32):
        flipped = bytearray(octets)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        assert damage(tmp_path).startswith(f"{file}: a ")
        assert [found.seq for found in Reading(tmp_path).walk() if isinstance(found, Entry)][-1] == 199
        assert file.read_bytes() == flipped


def test_an_impossible_length_at_the_end_is_damage(tmp_path):
    """A crash tears records off; it does not write lengths of 3 GB."""
    file = tmp_path / "journal-000000000001.log"
    octets = bytearray(bare(1) + bare(2))
    octets[len(bare(1))] ^= 0xC0
    file.write_bytes(octets)
    assert re.search(r"a length of 322\d{7} octets at offset \d+, entry 2", damage(tmp_path))


@pytest.mark.parametrize(
    ("kept", "word"), [((1, 3), "entry 2 is missing"), ((1, 4), "entries 2 to 3 are missing"), ((1, 2, 2, 3), "entry 2 stands there again")]
)
def test_removed_and_doubled_records_are_noticed(tmp_path, kept, word):
    octets = file_head(1) + b"".join(batch(number, [encode(entry(number))], WORDS) for number in kept)
    (tmp_path / "journal-000000000001.log").write_bytes(octets)
    assert word in damage(tmp_path)
    (tmp_path / "journal-000000000001.log").write_bytes(b"".join(bare(number) for number in kept))
    assert word in damage(tmp_path)


async def test_a_missing_file_is_noticed_first_middle_and_last(tmp_path, monkeypatch):
    monkeypatch.setattr("acd.journal.writing.SEGMENT_OCTETS", 100)
    journal = Journal(tmp_path, asyncio.get_running_loop(), pytest.fail)
    for number in range(1, 6):
        durable = asyncio.Event()
        journal.append(entry(number), durable.set)
        await durable.wait()
    await journal.close()
    files = segments(tmp_path)
    assert len(files) >= 3
    assert json.loads((tmp_path / MANIFEST).read_text()) == {
        "segments": {file.name: file.stat().st_size for file in files[:-1]} | {files[-1].name: None}
    }
    for file in (files[0], files[1], files[-1]):
        octets = file.read_bytes()
        file.unlink()
        assert damage(tmp_path).startswith(f"{file}: the file is missing")
        with pytest.raises(JournalDamaged):
            list(read(tmp_path, after=5))  # also when a snapshot makes reading it unnecessary
        file.write_bytes(octets)
    cut = files[0].read_bytes()
    files[0].write_bytes(cut[:-1])  # and one that is not as large as it was, also when a snapshot makes reading it unnecessary
    with pytest.raises(JournalDamaged, match=f"{len(cut) - 1} octets where {len(cut)} were written"):
        list(read(tmp_path, after=5))
    files[0].write_bytes(cut)
    (tmp_path / MANIFEST).write_text("garbage")
    assert "the list of the journal's files cannot be read; a repair makes it again" in damage(tmp_path)
    (tmp_path / MANIFEST).unlink()  # as with a journal of the first release: the numbers tell
    files[1].unlink()
    assert "missing before it" in damage(tmp_path)


def test_words_of_a_version_to_come_are_refused_by_name(tmp_path):
    octets = file_head(1) + batch(1, [encode(entry(1))], WORDS + 1)
    (tmp_path / "journal-000000000001.log").write_bytes(octets)
    assert f"words of version {WORDS + 1}, of a later release; this program knows up to {WORDS}" in damage(tmp_path)


def test_a_torn_end_of_a_file_that_is_not_the_last_is_damage(tmp_path):
    journal_of(tmp_path, (1, 2))
    (file,) = segments(tmp_path)
    file.write_bytes(file.read_bytes() + b"BTC")
    journal_of(tmp_path, (3,))
    assert "a batch without its head at the end of a file that is not the last" in damage(tmp_path)


@pytest.mark.parametrize("form", [1, 2])
async def test_bits_flipped_anywhere_end_in_a_clear_word_and_nothing_is_removed(tmp_path, form):
    """200 places in lengths, checksums, payloads, heads: the damage is named, or a torn tail lies aside; every octet is still there."""
    chance = random.Random(form)
    file = tmp_path / "journal-000000000001.log"
    if form == 1:
        whole = b"".join(bare(number) for number in range(1, 61))
    else:
        journal_of(tmp_path, *[tuple(range(first, first + 3)) for first in range(1, 61, 3)])
        whole = file.read_bytes()
    torn = 0
    for place in [*range(FILE_OCTETS + 40), *(chance.randrange(len(whole)) for _ in range(136))]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << chance.randrange(8)
        file.write_bytes(flipped)
        told = [found for found in Reading(tmp_path).walk() if isinstance(found, Trouble)]
        assert told, f"a bit flipped at {place} goes unnoticed"
        if any(not one.torn for one in told):
            assert str(file) in damage(tmp_path)
            assert file.read_bytes() == flipped
            continue
        torn += 1
        journal = await opened(tmp_path)
        aside = journal.torn.read_bytes()
        assert flipped.endswith(aside)
        assert not file.exists() or file.read_bytes().startswith(flipped[: len(flipped) - len(aside)])
        read_back = numbers(tmp_path)
        assert read_back == list(range(1, len(read_back) + 1))
        assert len(read_back) >= 57  # no more than the last batch
        for left in tmp_path.iterdir():
            left.unlink()
    assert torn < 20


def test_scan_says_where_reading_goes_on():
    octets = file_head(1) + batch(1, [b"\x94one"], WORDS) + b"nonsense" + batch(2, [b"\x94two"], WORDS)
    found = list(scan(octets))
    assert [type(one) for one in found] == [Record, Flaw, Record]
    assert octets[found[1].offset : found[1].end] == b"nonsense"
    assert not found[1].torn
