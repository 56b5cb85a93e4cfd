"""A bridge: audio between two legs, relayed packet by packet, each direction a `Relay` (house; RFC 3550 §7.1).

Comfort noise (RFC 3389) passes as it is to a listener that has agreed on it. One that has not gets noise of that level, made here, as
audio: it would hear a line gone dead, and there are carriers that end a call on which nothing comes for a minute. It goes out in the time
of our own clock, as a prompt does, and the first packet of the next talk-spurt is fitted to it.

`media.legs.receiver.Receiver.receive_rtp` passes a plain packet on by itself; what is seldom about it is done here.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from media import comfort_noise
from media.codecs.base import is_uneven, octets_in, ticks_in
from media.codecs.registry import CODECS, CONVERSIONS
from media.dtmf import DIGITS, EventReceiver
from media.frame import SAMPLE_RATE
from media.legs.digits_out import PASSED_ON_MS
from media.legs.passing_key import PassingKey
from media.rtp import packet as rtp
from media.rtp.repacketiser import Cut, Repacketiser

if TYPE_CHECKING:
    from media.io.pacer import Timer
    from media.legs.host import Host
    from media.legs.leg import Leg
    from media.legs.sender import Sender

_UNPACK = rtp.HEADER.unpack_from
_HEADER_OCTETS: Final = rtp.HEADER_OCTETS
_MOST_PACED: Final = 4
"""Packets cut from longer ones that wait for their time; beyond, they go out at once: 80 ms of 20 ms packets are enough to be behind."""


class Relay:
    """One direction: from a receiver, whose keys `events` knows, to the sender of the listener."""

    __slots__ = (
        "_conversion",
        "_cutter",
        "_events",
        "_fitted",
        "_host",
        "_hush",
        "_is_uneven",
        "_paced",
        "_pacing",
        "listener",
        "plain_octets",
    )

    def __init__(self, host: Host, events: EventReceiver, listener: Sender) -> None:
        self._host = host
        self._events = events
        self.listener = listener
        self.plain_octets = -1
        """A packet of this length is relayed as it is; every other one is looked at, see `change`."""
        self._conversion: bytes | None = None
        self._is_uneven = False
        self._cutter: Repacketiser | None = None
        self._paced: deque[tuple[Cut, int]] = deque()
        self._pacing: Timer | None = None
        self._fitted: tuple[object, ...] = ()
        self._hush: NoiseFill | None = None
        """Set: the source is silent, and the listener hears noise of ours."""

    def fit(self, codec: str) -> None:
        """What is relayed is looked at anew where one of them was described otherwise; it comes in this codec."""
        listener = self.listener
        fitted = (
            codec,
            listener.codec,
            listener.ptime_ms,
            listener.asks_ptime,
            listener.maxptime_ms,
            listener.sends,
            listener.is_described,
        )
        if fitted == self._fitted:
            return
        self._fitted = fitted
        self.speak_up()
        self._conversion = CONVERSIONS[codec, self.listener.codec]
        self._is_uneven = is_uneven(CODECS[codec])
        self.look_anew()

    def look_anew(self) -> None:
        """Another stream begins: its packets may have another length."""
        self.plain_octets = -1
        self._cutter = None

    def end(self) -> None:
        """Nothing more is passed on."""
        self.speak_up()
        self._paced.clear()
        if self._pacing is not None:
            self._pacing.cancel()
            self._pacing = None

    def begin_stream(self) -> None:
        """What was not received meanwhile is no loss to the listener."""
        self.speak_up()
        self.look_anew()
        self.break_off()

    def break_off(self) -> None:
        """As `begin_stream`, the packets' length being the same."""
        self.listener.outgoing.break_off()

    def leave_out(self, sequence_number: int = 0) -> None:  # noqa: ARG002 - as `Outlet` has it; our own numbers go on without a step
        """A packet is not passed on, and that is no loss."""
        self.listener.outgoing.leave_out()

    def hush(self, octets: int, second: int, now: float) -> None:
        """The packet in the buffer is comfort noise."""
        listener, buffer = self.listener, self._host.buffer
        if listener.comfort_noise is None:
            self.leave_out()
            said = comfort_noise.parse(bytes(buffer[_HEADER_OCTETS:octets]))
            if self._hush is not None:
                self._hush.noise.fit(said)
            else:
                self.plain_octets = -1  # so that the packet that ends it is looked at
                self._hush = NoiseFill(listener, said, _UNPACK(buffer)[4])
                self._host.want_ticks(self._hush, now)
        elif listener.sends and not listener.speaks:
            _, _, sequence_number, timestamp, ssrc = _UNPACK(buffer)
            second = second & 0x80 | listener.comfort_noise
            if listener.outgoing.relay(buffer, second, sequence_number, timestamp, ssrc, octets - _HEADER_OCTETS, now):
                listener.send(octets)

    def speak_up(self) -> None:
        """Something comes again, or nothing is wanted."""
        if self._hush is not None:
            self._host.end_ticking(self._hush)
            self._hush = None
            self.listener.break_off()

    def begin_key(self, digit: str, now: float) -> None:
        """A key went down; its packets pass as events where the listener takes them, else it is a tone, or is told by signalling."""
        self.plain_octets = -1
        listener = self.listener
        if listener.telephone_event is None and not listener.digits_by_info:
            listener.press_for(self._events, digit, PASSED_ON_MS, now)

    def pass_on(self, octets: int, second: int, *, is_event: bool, now: float) -> None:
        """The packet in the buffer is the first of its stream, an event, or of another codec; its audio is in the leg's own by now."""
        self.speak_up()
        if is_event:
            self._pass_event(octets, second, now)
            return
        listener = self.listener
        if listener.speaks or not listener.sends or listener.remote is None or not self.change(octets, now):
            return
        buffer = self._host.buffer
        _, _, sequence_number, timestamp, ssrc = _UNPACK(buffer)
        second = second & 0x80 | listener.payload_type
        if listener.outgoing.relay(buffer, second, sequence_number, timestamp, ssrc, octets - _HEADER_OCTETS, now):
            listener.send(octets)

    def _pass_event(self, octets: int, second: int, now: float) -> None:
        """A packet of an event: of the key that the listener knows, see `media.legs.passing_key`, or of one that begins for it."""
        listener, events, buffer = self.listener, self._events, self._host.buffer
        if not listener.sends or listener.remote is None:
            return
        if listener.telephone_event is None:
            if not listener.speaks:
                self.leave_out()
            return  # `begin_key` sends a tone instead, or the key is told by signalling
        _, _, sequence_number, timestamp, ssrc = _UNPACK(buffer)
        outgoing = listener.outgoing
        is_key = octets > _HEADER_OCTETS and buffer[_HEADER_OCTETS] < len(DIGITS)
        is_late = is_key and sequence_number != events.newest
        if is_key and not is_late:
            timestamp = events.began  # which some devices move, and others count as another press
        second, payload_octets = second & 0x80 | listener.telephone_event, octets - _HEADER_OCTETS
        press, key = events.press if is_key else -1, listener.passing_key
        if is_late and timestamp != events.began:
            # Of an earlier press, which is known: late is what the far end shall see, but no other time of it.
            if not listener.speaks and outgoing.follows(ssrc):
                self._send_event(octets, outgoing.relay(buffer, second, sequence_number, timestamp, ssrc, payload_octets, now))
        elif key is None or not key.is_press(events, press, timestamp):
            if listener.speaks:
                return
            is_sent = outgoing.relay(buffer, second, sequence_number, timestamp, ssrc, payload_octets, now)
            if is_sent:
                listener.passing_key = PassingKey(events, press, timestamp, None)
                listener.passing_key.carry(buffer, _UNPACK(buffer)[3], timestamp, now)
            self._send_event(octets, is_sent)
        elif not listener.presses:
            kept = key.timestamp_of(timestamp)
            if kept is None:
                if not listener.speaks:
                    self.leave_out()
                return
            if not is_late:
                key.carry(buffer, kept, timestamp, now)
            self._send_event(octets, outgoing.relay_event(buffer, second, sequence_number, timestamp, ssrc, payload_octets, now, kept=kept))

    def _send_event(self, octets: int, is_sent: bool) -> None:
        if is_sent:
            self.listener.send(octets)

    def change(self, octets: int, now: float) -> bool:
        """Do to the audio in the buffer what must be done before it is passed on; False: it is not, or was in other packets."""
        self.speak_up()
        host, listener = self._host, self.listener
        buffer = host.buffer
        timestamp, ssrc = _UNPACK(buffer)[3:]
        if self._events.mutes(timestamp, now):
            # The key is passed on for what it is; a tone of it, which some devices send as well, would be a second press.
            self.leave_out()
            return False
        if self._is_uneven:
            return True  # of whatever length: a=ptime is a wish there, and whoever hears Opus hears all lengths (RFC 7587 §6.1)
        if self._conversion is not None:
            buffer[_HEADER_OCTETS:octets] = buffer[_HEADER_OCTETS:octets].translate(self._conversion)
        if listener.takes(ticks_in(CODECS[listener.codec], octets - _HEADER_OCTETS)) and (
            self._cutter is None or (self._cutter.is_empty and not self._paced)
        ):
            self._cutter = None  # one packet of another length, at the end of a talk-spurt, say, changes nothing for those that follow
            if self._conversion is None:
                self.plain_octets = octets
            return True
        if self._cutter is None:
            codec = CODECS[listener.codec]
            self._cutter = Repacketiser(listener.frame_samples, codec.silence, octets_in(codec, 1))
        self.plain_octets = -1
        self._paced.extend((cut, ssrc) for cut in self._cutter.put(timestamp, bytes(buffer[_HEADER_OCTETS:octets])))
        if self._pacing is None:
            self._send_cut(now)
        return False

    def _send_cut(self, now: float) -> None:
        """What was cut from longer packets goes out in its time, not in a burst."""
        self._pacing = None
        host, listener = self._host, self.listener
        while self._paced:
            (timestamp, payload, begins), ssrc = self._paced.popleft()
            if listener.sends and not listener.speaks:
                buffer, end = host.buffer, _HEADER_OCTETS + len(payload)
                ticks = ticks_in(CODECS[listener.codec], len(payload))
                listener.outgoing.relay_cut(buffer, listener.payload_type, timestamp, ssrc, ticks, now, begins=begins, octets=len(payload))
                buffer[_HEADER_OCTETS:end] = payload
                listener.send(end)
            if 0 < len(self._paced) <= _MOST_PACED:
                self._pacing = host.timers.at(now + listener.ptime_ms / 1000, self._send_cut)
                return


