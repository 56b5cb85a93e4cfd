"""What a leg costs by its codec: a call of Opus or G.722 with one of G.711, beside a relayed call of G.711 (house benchmark).

`python -m load.codec_bench` runs `--calls` calls of each kind in a media worker of their own, kind after kind and the round again, 50
packets a second into both legs, speech as the packaged sounds have it; CPU is the worker's own (`load.media_bench.cpu_ns`). Of each kind
the median over the rounds, the spread from least to most, and the ratio to the first: compare ratios, the machine makes the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import select
import socket
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from load.media_bench import PACKETS_A_SECOND, cpu_ns
from media.client import MediaPlane
from media.codecs import CODECS, clock_scale, encoder_at, octets_in
from media.control import ArrangeAudio, DescribeLeg
from media.frame import FRAME_SAMPLES, SAMPLE_RATE
from media.prompts import PACKAGED_SOUNDS, SoundLibrary
from media.rtp.packet import HEADER

KINDS = (("PCMA", "PCMA"), ("PCMA", "G722"), ("PCMA", "opus"), ("G722", "opus"), ("opus", "opus"))
"""The first is what the others are compared with."""
FMTP = "minptime=10;useinbandfec=1"
"""What Chromium says; with copies, Opus is at its dearest."""
_ADDRESS = "127.0.0.1"
_SPEECH = "de/queue.greeting"
_DYNAMIC = 100


def spoken(codec: str) -> list[bytes]:
    """A packaged sentence as payloads of 20 ms."""
    kept, missing = SoundLibrary(PACKAGED_SOUNDS).play((_SPEECH,), "PCMA", "")
    if missing:
        raise RuntimeError(f"{_SPEECH} is not there: {missing}")
    audio = CODECS["PCMA"].decoder().decode(kept)
    audio = audio[: audio.size // FRAME_SAMPLES * FRAME_SAMPLES]
    known, encoder = CODECS[codec], encoder_at(CODECS[codec], SAMPLE_RATE)
    if known.is_uneven:
        return [encoder.encode(audio[at : at + FRAME_SAMPLES]) for at in range(0, audio.size, FRAME_SAMPLES)]
    wire, size = encoder.encode(audio), octets_in(known, FRAME_SAMPLES)
    return [wire[at : at + size] for at in range(0, len(wire), size)]


class FarEnds:
    """One socket a leg; what comes is thrown away."""

    def __init__(self, codecs: tuple[str, ...]) -> None:
        self.codecs = codecs
        self._payloads = {codec: spoken(codec) for codec in set(codecs)}
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in codecs]
        for opened in self._sockets:
            opened.bind((_ADDRESS, 0))
            opened.setblocking(False)
        self.received = 0

    def port(self, leg: int) -> int:
        return int(self._sockets[leg].getsockname()[1])

    def run(self, targets: list[int], seconds: float) -> None:
        """Each leg 50 packets a second, one after the other within the 20 ms."""
        begin = time.monotonic()
        for number in range(round(seconds * PACKETS_A_SECOND)):
            for leg, codec in enumerate(self.codecs):
                payloads = self._payloads[codec]
                scale = clock_scale(CODECS[codec])
                header = HEADER.pack(0x80, _payload_type(codec), number & 0xFFFF, number * FRAME_SAMPLES * scale & 0xFFFFFFFF, leg + 1)
                self._sockets[leg].sendto(header + payloads[number % len(payloads)], (_ADDRESS, targets[leg]))
            self._read()
            select.select([], [], [], max(0.0, begin + (number + 1) / PACKETS_A_SECOND - time.monotonic()))
        self._read()

    def _read(self) -> None:
        for opened in self._sockets:
            try:
                while opened.recv(2048):
                    self.received += 1
            except BlockingIOError:
                continue

    def close(self) -> None:
        for opened in self._sockets:
            opened.close()


def _payload_type(codec: str) -> int:
    return _DYNAMIC if CODECS[codec].is_uneven else CODECS[codec].payload_type


async def run_kind(kind: tuple[str, str], calls: int, seconds: float, first_port: int) -> float:
    """Microseconds of the worker's CPU a call and 20 ms, both directions."""
    far_ends = FarEnds(kind * calls)
    with tempfile.TemporaryDirectory(prefix="fernamt-bench-") as folder:
        plane = await MediaPlane.start(
            workers=1,
            address=_ADDRESS,
            ports=(first_port, first_port + 4 * calls + 99),
            on_report=lambda _: None,
            control=Path(folder),
            orphan_s=0.0,
            log_level="ERROR",
        )
        try:
            targets: list[int] = []
            for leg, codec in enumerate(far_ends.codecs):
                targets.append((await plane.open_leg("bench", str(leg))).rtp_port)
                described = DescribeLeg(
                    leg=str(leg),
                    remote_address=_ADDRESS,
                    remote_port=far_ends.port(leg),
                    remote_rtcp_port=far_ends.port(leg),
                    codec=codec,
                    payload_type=_payload_type(codec),
                    telephone_event=101,
                    fmtp=FMTP if CODECS[codec].is_uneven else "",
                )
                plane.send("bench", described)
            for call in range(calls):
                one, other = str(2 * call), str(2 * call + 1)
                plane.send("bench", ArrangeAudio(room=f"room {call}", hears=((one, other), (other, one))))
            await plane.status()
            pid = plane.worker_pids()[0]
            cpu = cpu_ns(pid)
            await asyncio.to_thread(far_ends.run, targets, seconds)
            cpu = cpu_ns(pid) - cpu
        finally:
            await plane.close()
            far_ends.close()
    if not far_ends.received:
        raise RuntimeError(f"{kind}: nothing was heard")
    return cpu / 1000 / (calls * seconds * PACKETS_A_SECOND)


def main(arguments: list[str] | None = None) -> int:
    """Measure in turn and print medians."""
    parser = argparse.ArgumentParser(prog="python -m load.codec_bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=10, help="of each kind at a time (10)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run (2)")
    parser.add_argument("--rounds", type=int, default=3, help="of all kinds (3)")
    parser.add_argument("--first-port", type=int, default=43000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    figures: dict[str, list[float]] = {" with ".join(kind): [] for kind in KINDS}
    for _ in range(options.rounds):
        for kind in KINDS:
            cost = asyncio.run(run_kind(kind, options.calls, options.seconds, options.first_port))
            figures[" with ".join(kind)].append(round(cost, 1))
    if options.json:
        print(json.dumps(figures, indent=1))
        return 0
    first = median(next(iter(figures.values())))
    for name, costs in figures.items():
        print(
            f"{name:16} {median(costs):7.1f} us CPU a call and 20 ms ({min(costs)} to {max(costs)}), "
            f"{median(costs) / first:5.1f} times the first, {median(costs) * PACKETS_A_SECOND / 10_000:5.2f} % of a core"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
