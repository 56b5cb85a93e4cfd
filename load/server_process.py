"""The service's processes from /proc (proc(5)): who listens on an address, and the CPU time of that process and of its media workers."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from acd.own_addresses import OwnAddresses
from load.report import CpuSample

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
_LISTEN, _UNCONNECTED = "0A", "07"
"""States of TCP and UDP sockets in /proc/net (include/net/tcp_states.h)."""


class NotTheService(Exception):
    """No process to measure, or not the right one; the text says what to do."""


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat from the state on (the name before may hold anything); None: gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def started(pid: int) -> int | None:
    """When it began, in ticks since the machine did: with the id, the name of a process; None: gone."""
    fields = _stat(pid)
    return None if fields is None else int(fields[19])


def cpu_of(pid: int) -> float | None:
    """User and system seconds of one process so far."""
    fields = _stat(pid)
    return None if fields is None else (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _processes() -> Iterator[int]:
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def descendants(pid: int) -> list[int]:
    """Its children and theirs."""
    parents: dict[int, list[int]] = {}
    for one in _processes():
        if (fields := _stat(one)) is not None:
            parents.setdefault(int(fields[1]), []).append(one)
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


# ---------------------------------------------------------------------- which process it is


def server_pid(given: int | None, *addresses: tuple[str, int]) -> int:
    """The process that listens on one of the addresses, UDP or TCP: the service, not whoever happens to have its name.

    Args:
        given: by hand: it must be that process; None: find it.
    Raises: NotTheService
    """
    where = " and ".join(f"{host}:{port}" for host, port in addresses)
    listening, is_hidden = _listeners(addresses)
    if given is None:
        if not listening:
            why = "it belongs to another user (run this as that user), or " if is_hidden else ""
            raise NotTheService(f"no process on this machine can be seen to listen on {where}: {why}the service is not here")
        return listening[0]
    if started(given) is None:
        raise NotTheService(f"there is no process {given}; leave the number out, and --server-pid finds the one that listens on {where}")
    if given in listening:
        return given
    if not listening and is_hidden and _is_service(given):
        return given  # its sockets are another user's business; its command line is not
    other = f"process {listening[0]} does" if listening else "nor does any other that can be seen"
    raise NotTheService(
        f"process {given} ({_name(given)}) does not listen on {where}; {other}: leave the number out, or give the right one"
    )


def _listeners(addresses: tuple[tuple[str, int], ...]) -> tuple[list[int], bool]:
    """Processes that hold such a socket, without those that have it from their parent; whether some could not be looked into."""
    wanted = {f"socket:[{inode}]" for host, port in addresses for inode in _inodes(host, port)}
    found, is_hidden = [], False
    for pid in _processes() if wanted else ():
        try:
            files = list((PROC / str(pid) / "fd").iterdir())
        except PermissionError:
            is_hidden = True
            continue
        except OSError:  # it has just ended
            continue
        if any(_target(file) in wanted for file in files):
            found.append(pid)
    inherited = {child for pid in found for child in descendants(pid)}
    return [pid for pid in found if pid not in inherited], is_hidden


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:
        return ""


def _inodes(host: str, port: int) -> Iterator[str]:
    """Sockets of this machine that a message to the address comes to; none where the address is another machine's."""
    try:
        address = ipaddress.ip_address(socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_DGRAM)[0][4][0])
    except (OSError, ValueError):
        return
    if not address.is_loopback and address not in OwnAddresses(None):
        return
    for kind, state in (("udp", _UNCONNECTED), ("udp6", _UNCONNECTED), ("tcp", _LISTEN), ("tcp6", _LISTEN)):
        table = PROC / "net" / kind
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            local, _, number = fields[1].partition(":")
            if int(number, 16) == port and fields[3] == state and (_read(local) == address or not int(local, 16)):
                yield fields[9]


def _read(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address as /proc/net writes it: words of four octets in the machine's own order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    return ipaddress.ip_address(struct.pack(f"{'<' if sys.byteorder == 'little' else '>'}{len(words)}I", *words))


def _command(pid: int) -> list[str]:
    try:
        return [word.decode(errors="replace") for word in (PROC / str(pid) / "cmdline").read_bytes().split(b"\0") if word]
    except OSError:
        return []


def _name(pid: int) -> str:
    return " ".join(_command(pid))[:60] or "no command line"


def _is_service(pid: int) -> bool:
    """`fernamt run` or `python -m api run`, and no shell or editor that has these words in its arguments."""
    words = _command(pid)
    names = [Path(word).name for word in words[:4]]
    return bool(words) and "run" in words and names[0].startswith(("python", "fernamt")) and bool({"fernamt", "api"} & set(names))


# ---------------------------------------------------------------------- what it costs


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
