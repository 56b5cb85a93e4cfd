"""What comes in on one leg: the packet path, keys, who is believed (RFC 3550, 4733, 4961; DESIGN.md §4).

`receive_rtp` is the hot path of the whole product: one call a packet, everything seldom is in a method of its own. Nothing here waits; the
sockets are non-blocking, the worker calls when they are readable.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, NoReturn

import numpy as np

from media import comfort_noise, dtmf
from media.codecs.base import is_uneven
from media.codecs.g711 import PCMA
from media.codecs.registry import CODECS, CONVERSIONS, of_payload_type
from media.codecs.transcoder import decoder_at
from media.control import Codec, DescribeLeg, DigitBegan, DigitMeans, DigitReceived, LegLatched
from media.errors import ParseError
from media.frame import FRAME_SAMPLES, SAMPLE_RATE, Samples, silence
from media.legs.overhearing import Overhearing
from media.rtp import packet as rtp
from media.rtp.latch import Address, Latch, Verdict
from media.rtp.packet import DatagramKind
from media.rtp.source import Arrival, Source

if TYPE_CHECKING:
    from media.channel import Channel
    from media.io.pacer import Timer
    from media.legs.bridge import Relay
    from media.legs.host import Host
    from media.legs.outlet import Outlet
    from media.legs.reports import Reports
    from media.legs.sender import Sender
    from media.legs.silence_watch import SilenceWatch
    from media.rtp.session import RtpSession
    from media.speaker import Speaker
    from media.transport.base import Transport

log = logging.getLogger("media.legs.receiver")

_monotonic = time.monotonic
_UNPACK = rtp.HEADER.unpack_from
_HEADER_OCTETS: Final = rtp.HEADER_OCTETS
_IN_ORDER = Arrival.IN_ORDER
_LATE = Arrival.LATE
_RESTARTED = Arrival.RESTARTED
_COMFORT_NOISE = frozenset({13, 19})
"""RFC 3389 §4 (13), and the number it had in drafts, which gateways still send (RFC 3551 §6: 19 reserved). Sent unasked by phones that
suppress silence: it counts as heard and as received. What nobody agreed on is no noise to anybody, only a pause.
"""


class Receiver:
    """The incoming half of a leg; owned by the worker's loop."""

    __slots__ = (
        "_described",
        "_detector",
        "_event_timer",
        "_hearing",
        "_host",
        "_is_unknown_type_told",
        "_last_heard_at",
        "_name",
        "_noise_in",
        "_outlet",
        "_overhearing",
        "_receive",
        "_reports",
        "_sender",
        "_session",
        "_silence",
        "_source",
        "_source_ssrc",
        "_speaker",
        "_undisputed",
        "channels",
        "codec",
        "events",
        "hello",
        "ignored",
        "latch",
        "payload_type",
        "relay",
        "telephone_events_in",
    )

    def __init__(self, host: Host, name: str, transport: Transport, session: RtpSession, latch: Latch, sender: Sender) -> None:
        self._host = host
        self._name = name
        self._receive = transport.receive
        self._session = session
        self._sender = sender
        self._reports: Reports
        self._silence: SilenceWatch
        self._described: DescribeLeg | None = None
        self.latch = latch
        self._undisputed: Address | None = None  # the latched address while no other one is being considered
        self.codec: Codec = PCMA.name
        self.payload_type = -1
        self.telephone_events_in: frozenset[int] = frozenset()
        self._noise_in = -1
        """Payload type of comfort noise that was agreed on."""
        self.relay: Relay | None = None
        """To whom packets are passed on, on a bridge."""
        self._speaker: Speaker | None = None
        self._outlet: Outlet | None = None
        self._source: Source | None = None
        self._source_ssrc = -1
        self.events = dtmf.EventReceiver()
        self._event_timer: Timer | None = None
        self._detector: dtmf.ToneDetector | None = None
        self._hearing = decoder_at(CODECS[self.codec], SAMPLE_RATE)
        self._overhearing: Overhearing | None = None
        """Set: the codec is uneven."""
        self.channels: tuple[Channel, ...] = ()
        self._last_heard_at = 0.0
        self._is_unknown_type_told = False
        self.hello: tuple[bytes, Address] | None = None
        """The newest of DTLS that came before there was a description: a phone begins its handshake with its answer."""
        self.ignored = 0

    def report_to(self, reports: Reports, silence: SilenceWatch) -> None:
        """Who takes RTCP that comes here, and who wants to know of signs of life."""
        self._reports, self._silence = reports, silence

    def listen_at(self, transport: Transport) -> None:
        """What comes is read from this one, from now on."""
        self._receive = transport.receive

    def feed(self, *, relay: Relay | None = None, speaker: Speaker | None = None) -> None:
        """Where packets go from now on: over a bridge, into a mix, or nowhere."""
        self.relay, self._speaker = relay, speaker
        self._outlet = relay if relay is not None else speaker

    def starve(self, speaker: Speaker) -> None:
        """No more into this mix; nothing changes where packets go elsewhere already."""
        if self._speaker is speaker:
            self.feed()

    @property
    def last_heard_at(self) -> float:
        """Monotonic time of the newest packet that was taken."""
        return self._last_heard_at

    def receive_rtp(self) -> None:
        """One datagram of the RTP port."""
        # Attributes that are called are loaded into a name first: CPython 3.11 specialises that, but not a call on a slot.
        host = self._host
        buffer = host.buffer
        receive = self._receive
        try:
            octets, address = receive(buffer)
        except BlockingIOError:
            return
        except OSError as error:  # an ICMP error of an earlier packet; the socket stays good
            log.debug("! leg=%s receive: %s", self._name, error)
            return
        now = _monotonic()
        host.packets_received += 1
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
        if self.channels or self._detector is not None:
            self._listen(sequence_number, timestamp, octets, now)
        relay = self.relay
        if relay is None:
            if self._speaker is not None:
                self._speaker.put(sequence_number, timestamp, bytes(host.view[_HEADER_OCTETS:octets]), now)
            return
        listener = relay.listener
        if listener.speaks or not listener.sends or (remote := listener.remote) is None:
            return
        if octets != relay.plain_octets and not relay.change(octets, now):
            return
        outgoing = listener.outgoing
        second = second & 0x80 | listener.payload_type
        if outgoing.relay(buffer, second, sequence_number, timestamp, ssrc, octets - _HEADER_OCTETS, now):
            send = listener.send_packet
            try:
                send(host.view[:octets], remote)
                host.packets_sent += 1
            except OSError as error:
                listener.count_send_error(error)

    def _take_out_of_order(self, arrival: Arrival) -> bool:
        """Whether a packet that is not the expected one is passed on."""
        if arrival is _RESTARTED:
            self.events.renumbered()
            self._begin_overhearing()
            if self._outlet is not None:
                self._outlet.break_off()
        return arrival is _LATE or arrival is _RESTARTED

    def _begin_overhearing(self) -> None:
        if self._overhearing is not None:
            self._overhearing.begin_stream()

    def _receive_unusual(self, octets: int, address: Address, now: float) -> None:
        """Not a plain RTP header: CSRCs, extension or padding; RTCP on the same port (RFC 5761); STUN; noise."""
        datagram = bytes(self._host.view[:octets])
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
                self._host.buffer[:octets] = plain + parsed.payload
                self._receive_seldom(octets, address, now)
            case DatagramKind.DTLS if self._described is None:
                self.hello = datagram, address
            case kind:
                self._ignore(kind.name, address)

    def _receive_reports(self, datagram: bytes, address: Address, now: float) -> None:
        """RTCP at the RTP port (RFC 5761)."""
        if self._reports.receive(datagram, address, now):
            self._silence.alive_at = now

    def _receive_seldom(self, octets: int, address: Address, now: float) -> None:
        """A plain RTP packet in the buffer that is not the next one of the known stream: first, foreign, event, other codec."""
        host = self._host
        buffer = host.buffer
        _, second, sequence_number, timestamp, ssrc = _UNPACK(buffer)
        payload_type = second & 0x7F
        described = self._described
        if second in range(192, 224):
            self._receive_reports(bytes(buffer[:octets]), address, now)
            return
        if described is None or not described.receives:
            self._ignore("not wanted now", address)
            return
        is_event = payload_type in self.telephone_events_in
        is_noise = (payload_type == self._noise_in or payload_type in _COMFORT_NOISE) and not is_event
        codec = self.codec if payload_type == self.payload_type else self._codec_of(payload_type)
        if codec is None and not is_event and not is_noise:
            if address == self.latch.address:
                self._silence.alive_at = now  # of no use to us, but somebody is there
            self._ignore_type(payload_type, address)
            return
        if address != self.latch.address:
            is_agreed = payload_type in {
                self.payload_type,
                described.receive_payload_type,
                *self.telephone_events_in,
                self._noise_in,
                *_COMFORT_NOISE,
            }
            verdict = self._consider(address, ssrc, sequence_number, now) if is_agreed else Verdict.FOREIGN
            if verdict is Verdict.FOREIGN:
                self._undisputed = None  # so that the next packet of the latched address comes here and ends the count
                self._ignore("foreign source", address)
                return
            if verdict is Verdict.LATCHED:
                self._follow(address)
            else:
                log.debug("< leg=%s hears %s:%d and sends where the description says", self._name, address[0], address[1])
        else:
            self.latch.heard_latched()
        self._undisputed = address
        source = self._source
        if source is None or ssrc != self._source_ssrc:
            source = self._source = self._session.new_source(ssrc, sequence_number)
            self._source_ssrc = ssrc
            self._report_digits(self.events.new_source(), "event")
            self._begin_overhearing()
            if self._outlet is not None:
                self._outlet.begin_stream()
        self._last_heard_at = now
        arrival = source.receive_untimed(sequence_number) if is_event else source.receive(sequence_number, timestamp, now)
        if arrival is not _IN_ORDER and not self._take_out_of_order(arrival):
            return
        if is_noise:
            self._receive_noise(octets, second, is_late=arrival is _LATE, now=now)
            return
        if is_event:
            self._receive_event(buffer, octets, timestamp, now)
        elif codec is not None:
            if codec != self.codec:
                table = CONVERSIONS[codec, self.codec]
                if table is not None:
                    buffer[_HEADER_OCTETS:octets] = buffer[_HEADER_OCTETS:octets].translate(table)
            if self.channels or self._detector is not None:
                self._listen(sequence_number, timestamp, octets, now)
        if self._outlet is not None:
            self._outlet.pass_on(octets, second, is_event=is_event, now=now)

    def _receive_noise(self, octets: int, second: int, *, is_late: bool, now: float) -> None:
        """RFC 3389: silence from now on, and how it sounds."""
        _, _, sequence_number, timestamp, _ = _UNPACK(self._host.buffer)
        if second & 0x7F != self._noise_in:
            if self._outlet is not None:
                self._outlet.leave_out(sequence_number)
            return
        self._host.packets_of_noise += 1
        if not is_late:
            level = comfort_noise.parse(bytes(self._host.view[_HEADER_OCTETS:octets])).level
            if self.channels:
                self._host.record_noise(self.channels, timestamp, level, now)
            self._detect(silence(2 * FRAME_SAMPLES))  # which ends a key that sounds
        if self._outlet is not None:
            self._outlet.hush(octets, second, now)

    def _codec_of(self, payload_type: int) -> Codec | None:
        """What comes under another number than the one we send by: what our description calls it, or a static one with a table."""
        if self._described is not None and payload_type == self._described.receive_payload_type:
            return self.codec
        other = of_payload_type(payload_type)
        return other.name if other is not None and (other.name, self.codec) in CONVERSIONS else None

    def _receive_event(self, buffer: bytearray, octets: int, timestamp: int, now: float) -> None:
        """RFC 4733 packet: stop a prompt at once, report the digit when it is over."""
        try:
            event = dtmf.parse_event(bytes(buffer[_HEADER_OCTETS:octets]))
        except ParseError as error:
            self._ignore("telephone-event", self._sender.remote, error)
            return
        events = self.events
        was_open, before = events.is_open, events.press
        _, second, number, _, _ = _UNPACK(buffer)
        digits = events.receive(timestamp, event, now, number=number, marker=second >= 0x80)
        if events.press != before:
            self._begin_event(now)
        self._report_digits(digits, "event")
        if events.is_open and not was_open:
            self._watch_event(now)

    def _begin_event(self, now: float) -> None:
        digit = self.events.digit
        self._host.report(DigitBegan(leg=self._name, digit=digit, means="event"))
        self._sender.hear_key()
        if self._outlet is not None:
            self._outlet.begin_key(digit, now)

    def _watch_event(self, now: float) -> None:
        """Look again when the event might have gone quiet without an end."""

        def look(at: float) -> None:
            self._event_timer = None
            self._report_digits(self.events.expire(at), "event")
            if self.events.is_open:
                self._watch_event(at)

        if self._event_timer is None:
            self._event_timer = self._host.timers.at(now + dtmf.EventReceiver.QUIET_S, look)

    def _listen(self, sequence_number: int, timestamp: int, octets: int, now: float) -> None:
        """The audio in the buffer is recorded, or may be a key."""
        host, overhearing = self._host, self._overhearing
        payload = host.view[_HEADER_OCTETS:octets]
        if overhearing is not None:
            timestamp, audio = overhearing.hear(sequence_number, timestamp, bytes(payload))
            if self.channels and audio.size:
                host.record(self.channels, timestamp, audio.view(np.uint8).data, now)
            self._detect(audio)
            return
        if self.channels:
            host.record(self.channels, timestamp, payload, now)
        if self._detector is not None:
            self._detect(self._hearing.decode(bytes(payload)))

    def _detect(self, audio: Samples) -> None:
        """In-band DTMF of a far end that offered no telephone-event."""
        if self._detector is None:
            return
        was = self._detector.sounding
        digits = self._detector.receive(audio)
        sounding = self._detector.sounding
        if sounding and not was:
            self._host.report(DigitBegan(leg=self._name, digit=sounding, means="tone"))
            self._sender.hear_key()
        self._report_digits(digits, "tone")

    def _report_digits(self, digits: tuple[dtmf.Digit, ...], means: DigitMeans) -> None:
        for digit in digits:
            log.debug("< leg=%s a key for %d ms", self._name, digit.duration_ms)  # which one is nobody's business: PINs are typed
            self._host.report(DigitReceived(leg=self._name, digit=digit.digit, duration_ms=digit.duration_ms, means=means))

    def _consider(self, address: Address, ssrc: int, sequence_number: int, now: float) -> Verdict:
        source = self._source
        known = None if source is None else (source.ssrc, source.next_sequence_number)
        return self.latch.consider(address, ssrc, sequence_number, known=known, silent_s=now - self._last_heard_at)

    def _follow(self, address: Address) -> None:
        """Symmetric RTP (RFC 4961): from now on send to where it comes from."""
        self._sender.remote = address
        self._reports.follow(address)
        log.debug("< leg=%s latched to %s:%d", self._name, address[0], address[1])
        self._host.report(LegLatched(leg=self._name, remote_address=address[0], remote_port=address[1]))

    def _ignore(self, what: str, address: Address | None, error: Exception | None = None) -> None:
        self.ignored += 1
        log.debug("! leg=%s %s from %s ignored %s", self._name, what, address, error or "")

    def _ignore_type(self, payload_type: int, address: Address) -> None:
        self._host.packets_of_unknown_type += 1
        if not self._is_unknown_type_told:
            self._is_unknown_type_told = True
            log.info(
                "= leg=%s packets of payload type %d from %s:%d are dropped: it was not agreed on", self._name, payload_type, *address[:2]
            )
        self._ignore(f"payload type {payload_type}", address)

    # ---------------------------------------------------------------- orders of the exchange

    def describe(self, order: DescribeLeg) -> None:
        """What the far end sends; the latch knows of it already."""
        self._described = order
        self.hello = None
        if self.latch.address is None:
            self._undisputed = None
        if order.codec != self.codec:
            for channel in self.channels:
                channel.switch_codec(order.codec)
            self.codec = order.codec
            codec = CODECS[self.codec]
            self._hearing = decoder_at(codec, SAMPLE_RATE)
            self._overhearing = Overhearing(codec) if is_uneven(codec) else None
            self._report_digits(self.events.run_at(codec.clock_rate), "event")
        self.payload_type = order.payload_type
        received = order.telephone_event if order.receive_telephone_event is None else order.receive_telephone_event
        self.telephone_events_in = frozenset(one for one in (received, order.renumbered_telephone_event) if one is not None)
        noise = order.comfort_noise if order.receive_comfort_noise is None else order.receive_comfort_noise
        self._noise_in = -1 if noise is None else noise
        if self.telephone_events_in or not order.receives:
            if self._detector is not None:
                self._report_digits(self._detector.end(), "tone")
            self._detector = None
        elif self._detector is None:
            self._detector = dtmf.ToneDetector()  # else a key that sounds goes on, whatever else was described
        if not order.receives:
            self._source_ssrc = -1  # every packet takes the seldom path, which refuses it
            for channel in self.channels:
                channel.speak_up()
            if self._outlet is not None:
                self._outlet.speak_up()

    def close(self) -> None:
        """Nothing comes any more; a key that is down is over."""
        if self._event_timer is not None:
            self._event_timer.cancel()
        self._report_digits(self.events.expire(float("inf")), "event")
        self._receive = closed_socket


def closed_socket(*_: object) -> NoReturn:
    """A leg that was closed in the same round of readiness."""
    raise BlockingIOError
