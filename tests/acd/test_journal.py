"""The journal: what was acknowledged is there after a crash, what was torn is cut, what is damaged is named."""

import asyncio
import struct

import pytest

from acd.core import inputs
from acd.core.ids import AgentId
from acd.core.replay import Entry
from acd.errors import JournalDamaged
from acd.journal import Journal, read, segments


def entry(seq: int) -> Entry:
    return Entry(seq=seq, now=1_000.0 + seq, input=inputs.GoReady(agent=AgentId(f"a{seq}")), events=())


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
    assert next(read(tmp_path)).input == inputs.GoReady(agent=AgentId("a1"))


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


async def test_a_torn_tail_is_cut_and_writing_goes_on_behind_the_last_whole_entry(tmp_path):
    await written(tmp_path, range(1, 11))
    file = segments(tmp_path)[-1]
    whole = file.read_bytes()
    for torn in (3, 9, len(whole) // 10 - 1):
        file.write_bytes(whole + whole[:torn])
        await written(tmp_path, [11])
        assert [one.seq for one in read(tmp_path)] == list(range(1, 12))


async def test_damage_in_the_middle_is_named_with_file_and_offset(tmp_path):
    await written(tmp_path, range(1, 11))
    file = segments(tmp_path)[-1]
    octets = bytearray(file.read_bytes())
    (length,) = struct.unpack_from(">I", octets)
    octets[8 + length + 8 + 2] ^= 0xFF
    file.write_bytes(octets)
    with pytest.raises(JournalDamaged, match=rf"{file.name}: a checksum that does not fit at offset {8 + length}"):
        list(read(tmp_path))


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
