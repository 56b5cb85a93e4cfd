"""The folder of a tenant's recordings (shell; openat(2)): every file in it by its name alone, symlinks never followed, nothing on the loop.

A file is opened below the folder's own descriptor, so that a name can lead nowhere else. Only the folder itself may be a symlink: an
operator who has recordings on another disk made it (docs/secrets.md), and the media workers write there too.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from io import FileIO
from pathlib import Path

from acd.core.ids import TenantId
from acd.data_modes import RECORDINGS
from api.config import Settings
from api.db import tenant_directory
from api.recordings.rules import HEADER_OCTETS, Sound, Span, sound

PIECE = 256 * 1024
"""Eight seconds of two channels: a thread's turn for each is little, and so is the memory of a hundred listeners."""


def folder_of(settings: Settings, tenant: TenantId) -> Path:
    """Where the switch has the media workers write."""
    return tenant_directory(settings, tenant) / RECORDINGS


@contextmanager
def _entered(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(folder: int, name: str) -> int | None:
    """A descriptor of the file; None: there is none, or it is something else: a link, a folder, a pipe, on which opening waits."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        return None
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def look(folder: Path, name: str) -> Sound | None:
    """What a file is; None: there is none."""
    return looks(folder, [name]).get(name)


def looks(folder: Path, names: Iterable[str]) -> dict[str, Sound]:
    """Those of these files that are there."""
    found: dict[str, Sound] = {}
    with suppress(OSError), _entered(folder) as entered:
        for name in names:
            descriptor = _opened(entered, name)
            if descriptor is not None:
                try:
                    seen = os.fstat(descriptor)
                    found[name] = sound(os.pread(descriptor, HEADER_OCTETS, 0), seen.st_size, seen.st_mtime_ns)
                finally:
                    os.close(descriptor)
    return found


def _open(folder: Path, name: str) -> FileIO:
    """An object, not a number: whoever is cancelled while a thread opens it leaves nothing open."""
    with _entered(folder) as entered:
        descriptor = _opened(entered, name)
    if descriptor is None:
        raise FileNotFoundError(name)
    return FileIO(descriptor)


async def pieces(folder: Path, name: str, span: Span) -> AsyncGenerator[bytes]:
    """The octets of a span, each read by a thread when the one before was taken; a file that is deleted meanwhile is sent to its end.

    Raises: OSError
    """
    if not span.octets:
        return
    file = await asyncio.to_thread(_open, folder, name)
    try:
        at = span.first
        while at <= span.last:
            piece = await asyncio.to_thread(os.pread, file.fileno(), min(PIECE, span.last + 1 - at), at)
            if not piece:
                raise OSError(f"{name} ends before octet {span.last}")
            yield piece
            at += len(piece)
    finally:
        file.close()


def erase(folder: Path, name: str) -> None:
    """Remove the file, and see that it stays removed after a power cut (fsync(2) of the folder). One that is not there is removed.

    Raises: OSError
    """
    with suppress(FileNotFoundError), _entered(folder) as entered:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=entered)
        os.fsync(entered)


def untouched(folder: Path, before: datetime) -> list[str]:
    """Names of files to which nothing was written since."""
    found = []
    with suppress(FileNotFoundError), _entered(folder) as entered, os.scandir(entered) as entries:
        for entry in entries:
            with suppress(OSError):
                seen = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(seen.st_mode) and seen.st_mtime < before.timestamp():
                    found.append(entry.name)
    return sorted(found)
