"""What goes out of one leg: one RTP stream, whoever feeds it (RFC 3550 §5.1; house).

A leg that plays or presses keys `speaks`: what it would hear else is left out meanwhile. What is relayed or mixed comes from outside.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Final

from media.codecs.base import AdaptiveEncoder, Encoder, octets_in, ticks_of
from media.codecs.g711 import PCMA
from media.codecs.registry import CODECS, CONVERSIONS
from media.codecs.transcoder import encoder_at
from media.control import Codec, DescribeLeg, PlayEnded
from media.dtmf import EventReceiver
from media.frame import PTIME_MS, SAMPLE_RATE
from media.legs.digits_out import DigitsOut, Step
from media.legs.host import Host
from media.legs.passing_key import LEFT_S, PassingKey
from media.legs.playback import Outcome, Playback
from media.rtp import packet as rtp
from media.rtp.latch import Address
from media.rtp.outgoing import OutgoingStream

log = logging.getLogger("media.legs.sender")

_HEADER_OCTETS: Final = rtp.HEADER_OCTETS


def _kept_in(codec: Codec) -> Codec:
    """The codec itself where a table leads to it from A-law, in which sounds are kept; else A-law."""
    return codec if (PCMA.name, codec) in CONVERSIONS else PCMA.name


class Sender:
    """The outgoing half of a leg; owned by the worker's loop. `begins`: the next audio of ours begins a talk-spurt."""

    __slots__ = (
        "_digits",
        "_encoder",
        "_event_timestamp",
        "_host",
        "_loss",
        "_own",
        "asks_ptime",
        "begins",
        "codec",
        "comfort_noise",
        "digits_by_info",
        "drops",
        "is_described",
        "maxptime_ms",
        "name",
        "outgoing",
        "passing_key",
        "payload_type",
        "playback",
        "ptime_ms",
        "remote",
        "send_packet",
        "sends",
        "sounds_in",
        "speaks",
        "telephone_event",
    )

    def __init__(self, host: Host, name: str, send: Callable[[memoryview, Address], int], outgoing: OutgoingStream) -> None:
        self._host = host
        self.name = name
        self.send_packet = send
        self.outgoing = outgoing
        self.remote: Address | None = None
        self.is_described = False
        self.codec: Codec = PCMA.name
        self.sounds_in: Codec = PCMA.name
        """What our own audio is kept in until it is sent: G.711."""
        self._encoder: Encoder | None = None
        """Set: the codec remembers, and all that goes out goes through this one: the far end has one decoder for whatever it hears."""
        self._loss = 0.0
        self._own: Encoder | None = None
        """The same for our own audio, which is kept at 8 kHz."""
        self.payload_type = -1
        self.telephone_event: int | None = None
        self.comfort_noise: int | None = None
        """Payload type of the noise that the far end takes."""
        self.digits_by_info = False
        self.sends = False
        self.ptime_ms = PTIME_MS
        self.asks_ptime = False
        self.maxptime_ms: int | None = None
        self.playback: Playback | None = None
        self.speaks = False
        self.begins = True
        self.drops = 0
        self.passing_key: PassingKey | None = None
        """The newest key of whom it hears; see there."""
        self._digits = DigitsOut()
        self._event_timestamp = 0

    def send(self, octets: int) -> None:
        """Send what lies in the worker's buffer to the far end."""
        if self.remote is None:
            return
        try:
            self.send_packet(self._host.view[:octets], self.remote)
            self._host.packets_sent += 1
        except OSError as error:
            self.count_send_error(error)

    def count_send_error(self, error: OSError) -> None:
        """A packet that did not leave: full socket buffer, no route. Where nobody is, because a handshake was ended, none is dropped."""
        if error.errno == errno.ENOTCONN:
            log.debug("! leg=%s sends nothing: %s", self.name, error)
            return
        if not self.drops:
            log.warning("! leg=%s send to %s: %s", self.name, self.remote, error)
        self.drops += 1

    # ---------------------------------------------------------------- what it takes

    def describe(self, order: DescribeLeg, now: float, *, is_nowhere: bool) -> None:
        """What the far end takes.

        Args:
            is_nowhere: the address it names is none to send to.
        """
        self.is_described = True
        self.asks_ptime, self.maxptime_ms = order.asks_ptime, order.maxptime_ms
        if order.codec != self.codec:
            self._change_codec(order.codec)
        if isinstance(self._encoder, AdaptiveEncoder):
            self._encoder.take_terms(order.fmtp)
        ptimes = CODECS[self.codec].ptimes_ms
        ptime_ms = order.ptime_ms if order.ptime_ms in ptimes else max((one for one in ptimes if one < order.ptime_ms), default=ptimes[0])
        if ptime_ms != self.ptime_ms:
            self.ptime_ms = ptime_ms
            self._host.tick_anew(self, now)
        self.payload_type = order.payload_type
        self.telephone_event = order.telephone_event
        self.comfort_noise = order.comfort_noise
        self.digits_by_info = order.digits_by_info
        sends = order.sends and not is_nowhere
        if sends and not self.sends:
            self.break_off()  # what was not sent meanwhile is no loss to the far end
        self.sends = sends

    def _change_codec(self, codec: Codec) -> None:
        sounds_in = _kept_in(codec)
        table = CONVERSIONS[self.sounds_in, sounds_in]
        if table is not None:
            if self.playback is not None:
                self.playback.translate(table)
            for step in self._digits.steps:
                step.translate(table)
        self.codec, self.sounds_in = codec, sounds_in
        self._encoder = self._own = None
        if codec != sounds_in:
            self._encoder = CODECS[codec].encoder()
            self._own = encoder_at(CODECS[codec], SAMPLE_RATE, self._encoder)
        if isinstance(self._encoder, AdaptiveEncoder):
            self._encoder.take_rate(SAMPLE_RATE)
            self._encoder.expect_loss(self._loss)

    def expect_loss(self, fraction: float) -> None:
        """The far end reports that it got so much less than we sent, 0 to 1."""
        if fraction != self._loss:
            self._loss = fraction
            if isinstance(self._encoder, AdaptiveEncoder):
                self._encoder.expect_loss(fraction)

    def encoder_at(self, rate: int) -> Encoder:
        """What makes payload of linear audio of this rate for the far end."""
        if isinstance(self._encoder, AdaptiveEncoder):
            self._encoder.take_rate(rate)
        return encoder_at(CODECS[self.codec], rate, self._encoder)

    def takes(self, samples: int) -> bool:
        """Whether a relayed packet that lasts so long, in samples at 8 kHz, is what the far end takes."""
        if not self.is_described or self.asks_ptime:
            return samples == self.frame_samples
        return self.maxptime_ms is None or samples * 1000 <= self.maxptime_ms * SAMPLE_RATE

    @property
    def frame_samples(self) -> int:
        """Length of the packets that the far end gets, in samples at 8 kHz."""
        return self.ptime_ms * SAMPLE_RATE // 1000

    @property
    def frame_octets(self) -> int:
        """As long, in octets of what our own audio is kept in."""
        return octets_in(CODECS[self.sounds_in], self.frame_samples)

    def break_off(self) -> None:
        """What feeds it is another from now on: the next packet is fitted to the clock."""
        self.outgoing.break_off()
        self.begins = True

    # ---------------------------------------------------------------- audio of ours

    def tick(self, now: float) -> bool:
        """One packet of what we make ourselves; False when there is nothing more and the ticks may stop."""
        digits = self._digits
        if digits and self.remote is not None:
            self._press(digits.steps.popleft(), now)
            if self.playback is not None:
                self.playback.next_frame(0, self.frame_octets)  # its time goes on beneath the digit
            self.begins = True
            self._update_speaks()
            return True
        playback = self.playback
        if self.remote is None:
            return playback is not None or bool(digits)  # nobody said yet where to send it: it waits
        if playback is None:
            return False
        frame = playback.next_frame(CODECS[self.sounds_in].silence, self.frame_octets)
        if frame is None:
            self.stop("finished")
            return False
        if not self.sends:
            self.begins = True
            return True
        self.speak(self._encoded(frame), now)
        return True

    def failed(self, now: float) -> bool:  # noqa: ARG002 - as `media.legs.host.Ticking` has it
        """What plays is given up."""
        return False

    def speak(self, payload: bytes, now: float) -> None:
        """One packet of audio of ours, in the codec that the far end takes; an empty one is silence that need not be sent."""
        if not payload:
            self.begins = True
            return
        host = self._host
        end = _HEADER_OCTETS + len(payload)
        ticks = ticks_of(CODECS[self.codec], payload)
        self.outgoing.audio(host.buffer, self.payload_type, ticks, now, begins=self.begins, octets=len(payload))
        self.begins = False
        host.buffer[_HEADER_OCTETS:end] = payload
        self.send(end)

    def _encoded(self, kept: bytes) -> bytes:
        """What is kept in G.711, as the far end takes it."""
        return kept if self._own is None else self._own.encode(CODECS[self.sounds_in].decoder().decode(kept))

    def play(self, playback: Playback, now: float) -> None:
        """Begin at the next tick; what played is cut."""
        self.stop("stopped")
        self.playback = playback
        self.begins = True
        self._update_speaks()
        self._host.want_ticks(self, now)

    def stop(self, outcome: Outcome) -> None:
        """End what plays and say so."""
        playback, self.playback = self.playback, None
        if playback is not None:
            self._update_speaks()
            self.outgoing.break_off()
            self._host.report(PlayEnded(leg=self.name, play=playback.play, outcome=outcome, left_out=playback.left_out))

    def hear_key(self) -> None:
        """The far end presses one: a prompt that wants it ends at once."""
        if self.playback is not None and self.playback.stop_on_digit:
            self.stop("stopped")

    # ---------------------------------------------------------------- keys of ours

    def send_digits(self, digits: str, duration_ms: int, gap_ms: int, now: float) -> None:
        """Queue digits: events, or tones where the far end takes none."""
        self._digits.add(
            self.name,
            digits,
            duration_ms,
            gap_ms,
            as_events=self.telephone_event is not None,
            codec=self.sounds_in,
            ptime_ms=self.ptime_ms,
            frame=self.frame_octets,
            clock_rate=self.outgoing.clock_rate,
        )
        if self._digits:
            self._update_speaks()
            self._host.want_ticks(self, now)

    def press_for(self, events: EventReceiver, digit: str, duration_ms: int, now: float) -> None:
        """Press the newest key of another leg ourselves; what comes of its event is not passed on besides."""
        self.passing_key = PassingKey(events, events.press, events.began, None)
        self.send_digits(digit, duration_ms, 0, now)

    def leave_key(self, now: float) -> None:
        """Who passed a key on is gone: the key ends, unless somebody else carries it on soon."""
        key = self.passing_key
        if key is None or not key.is_open:
            return

        def look(at: float) -> None:
            if key is self.passing_key and key.carried_at <= now and key.is_open and not self._digits:
                self._event_timestamp = key.timestamp or 0
                self._digits.steps.extend(Step(payload) for payload in key.ends())
                key.give_up()
                self._update_speaks()
                self._host.want_ticks(self, at)

        self._host.timers.at(now + LEFT_S, look)

    @property
    def presses(self) -> bool:
        """Whether a key of ours is being sent."""
        return self._digits.sounds

    def _press(self, step: Step, now: float) -> None:
        host, outgoing = self._host, self.outgoing
        if step.begins:
            if self.passing_key is not None:
                self.passing_key.give_up()  # which ends by this one, and does not go on behind it
            if not step.tone:
                self._event_timestamp = outgoing.begin_event(now)  # of what follows too, where this packet is held back
        if step.payload is None or not self.sends or not (step.tone or self.telephone_event is not None):
            return
        payload = self._encoded(step.payload) if step.tone else step.payload
        if not payload:
            return  # a tone that the encoder takes for silence, which it does for none
        end = _HEADER_OCTETS + len(payload)
        if step.tone:
            ticks = ticks_of(CODECS[self.codec], payload)
            outgoing.audio(host.buffer, self.payload_type, ticks, now, begins=step.begins, octets=len(payload))
        elif self.telephone_event is not None:
            second = step.begins << 7 | self.telephone_event
            outgoing.event(host.buffer, second, self._event_timestamp, len(payload))
        host.buffer[_HEADER_OCTETS:end] = payload
        self.send(end)

    def _update_speaks(self) -> None:
        """Whether what it hears must be silent towards this leg: while it plays or a digit sounds."""
        self.speaks = self.playback is not None or self._digits.sounds
