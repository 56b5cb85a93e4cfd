"""A real worker process, its control connection, and far ends on real sockets: what the end-to-end tests hold in their hands."""

import itertools
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from media import framing
from media.codecs import CODECS, clock_scale, decoder_at, encoder_at
from media.control import ArrangeAudio, AskStatus, CloseLeg, DescribeLeg, Greeting, LegClosed, LegOpened, OpenLeg, Shutdown, Status
from media.io import control_socket
from media.rtp import packet as rtp
from media.rtp import rtcp
from media.rtp.packet import RtpPacket
from tests.media.codecs.packets import packets_of

ROOT = Path(__file__).resolve().parent.parent.parent
DEADLINE_S = 10.0


def free_ports(pairs):
    """A first port above which `pairs` pairs were free a moment ago, below the ephemeral range."""
    # Processes of one run get ranges of their own: a worker binds its ports later, when somebody else may have looked at them as well.
    part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
    for base in range(20000 + part * 3000 + os.getpid() % 10 * 200, 32700 - 2 * pairs, 2 * pairs):
        opened = []
        try:
            for port in range(base, base + 2 * pairs):
                probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                opened.append(probe)
                probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        else:
            return base
        finally:
            for probe in opened:
                probe.close()
    raise RuntimeError("no free ports")


def talk(audio, *, frames, lose=None):
    """Several far ends speak at once, 20 ms packets on absolute deadlines.

    Args:
        audio: samples by far end, repeated when they are over.
        lose: far end and number of a packet -> whether it is lost on the way.
    Returns: when the last packets were over, on the monotonic clock: a machine that is busy wakes us later.
    """
    encoded = {far_end: far_end.packets(samples) for far_end, samples in audio.items()}
    begin = last = time.monotonic()
    for number in range(frames):
        last = time.monotonic()
        for far_end, payloads in encoded.items():
            packet = far_end.packet(payloads[number % len(payloads)])
            if lose is None or not lose(far_end, number):
                far_end.send(packet)
        select.select([], [], [], max(0.0, begin + (number + 1) * 0.02 - time.monotonic()))
    return last + 0.02


def level(audio, frequency):
    """dBFS of one frequency in the audio."""
    if audio.size < 160:
        return float("-inf")
    window = np.hanning(audio.size)
    at = np.exp(-2j * np.pi * frequency * np.arange(audio.size) / 8000)
    amplitude = 2 * abs(np.sum(audio.astype(float) * window * at)) / window.sum()
    return 20 * np.log10(max(amplitude, 1e-6) / 32768)


