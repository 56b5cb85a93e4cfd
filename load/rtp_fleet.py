"""Hundreds of RTP streams in one thread: stamped G.711 on absolute 20 ms deadlines, sendmmsg(2) and recvmmsg(2) over shared sockets.

One party costs no object and no system call of its own: its packet is a row of a preallocated array, 32 parties share a socket,
a tick fills their rows with a handful of numpy operations and hands them to the kernel at once. What arrives is told apart by the
service's port. The plain path (one call a packet) would be four times dearer, and this machine also runs the service.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from load.phone_audio import rtp_pair
from load.records import RtpFigures
from load.report import add_rtp
from load.rtp_watch import AGENT_SIDE, RECEIVED, StreamWatch, by_stream
from media.codecs.registry import CODECS, USUAL
from media.codecs.transcoder import encoder_at
from media.frame import SAMPLE_RATE
from media.tones import tone
from media.transport.udp import kernel_drops

SEATS_PER_SOCKET = 32
SLOTS = 10
FRAME_NS = 20_000_000
SLOT_NS = FRAME_NS // SLOTS
RECEIVE_EVERY_SLOTS = 5
"""10 ms: late for a listener, early enough for a counter; the kernel stamps the arrival."""
LATE_NS = 5_000_000
RECEIVE_BUFFER_OCTETS = 2 << 20
"""32 streams bring 1,600 packets a second of about 768 octets each: more than a second."""
BATCH = 512
RECEIVE_AT_ONCE = 64
BATCH_OCTETS = 256
FLUSH_PACKETS = 30_000
MAGIC = 0x466D7431
STAMP_OCTETS = 20

PACKET = np.dtype(
    [
        ("version", "u1"),
        ("payload_type", "u1"),
        ("sequence", ">u2"),
        ("timestamp", ">u4"),
        ("ssrc", ">u4"),
        ("magic", ">u4"),
        ("stamp", ">u4"),
        ("counter", ">u4"),
        ("sent_ns", ">u8"),
        ("audio", "u1", (160 - STAMP_OCTETS,)),
    ]
)
"""RTP header (RFC 3550 §5.1) and 20 ms of G.711 whose first octets are the stamp."""
_SOCKADDR_IN = np.dtype([("family", "=u2"), ("port", ">u2"), ("address", "u1", (4,)), ("zero", "u1", (8,))])
_NAME, _NAME_LENGTH, _IOV, _IOV_COUNT, _CONTROL, _CONTROL_LENGTH, _FLAGS, _LENGTH = range(8)
"""Columns of struct mmsghdr on 64-bit Linux, each in a word of its own; the 32-bit fields share theirs with padding."""
_LOW = np.uint64(0xFFFFFFFF)
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_CONTROL_OCTETS = 64
_libc = ctypes.CDLL(None, use_errno=True)


def _mmsg(call: str, fd: int, headers: NDArray[np.uint64], flags: int) -> int:
    """One sendmmsg or recvmmsg over the given rows; the number done, or minus the error number."""
    at, count = ctypes.c_void_p(headers.ctypes.data), len(headers)
    done = int(_libc.sendmmsg(fd, at, count, flags) if call == "send" else _libc.recvmmsg(fd, at, count, flags, None))
    return done if done >= 0 else -ctypes.get_errno()


class _Group:
    """One socket and its parties."""

    def __init__(self, address: str, packets: NDArray[np.void], first_seat: int) -> None:
        self.rtp, self.rtcp = _even_pair(address)
        self.port: int = self.rtp.getsockname()[1]
        seats = len(packets)
        self.first_seat = first_seat
        self.packets = packets
        self.addresses = np.zeros(seats, dtype=_SOCKADDR_IN)
        self.vectors = np.zeros((seats, 2), dtype=np.uint64)
        self.vectors[:, 0] = packets.ctypes.data + np.arange(seats) * PACKET.itemsize
        self.vectors[:, 1] = PACKET.itemsize
        self.headers = np.zeros((seats, 8), dtype=np.uint64)
        self.active: NDArray[np.intp] = np.zeros(0, dtype=np.intp)

    def set_active(self, rows: set[int]) -> None:
        """Point the first headers at these rows."""
        self.active = active = np.array(sorted(rows), dtype=np.intp)
        headers = self.headers[: len(active)]
        headers[:] = 0
        headers[:, _NAME] = self.addresses.ctypes.data + active * _SOCKADDR_IN.itemsize
        headers[:, _NAME_LENGTH] = _SOCKADDR_IN.itemsize
        headers[:, _IOV] = self.vectors.ctypes.data + active * 16
        headers[:, _IOV_COUNT] = 1

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


def _even_pair(address: str) -> tuple[socket.socket, socket.socket]:
    """RTP with arrival times and a deep buffer, and an RTCP port at which what comes is left."""
    rtp, rtcp = rtp_pair(address)
    rtp.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    try:
        rtp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_OCTETS)
    except PermissionError:
        rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_OCTETS)
    return rtp, rtcp


def stamped() -> tuple[str, ...]:
    """Codecs whose 20 ms are as long as the audio of `PACKET`."""
    return tuple(name for name, codec in CODECS.items() if codec.octets_a_second == 50 * 160 and not codec.is_uneven)


class RtpFleet:
    """Sends and counts. `turn()` is called once every `SLOT_NS`; nothing here waits."""

    def __init__(self, address: str, seats: int, *, codec: str = USUAL[0], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        count = -(-seats // SEATS_PER_SOCKET)
        whole = count * SEATS_PER_SOCKET
        self._packets = packets = np.zeros(whole, dtype=PACKET)
        packets["version"] = 0x80
        packets["payload_type"] = CODECS[codec].payload_type
        packets["ssrc"] = rng.integers(1, 1 << 32, whole, dtype=np.uint32)
        packets["sequence"] = rng.integers(0, 1 << 15, whole, dtype=np.uint16)
        packets["magic"] = MAGIC
        # 1000 Hz: 20 whole periods a frame, so that the tone goes on smoothly from packet to packet.
        made = encoder_at(CODECS[codec], SAMPLE_RATE).encode(tone((1000.0,), 0.02, ramp=False))
        packets["audio"] = np.frombuffer(made, dtype=np.uint8)[STAMP_OCTETS:]
        self._groups = [_Group(address, packets[first : first + SEATS_PER_SOCKET], first) for first in range(0, whole, SEATS_PER_SOCKET)]
        self._rows: list[set[int]] = [set() for _ in self._groups]
        self._by_port = np.full(1 << 16, -1, dtype=np.int32)
        self._remote_port: dict[int, int] = {}
        self._watches: dict[int, StreamWatch] = {}
        self._totals: list[RtpFigures] = []
        self._slot = 0
        self._due_ns: int | None = None
        self.sent = self.received = self.late_ticks = self.send_errors = self.strangers = 0
        self._inbox = np.zeros((BATCH, BATCH_OCTETS), dtype=np.uint8)
        self._inbox_names = np.zeros(BATCH, dtype=_SOCKADDR_IN)
        self._inbox_controls = np.zeros((BATCH, _CONTROL_OCTETS), dtype=np.uint8)
        vectors = self._inbox_vectors = np.zeros((BATCH, 2), dtype=np.uint64)
        vectors[:, 0] = self._inbox.ctypes.data + np.arange(BATCH) * BATCH_OCTETS
        vectors[:, 1] = BATCH_OCTETS
        self._template = np.zeros((BATCH, 8), dtype=np.uint64)
        self._template[:, _NAME] = self._inbox_names.ctypes.data + np.arange(BATCH) * _SOCKADDR_IN.itemsize
        self._template[:, _NAME_LENGTH] = _SOCKADDR_IN.itemsize
        self._template[:, _IOV] = vectors.ctypes.data + np.arange(BATCH) * 16
        self._template[:, _IOV_COUNT] = 1
        self._template[:, _CONTROL] = self._inbox_controls.ctypes.data + np.arange(BATCH) * _CONTROL_OCTETS
        self._template[:, _CONTROL_LENGTH] = _CONTROL_OCTETS
        self._headers = self._template.copy()
        self._heard: list[NDArray[np.void]] = []
        self._heard_packets = 0

    @property
    def ports(self) -> list[int]:
        """The RTP port of each seat."""
        return [group.port for group in self._groups for _ in range(SEATS_PER_SOCKET)]

    def start(self, seat: int, *, key: int, is_agent: bool, remote: tuple[str, int]) -> None:
        """Let a free seat send to `remote` and listen, as caller or agent of call `key`; again: a new remote address."""
        group, row = self._groups[seat // SEATS_PER_SOCKET], seat % SEATS_PER_SOCKET
        if seat not in self._watches:
            self._watches[seat] = StreamWatch(expected_stamp=key if is_agent else key | AGENT_SIDE)
            self._packets["counter"][seat] = 0
            self._packets["stamp"][seat] = key | AGENT_SIDE if is_agent else key
        group.addresses[row] = (socket.AF_INET, remote[1], tuple(socket.inet_aton(remote[0])), (0,) * 8)
        self._forget_port(seat)
        self._remote_port[seat] = remote[1]
        self._by_port[remote[1]] = seat
        self._rows[seat // SEATS_PER_SOCKET].add(row)
        group.set_active(self._rows[seat // SEATS_PER_SOCKET])

    def stop(self, seat: int, *, connected_s: float) -> RtpFigures | None:
        """Fall silent and close the account; None: it never spoke."""
        watch = self._watches.get(seat)
        if watch is None:
            return None
        self.receive()
        self._flush()
        del self._watches[seat]
        self._forget_port(seat)
        self._rows[seat // SEATS_PER_SOCKET].discard(seat % SEATS_PER_SOCKET)
        self._groups[seat // SEATS_PER_SOCKET].set_active(self._rows[seat // SEATS_PER_SOCKET])
        figures = watch.figures(int(self._packets["counter"][seat]), connected_s)
        self._totals.append(figures)
        if len(self._totals) >= 100:
            self._totals = [add_rtp(self._totals)]
        return figures

    def _forget_port(self, seat: int) -> None:
        port = self._remote_port.pop(seat, None)
        if port is not None and self._by_port[port] == seat:
            self._by_port[port] = -1

    def turn(self) -> int:
        """Do what is due; the monotonic nanosecond of the next turn."""
        now = time.monotonic_ns()
        if self._due_ns is None or now - self._due_ns > 5 * FRAME_NS:
            self.late_ticks += self._due_ns is not None
            self._due_ns = now
        elif now - self._due_ns > LATE_NS:
            self.late_ticks += 1
        while self._due_ns <= now:
            for group in self._groups[self._slot % SLOTS :: SLOTS]:
                if len(group.active):
                    self._send(group)
            if self._slot % RECEIVE_EVERY_SLOTS == 0:
                self.receive()
            self._slot += 1
            self._due_ns += SLOT_NS
        return self._due_ns

    def _send(self, group: _Group) -> None:
        rows, packets = group.active, group.packets
        packets["sequence"][rows] += 1
        packets["timestamp"][rows] += 160
        packets["counter"][rows] += 1
        packets["sent_ns"][rows] = time.time_ns()
        done, count = 0, len(rows)
        while done < count:
            result = _mmsg("send", group.rtp.fileno(), group.headers[done:count], 0)
            if result > 0:
                self.sent += result
                done += result
            elif -result != errno.EINTR:
                self.send_errors += 1
                done += 1

    def receive(self) -> None:
        """Take what every socket holds."""
        filled = 0
        for group in self._groups:
            if not len(group.active):
                continue
            while True:
                if filled == BATCH:
                    self._sort_in(filled)
                    filled = 0
                asked = slice(filled, min(filled + RECEIVE_AT_ONCE, BATCH))
                self._headers[asked] = self._template[asked]
                count = _mmsg("recv", group.rtp.fileno(), self._headers[asked], socket.MSG_DONTWAIT)
                if count <= 0:
                    if -count in {errno.EAGAIN, errno.EINTR, 0}:
                        break
                    raise OSError(-count, os.strerror(-count))
                filled += count
                if filled < asked.stop:
                    break
        if filled:
            self._sort_in(filled)

    def _sort_in(self, count: int) -> None:
        """Read the fields of a batch, all packets at once."""
        lengths = self._headers[:count, _LENGTH] & _LOW
        wire = self._inbox[:count, : PACKET.itemsize].copy().view(PACKET)[:, 0]
        control = self._inbox_controls[:count]
        arrival = control[:, 16:24].copy().view(np.int64)[:, 0] * 1_000_000_000 + control[:, 24:32].copy().view(np.int64)[:, 0]
        seats = self._by_port[self._inbox_names["port"][:count]]
        is_rtp = (lengths >= 12) & (wire["version"] >> 6 == 2) & (seats >= 0)
        stamped = (wire["magic"] == MAGIC) & (lengths >= 12 + STAMP_OCTETS)
        received = np.zeros(count, dtype=RECEIVED)
        received["stream"] = seats
        received["ssrc"] = wire["ssrc"]
        received["sequence"] = wire["sequence"]
        received["stamp"] = np.where(stamped, wire["stamp"].astype(np.int64), -1)
        received["counter"] = wire["counter"]
        received["latency_us"] = (arrival - wire["sent_ns"].astype(np.int64)) // 1000
        whole = received[is_rtp]
        self.strangers += count - len(whole)
        self.received += len(whole)
        self._heard.append(whole)
        self._heard_packets += len(whole)
        if self._heard_packets >= FLUSH_PACKETS:
            self._flush()

    def _flush(self) -> None:
        if self._heard_packets:
            for seat, part in by_stream(np.concatenate(self._heard)):
                if (watch := self._watches.get(seat)) is not None:
                    watch.absorb(part)
        self._heard.clear()
        self._heard_packets = 0

    def figures(self) -> RtpFigures:
        """All accounts closed so far, and what the generator itself got wrong."""
        own = RtpFigures(
            own_drops=sum(kernel_drops(group.rtp) for group in self._groups),
            own_send_errors=self.send_errors,
            late_ticks=self.late_ticks,
        )
        return add_rtp([*self._totals, own])

    def close(self) -> None:
        """Close all sockets."""
        for group in self._groups:
            group.close()


@contextlib.contextmanager
def fleet(address: str, seats: int, *, codec: str = USUAL[0], seed: int = 0) -> Iterator[RtpFleet]:
    """A fleet whose sockets are closed at the end."""
    opened = RtpFleet(address, seats, codec=codec, seed=seed)
    try:
        yield opened
    finally:
        opened.close()


def run_turns(opened: RtpFleet, keep_on: Callable[[], bool]) -> None:
    """Turn on absolute deadlines while `keep_on()`."""
    while keep_on():
        due_ns = opened.turn()
        ahead = due_ns - time.monotonic_ns()
        if ahead > 0:
            time.sleep(ahead / 1e9)


class Seats:
    """Which seats are free; the longest free one is given next, so that a port rests before it is used again."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        # Seats of different sockets in turn: few parties then still spread over the frame.
        order = sorted(range(len(ports)), key=lambda seat: (seat % SEATS_PER_SOCKET, seat // SEATS_PER_SOCKET))
        self._free = deque(order)

    def take(self) -> tuple[int, int] | None:
        """Seat and its port; None: all taken."""
        if not self._free:
            return None
        seat = self._free.popleft()
        return seat, self._ports[seat]

    def give_back(self, seat: int) -> None:
        """It may be taken again."""
        self._free.append(seat)
