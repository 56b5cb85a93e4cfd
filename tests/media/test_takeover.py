"""A main process that dies: its worker keeps the audio; what the next one cannot adopt it ends in order, and nothing is left behind."""

import asyncio
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from media import framing, takeover
from media import worker as worker_module
from media.client import MediaPlane
from media.control import (
    VERSION,
    ArrangeAudio,
    DescribeLeg,
    DigitReceived,
    LegClosed,
    Play,
    PlayEnded,
    Quality,
    RecordingEnded,
    StartRecording,
    StopRecording,
    TakenOver,
    TakeOver,
)
from media.dtmf import event_packets
from media.errors import MediaError
from media.io import control_socket
from media.ports import PortPool
from media.prompts import PACKAGED_SOUNDS, SoundLibrary
from media.rtp.rtcp import Goodbye
from media.worker import Worker
from tests.media.rig import DEADLINE_S, ROOT, FarEnd, Rig, free_ports
from tests.media.test_worker import TONE_A, read_wave, tone

pytestmark = [pytest.mark.interop, pytest.mark.slow]


class SmallMain:
    """A process with a `MediaPlane`, made to be killed: a bridged and recorded call of `a` and `b`, if nothing else is said."""

    def __init__(self, folder, orphan_s=60.0, far_ends=None, orders=None, notes=()):
        self.control = folder / "media"
        self.recording = folder / "call.wav"
        self.base = free_ports(20)
        self.far_ends = far_ends or {"a": FarEnd(ssrc=1), "b": FarEnd(ssrc=2)}
        self.a, self.b = self.far_ends["a"], self.far_ends["b"]
        self.folder = folder
        self.log = folder / "main.log"
        usual = [
            ArrangeAudio(room="call", hears=(("a", "b"), ("b", "a"))),
            StartRecording(recording="r", path=str(self.recording), legs=("a", "b")),
        ]
        self.orders = [described(leg, far_end) for leg, far_end in self.far_ends.items()] + (usual if orders is None else orders(self))
        said = self.start(orphan_s=orphan_s, legs=list(self.far_ends), orders=self.orders, notes=notes)
        for leg, far_end in self.far_ends.items():
            far_end.target = ("127.0.0.1", said["ports"][leg])
        self.worker = said["worker"]
        self.worker_descriptor = os.pidfd_open(self.worker)

    def start(self, *, orphan_s=60.0, legs=(), orders=(), notes=()):
        """What it says once it serves."""
        order = {
            "control": str(self.control),
            "base": self.base,
            "orphan_s": orphan_s,
            "legs": legs,
            "orders": b"".join(map(framing.encode, orders)).hex(),
            "notes": notes,
            "lock": str(self.folder / "lock"),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.media.small_main", json.dumps(order)], cwd=ROOT, stdout=subprocess.PIPE, stderr=log
            )
        said = self.process.stdout.readline()
        assert said, self.log.read_text()
        return json.loads(said)

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.process.stdout.close()

    def stop(self):
        """It ends by itself, in order."""
        self.process.terminate()
        assert self.process.wait(DEADLINE_S) == 0
        self.process.stdout.close()

    def worker_ended(self, within_s=DEADLINE_S):
        """Whether the worker ends in time; whoever inherited it may not have reaped it, so its number says nothing."""
        poll = select.poll()
        poll.register(self.worker_descriptor, select.POLLIN)
        return bool(poll.poll(within_s * 1000))

    def descriptors_of_the_worker(self):
        """What they lead to, but for the standard streams."""
        return sorted(str(each.readlink()) for each in Path(f"/proc/{self.worker}/fd").iterdir() if int(each.name) > 2)

    async def next_main(self, **more):
        fields = {"workers": 1, "address": "127.0.0.1", "ports": (self.base, self.base + 19), "control": self.control}
        return await MediaPlane.start(**({"on_report": lambda _: None} | fields | more))

    def end(self):
        if self.process.poll() is None:
            self.kill()
        if not self.worker_ended(0):
            signal.pidfd_send_signal(self.worker_descriptor, signal.SIGKILL)
        os.close(self.worker_descriptor)
        for far_end in self.far_ends.values():
            far_end.close()