class FarEnd:
    """A phone's media: an RTP and an RTCP socket, a clock of its own, a codec."""

    def __init__(self, codec="PCMA", ssrc=0x1000, family=socket.AF_INET, address="127.0.0.1"):
        self.speaks(codec)
        self.ssrc = ssrc
        self.number = 65530  # wraps soon
        self.timestamp = 4_294_960_000
        self.rtp = socket.socket(family, socket.SOCK_DGRAM)
        self.rtcp = socket.socket(family, socket.SOCK_DGRAM)
        for opened in (self.rtp, self.rtcp):
            opened.bind((address, 0))
            opened.settimeout(DEADLINE_S)
        self.address = address
        self.target = None
        self.rtcp_target = None

    def speaks(self, codec):
        """From now on; describe it anew."""
        self.codec = codec
        self.payload_type = CODECS[codec].payload_type
        self.scale = clock_scale(CODECS[codec])
        self.encoder, self.decoder = encoder_at(CODECS[codec], 8000), decoder_at(CODECS[codec], 8000)

    @property
    def port(self):
        return self.rtp.getsockname()[1]

    def packet(self, payload, *, payload_type=None, marker=False, advance=None):
        """The next packet of this far end's stream."""
        made = RtpPacket(
            self.payload_type if payload_type is None else payload_type,
            self.number & 0xFFFF,
            self.timestamp & 0xFFFFFFFF,
            self.ssrc,
            payload,
            marker,
        )
        self.number += 1
        self.timestamp += 160 * self.scale if advance is None else advance
        return made

    def packets(self, audio):
        """Audio at 8 kHz as payloads of 20 ms, the next of its stream."""
        return packets_of(CODECS[self.codec], audio, self.encoder)

    def send(self, packet):
        self.rtp.sendto(bytes(packet), self.target)

    def speak(self, audio, *, pace=False, lose=()):
        """Send audio, at 8 kHz, as 20 ms packets; `pace` on absolute deadlines, else at once."""
        sent = []
        begin = time.monotonic()
        for index, payload in enumerate(self.packets(audio)):
            packet = self.packet(payload)
            if index not in lose:
                self.send(packet)
                sent.append(packet)
            if pace:
                select.select([], [], [], max(0.0, begin + (index + 1) * 0.02 - time.monotonic()))
        return sent

    def hear(self, count):
        """The next `count` RTP packets."""
        packets = []
        while len(packets) < count:
            datagram = self.rtp.recv(2048)
            if rtp.kind_of(datagram) is rtp.DatagramKind.RTP:
                packets.append(rtp.parse(datagram))
        return packets

    def heard(self):
        """Every RTP packet that is here by now."""
        packets = []
        self.rtp.setblocking(False)
        try:
            while True:
                datagram = self.rtp.recv(2048)
                if rtp.kind_of(datagram) is rtp.DatagramKind.RTP:
                    packets.append(rtp.parse(datagram))
        except BlockingIOError:
            return packets
        finally:
            self.rtp.settimeout(DEADLINE_S)

    def hear_nothing(self):
        """Whether no RTP is waiting now; ask the worker something first, so that it has done what came before."""
        self.rtp.setblocking(False)
        try:
            self.rtp.recv(2048)
        except BlockingIOError:
            return True
        finally:
            self.rtp.settimeout(DEADLINE_S)
        return False

    def everything(self):
        """The RTP packets that wait now."""
        packets = []
        self.rtp.setblocking(False)
        try:
            while True:
                packets.append(rtp.parse(self.rtp.recv(2048)))
        except BlockingIOError:
            return packets
        finally:
            self.rtp.settimeout(DEADLINE_S)

    def drain(self):
        while not self.hear_nothing():
            pass

    def reports(self):
        """The next RTCP compound."""
        return rtcp.parse(self.rtcp.recv(2048))

    def audio(self, packets):
        """What they say, at 8 kHz."""
        return np.concatenate([np.zeros(0, dtype=np.int16), *[self.decoder.decode(packet.payload) for packet in packets]])

    def close(self):
        self.rtp.close()
        self.rtcp.close()


