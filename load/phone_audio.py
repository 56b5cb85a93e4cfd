"""The ears and the mouth of one synthetic phone: a paced RTP sender and a receiver that keeps what it hears (RFC 3550, RFC 3551, RFC 4733).

A frame is due at `start + n * 20 ms` of the loop's clock, never a sleep after the last; a phone that says nothing sends silence,
as real phones without VAD do. What arrives is placed by its RTP timestamp, so that lost packets are silence and not a shorter recording.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import socket
from collections import deque

import numpy as np

from load.hearing import has_tone
from load.rtp_watch import Numbers
from media.codecs.base import Decoder, clock_scale
from media.codecs.g711 import PCMA
from media.codecs.registry import CODECS, of_payload_type, of_rtpmap
from media.codecs.transcoder import decoder_at, encoder_at
from media.dtmf import EventReceiver, event_packets, parse_event
from media.errors import NotAuthentic, ParseError
from media.frame import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE, Samples, silence
from media.rtp.packet import DatagramKind, RtpPacket, kind_of, parse
from media.rtp.rtcp import ReceiverReport, ReportBlock, SdesItem, SenderReport, SourceDescription, compound
from media.rtp.rtcp import parse as parse_rtcp
from media.rtp.sequence import TIMESTAMP_MODULUS, timestamp_distance
from media.rtp.session import middle_32
from media.rtp.source import Source
from media.tones import tone
from media.transport.keys import SrtpKeys, Suite
from media.transport.srtp import SrtpProtection
from sip.sdp.crypto import AgreedKeys
from sip.sdp.offer_answer import LocalMedia, NegotiatedAudio

LONGEST_GAP_SAMPLES = 30 * SAMPLE_RATE
"""A larger step of the timestamp is a new stream, not silence."""
DATAGRAM_OCTETS = 4096
"""A datagram that is read, 2048, and room for a tag."""
READ_AT_ONCE = 32


def rtp_pair(address: str) -> tuple[socket.socket, socket.socket]:
    """RTP on an even port the kernel chose and RTCP on the next (RFC 3550 §11), both non-blocking.

    Raises: OSError: no such address, or no free pair after 200 tries.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(200):
        rtp, rtcp = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
        rtp.setblocking(False)
        rtcp.setblocking(False)
        try:
            rtp.bind((address, 0))
            port = rtp.getsockname()[1]
            if port % 2 == 0:
                rtcp.bind((address, port + 1))
                return rtp, rtcp
        except OSError as fault:
            if fault.errno != errno.EADDRINUSE:
                rtp.close()
                rtcp.close()
                raise
        rtp.close()
        rtcp.close()
    raise OSError(errno.EADDRINUSE, f"no free pair of ports on {address}")


