"""The voices of the demonstration: what is sent, when, and what a listener hears."""

import asyncio
import random
import socket

import numpy as np
import pytest

from load.voice import LATE_FRAMES, Speaker, Voices, words
from media.codecs.registry import CODECS
from media.frame import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE
from media.rtp.packet import parse


def loudness(frames, codec="PCMA"):
    """RMS of each whole second."""
    audio = CODECS[codec].decode(b"".join(frames)).astype(np.float64)
    whole = audio[: len(audio) // SAMPLE_RATE * SAMPLE_RATE].reshape(-1, SAMPLE_RATE)
    return np.sqrt((whole**2).mean(axis=1))


@pytest.mark.parametrize("codec", ["PCMA", "PCMU"])
@pytest.mark.parametrize("role", ["agent", "caller"])
def test_words_are_heard_in_every_second(role, codec):
    frames = words(role, codec)
    assert {len(frame) for frame in frames} == {FRAME_SAMPLES}
    assert len(frames) > 5 / FRAME_S
    assert loudness(frames, codec).min() > 300  # -41 dBFS; a quiet line has none


def test_packets_of_a_stream_follow_each_other_and_words_begin_again():
    speaker = Speaker(("127.0.0.1", 9), (b"a" * 160, b"b" * 160), 8, random.Random(1))
    first, second, third = (parse(speaker.packet()) for _ in range(3))
    assert [packet.payload[:1] for packet in (first, second, third)] == [b"a", b"b", b"a"]
    assert [packet.marker for packet in (first, second, third)] == [True, False, False]
    assert (second.sequence_number - first.sequence_number) & 0xFFFF == 1
    assert (third.timestamp - first.timestamp) % 2**32 == 2 * FRAME_SAMPLES
    assert first.ssrc == third.ssrc


async def test_words_go_on_at_another_address():
    """A leg that moves to another media worker is told by re-INVITE: nobody begins anew."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
        for ear in (first, second):
            ear.bind(("127.0.0.1", 0))
            ear.setblocking(False)
        voices = Voices("127.0.0.1")
        try:
            voices.speak("one", "caller", first.getsockname())
            voices.speak("one", "caller", second.getsockname())
            voices._ticking.cancel()
            voices._frame()
        finally:
            voices.close()
        before, after = parse(first.recv(2048)), parse(second.recv(2048))
    assert (before.ssrc, before.sequence_number + 1 & 0xFFFF) == (after.ssrc, after.sequence_number)
    assert (before.payload, after.payload) == words("caller", "PCMA")[:2]


async def test_frames_that_were_missed_for_long_are_left_out_and_time_goes_on():
    """Absolute deadlines: short delays are made up for, long ones leave a gap in the audio and none in the sequence numbers."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.setblocking(False)
        voices = Voices("127.0.0.1")
        try:
            voices.speak("one", "agent", ear.getsockname())
            voices._ticking.cancel()
            before = parse(ear.recv(2048))
            voices._due = loop.time() - 3 * FRAME_S
            voices._tick()
            assert 3 <= voices.sent - 1 <= 5
            voices._ticking.cancel()
            made_up = [parse(ear.recv(2048)) for _ in range(voices.sent - 1)]
            voices._due = loop.time() - 10 * LATE_FRAMES * FRAME_S
            sent = voices.sent
            voices._tick()
            assert 1 <= voices.sent - sent <= 2
            after = parse(ear.recv(2048))
        finally:
            voices.close()
    assert (made_up[-1].timestamp - before.timestamp) % 2**32 == len(made_up) * FRAME_SAMPLES
    assert (after.sequence_number - made_up[-1].sequence_number) & 0xFFFF == 1
    assert (after.timestamp - made_up[-1].timestamp) % 2**32 >= 9 * LATE_FRAMES * FRAME_SAMPLES


async def test_nobody_speaks_and_nothing_ticks():
    voices = Voices("127.0.0.1")
    try:
        voices.speak("one", "caller", ("127.0.0.1", 9))
        voices.stop("one")
        voices.stop("one")
        voices._ticking.cancel()
        voices._tick()
        assert voices._ticking is None
    finally:
        voices.close()
