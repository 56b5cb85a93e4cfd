"""One process at a time works on a data directory (shell): flock(2) on a file in it, held as long as the process lives.

The kernel lets go of it however the process ends, and no child inherits it: media workers that outlive a crash hold nothing.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from acd.errors import DirectoryInUse

NAME: Final = "lock"
_OCTETS: Final = 256
"""Of what is told in the file, filled up with spaces: it is written over at once, also on a disk that is full, and nobody reads half."""


class Doing(StrEnum):
    """What whoever holds the lock is about."""

    START = "start"
    SERVICE = "service"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever holds the lock, as it said itself."""

    pid: int
    host: str
    since: str
    doing: Doing

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


def holder(data: Path) -> Holder | None:
    """Who holds the lock of a data directory; None: nobody.

    Raises: DirectoryInUse: somebody who does not say who. OSError: the lock cannot be read.
    """
    try:
        descriptor = os.open(data / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Shared: two who look do not take each other for the holder.
        if _is_had(descriptor, fcntl.LOCK_SH):
            return None
        found = _told(descriptor)
    finally:
        os.close(descriptor)
    if found is None:
        raise DirectoryInUse(f"the data directory {data.absolute()} is in use, and its lock does not say by whom")
    return found


def _is_had(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            raise
        return False
    return True


def _told(descriptor: int) -> Holder | None:
    try:
        told = json.loads(os.pread(descriptor, 4096, 0))
        # 0.2 and before did not say what they did; commands of theirs do not take a minute.
        return Holder(int(told["pid"]), str(told["host"]), str(told["since"]), Doing(told.get("doing", Doing.SERVICE)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class DataLock:
    """Held from construction to `release`; also a context manager.

    Raises: DirectoryInUse: names the process that holds it. OSError: the directory cannot be written.
    """

    def __init__(self, data: Path, doing: Doing = Doing.COMMAND) -> None:
        self.path = data / NAME
        self._since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _is_had(self._descriptor, fcntl.LOCK_EX):
                by = _told(self._descriptor) or "another process"
                raise DirectoryInUse(f"the data directory {data.absolute()} is in use by {by}; one process at a time may work on it")
            self.tell(doing)
            os.ftruncate(self._descriptor, _OCTETS)
        except BaseException:
            os.close(self._descriptor)
            raise

    def tell(self, doing: Doing) -> None:
        """Say what we are about: for people, and for those who may ask us to leave. What counts is the lock.

        Raises: OSError: the disk takes nothing.
        """
        told = {"pid": os.getpid(), "host": socket.gethostname(), "since": self._since, "doing": doing}
        os.pwrite(self._descriptor, json.dumps(told).encode().ljust(_OCTETS), 0)

    def release(self) -> None:
        """Let go; the file stays, so that two who come at once meet at the same one."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
