"""What encryption costs the media worker, and whether it disturbs (house benchmark).

`python -m load.encrypted_bench cost`: calls of all kinds stand in one worker; each kind speaks for a slice of time in turn, and so does
nobody. CPU a packet is the worker's own in that slice (`/proc/<pid>/task/*/schedstat`) less what it costs when nobody speaks: medians, and
how many times the plain relay's of the same turn. `legs`: 200 browsers' legs, bridged by twos, 50 packets a second each way; each packet is
looked for at the far end. `handshakes`: 50 plain calls are relayed, and in every other second 50 browsers shake hands, in a process of the
lowest priority; the delay of a packet is from its stamp to the kernel's at the far end. `--realtime` puts worker and far ends before all
else on the machine, as if it had nothing else to do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import os
import secrets
import select
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from pathlib import Path
from statistics import median
from struct import Struct
from typing import Any, Final

from load.browser import CHECK_EVERY_S, Browser, End, connect
from load.media_bench import cpu_ns, keys_of
from load.report import percentile
from media import control
from media.client import MediaPlane
from media.control import ArrangeAudio, CloseLeg, DescribeLeg, Status
from media.rtp.packet import HEADER, HEADER_OCTETS
from media.transport.dtls import Identity
from media.transport.ice import Credentials
from media.transport.keys import Suite
from media.transport.srtp import SrtpProtection

ADDRESS: Final = "127.0.0.1"
PACKETS_A_SECOND: Final = 50
PCMA: Final = 8
_SLICES: Final = 20
"""Of a packet's time: in each of them some speak, so that no burst is of our making."""
_STAMP: Final = Struct("!q")
_PAYLOAD: Final = bytes(0xD5 ^ (index & 0x0F) for index in range(160))
_OCTETS: Final = HEADER_OCTETS + len(_PAYLOAD)
_ROOM: Final = 16
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = Struct("@ll")


class Wire(StrEnum):
    """How packets go between a leg and its far end."""

    PLAIN = "plain"
    GCM = "SRTP, AES-GCM"
    CM = "SRTP, AES-CM with HMAC-SHA1"
    BROWSER = "browser"


_SUITES: Final = {Wire.GCM: Suite.AEAD_AES_128_GCM, Wire.CM: Suite.AES_CM_128_HMAC_SHA1_80}


class FarEnd:
    """One phone or browser: its socket, its stream, and how many packets of the other one it heard."""

    def __init__(self, number: int, wire: Wire, *, is_stamped: bool = False) -> None:
        self.number, self.wire, self.name = number, wire, str(number)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        if is_stamped:
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.socket.bind((ADDRESS, 0))
        self.socket.setblocking(False)
        self.leg = (ADDRESS, 0)
        self.protection: SrtpProtection | None = None
        self.browser: Browser | None = None
        self.sent = self.heard = self.not_authentic = 0
        self._packet = bytearray(_OCTETS + _ROOM)
        self._view = memoryview(self._packet)

    def say(self) -> None:
        """One packet, with the time in it."""
        packet = self._packet
        HEADER.pack_into(packet, 0, 0x80, PCMA, self.sent & 0xFFFF, self.sent * 160 & 0xFFFFFFFF, 1000 + self.number)
        packet[HEADER_OCTETS:_OCTETS] = _PAYLOAD
        _STAMP.pack_into(packet, HEADER_OCTETS, time.time_ns())
        octets = _OCTETS if self.protection is None else self.protection.protect_rtp(packet, _OCTETS)
        self.socket.sendto(self._view[:octets], self.leg)
        self.sent += 1


