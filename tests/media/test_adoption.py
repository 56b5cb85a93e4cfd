"""A main process that dies or leaves: the next one adopts its workers, and no far end hears of it."""

import asyncio
import contextlib
import itertools
import os
import signal
from threading import Thread

import numpy as np
import pytest

from media.client import MAX_UNREAD_OCTETS, MediaPlane, WorkerLost, WorkerRestarted
from media.control import (
    MAX_NOTE_OCTETS,
    Adopt,
    ArrangeAudio,
    AskHeld,
    CloseLeg,
    DigitBegan,
    DigitReceived,
    Held,
    HeldRecording,
    HeldRoom,
    LegClosed,
    LegLatched,
    NoteLeg,
    OpenLeg,
    PauseRecording,
    Play,
    PlayEnded,
    RecordingEnded,
    RecordLeg,
    StartRecording,
    StopRecording,
)
from media.dtmf import event_packets
from media.errors import WorkerGone
from media.prompts import PACKAGED_SOUNDS, SoundLibrary
from tests.media.rig import DEADLINE_S, FarEnd, free_ports, talk
from tests.media.test_client import Reports
from tests.media.test_room import is_one_stream
from tests.media.test_takeover import SmallMain, described, orphan_rig
from tests.media.test_worker import TONE_A, TONE_B, read_wave, tone

__all__ = ["orphan_rig"]
pytestmark = [pytest.mark.interop, pytest.mark.slow]

MUSIC = ("music/default",)


def press(far_end, digit):
    """A key, at once; how many packets that is."""
    packets = event_packets(digit, 100)
    for index, packet in enumerate(packets):
        far_end.send(far_end.packet(packet.payload, payload_type=101, marker=index == 0, advance=0))
    far_end.timestamp += 1600
    return len(packets)


def has_no_step(packets):
    """One SSRC, no number left out or doubled, each packet 20 ms after the one before."""
    first = packets[0]
    assert {packet.ssrc for packet in packets} == {first.ssrc}
    assert [packet.sequence_number for packet in packets] == [(first.sequence_number + n) & 0xFFFF for n in range(len(packets))]
    assert [packet.timestamp for packet in packets] == [(first.timestamp + 160 * n) & 0xFFFFFFFF for n in range(len(packets))]
    return True


