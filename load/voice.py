"""The voices of the demonstration: spoken words in a loop for every party, over one socket and one timer (RFC 3550 §5.1, RFC 3551).

A load run counts packets (`rtp_fleet`); a demonstration is heard, by visitors and by the service's watch for silence, and must cost next
to nothing on the machine it shows. Words are encoded once; a tick every 20 ms, on absolute deadlines and only while somebody speaks, sends
each its next frame. What comes back is left to the kernel, which drops it.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Hashable
from typing import Literal

from load.voices import FOLDER
from media.codecs.base import octets_in
from media.codecs.g711 import PCMA
from media.codecs.registry import CODECS
from media.codecs.transcoder import Transcoder
from media.frame import FRAME_S, FRAME_SAMPLES
from media.rtp.packet import RtpPacket
from media.rtp.sequence import TIMESTAMP_MODULUS
from media.wave_file import read_as_alaw

Role = Literal["agent", "caller"]
"""Whose words."""
LATE_FRAMES = 10
"""A tick that comes later than so many frames leaves them out: nobody is helped by a burst of what should have been heard."""


def words(role: Role, codec: str) -> tuple[bytes, ...]:
    """What is said, as encoded frames of 20 ms, the last one filled up with silence."""
    octets = octets_in(CODECS[codec], FRAME_SAMPLES)
    silence = bytes([CODECS[codec].silence]) * octets
    spoken = read_as_alaw((FOLDER / f"{role}.wav").read_bytes())
    if codec != PCMA.name:
        spoken = Transcoder(PCMA, CODECS[codec]).transcode(spoken)
    frames = [spoken[at : at + octets] for at in range(0, len(spoken), octets)]
    frames[-1] = frames[-1] + silence[len(frames[-1]) :]
    return tuple(frames)


class Speaker:
    """One stream (pure): the next packet, and the next."""

    def __init__(self, remote: tuple[str, int], frames: tuple[bytes, ...], payload_type: int, rng: random.Random) -> None:
        self.remote = remote
        self._payload_type = payload_type
        self._ssrc, self._timestamp, self._sequence = rng.getrandbits(32), rng.getrandbits(32), rng.getrandbits(16)
        self._is_first = True
        self._frames, self._next = frames, 0

    def packet(self) -> bytes:
        """The packet of this frame."""
        packet = RtpPacket(self._payload_type, self._sequence, self._timestamp, self._ssrc, self._frames[self._next], self._is_first)
        self._is_first = False
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._next = (self._next + 1) % len(self._frames)
        self.skip(1)
        return bytes(packet)

    def skip(self, frames: int) -> None:
        """So many frames pass unsaid (RFC 3550 §5.1: the timestamp goes on where nothing is sent)."""
        self._timestamp = (self._timestamp + frames * FRAME_SAMPLES) % TIMESTAMP_MODULUS


class Voices:
    """All who speak from one address; belongs to the event loop that made it."""

    def __init__(self, address: str, *, codec: str = "PCMA", seed: int = 0) -> None:
        """Raises: OSError: no such address."""
        self._loop = asyncio.get_running_loop()
        self._rng = random.Random(seed)
        self._payload_type = CODECS[codec].payload_type
        self._words: dict[Role, tuple[bytes, ...]] = {role: words(role, codec) for role in ("agent", "caller")}
        self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self._socket.bind((address, 0))
        self._speakers: dict[Hashable, Speaker] = {}
        self._due = 0.0
        self._ticking: asyncio.TimerHandle | None = None
        self.sent = 0

    @property
    def port(self) -> int:
        """Where all of them are, and where nobody listens."""
        return int(self._socket.getsockname()[1])

    def speak(self, party: Hashable, role: Role, remote: tuple[str, int]) -> None:
        """Let the party speak to `remote` from now on; again: to another address, and the words go on."""
        speaker = self._speakers.get(party)
        if speaker is None:
            self._speakers[party] = Speaker(remote, self._words[role], self._payload_type, self._rng)
        else:
            speaker.remote = remote
        if self._ticking is None:
            self._due = self._loop.time()
            self._tick()

    def stop(self, party: Hashable) -> None:
        """Fall silent; nothing when it does not speak."""
        self._speakers.pop(party, None)

    def _tick(self) -> None:
        self._ticking = None
        if not self._speakers:
            return
        late = int((self._loop.time() - self._due) / FRAME_S)
        if late > LATE_FRAMES:
            self._due += late * FRAME_S
            for speaker in self._speakers.values():
                speaker.skip(late)
        while self._due <= self._loop.time():
            self._frame()
            self._due += FRAME_S
        self._ticking = self._loop.call_at(self._due, self._tick)

    def _frame(self) -> None:
        for speaker in self._speakers.values():
            try:
                self._socket.sendto(speaker.packet(), speaker.remote)
            except (BlockingIOError, ConnectionRefusedError):
                continue  # the kernel's buffer is full, or the call has just ended there
            self.sent += 1

    def close(self) -> None:
        """All fall silent."""
        self._speakers.clear()
        if self._ticking is not None:
            self._ticking.cancel()
        self._socket.close()
