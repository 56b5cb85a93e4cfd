"""Start `fernamt run` without waiting for its modules: a process that has loaded them forks for each start, once a test process.

The service is a process of its own as ever, with its own environment, folder and output, and from `main` on the same; what is saved is
the second in which an interpreter loads the same modules as the last time. That a start from nothing works is what
`tests/api/test_commands.py` and `fernamt check` (`tests/load/test_self_test.py`) show.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUEST_OCTETS = 1 << 20


class Forked:
    """As much of `asyncio.subprocess.Process` as tests use."""

    def __init__(
        self, pid: int, output: tuple[asyncio.StreamReader, asyncio.BaseTransport], end: tuple[asyncio.StreamReader, asyncio.BaseTransport]
    ) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout, self._output = output
        self._end, self._end_transport = end

    def send_signal(self, number: signal.Signals) -> None:
        """Raises: ProcessLookupError: it has ended, as far as anybody looked."""
        if self.returncode is not None:
            raise ProcessLookupError(self.pid)
        os.kill(self.pid, number)

    async def wait(self) -> int:
        """Its exit status, or the number of the signal that ended it, negative."""
        if self.returncode is None:
            self.returncode = int(await self._end.readline())
        return self.returncode

    def close(self) -> None:
        """Let go of its output."""
        self._output.close()
        self._end_transport.close()


_channel: socket.socket | None = None


def _loaded() -> socket.socket:
    """The channel to the process that forks; it is started when it is asked for first, and ends with us."""
    global _channel
    if _channel is None:
        _channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}  # a process that forks has one thread
        process = subprocess.Popen([sys.executable, "-m", "tests.prefork"], stdin=theirs, cwd=ROOT, env=environment)
        theirs.close()

        def end(channel: socket.socket = _channel) -> None:
            channel.close()
            process.wait()

        atexit.register(end)
    return _channel


async def run(*arguments: str, cwd: Path, env: Mapping[str, str], stderr: int) -> Forked:
    """`python -m api run` with these arguments; its standard output is a pipe."""
    loop = asyncio.get_running_loop()
    (output, its_output), (end, its_end) = os.pipe(), os.pipe()
    request = {"arguments": ["run", *arguments], "cwd": str(cwd), "env": dict(env)}
    try:
        socket.send_fds(_loaded(), [json.dumps(request).encode()], [its_output, stderr, its_end])
    finally:
        os.close(its_output)
        os.close(its_end)

    async def reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
        stream = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), open(descriptor, "rb", buffering=0))  # noqa: ASYNC230, SIM115
        return stream, transport

    ends = await reader(end)
    return Forked(int(await ends[0].readline()), await reader(output), ends)


# ------------------------------------------------------------------------------------------------- the process that forks


def serve(channel: socket.socket) -> int:
    """Fork for each request, until nobody is there to make one.

    Each service has a parent that does nothing but tell its id and, later, its end.
    """
    import acd.runtime
    import api.commands.run
    from api.__main__ import main

    assert acd.runtime is not None
    assert api.commands.run is not None
    gc.collect()
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the parents
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, REQUEST_OCTETS, 3)
        if not request:
            return 0
        if os.fork() == 0:
            channel.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            output, errors, end = descriptors
            pid = os.fork()
            if pid == 0:
                os.close(end)
                _become(json.loads(request), output, errors)
                return main(sys.argv[1:])
            _watch(pid, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(request: dict, output: int, errors: int) -> None:
    """Take the place that a new process would have."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in ((nothing, 0), (output, 1), (errors, 2)):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["fernamt", *request["arguments"]]


def _watch(pid: int, descriptors: Sequence[int]) -> None:
    output, errors, end = descriptors
    os.close(output)
    os.close(errors)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; what the service makes of it is told
    with contextlib.suppress(BrokenPipeError):
        os.write(end, b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        os.write(end, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


if __name__ == "__main__":
    gc.disable()
    sys.exit(serve(socket.socket(fileno=os.dup(0))))
