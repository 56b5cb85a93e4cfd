"""The control socket of a worker in the file system: unix(7), credentials of the peer by SO_PEERCRED.

A socket's path may have 107 octets, a data directory as many as it likes. So sockets are bound and connected through the descriptor of
their folder: `/proc/self/fd/<descriptor>/<name>` (proc(5)).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_CREDENTIALS = struct.Struct("3i")
"""struct ucred of socket(7): pid, uid, gid."""


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A listening socket at `path` that only its owner may connect to; the file is gone afterwards, wherever its folder lies by then.

    Raises: OSError: the folder is missing, or something lies at the path.
    """
    with _folder(path.parent) as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        try:
            os.chmod(path.name, 0o600, dir_fd=folder)
            listener.listen()
            yield listener
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path.name, dir_fd=folder)


def connect(path: Path) -> socket.socket:
    """A connection without blocking mode.

    Raises: ConnectionRefusedError: the file was left by somebody who is gone. OSError: no such file, no permission, too many wait there.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        with _folder(path.parent) as folder:
            connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    except BaseException:
        connection.close()
        raise
    return connection


def listener_pid(connection: socket.socket) -> int:
    """The process that listens where `connection` leads: the kernel's word, not the peer's."""
    pid, _, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(pid)