def plays_on(packets, sounds=MUSIC):
    """What was heard is the sound from its beginning, again and again, without a jump."""
    audio, _ = SoundLibrary(PACKAGED_SOUNDS).play(sounds, "PCMA", "")
    heard = b"".join(packet.payload for packet in packets)
    assert heard == (audio * (len(heard) // len(audio) + 1))[: len(heard)]
    return True


def in_force(main):
    """What the main process orders, and the next one says again."""
    pairs = tuple(itertools.permutations("def", 2))
    return [
        ArrangeAudio(room="two", hears=(("a", "b"), ("b", "a"))),
        ArrangeAudio(room="three", hears=pairs),
        Play(leg="c", play="music", sounds=MUSIC, loop=True),
        StartRecording(recording="r", path=str(main.recording), legs=("a",)),
        RecordLeg(recording="r", leg="b"),
        RecordLeg(recording="r", leg="f"),
        PauseRecording(recording="r", paused=True, legs=("f",)),
    ]


@contextlib.contextmanager
def speaking(audio, frames):
    """All speak meanwhile, in their own thread."""
    thread = Thread(target=talk, args=(audio,), kwargs={"frames": frames})
    thread.start()
    yield thread
    thread.join()


async def until(condition):
    """Look again with every turn of the loop."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0)


@pytest.fixture
def mains(tmp_path):
    made = []

    def make(**more):
        made.append(SmallMain(tmp_path, **more))
        return made[-1]

    yield make
    for main in made:
        main.end()


# ------------------------------------------------------------------ a real main process, killed


async def test_no_far_end_hears_that_the_main_process_was_killed_and_the_next_one_goes_on_with_every_leg(mains, caplog):
    far_ends = {name: FarEnd(ssrc=number) for number, name in enumerate("abcdef", 1)}
    main = mains(far_ends=far_ends, orders=in_force)
    a, b, c, d, e, f = far_ends.values()
    audio = {a: tone(TONE_A, 50), b: tone(TONE_B, 50), d: tone(TONE_A, 50), e: tone(TONE_B, 50), f: tone(700, 50)}
    reports = Reports()
    with speaking(audio, 50):
        before = b.hear(10)
        main.kill()
        after_the_kill = b.hear(10)
        plane = await main.next_main(on_report=reports)
        assert plane.worker_pids() == [main.worker]
        assert {held.leg: held.play for held in plane.held} == {"a": None, "b": None, "c": "music", "d": None, "e": None, "f": None}
        assert all(held.is_described and held.rtp_port == far_ends[held.leg].target[1] for held in plane.held)
        pairs = tuple(itertools.permutations("def", 2))
        assert set(plane.held_rooms) == {HeldRoom(room="two", hears=(("a", "b"), ("b", "a"))), HeldRoom(room="three", hears=pairs)}
        assert plane.held_recordings == (HeldRecording(recording="r", path=str(main.recording), legs=("a", "b", "f"), silent=("f",)),)
        assert plane.unclaimed() == ("a", "b", "c", "d", "e", "f")
        opened = [plane.claim("call", leg) for leg in far_ends]
        assert [(one.request, one.leg, one.rtp_port) for one in opened] == [(0, leg, far.target[1]) for leg, far in far_ends.items()]
        assert plane.unclaimed() == ()
        assert not [report for report in plane.take_kept() if not isinstance(report, LegLatched)]
        for order in main.orders:  # descriptions, rooms, music, the recording: all is so already
            plane.send("call", order)
        await plane.status()
    await plane.status()

    heard = before + after_the_kill + b.hear(30)
    assert has_no_step(heard)
    assert has_no_step(a.hear(50))
    assert b.hear_nothing()
    music = c.everything()
    assert len(music) >= 40
    assert has_no_step(music)
    assert plays_on(music)
    mixed = [far_end.everything() for far_end in (d, e, f)]
    assert all(is_one_stream(packets) and len(packets) >= 40 for packets in mixed)

    # Orders work: hold with music, a key, the end.
    plane.send("call", ArrangeAudio(room="two", hears=()))
    plane.send("call", Play(leg="b", play="held", sounds=MUSIC, loop=True))
    await plane.status()
    on_hold = b.hear(5)
    assert {packet.ssrc for packet in on_hold} == {heard[-1].ssrc}
    assert has_no_step(on_hold)
    assert on_hold[0].sequence_number == (heard[-1].sequence_number + 1) & 0xFFFF
    keys = press(a, "7")
    assert (await reports.wait_for(DigitReceived)).digit == "7"
    plane.send("call", StopRecording(recording="r"))
    ended = await reports.wait_for(RecordingEnded)
    assert (ended.recording, ended.path, ended.error) == ("r", str(main.recording), None)
    plane.send("call", CloseLeg(leg="a"))
    quality = (await reports.wait_for(LegClosed)).quality
    assert (quality.packets_received, quality.packets_lost, quality.packets_sent) == (50 + keys, 0, 50)
    await plane.close()
    assert main.worker_ended()
    assert list(main.control.iterdir()) == []
    assert f"= adopted worker=0 pid={main.worker}: 6 legs, 1 recordings" in caplog.text

    samples = read_wave(main.recording)
    assert samples.shape[1] == 3
    blocks = samples[: len(samples) // 80 * 80, 0].reshape(-1, 80).astype(float)
    loud = np.flatnonzero(np.abs(blocks).max(axis=1) > 500)
    assert loud.size >= 98  # a second, of which an edge may be in a block with silence
    assert loud[-1] - loud[0] == loud.size - 1  # without a gap
    assert not samples[:, 2].any()


async def test_what_happened_while_nobody_was_there_is_told_once_in_order_and_a_second_kill_changes_nothing(mains):
    main = mains(notes=[("a", "old"), ("a", "new"), ("b", "b's")])
    a, b = main.a, main.b
    main.kill()
    for digit in "12":
        press(a, digit)
    a.speak(tone(TONE_A, 2))
    first = [packet for packet in b.hear(2 * len(event_packets("1", 100)) + 2) if packet.payload_type == 8]

    said = main.start(notes=[("b", "newer")])
    assert [kind for kind in said["kept"] if kind != "LegLatched"] == ["DigitBegan", "DigitReceived"] * 2
    assert said["worker"] == main.worker
    main.kill()
    press(a, "3")
    a.speak(tone(TONE_A, 2))
    second = [packet for packet in b.hear(len(event_packets("3", 100)) + 2) if packet.payload_type == 8]
    assert {packet.ssrc for packet in first + second} == {first[0].ssrc}

    main.start()
    main.stop()
    press(a, "4")
    plane = await main.next_main()
    try:
        assert plane.worker_pids() == [main.worker]
        assert {held.leg: held.note for held in plane.held} == {"a": b"the last word", "b": b"newer"}
        await plane.status()
        kept = plane.take_kept()
        assert [(type(report), report.digit) for report in kept] == [(DigitBegan, "4"), (DigitReceived, "4")]
        assert plane.take_kept() == []
        assert plane.claim("call", "a").leg == "a"
        assert plane.claim("call", "a") is None
        assert plane.claim("call", "z") is None
    finally:
        await plane.close()


# ------------------------------------------------------------------ an orderly stop


class House:
    """Planes on one folder, one after the other."""

    def __init__(self, folder):
        self.folder = folder
        self.base = free_ports(20)
        self.reports = Reports()
        self.far_ends = {}
        self.planes = []

    async def plane(self, **more):
        fields = {"workers": 1, "address": "127.0.0.1", "ports": (self.base, self.base + 19), "control": self.folder}
        self.planes.append(await MediaPlane.start(**({"on_report": self.reports} | fields | more)))
        return self.planes[-1]

    async def leg(self, plane, name, call="call"):
        far_end = self.far_ends[name] = FarEnd(ssrc=len(self.far_ends) + 1)
        far_end.target = ("127.0.0.1", (await plane.open_leg(call, name)).rtp_port)
        plane.send(call, described(name, far_end))
        return far_end

    async def end(self):
        for plane in reversed(self.planes):
            await plane.close()
        for far_end in self.far_ends.values():
            far_end.close()


@pytest.fixture
async def house(tmp_path):
    made = House(tmp_path)
    yield made
    await made.end()


async def test_plane_that_leaves_has_said_everything_and_the_next_one_adopts_what_it_left(house):
    first = await house.plane()
    a = await house.leg(first, "a")
    (pid,) = first.worker_pids()
    for number in range(100):
        first.note("call", "a", f"{number}".encode())
    first.send("call", Play(leg="a", play="music", sounds=MUSIC, loop=True))
    first.stopping()
    await first.leave()
    assert first.worker_pids() == []
    second = await house.plane()
    assert second.worker_pids() == [pid]
    assert [(held.worker, held.leg, held.play, held.note) for held in second.held] == [(0, "a", "music", b"99")]
    assert second.claim("call", "a").rtp_port == a.target[1]
    second.take_kept()
    await second.leave()  # again: it is no child of this plane
    third = await house.plane()
    assert third.worker_pids() == [pid]
    assert not any(isinstance(house.reports.queue.get_nowait(), WorkerLost | LegClosed) for _ in range(house.reports.queue.qsize()))
    music = a.hear(5)
    assert has_no_step(music)
    assert plays_on(music)
    third.claim("call", "a")
    third.take_kept()
    third.send("call", CloseLeg(leg="a"))
    await house.reports.wait_for(PlayEnded)
    assert (await house.reports.wait_for(LegClosed)).leg == "a"


async def test_leg_that_nobody_claims_is_abandoned_and_an_adopted_worker_that_dies_is_replaced(house):
    first = await house.plane()
    for name in "abc":
        await house.leg(first, name)
    await first.leave()
    second = await house.plane()
    assert second.claim("one", "a") is not None
    second.take_kept()
    second.abandon("b")
    second.abandon("b")
    assert (await house.reports.wait_for(LegClosed)).leg == "b"
    assert second.unclaimed() == ("c",)
    (pid,) = second.worker_pids()
    os.kill(pid, signal.SIGKILL)
    assert (await house.reports.wait_for(WorkerLost)).legs == ("a", "c")
    assert second.unclaimed() == ()
    assert second.claim("one", "c") is None
    await house.reports.wait_for(WorkerRestarted)
    assert second.worker_pids() != [pid]
    assert (await second.open_leg("two", "a")).leg == "a"


async def test_worker_with_other_ports_than_todays_keeps_its_calls_gets_no_new_ones_and_ends_with_the_last(house):
    first = await house.plane(ports=(house.base, house.base + 3))
    await house.leg(first, "a")
    await house.leg(first, "b")
    (old,) = first.worker_pids()
    await first.leave()
    # Two pairs of its four are taken by the old one: the new one finds the others.
    second = await house.plane(ports=(house.base, house.base + 7))
    pids = second.worker_pids()
    assert pids[0] == old
    assert len(pids) == 2
    second.claim("call", "a")
    second.take_kept()
    ports = {house.far_ends[name].target[1] for name in "ab"} | {(await second.open_leg("new", name)).rtp_port for name in "xy"}
    assert len(ports) == 4
    assert second.place("new") != second.place("call") == 0
    assert second.place("newer") == second.place("new")
    assert [(status.legs, index) for status, index in zip(await second.status(), await second.ask_held(), strict=True)] == [(2, 0), (2, 1)]
    second.send("call", CloseLeg(leg="a"))
    assert (await house.reports.wait_for(LegClosed)).leg == "a"
    assert old in second.worker_pids()
    second.abandon("b")
    assert (await house.reports.wait_for(LegClosed)).leg == "b"
    await until(lambda: second.worker_pids() == pids[1:])
    await until(lambda: [path.name for path in house.folder.iterdir()] == ["worker-1.sock"])
    assert second.is_up
    assert house.reports.queue.empty()
    await second.leave()
    third = await house.plane(ports=(house.base, house.base + 7))
    assert third.worker_pids() == pids[1:]  # its ports are today's, whatever its name
    third.claim("new", "x")
    assert third.place("another") == 1


async def test_worker_that_dies_while_it_retires_is_lost_with_its_legs_and_nobody_takes_its_place(house):
    first = await house.plane(ports=(house.base, house.base + 3))
    await house.leg(first, "a")
    (old,) = first.worker_pids()
    await first.leave()
    second = await house.plane()
    second.take_kept()
    os.kill(old, signal.SIGKILL)
    lost = await house.reports.wait_for(WorkerLost)
    assert (lost.worker, lost.legs) == (0, ("a",))
    await until(lambda: [path.name for path in house.folder.iterdir()] == ["worker-1.sock"])
    assert len(second.worker_pids()) == len(await second.status()) == 1
    assert house.reports.queue.empty()


async def test_start_that_fails_leaves_the_legs_to_the_next_one(house, monkeypatch):
    first = await house.plane()
    a = await house.leg(first, "a")
    first.send("call", Play(leg="a", play="music", sounds=MUSIC, loop=True))
    await first.leave()
    with monkeypatch.context() as without:
        without.setattr("sys.executable", "/nowhere")
        with pytest.raises(Exception, match="media worker 1 did not start"):
            await house.plane(workers=2)
    second = await house.plane()
    assert [held.leg for held in second.held] == ["a"]
    music = a.hear(3)
    assert has_no_step(music)
    assert plays_on(music)


async def test_adopted_worker_that_does_not_answer_is_a_lost_one(house, monkeypatch):
    monkeypatch.setattr("media.client.ANSWER_TIMEOUT_S", 0.1)
    first = await house.plane()
    await house.leg(first, "a")
    (pid,) = first.worker_pids()
    await first.leave()
    stop = MediaPlane._man

    def stopped(plane, *arguments):
        os.kill(pid, signal.SIGSTOP)
        return stop(plane, *arguments)

    monkeypatch.setattr(MediaPlane, "_man", stopped)
    second = await house.plane()
    assert second.held == ()
    await until(lambda: any(isinstance(report, WorkerRestarted) for report in second.kept))
    assert [type(report) for report in second.take_kept()] == [WorkerLost, WorkerRestarted]
    assert second.worker_pids() not in ([pid], [])


async def test_adopted_worker_that_is_told_to_end_together_with_the_service_is_neither_missed_nor_replaced(house, caplog):
    """As for a child (`KillMode=control-group`), although nobody tells us its exit status."""
    first = await house.plane()
    await house.leg(first, "a")
    (pid,) = first.worker_pids()
    await first.leave()
    second = await house.plane()
    second.take_kept()
    control = second._workers[0].control
    caplog.clear()
    os.kill(pid, signal.SIGTERM)
    await control.ended
    second.stopping()
    await second.close()
    assert [type(report) for report in (house.reports.queue.get_nowait() for _ in range(house.reports.queue.qsize()))] == [LegClosed]
    assert caplog.text == ""


# ------------------------------------------------------------------ who compares


async def test_figures_and_what_is_held_are_one_exchange_and_one_silence(house, monkeypatch):
    plane = await house.plane()
    await house.leg(plane, "a")
    await plane.status()  # what was ordered is on its way
    written = []
    transport = plane._workers[0].control._transport
    monkeypatch.setattr(plane._workers[0].control, "_transport", Written(transport, written))
    statuses, held = await asyncio.gather(plane.status(), plane.ask_held())
    assert len(written) == 1
    assert statuses[0].legs == 1
    assert [(leg.leg, leg.note, leg.play) for leg in held[0].legs] == [("a", b"", None)]
    monkeypatch.setattr("media.client.STATUS_TIMEOUT_S", 0.05)
    (pid,) = plane.worker_pids()
    os.kill(pid, signal.SIGSTOP)
    assert all(isinstance(one, WorkerGone) for one in await asyncio.gather(plane.status(), plane.ask_held(), return_exceptions=True))
    assert plane._workers[0].silences == 1
    os.kill(pid, signal.SIGCONT)
    monkeypatch.setattr("media.client.STATUS_TIMEOUT_S", DEADLINE_S)
    await plane.ask_held()
    assert plane.worker_pids() == [pid]
    assert plane._workers[0].silences == 0


async def test_many_notes_at_once_wait_for_a_slow_worker_and_are_no_sign_that_it_hangs(house):
    plane = await house.plane()
    await house.leg(plane, "a")
    (pid,) = plane.worker_pids()
    control = plane._workers[0].control
    os.kill(pid, signal.SIGSTOP)
    for number in range(2 * MAX_UNREAD_OCTETS // MAX_NOTE_OCTETS):
        plane.note("call", f"leg {number}", bytes(MAX_NOTE_OCTETS))
    plane.note("call", "a", b"old")
    await until(control._transport.get_write_buffer_size)
    plane.note("call", "a", b"new")
    assert control._notes["a"].note == b"new"
    os.kill(pid, signal.SIGCONT)
    await plane.leave()
    following = await house.plane()
    assert following.worker_pids() == [pid]
    assert [held.note for held in following.held] == [b"new"]


class Written:
    """A transport, and what is written to it."""

    def __init__(self, transport, written):
        self._transport = transport
        self._written = written

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def write(self, octets):
        self._written.append(octets)
        self._transport.write(octets)


# ------------------------------------------------------------------ the worker


def test_orphan_that_is_adopted_is_none_any_more_and_its_time_begins_anew_with_the_next(orphan_rig):
    rig = orphan_rig(orphan_s=0.3)
    a = rig.leg()
    rig.status()
    rig.connection.close()
    rig.connect()
    rig.order(Adopt(request=3))
    assert rig.wait_for(Held).request == 3
    sent = a.speak(tone(TONE_A, 20), pace=True)  # 0.4 s
    rig.settle(len(sent))
    assert rig.status().packets_received == 20
    rig.connection.close()
    assert rig.process.wait(DEADLINE_S) == 0


def test_orders_that_were_under_way_are_obeyed_although_the_worker_could_not_report(orphan_rig):
    """It learns by a report of its own that nobody reads any more; what the main process wrote before is there still."""
    rig = orphan_rig()
    a = rig.leg()
    rig.status()
    os.kill(rig.process.pid, signal.SIGSTOP)
    press(a, "5")
    rig.order(
        *[NoteLeg(leg=a.name, note=bytes(MAX_NOTE_OCTETS - 1000))] * 2, NoteLeg(leg=a.name, note=b"last")
    )  # more than is read at once
    rig.connection.close()
    os.kill(rig.process.pid, signal.SIGCONT)
    rig.connect()
    rig.order(Adopt(request=1))
    (held,) = rig.wait_for(Held).legs
    assert held.note == b"last"
    rig.wait_for(DigitReceived)


def test_what_is_long_is_told_in_parts_and_no_part_is_missing(rig):
    notes = {rig.leg().name: bytes([number]) * MAX_NOTE_OCTETS for number in range(20)}
    rig.order(*(NoteLeg(leg=name, note=note) for name, note in notes.items()))
    rig.order(NoteLeg(leg="nobody", note=b"x"), NoteLeg(leg=next(iter(notes)), note=b"shorter"))
    rig.order(AskHeld(request=1))
    assert [leg.note for leg in rig.wait_for(Held, request=1).legs] == [b""] * 20
    rig.order(Adopt(request=2))
    first, last = rig.wait_for(Held, request=2), rig.wait_for(Held, request=2)
    assert (first.goes_on, last.goes_on) == (True, False)
    assert {leg.leg: leg.note for leg in first.legs + last.legs} == notes | {next(iter(notes)): b"shorter"}
    assert first.ports == last.ports == (rig.base, rig.base + 399)
    # A leg of the same name, later, is another one.
    (name, *_) = notes
    rig.order(CloseLeg(leg=name), OpenLeg(request=3, leg=name, address="127.0.0.1"), Adopt(request=4))
    rig.wait_for(Held, request=4)
    (again,) = [leg for leg in rig.wait_for(Held, request=4).legs if leg.leg == name]  # the newest is the last
    assert (again.note, again.is_described) == (b"", False)
    rig.order(CloseLeg(leg=name))


def test_recording_that_runs_is_not_begun_again_and_not_in_another_file_either(rig, tmp_path):
    a, b = rig.leg(), rig.leg()
    begin = StartRecording(recording="r", path=str(tmp_path / "r.wav"), legs=(a.name,))
    rig.order(begin, begin, RecordLeg(recording="r", leg=b.name), begin, PauseRecording(recording="r", paused=True, legs=(b.name,)))
    rig.order(PauseRecording(recording="r", paused=True, legs=(b.name,)), AskHeld(request=1))
    (recording,) = rig.wait_for(Held, request=1).recordings
    assert recording == HeldRecording(recording="r", path=begin.path, legs=(a.name, b.name), silent=(b.name,))
    assert rig.have(RecordingEnded) == []
    rig.order(StartRecording(recording="r", path=str(tmp_path / "other.wav"), legs=(a.name,)))
    assert rig.wait_for(RecordingEnded).error == "recording r runs already"
    rig.order(StopRecording(recording="r"), AskHeld(request=2))
    assert rig.wait_for(Held, request=2).recordings == ()  # it was told to end
    assert rig.wait_for(RecordingEnded).error is None


def test_play_of_the_same_name_goes_on_and_is_said_to_have_ended_once(rig):
    a = rig.leg()
    order = Play(leg=a.name, play="p", sounds=MUSIC, loop=True)
    rig.order(order)
    heard = a.hear(5)
    rig.order(order, Play(leg=a.name, play="p", sounds=("tone/beep",)))
    rig.status()
    heard += a.hear(5)
    assert has_no_step(heard)
    assert plays_on(heard)
    assert rig.have(PlayEnded) == []
    rig.order(Play(leg=a.name, play="q", sounds=("tone/beep",)))
    assert rig.wait_for(PlayEnded).play == "p"


def test_who_waits_hears_on_when_what_plays_ends_while_nobody_could_say_what_comes_next(orphan_rig):
    rig = orphan_rig()
    a = rig.leg()
    rig.order(Play(leg=a.name, play="p1", sounds=("de/number.1",), behind=MUSIC))
    rig.status()
    rig.connection.close()
    spoken, _ = SoundLibrary(PACKAGED_SOUNDS).play(("de/number.1",), "PCMA", "")
    music, _ = SoundLibrary(PACKAGED_SOUNDS).play(MUSIC, "PCMA", "")
    frames = -(-len(spoken) // 160)
    heard = a.hear(frames + 25)
    assert [packet.sequence_number for packet in heard] == [(heard[0].sequence_number + n) & 0xFFFF for n in range(len(heard))]
    assert b"".join(packet.payload for packet in heard[frames:]) == music[: 25 * 160]
    rig.connect()
    rig.order(Adopt(request=3))
    ended = rig.wait_for(PlayEnded)
    assert (ended.play, ended.outcome) == ("p1", "finished")
    (held,) = rig.wait_for(Held).legs
    assert held.play == "p1/behind"
    rig.order(Play(leg=a.name, play="p2", sounds=MUSIC, loop=True))
    assert rig.wait_for(PlayEnded).outcome == "stopped"


def test_nothing_follows_by_itself_while_there_is_a_main_process(orphan_rig):
    rig = orphan_rig()
    a = rig.leg()
    rig.order(Play(leg=a.name, play="p1", sounds=("de/number.1",), behind=MUSIC))
    assert rig.wait_for(PlayEnded).outcome == "finished"
    rig.order(AskHeld(request=4))
    assert [leg.play for leg in rig.wait_for(Held).legs] == [None]
