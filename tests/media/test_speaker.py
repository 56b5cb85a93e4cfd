"""One leg's packets to 20 ms of audio a tick, at 8 and at 16 kHz; the rate of a conversation."""

import numpy as np
import pytest

from media.codecs import PCMA, PCMU, AudioCodec
from media.dtmf import EventReceiver, event_packets, parse_event
from media.jitter_buffer import JitterStatistics
from media.rates import WIDE_RATE, mixing_rate
from media.rtp.packet import HEADER
from media.speaker import Speaker


class Wide(AudioCodec):
    """A wideband codec as G.722 is one: 16 kHz, a clock of 8 kHz, an octet for two samples; and a decoder that remembers."""

    name, payload_type, clock_rate, rate, octets_a_second, silence = "WIDE", 99, 8000, 16_000, 8000, 0x80

    def encoder(self):
        return self

    def decoder(self):
        return WideDecoder()

    def encode(self, audio):
        return ((audio[::2].astype(np.int32) >> 8) + 128).astype(np.uint8).tobytes()


class WideDecoder:
    def __init__(self):
        self._last = 0

    def decode(self, payload):
        now = (np.frombuffer(payload, dtype=np.uint8).astype(np.int32) - 128) << 8
        before = np.concatenate([[self._last], now[:-1]])
        self._last = now[-1]
        return np.stack([(before + now) // 2, now], axis=1).ravel().astype(np.int16)


def speaker(codec=PCMA, rate=8000, *, events=None, key=lambda *_: None, buffer=None):
    return Speaker(buffer or bytearray(2048), events or EventReceiver(), codec, rate, key, conceals=True, statistics=JitterStatistics())


def frames(made, count):
    return [made.frame() for _ in range(count)]


def voice(seconds, rate=8000):
    time = np.arange(round(seconds * rate)) / rate
    return (6000 * np.sin(2 * np.pi * 125 * time) + 3000 * np.sin(2 * np.pi * 250 * time)).astype(np.int16)


@pytest.mark.parametrize("samples", [80, 160, 240, 480])
def test_packets_of_any_length_come_out_in_frames_of_20_ms_without_a_seam(samples):
    made, audio = speaker(), voice(0.24)
    encoded = PCMA.encode(audio)
    for number, at in enumerate(range(0, len(encoded), samples)):
        made.put(number, at, encoded[at : at + samples], 0.0)
    heard = [frame for frame in frames(made, 14) if frame is not None]
    assert np.array_equal(np.concatenate(heard)[: audio.size], PCMA.decode(encoded))


def test_a_wideband_line_is_320_samples_a_frame_and_what_is_lost_of_it_is_made_up_at_its_rate():
    codec = Wide()
    made, audio = speaker(codec, WIDE_RATE), voice(0.3, WIDE_RATE)
    encoded = codec.encode(audio)
    for number, at in enumerate(range(0, len(encoded), 160)):
        if number != 8:
            made.put(number, at, encoded[at : at + 160], 0.0)
    heard = np.concatenate([frame for frame in frames(made, 17) if frame is not None])
    lost = slice(8 * 320, 8 * 320 + 160)
    error = heard[lost].astype(float) - audio[lost]
    assert heard.size >= audio.size
    assert np.sqrt((error**2).mean()) < 0.2 * np.sqrt((audio[lost].astype(float) ** 2).mean())


def test_another_codec_in_the_middle_drops_what_waits_and_goes_on():
    made = speaker()
    made.put(0, 0, PCMA.encode(voice(0.02)), 0.0)
    made.fit(PCMU, 8000)
    assert frames(made, 4) == [None] * 4
    made.put(1, 160, PCMU.encode(voice(0.02)), 0.0)
    heard = [frame for frame in frames(made, 3) if frame is not None]
    assert np.array_equal(heard[0], PCMU.decode(PCMU.encode(voice(0.02))))


def test_the_tone_beneath_a_key_is_left_out_and_the_key_is_told():
    events, told, buffer = EventReceiver(), [], bytearray(2048)
    made = speaker(events=events, key=lambda digit, now: told.append((digit, now)), buffer=buffer)
    made.put(0, 0, PCMA.encode(voice(0.02)), 0.0)
    for number, packet in enumerate(event_packets("5", 60), 1):
        events.receive(160, parse_event(packet.payload), 1.0, number=number, marker=packet.marker)
        buffer[:12] = HEADER.pack(0x80, 101, number, 160, 7)
        made.pass_on(12 + len(packet.payload), 101, is_event=True, now=1.0)
    made.begin_key("5", 1.0)
    made.put(6, 320, PCMA.encode(voice(0.02)), 1.0)
    assert told == [("5", 1.0)]
    assert [frame is not None for frame in frames(made, 8)] == [False, False, True] + [False] * 5
    assert made.jitter.statistics.concealed == 0


@pytest.mark.parametrize(
    ("codecs", "rate"),
    [((PCMA, PCMU), 8000), ((PCMA, Wide()), 8000), ((Wide(), Wide()), 16_000), ((PCMA, Wide(), Wide()), 16_000), ((), 8000)],
)
def test_a_conversation_is_wideband_where_two_could_hear_it(codecs, rate):
    assert mixing_rate(codecs) == rate
