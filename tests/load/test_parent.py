"""Whatever a load run starts ends with the process that started it, killed or not."""

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from load.server_process import descendants
from tests.load.tiny_service import TinyService
from tests.ports import HOST, free_port, rtp_range

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 10.0

# A parent that can be killed: it starts what its arguments say, with its own id in the place of PARENT, says the id of that, and waits.
PARENT = """
import os, subprocess, sys
words = [str(os.getpid()) if word == "PARENT" else word for word in sys.argv[1:]]
child = subprocess.Popen([sys.executable, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
child.wait()
"""


@contextlib.contextmanager
def parent_of(*words):
    """The parent and its child's id; both are gone afterwards."""
    with subprocess.Popen([sys.executable, "-c", PARENT, *words], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        child = int(parent.stdout.readline())
        watched = Watched([child])
        try:
            yield parent, child
        finally:
            parent.kill()
            watched.kill()


class Watched:
    """Processes that are nobody's children here: whoever inherits them may not reap them, so their numbers say nothing."""

    def __init__(self, pids):
        self.descriptors = [os.pidfd_open(pid) for pid in pids]

    def all_end(self):
        waiting = select.poll()
        for descriptor in self.descriptors:
            waiting.register(descriptor, select.POLLIN)
        left = set(self.descriptors)
        while left and (ready := waiting.poll(DEADLINE_S * 1000)):
            for descriptor, _ in ready:
                waiting.unregister(descriptor)
                left.discard(descriptor)
        return not left

    def kill(self):
        for descriptor in self.descriptors:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            os.close(descriptor)
        self.descriptors = []


async def test_load_run_ends_with_its_killed_parent_and_so_does_everything_it_started():
    async with TinyService() as service:
        host, port = service.address
        words = ["-m", "load", "--parent", "PARENT", "--api", "", "--server", f"{host}:{port}", "--duration", "60", "--rtp", "--quiet"]
        with parent_of(*words) as (parent, load):
            while not service.arrived:  # then the run is on its way, with all its processes
                await asyncio.sleep(0.01)
            pids = [load, *descendants(load)]
            assert len(pids) == 3
            watched = Watched(pids)
            try:
                parent.kill()
                assert watched.all_end()
            finally:
                watched.kill()


async def test_processes_of_a_load_run_that_is_killed_end():
    async with TinyService() as service:
        host, port = service.address
        words = ["-m", "load", "--api", "", "--server", f"{host}:{port}", "--duration", "60", "--rtp", "--quiet"]
        with parent_of(*words) as (_, load):
            while not service.arrived:
                await asyncio.sleep(0.01)
            watched = Watched(descendants(load))
            try:
                assert len(watched.descriptors) == 2
                os.kill(load, signal.SIGKILL)
                assert watched.all_end()
            finally:
                watched.kill()


def test_program_that_is_started_through_us_ends_with_its_parent():
    with parent_of("-m", "load.parent", "PARENT", sys.executable, "-c", "import signal; signal.pause()") as (parent, child):
        watched = Watched([child])
        try:
            parent.kill()
            assert watched.all_end()
        finally:
            watched.kill()


START_AND_DIE = """
import os
from pathlib import Path
from load.private_instance import PrivateInstance
print(PrivateInstance(dict(os.environ), Path("."), 0, 0, "").pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_private_instance_ends_with_its_killed_parent(tmp_path):
    """Left alone, it would come up with these settings and stay."""
    (tmp_path / "fernamt.toml").touch()
    first, last = rtp_range()
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "FERNAMT_CONFIG": str(tmp_path / "fernamt.toml"),
        "FERNAMT_DATA": str(tmp_path / "data"),
        "FERNAMT_SIP__LISTEN": f"{HOST}:{free_port()}",
        "FERNAMT_HTTP__HOST": HOST,
        "FERNAMT_HTTP__PORT": str(free_port()),
        "FERNAMT_MEDIA__WORKERS": "1",
        "FERNAMT_MEDIA__FIRST_PORT": str(first),
        "FERNAMT_MEDIA__LAST_PORT": str(last),
    }
    with subprocess.Popen([sys.executable, "-c", START_AND_DIE], cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as parent:
        watched = Watched([int(parent.stdout.readline())])
    try:
        assert watched.all_end(), (tmp_path / "log").read_text()
    finally:
        watched.kill()


def test_nothing_is_started_for_a_parent_that_is_gone():
    with subprocess.Popen([sys.executable, "-m", "load.parent", "1", "/bin/false"], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert "process 1 is gone" in process.communicate(timeout=DEADLINE_S)[1]
        assert process.returncode == 1