class PhoneAudio:
    """RTP of one call; `open` before the SDP is written, `talk_to` once the other side is known, `close` at the end."""

    def __init__(self, address: str, rng: random.Random) -> None:
        self._loop = asyncio.get_running_loop()
        self._rtp, self._rtcp = rtp_pair(address)
        self.local = LocalMedia(address, self._rtp.getsockname()[1])
        self._loop.add_reader(self._rtp.fileno(), self._readable)
        self._loop.add_reader(self._rtcp.fileno(), self._rtcp_readable)
        self._ssrc, self._timestamp, self._sequence = rng.getrandbits(32), rng.getrandbits(32), rng.getrandbits(16)
        self._audio: NegotiatedAudio | None = None
        self._codec = PCMA.name
        self._scale = 1  # ticks of its RTP clock in one of 8 kHz
        self._encoder = encoder_at(PCMA, SAMPLE_RATE)
        self._decoders: dict[str, Decoder] = {}
        """By codec; of what is agreed on, and of what comes under a static number."""
        self._ticking: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._begins = True
        self._speech: deque[Samples] = deque()
        self._events: deque[tuple[bytes, bool]] = deque()
        self._event_timestamp: int | None = None
        self._idle: list[asyncio.Future[None]] = []
        self._heard: list[tuple[int, Samples]] = []
        self._length = 0
        self._origin: tuple[int, int, int] | None = None
        self._keys = EventReceiver()
        self._arrivals: list[asyncio.Future[None]] = []
        self.numbers: dict[int, Numbers] = {}
        """By SSRC: what was lost, late, twice."""
        self._sources: dict[int, Source] = {}
        self.digits = ""
        """DTMF heard as RFC 4733 events."""
        self.sent = self.received = self.rtcp_received = self.malformed = self.rejected = 0
        self._protection: SrtpProtection | None = None
        self._datagram = bytearray(DATAGRAM_OCTETS)
        self.is_muted = False

    # ------------------------------------------------------------------ mouth

    def talk_to(self, audio: NegotiatedAudio) -> None:
        """Send from now on as negotiated; again after a re-INVITE."""
        self._audio = audio
        self._protect(audio.srtp)
        codec = of_rtpmap(audio.codec.encoding, audio.codec.clock_rate, audio.codec.channels)
        assert codec is not None, "a phone offers what is in the registry"
        if codec.name != self._codec:
            self._codec, self._encoder = codec.name, encoder_at(codec, SAMPLE_RATE)
            self._scale = clock_scale(codec)
            self._keys.run_at(codec.clock_rate)
            for source in self._sources.values():
                source.run_at(codec.clock_rate)
        if self._ticking is None:
            self._due = self._loop.time()
            self._tick()

    def _protect(self, keys: AgreedKeys | None) -> None:
        if keys is None:
            self._protection = None
            return
        agreed = SrtpKeys(suite=Suite(keys.suite), send=keys.send, receive=keys.receive)
        if self._protection is None:
            self._protection = SrtpProtection(agreed, self._loop.time)
        else:
            self._protection.renew(agreed)

    def say(self, audio: Samples) -> None:
        """Put audio behind what is still to be said."""
        self._speech.extend(np.array_split(audio, range(FRAME_SAMPLES, len(audio), FRAME_SAMPLES)))

    def press(self, digits: str, duration_ms: int) -> None:
        """Press keys; what is said meanwhile waits.

        Raises: ValueError: no such key, or the other side takes no telephone-event.
        """
        if self._audio is None or self._audio.telephone_event is None:
            raise ValueError("the other side takes no telephone-event")
        for digit in digits:
            self._events.extend(
                (packet.payload, packet.marker) for packet in event_packets(digit, duration_ms, clock_rate=SAMPLE_RATE * self._scale)
            )
            self._events.extend([(b"", False)] * 3)  # 60 ms between two keys

    async def silence(self) -> None:
        """Wait until all is said."""
        while self._speech or self._events:
            waiter = self._loop.create_future()
            self._idle.append(waiter)
            await waiter

    def _tick(self) -> None:
        now = self._loop.time()
        while self._due <= now:
            self._frame()
            self._due += FRAME_S
        self._ticking = self._loop.call_at(self._due, self._tick)
        if not (self._speech or self._events):
            _wake(self._idle)

    def _frame(self) -> None:
        audio = self._audio
        assert audio is not None
        self._timestamp = (self._timestamp + FRAME_SAMPLES * self._scale) % TIMESTAMP_MODULUS
        if self._events:
            self._key_frame(audio)
            return
        speech = self._speech.popleft() if self._speech else np.zeros(FRAME_SAMPLES, dtype=np.int16)
        if not audio.direction.sends or self.is_muted:
            self._begins = True
            return
        if len(speech) < FRAME_SAMPLES:
            speech = np.concatenate([speech, np.zeros(FRAME_SAMPLES - len(speech), dtype=np.int16)])
        self._send(audio, audio.codec.number, self._timestamp, self._encoder.encode(speech), marker=self._begins)
        self._begins = False

    def _key_frame(self, audio: NegotiatedAudio) -> None:
        payload, marker = self._events.popleft()
        if not payload:
            self._event_timestamp = None
            self._send(audio, audio.codec.number, self._timestamp, self._encoder.encode(silence()), marker=False)
            return
        if self._event_timestamp is None:
            self._event_timestamp = self._timestamp
        assert audio.telephone_event is not None
        self._send(audio, audio.telephone_event, self._event_timestamp, payload, marker=marker)

    def _send(self, audio: NegotiatedAudio, payload_type: int, timestamp: int, payload: bytes, *, marker: bool) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        packet = RtpPacket(payload_type, self._sequence, timestamp, self._ssrc, payload, marker)
        try:
            self._rtp.sendto(self._sealed(bytes(packet)), (audio.remote_address, audio.remote_port))
        except (BlockingIOError, ConnectionRefusedError):
            return  # a phone's network drops too; the far end's counters show it
        self.sent += 1

    def _sealed(self, plain: bytes, *, is_report: bool = False) -> bytes:
        protection, buffer = self._protection, self._datagram
        if protection is None:
            return plain
        buffer[: len(plain)] = plain
        protect = protection.protect_rtcp if is_report else protection.protect_rtp
        return bytes(memoryview(buffer)[: protect(buffer, len(plain))])

    # ------------------------------------------------------------------ ears

    def _opened(self, datagram: bytes, *, is_report: bool = False) -> bytes:
        """Raises: NotAuthentic"""
        protection, buffer = self._protection, self._datagram
        if protection is None:
            return datagram
        buffer[: len(datagram)] = datagram
        unprotect = protection.unprotect_rtcp if is_report else protection.unprotect_rtp
        return bytes(memoryview(buffer)[: unprotect(buffer, len(datagram))])

    def _readable(self) -> None:
        for _ in range(READ_AT_ONCE):
            try:
                datagram = self._rtp.recv(2048)
            except (BlockingIOError, ConnectionRefusedError):
                break
            if kind_of(datagram) is not DatagramKind.RTP:
                continue
            try:
                self._hear(parse(self._opened(datagram)))
            except NotAuthentic:
                self.rejected += 1
            except ParseError:
                self.malformed += 1
        _wake(self._arrivals)

    def _rtcp_readable(self) -> None:
        """Answer each sender report at once with a receiver report, from which the service learns the round trip and what we lost.

        Deviation: RFC 3550 §6.2 would let it wait for its interval; ours is the service's own, and a test hears of it sooner.
        """
        for _ in range(READ_AT_ONCE):
            try:
                datagram, peer = self._rtcp.recvfrom(2048)
                packets = parse_rtcp(self._opened(datagram, is_report=True))
            except (BlockingIOError, ConnectionRefusedError):
                return
            except NotAuthentic:
                self.rejected += 1
                continue
            except ParseError:
                self.malformed += 1
                continue
            self.rtcp_received += 1
            for packet in packets:
                if isinstance(packet, SenderReport) and (source := self._sources.get(packet.ssrc)) is not None:
                    self._report(source, packet, peer)

    def _report(self, source: Source, heard: SenderReport, peer: tuple[str, int]) -> None:
        block = ReportBlock(
            ssrc=heard.ssrc,
            fraction_lost=source.close_interval(),
            cumulative_lost=source.cumulative_lost,
            extended_highest=source.extended_highest,
            interarrival_jitter=int(source.interarrival_jitter),
            last_sr=middle_32(heard.ntp),
            delay_since_last_sr=0,
        )
        name = SourceDescription(((self._ssrc, ((SdesItem.CNAME, b"phone@load"),)),))
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            self._rtcp.sendto(self._sealed(compound(ReceiverReport(self._ssrc, (block,)), name), is_report=True), peer)

    def _hear(self, packet: RtpPacket) -> None:
        self.received += 1
        self.numbers.setdefault(packet.ssrc, Numbers(16)).one(packet.sequence_number)
        source = self._sources.get(packet.ssrc)
        if source is None:
            source = self._sources[packet.ssrc] = Source(packet.ssrc, packet.sequence_number, SAMPLE_RATE * self._scale)
        event = self._audio.receive_telephone_event if self._audio is not None else None
        if packet.payload_type == event:
            source.receive_untimed(packet.sequence_number)
            self.digits += "".join(
                one.digit
                for one in self._keys.receive(
                    packet.timestamp,
                    parse_event(packet.payload),
                    self._loop.time(),
                    number=packet.sequence_number,
                    marker=packet.marker,
                )
            )
            return
        source.receive(packet.sequence_number, packet.timestamp, self._loop.time())
        is_agreed = self._audio is not None and packet.payload_type == self._audio.receive_payload_type
        codec = CODECS[self._codec] if is_agreed else of_payload_type(packet.payload_type)
        if codec is None:
            return
        decoder = self._decoders.get(codec.name)
        if decoder is None:
            decoder = self._decoders[codec.name] = decoder_at(codec, SAMPLE_RATE)
        samples = decoder.decode(packet.payload)
        place = self._place(packet.ssrc, packet.timestamp)
        self._heard.append((place, samples))
        self._length = max(self._length, place + len(samples))

    def _place(self, ssrc: int, timestamp: int) -> int:
        """Where in the recording this timestamp stands; a new source, or a jump, goes on at the end."""
        if self._origin is not None and self._origin[0] == ssrc:
            place = self._origin[2] + timestamp_distance(timestamp, self._origin[1]) // self._scale
            if self._length - LONGEST_GAP_SAMPLES <= place <= self._length + LONGEST_GAP_SAMPLES and place >= 0:
                return place
        self._origin = (ssrc, timestamp, self._length)
        return self._length

    @property
    def position(self) -> int:
        """The end of the recording, in samples: remember it to hear only what comes later."""
        return self._length

    def heard(self, since: int = 0) -> Samples:
        """The recording from sample `since` on; what was lost is silence."""
        recording = np.zeros(max(0, self._length - since), dtype=np.int16)
        for place, samples in reversed(self._heard):
            if place + len(samples) <= since:
                if place + LONGEST_GAP_SAMPLES < since:
                    break
                continue
            first = max(place, since)
            recording[first - since : place + len(samples) - since] = samples[first - place :]
        return recording

    async def wait_for(self, samples: int, timeout_s: float, since: int | None = None) -> Samples:
        """The next `samples` samples (from `since`, or from now).

        Raises: TimeoutError: fewer came.
        """
        start = self._length if since is None else since
        async with asyncio.timeout(timeout_s):
            while self._length - start < samples:
                await self._next_arrival()
        return self.heard(start)[:samples]

    async def wait_for_tone(self, frequency_hz: float, timeout_s: float, *, length_s: float = 0.2) -> None:
        """Until the tone has sounded for `length_s`.

        Raises: TimeoutError: it did not.
        """
        samples = round(length_s * SAMPLE_RATE)
        async with asyncio.timeout(timeout_s):
            while not (self._length >= samples and has_tone(self.heard(self._length - samples), frequency_hz)):
                await self._next_arrival()

    async def _next_arrival(self) -> None:
        waiter = self._loop.create_future()
        self._arrivals.append(waiter)
        await waiter

    @property
    def lost(self) -> int:
        """Gaps in the sequence numbers of all that was heard."""
        return sum(one.lost for one in self.numbers.values())

    def close(self) -> None:
        """Fall silent and free the ports; the recording stays."""
        if self._rtp.fileno() < 0:
            return
        self._loop.remove_reader(self._rtp.fileno())
        self._loop.remove_reader(self._rtcp.fileno())
        if self._ticking is not None:
            self._ticking.cancel()
        self._rtp.close()
        self._rtcp.close()
        self._speech.clear()
        self._events.clear()
        _wake(self._idle)


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()


def probe_tone(frequency_hz: float, seconds: float) -> Samples:
    """A clean tone at -18 dBFS, loud enough to be found and quiet enough not to clip."""
    return tone((frequency_hz,), seconds)
