"""Which sockets stand in the way of an address, and whose they are (shell; proc_net(5), proc_pid_fd(5), Linux only).

A socket is known by its inode: the kernel's tables tell it with the address, a process's descriptors with the process.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

PROC = Path("/proc")
_LISTENS = "0A"
"""TCP_LISTEN (include/net/tcp_states.h): a TCP socket in any other state keeps nobody from listening, as both set SO_REUSEADDR."""
_SOCKET = re.compile(r"socket:\[(\d+)\]")


def in_the_way(kind: socket.SocketKind, host: str, port: int, proc: Path = PROC) -> set[int]:
    """Inodes of the sockets that keep a socket of this kind from this address; empty: none can be seen.

    Args:
        kind: SOCK_DGRAM (UDP) or SOCK_STREAM (TCP).
    Raises: OSError: the host's name is not known.
    """
    wanted = [_plain(ipaddress.ip_address(str(found[4][0]).partition("%")[0])) for found in socket.getaddrinfo(host, port, type=kind)]
    there = list(_bound(kind, port, proc))
    # An address of the other family is in the way only where it is the wildcard of a socket that takes both (`[::]`).
    near = {inode for address, inode in there for one in wanted if address.version == one.version and _meet(address, one)}
    return near or {inode for address, inode in there for one in wanted if _meet(address, one)}


def sockets_of(pid: int, proc: Path = PROC) -> set[int] | None:
    """Inodes of the sockets a process has; None: it is not ours to see."""
    found = set()
    try:
        descriptors = list((proc / str(pid) / "fd").iterdir())
    except OSError:
        return None
    for descriptor in descriptors:
        with contextlib.suppress(OSError):  # closed meanwhile
            if (match := _SOCKET.fullmatch(str(descriptor.readlink()))) is not None:
                found.add(int(match[1]))
    return found


def _bound(kind: socket.SocketKind, port: int, proc: Path) -> Iterator[tuple[Address, int]]:
    """Address and inode of every socket that is bound to the port."""
    name = "udp" if kind is socket.SOCK_DGRAM else "tcp"
    for table in (name, f"{name}6"):
        try:
            _, *lines = (proc / "net" / table).read_text().splitlines()
        except (OSError, ValueError):
            continue  # no IPv6 here, or no /proc
        for line in lines:
            fields = line.split()
            local, state = fields[1], fields[3]
            address, _, its_port = local.partition(":")
            if int(its_port, 16) == port and (kind is socket.SOCK_DGRAM or state == _LISTENS):
                yield _plain(_read(address)), int(fields[9])


def _read(text: str) -> Address:
    """An address as the kernel's tables write it: words of 32 bits in the order of this machine."""
    octets = bytes.fromhex(text)
    if sys.byteorder == "little":
        octets = b"".join(octets[at : at + 4][::-1] for at in range(0, len(octets), 4))
    return ipaddress.IPv4Address(octets) if len(octets) == 4 else ipaddress.IPv6Address(octets)


def _plain(address: Address) -> Address:
    """`::ffff:192.0.2.1` is 192.0.2.1."""
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _meet(one: Address, other: Address) -> bool:
    return one == other or one.is_unspecified or other.is_unspecified
