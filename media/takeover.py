"""Workers that a main process left behind are met by the next one (DESIGN.md §2; asyncio shell).

A worker listens on its socket as long as it lives. So every socket in the folder is asked: one that refuses belongs to somebody who is
gone, and is removed. One that greets in our version and holds something is handed to whoever adopts it (`media.client`): nothing was taken
of it so far. Any other is told to hand over and end: its legs are closed and its ports free when `meet` returns.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from media import framing
from media.control import FromWorker, Greeting, LegClosed, RecordingEnded, TakenOver, TakeOver
from media.errors import MediaError, OtherVersion, ParseError
from media.io import control_socket
from media.processes import Process

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


@dataclass(slots=True)
class Visit:
    """A connection to a worker that has greeted and is an orphan still: somebody adopts it, or closes the connection, and it waits on."""

    index: int
    greeting: Greeting
    process: Process
    connection: socket.socket
    reader: framing.MessageReader[FromWorker]

    def end(self) -> None:
        """The worker waits for another one."""
        self.connection.close()
        self.process.leave()


@dataclass(slots=True)
class Met:
    """All that lived in a folder."""

    visits: list[Visit] = field(default_factory=list)
    """Workers that hold something, in order of their indices."""
    reports: list[Last] = field(default_factory=list)
    """What the others, which are ended, reported of legs and recordings."""


async def meet(folder: Path) -> Met:
    """Visit every worker that can be adopted, end every other one that lives in `folder`, and remove the sockets of those that do not.

    Raises: MediaError: one serves another main process that is alive, or cannot be ended. OSError: the folder cannot be read.
    """
    met = Met()
    problems: list[BaseException] = []
    for result in await asyncio.gather(*(_meet(path) for path in _sockets(folder)), return_exceptions=True):
        if isinstance(result, BaseException):
            problems.append(result)
        elif isinstance(result, Visit):
            met.visits.append(result)
        else:
            met.reports += result
    if problems:
        for visit in met.visits:
            visit.end()
        raise problems[0]
    met.visits.sort(key=lambda visit: visit.index)
    return met


def _sockets(folder: Path) -> list[Path]:
    return sorted(folder.glob(SOCKETS))


def remove(path: Path) -> None:
    """The socket of a worker that is gone."""
    path.unlink(missing_ok=True)


async def _meet(path: Path) -> Visit | list[Last]:
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
    try:
        pid = control_socket.listener_pid(connection)
        try:
            process: Process | None = Process(pid)
        except ProcessLookupError:  # it is just going; what it has sent is there to be read
            process = None
        met = await _Conversation(path, connection, pid, process).hold()
    except BaseException:
        connection.close()
        raise
    if isinstance(met, Visit):
        return met
    connection.close()
    remove(path)
    return met


class _Conversation:
    """With one worker, until it is known to be one to adopt, or its process is gone."""

    def __init__(self, path: Path, connection: socket.socket, pid: int, process: Process | None) -> None:
        self._path = path
        self._connection = connection
        self._pid = pid
        self._process = process
        self._reader = framing.report_reader()
        self._reports: list[Last] = []
        self._taken_over: TakenOver | None = None

    async def hold(self) -> Visit | list[Last]:
        """Raises: MediaError: it cannot be ended."""
        try:
            visit = await self._greet()
            if visit is not None:
                return visit
            if self._process is not None:
                async with asyncio.timeout(END_TIMEOUT_S):
                    await self._process.wait()
        except TimeoutError:
            await self._kill()
        except (ParseError, OSError) as error:
            log.error("! worker pid %d: %s", self._pid, error)  # noqa: TRY400 - expected kinds; the trace says nothing more
            await self._kill()
        except BaseException:
            if self._process is not None:
                self._process.leave()
            raise
        if self._taken_over is not None:
            log.warning("= took over worker pid %d: %d legs, %d recordings", self._pid, self._taken_over.legs, self._taken_over.recordings)
            if self._taken_over.lost:
                log.warning("! worker pid %d had no room for %d reports", self._pid, self._taken_over.lost)
        return self._reports

    async def _greet(self) -> Visit | None:
        """Read the greeting; of a worker that is not adopted all that it has to say.

        Raises: TimeoutError, ParseError, OSError.
        """
        loop = asyncio.get_running_loop()
        order = framing.encode(TakeOver(request=_REQUEST))
        async with asyncio.timeout(GREETING_TIMEOUT_S) as deadline:
            while octets := await loop.sock_recv(self._connection, _OCTETS):
                try:
                    messages = self._reader.feed(octets)
                except OtherVersion as other:
                    deadline.reschedule(loop.time() + END_TIMEOUT_S)
                    await self._end_foreign(other, order)
                    return None
                for message in messages:
                    if isinstance(message, Greeting):
                        index = _index_of(self._path)
                        if self._process is not None and index is not None and (message.legs or message.recordings):
                            return Visit(index, message, self._process, self._connection, self._reader)
                        deadline.reschedule(loop.time() + END_TIMEOUT_S)
                        await loop.sock_sendall(self._connection, order)
                    else:
                        self._take(message)
        return None

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

    async def _kill(self) -> None:
        """Raises: MediaError: it is no worker of ours to kill, or does not die."""
        if self._process is None:
            return
        try:
            _check_abandoned(self._pid)
            log.error("! worker pid %d does not hand over: killed", self._pid)
            self._process.kill()
            async with asyncio.timeout(KILL_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            raise MediaError(f"media worker pid {self._pid} cannot be killed") from None
        finally:
            self._process.leave()


def _index_of(path: Path) -> int | None:
    """Of a socket's name; None: we would not call it so."""
    text = path.stem.removeprefix("worker-")
    return int(text) if text.isdecimal() and path.name == socket_path(path.parent, int(text)).name else None


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
