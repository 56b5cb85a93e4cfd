"""What a relayed packet costs: the media worker beside a bare asyncio relay, same packets, same machine (house benchmark).

`python -m load.media_bench --calls 300 --seconds 10` bridges that many calls in one worker process, sends 50 packets a second into each of
the two legs and counts what comes out. CPU is the relaying process's own, from the scheduler's nanoseconds
(`/proc/<pid>/task/*/schedstat`), so the load generator on the same machine does not count. The bare relay forwards datagrams between the
same pairs of sockets and does nothing else: no statistics, no rewriting. `--conferences 50` also has so many rooms of three, which
are mixed. `--encrypted` measures the same calls with one leg of each, and with both, under SRTP.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import select
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import permutations
from pathlib import Path
from typing import cast

from media.client import MediaPlane
from media.control import ArrangeAudio, DescribeLeg, StartRecording, Status
from media.rtp.packet import HEADER
from media.transport.keys import LENGTHS, SrtpKeys, Suite
from media.transport.srtp import SrtpProtection

PACKETS_A_SECOND = 50
_SLICES = 20
_PAYLOAD = bytes(0xD5 ^ (index & 0x0F) for index in range(160))
_ADDRESS = "127.0.0.1"
_ROOM = 16
"""Octets behind a packet, for its tag."""


@dataclass(frozen=True, slots=True)
class Result:
    """One run."""

    relay: str
    calls: int
    seconds: float
    sent: int
    received: int
    dropped_inside: int
    cpu_us_per_packet: float
    cpu_percent: float
    late_ticks: int


def cpu_ns(pid: int) -> int:
    """Time on a CPU of all threads of a process, in nanoseconds."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


class Phones:
    """The far ends of all legs: one socket each, paced sending, everything that arrives is counted."""

    def __init__(self, legs: int, encrypted: Mapping[int, SrtpKeys] | None = None) -> None:
        self.protections = {leg: SrtpProtection(keys, time.monotonic) for leg, keys in (encrypted or {}).items()}
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(legs)]
        self.epoll = select.epoll()
        self.by_descriptor: dict[int, socket.socket] = {}
        for opened in self.sockets:
            opened.bind((_ADDRESS, 0))
            opened.setblocking(False)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
            self.epoll.register(opened.fileno(), select.EPOLLIN)
            self.by_descriptor[opened.fileno()] = opened
        self.sent = 0
        self.received = 0

    def port(self, leg: int) -> int:
        return int(self.sockets[leg].getsockname()[1])

    def run(self, targets: list[int], seconds: float) -> None:
        """Send to every target 50 times a second, in 1 ms slices so that no burst is of our making, and read what comes."""
        rounds = round(seconds * PACKETS_A_SECOND)
        end = HEADER.size + len(_PAYLOAD)
        packets = [bytearray(end + _ROOM) for _ in targets]
        for packet in packets:
            packet[HEADER.size : end] = _PAYLOAD
        views = [memoryview(packet) for packet in packets]
        begin = time.monotonic()
        for step in range(rounds * _SLICES):
            number, part = divmod(step, _SLICES)
            for leg in range(part, len(targets), _SLICES):
                HEADER.pack_into(packets[leg], 0, 0x80, 8, number & 0xFFFF, number * 160, 1000 + leg)
                octets, protection = end, self.protections.get(leg)
                if protection is not None:
                    packets[leg][HEADER.size : end] = _PAYLOAD
                    octets = protection.protect_rtp(packets[leg], end)
                self.sockets[leg].sendto(views[leg][:octets], (_ADDRESS, targets[leg]))
                self.sent += 1
            self.drain(0)
            # Asleep, not waiting for packets: waking a receiver for each packet is work on the sender's account that no card asks for.
            wait = begin + (step + 1) * 0.001 - time.monotonic()
            if wait > 0:
                time.sleep(wait)

    def drain(self, wait_s: float) -> None:
        """Read everything that is there, waiting up to `wait_s` for it to begin."""
        end = time.monotonic() + wait_s
        buffer = bytearray(2048)
        while True:
            ready = self.epoll.poll(max(0.0, end - time.monotonic()), 256)
            for descriptor, _ in ready:
                try:
                    self.by_descriptor[descriptor].recv_into(buffer)
                    self.received += buffer[1] & 0x7F == 8  # RTCP is not counted
                except BlockingIOError:
                    continue
            if not ready and time.monotonic() >= end:
                return

    def close(self) -> None:
        self.epoll.close()
        for opened in self.sockets:
            opened.close()


