"""Processes as the main process holds them: children, and workers that somebody else started (pidfd_open(2); asyncio shell).

A child of `asyncio.create_subprocess_exec` is killed by the end of the loop that made it; a worker must live on when its main process
leaves it to the next one. So both kinds are held by a descriptor, which means this process and never another one that gets its number.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

UNKNOWN_STATUS: Final = 256
"""How somebody else's child ended is told to its parent alone; no process ends with this number (wait(2): 0 to 255)."""
_LINE_OCTETS: Final = 256


class Process:
    """One that lives, whoever started it. A signal to one that has ended is nothing.

    Raises: ProcessLookupError: it is gone.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._returncode: int | None = None
        self._descriptor: int | None = os.pidfd_open(pid)
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._loop.add_reader(self._descriptor, self._end)  # it is readable once the process has ended

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def returncode(self) -> int | None:
        """None: it lives; negative: the signal it ended by; `UNKNOWN_STATUS`."""
        if self._returncode is None and self._descriptor is not None and _is_readable(self._descriptor):
            self._end()
        return self._returncode

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    async def wait(self) -> int:
        """Until it has ended; its `returncode`."""
        await self._ended.wait()
        return UNKNOWN_STATUS if self._returncode is None else self._returncode

    def leave(self) -> None:
        """It is none of our business any more, and lives on when we end."""
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _end(self) -> None:
        self._returncode = self._status()
        self.leave()
        self._ended.set()

    def _status(self) -> int:
        return UNKNOWN_STATUS


class Child(Process):
    """One that we start, in a session of its own: a terminal's Ctrl-C is for the main process.

    Raises: OSError: it cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._popen = subprocess.Popen(  # noqa: S603 - our own interpreter
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=dict(environment), start_new_session=True
        )
        try:
            super().__init__(self._popen.pid)
        except BaseException:
            self._popen.kill()
            self._popen.wait()
            raise

    async def first_line(self) -> bytes:
        """What it says first on its standard output; empty when it ends without a word. Nothing more is read of it."""
        stdout = self._popen.stdout
        assert stdout is not None
        readable = asyncio.Event()
        self._loop.add_reader(stdout, readable.set)
        try:
            await readable.wait()
            return os.read(stdout.fileno(), _LINE_OCTETS)
        finally:
            self._loop.remove_reader(stdout)
            stdout.close()

    def leave(self) -> None:
        super().leave()
        if self._popen.returncode is None:
            self._popen.returncode = 0  # nobody waits for it: no warning of a child that was forgotten

    def _status(self) -> int:
        return self._popen.wait()


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
