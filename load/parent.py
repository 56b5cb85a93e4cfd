"""Ending with the process that started us, however it ends: Linux prctl(2), PR_SET_PDEATHSIG.

`python -m load.parent PID PROGRAM ARGUMENT...` becomes PROGRAM, which then ends with PID: the setting outlives execve(2). Processes that
talk to their parent over a pipe or a socket pair need none of this: they end when it closes (`load.process`, `load.rtp_process`).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Get SIGTERM when `parent` ends.

    Raises: SystemExit: it has ended already. OSError: the kernel knows no such thing.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        raise SystemExit(f"process {parent} is gone")


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the program is our starter's choice