class Rig:
    """One worker process and its far ends."""

    def __init__(self, folder, pairs=200, sounds=(), base=None, orphan_s=60.0, program=("-m", "media.worker")):
        self.folder = folder
        self.base = base or free_ports(pairs)
        control = folder / "control.sock"
        arguments = ["--control", str(control), "--ports", f"{self.base}-{self.base + 2 * pairs - 1}", "--parent", str(os.getpid())]
        arguments += ["--orphan-s", str(orphan_s)]
        for each in sounds:
            arguments += ["--sounds", str(each)]
        self.log_path = folder / "worker.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, *program, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout.readline() == b"ready\n"
        self.control = control
        self.connect()
        self.requests = itertools.count(1)
        self.names = itertools.count(1)
        self.far_ends = []
        self.rooms = {}

    def connect(self):
        """Be the main process, or the next one."""
        self.connection = control_socket.connect(self.control)
        self.connection.settimeout(DEADLINE_S)
        self.reader = framing.report_reader()
        self.reports = []
        self.greeting = self.wait_for(Greeting)

    # ------------------------------------------------------------ orders and reports

    def order(self, *orders):
        self.connection.sendall(b"".join(framing.encode(order) for order in orders))

    def wait_for(self, kind, **fields):
        """The next report of a kind with these fields; others are kept for whoever waits for them."""
        end = time.monotonic() + DEADLINE_S
        while True:
            for index, report in enumerate(self.reports):
                if isinstance(report, kind) and all(getattr(report, name) == value for name, value in fields.items()):
                    return self.reports.pop(index)
            assert time.monotonic() < end, f"no {kind.__name__} {fields} among {self.reports}"
            octets = self.connection.recv(1 << 16)
            assert octets, "the worker hung up"
            self.reports += self.reader.feed(octets)

    def have(self, kind, **fields):
        """Reports of a kind that came so far."""
        return [
            each for each in self.reports if isinstance(each, kind) and all(getattr(each, name) == value for name, value in fields.items())
        ]

    def ask(self, order):
        self.order(order)
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            for index, report in enumerate(self.reports):
                if getattr(report, "request", None) == order.request:
                    return self.reports.pop(index)
            self.reports += self.reader.feed(self.connection.recv(1 << 16))
        raise AssertionError(f"no answer to {order}")

    def status(self) -> Status:
        """Also a way to know that everything ordered before is done."""
        return self.ask(AskStatus(request=next(self.requests)))

    def settle(self, packets):
        """Wait until the worker has read `packets` more than it had; UDP on loopback is in its queue by now."""
        end = time.monotonic() + DEADLINE_S
        while self.status().packets_received < packets:
            assert time.monotonic() < end

    # ------------------------------------------------------------ legs

    def leg(self, codec="PCMA", *, address="127.0.0.1", event=101, described=True, ssrc=None, ice=None, **fields):
        """A leg with its far end; described unless told otherwise."""
        name = f"leg-{next(self.names)}"
        opened = self.ask(OpenLeg(request=next(self.requests), leg=name, address=address, ice=ice))
        assert isinstance(opened, LegOpened), opened
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        far_end = FarEnd(codec, ssrc or 0x1000 + len(self.far_ends), family, address)
        far_end.target = (address, opened.rtp_port)
        far_end.rtcp_target = (address, opened.rtcp_port)
        far_end.name = name
        far_end.fingerprint = opened.fingerprint
        self.far_ends.append(far_end)
        if described:
            self.describe(far_end, telephone_event=event, **fields)
        return far_end

    def describe(self, far_end, **fields):
        values = {
            "leg": far_end.name,
            "remote_address": far_end.address,
            "remote_port": far_end.port,
            "remote_rtcp_port": far_end.rtcp.getsockname()[1],
            "codec": far_end.codec,
            "payload_type": far_end.payload_type,
            "telephone_event": 101,
        }
        self.order(DescribeLeg(**(values | fields)))

    def bridge(self, a, b):
        """The two hear each other, and nobody else."""
        room = f"{a.name} {b.name}"
        self.rooms[a.name] = self.rooms[b.name] = room
        self.arrange((a, b), (b, a), room=room)

    def parting(self, far_end):
        """The order by which it hears its partner no more."""
        return ArrangeAudio(room=self.rooms[far_end.name])

    def arrange(self, *hears, room="room"):
        """Who hears whom, as pairs of far ends: listener, speaker."""
        self.order(ArrangeAudio(room=room, hears=tuple((listener.name, speaker.name) for listener, speaker in hears)))
        return self.status()

    def close_leg(self, far_end):
        self.order(CloseLeg(leg=far_end.name))
        return self.wait_for(LegClosed, leg=far_end.name).quality

    def clear(self):
        """Between two tests: close what is open, forget what was reported."""
        for far_end in self.far_ends:
            self.order(CloseLeg(leg=far_end.name))
            far_end.close()
        self.far_ends.clear()
        self.status()
        self.reports.clear()

    def end(self):
        if self.process.poll() is None:
            self.order(Shutdown())
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.connection.close()
        self.process.stdout.close()