def described(leg, far_end, **fields):
    """The order that says where a far end is."""
    ports = {"remote_port": far_end.port, "remote_rtcp_port": far_end.rtcp.getsockname()[1]}
    codec = {"codec": far_end.codec, "payload_type": far_end.payload_type, "telephone_event": 101}
    return DescribeLeg(leg=leg, remote_address="127.0.0.1", **(ports | codec | fields))


@pytest.fixture
def small_main(tmp_path):
    made = SmallMain(tmp_path)
    yield made
    made.end()


@pytest.fixture
def orphan_rig(tmp_path):
    """Makes rigs with little time for orphans."""
    made = []

    def make(orphan_s=60.0, **more):
        made.append(Rig(tmp_path, pairs=4, orphan_s=orphan_s, **more))
        return made[-1]

    yield make
    for rig in made:
        for far_end in rig.far_ends:
            far_end.close()
        if rig.process.poll() is None:
            rig.process.kill()
            rig.process.wait(DEADLINE_S)
        rig.end()


# ------------------------------------------------------------------ a real main process, killed


def test_worker_and_folder_are_ours_alone_and_hold_nothing_of_the_main_process(small_main):
    assert small_main.control.stat().st_mode & 0o777 == 0o700
    (path,) = small_main.control.iterdir()
    assert path.stat().st_mode & 0o077 == 0
    while str(small_main.recording) not in (links := small_main.descriptors_of_the_worker()):
        time.sleep(0.01)  # a thread of the worker opens it
    # Listener, control connection, and RTP and RTCP of two legs are sockets.
    sockets = [link for link in links if link.startswith("socket:")]
    assert len(sockets) == 2 + 4
    others = [link for link in links if not link.startswith("socket:")]
    assert others == sorted(["anon_inode:[eventfd]", "anon_inode:[eventpoll]", str(small_main.control), str(small_main.recording)])


async def test_worker_that_does_not_answer_is_killed_by_the_pid_the_kernel_names(small_main, monkeypatch, caplog):
    monkeypatch.setattr(takeover, "GREETING_TIMEOUT_S", 0.2)
    os.kill(small_main.worker, signal.SIGSTOP)
    small_main.kill()
    plane = await small_main.next_main()
    assert small_main.worker_ended(0)
    assert plane.taken_over == []
    assert f"worker pid {small_main.worker} does not hand over: killed" in caplog.text
    await plane.close()
    assert list(small_main.control.iterdir()) == []


async def test_worker_of_a_main_process_that_lives_is_not_touched(small_main, monkeypatch):
    monkeypatch.setattr(takeover, "GREETING_TIMEOUT_S", 0.2)
    with pytest.raises(MediaError, match=f"pid {small_main.worker} still serves process {small_main.process.pid}"):
        await small_main.next_main()
    small_main.a.speak(tone(TONE_A, 5))
    small_main.b.hear(5)


# ------------------------------------------------------------------ an orphan


def test_orphan_ends_in_order_when_nobody_takes_over(orphan_rig, tmp_path):
    rig = orphan_rig(orphan_s=0.3)
    a = rig.leg()
    rig.order(StartRecording(recording="r", path=str(tmp_path / "a.wav"), legs=(a.name,)))
    rig.status()
    a.speak(tone(TONE_A, 10))
    rig.settle(10)
    rig.connection.close()
    assert isinstance(a.reports()[-1], Goodbye)
    assert rig.process.wait(DEADLINE_S) == 0
    assert len(read_wave(tmp_path / "a.wav")) >= 8000 * 3 // 10  # it went on for these 0.3 s
    assert not rig.control.exists()