def keys_of(suite: Suite, leg: int, *, seen_from_phone: bool = False) -> SrtpKeys:
    """Another pair for each leg."""
    octets = LENGTHS[suite].master
    ours, theirs = (2 * leg + 1).to_bytes(octets, "big"), (2 * leg + 2).to_bytes(octets, "big")
    return SrtpKeys(suite=suite, send=theirs, receive=ours) if seen_from_phone else SrtpKeys(suite=suite, send=ours, receive=theirs)


async def bench_worker(
    calls: int,
    seconds: float,
    first_port: int,
    recordings: Path | None,
    parties: int = 2,
    suite: Suite | None = None,
    encrypted: int = 1,
) -> Result:
    """The real worker, all calls in one process; more than two parties of a call are mixed.

    Args:
        suite: of so many legs of each call; None: all are plain.
    """
    secret = frozenset(leg for leg in range(parties * calls) if suite is not None and leg % parties < encrypted)
    phones = Phones(parties * calls, {leg: keys_of(suite, leg, seen_from_phone=True) for leg in secret} if suite is not None else None)
    folder = tempfile.TemporaryDirectory(prefix="fernamt-bench-")
    plane = await MediaPlane.start(
        workers=1,
        address=_ADDRESS,
        ports=(first_port, first_port + 2 * parties * calls + 99),
        on_report=lambda _: None,
        control=Path(folder.name),
        orphan_s=0.0,
        log_level="ERROR",
    )
    try:
        targets: list[int] = []
        for leg in range(parties * calls):
            opened = await plane.open_leg("bench", str(leg))
            targets.append(opened.rtp_port)
            port = phones.port(leg)
            described = DescribeLeg(
                leg=str(leg),
                remote_address=_ADDRESS,
                remote_port=port,
                remote_rtcp_port=port,
                codec="PCMA",
                payload_type=8,
                telephone_event=101,
                srtp=keys_of(suite, leg) if suite is not None and leg in secret else None,
            )
            plane.send("bench", described)
        for call in range(calls):
            legs = tuple(str(leg) for leg in range(parties * call, parties * (call + 1)))
            plane.send("bench", ArrangeAudio(room=f"room {call}", hears=tuple(permutations(legs, 2))))
            if recordings is not None:
                path = str(recordings / f"bench-{os.getpid()}-{call}.wav")
                plane.send("bench", StartRecording(recording=str(call), path=path, legs=legs))
        before = (await plane.status())[0]
        pid = plane.worker_pids()[0]
        cpu = cpu_ns(pid)
        begin = time.monotonic()
        await asyncio.to_thread(phones.run, targets, seconds)
        took = time.monotonic() - begin
        cpu = cpu_ns(pid) - cpu
        await asyncio.to_thread(phones.drain, 0.3)
        after: Status = (await plane.status())[0]
        relayed = after.packets_received - before.packets_received
        return Result(
            ("media worker" if parties == 2 else f"conferences of {parties}")
            + ("" if recordings is None else ", all recorded")
            + ("" if suite is None else f", {encrypted} of {parties} {suite}"),
            calls, round(took, 2), phones.sent, phones.received, after.packets_dropped, round(cpu / 1000 / max(1, relayed), 2),
            round(cpu / 1e7 / took, 1), after.late_ticks,
        )  # fmt: skip
    finally:
        await plane.close()
        folder.cleanup()
        phones.close()


