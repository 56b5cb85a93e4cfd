"""Free ports for the servers a test starts: below the kernel's ephemeral range, and a share of its own for each test process.

A port that was free a moment ago is taken again by whatever connection goes out next, if it lies in the ephemeral range (32768 up).
"""

import contextlib
import itertools
import os
import socket

HOST = "127.0.0.1"
_SHARES = 4
_SHARE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
_SINGLE = range(10_240 + _SHARE * 1_000, 10_240 + (_SHARE + 1) * 1_000)
_RTP = range(14_400 + _SHARE * 4_500, 14_400 + (_SHARE + 1) * 4_500)
RTP_PORTS = 800
_singles = itertools.cycle(_SINGLE)
_starts = itertools.cycle(range(_RTP.start, _RTP.stop - RTP_PORTS, RTP_PORTS))


def free_port() -> int:
    """A port that nobody uses, neither UDP nor TCP."""
    for port in itertools.islice(_singles, len(_SINGLE)):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind((HOST, port))
            tcp.bind((HOST, port))
            return port
    raise OSError("no free port is left")


def rtp_range() -> tuple[int, int]:
    """First and last port of a range for a media worker; ranges come round again after a while."""
    first = next(_starts)
    return first, first + RTP_PORTS - 1
