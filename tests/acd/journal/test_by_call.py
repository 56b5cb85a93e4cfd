"""Which entries speak of a call: read from an index a file, which follows a growing file and is kept beside one that grows no more."""

import asyncio

import msgspec
import pytest

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.ids import CallId, EntryId, LegId, OfferId, PlayId, RecordingId
from acd.core.replay import Entry, encode
from acd.journal import CallIndex, Journal, segments
from acd.journal.by_call import calls_of
from acd.journal.framing import RECORD, batch, file_head
from acd.journal.words import WORDS

CALLS = tuple(CallId(f"6928c7a1-{number:012x}") for number in range(5))


def entry(seq: int, *events: ev.Event) -> Entry:
    return Entry(seq=seq, now=1_000.0 + seq, input=inp.TimePassed(), events=events)


def about(seq: int, call: CallId) -> Entry:
    return entry(seq, ev.CallCleared(call=call, cause="hang_up"))


@pytest.mark.parametrize(
    "event",
    [
        ev.CallCleared(call=CALLS[1], cause="hang_up"),
        ev.LegConnected(leg=LegId(f"{CALLS[1]}.2")),
        ev.SoundsStopped(leg=LegId(f"{CALLS[1]}.0"), play=PlayId(f"{CALLS[1]}.0/p1")),
        ev.RequirementsRelaxed(entry=EntryId(f"{CALLS[1]}/q1"), relaxation=1),
        ev.OfferEnded(offer=OfferId(f"{CALLS[1]}/o1"), contact=CALLS[1], agent="anna", outcome="declined"),
        ev.RecordingKept(recording=RecordingId(f"{CALLS[1]}/r1"), call=CALLS[1], path="x", duration_ms=1),
    ],
)
def test_an_entry_is_about_the_calls_that_its_events_name(event):
    assert calls_of(encode(entry(1, ev.AgentReady(agent="anna"), event))) == {CALLS[1]}


def test_an_entry_about_no_call_is_about_none():
    assert calls_of(encode(entry(1, ev.AgentReady(agent="anna")))) == set()


async def test_the_story_of_a_call_is_found_in_files_that_grow_and_in_those_that_do_not(tmp_path, monkeypatch):
    monkeypatch.setattr("acd.journal.writing.SEGMENT_OCTETS", 2000)
    index = CallIndex(tmp_path)
    journal = Journal(tmp_path, asyncio.get_running_loop(), pytest.fail)
    written: dict[CallId, list[int]] = {call: [] for call in CALLS}
    for seq in range(1, 121):
        durable = asyncio.Event()
        call = CALLS[seq % 5]
        journal.append(about(seq, call), durable.set)
        written[call].append(seq)
        await durable.wait()
        if seq % 7 == 0:  # asked again and again while it grows
            assert [one.seq for one in index.entries(call)] == written[call]
    await journal.close()
    files = segments(tmp_path)
    assert len(files) > 3
    for call in CALLS:
        assert [one.seq for one in index.entries(call)] == written[call]
        assert [one.seq for one in CallIndex(tmp_path).entries(call)] == written[call]
    assert all(file.with_suffix(".index").exists() for file in files[:-1])
    assert not files[-1].with_suffix(".index").exists()


def test_only_entries_about_the_call_are_decoded(tmp_path, monkeypatch):
    octets = file_head(1) + b"".join(batch(seq, [encode(about(seq, CALLS[seq % 5]))], WORDS) for seq in range(1, 101))
    (tmp_path / "journal-000000000001.log").write_bytes(octets)
    index = CallIndex(tmp_path)
    index.entries(CALLS[0])
    decoded = []
    monkeypatch.setattr("acd.journal.words.decode", lambda payload: decoded.append(payload) or msgspec.msgpack.decode(payload, type=Entry))
    assert [one.seq for one in index.entries(CALLS[3])] == list(range(3, 101, 5))
    assert len(decoded) == 20


def test_an_index_of_another_file_or_version_is_made_again(tmp_path):
    for first in (1, 11):
        octets = file_head(first) + b"".join(batch(seq, [encode(about(seq, CALLS[0]))], WORDS) for seq in range(first, first + 10))
        (tmp_path / f"journal-{first:012d}.log").write_bytes(octets)
    kept = tmp_path / "journal-000000000001.index"
    for nonsense in (b"", b"\xc1", msgspec.msgpack.encode({"version": 1, "octets": 5, "places": {}})):
        kept.write_bytes(nonsense)
        assert [one.seq for one in CallIndex(tmp_path).entries(CALLS[0])] == list(range(1, 21))


def test_journals_of_the_first_format_have_one_too(tmp_path):
    bare = [batch(seq, [encode(about(seq, CALLS[seq % 2]))], WORDS)[28:] for seq in range(1, 11)]
    assert all(one[: RECORD.size] for one in bare)
    (tmp_path / "journal-000000000001.log").write_bytes(b"".join(bare))
    assert [one.seq for one in CallIndex(tmp_path).entries(CALLS[1])] == [1, 3, 5, 7, 9]


def test_a_batch_that_is_being_written_is_looked_at_when_it_is_whole(tmp_path):
    file = tmp_path / "journal-000000000001.log"
    first, second = (batch(seq, [encode(about(seq, CALLS[0])), encode(about(seq + 1, CALLS[0]))], WORDS) for seq in (1, 3))
    index = CallIndex(tmp_path)
    for end in (10, len(second) - 1):
        file.write_bytes(file_head(1) + first + second[:end])
        assert [one.seq for one in index.entries(CALLS[0])] == [1, 2]
    file.write_bytes(file_head(1) + first + second)
    assert [one.seq for one in index.entries(CALLS[0])] == [1, 2, 3, 4]
