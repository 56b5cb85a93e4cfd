"""`fernamt journal`: a check says what is damaged where, a repair says what it loses before it does, and keeps the originals."""

import json
import zlib

import pytest

from acd.core import inputs as inp
from acd.core.configuration import Agent, TenantConfiguration
from acd.core.engine import Engine
from acd.core.ids import AgentId, CallId, LegId, TenantId
from acd.core.replay import Entry, encode, fold
from acd.journal import care, read, segments
from acd.journal.framing import Record, batch, file_head, scan
from acd.journal.words import WORDS
from acd.journal.writing import name_segments
from api.__main__ import main
from tests.acd.core.shell import call, open_house

TENANT = TenantId("acme")
FIRST, SECOND = CallId("6928c7a1-000000000001"), CallId("6928c7a2-000000000002")


def story() -> list[Entry]:
    """Two refused calls of one agent, with its coming and going around them."""
    anna = Agent(id=AgentId("anna"), name="Anna", device="anna@acme")
    engine, entries, now = Engine(TENANT), [], 1_700_000_000.0
    arrived = [inp.CallArrived(call=call, leg=LegId(f"{call}.0"), agent=anna.id, called="999", calling="11") for call in (FIRST, SECOND)]
    released = [inp.LegReleased(leg=LegId(f"{call}.0")) for call in (FIRST, SECOND)]
    for given in (
        inp.Configured(configuration=TenantConfiguration(tenant=TENANT, agents=(anna,))),
        inp.LogOn(agent=anna.id),
        arrived[0],
        inp.GoReady(agent=anna.id),
        arrived[1],
        released[1],
        inp.GoNotReady(agent=anna.id, reason="break"),
        inp.GoReady(agent=anna.id),
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
    began = next(one.seq for one in story() if isinstance(one.input, inp.CallArrived) and one.input.call == SECOND)
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
    octets = b"\x81\xa3seq\x32"  # {"seq": 50}
    (directory / "snapshot").write_bytes(zlib.crc32(octets).to_bytes(4, "big") + octets)
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


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--call", "nope"), "has no entry about a call nope"),
        (("--first", "900"), "has no entry from 900;"),
        (("--first", "2", "--last", "1", "--call", FIRST), f"has no entry from 2 up to 1 about a call {FIRST}"),
    ],
)
def test_an_export_of_what_is_not_there_says_so_and_fails(directory, capsys, asked, said):
    assert run("export", "acme", "--data", str(directory.parents[1]), *asked) == 2
    told = capsys.readouterr()
    assert not told.out
    assert told.err.startswith(f"fernamt journal export: the journal of acme {said}")


def test_an_export_of_what_may_be_in_the_damaged_part_is_damage(directory):
    hurt(segments(directory)[0], 2)
    assert run("export", "acme", "--data", str(directory.parents[1]), "--call", "nope") == 1


def test_a_repair_beside_a_running_service_is_refused(directory, capsys):
    from acd.data_lock import DataLock

    hurt(segments(directory)[0], 2)
    with DataLock(directory.parents[1]):
        assert run("repair", "acme", "--data", str(directory.parents[1]), "--accept-loss") == 2
    assert "is in use by process" in capsys.readouterr().err


def talk() -> list[Entry]:
    """A call from the queue to the agent who answers it, and after it another one."""
    shell = open_house()
    call(shell, name=FIRST)
    shell.run(10)
    shell.send(inp.LegReleased(leg=f"{FIRST}-in"))
    shell.run(20)
    call(shell, name=SECOND)
    shell.run(10)
    shell.send(inp.LegReleased(leg=f"{SECOND}-in"))
    shell.run(20)
    written = [one for one in shell.journal if one.events]
    return [Entry(seq, one.now, one.input, one.events) for seq, one in enumerate(written, 1)]


