"""Writing the journal: entries in order, acknowledged when they are on disk, sharing syncs; a disk that fails or fills."""

import asyncio
import errno
import json
import zlib

import pytest

from acd.core import inputs as inp
from acd.core.ids import AgentId
from acd.core.replay import Entry, encode
from acd.errors import JournalDamaged
from acd.journal import Journal, Reading, read, segments
from acd.journal.framing import FILE_OCTETS, scan
from acd.journal.reading import MANIFEST
from tests.disks import resize, small_disk


def entry(seq: int) -> Entry:
    return Entry(seq=seq, now=1_000.0 + seq, input=inp.GoReady(agent=AgentId(f"a{seq}")), events=())


async def written(directory, numbers) -> None:
    journal = Journal(directory, asyncio.get_running_loop(), pytest.fail)
    durable = asyncio.Event()
    numbers = list(numbers)
    for number in numbers:
        journal.append(entry(number), durable.set if number == numbers[-1] else lambda: None)
    await durable.wait()
    await journal.close()


async def test_entries_come_back_in_order(tmp_path):
    await written(tmp_path, range(1, 501))
    assert [one.seq for one in read(tmp_path)] == list(range(1, 501))
    assert next(read(tmp_path)).input == inp.GoReady(agent=AgentId("a1"))


async def test_acknowledgements_come_in_order_and_after_the_entry_is_in_the_file(tmp_path):
    journal = Journal(tmp_path, asyncio.get_running_loop(), pytest.fail)
    seen: list[tuple[int, int]] = []
    done = asyncio.Event()

    def acknowledged(number: int) -> None:
        seen.append((number, sum(1 for _ in read(tmp_path))))
        if number == 50:
            done.set()

    for number in range(1, 51):
        journal.append(entry(number), lambda number=number: acknowledged(number))
    await done.wait()
    await journal.close()
    assert [number for number, _ in seen] == list(range(1, 51))
    assert all(on_disk >= number for number, on_disk in seen)


async def test_entries_that_wait_share_a_sync(tmp_path):
    journal = Journal(tmp_path, asyncio.get_running_loop(), pytest.fail)
    done = asyncio.Event()
    for number in range(1, 1001):
        journal.append(entry(number), done.set if number == 1000 else lambda: None)
    await done.wait()
    await journal.close()
    assert journal.entries == 1000
    assert journal.commits < 1000


async def test_an_entry_that_nobody_waits_for_goes_with_the_next_that_is_awaited(tmp_path, monkeypatch):
    monkeypatch.setattr("acd.journal.writing.PATIENT_S", 3600)
    journal = Journal(tmp_path, asyncio.get_running_loop(), pytest.fail)
    order: list[int] = []
    done = asyncio.Event()
    for number in (1, 2, 3):
        journal.append(entry(number), lambda number=number: order.append(number), awaited=False)
    journal.append(entry(4), done.set)
    await done.wait()
    assert (order, journal.commits, journal.entries) == ([1, 2, 3], 1, 4)
    journal.append(entry(5), lambda: order.append(5), awaited=False)
    await journal.close()
    assert order == [1, 2, 3, 5]
    assert [one.seq for one in read(tmp_path)] == [1, 2, 3, 4, 5]


async def test_an_entry_that_nobody_waits_for_is_synced_all_the_same(tmp_path):
    journal = Journal(tmp_path, asyncio.get_running_loop(), pytest.fail)
    done = asyncio.Event()
    journal.append(entry(1), done.set, awaited=False)
    await done.wait()
    await journal.close()


async def test_what_an_acknowledgement_appends_is_written_before_the_journal_closes(tmp_path):
    journal = Journal(tmp_path, asyncio.get_running_loop(), pytest.fail)

    def go_on(number: int) -> None:
        if number < 20:
            journal.append(entry(number + 1), lambda: go_on(number + 1), awaited=number % 2 == 0)

    journal.append(entry(1), lambda: go_on(1))
    await journal.close()
    assert [one.seq for one in read(tmp_path)] == list(range(1, 21))


async def test_a_failing_acknowledgement_does_not_take_the_others_with_it(tmp_path, caplog):
    journal = Journal(tmp_path, asyncio.get_running_loop(), pytest.fail)
    done = asyncio.Event()

    def fail() -> None:
        raise ValueError("what followed")

    journal.append(entry(1), fail)
    journal.append(entry(2), done.set)
    await done.wait()
    await journal.close()
    assert "what follows entry 1 failed" in caplog.text


async def test_reading_after_a_number_skips_what_a_snapshot_holds(tmp_path):
    await written(tmp_path, range(1, 21))
    assert [one.seq for one in read(tmp_path, after=15)] == [16, 17, 18, 19, 20]


