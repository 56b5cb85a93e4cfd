"""Workers that a main process left behind are taken over by the next one (DESIGN.md §2; asyncio shell).

A worker listens on its socket as long as it lives. So every socket in the folder is asked: one that refuses belongs to somebody who is
gone, and is removed; one that answers is told to hand over and end. Its legs are closed and its ports free when `take_over` returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from media import framing
from media.control import FromWorker, Greeting, LegClosed, RecordingEnded, TakenOver, TakeOver
from media.errors import MediaError, OtherVersion, ParseError
from media.io import control_socket

log = logging.getLogger("media.takeover")

SOCKETS: Final = "worker-*.sock"
GREETING_TIMEOUT_S: Final = 5.0
END_TIMEOUT_S: Final = 8.0
"""As for an orderly stop: the recordings have to reach the disk."""
KILL_TIMEOUT_S: Final = 5.0
_OCTETS: Final = 1 << 16
_REQUEST: Final = 1

Last: TypeAlias = LegClosed | RecordingEnded
"""What a worker leaves for the record."""


def socket_path(folder: Path, index: int) -> Path:
    """Where the worker of this index listens."""
    return folder / f"worker-{index}.sock"


def prepare(folder: Path) -> None:
    """Make the folder of control sockets, for us alone.

    Raises: OSError
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


async def take_over(folder: Path) -> list[Last]:
    """End every worker that lives in `folder` and remove every socket; what they report of legs and recordings.

    Raises: MediaError: one serves another main process that is alive, or cannot be ended. OSError: the folder cannot be read.
    """
    results = await asyncio.gather(*(_take_over(path) for path in _sockets(folder)), return_exceptions=True)
    taken: list[Last] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        taken += result
    return taken


def _sockets(folder: Path) -> list[Path]:
    return sorted(folder.glob(SOCKETS))


def remove(path: Path) -> None:
    """The socket of a worker that is gone."""
    path.unlink(missing_ok=True)


async def _take_over(path: Path) -> list[Last]:
    try:
        connection = control_socket.connect(path)
    except ConnectionRefusedError:
        log.info("= %s was left behind, removed", path.name)
        remove(path)
        return []
    except FileNotFoundError:  # it ended by itself just now
        return []
    except BlockingIOError as error:
        raise MediaError(f"{path}: too many wait for this worker already") from error
    with connection:
        pid = control_socket.listener_pid(connection)
        with _process(pid) as process:
            reports = await _Conversation(connection, pid).hold(process)
    remove(path)
    return reports


class _Conversation:
    """With one worker, until its process is gone."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection = connection
        self._pid = pid
        self._reports: list[Last] = []
        self._taken_over: TakenOver | None = None

    async def hold(self, process: int | None) -> list[Last]:
        """Take what it has; see it end.

        Args:
            process: its descriptor (pidfd_open(2)); None: gone already.
        """
        try:
            await self._hand_over()
            if process is not None:
                async with asyncio.timeout(END_TIMEOUT_S):
                    await _ended(process)
        except TimeoutError:
            if process is not None:
                await self._kill(process)
        except (ParseError, OSError) as error:
            log.error("! worker pid %d: %s", self._pid, error)  # noqa: TRY400 - expected kinds; the trace says nothing more
            if process is not None:
                await self._kill(process)
        if self._taken_over is not None:
            log.warning("= took over worker pid %d: %d legs, %d recordings", self._pid, self._taken_over.legs, self._taken_over.recordings)
            if self._taken_over.lost:
                log.warning("! worker pid %d had no room for %d reports", self._pid, self._taken_over.lost)
        return self._reports

    async def _hand_over(self) -> None:
        """Raises: TimeoutError, ParseError, OSError."""
        loop = asyncio.get_running_loop()
        reader = framing.report_reader()
        order = framing.encode(TakeOver(request=_REQUEST))
        async with asyncio.timeout(GREETING_TIMEOUT_S) as deadline:
            while octets := await loop.sock_recv(self._connection, _OCTETS):
                try:
                    messages = reader.feed(octets)
                except OtherVersion as other:
                    deadline.reschedule(loop.time() + END_TIMEOUT_S)
                    await self._end_foreign(other, order)
                    return
                for message in messages:
                    if isinstance(message, Greeting):
                        deadline.reschedule(loop.time() + END_TIMEOUT_S)
                        await loop.sock_sendall(self._connection, order)
                    else:
                        self._take(message)

    def _take(self, message: FromWorker) -> None:
        if isinstance(message, Last):
            self._reports.append(message)
        elif isinstance(message, TakenOver):
            self._taken_over = message

    async def _end_foreign(self, other: OtherVersion, order: bytes) -> None:
        """All versions understand `TakeOver`; of what they answer we read nothing but the end."""
        log.warning("! worker pid %d: %s; it ends, its last figures are not read", self._pid, other)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._connection, order)
        while await loop.sock_recv(self._connection, _OCTETS):
            pass

    async def _kill(self, process: int) -> None:
        """Raises: MediaError: it is no worker of ours to kill, or does not die."""
        _check_abandoned(self._pid)
        log.error("! worker pid %d does not hand over: killed", self._pid)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)
        try:
            async with asyncio.timeout(KILL_TIMEOUT_S):
                await _ended(process)
        except TimeoutError:
            raise MediaError(f"media worker pid {self._pid} cannot be killed") from None


@contextlib.contextmanager
def _process(pid: int) -> Iterator[int | None]:
    """A descriptor that means this process and never another one that gets its number; None: it is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def _ended(process: int) -> None:
    """Wait until it is gone: its descriptor is readable then (pidfd_open(2))."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(process, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(process)


def _check_abandoned(pid: int) -> None:
    """Raises: MediaError: the process is no media worker, or the one that started it still lives."""
    folder = Path("/proc") / str(pid)
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
    except (FileNotFoundError, ProcessLookupError):  # it is just going
        return
    if not any("media.worker" in word for word in words):
        raise MediaError(f"process {pid} listens on a worker's socket and is no media worker; end it first")
    if "--parent" in words and words[words.index("--parent") + 1] == parent:
        raise MediaError(f"media worker pid {pid} still serves process {parent}: only one may run on a data directory")
