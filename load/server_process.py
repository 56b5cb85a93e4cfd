"""CPU time of the service's processes from /proc (proc(5)): the main process by its id, media workers as its descendants."""

from __future__ import annotations

import os
import time
from pathlib import Path

from load.report import CpuSample

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat from the state on (the name before may hold anything); None: gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def cpu_of(pid: int) -> float | None:
    """User and system seconds of one process so far."""
    fields = _stat(pid)
    return None if fields is None else (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def descendants(pid: int) -> list[int]:
    """Its children and theirs."""
    parents: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


class CpuWatch:
    """Samples of one service."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.samples: list[CpuSample] = []
        self._workers = descendants(pid)
        self._last: dict[int, float] = {}

    def sample(self) -> None:
        """Take one now; a worker that died keeps what it had used."""
        main_s = cpu_of(self.pid)
        if main_s is None:
            return
        for pid in self._workers:
            used = cpu_of(pid)
            if used is not None:
                self._last[pid] = used
        self.samples.append(CpuSample(at=time.monotonic(), main_s=main_s, media_s=sum(self._last.values())))