@pytest.mark.parametrize("orphan_s", [0.0, 60.0])
def test_orphan_that_holds_nothing_or_has_no_time_ends_at_once(orphan_rig, orphan_s):
    rig = orphan_rig(orphan_s)
    if not orphan_s:
        rig.leg()
    rig.connection.close()
    assert rig.process.wait(DEADLINE_S) == 0
    assert not rig.control.exists()


def test_orphan_keeps_its_reports_for_the_one_who_takes_over(orphan_rig, tmp_path):
    rig = orphan_rig()
    a, b = rig.leg(), rig.leg()
    rig.order(StartRecording(recording="r", path=str(tmp_path / "a.wav"), legs=(a.name, b.name)))
    rig.order(Play(leg=b.name, play="p", sounds=("tone/beep",)))
    received = rig.status().packets_received
    rig.connection.close()
    for index, packet in enumerate(event_packets("5", 100)):
        a.send(a.packet(packet.payload, payload_type=101, marker=index == 0, advance=0))
        received += 1
    b.hear(5)  # what plays goes on

    rig.connect()
    assert (rig.greeting.pid, rig.greeting.legs, rig.greeting.recordings) == (rig.process.pid, (a.name, b.name), ("r",))
    rig.settle(received)
    assert rig.reports == []  # nothing of what was kept may be read by somebody who does not take over
    rig.connection.close()

    rig.connect()
    rig.order(TakeOver(request=7))
    taken_over = rig.wait_for(TakenOver)
    assert (taken_over.request, taken_over.legs, taken_over.recordings, taken_over.lost) == (7, 2, 1, 0)
    kinds = [type(report) for report in rig.reports]
    assert kinds.index(DigitReceived) < kinds.index(LegClosed)
    assert [report.digit for report in rig.have(DigitReceived)] == ["5"]
    assert len(rig.have(PlayEnded)) == 1
    assert {report.leg for report in rig.have(LegClosed)} == {a.name, b.name}
    assert rig.have(RecordingEnded)[0].error is None
    assert rig.process.wait(DEADLINE_S) == 0
    assert not rig.control.exists()


def test_recording_that_ends_while_nobody_is_there_is_reported_later(orphan_rig, tmp_path):
    """The order to stop was the main process's last word: the report still finds its reader."""
    rig = orphan_rig()
    a = rig.leg()
    rig.order(StartRecording(recording="r", path=str(tmp_path / "a.wav"), legs=(a.name,)))
    rig.status()
    rig.connection.shutdown(socket.SHUT_RD)  # it reads nothing any more: what the worker sends from now on fails
    rig.order(StopRecording(recording="r"))
    rig.connection.close()
    rig.connect()
    rig.order(TakeOver(request=1))
    rig.wait_for(TakenOver)
    assert [report.recording for report in rig.have(RecordingEnded)] == ["r"]


def test_visitor_who_does_not_take_over_gives_an_orphan_no_time(orphan_rig):
    rig = orphan_rig(orphan_s=0.3)
    rig.leg()
    rig.connection.close()
    rig.connect()
    assert rig.process.wait(DEADLINE_S) == 0


def test_sigterm_ends_an_orphan_at_once(orphan_rig):
    rig = orphan_rig()
    a = rig.leg()
    rig.status()
    rig.connection.close()
    rig.process.terminate()
    assert isinstance(a.reports()[-1], Goodbye)
    assert rig.process.wait(DEADLINE_S) == 0


def test_hangup_of_the_terminal_ends_nothing(orphan_rig):
    rig = orphan_rig()
    rig.process.send_signal(signal.SIGHUP)
    rig.process.send_signal(signal.SIGINT)
    assert rig.status().legs == 0


def worker_of(**more):
    return Worker(PortPool(20000, 20019, draw=secrets.randbelow), SoundLibrary(PACKAGED_SOUNDS), **more)


def test_worker_to_which_nobody_ever_connects_ends(tmp_path):
    with control_socket.listening(tmp_path / "w.sock") as listener:
        assert not worker_of(connect_s=0.02).serve(listener)
    assert list(tmp_path.iterdir()) == []