class _BareRelay(asyncio.DatagramProtocol):
    """Forward every datagram to one address through the partner's socket."""

    def __init__(self) -> None:
        self.transport: asyncio.DatagramTransport | None = None
        self.partner: _BareRelay | None = None
        self.remote: tuple[str, int] = (_ADDRESS, 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)  # asyncio's own selector transport does not derive from it

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:  # noqa: ARG002 - asyncio's signature
        partner = self.partner
        if partner is not None and partner.transport is not None:
            partner.transport.sendto(data, partner.remote)


async def _bare_relay(ports: list[int]) -> None:
    """Child process: one socket for each port given, pairs relayed; prints its own ports, ends with its standard input."""
    loop = asyncio.get_running_loop()
    relays: list[_BareRelay] = []
    bound: list[int] = []
    for port in ports:
        transport, relay = await loop.create_datagram_endpoint(_BareRelay, local_addr=(_ADDRESS, 0))
        relay.remote = (_ADDRESS, port)
        relays.append(relay)
        bound.append(int(transport.get_extra_info("sockname")[1]))
    for one, other in zip(relays[::2], relays[1::2], strict=True):
        one.partner, other.partner = other, one
    print(json.dumps(bound), flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def bench_bare(calls: int, seconds: float) -> Result:
    """Datagram endpoints of asyncio, nothing done to the packets."""
    phones = Phones(2 * calls)
    ports = json.dumps([phones.port(leg) for leg in range(2 * calls)])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "load.media_bench",
        "--bare-relay",
        ports,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the bare relay has no standard output")
        targets: list[int] = json.loads(await process.stdout.readline())
        cpu = cpu_ns(process.pid)
        begin = time.monotonic()
        await asyncio.to_thread(phones.run, targets, seconds)
        took = time.monotonic() - begin
        cpu = cpu_ns(process.pid) - cpu
        await asyncio.to_thread(phones.drain, 0.3)
        return Result(
            "bare asyncio", calls, round(took, 2), phones.sent, phones.received, -1,
            round(cpu / 1000 / max(1, phones.received), 2), round(cpu / 1e7 / took, 1), -1,
        )  # fmt: skip
    finally:
        process.kill()
        await process.wait()
        phones.close()


def main() -> None:
    """Run both and print what they cost."""
    parser = argparse.ArgumentParser(prog="load.media_bench", description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--first-port", type=int, default=42000)
    parser.add_argument("--recordings", type=Path, help="also measure with every call recorded into this folder")
    parser.add_argument("--conferences", type=int, default=0, help="also measure so many conferences of three")
    parser.add_argument("--encrypted", action="store_true", help="also measure with one leg of each call and with both encrypted (SRTP)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--bare-relay", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare_relay is not None:
        asyncio.run(_bare_relay(options.bare_relay))
        return
    results = [asyncio.run(bench_worker(options.calls, options.seconds, options.first_port, None))]
    if options.recordings is not None:
        results.append(asyncio.run(bench_worker(options.calls, options.seconds, options.first_port, options.recordings)))
    if options.conferences:
        results.append(asyncio.run(bench_worker(options.conferences, options.seconds, options.first_port, options.recordings, 3)))
    if options.encrypted:
        for suite, legs in ((Suite.AEAD_AES_128_GCM, 1), (Suite.AES_CM_128_HMAC_SHA1_80, 1), (Suite.AEAD_AES_128_GCM, 2)):
            some = bench_worker(options.calls, options.seconds, options.first_port, None, suite=suite, encrypted=legs)
            results.append(asyncio.run(some))
    results.append(asyncio.run(bench_bare(options.calls, options.seconds)))
    if options.json:
        print(json.dumps([asdict(result) for result in results], indent=1))
        return
    for result in results:
        rate = result.received / result.seconds
        print(
            f"{result.relay:44} {result.calls} calls, {rate:.0f} packets/s out, sent {result.sent} received {result.received}, "
            f"dropped inside {result.dropped_inside}, {result.cpu_us_per_packet} us CPU a packet, {result.cpu_percent} % of a core, "
            f"late ticks {result.late_ticks}"
        )
    for result in results[1:]:
        print(f"{result.relay}: {result.cpu_us_per_packet / results[0].cpu_us_per_packet:.2f} times the plain relay")


if __name__ == "__main__":
    main()
