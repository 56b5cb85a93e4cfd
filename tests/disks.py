"""Real small disks for the tests: a tmpfs of so many octets, mounted as long as the context lasts (needs root)."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(directory: Path, octets: int) -> Iterator[Path]:
    """A file system of its own, as small as that. Blocks are of 4 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mount: only root may")
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={octets}", "tmpfs", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def resize(directory: Path, octets: int) -> None:
    """Give a mounted disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={octets}", str(directory)], check=True)


def fill(directory: Path) -> Path:
    """Leave not one block free; returns the file that takes the room."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as opened, contextlib.suppress(OSError):
        while opened.write(bytes(4096)):
            pass
    return filler