class NoiseFill:
    """Noise for a listener while nobody speaks (`media.legs.host.Ticking`)."""

    __slots__ = ("_begins", "_encoder", "_listener", "name", "noise", "ptime_ms")

    def __init__(self, listener: Sender, said: comfort_noise.Hush, ssrc: int) -> None:
        self.name = f"{listener.name} noise"
        self.ptime_ms = listener.ptime_ms
        self.noise = comfort_noise.Noise(said, seed=ssrc)
        self._listener = listener
        self._encoder = listener.encoder_at(SAMPLE_RATE)
        self._begins = True

    def tick(self, now: float) -> bool:
        """One packet of it."""
        listener = self._listener
        if listener.speaks or not listener.sends or listener.remote is None:
            self._begins = True
            return True
        if self._begins:
            self._begins, listener.begins = False, True
        listener.speak(self._encoder.encode(self.noise.take(listener.frame_samples)), now)
        return True

    def failed(self, now: float) -> bool:  # noqa: ARG002 - as `media.legs.host.Ticking` has it
        """It is given up."""
        return False


class Bridge:
    """Two legs that hear each other, and nobody else."""

    __slots__ = ("legs",)

    def __init__(self, a: Leg, b: Leg, now: float) -> None:
        self.legs = (a, b)
        for leg, other in ((a, b), (b, a)):
            leg.receiver.feed(relay=Relay(leg.host, leg.receiver.events, other.sender))
        self.fit()
        for leg in self.legs:
            leg.sender.outgoing.break_off()
            leg.watch_silence(now)  # from now on somebody listens to it

    def fit(self) -> None:
        """One of them was described anew."""
        for leg in self.legs:
            if leg.receiver.relay is not None:
                leg.receiver.relay.fit(leg.receiver.codec)

    def end(self, now: float) -> None:
        """Both sides hear nothing from each other."""
        for leg in self.legs:
            if leg.receiver.relay is not None:
                leg.receiver.relay.end()
            leg.receiver.feed()
            leg.sender.break_off()
            leg.sender.leave_key(now)