class Crowd:
    """All far ends, and one loop that sends and hears."""

    def __init__(self, *, is_realtime: bool) -> None:
        self._is_realtime = is_realtime
        self.ends: list[FarEnd] = []
        self.delays_ms: list[float] = []
        """Of every packet that was heard, while it is wanted."""
        self.hears: Callable[[FarEnd, bytearray], None] = _count
        self._epoll = select.epoll()
        self._by_descriptor: dict[int, FarEnd] = {}
        self._buffer = bytearray(2048)

    def add(self, end: FarEnd) -> FarEnd:
        self.ends.append(end)
        self._by_descriptor[end.socket.fileno()] = end
        self._epoll.register(end.socket.fileno(), select.EPOLLIN)
        return end

    def speak(self, ends: Sequence[FarEnd], seconds: float) -> None:
        """Each says 50 packets a second, spread over the 20 ms of one; browsers check as they do."""
        if self._is_realtime:
            go_first(0)  # this thread
        begin = time.monotonic()
        browsers = [end for end in ends if end.browser is not None]
        checked = 0
        for step in range(round(seconds * PACKETS_A_SECOND * _SLICES)):
            for end in ends[step % _SLICES :: _SLICES]:
                end.say()
            while browsers and checked < (time.monotonic() - begin) / CHECK_EVERY_S * len(browsers):
                end = browsers[checked % len(browsers)]
                assert end.browser is not None
                end.socket.sendto(end.browser.check(), end.leg)
                checked += 1
            self.listen(0.0)
            # Asleep, not waiting for packets: waking a receiver for each packet is work on the sender's account that no card asks for.
            wait = begin + (step + 1) / (PACKETS_A_SECOND * _SLICES) - time.monotonic()
            if wait > 0:
                time.sleep(wait)

    def listen(self, wait_s: float) -> None:
        """Read everything that is there, waiting so long for more."""
        end = time.monotonic() + wait_s
        while True:
            ready = self._epoll.poll(max(0.0, end - time.monotonic()), 256)
            for descriptor, _ in ready:
                with contextlib.suppress(BlockingIOError):
                    self.hears(self._by_descriptor[descriptor], self._buffer)
            if not ready and time.monotonic() >= end:
                return

    def hear_out(self, within_s: float) -> None:
        """Until everything that was said is heard, or no longer: what waits in the worker belongs to who said it."""
        end = time.monotonic() + within_s
        while sum(each.sent - each.heard for each in self.ends) > 0 and time.monotonic() < end:
            self.listen(0.01)

    def close(self) -> None:
        self._epoll.close()
        for end in self.ends:
            end.socket.close()


def _count(end: FarEnd, buffer: bytearray) -> None:
    """RTP alone."""
    end.socket.recv_into(buffer)
    end.heard += buffer[0] >> 6 == 2 and buffer[1] & 0x7F == PCMA


def _prove(end: FarEnd, buffer: bytearray) -> None:
    """What is heard is what was said."""
    octets = end.socket.recv_into(buffer)
    if buffer[0] >> 6 != 2 or buffer[1] & 0x7F != PCMA:
        return
    if end.protection is not None:
        octets = end.protection.unprotect_rtp(buffer, octets)
    end.heard += octets == _OCTETS and buffer[HEADER_OCTETS + _STAMP.size : octets] == _PAYLOAD[_STAMP.size :]


def _timing(delays_ms: list[float]) -> Callable[[FarEnd, bytearray], None]:
    """By the kernel's stamp: when we read it is our affair."""

    def hear(end: FarEnd, buffer: bytearray) -> None:
        octets, ancillary, _, _ = end.socket.recvmsg_into([buffer], 64)
        if octets == _OCTETS and buffer[1] & 0x7F == PCMA:
            end.heard += 1
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            delays_ms.append((seconds * 1_000_000_000 + nanoseconds - _STAMP.unpack_from(buffer, HEADER_OCTETS)[0]) / 1e6)

    return hear


class Bench:
    """One worker, and its far ends."""

    def __init__(self, plane: MediaPlane, crowd: Crowd) -> None:
        self.plane, self.crowd = plane, crowd
        self.pid = plane.worker_pids()[0]
        self.identity = new_identity()

    async def open(self, wire: Wire, *, is_stamped: bool = False) -> FarEnd:
        """A leg and its far end, described; a browser is not connected yet."""
        end = self.crowd.add(FarEnd(len(self.crowd.ends), wire, is_stamped=is_stamped))
        ice = new_credentials() if wire is Wire.BROWSER else None
        opened = await self.plane.open_leg("bench", end.name, ice=ice)
        end.leg = (ADDRESS, opened.rtp_port)
        if ice is not None:
            end.browser = Browser(self.identity, ice, opened.fingerprint)
        suite = _SUITES.get(wire)
        if suite is not None:
            end.protection = SrtpProtection(keys_of(suite, end.number, seen_from_phone=True), time.monotonic)
        port = end.socket.getsockname()[1]
        described = DescribeLeg(
            leg=end.name,
            remote_address=ADDRESS,
            remote_port=port,
            remote_rtcp_port=port,
            codec="PCMA",
            payload_type=PCMA,
            telephone_event=101,
            srtp=keys_of(suite, end.number) if suite is not None else None,
            browser=control.Browser(fingerprints=(str(self.identity.fingerprint),)) if ice is not None else None,
        )
        self.plane.send("bench", described)
        return end

    def bridge(self, one: FarEnd, other: FarEnd) -> None:
        pairs = ((one.name, other.name), (other.name, one.name))
        self.plane.send("bench", ArrangeAudio(room=f"room {one.name}", hears=pairs))

    async def call(self, one: Wire, other: Wire, *, is_stamped: bool = False) -> list[FarEnd]:
        ends = [await self.open(wire, is_stamped=is_stamped) for wire in (one, other)]
        self.bridge(*ends)
        return ends

    async def connect(self) -> None:
        """All browsers; from then on each has the keys of its handshake."""
        browsers = [end for end in self.crowd.ends if end.browser is not None]
        await asyncio.to_thread(connect, [End(end.browser, end.socket, end.leg) for end in browsers if end.browser is not None])
        for end in browsers:
            keys = end.browser.keys() if end.browser is not None else None
            assert keys is not None
            end.protection = SrtpProtection(keys, time.monotonic)

    async def status(self) -> Status:
        return (await self.plane.status())[0]


