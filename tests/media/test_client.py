"""The media plane of the main process: workers started, legs placed, a dead worker reported and replaced."""

import asyncio
import os
import signal

import pytest

from media.client import MediaPlane, WorkerLost, WorkerRestarted, _worker_environment, divide_ports
from media.control import CloseLeg, LegClosed, Play, PlayEnded, StartRecording, Stop
from media.errors import MediaError, Refused, WorkerGone
from media.processes import Child
from tests.media.rig import free_ports

pytestmark = [pytest.mark.interop, pytest.mark.slow]  # every test starts processes


class Reports:
    """Everything `on_report` was called with, to be waited for."""

    def __init__(self):
        self.queue = asyncio.Queue()

    def __call__(self, report):
        self.queue.put_nowait(report)

    async def wait_for(self, kind):
        async with asyncio.timeout(15):
            while True:
                report = await self.queue.get()
                if isinstance(report, kind):
                    return report


@pytest.fixture
async def reports():
    return Reports()


@pytest.fixture
async def plane(reports, tmp_path):
    base = free_ports(40)
    started = await MediaPlane.start(workers=2, address="127.0.0.1", ports=(base, base + 79), on_report=reports, control=tmp_path / "media")
    yield started
    await started.close()


async def test_legs_of_one_call_share_a_worker_and_calls_are_spread(plane):
    calls = {key: plane.place(key) for key in ("one", "two", "three", "four")}
    assert sorted(calls.values()) == [0, 0, 1, 1]
    assert {key: plane.place(key) for key in calls} == calls
    first = await plane.open_leg("one", "one-a")
    second = await plane.open_leg("one", "one-b")
    other = await plane.open_leg("two", "two-a")
    assert abs(first.rtp_port - second.rtp_port) < 40
    assert first.rtp_port % 2 == 0
    assert first.rtcp_port == first.rtp_port + 1
    statuses = await plane.status()
    assert sorted(status.legs for status in statuses) == [1, 2]
    assert other.address == "127.0.0.1"


async def test_call_is_forgotten_with_its_last_leg(plane, reports):
    await plane.open_leg("one", "a")
    await plane.open_leg("one", "b")
    plane.send("one", CloseLeg(leg="a"))
    assert (await reports.wait_for(LegClosed)).leg == "a"
    plane.send("one", Play(leg="b", play="p", sounds=("tone/beep",)))
    plane.send("one", Stop(leg="b"))
    assert (await reports.wait_for(PlayEnded)).outcome == "stopped"
    plane.send("one", CloseLeg(leg="b"))
    await reports.wait_for(LegClosed)
    plane.send("one", Stop(leg="b"))  # nobody is there: a log line, nothing else
    assert [plane.place(key) for key in ("x", "y")] == [0, 1]


async def test_refusal_carries_the_reason_and_forgets_the_call(plane):
    with pytest.raises(Refused, match=r"no RTP ports on 192\.0\.2\.1"):
        await plane.open_leg("one", "a", "192.0.2.1")
    await plane.open_leg("one", "a")
    with pytest.raises(Refused, match="open already"):
        await plane.open_leg("one", "a")


async def test_exhausted_ports_are_refused_not_waited_for(plane):
    opened = [await plane.open_leg("one", f"leg-{index}") for index in range(20)]
    assert len({leg.rtp_port for leg in opened}) == 20
    with pytest.raises(Refused, match="in use"):
        await plane.open_leg("one", "one-too-many")


async def test_killed_worker_is_reported_with_its_legs_and_replaced(plane, reports, tmp_path):
    before = {(await plane.open_leg("one", name)).rtp_port for name in ("a", "b")}
    await plane.open_leg("two", "c")
    plane.send("one", StartRecording(recording="r", path=str(tmp_path / "r.wav"), legs=("a", "b")))
    victim = plane.worker_pids()[plane.place("one")]
    os.kill(victim, signal.SIGKILL)
    lost = await reports.wait_for(WorkerLost)
    assert lost.legs == ("a", "b")
    assert (await reports.wait_for(WorkerRestarted)).worker == lost.worker
    assert victim not in plane.worker_pids()
    opened = await plane.open_leg("three", "a")  # "two" is on the other worker
    assert opened.leg == "a"
    assert opened.rtp_port not in before  # the far ends of "a" and "b" send there still
    assert sum(status.legs for status in await plane.status()) == 2


@pytest.fixture
def little_patience(monkeypatch):
    """Asked for before `plane`: the limit is set when a worker is connected."""
    monkeypatch.setattr("media.client.MAX_UNREAD_OCTETS", 100_000)


@pytest.mark.usefixtures("little_patience")
async def test_worker_that_hangs_is_replaced_before_its_orders_fill_the_memory(plane, reports):
    await plane.open_leg("one", "a")
    os.kill(plane.worker_pids()[plane.place("one")], signal.SIGSTOP)
    order = Play(leg="a", play="p", sounds=("de/greeting",) * 100)
    for _ in range(1000):
        plane.send("one", order)
    assert (await reports.wait_for(WorkerLost)).legs == ("a",)
    await reports.wait_for(WorkerRestarted)


async def test_who_asks_again_in_the_moment_of_the_loss_is_placed_on_a_worker_that_lives(plane):
    await plane.open_leg("one", "a")
    index = plane.place("one")
    pid = plane.worker_pids()[index]
    answered = asyncio.get_running_loop().create_future()

    def again(answer) -> None:
        assert isinstance(answer, WorkerGone)
        assert plane.is_up
        plane.request_leg("one", "b", "127.0.0.1", answered.set_result)

    os.kill(pid, signal.SIGSTOP)
    plane.request_leg("one", "b", "127.0.0.1", again)
    os.kill(pid, signal.SIGKILL)
    assert (await answered).leg == "b"
    assert plane.place("one") != index