def test_reports_of_an_orphan_are_bounded_but_for_the_ends_of_legs_and_recordings(monkeypatch):
    monkeypatch.setattr(worker_module, "MAX_KEPT", 2)
    worker = worker_of()
    worker._is_orphan = True
    quality = Quality(
        packets_sent=0, packets_received=0, packets_lost=0, packets_late_or_duplicate=0, jitter_ms=0, round_trip_ms=None,
        remote_loss_fraction=None, mos=0, r_factor=0, codec="PCMA",
    )  # fmt: skip
    ends = [LegClosed(leg="a", quality=quality), RecordingEnded(recording="r", path="/r.wav", duration_ms=0)]
    for report in [DigitReceived(leg="a", digit=digit, duration_ms=100) for digit in "1234"] + ends:
        worker.report(report)
    assert [getattr(report, "digit", None) for report in worker._kept] == ["1", "2", None, None]
    assert worker._lost == 2
    worker._finish()


# ------------------------------------------------------------------ the folder


async def test_sockets_of_the_dead_are_removed_and_a_long_path_is_no_matter(tmp_path):
    """unix(7): sun_path has 108 octets with its NUL; this one is over 200 long."""
    folder = tmp_path / ("x" * 120) / ("y" * 80)
    folder.mkdir(parents=True)
    for name in ("worker-0.sock", "worker-7.sock"):
        with control_socket.listening(folder / name):
            (folder / name).rename(folder / f"{name}.kept")
        (folder / f"{name}.kept").rename(folder / name)
    base = free_ports(5)
    plane = await MediaPlane.start(workers=1, address="127.0.0.1", ports=(base, base + 9), on_report=lambda _: None, control=folder)
    assert [path.name for path in folder.iterdir()] == ["worker-0.sock"]
    assert (await plane.open_leg("one", "a")).leg == "a"
    await plane.close()
    assert list(folder.iterdir()) == []


FOREIGNER = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind("worker-0.sock")
listener.listen()
print("ready", flush=True)
held = listener.accept()
sys.stdin.read()
"""


async def test_foreigner_on_a_socket_of_ours_is_named_and_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(takeover, "GREETING_TIMEOUT_S", 0.1)
    foreigner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FOREIGNER, cwd=tmp_path, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    await foreigner.stdout.readline()
    with pytest.raises(MediaError, match=f"process {foreigner.pid} listens on a worker's socket and is no media worker"):
        await takeover.meet(tmp_path)
    assert foreigner.returncode is None
    await foreigner.communicate(b"")


# ------------------------------------------------------------------ another version

OTHER = "import media.control as c; c.VERSION = 99; import media.worker; raise SystemExit(media.worker.main())"


async def test_orphan_of_another_version_is_ended_in_order_and_not_read(orphan_rig, tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as earlier:
        earlier.setattr(framing, "VERSION", 99)
        rig = orphan_rig(program=("-c", OTHER))
        a = rig.leg()
        rig.order(StartRecording(recording="r", path=str(tmp_path / "a.wav"), legs=(a.name,)))
        rig.status()
    rig.connection.close()
    rig.control.rename(tmp_path / "worker-0.sock")
    assert await takeover.meet(tmp_path) == takeover.Met()
    assert rig.process.wait(DEADLINE_S) == 0
    assert f"version 99 of the control protocol, not {VERSION}; it ends" in caplog.text
    assert isinstance(a.reports()[-1], Goodbye)
    read_wave(tmp_path / "a.wav")


async def test_worker_of_another_version_is_not_started(tmp_path, monkeypatch):
    """The files of the service were replaced while it ran."""
    monkeypatch.setattr(framing, "VERSION", 99)
    with pytest.raises(MediaError, match="its words are not ours"):
        await MediaPlane.start(workers=1, address="127.0.0.1", ports=(20000, 20019), on_report=lambda _: None, control=tmp_path)
    assert list(tmp_path.iterdir()) == []
