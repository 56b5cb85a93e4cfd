"""What plays to a leg: encoded audio, taken out in packets (house)."""

from __future__ import annotations

from typing import Literal

from media.frame import FRAME_SAMPLES

Outcome = Literal["finished", "stopped", "unknown_sound"]


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