@pytest.mark.parametrize("lost", range(1, len(talk()) + 1))
def test_after_a_repair_of_any_one_entry_the_tenant_can_be_opened(tmp_path, lost):
    """The loss of each in turn; the next start ends what it finds, and what it finds makes sense."""
    directory = tmp_path / "data" / "tenants" / "demo"
    directory.mkdir(parents=True)
    octets = file_head(1) + b"".join(batch(one.seq, [encode(one)], WORDS) for one in talk())
    file = directory / "journal-000000000001.log"
    file.write_bytes(octets + batch(len(talk()) + 1, (), WORDS, 1))
    hurt(file, lost)
    assert run("repair", "demo", "--data", str(tmp_path / "data"), "--accept-loss") == 0
    assert run("check", "--data", str(tmp_path / "data")) == 0
    engine = fold(read(directory), TenantId("demo"))
    engine.handle(inp.ServiceStarted(), engine.state.clock + 3600)
    engine.handle(inp.TimePassed(), engine.state.clock + 7200)
    assert engine.state.calls == {}
    assert engine.state.offers == {}


def test_a_torn_end_that_the_database_has_seen_further_than_is_kept_aside_by_the_repair(directory):
    """The gap goes into a file of its own, so the file before it must not end in the middle of an entry."""
    data, file = str(directory.parents[1]), segments(directory)[1]
    octets = file.read_bytes()
    file.write_bytes(octets[:-5])
    snapshot = b"\x81\xa3seq\x32"  # {"seq": 50}
    (directory / "snapshot").write_bytes(zlib.crc32(snapshot).to_bytes(4, "big") + snapshot)
    assert run("repair", "acme", "--data", data, "--accept-loss") == 0
    assert run("check", "acme", "--data", data) == 0
    assert care.check(directory).last == 50
    assert list(directory.glob("*.torn"))


def test_swapped_files_come_into_order_again(directory, capsys):
    data, (first, second) = str(directory.parents[1]), segments(directory)
    octets = first.read_bytes(), second.read_bytes()
    first.write_bytes(octets[1])
    second.write_bytes(octets[0])
    assert run("check", "acme", "--data", data) == 1
    assert run("repair", "acme", "--data", data, "--accept-loss") == 0
    assert "0 entries are lost" in capsys.readouterr().out
    assert list(read(directory)) == story()


def test_a_list_of_files_that_cannot_be_read_is_made_again(directory, capsys):
    data = str(directory.parents[1])
    (directory / "journal.segments").write_text('{"segments": "journal"}')
    (directory / "journal-abc.log").write_text("a note of somebody's")
    assert run("check", "acme", "--data", data) == 1
    assert "a repair makes it again" in capsys.readouterr().out
    assert run("repair", "acme", "--data", data, "--accept-loss") == 0
    assert run("check", "acme", "--data", data) == 0
    assert list(read(directory)) == story()


def test_a_data_directory_that_is_not_there_is_said(tmp_path, capsys):
    assert run("check", "--data", str(tmp_path / "nowhere")) == 2
    assert "there is no data directory" in capsys.readouterr().err


def test_what_a_later_release_has_written_is_no_damage_and_is_not_repaired(directory, capsys):
    """Whoever went back to this release would throw away what is whole."""
    file = segments(directory)[-1]
    first = int(file.stem.rpartition("-")[2])
    file.write_bytes(file_head(first) + b"".join(batch(one.seq, [encode(one)], WORDS + 1) for one in story()[first - 1 :]))
    name_segments(directory)
    before = file.read_bytes()
    data = str(directory.parents[1])
    assert main(["journal", "check", "acme", "--data", data]) == 1
    told = capsys.readouterr().out
    assert "written by a later release" in told
    assert "DAMAGED" not in told
    assert main(["journal", "repair", "acme", "--data", data, "--accept-loss"]) == 2
    assert "nothing is damaged, and nothing to be repaired" in capsys.readouterr().err
    assert file.read_bytes() == before
