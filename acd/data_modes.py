"""Nobody else on this machine reads the data directory: files 0600, directories 0700 (shell; chmod(2), openat(2), proc(5)).

What processes of ours make is so by their umask. What is there already may have come otherwise: from 0.1.0, or copied back by root. It is
looked at from the top down, by descriptors, so that a symlink put in the way leads nowhere; symlinks themselves are passed over, and what
lies behind them is whoever's made them.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

UMASK: Final = 0o077
FILE: Final = 0o600
DIRECTORY: Final = 0o700
_OTHERS: Final = 0o077
OURS: Final = (
    "acme", "control.sqlite", "demo-credentials.json", "digest.secret", "https.pem", "lock", "media", "secret.key", "sip-tls.pem", "tenants"
)  # fmt: skip
"""What the service keeps in its data directory, and what begins so (`control.sqlite-wal`). Somebody may have named a folder that holds
other things too, `.` or a home: those are not ours to change, and the mode of the folder shuts others out of them."""
SOUNDS: Final = "sounds"
"""A tenant's own sounds."""
RECORDINGS: Final = "recordings"
"""Folders of which there may be a hundred thousand files: others are shut out by the folder, so its files can be looked at afterwards."""


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Everything made meanwhile is for us alone. For a whole command: the umask is the process's."""
    before = os.umask(UMASK)
    try:
        yield
    finally:
        os.umask(before)


@dataclass(slots=True)
class Found:
    """What was looked at."""

    looked: int = 0
    mended: int = 0
    not_mended: list[str] = field(default_factory=list)
    """One clause each: what, and why not."""
    without_modes: list[Path] = field(default_factory=list)
    """Folders on file systems that keep no modes (FAT, some network shares)."""
    is_everybodys: bool = False
    """The folder is one that must be open, the root or `/tmp`: nothing was touched."""
    left: list[str] = field(default_factory=list)
    """Names in the data directory that are not the service's, and open but for the folder."""
    later: list[Path] = field(default_factory=list)
    """Folders of recordings, shut and not looked into."""

    @property
    def is_refused(self) -> bool:
        """Whether something stays open that must not."""
        return self.is_everybodys or bool(self.not_mended)

    def sentence(self, data: Path) -> str:
        """What cannot be mended, for people."""
        if self.is_everybodys:
            return f"the data directory {data} is everybody's: name a folder of the service's own"
        more = f", and {len(self.not_mended) - 3} more" if len(self.not_mended) > 3 else ""
        return (
            f"in the data directory {data} {'; '.join(self.not_mended[:3])}{more}. "
            f"Give everything to the user who runs this: `chown -R {_user(os.geteuid())} {data}`"
        )


def mend(folder: Path, *, of: tuple[str, ...] | None = None, thorough: bool = True, is_over: Callable[[], bool] = lambda: False) -> Found:
    """Look at a folder and everything below it, and shut what others may read, write or enter.

    Args:
        of: of what lies in the folder itself, only names that begin so (`OURS`).
        thorough: False: folders of recordings are shut, and left for `later`.
        is_over: asked before every entry; True ends it early.
    Raises: OSError: the folder cannot be read.
    """
    found = Found()
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        look = _Look(found, thorough, is_over, os.geteuid())
        seen = os.fstat(descriptor)
        if seen.st_mode & stat.S_ISVTX or folder.resolve() == Path("/"):
            found.is_everybodys = True
            return found
        look.shut(descriptor, ".", folder, seen)
        look.into(descriptor, folder, of)
    finally:
        os.close(descriptor)
    return found


class _Look:
    """One look at everything."""

    def __init__(self, found: Found, thorough: bool, is_over: Callable[[], bool], user: int) -> None:
        self._found = found
        self._thorough = thorough
        self._is_over = is_over
        self._user = user
        self._keeps_modes: dict[int, bool] = {}
        """Device -> whether its file system does; asked when something could not be mended there."""

    def into(self, descriptor: int, path: Path, of: tuple[str, ...] | None = None) -> None:
        """Everything in an open folder, or what begins so."""
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if self._is_over():
                    return
                with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                    if of is None or entry.name.startswith(of):
                        self._one(descriptor, entry, path)
                    elif not entry.is_symlink() and entry.stat(follow_symlinks=False).st_mode & _OTHERS:
                        self._found.left.append(entry.name)

    def _one(self, descriptor: int, entry: os.DirEntry[str], folder: Path) -> None:
        seen = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(seen.st_mode):
            return
        if not stat.S_ISDIR(seen.st_mode):
            self.shut(descriptor, entry.name, folder / entry.name, seen)
            return
        path = folder / entry.name
        self.shut(descriptor, entry.name, path, seen)
        if entry.name == RECORDINGS and not self._thorough:
            self._found.later.append(path)
            return
        try:
            inner = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
        except PermissionError:
            self._found.not_mended.append(f"{path} cannot be read")
            return
        try:
            self.into(inner, path)
        finally:
            os.close(inner)

    def shut(self, folder: int, name: str, path: Path, seen: os.stat_result) -> None:
        """Mend the mode of one thing, where it needs it."""
        self._found.looked += 1
        is_ours = self._user in {seen.st_uid, 0}
        if is_ours and not seen.st_mode & _OTHERS:
            return
        reason = _chmod(folder, name, DIRECTORY if stat.S_ISDIR(seen.st_mode) else FILE) if is_ours else f"belongs to {_user(seen.st_uid)}"
        if reason is None:
            self._found.mended += 1
        elif self._has_modes(folder, name, path, seen):
            self._found.not_mended.append(f"{path} {reason}")

    def _has_modes(self, folder: int, name: str, path: Path, seen: os.stat_result) -> bool:
        device = seen.st_dev
        if device not in self._keeps_modes:
            where = name if stat.S_ISDIR(seen.st_mode) else "."
            self._keeps_modes[device] = keeps_modes(folder, where)
            if not self._keeps_modes[device]:
                self._found.without_modes.append(path if stat.S_ISDIR(seen.st_mode) else path.parent)
        return self._keeps_modes[device]


def _chmod(folder: int, name: str, mode: int) -> str | None:
    """Change the mode of what is there itself, a socket too; why it could not be done."""
    try:
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    try:
        Path(f"/proc/self/fd/{descriptor}").chmod(mode)  # fchmod(2) takes no descriptor that was opened by O_PATH
        return "keeps its mode whatever is done" if os.fstat(descriptor).st_mode & _OTHERS else None
    except OSError as error:
        return f"keeps its mode: {error.strerror}"
    finally:
        os.close(descriptor)


def keeps_modes(folder: int, name: str) -> bool:
    """Whether the file system of a folder keeps the mode a file is made with; where nothing can be made, as if it did."""
    trial = f".mode-{secrets.token_hex(6)}"
    try:
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return True
    try:
        descriptor = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE, dir_fd=inner)
        try:
            return not os.fstat(descriptor).st_mode & _OTHERS
        finally:
            os.close(descriptor)
            os.unlink(trial, dir_fd=inner)
    except OSError:
        return True
    finally:
        os.close(inner)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
