"""A network of two: a namespace of its own for a process, joined with ours by a pair of Ethernet interfaces. Needs root."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True, slots=True)
class Namespace:
    """The addresses of both ends, and a process that holds the far one."""

    pid: int
    here: str
    there: str

    @property
    def command(self) -> tuple[str, ...]:
        """What a program is started behind to run in there."""
        return ("nsenter", f"--net=/proc/{self.pid}/ns/net")

    async def tcp(self, port: int) -> socket.socket:
        """A connection to 127.0.0.1 in there."""
        return await asyncio.to_thread(self._tcp, port)

    def _tcp(self, port: int) -> socket.socket:
        """In a thread of its own, which is in there from then on, and ends."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/proc/thread-self/ns/net").open() as ours, Path(f"/proc/{self.pid}/ns/net").open() as theirs:
            if libc.setns(theirs.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=10)
            finally:
                if libc.setns(ours.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns back")


@contextlib.asynccontextmanager
async def namespace() -> AsyncIterator[Namespace]:
    """Where there is no root, or no such interface, the test is skipped."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "nsenter"))):
        pytest.skip("a network namespace needs root, ip, unshare and nsenter")
    # It holds the namespace until its input is closed: whoever dies in between leaves nothing behind.
    holder = await asyncio.create_subprocess_exec(
        "unshare", "--net", "sh", "-c", "echo there; exec cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert await holder.stdout.readline() == b"there\n"
        # Each test process has a pair of its own: names and addresses go by its number.
        number = os.getpid()
        near, far = f"fn{number}", f"ff{number}"
        network = f"10.77.{number % 256}.{number // 256 % 64 * 4}"
        here, there = (f"{network.rpartition('.')[0]}.{number // 256 % 64 * 4 + end}" for end in (1, 2))
        made = Namespace(holder.pid, here, there)
        for command in (
            ("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", str(holder.pid)),
            ("ip", "address", "add", f"{here}/30", "dev", near),
            ("ip", "link", "set", near, "up"),
            (*made.command, "ip", "link", "set", "lo", "up"),
            (*made.command, "ip", "address", "add", f"{there}/30", "dev", far),
            (*made.command, "ip", "link", "set", far, "up"),
            (*made.command, "ip", "route", "add", "default", "via", here),
        ):
            await _run(*command)
        yield made
    finally:
        holder.stdin.close()
        await holder.wait()


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 0, f"{' '.join(command)}: {said.decode()}"
