"""`fernamt journal`: a check says what is damaged where, a repair says what it loses before it does, and keeps the originals."""

import json

import pytest

from acd.core import inputs
from acd.core.configuration import Agent, TenantConfiguration
from acd.core.engine import Engine
from acd.core.ids import AgentId, CallId, LegId, TenantId
from acd.core.replay import Entry, encode
from acd.journal import care, read, segments
from acd.journal.framing import Record, batch, file_head, scan
from acd.journal.words import WORDS
from acd.journal.writing import name_segments
from api.__main__ import main

TENANT = TenantId("acme")
FIRST, SECOND = CallId("6928c7a1-000000000001"), CallId("6928c7a2-000000000002")


def story() -> list[Entry]:
    """Two refused calls of one agent, with its coming and going around them."""
    anna = Agent(id=AgentId("anna"), name="Anna", device="anna@acme")
    engine, entries, now = Engine(TENANT), [], 1_700_000_000.0
    arrived = [inputs.CallArrived(call=call, leg=LegId(f"{call}.0"), agent=anna.id, called="999", calling="11") for call in (FIRST, SECOND)]
    released = [inputs.LegReleased(leg=LegId(f"{call}.0")) for call in (FIRST, SECOND)]
    for given in (
        inputs.Configured(configuration=TenantConfiguration(tenant=TENANT, agents=(anna,))),
        inputs.LogOn(agent=anna.id),
        arrived[0],
        inputs.GoReady(agent=anna.id),
        arrived[1],
        released[1],
        inputs.GoNotReady(agent=anna.id, reason="break"),
        inputs.GoReady(agent=anna.id),
    ):
        now += 1
        step = engine.handle(given, now)
        if step.events:
            entries.append(Entry(len(entries) + 1, now, given, tuple(step.events)))
    return entries


@pytest.fixture
def directory(tmp_path):
    """Where the tenant's journal lies, in two files."""
    made = tmp_path / "data" / "tenants" / "acme"
    made.mkdir(parents=True)
    entries = story()
    for some in (entries[:3], entries[3:]):
        octets = file_head(some[0].seq) + b"".join(batch(one.seq, [encode(one)], WORDS) for one in some)
        (made / f"journal-{some[0].seq:012d}.log").write_bytes(octets)
    name_segments(made)
    return made


def hurt(file, seq: int) -> None:
    octets = bytearray(file.read_bytes())
    record = next(one for one in scan(bytes(octets)) if isinstance(one, Record) and one.seq == seq)
    octets[record.end - 1] ^= 1
    file.write_bytes(octets)


def run(*arguments: str) -> int:
    return main(["journal", *arguments])


def test_a_sound_journal_is_said_to_be_so(directory, capsys):
    data = str(directory.parents[1])
    assert run("check", "--data", data) == 0
    said = capsys.readouterr().out
    assert f"acme: {len(story())} entries up to {len(story())}" in said
    assert "DAMAGED" not in said
    assert run("repair", "acme", "--data", data) == 0
    assert "nothing is damaged" in capsys.readouterr().out
    assert run("check", "nobody", "--data", data) == 2


def test_a_repair_loses_what_cannot_be_read_and_keeps_everything_else(directory, capsys):
    """Entry 4 (ready) is damaged: nothing builds on it but the state of one agent, so nothing else goes."""
    data, file = str(directory.parents[1]), segments(directory)[1]
    hurt(file, 4)
    damaged = file.read_bytes()
    assert run("check", "acme", "--data", data) == 1
    assert (
        "a checksum that does not fit at offset 52, entry 4" in capsys.readouterr().out
    )  # behind 24 octets of file head and 28 of batch head
    before = {one.name: one.read_bytes() for one in directory.iterdir()}
    assert run("repair", "acme", "--data", data) == 1
    assert "1 entries are lost: 4" in capsys.readouterr().out
    assert {one.name: one.read_bytes() for one in directory.iterdir()} == before
    assert run("repair", "acme", "--data", data, "--accept-loss") == 0
    assert list(read(directory)) == [one for one in story() if one.seq != 4]
    assert (directory / f"{file.name}.damaged").read_bytes() == damaged
    assert run("check", "acme", "--data", data) == 0
    assert "entries 4 to 4 were given up by an earlier repair" in capsys.readouterr().out


