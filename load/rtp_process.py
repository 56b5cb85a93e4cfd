"""The RTP fleet in a process of its own, so that SIP never delays a packet, and its client in the SIP process (house protocol).

`python -m load.rtp_process --fd N ...` is started by `RtpClient`; both ends hold a sequenced-packet socket pair, one MessagePack
struct a packet. When the client's end closes, the process ends: nothing is left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from load.records import RtpFigures
from load.rtp_fleet import RtpFleet, Seats, fleet, stamped
from media.codecs.registry import USUAL

LARGEST = 1 << 20
REPORT_EVERY_NS = 1_000_000_000


class _Message(msgspec.Struct, frozen=True, tag=True):
    """Base of both directions."""


class Start(_Message, frozen=True):
    """Let a seat talk."""

    seat: int
    key: int
    is_agent: bool
    host: str
    port: int


class Stop(_Message, frozen=True):
    """Let it fall silent; it was connected to another party for so long."""

    seat: int
    connected_s: float


class Finish(_Message, frozen=True):
    """Say the sum, then end."""


class Opened(_Message, frozen=True):
    """The RTP port of each seat."""

    ports: list[int]


class Progress(_Message, frozen=True):
    """Once a second."""

    sent: int
    received: int
    cpu_s: float


class Sum(_Message, frozen=True):
    """The last word."""

    figures: RtpFigures
    cpu_s: float


Decoder = msgspec.msgpack.Decoder[Start | Stop | Finish]


def cpu_s() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(arguments: list[str] | None = None) -> int:
    """The child process."""
    parser = argparse.ArgumentParser(prog="python -m load.rtp_process")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--seats", type=int, required=True)
    parser.add_argument("--codec", choices=stamped(), default=USUAL[0])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is heard further up; the socket pair closes then
    with socket.socket(fileno=args.fd) as wire, fleet(args.address, args.seats, codec=args.codec, seed=args.seed) as opened:
        serve(wire, opened)
    return 0


def serve(wire: socket.socket, opened: RtpFleet) -> None:
    """Turn and obey until told to finish, or until nobody is there."""
    wire.setblocking(False)
    decoder = msgspec.msgpack.Decoder(Start | Stop | Finish)
    encode = msgspec.msgpack.Encoder().encode
    wire.send(encode(Opened(opened.ports)))
    report_ns = time.monotonic_ns() + REPORT_EVERY_NS
    # The loop makes no cycles, and a full collection over numpy's world costs a frame.
    gc.freeze()
    gc.disable()
    while True:
        due_ns = opened.turn()
        now_ns = time.monotonic_ns()
        if now_ns >= report_ns:
            report_ns += REPORT_EVERY_NS
            wire.send(encode(Progress(opened.sent, opened.received, cpu_s())))
        while now_ns < due_ns:
            ready, _, _ = select.select([wire], [], [], (due_ns - now_ns) / 1e9)
            if ready and not _obey(wire, opened, decoder, encode):
                return
            now_ns = time.monotonic_ns()


def _obey(wire: socket.socket, opened: RtpFleet, decoder: Decoder, encode: Callable[[Any], bytes]) -> bool:
    """One message; False: it is over."""
    try:
        packet = wire.recv(LARGEST)
    except BlockingIOError:
        return True
    if not packet:
        return False
    match decoder.decode(packet):
        case Start(seat=seat, key=key, is_agent=is_agent, host=host, port=port):
            opened.start(seat, key=key, is_agent=is_agent, remote=(host, port))
        case Stop(seat=seat, connected_s=connected_s):
            opened.stop(seat, connected_s=connected_s)
        case Finish():
            wire.send(encode(Sum(opened.figures(), cpu_s())))
            return False
    return True


class RtpClient:
    """The other end: gives seats, starts and stops them."""

    def __init__(self, address: str, seats: int, *, codec: str = USUAL[0], seed: int = 0) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "load.rtp_process", "--fd", str(theirs.fileno()), "--address", address]
        command += ["--seats", str(seats), "--codec", codec, "--seed", str(seed)]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])  # noqa: S603 - our own module
        theirs.close()
        self._wire = ours
        self._wire.setblocking(False)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decoder = msgspec.msgpack.Decoder(Opened | Progress | Sum)
        self.address = address
        self.progress = Progress(0, 0, 0.0)
        self.seats: Seats | None = None

    async def open(self, timeout_s: float = 20.0) -> None:
        """Wait for its ports.

        Raises: RuntimeError: the process did not come up.
        """
        message = await self._receive(timeout_s)
        if not isinstance(message, Opened):
            raise RuntimeError("the RTP process did not come up")  # noqa: TRY004 - no type is at fault
        self.seats = Seats(message.ports)
        asyncio.get_running_loop().add_reader(self._wire.fileno(), self._readable)

    async def _receive(self, timeout_s: float) -> Opened | Progress | Sum | None:
        async with asyncio.timeout(timeout_s):
            packet = await asyncio.get_running_loop().sock_recv(self._wire, LARGEST)
        return self._decoder.decode(packet) if packet else None

    def _readable(self) -> None:
        try:
            packet = self._wire.recv(LARGEST)
        except BlockingIOError:
            return
        if not packet:
            asyncio.get_running_loop().remove_reader(self._wire.fileno())
            raise RuntimeError(f"the RTP process ended by itself, status {self._process.poll()}")
        message = self._decoder.decode(packet)
        if isinstance(message, Progress):
            self.progress = message

    def take(self) -> tuple[int, int] | None:
        """A free seat and its port; None: all taken."""
        assert self.seats is not None, "not open yet"
        return self.seats.take()

    def start(self, seat: int, key: int, remote: tuple[str, int], *, is_agent: bool) -> None:
        """Talk to `remote`."""
        self._send(Start(seat, key, is_agent, *remote))

    def stop(self, seat: int, connected_s: float) -> None:
        """Stop talking; the seat is free for another."""
        self._send(Stop(seat, connected_s))
        assert self.seats is not None
        self.seats.give_back(seat)

    def _send(self, message: Start | Stop | Finish) -> None:
        packet = self._encode(message)
        while True:
            try:
                self._wire.send(packet)
            except BlockingIOError:
                # It reads every 2 ms; a full socket means that it has no CPU, and then waiting is honest.
                select.select([], [self._wire], [], 1.0)
            else:
                return

    async def finish(self, timeout_s: float = 10.0) -> Sum:
        """The sum of all; the process ends.

        Raises: RuntimeError: it ended without a sum.
        """
        asyncio.get_running_loop().remove_reader(self._wire.fileno())
        self._send(Finish())
        while not isinstance(message := await self._receive(timeout_s), Sum):
            if message is None:
                raise RuntimeError("the RTP process ended without its sum")
        await asyncio.to_thread(self._process.wait, timeout_s)
        self._wire.close()
        return message

    def close(self) -> None:
        """End it at once, however it stands."""
        if self._wire.fileno() >= 0:
            self._wire.close()
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(5)


if __name__ == "__main__":
    sys.exit(main())
