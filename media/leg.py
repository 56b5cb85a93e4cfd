"""One leg: what comes in on its ports, what goes out, what plays, what it is bridged to (RFC 3550, 4733, 4961; DESIGN.md §4).

`receive_rtp` is the hot path of the whole product: one call a packet, everything seldom is in a method of its own. Nothing here waits; the
sockets are non-blocking, the worker calls when they are readable or when a tick is due.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from media import dtmf, quality, tones
from media.codecs.base import Encoder, octets_in, ticks_in
from media.codecs.g711 import PCMA
from media.codecs.registry import CODECS, CONVERSIONS, of_payload_type
from media.codecs.transcoder import decoder_at, encoder_at
from media.control import Codec, DescribeLeg, DigitBegan, DigitMeans, DigitReceived, LegClosed, LegLatched, LegSilent, PlayEnded, Quality
from media.errors import ParseError
from media.frame import FRAME_SAMPLES, PTIME_MS, SAMPLE_RATE
from media.io.udp import MTU_OCTETS, kernel_drops
from media.rtp import packet as rtp
from media.rtp import rtcp
from media.rtp.latch import Address, Latch, Verdict
from media.rtp.outgoing import OutgoingStream
from media.rtp.packet import DatagramKind
from media.rtp.repacketiser import Cut, Repacketiser
from media.rtp.session import RtpSession
from media.rtp.source import Arrival, Source

if TYPE_CHECKING:
    from media.io.pacer import Timer
    from media.recorder import Channel
    from media.worker import Worker

log = logging.getLogger("media.leg")

_monotonic = time.monotonic
_UNPACK = rtp.HEADER.unpack_from
_HEADER_OCTETS = rtp.HEADER_OCTETS
_IN_ORDER = Arrival.IN_ORDER
_LATE = Arrival.LATE
_RESTARTED = Arrival.RESTARTED
_COMFORT_NOISE = frozenset({13, 19})
"""RFC 3389 §4 (13), and the number it had in drafts, which gateways still send (RFC 3551 §6: 19 reserved). Sent unasked by phones that
suppress silence: it counts as heard and as received, and is nothing to pass on to who has not offered it.
"""
MOST_PATIENCE = 8
"""A silence is reported after 1, 2, 4, 8, 16, 24, … times its limit."""
_MOST_PACED = 4
"""Packets cut from longer ones that wait for their time; beyond, they go out at once: 80 ms of 20 ms packets are enough to be behind."""
_NO_TABLE = b""
"""Where a conversion stands: octets of one codec do not become octets of the other, and nothing is relayed between them."""
_RELAYED_DIGIT_MS = 100
"""A digit passed on in band: its true length is not known when it begins."""

Outcome = Literal["finished", "stopped", "unknown_sound"]


def _kept_in(codec: Codec) -> Codec:
    """The codec itself where a table leads to it from A-law, in which sounds are kept; else A-law."""
    return codec if (PCMA.name, codec) in CONVERSIONS else PCMA.name


class Playback:
    """Encoded audio of one `Play`, taken out in frames."""

    __slots__ = ("_audio", "_loop", "_position", "left_out", "play", "sounds", "stop_on_digit")

    def __init__(self, play: str, sounds: tuple[str, ...], audio: bytes, *, loop: bool, stop_on_digit: bool) -> None:
        self.play = play
        self.sounds = sounds
        self.stop_on_digit = stop_on_digit
        self.left_out: tuple[str, ...] = ()
        """Names that were not there."""
        self._audio = audio
        self._loop = loop and bool(audio)
        self._position = 0

    def next_frame(self, silence: int, octets: int = FRAME_SAMPLES) -> bytes | None:
        """The next octets, the last ones filled up with silence; None at the end."""
        start = self._position
        end = start + octets
        frame = self._audio[start:end]
        self._position = end
        if len(frame) == octets:
            return frame
        if self._loop:
            while len(frame) < octets:
                self._position = octets - len(frame)
                frame += self._audio[: self._position]
            return frame
        return frame.ljust(octets, bytes((silence,))) if frame else None

    def translate(self, table: bytes) -> None:
        """The leg's codec changed in the middle."""
        self._audio = self._audio.translate(table)


class Interjection:
    """One packet's time of digits we send: an event packet, a frame of tone, or the gap between two digits."""

    __slots__ = ("begins", "payload", "tone")

    def __init__(self, payload: bytes | None, *, tone: bool = False, begins: bool = False) -> None:
        self.payload = payload
        self.tone = tone
        self.begins = begins

    def translate(self, table: bytes) -> None:
        """The leg's codec changed before it was sent."""
        if self.tone and self.payload is not None:
            self.payload = self.payload.translate(table)


