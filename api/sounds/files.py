"""The folder of a tenant's own sounds (shell; rename(2), fsync(2)): a file is called by what is in it, and never changes.

So a name leads to one audio for ever, whoever has read it before; another recording is another file. A file goes when no row has named it
for a while: a call that was told of it a moment ago still finds it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from acd.core.ids import TenantId
from acd.data_modes import DIRECTORY, FILE, SOUNDS
from api.config import Settings
from api.db import tenant_directory

KEPT_S = 600.0
"""After it was stored or replaced: a play of it that was ordered meanwhile has been read long before."""
_SUFFIX = ".wav"
_UNFINISHED = ".new-"


def folder_of(settings: Settings, tenant: TenantId) -> Path:
    """Where the switch has the media workers look."""
    return tenant_directory(settings, tenant) / SOUNDS


def name_of(file: bytes) -> str:
    """What a file is called by: 160 bits of SHA-256."""
    return hashlib.sha256(file).hexdigest()[:40]


def write(folder: Path, file: bytes) -> str:
    """Store a file so that it is whole under its name or not there, and stays after a power cut; returns the name.

    Raises: OSError
    """
    name = name_of(file)
    folder.mkdir(mode=DIRECTORY, parents=True, exist_ok=True)
    path = folder / f"{name}{_SUFFIX}"
    unfinished = folder / f"{_UNFINISHED}{secrets.token_hex(8)}"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)
    try:
        with os.fdopen(descriptor, "wb") as writer:
            writer.write(file)
            writer.flush()
            os.fsync(writer.fileno())
        unfinished.rename(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _sync(folder)
    return name


def read(folder: Path, name: str) -> bytes:
    """A whole file.

    Raises: OSError
    """
    return (folder / f"{name}{_SUFFIX}").read_bytes()


def octets(folder: Path) -> int:
    """What all files take, those that wait to go too."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    return 0


def missing(folder: Path, names: Collection[str]) -> list[str]:
    """Those that are not there."""
    return sorted(name for name in names if not (folder / f"{name}{_SUFFIX}").is_file())


def sweep(folder: Path, named: Collection[str], before: float) -> int:
    """Remove files that no row names and that were not touched since; returns how many.

    Args:
        before: seconds since the epoch.
    """
    kept = {f"{name}{_SUFFIX}" for name in named}
    removed = 0
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.name not in kept and entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < before:
                    Path(entry.path).unlink()
                    removed += 1
    if removed:
        _sync(folder)
    return removed


def touch(folder: Path, name: str) -> None:
    """A file that is named no more is kept for a while from now."""
    with suppress(OSError):
        os.utime(folder / f"{name}{_SUFFIX}")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
