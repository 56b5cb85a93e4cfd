"""One process at a time works on a data directory (shell): flock(2) on a file in it, held as long as the process lives.

The kernel lets go of it however the process ends, and no child inherits it: media workers that outlive a crash hold nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Final, Self

from acd.errors import DirectoryInUse

NAME: Final = "lock"
AGAIN_S: Final = 0.01
"""How often somebody who waits looks: nobody is told when a lock comes free."""


def ask_to_leave(data: Path) -> int | None:
    """Ask whoever holds the lock to leave its calls and end (SIGTERM).

    Returns: the process; None: nobody holds it.
    Raises: DirectoryInUse: it cannot be told who that is, or it is on another machine.
    """
    try:
        DataLock(data).release()
    except FileNotFoundError:
        return None
    except DirectoryInUse:
        pass
    else:
        return None
    try:
        told = json.loads((data / NAME).read_bytes())
        pid, host = int(told["pid"]), told["host"]
    except (ValueError, KeyError, TypeError) as error:
        raise DirectoryInUse(f"the data directory {data.absolute()} is in use, and its lock does not say by whom") from error
    if host != socket.gethostname():
        raise DirectoryInUse(f"the data directory {data.absolute()} is in use on {host}: end it there")
    with contextlib.suppress(ProcessLookupError):  # it is just going
        os.kill(pid, signal.SIGTERM)
    return pid


class DataLock:
    """Held from construction to `release`; also a context manager.

    Raises: DirectoryInUse: names the process that holds it. OSError: the directory cannot be written.
    """

    def __init__(self, data: Path, *, within_s: float = 0.0) -> None:
        """Args:
        within_s: so long it is waited for.
        """
        self.path = data / NAME
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(time.monotonic() + within_s)
        except OSError as error:
            holder = self._holder()
            os.close(self._descriptor)
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
            raise DirectoryInUse(
                f"the data directory {data.absolute()} is in use by {holder}; one process at a time may work on it"
            ) from None
        # For people and for the sentence above; what counts is the lock.
        told = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())}
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(told).encode(), 0)

    def _lock(self, until: float) -> None:
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in {errno.EWOULDBLOCK, errno.EACCES} or time.monotonic() >= until:
                    raise
                time.sleep(AGAIN_S)
            else:
                return

    def _holder(self) -> str:
        try:
            told = json.loads(os.pread(self._descriptor, 4096, 0))
            return f"process {told['pid']} on {told['host']} since {told['since']}"
        except (ValueError, KeyError, TypeError):
            return "another process"

    def release(self) -> None:
        """Let go; the file stays, so that two who come at once meet at the same one."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
