"""The private servers of the tests: nothing of them outlives the tests."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers import databases_to_test

KILLED = """
import os, signal, sys
from tests.servers import server
started = server(sys.argv[1])
print(started.pid, started.folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_server_ends_when_the_tests_are_killed(kind):
    if kind not in databases_to_test():
        pytest.skip(f"{kind} is not among FERNAMT_TEST_DATABASES")
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, kind], cwd=root, capture_output=True, text=True, timeout=60, check=False)
    if "is not installed" in done.stderr and os.environ.get("CI") != "true":
        pytest.skip(f"{kind} is not installed")
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid, folder = int(done.stdout.split()[0]), done.stdout.split()[1]
    deadline = time.monotonic() + 30
    while is_alive(pid):
        assert time.monotonic() < deadline, f"{kind} runs on as {pid}"
        time.sleep(0.05)
    shutil.rmtree(folder)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and is not yet reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