@contextlib.asynccontextmanager
async def bench(legs: int, first_port: int, *, is_realtime: bool) -> AsyncIterator[Bench]:
    """A worker with ports for so many legs.

    Args:
        is_realtime: it and the far ends go before all others.
    """
    crowd = Crowd(is_realtime=is_realtime)
    with tempfile.TemporaryDirectory(prefix="fernamt-bench-") as folder:
        plane = await MediaPlane.start(
            workers=1,
            address=ADDRESS,
            ports=(first_port, first_port + 2 * legs + 99),
            on_report=lambda _: None,
            control=Path(folder),
            orphan_s=0.0,
            log_level="ERROR",
        )
        try:
            if is_realtime:
                go_first(plane.worker_pids()[0])
            yield Bench(plane, crowd)
        finally:
            await plane.close()
            crowd.close()


def go_first(pid: int) -> None:
    """Before all that is not as urgent (sched(7)); what it starts is not."""
    os.sched_setscheduler(pid, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def new_identity() -> Identity:
    return Identity(dt.datetime.fromtimestamp(time.time(), dt.UTC))


def new_credentials() -> Credentials:
    return Credentials(secrets.token_hex(4), secrets.token_hex(16))


# ---------------------------------------------------------------------- cost

KINDS: Final = (
    (Wire.PLAIN, Wire.PLAIN),
    (Wire.PLAIN, Wire.GCM),
    (Wire.PLAIN, Wire.CM),
    (Wire.GCM, Wire.GCM),
    (Wire.PLAIN, Wire.BROWSER),
    (Wire.BROWSER, Wire.BROWSER),
)


SLICE_S: Final = 0.25
"""Short, so that two that are compared meet the same machine."""


async def cost(calls: int, seconds: float, first_port: int, *, slice_s: float = SLICE_S, is_realtime: bool = False) -> dict[str, Any]:
    """Microseconds of the worker's CPU a packet, by kind; and how many times the plain relay's."""
    async with bench(2 * calls * len(KINDS), first_port, is_realtime=is_realtime) as house:
        groups: dict[str, list[FarEnd]] = {}
        for kind in KINDS:
            groups[" to ".join(kind)] = [end for _ in range(calls) for end in await house.call(*kind)]
        await house.connect()
        order = [None, *groups]
        rounds = max(1, round(seconds / (2 * len(order) * slice_s)))
        us: dict[str, list[float]] = {name: [] for name in groups}
        idle: list[float] = []
        for turn in range(2 * rounds):
            # there and back: a machine that slows down meets all alike
            for name in order if turn % 2 == 0 else reversed(order):
                before = (await house.status()).packets_received
                begin, cpu = time.monotonic(), cpu_ns(house.pid)
                await asyncio.to_thread(house.crowd.speak, groups[name] if name is not None else [], slice_s)
                await asyncio.to_thread(house.crowd.hear_out, 2.0)
                cpu, took = cpu_ns(house.pid) - cpu, time.monotonic() - begin
                relayed = (await house.status()).packets_received - before
                if name is None:
                    idle.append(cpu / 1e3 / took)
                else:
                    us[name].append((cpu / 1e3 - took * median(idle or [0.0])) / max(1, relayed))
        plain = us[" to ".join(KINDS[0])]
        rows = {
            name: {
                "us_a_packet": round(median(each), 2),
                "least": round(min(each), 2),
                "most": round(max(each), 2),
                "times_plain": round(median([mine / theirs for mine, theirs in zip(each, plain, strict=True)]), 3),
            }
            for name, each in us.items()
        }
        sent, heard = (sum(getattr(end, what) for end in house.crowd.ends) for what in ("sent", "heard"))
        return {"calls_of_each_kind": calls, "slices": 2 * rounds, "sent": sent, "heard": heard, "kinds": rows}


def table(told: dict[str, Any]) -> list[str]:
    """A line for each kind."""
    first = f"{told['calls_of_each_kind']} calls of each kind, {told['slices']} slices, {told['sent'] - told['heard']} packets lost"
    return [first] + [
        f"{name:40} {row['us_a_packet']:6.2f} us CPU a packet ({row['least']} to {row['most']}), {row['times_plain']:.2f} times the first"
        for name, row in told["kinds"].items()
    ]


# ---------------------------------------------------------------------- legs


async def legs(count: int, seconds: float, first_port: int, *, is_realtime: bool = False) -> dict[str, Any]:
    """Browsers' legs that are bridged by twos: what is lost, and what the worker needs for it."""
    async with bench(count, first_port, is_realtime=is_realtime) as house:
        for _ in range(count // 2):
            await house.call(Wire.BROWSER, Wire.BROWSER)
        begin = time.monotonic()
        await house.connect()
        connected_s = time.monotonic() - begin
        await house.status()
        house.crowd.hears = _prove
        begin, cpu = time.monotonic(), cpu_ns(house.pid)
        await asyncio.to_thread(house.crowd.speak, house.crowd.ends, seconds)
        cpu, took = cpu_ns(house.pid) - cpu, time.monotonic() - begin
        await asyncio.to_thread(house.crowd.hear_out, 2.0)
        status = await house.status()
        sent, heard = (sum(getattr(end, what) for end in house.crowd.ends) for what in ("sent", "heard"))
        return {
            "legs": count,
            "seconds": round(took, 1),
            "all_connected_after_s": round(connected_s, 2),
            "sent": sent,
            "heard": heard,
            "lost": sent - heard,
            "rejected": status.packets_rejected,
            "dropped_inside": status.packets_dropped,
            "worker_percent_of_a_core": round(cpu / 1e7 / took, 1),
            "us_a_packet": round(cpu / 1e3 / max(1, status.packets_received), 2),
        }


# ---------------------------------------------------------------------- handshakes


async def handshakes(calls: int, count: int, seconds: float, first_port: int, *, is_realtime: bool = False) -> dict[str, Any]:
    """Delay of relayed packets in seconds with so many handshakes, and in seconds without, in turn."""
    async with bench(2 * calls + 2 * count, first_port, is_realtime=is_realtime) as house, guests() as there:
        for _ in range(calls):
            await house.call(Wire.PLAIN, Wire.PLAIN, is_stamped=True)
        delays: dict[bool, list[float]] = {False: [], True: []}
        took: list[float] = []
        cpu_us = {False: 0.0, True: 0.0}
        await house.status()  # all orders are carried out by now
        await speak_for(house, [], 0.5)
        for turn in range(2 * max(1, round(seconds / 2))):
            is_busy = (turn + 1) // 2 % 2 == 1  # without, with, with, without, …
            names = [f"guest {turn} {index}" for index in range(count)] if is_busy else []
            ends = [await guest(house, name, there.fingerprint) for name in names]
            cpu = cpu_ns(house.pid)
            shaking = asyncio.create_task(there.connect(ends, 1.0)) if ends else None
            await speak_for(house, delays[is_busy], 1.0)
            cpu_us[is_busy] += (cpu_ns(house.pid) - cpu) / 1e3
            if shaking is not None:
                took += await shaking
            for name in names:
                house.plane.send("bench", CloseLeg(leg=name))
            await house.status()
        status = await house.status()
        rows = {
            name: {f"p{rank}_ms": round(percentile(delays[is_busy], rank / 100) or 0.0, 3) for rank in (50, 99, 99.9)}
            | {"packets": len(delays[is_busy]), "most_ms": round(max(delays[is_busy]), 3)}
            for name, is_busy in (("without", False), ("with", True))
        }
        sent = sum(end.sent for end in house.crowd.ends)
        return {
            "calls": calls,
            "handshakes": len(took),
            "handshake_p50_ms": round(median(took) * 1000, 1),
            "handshake_ms_of_cpu": round((cpu_us[True] - cpu_us[False]) / 1000 / max(1, len(took)), 2),
            "lost": sent - sum(end.heard for end in house.crowd.ends),
            "dropped_inside": status.packets_dropped,
            **rows,
            "p99.9_over_control_ms": round(rows["with"]["p99.9_ms"] - rows["without"]["p99.9_ms"], 3),
        }


async def speak_for(house: Bench, delays_ms: list[float], seconds: float) -> None:
    """All plain calls speak; what they hear is timed."""
    house.crowd.hears = _timing(delays_ms)
    await asyncio.to_thread(house.crowd.speak, house.crowd.ends, seconds)
    await asyncio.to_thread(house.crowd.hear_out, 2.0)


async def guest(house: Bench, name: str, fingerprint: str) -> list[Any]:
    """A leg for a browser of the other process; what that has to know of it."""
    ice = new_credentials()
    opened = await house.plane.open_leg("bench", name, ice=ice)
    described = DescribeLeg(
        leg=name,
        remote_address=ADDRESS,
        remote_port=9,
        remote_rtcp_port=9,
        codec="PCMA",
        payload_type=PCMA,
        browser=control.Browser(fingerprints=(fingerprint,)),
    )
    house.plane.send("bench", described)
    return [opened.rtp_port, ice.ufrag, ice.pwd, opened.fingerprint]


class Guests:
    """Browsers in a process of their own, with the lowest priority: where they run in life is no machine of ours."""

    def __init__(self, process: asyncio.subprocess.Process, fingerprint: str) -> None:
        self._process, self.fingerprint = process, fingerprint

    async def connect(self, ends: list[list[Any]], within_s: float) -> list[float]:
        """One after the other, evenly over so many seconds; how long each took, in seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([ends, within_s]).encode() + b"\n")
        took: list[float] = json.loads(await self._process.stdout.readline())
        return took


@contextlib.asynccontextmanager
async def guests() -> AsyncIterator[Guests]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "load.encrypted_bench", "guests", stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Guests(process, (await process.stdout.readline()).decode().strip())
    finally:
        process.stdin.close()
        await process.wait()


def be_guests() -> None:
    """The child: a line of legs in, a line of times out."""
    os.nice(19)
    identity = new_identity()
    print(identity.fingerprint, flush=True)
    for line in sys.stdin:
        legs_, within_s = json.loads(line)
        ends = []
        for port, ufrag, pwd, fingerprint in legs_:
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.bind((ADDRESS, 0))
            ends.append(End(Browser(identity, Credentials(ufrag, pwd), fingerprint), opened, (ADDRESS, port)))
        print(json.dumps(connect(ends, every_s=within_s / len(ends))), flush=True)
        for end in ends:
            end.socket.close()


def main() -> None:
    """Measure, and print what was found as JSON."""
    parser = argparse.ArgumentParser(prog="load.encrypted_bench", description=__doc__)
    parser.add_argument("part", choices=("cost", "legs", "handshakes", "guests"))
    parser.add_argument("--calls", type=int, help="of each kind (cost: 100), that are relayed (handshakes: 50)")
    parser.add_argument("--legs", type=int, default=200)
    parser.add_argument("--handshakes", type=int, default=50, help="a second")
    parser.add_argument("--seconds", type=float, default=24.0)
    parser.add_argument("--first-port", type=int, default=20000)
    parser.add_argument("--json", action="store_true", help="of the costs as well")
    parser.add_argument("--realtime", action="store_true", help="before everything else on the machine (root)")
    options = parser.parse_args()
    if options.part == "guests":
        be_guests()
        return
    parts = {
        "cost": lambda: cost(options.calls or 100, options.seconds, options.first_port, is_realtime=options.realtime),
        "legs": lambda: legs(options.legs, options.seconds, options.first_port, is_realtime=options.realtime),
        "handshakes": lambda: handshakes(
            options.calls or 50, options.handshakes, options.seconds, options.first_port, is_realtime=options.realtime
        ),
    }
    told = asyncio.run(parts[options.part]())
    print("\n".join(table(told)) if options.part == "cost" and not options.json else json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