async def test_segments_follow_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr("acd.journal.writing.SEGMENT_OCTETS", 200)
    for number in range(1, 31):
        await written(tmp_path, [number])
    assert len(segments(tmp_path)) > 2
    assert [one.seq for one in read(tmp_path)] == list(range(1, 31))
    assert [one.seq for one in read(tmp_path, after=25)] == [26, 27, 28, 29, 30]


async def test_a_disk_that_fails_is_reported_and_nothing_is_acknowledged(tmp_path, monkeypatch):
    failures: list[OSError] = []
    failed = asyncio.Event()

    def on_failure(error: OSError) -> None:
        failures.append(error)
        failed.set()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("acd.journal.writing.os.fdatasync", full)
    journal = Journal(tmp_path, asyncio.get_running_loop(), on_failure)
    journal.append(entry(1), lambda: pytest.fail("acknowledged although the disk is full"))
    await failed.wait()
    assert failures[0].errno == 28


async def test_a_journal_of_the_first_format_is_left_as_it_is_and_another_file_follows(tmp_path):
    bare = b"".join(_bare(number) for number in (1, 2, 3))
    (tmp_path / "journal-000000000001.log").write_bytes(bare)
    await written(tmp_path, [4, 5])
    assert [file.name for file in segments(tmp_path)] == ["journal-000000000001.log", "journal-000000000004.log"]
    assert segments(tmp_path)[0].read_bytes() == bare
    assert [one.seq for one in read(tmp_path)] == [1, 2, 3, 4, 5]
    assert json.loads((tmp_path / MANIFEST).read_text())["segments"] == {
        "journal-000000000001.log": len(bare),
        "journal-000000000004.log": None,
    }


def _bare(number: int) -> bytes:
    """As release 0.1.0 wrote it: length, CRC-32 and MessagePack."""
    payload = encode(entry(number))
    return len(payload).to_bytes(4, "big") + zlib.crc32(payload).to_bytes(4, "big") + payload


async def test_a_journal_that_was_closed_in_order_says_so_and_goes_on_in_its_file(tmp_path):
    await written(tmp_path, [1])
    await written(tmp_path, [2])
    (file,) = segments(tmp_path)
    assert [one.seq for one in read(tmp_path)] == [1, 2]
    # Bit rot in the last entry is damage now: behind it stands that everything was acknowledged.
    octets = bytearray(file.read_bytes())
    last = next(found for found in scan(bytes(octets)) if getattr(found, "seq", None) == 2)
    octets[last.end - 1] ^= 1
    file.write_bytes(octets)
    with pytest.raises(JournalDamaged, match=r"a checksum that does not fit at offset .*, entry 2"):
        list(read(tmp_path))


async def test_a_disk_that_runs_full_acknowledges_nothing_that_is_not_on_it(tmp_path):
    """A real small disk: the write before ENOSPC is a short one; what was acknowledged is what can be read afterwards, exactly."""
    with small_disk(tmp_path / "disk", 64 * 1024) as disk:
        failed: asyncio.Future[OSError] = asyncio.get_running_loop().create_future()
        journal = Journal(disk, asyncio.get_running_loop(), failed.set_result)
        acknowledged: list[int] = []
        number = 0
        while not failed.done():
            durable = asyncio.get_running_loop().create_future()
            for _ in range(50):
                number += 1
                journal.append(entry(number), lambda number=number: acknowledged.append(number))
            number += 1
            journal.append(entry(number), lambda number=number, durable=durable: (acknowledged.append(number), durable.set_result(None)))
            await asyncio.wait([durable, failed], return_when=asyncio.FIRST_COMPLETED)
        error = await failed
        await journal.close()
        assert error.errno == errno.ENOSPC
        reading = Reading(disk)
        assert [one.seq for one in reading.entries()] == acknowledged
        assert reading.tail.torn is None  # the batch that did not fit was taken back by whoever wrote it
        # The disk has room again: writing goes on behind the last entry.
        await asyncio.to_thread(resize, disk, 1 << 20)
        await written(disk, [acknowledged[-1] + 1])
        assert [one.seq for one in read(disk)] == [*acknowledged, acknowledged[-1] + 1]


async def test_a_file_without_its_head_is_put_aside_whole(tmp_path):
    await written(tmp_path, [1, 2])
    (tmp_path / "journal-000000000003.log").write_bytes(b"FERNJ")
    await written(tmp_path, [3])
    assert [one.seq for one in read(tmp_path)] == [1, 2, 3]
    assert (tmp_path / "journal-000000000003.log.torn").read_bytes() == b"FERNJ"
    assert segments(tmp_path)[0].stat().st_size > FILE_OCTETS
