"""A mix: whoever hears whom in one conversation, as a matrix over all its legs once a tick (DESIGN.md §4; house).

Listen, whisper, barge and conference are rows. Each speaker's leg is decoded once, each listener's row is encoded once; listeners that hear
the same in the same stateless codec share that work. A listener that hears somebody gets packets without a step in numbers or time,
silence for a moment when nobody says anything, then nothing until somebody does: packets of silence are for who is listened to only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from media.codecs.registry import CODECS
from media.frame import PTIME_MS, SAMPLE_RATE, Samples, silence
from media.legs.digits_out import PASSED_ON_MS
from media.rates import mixing_rate
from media.speaker import Speaker

if TYPE_CHECKING:
    from media.codecs.base import AudioCodec, Encoder
    from media.io.pacer import Timer
    from media.legs.host import Host
    from media.legs.leg import Leg
    from media.legs.sender import Sender

QUIET_FRAMES: Final = 10
"""200 ms of silence behind what was said, so that a moment without packets makes no new talk-spurt."""
MOST_FAILURES: Final = 50
"""Ticks on end, one second, after which a mix that fails is given up."""

Row = tuple[int, ...]
Encoded = dict[tuple[Row, int], bytes]
"""What was encoded in this tick: by what is heard, and by which encoder."""


def mixed(inputs: NDArray[np.int16], hears: NDArray[np.bool_]) -> NDArray[np.int16]:
    """What each listener hears.

    Args:
        inputs: shape (speakers, samples), one frame each.
        hears: shape (listeners, speakers); `hears[i, j]`: listener i hears speaker j. Who hears himself has an echo.
    Returns: shape (listeners, samples), saturated.
    Raises: ValueError: shapes that do not fit.
    """
    if inputs.ndim != 2 or hears.ndim != 2 or hears.shape[1] != inputs.shape[0]:
        raise ValueError(f"matrix {hears.shape} does not fit audio {inputs.shape}")
    sums: NDArray[np.int16] = np.clip(hears.astype(np.int32) @ inputs.astype(np.int32), -32768, 32767).astype(np.int16)
    return sums


class Listener:
    """One leg's row of the mix: audio to packets of the length that it takes."""

    __slots__ = ("_audio", "_begins", "_codec", "_encoder", "_host", "_later", "_quiet", "_rate", "_rest", "sender")

    def __init__(self, host: Host, sender: Sender, rate: int) -> None:
        self._host = host
        self.sender = sender
        self._codec: AudioCodec
        self._encoder: Encoder
        self._rate = 0
        self._rest = b""
        """What is encoded and not sent yet."""
        self._audio = silence(0)
        """What is mixed and not encoded yet, for a codec whose packets cannot be cut."""
        self._later: Timer | None = None
        self._quiet = QUIET_FRAMES
        self._begins = True
        self.fit(rate)
        sender.outgoing.break_off()

    def fit(self, rate: int) -> None:
        """It takes what its description says; the mix has this rate."""
        codec = CODECS[self.sender.codec]
        if not self._rate or (codec, rate) != (self._codec, self._rate):
            self._codec, self._rate = codec, rate
            self._encoder = self.sender.encoder_at(rate)
            self.drop()

    def drop(self) -> None:
        """What was mixed and not sent yet shall not be heard."""
        self._rest, self._audio = b"", silence(0)
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def end(self) -> None:
        """It hears the mix no more."""
        self.drop()
        self.sender.break_off()

    def hear(self, audio: Samples | None, row: Row, encoded: Encoded, now: float) -> None:
        """20 ms; None: nobody whom it hears says anything."""
        sender = self.sender
        if audio is not None:
            self._quiet = 0
        elif self._quiet < QUIET_FRAMES:
            self._quiet += 1
        if sender.speaks or not sender.sends or sender.remote is None or self._quiet >= QUIET_FRAMES:
            self._begins = True
            self.drop()
            return
        if self._codec.is_uneven:
            said = silence(self._rate * PTIME_MS // 1000) if audio is None else audio
            self._audio = np.concatenate([self._audio, said]) if self._audio.size else said
            self._send(now)
            return
        key = (row, id(self._encoder)) if audio is not None else ((), id(self._encoder))
        payload = encoded.get(key)
        if payload is None:
            if audio is None:
                audio = silence(self._rate * PTIME_MS // 1000)
            payload = encoded[key] = self._encoder.encode(audio)
        self._rest += payload
        self._send(now)

    def _send(self, now: float) -> None:
        sender = self.sender
        self._later = None
        while self._has_packet():
            payload = self._packet()
            if self._begins:
                self._begins, sender.begins = False, True
            sender.speak(payload, now)
            if self._has_packet() and sender.ptime_ms < PTIME_MS:
                # Shorter packets than a tick go out in their time, not in a burst.
                self._later = self._host.timers.at(now + sender.ptime_ms / 1000, self._send_later)
                return

    def _size(self) -> int:
        """Of a packet: octets, or samples where it is not encoded yet."""
        codec, sender = self._codec, self.sender
        if codec.is_uneven:
            return self._rate * sender.ptime_ms // 1000
        return sender.frame_samples * codec.octets_a_second // codec.clock_rate

    def _has_packet(self) -> bool:
        return (self._audio.size if self._codec.is_uneven else len(self._rest)) >= self._size()

    def _packet(self) -> bytes:
        size = self._size()
        if self._codec.is_uneven:
            audio, self._audio = self._audio[:size], self._audio[size:]
            return self._encoder.encode(audio)
        payload, self._rest = self._rest[:size], self._rest[size:]
        return payload

    def _send_later(self, now: float) -> None:
        if not self.sender.speaks and self.sender.sends:
            self._send(now)


class Mix:
    """One conversation; ticks while somebody in it hears somebody."""

    ptime_ms = PTIME_MS

    def __init__(self, host: Host, name: str) -> None:
        self.name = name
        self._host = host
        self._hears: frozenset[tuple[Leg, Leg]] = frozenset()
        self._speakers: dict[Leg, Speaker] = {}
        self._listeners: dict[Leg, Listener] = {}
        self._rate = SAMPLE_RATE
        self._ticks = 0
        self._failures = 0
        self._waits: dict[tuple[Leg, Leg], int] = {}
        """Pairs that are allowed, and the tick from which on nothing is left in the buffer that was said before they were."""
        self._order: list[Speaker] = []
        self._rows: list[tuple[Listener, Row]] = []
        self._matrix: NDArray[np.bool_] = np.zeros((0, 0), dtype=np.bool_)
        self._inputs: NDArray[np.int16] = np.zeros((0, 0), dtype=np.int16)

    @property
    def legs(self) -> frozenset[Leg]:
        return frozenset(self._speakers.keys() | self._listeners.keys())

    @property
    def depths_s(self) -> list[float]:
        """How long audio waits in each speaker's jitter buffer now."""
        return [speaker.jitter.held_samples / SAMPLE_RATE for speaker in self._speakers.values()]

    def arrange(self, hears: frozenset[tuple[Leg, Leg]], now: float) -> None:
        """Who hears whom from now on: pairs of listener and speaker.

        From the first packet on: what waits of a speaker who is heard no more is not sent to who heard him, and what a speaker has said
        before somebody was allowed to hear him is not heard by that one.
        """
        before, self._hears = self._hears, hears
        speakers, listeners = {speaker for _, speaker in hears}, {listener for listener, _ in hears}
        self._rate = mixing_rate([CODECS[leg.codec] for leg in speakers | listeners])
        for leg in self._speakers.keys() - speakers:
            leg.receiver.starve(self._speakers.pop(leg))
        for leg in self._listeners.keys() - listeners:
            self._listeners.pop(leg).end()
        for leg, listener in self._listeners.items():
            listener.fit(self._rate)
            if any(pair[0] is leg for pair in before - hears):
                listener.drop()
        for leg, speaker in self._speakers.items():
            speaker.fit(CODECS[leg.codec], self._rate)
        self._waits = {pair: until for pair, until in self._waits.items() if pair in hears}
        for pair in hears - before:
            if pair[1] in self._speakers:
                self._waits[pair] = self._ticks + self._speakers[pair[1]].waiting_frames
        for leg in listeners - self._listeners.keys():
            self._listeners[leg] = Listener(self._host, leg.sender, self._rate)
        for leg in speakers - self._speakers.keys():
            self._speakers[leg] = self._speaker(leg)
            leg.watch_silence(now)  # from now on somebody listens to it
        self._lay_out()
        self._host.want_ticks(self, now)

    def _speaker(self, leg: Leg) -> Speaker:
        speaker = Speaker(
            self._host.buffer,
            leg.receiver.events,
            CODECS[leg.codec],
            self._rate,
            lambda digit, now: self._pass_key(leg, digit, now),
            conceals=leg.loss_concealment,
            statistics=leg.jitter,
        )
        leg.receiver.feed(speaker=speaker)
        return speaker

    def _lay_out(self) -> None:
        """The matrix of what is heard now, and in whose order."""
        index = {leg: place for place, leg in enumerate(self._speakers)}
        self._order = list(self._speakers.values())
        self._inputs = np.zeros((len(index), self._rate * PTIME_MS // 1000), dtype=np.int16)
        self._rows = []
        self._matrix = np.zeros((len(self._listeners), len(index)), dtype=np.bool_)
        for place, (leg, listener) in enumerate(self._listeners.items()):
            heard = [speaker for hearer, speaker in self._hears if hearer is leg and (hearer, speaker) not in self._waits]
            row = tuple(sorted(index[speaker] for speaker in heard))
            self._rows.append((listener, row))
            self._matrix[place, list(row)] = True

    def _pass_key(self, speaker: Leg, digit: str, now: float) -> None:
        """A key that one of them presses: an event where it is taken, else a tone, or nothing where it is told by signalling."""
        for listener, other in self._hears:
            if other is speaker and (listener, other) not in self._waits:
                sender = listener.sender
                if sender.telephone_event is not None or not sender.digits_by_info:
                    sender.press_for(speaker.receiver.events, digit, PASSED_ON_MS, now)

    def tick(self, now: float) -> bool:
        """20 ms for everybody."""
        self._ticks += 1
        if self._waits and min(self._waits.values()) < self._ticks:
            self._waits = {pair: until for pair, until in self._waits.items() if until >= self._ticks}
            self._lay_out()
        inputs = self._inputs
        said: list[bool] = []
        for place, speaker in enumerate(self._order):
            frame = speaker.frame()
            said.append(frame is not None)
            inputs[place] = 0 if frame is None else frame
        rows = mixed(inputs, self._matrix) if any(said) else None
        encoded: Encoded = {}
        for place, (listener, row) in enumerate(self._rows):
            heard = rows is not None and any(said[speaker] for speaker in row)
            listener.hear(rows[place] if rows is not None and heard else None, row, encoded, now)
        self._failures = 0
        return bool(self._rows)

    def failed(self, now: float) -> bool:  # noqa: ARG002 - as `media.legs.host.Ticking` has it
        """A tick ended in a fault of ours: begin anew with what is heard, and give up when that does not help."""
        self._failures += 1
        for speaker in self._order:
            speaker.begin_stream()
        return self._failures < MOST_FAILURES

    def end(self) -> None:
        """Nobody hears anybody any more."""
        for leg, speaker in self._speakers.items():
            leg.receiver.starve(speaker)
        for listener in self._listeners.values():
            listener.end()
        self._speakers.clear()
        self._listeners.clear()
        self._lay_out()
        self._host.end_ticking(self)