class Leg:
    """State of one leg; owned by the worker's loop."""

    __slots__ = (
        "_alive_at",
        "_begins",
        "_conversion",
        "_cutter",
        "_detector",
        "_event_timer",
        "_event_timestamp",
        "_events",
        "_hearing",
        "_interjections",
        "_is_unknown_type_told",
        "_last_heard_at",
        "_outgoing",
        "_paced",
        "_pacing",
        "_plain_octets",
        "_receive",
        "_report_timer",
        "_rtcp_remote",
        "_send",
        "_silence_timer",
        "_silence_to_report",
        "_source",
        "_source_ssrc",
        "_undisputed",
        "_worker",
        "address",
        "channels",
        "codec",
        "described",
        "drops",
        "encoder",
        "ignored",
        "latch",
        "loss_concealment",
        "name",
        "partner",
        "payload_type",
        "playback",
        "port",
        "ptime_ms",
        "remote",
        "rtcp_socket",
        "rtp_socket",
        "sends",
        "session",
        "sounds_in",
        "speaks",
        "telephone_event",
        "telephone_events_in",
    )

    def __init__(
        self, worker: Worker, name: str, address: str, port: int, sockets: tuple[socket.socket, socket.socket], *, loss_concealment: bool
    ) -> None:
        self._worker = worker
        self.name = name
        self.address = address
        self.port = port
        self.rtp_socket, self.rtcp_socket = sockets
        self._receive: Callable[[bytearray], tuple[int, Any]] = self.rtp_socket.recvfrom_into
        self._send: Callable[[memoryview, Address], int] = self.rtp_socket.sendto
        self.loss_concealment = loss_concealment
        # RFC 3550 §5.1, §8.1: SSRC, first sequence number and first timestamp are random; the number in the lower half, so that it
        # does not wrap at once.
        outgoing = OutgoingStream(secrets.randbits(32), secrets.randbits(15), secrets.randbits(32))
        self._outgoing = outgoing
        self.session = RtpSession(outgoing, secrets.token_hex(8))  # RFC 7022 §4.2: a short-term persistent random CNAME
        self.latch = Latch()
        self._undisputed: Address | None = None  # the latched address while no other one is being considered
        self.remote: Address | None = None
        self._rtcp_remote: Address | None = None
        self.described: DescribeLeg | None = None
        self.codec: Codec = PCMA.name
        self.sounds_in: Codec = PCMA.name
        """What our own audio is kept in until it is sent: G.711."""
        self.encoder: Encoder | None = None
        """Set: the codec is another, and all of our own audio goes through this: the far end has one decoder for whatever it hears."""
        self.payload_type = -1
        self.telephone_event: int | None = None
        self.telephone_events_in: frozenset[int] = frozenset()
        self.sends = False
        self.partner: Leg | None = None
        self._conversion: bytes | None = None
        self._plain_octets = -1  # a packet of this length is relayed as it is; every other one is looked at, see `_change`
        self._cutter: Repacketiser | None = None
        self._paced: deque[tuple[Cut, int]] = deque()
        self._pacing: Timer | None = None
        self.ptime_ms = PTIME_MS
        self._source: Source | None = None
        self._source_ssrc = -1
        self.playback: Playback | None = None
        self.speaks = False
        self._begins = True
        self._interjections: deque[Interjection] = deque()
        self._event_timestamp = 0
        self._events = dtmf.EventReceiver()
        self._event_timer: Timer | None = None
        self._detector: dtmf.ToneDetector | None = None
        self._hearing = decoder_at(CODECS[self.codec], SAMPLE_RATE)
        self.channels: tuple[Channel, ...] = ()
        self._report_timer: Timer | None = None
        self._silence_timer: Timer | None = None
        self._silence_to_report = 0.0
        self._last_heard_at = 0.0
        self._alive_at = 0.0
        self._is_unknown_type_told = False
        self.ignored = 0
        self.drops = 0

    # ---------------------------------------------------------------- receiving

    def receive_rtp(self) -> None:
        """One datagram of the RTP port."""
        # Attributes that are called are loaded into a name first: CPython 3.11 specialises that, but not a call on a slot.
        worker = self._worker
        buffer = worker.buffer
        receive = self._receive
        try:
            octets, address = receive(buffer)
        except BlockingIOError:
            return
        except OSError as error:  # an ICMP error of an earlier packet; the socket stays good
            log.debug("! leg=%s receive: %s", self.name, error)
            return
        now = _monotonic()
        worker.packets_received += 1
        if octets <= _HEADER_OCTETS or buffer[0] != 0x80:
            self._receive_unusual(octets, address, now)
            return
        _, second, sequence_number, timestamp, ssrc = _UNPACK(buffer)
        source = self._source
        if second & 0x7F != self.payload_type or ssrc != self._source_ssrc or address != self._undisputed or source is None:
            self._receive_seldom(octets, address, now)
            return
        arrival = source.receive(sequence_number, timestamp, now)
        if arrival is not _IN_ORDER and not self._take_out_of_order(arrival):
            return
        self._last_heard_at = now
        if self.channels:
            worker.record(self.channels, timestamp, worker.view[_HEADER_OCTETS:octets], now)
        if self._detector is not None:
            self._detect(bytes(buffer[_HEADER_OCTETS:octets]))
        partner = self.partner
        if partner is None or partner.speaks or not partner.sends or (remote := partner.remote) is None:
            return
        if octets != self._plain_octets and not self._change(partner, octets, now):
            return
        outgoing = partner._outgoing  # noqa: SLF001 - two legs of one bridge; a property would cost a call for every packet
        second = second & 0x80 | partner.payload_type
        if outgoing.relay(buffer, second, sequence_number, timestamp, ssrc, octets - _HEADER_OCTETS, now):
            send = partner._send  # noqa: SLF001 - as above
            try:
                send(worker.view[:octets], remote)
                worker.packets_sent += 1
            except OSError as error:
                partner.count_send_error(error)

    def _take_out_of_order(self, arrival: Arrival) -> bool:
        """Whether a packet that is not the expected one is passed on."""
        if arrival is _RESTARTED and self.partner is not None:
            self.partner._outgoing.break_off()  # noqa: SLF001 - two legs of one bridge
        return arrival is _LATE or arrival is _RESTARTED

    def _receive_unusual(self, octets: int, address: Address, now: float) -> None:
        """Not a plain RTP header: CSRCs, extension or padding; RTCP on the same port (RFC 5761); STUN; noise."""
        datagram = bytes(self._worker.view[:octets])
        match rtp.kind_of(datagram):
            case DatagramKind.RTCP:
                self._receive_reports(datagram, address, now)
            case DatagramKind.RTP:
                try:
                    parsed = rtp.parse(datagram)
                except ParseError as error:
                    self._ignore("malformed RTP", address, error)
                    return
                if not parsed.payload:
                    self._ignore("empty RTP", address)
                    return
                # The far end gets a plain header: what a mixer or an extension said was said to us.
                second = parsed.marker << 7 | parsed.payload_type
                plain = rtp.HEADER.pack(0x80, second, parsed.sequence_number, parsed.timestamp, parsed.ssrc)
                octets = _HEADER_OCTETS + len(parsed.payload)
                self._worker.buffer[:octets] = plain + parsed.payload
                self._receive_seldom(octets, address, now)
            case kind:
                self._ignore(kind.name, address)

    def _receive_seldom(self, octets: int, address: Address, now: float) -> None:
        """A plain RTP packet in the buffer that is not the next one of the known stream: first, foreign, event, other codec."""
        worker = self._worker
        buffer = worker.buffer
        _, second, sequence_number, timestamp, ssrc = _UNPACK(buffer)
        payload_type = second & 0x7F
        described = self.described
        if second in range(192, 224):
            self._receive_reports(bytes(buffer[:octets]), address, now)
            return
        if described is None or not described.receives:
            self._ignore("not wanted now", address)
            return
        is_event = payload_type in self.telephone_events_in
        is_noise = payload_type in _COMFORT_NOISE and not is_event
        codec = self.codec if payload_type == self.payload_type else self._codec_of(payload_type)
        if codec is None and not is_event and not is_noise:
            if address == self.latch.address:
                self._alive_at = now  # of no use to us, but somebody is there
            self._ignore_type(payload_type, address)
            return
        if address != self.latch.address:
            is_agreed = payload_type in {self.payload_type, described.receive_payload_type, *self.telephone_events_in, *_COMFORT_NOISE}
            verdict = self._consider(address, ssrc, sequence_number, now) if is_agreed else Verdict.FOREIGN
            if verdict is Verdict.FOREIGN:
                self._undisputed = None  # so that the next packet of the latched address comes here and ends the count
                self._ignore("foreign source", address)
                return
            if verdict is Verdict.LATCHED:
                self._follow(address)
            else:
                log.debug("< leg=%s hears %s:%d and sends where the description says", self.name, address[0], address[1])
        else:
            self.latch.heard_latched()
        self._undisputed = address
        source = self._source
        if source is None or ssrc != self._source_ssrc:
            source = self._source = self.session.new_source(ssrc, sequence_number)
            self._source_ssrc = ssrc
            self._report_digits(self._events.new_source(), "event")
            self._fit_relay()
            if self.partner is not None:
                self.partner._outgoing.break_off()  # noqa: SLF001 - what was not received meanwhile is no loss to the partner
        self._last_heard_at = now
        arrival = source.receive_untimed(sequence_number) if is_event else source.receive(sequence_number, timestamp, now)
        if arrival is not _IN_ORDER and not self._take_out_of_order(arrival):
            return
        if is_noise:
            if self.partner is not None:
                self.partner._outgoing.leave_out()  # noqa: SLF001 - two legs of one bridge
            return
        if is_event:
            self._receive_event(buffer, octets, timestamp, now)
        elif codec is not None:
            if codec != self.codec:
                table = CONVERSIONS[codec, self.codec]
                if table is not None:
                    buffer[_HEADER_OCTETS:octets] = buffer[_HEADER_OCTETS:octets].translate(table)
            if self.channels:
                worker.record(self.channels, timestamp, worker.view[_HEADER_OCTETS:octets], now)
            if self._detector is not None:
                self._detect(bytes(buffer[_HEADER_OCTETS:octets]))
        self._relay_seldom(octets, second, is_event=is_event, now=now)

    def _codec_of(self, payload_type: int) -> Codec | None:
        """What comes under another number than the one we send by: what our description calls it, or a static one with a table."""
        if self.described is not None and payload_type == self.described.receive_payload_type:
            return self.codec
        other = of_payload_type(payload_type)
        return other.name if other is not None and (other.name, self.codec) in CONVERSIONS else None

    def _relay_seldom(self, octets: int, second: int, *, is_event: bool, now: float) -> None:
        """Pass on what `_receive_seldom` took; audio in the buffer is in this leg's codec by now."""
        partner = self.partner
        if partner is None or partner.speaks or not partner.sends or partner.remote is None:
            return
        buffer = self._worker.buffer
        _, _, sequence_number, timestamp, ssrc = _UNPACK(buffer)
        payload_type = partner.payload_type
        if is_event:
            if partner.telephone_event is None:
                partner._outgoing.leave_out()  # noqa: SLF001 - two legs of one bridge
                return  # `_begin_event` sends a tone instead, or the key is told by signalling
            payload_type = partner.telephone_event
            if sequence_number == self._events.newest:
                timestamp = self._events.began  # which some devices move, and others count as another press
        elif not self._change(partner, octets, now):
            return
        if partner._outgoing.relay(  # noqa: SLF001 - two legs of one bridge
            buffer, second & 0x80 | payload_type, sequence_number, timestamp, ssrc, octets - _HEADER_OCTETS, now
        ):
            partner.send(octets)

    def _change(self, partner: Leg, octets: int, now: float) -> bool:
        """Do to the audio in the buffer what must be done before it is passed on; False: it is not, or was in other packets."""
        events = self._events
        timestamp, ssrc = _UNPACK(self._worker.buffer)[3:]
        if events.is_open or (now - events.heard_at < events.QUIET_S and events.covers(timestamp)):
            # The key is passed on for what it is; a tone of it, which some devices send as well, would be a second press.
            partner._outgoing.leave_out()
            return False
        buffer = self._worker.buffer
        if self._conversion == _NO_TABLE:
            partner._outgoing.leave_out()
            return False
        if self._conversion is not None:
            buffer[_HEADER_OCTETS:octets] = buffer[_HEADER_OCTETS:octets].translate(self._conversion)
        if partner.takes(octets - _HEADER_OCTETS) and (self._cutter is None or (self._cutter.is_empty and not self._paced)):
            self._cutter = None  # one packet of another length, at the end of a talk-spurt, say, changes nothing for those that follow
            if self._conversion is None:
                self._plain_octets = octets
            return True
        if self._cutter is None:
            codec = CODECS[partner.codec]
            self._cutter = Repacketiser(partner.frame_samples, codec.silence, octets_in(codec, 1))
        self._plain_octets = -1
        self._paced.extend((cut, ssrc) for cut in self._cutter.put(timestamp, bytes(buffer[_HEADER_OCTETS:octets])))
        if self._pacing is None:
            self._send_cut(now)
        return False

    def takes(self, octets: int) -> bool:
        """Whether a relayed packet with so much payload is what the far end takes."""
        samples = ticks_in(CODECS[self.codec], octets)
        described = self.described
        if described is None or described.asks_ptime:
            return samples == self.frame_samples
        return described.maxptime_ms is None or samples * 1000 <= described.maxptime_ms * SAMPLE_RATE

    @property
    def frame_samples(self) -> int:
        """Length of the packets that the far end gets, in ticks of the RTP clock."""
        return self.ptime_ms * SAMPLE_RATE // 1000

    @property
    def frame_octets(self) -> int:
        """As long, in octets of what our own audio is kept in."""
        return octets_in(CODECS[self.sounds_in], self.frame_samples)

    def _send_cut(self, now: float) -> None:
        """What was cut from longer packets goes out in its time, not in a burst."""
        self._pacing = None
        while self._paced:
            (timestamp, payload, begins), ssrc = self._paced.popleft()
            partner = self.partner
            if partner is None:
                self._paced.clear()
                return
            if partner.sends and not partner.speaks:
                buffer, end = self._worker.buffer, _HEADER_OCTETS + len(payload)
                samples = ticks_in(CODECS[partner.codec], len(payload))
                partner._outgoing.relay_cut(  # noqa: SLF001 - two legs of one bridge
                    buffer, partner.payload_type, timestamp, ssrc, samples, now, begins=begins, octets=len(payload)
                )
                buffer[_HEADER_OCTETS:end] = payload
                partner.send(end)
            if 0 < len(self._paced) <= _MOST_PACED:
                self._pacing = self._worker.timers.at(now + partner.ptime_ms / 1000, self._send_cut)
                return

    def _fit_relay(self) -> None:
        """What is relayed from here is looked at anew."""
        self._plain_octets = -1
        self._cutter = None

    def _receive_event(self, buffer: bytearray, octets: int, timestamp: int, now: float) -> None:
        """RFC 4733 packet: stop a prompt at once, report the digit when it is over."""
        try:
            event = dtmf.parse_event(bytes(buffer[_HEADER_OCTETS:octets]))
        except ParseError as error:
            self._ignore("telephone-event", self.remote, error)
            return
        events = self._events
        was_open, before = events.is_open, events.press
        _, second, number, _, _ = _UNPACK(buffer)
        digits = events.receive(timestamp, event, now, number=number, marker=second >= 0x80)
        if events.press != before:
            self._begin_event()
        self._report_digits(digits, "event")
        if events.is_open and not was_open:
            self._watch_event(now)

    def _begin_event(self) -> None:
        digit = self._events.digit
        self._plain_octets = -1
        self._worker.report(DigitBegan(leg=self.name, digit=digit, means="event"))
        if self.playback is not None and self.playback.stop_on_digit:
            self.stop("stopped")
        partner = self.partner
        if partner is not None and partner.telephone_event is None and not (partner.described and partner.described.digits_by_info):
            partner.send_digits(digit, _RELAYED_DIGIT_MS, 0)

    def _watch_event(self, now: float) -> None:
        """Look again when the event might have gone quiet without an end."""

        def look(at: float) -> None:
            self._event_timer = None
            self._report_digits(self._events.expire(at), "event")
            if self._events.is_open:
                self._watch_event(at)

        if self._event_timer is None:
            self._event_timer = self._worker.timers.at(now + dtmf.EventReceiver.QUIET_S, look)

    def _detect(self, payload: bytes) -> None:
        """In-band DTMF of a far end that offered no telephone-event."""
        if self._detector is None:
            return
        was = self._detector.sounding
        digits = self._detector.receive(self._hearing.decode(payload))
        sounding = self._detector.sounding
        if sounding and not was:
            self._worker.report(DigitBegan(leg=self.name, digit=sounding, means="tone"))
            if self.playback is not None and self.playback.stop_on_digit:
                self.stop("stopped")
        self._report_digits(digits, "tone")

    def _report_digits(self, digits: tuple[dtmf.Digit, ...], means: DigitMeans) -> None:
        for digit in digits:
            log.debug("< leg=%s a key for %d ms", self.name, digit.duration_ms)  # which one is nobody's business: PINs are typed
            self._worker.report(DigitReceived(leg=self.name, digit=digit.digit, duration_ms=digit.duration_ms, means=means))

    def _consider(self, address: Address, ssrc: int, sequence_number: int, now: float) -> Verdict:
        source = self._source
        known = None if source is None else (source.ssrc, source.next_sequence_number)
        return self.latch.consider(address, ssrc, sequence_number, known=known, silent_s=now - self._last_heard_at)

    def _follow(self, address: Address) -> None:
        """Symmetric RTP (RFC 4961): from now on send to where it comes from."""
        self.remote = address
        described = self.described
        if described is not None and (
            described.until_heard or (self.latch.described is not None and address[0] != self.latch.described[0])
        ):
            # The SDP's address was not the truth, so its RTCP port is not either: mux if it was mux, else the port above.
            muxed = described.remote_rtcp_port == described.remote_port
            self._rtcp_remote = address if muxed else (address[0], address[1] + 1, *address[2:])
        log.debug("< leg=%s latched to %s:%d", self.name, address[0], address[1])
        self._worker.report(LegLatched(leg=self.name, remote_address=address[0], remote_port=address[1]))

    def _ignore(self, what: str, address: Address | None, error: Exception | None = None) -> None:
        self.ignored += 1
        log.debug("! leg=%s %s from %s ignored %s", self.name, what, address, error or "")

    def _ignore_type(self, payload_type: int, address: Address) -> None:
        self._worker.packets_of_unknown_type += 1
        if not self._is_unknown_type_told:
            self._is_unknown_type_told = True
            log.info(
                "= leg=%s packets of payload type %d from %s:%d are dropped: it was not agreed on", self.name, payload_type, *address[:2]
            )
        self._ignore(f"payload type {payload_type}", address)

    # ---------------------------------------------------------------- RTCP

    def receive_rtcp(self) -> None:
        """One datagram of the RTCP port."""
        try:
            datagram, address = self.rtcp_socket.recvfrom(MTU_OCTETS)
        except BlockingIOError:
            return
        except OSError as error:
            log.debug("! leg=%s RTCP receive: %s", self.name, error)
            return
        self._receive_reports(datagram, address, time.monotonic(), at_rtcp_port=True)

    def _receive_reports(self, datagram: bytes, address: Address, now: float, *, at_rtcp_port: bool = False) -> None:
        # At the RTP port they say who is alive and how it hears us, but not where reports are expected: nobody has agreed on rtcp-mux.
        heard = self.latch.address
        is_known = address[0] in {known[0] for known in (self.remote, self._rtcp_remote) if known is not None} or self.latch.knows(
            address[0]
        )
        if not is_known and (heard is None or address[0] != heard[0]):
            self._ignore("RTCP of a stranger", address)
            return
        try:
            packets = rtcp.parse(datagram)
        except ParseError as error:
            self._ignore("RTCP", address, error)
            return
        if is_known and at_rtcp_port:
            self._rtcp_remote = address
        if not any(isinstance(packet, rtcp.Goodbye) for packet in packets):
            self._alive_at = now
        self.session.receive_reports(packets, len(datagram), now, time.time())

    def _schedule_report(self, now: float) -> None:
        def send_report(at: float) -> None:
            self._send_rtcp(self.session.report(at, time.time()))
            self._schedule_report(at)

        wait = self.session.seconds_to_next_report(secrets.randbelow(1 << 16) / (1 << 16))
        self._report_timer = self._worker.timers.at(now + wait, send_report)

    def _send_rtcp(self, datagram: bytes) -> None:
        if self._rtcp_remote is None:
            return
        muxed = self.described is not None and self.described.remote_rtcp_port == self.described.remote_port
        try:
            (self.rtp_socket if muxed else self.rtcp_socket).sendto(datagram, self._rtcp_remote)
        except OSError as error:
            log.debug("! leg=%s RTCP send: %s", self.name, error)

    # ---------------------------------------------------------------- sending

    def send(self, octets: int) -> None:
        """Send what lies in the worker's buffer to the far end."""
        if self.remote is None:
            return
        try:
            self._send(self._worker.view[:octets], self.remote)
            self._worker.packets_sent += 1
        except OSError as error:
            self.count_send_error(error)

    def count_send_error(self, error: OSError) -> None:
        """A packet that did not leave: full socket buffer, no route."""
        if not self.drops:
            log.warning("! leg=%s send to %s: %s", self.name, self.remote, error)
        self.drops += 1

    def tick(self, now: float) -> bool:
        """One packet of what we make ourselves; False when there is nothing more and the ticks may stop."""
        interjections = self._interjections
        if interjections and self.remote is not None:
            self._interject(interjections.popleft(), now)
            if self.playback is not None:
                self.playback.next_frame(0, self.frame_octets)  # its time goes on beneath the digit
            self._begins = True
            self._update_speaks()
            return True
        playback = self.playback
        if self.remote is None:
            return playback is not None or bool(interjections)  # nobody said yet where to send it: it waits
        if playback is None:
            return False
        frame = playback.next_frame(CODECS[self.sounds_in].silence, self.frame_octets)
        if frame is None:
            self.stop("finished")
            return False
        if not self.sends:
            self._begins = True
            return True
        worker = self._worker
        if self.encoder is not None:
            frame = self._encoded(self.encoder, frame)
        end = _HEADER_OCTETS + len(frame)
        self._outgoing.audio(worker.buffer, self.payload_type, self.frame_samples, now, begins=self._begins, octets=len(frame))
        self._begins = False
        worker.buffer[_HEADER_OCTETS:end] = frame
        self.send(end)
        return True

    def _interject(self, step: Interjection, now: float) -> None:
        if step.payload is None or not self.sends:
            return
        worker, outgoing, payload = self._worker, self._outgoing, step.payload
        if step.tone and self.encoder is not None:
            payload = self._encoded(self.encoder, payload)
        end = _HEADER_OCTETS + len(payload)
        if step.tone:
            samples = ticks_in(CODECS[self.codec], len(payload))
            outgoing.audio(worker.buffer, self.payload_type, samples, now, begins=step.begins, octets=len(payload))
        elif self.telephone_event is not None:
            if step.begins:
                self._event_timestamp = outgoing.begin_event(now)
            second = step.begins << 7 | self.telephone_event
            outgoing.event(worker.buffer, second, self._event_timestamp, len(payload))
        worker.buffer[_HEADER_OCTETS:end] = payload
        self.send(end)

    def _encoded(self, encoder: Encoder, frame: bytes) -> bytes:
        return encoder.encode(CODECS[self.sounds_in].decoder().decode(frame))

    def _update_speaks(self) -> None:
        """Whether relayed audio must be silent towards this leg: while it plays or a digit sounds."""
        self.speaks = self.playback is not None or bool(self._interjections and self._interjections[0].payload is not None)

    # ---------------------------------------------------------------- orders of the exchange

    def describe(self, order: DescribeLeg, now: float) -> None:
        """Where the far end is and what it understands."""
        before = self.described
        described: Address = (order.remote_address, order.remote_port)
        if self.rtp_socket.family == socket.AF_INET6 and not order.until_heard:
            # As the kernel writes it in recvfrom: "::1", never "0:0:0:0:0:0:0:1".
            described = (str(ipaddress.ip_address(order.remote_address)), order.remote_port, 0, 0)
        self.latch.describe(described, order.signals_from, nowhere=order.until_heard)
        if self.latch.address is None:
            self._undisputed = None
        self.described = order
        if not self.latch.is_followed and order.until_heard:
            self.remote = self._rtcp_remote = None
        elif not self.latch.is_followed:
            self.remote = described
            self._rtcp_remote = (described[0], order.remote_rtcp_port, *described[2:])
        elif before is not None and before.remote_rtcp_port != order.remote_rtcp_port and self.remote == described:
            self._rtcp_remote = (described[0], order.remote_rtcp_port, *described[2:])
        if order.codec != self.codec:
            self._change_codec(order.codec)
        if order.ptime_ms != self.ptime_ms:
            self.ptime_ms = order.ptime_ms
            self._worker.tick_anew(self, now)
        self.payload_type = order.payload_type
        self.telephone_event = order.telephone_event
        received = order.telephone_event if order.receive_telephone_event is None else order.receive_telephone_event
        self.telephone_events_in = frozenset(one for one in (received, order.renumbered_telephone_event) if one is not None)
        # RFC 3264 §8.4: an older far end holds with the address 0.0.0.0; the kernel would send that to ourselves.
        is_nowhere = order.remote_port == 0 or (not order.until_heard and _is_unspecified(described))
        sends = order.sends and not is_nowhere
        if sends and not self.sends:
            self._outgoing.break_off()  # what was not sent meanwhile is no loss to the far end
            self._begins = True
        self.sends = sends
        self._detector = dtmf.ToneDetector() if not self.telephone_events_in and order.receives else None
        self._hearing = decoder_at(CODECS[self.codec], SAMPLE_RATE)
        if not order.receives:
            self._source_ssrc = -1  # every packet takes the seldom path, which refuses it
        self._fit_conversions()
        if before is None:
            self._schedule_report(now)
        self._watch_silence(now)

    def _change_codec(self, codec: Codec) -> None:
        sounds_in = _kept_in(codec)
        table = CONVERSIONS[self.sounds_in, sounds_in]
        if table is not None:
            if self.playback is not None:
                self.playback.translate(table)
            for step in self._interjections:
                step.translate(table)
        for channel in self.channels:
            channel.switch_codec(codec)
        self.codec, self.sounds_in = codec, sounds_in
        self.encoder = None if codec == sounds_in else encoder_at(CODECS[codec], SAMPLE_RATE)

    def _fit_conversions(self) -> None:
        partner = self.partner
        if partner is not None:
            self._conversion = CONVERSIONS.get((self.codec, partner.codec), _NO_TABLE)
            partner._conversion = CONVERSIONS.get((partner.codec, self.codec), _NO_TABLE)  # noqa: SLF001 - two legs of one bridge
            partner._fit_relay()  # noqa: SLF001 - as above
        self._fit_relay()

    def bridge(self, partner: Leg) -> None:
        """Relay between this leg and another; both are free of partners and playback by now."""
        self.partner, partner.partner = partner, self
        self._fit_conversions()
        now = time.monotonic()
        for leg in (self, partner):
            leg._outgoing.break_off()  # noqa: SLF001 - two legs of one bridge
            leg._watch_silence(now)  # noqa: SLF001 - from now on somebody listens to it

    def unbridge(self) -> None:
        """Both sides hear nothing from each other."""
        partner, self.partner = self.partner, None
        if partner is not None:
            partner.partner = None
            for leg in (self, partner):
                leg._outgoing.break_off()  # noqa: SLF001 - two legs of one bridge
                leg._begins = True  # noqa: SLF001 - as above
                leg._paced.clear()  # noqa: SLF001 - as above

    def play(self, playback: Playback, now: float) -> None:
        """Begin at the next tick; what played is cut."""
        self.stop("stopped")
        self.playback = playback
        self._begins = True
        self._update_speaks()
        self._worker.want_ticks(self, now)

    def stop(self, outcome: Outcome) -> None:
        """End what plays and say so."""
        playback, self.playback = self.playback, None
        if playback is not None:
            self._update_speaks()
            self._outgoing.break_off()
            self._worker.report(PlayEnded(leg=self.name, play=playback.play, outcome=outcome, left_out=playback.left_out))

    def send_digits(self, digits: str, duration_ms: int, gap_ms: int) -> None:
        """Queue digits; letters that are none are left out."""
        steps = self._interjections
        ptime_ms, frame = self.ptime_ms, self.frame_octets
        gap = [Interjection(None)] * max(0, round(gap_ms / ptime_ms))
        for digit in digits.upper():
            if digit not in dtmf.DIGITS:
                log.warning("! leg=%s was to press what is no DTMF digit", self.name)
                continue
            if steps:
                steps.extend(gap)
            if self.telephone_event is not None:
                steps.extend(
                    Interjection(packet.payload, begins=packet.marker) for packet in dtmf.event_packets(digit, duration_ms, ptime_ms)
                )
            else:
                frames = max(1, round(duration_ms / ptime_ms))
                encoded = CODECS[self.sounds_in].encoder().encode(tones.dtmf(digit, frames * ptime_ms))
                cuts = range(0, len(encoded), frame)
                steps.extend(Interjection(encoded[at : at + frame], tone=True, begins=at == 0) for at in cuts)
        if steps:
            self._update_speaks()
            self._worker.want_ticks(self, time.monotonic())

    def _watch_silence(self, now: float) -> None:
        if self._silence_timer is not None:
            self._silence_timer.cancel()
            self._silence_timer = None
        described = self.described
        if described is None or not described.receives or described.silence_timeout_s <= 0:
            return
        limit = described.silence_timeout_s
        self._alive_at = now  # waiting begins with the description
        self._silence_to_report = limit

        def look(at: float) -> None:
            last = max(self._last_heard_at, self._alive_at)
            quiet = at - last
            if quiet < limit:
                self._silence_to_report = limit
            elif quiet >= self._silence_to_report:
                log.info("- leg=%s silent for %.1f s", self.name, quiet)
                self._worker.report(LegSilent(leg=self.name, seconds=round(quiet, 3)))
                # Who was asked and is there need not say so all the time.
                self._silence_to_report += limit * min(MOST_PATIENCE, self._silence_to_report / limit)
            self._silence_timer = self._worker.timers.at(last + self._silence_to_report, look)

        self._silence_timer = self._worker.timers.at(now + limit, look)

    def close(self, now: float) -> LegClosed:
        """Say goodbye, close both sockets; what was measured."""
        self.stop("stopped")
        self.unbridge()
        for timer in (self._report_timer, self._silence_timer, self._event_timer, self._pacing):
            if timer is not None:
                timer.cancel()
        self._report_digits(self._events.expire(float("inf")), "event")
        if self.described is not None:
            self._send_rtcp(self.session.goodbye(now, time.time()))
        closed = LegClosed(leg=self.name, quality=self.measured())
        self.rtp_socket.close()
        self.rtcp_socket.close()
        self._receive = self._send = _closed_socket
        return closed

    def measured(self) -> Quality:
        """Quality so far: loss and jitter of what we receive, round trip and remote loss from the far end's reports."""
        session = self.session
        expected, lost = session.packets_expected, session.packets_lost
        known = CODECS[self.codec].impairments
        ptime_s = (self.described.ptime_ms if self.described else 20) / 1000
        delay = quality.mouth_to_ear_s(session.round_trip_s, session.jitter_s, ptime_s)
        r: float | None = 0.0
        if expected:
            r = (
                None
                if known is None
                else quality.r_factor(known.concealed if self.loss_concealment else known.plain, lost / expected, delay)
            )
        return Quality(
            packets_sent=self._outgoing.packets_sent,
            packets_received=session.packets_received,
            packets_lost=lost,
            packets_late_or_duplicate=session.late_or_duplicate,
            jitter_ms=round(session.jitter_s * 1000, 3),
            round_trip_ms=None if session.round_trip_s is None else round(session.round_trip_s * 1000, 3),
            remote_loss_fraction=session.remote_loss_fraction,
            mos=None if r is None else round(quality.mos(r), 3) if expected else 0.0,
            r_factor=None if r is None else round(r, 2),
            codec=self.codec,
        )

    def packets_dropped(self) -> int:
        """Lost inside this process: in the socket's buffer, or when sending."""
        return kernel_drops(self.rtp_socket) + self.drops


def _is_unspecified(address: Address) -> bool:
    return ipaddress.ip_address(address[0].partition("%")[0]).is_unspecified


def _closed_socket(*_: object) -> NoReturn:
    """A leg that was closed in the same round of readiness."""
    raise BlockingIOError