def test_a_repair_leaves_out_what_makes_no_sense_any_more_and_names_the_call(directory, capsys):
    """The entry in which a call began is damaged: the later entries of that call are lost with it, those of the other call are not."""
    data = str(directory.parents[1])
    began = next(one.seq for one in story() if isinstance(one.input, inputs.CallArrived) and one.input.call == SECOND)
    hurt(segments(directory)[1], began)
    assert run("repair", "acme", "--data", data, "--accept-loss") == 0
    said = capsys.readouterr().out
    assert SECOND in said
    assert FIRST not in said
    left = list(read(directory))
    about = {call for one in left for call in care.calls_of(encode(one))}
    assert SECOND not in about
    assert FIRST in about


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_file_becomes_a_gap_and_its_numbers_are_not_used_again(directory, capsys, which):
    data, lost = str(directory.parents[1]), segments(directory)[which]
    lost.unlink()
    assert run("check", "--data", data) == 1
    assert f"{lost}: the file is missing" in capsys.readouterr().out
    assert run("repair", "acme", "--data", data, "--accept-loss") == 0
    assert run("check", "--data", data) == 0
    report = care.check(directory)
    # Without the first file nobody knows who the agent is, so what follows makes no sense; of the last one, only its first number is known.
    assert report.gaps[0] == ((1, len(story())) if which == 0 else (4, 4))
    assert report.last == report.gaps[0][1]


def test_an_end_that_the_snapshot_knows_of_is_a_loss_too(directory, capsys):
    """What the snapshot was made of is gone: the numbers up to there are not given to other entries."""
    data = str(directory.parents[1])
    (directory / "snapshot").write_bytes(b"\x81\xa3seq\x32")  # {"seq": 50}
    assert run("check", "--data", data) == 1
    assert "but the database or the snapshot holds entry 50" in capsys.readouterr().out
    assert run("repair", "acme", "--data", data, "--accept-loss") == 0
    assert care.check(directory).last == 50
    assert (directory / "snapshot.before-repair").exists()


def test_doubled_records_are_left_out_once(directory, capsys):
    data, file = str(directory.parents[1]), segments(directory)[1]
    entries = [one for one in story() if one.seq >= 4]
    twice = [entries[0], *entries]
    file.write_bytes(file_head(4) + b"".join(batch(one.seq, [encode(one)], WORDS) for one in twice))
    assert run("repair", "acme", "--data", data, "--accept-loss") == 0
    said = capsys.readouterr().out
    assert "0 entries are lost" in said
    assert "1 records that stand there twice" in said
    assert list(read(directory)) == story()


def test_an_export_says_everything_and_what_cannot_be_read(directory, capsys):
    data = str(directory.parents[1])
    assert run("export", "acme", "--data", data) == 0
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["seq"] for one in documents] == [one.seq for one in story()]
    assert documents[1]["input"] == {"type": "LogOn", "agent": "anna"}
    assert run("export", "acme", "--data", data, "--call", FIRST, "--first", "3") == 0
    assert {one["seq"] for one in map(json.loads, capsys.readouterr().out.splitlines())} == {3}
    hurt(segments(directory)[0], 2)
    assert run("export", "acme", "--data", data) == 1
    assert [("trouble" in json.loads(line)) for line in capsys.readouterr().out.splitlines()][:3] == [False, True, False]


def test_a_repair_beside_a_running_service_is_refused(directory, capsys):
    from acd.data_lock import DataLock

    hurt(segments(directory)[0], 2)
    with DataLock(directory.parents[1]):
        assert run("repair", "acme", "--data", str(directory.parents[1]), "--accept-loss") == 2
    assert "is in use by process" in capsys.readouterr().err
