"""What a worker sends in bridged calls, octet for octet: seeded packets in, a clock that only the test moves, no chance inside.

`python -m tests.media.relay_octets` prints the digests; `tests/vectors/media/relay.json` holds those of the worker of 0.2.
"""

import hashlib
import json
import mmap
import os
import random
import struct
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from media.codecs import CODECS
from media.control import ArrangeAudio
from media.dtmf import event_packets
from media.rtp.packet import HeaderExtension, RtpPacket
from tests.media.rig import Rig

VECTOR = Path(__file__).parent.parent / "vectors" / "media" / "relay.json"

_WORKER = """
import itertools, mmap, os, secrets, struct, time
import numpy.random  # draws a seed of its own when it is read
page = mmap.mmap(os.open({clock!r}, os.O_RDONLY), 8, prot=mmap.PROT_READ)
time.monotonic = lambda: struct.unpack("d", page[:8])[0]
drawn = itertools.count(1)
secrets.randbits = lambda bits: next(drawn) * 2654435761 % (1 << bits)
secrets.randbelow = lambda limit: next(drawn) * 40503 % limit
secrets.token_hex = lambda octets: "%016x" % next(drawn)
import media.worker
raise SystemExit(media.worker.main())
"""

CALLS = {
    "the same codec": ({}, {}),
    "two codecs": ({}, {"codec": "PCMU"}),
    "one takes no events": ({}, {"event": None}),
    "one takes keys by INFO": ({}, {"event": None, "digits_by_info": True}),
    "events of another number": ({}, {"event": 96}),
    "one asked for 40 ms": ({}, {"ptime_ms": 40, "asks_ptime": True}),
    "one takes 10 ms at most": ({"codec": "PCMU"}, {"ptime_ms": 10, "maxptime_ms": 10}),
}


class Clocked:
    """A worker whose time is ours."""

    def __init__(self, folder):
        clock = folder / "clock"
        clock.write_bytes(struct.pack("d", 1000.0))
        self._page = mmap.mmap(os.open(clock, os.O_RDWR), 8)
        self.now = 1000.0
        self.rig = Rig(folder, pairs=40, program=("-c", _WORKER.format(clock=str(clock))))
        self._read = 0

    def let_pass(self, seconds):
        for _ in range(round(seconds / 0.005)):
            self.now += 0.005
            self._page[:8] = struct.pack("d", self.now)
            self.rig.status()  # wakes it up, so that it does what is due

    def send(self, far_end, *datagrams):
        """One after the other, 20 ms apart, each read before the next."""
        for datagram in datagrams:
            far_end.rtp.sendto(datagram, far_end.target)
            self._read += 1
            while self.rig.status().packets_received < self._read:
                pass
            self.let_pass(0.02)


def stream(draw, codec, ssrc):
    """A hundred packets of a phone on a bad line, and what else comes to its port."""
    number, timestamp = draw.randrange(65000, 65536), draw.randrange(2**32)
    kind = CODECS[codec].payload_type

    def packet(payload_type=kind, size=160, **more):
        return bytes(RtpPacket(payload_type, number & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, draw.randbytes(size), **more))

    datagrams = [packet(marker=True)]
    for _ in range(100):
        size = draw.choice([160] * 12 + [80, 240, 320])
        number += 1
        timestamp += size
        match draw.randrange(50):
            case 0:
                datagrams.append(packet(13, 1))
            case 1:
                timestamp += 8000
            case 2 | 3:
                pass  # lost
            case 4:
                datagrams.append(packet(8 - kind, size))
            case 5:
                datagrams.append(packet(size=size, csrcs=(1, 2), extension=HeaderExtension(0xBEDE, b"abcd")))
            case 6:
                ssrc, number = ssrc + 0x10000, draw.randrange(65536)
                datagrams.append(packet(size=size))
            case 7:
                datagrams.append(draw.randbytes(draw.randrange(60)))
            case _:
                datagrams.append(packet(size=size))
    for at in range(0, len(datagrams) - 4, 17):
        datagrams[at], datagrams[at + 2] = datagrams[at + 2], datagrams[at]
    for at in range(0, len(datagrams), 23):
        datagrams.insert(at, datagrams[at])
    for event in event_packets("7", 100):
        number += 1
        datagrams.append(bytes(RtpPacket(101, number & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, event.payload, event.marker)))
    timestamp += 960
    for _ in range(20):
        number += 1
        timestamp += 160
        datagrams.append(packet())
    return datagrams


def digests(folder):
    """For each call and each side: how many packets it got, and the SHA-256 of all of them."""
    clocked = Clocked(folder)
    draw = random.Random(3550)
    rig = clocked.rig
    found = {}
    try:
        for name, fields in CALLS.items():
            a, b = (rig.leg(**each) for each in fields)
            both = (a.name, b.name), (b.name, a.name)

            def plain(far_end, numbers, draw=draw):
                kind = far_end.payload_type
                return [bytes(RtpPacket(kind, number, 160 * number, 77, draw.randbytes(160), number == 1)) for number in numbers]

            rig.order(ArrangeAudio(room=name, hears=both))
            for far_end, other in ((a, b), (b, a)):
                clocked.send(far_end, *stream(draw, far_end.codec, far_end.ssrc))
                clocked.let_pass(0.3)
                hold = {key: value for key, value in fields[other is b].items() if key not in {"codec", "event"}}
                rig.describe(other, telephone_event=fields[other is b].get("event", 101), sends=False, **hold)
                clocked.send(far_end, *plain(far_end, range(1, 6)))
                rig.describe(other, telephone_event=fields[other is b].get("event", 101), **hold)
                clocked.send(far_end, *plain(far_end, range(6, 20)))
                rig.order(ArrangeAudio(room=name))
                clocked.send(far_end, *plain(far_end, range(20, 24)))
                rig.order(ArrangeAudio(room=name, hears=both))
                clocked.send(far_end, *plain(far_end, range(24, 60)))
                clocked.let_pass(0.2)
            found[name] = []
            for far_end in (a, b):
                packets = [bytes(packet) for packet in far_end.heard()]
                found[name].append([len(packets), hashlib.sha256(b"".join(packets)).hexdigest()])
    finally:
        rig.clear()
        rig.end()
    return found


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        json.dump(digests(Path(folder)), sys.stdout, indent=1)
