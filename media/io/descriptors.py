"""What a process of ours must not have from its parent: open descriptors (fork(2), execve(2)).

uvloop closes nothing in the processes it starts and hands them copies of the standard streams besides. So whoever is started closes the
rest itself, first of all; else a lock or a port of the main process would live on in its workers.
"""

from __future__ import annotations

import contextlib
import os

_FIRST = 3
"""Standard input, output and error stay."""


def close_inherited() -> None:
    """Close every descriptor but the standard streams. For the first line of a process: nothing of its own may be open yet."""
    for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - names, not paths
        if descriptor >= _FIRST:
            with contextlib.suppress(OSError):  # the one the list was read through is closed already
                os.close(descriptor)