async def test_request_under_way_when_the_worker_dies_fails_at_once(plane):
    plane.place("one")
    pid = plane.worker_pids()[0]
    os.kill(pid, signal.SIGSTOP)
    opening = asyncio.create_task(plane.open_leg("one", "a"))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerGone):
        await opening


async def test_failing_receiver_of_an_answer_does_not_end_the_connection(plane, caplog):
    def on_answer(_answer):
        raise ValueError("receiver's own mistake")

    plane.request_leg("one", "a", "127.0.0.1", on_answer)
    assert (await plane.open_leg("one", "b")).leg == "b"
    assert "was not taken" in caplog.text


async def test_ports_of_a_request_that_was_withdrawn_are_given_back(plane):
    plane.request_leg("one", "a", "127.0.0.1", lambda _: pytest.fail("told of a request that was withdrawn"))()
    await plane.open_leg("one", "b")
    assert sum(status.legs for status in await plane.status()) == 1


async def test_failing_receiver_of_reports_does_not_stop_the_others(caplog, tmp_path):
    base = free_ports(10)
    seen = []

    def on_report(report):
        seen.append(report)
        raise ValueError("receiver's own mistake")

    plane = await MediaPlane.start(workers=1, address="127.0.0.1", ports=(base, base + 19), on_report=on_report, control=tmp_path)
    await plane.open_leg("one", "a")
    await plane.open_leg("one", "b")
    plane.send("one", CloseLeg(leg="a"))
    plane.send("one", CloseLeg(leg="b"))
    await plane.status()
    await plane.close()
    assert [report.leg for report in seen] == ["a", "b"]
    assert "was not taken" in caplog.text


async def test_closing_reports_every_leg_and_leaves_no_process_and_no_socket(tmp_path):
    base = free_ports(10)
    closed = Reports()
    plane = await MediaPlane.start(workers=1, address="127.0.0.1", ports=(base, base + 19), on_report=closed, control=tmp_path)
    pid = plane.worker_pids()[0]
    await plane.open_leg("one", "a")
    await plane.close()
    assert (await closed.wait_for(LegClosed)).leg == "a"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises((MediaError, IndexError, ValueError)):
        await plane.open_leg("one", "b")


async def test_worker_that_cannot_start_is_an_error(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "y.wav").write_bytes(b"no sound")
    with pytest.raises(MediaError, match="did not start"):
        await MediaPlane.start(
            workers=1, address="127.0.0.1", ports=(20000, 20019), on_report=lambda _: None, control=tmp_path / "media", sounds=tmp_path
        )
    assert list((tmp_path / "media").iterdir()) == []


@pytest.mark.parametrize("after", range(2), ids=["while it starts", "once it serves"])
async def test_start_that_is_cancelled_leaves_no_worker_and_does_not_wait_for_one(tmp_path, monkeypatch, after):
    monkeypatch.setattr("media.client.STOP_TIMEOUT_S", 60.0)  # one that is not told to end would be waited for so long
    reached, processes = [asyncio.Event() for _ in range(2)], []
    spawn = MediaPlane._spawn

    def told(*arguments):
        processes.append(Child(*arguments))
        reached[0].set()
        return processes[-1]

    async def spawned(plane, worker):
        await spawn(plane, worker)
        reached[1].set()
        if after == 1 and worker.index == 0:
            await asyncio.Event().wait()

    monkeypatch.setattr("media.client.Child", told)
    monkeypatch.setattr(MediaPlane, "_spawn", spawned)
    base = free_ports(10)
    start = MediaPlane.start(workers=2, address="127.0.0.1", ports=(base, base + 19), on_report=lambda _: None, control=tmp_path)
    starting = asyncio.create_task(start)
    await reached[after].wait()
    starting.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await starting
    assert processes
    assert all(process.returncode is not None for process in processes)
    assert list(tmp_path.iterdir()) == []


async def test_worker_that_is_told_to_end_together_with_the_service_is_neither_missed_nor_replaced(plane, reports, caplog):
    """`KillMode=control-group` (systemd.kill(5)) signals every process; the worker may be gone before the main process has read its own."""
    await plane.open_leg("one", "a")
    control = plane._workers[plane.place("one")].control
    os.kill(plane.worker_pids()[plane.place("one")], signal.SIGTERM)
    await control.ended
    plane.stopping()
    await plane.close()
    told = [reports.queue.get_nowait() for _ in range(reports.queue.qsize())]
    assert not any(isinstance(report, WorkerLost | WorkerRestarted) for report in told)
    assert caplog.text == ""


async def test_worker_that_somebody_ends_while_the_service_goes_on_is_replaced(plane, reports):
    await plane.open_leg("one", "a")
    os.kill(plane.worker_pids()[plane.place("one")], signal.SIGTERM)
    assert (await reports.wait_for(WorkerLost)).legs in {("a",), ()}  # it closes its legs itself
    await reports.wait_for(WorkerRestarted)


def test_ports_are_divided_into_whole_pairs():
    assert divide_ports((20000, 20009), 2) == [(20000, 20003), (20004, 20007)]
    assert divide_ports((20001, 20005), 2) == [(20002, 20003), (20004, 20005)]
    with pytest.raises(ValueError, match="too few"):
        divide_ports((20000, 20003), 3)


def test_a_worker_is_told_none_of_our_settings(monkeypatch):
    """It reads what strangers send; passwords may stand among them."""
    monkeypatch.setenv("FERNAMT_OPERATOR__PASSWORD", "geheim")
    monkeypatch.setenv("PATH_OF_OURS", "kept")
    environment = _worker_environment()
    assert "geheim" not in environment.values()
    assert environment["PATH_OF_OURS"] == "kept"
