"""Comfort noise, by the figures of RFC 3389."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import tones
from media.channel import Channel
from media.codecs import OPUS, PCMA
from media.comfort_noise import QUIETEST, Hush, Noise, parse, predictor, reflection, rms
from media.dtmf import EventReceiver
from media.frame import level_dbfs
from media.jitter_buffer import JitterStatistics
from media.recorder import ChannelDecoder
from media.rtp.packet import HEADER
from media.speaker import Speaker


@pytest.mark.parametrize(
    ("payload", "level"),
    [
        (b"\x00", 0),
        (b"\x14", 20),
        (b"\x40", 64),
        (b"\x7f", 127),
        (b"\xc0", 64),  # "the most significant bit unused and always set to 0"
        (b"", QUIETEST),
    ],
)
def test_the_first_octet_is_the_level_in_dbov(payload, level):
    """RFC 3389 §3.1, figure 1."""
    assert parse(payload) == Hush(level)


def test_dbov_are_reckoned_from_a_square_wave_of_full_scale():
    """By hand: 32768 / 10 = 3276.8 at -20 dBov; 32768 / 10 ** (64 / 20) = 20.675 at -64."""
    assert rms(0) == 32768
    assert rms(20) == pytest.approx(3276.8)
    assert rms(64) == pytest.approx(20.675, abs=0.001)


@pytest.mark.parametrize(("octet", "coefficient"), [(127, 0.0), (0, -0.99994), (254, 0.99994), (191, 0.50391), (63, -0.50391)])
def test_reflection_coefficients_are_quantised_evenly_about_127(octet, coefficient):
    """RFC 3389 §3.2: 258 x 64 / 32768 = 0.50391."""
    assert reflection(octet) == pytest.approx(coefficient, abs=1e-5)


def test_the_filter_is_stepped_up_from_its_reflections():
    """By hand: k = (a, b) gives 1 + (a + a b) z^-1 + b z^-2."""
    a, b = reflection(191), reflection(63)
    assert predictor((191, 63)) == pytest.approx([1, a + a * b, b])
    assert predictor(()) == pytest.approx([1])


@pytest.mark.parametrize("rate", [8000, 16_000])
@pytest.mark.parametrize("coefficients", [(), (63,), (191, 100, 127, 140)])
def test_noise_has_the_level_that_was_said_and_nothing_above_4_khz(rate, coefficients):
    noise = Noise(Hush(30, coefficients), rate)
    heard = np.concatenate([noise.take(rate // 50) for _ in range(100)]).astype(float)
    assert 20 * np.log10(np.sqrt(np.mean(heard**2)) / 32768) == pytest.approx(-30, abs=0.05)
    power = np.abs(np.fft.rfft(heard)) ** 2
    assert power[heard.size * 4100 // rate :].sum() < 1e-3 * power.sum()


@pytest.mark.parametrize(("octet", "is_low"), [(30, True), (224, False)])
def test_a_negative_first_reflection_is_noise_of_low_pitch(octet, is_low):
    """1 / (1 + k z^-1) with k = -0.76 has its pole at +0.76: low frequencies; with k = 0.76 high ones."""
    power = np.abs(np.fft.rfft(Noise(Hush(30, (octet,))).take(16_000).astype(float))) ** 2
    assert (power[: power.size // 2].sum() > 0.8 * power.sum()) == is_low


def test_two_who_are_silent_are_not_the_same_noise():
    one, other = (Noise(Hush(30), seed=seed).take(8000).astype(float) for seed in (1, 2))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


@given(st.binary(max_size=60), st.integers(0, 1 << 62))
def test_whatever_comes_is_noise_of_its_level(payload, seed):
    heard = Noise(parse(payload), seed=seed).take(160)
    assert heard.shape == (160,)
    assert heard.dtype == np.int16


AT_40, AT_60 = ({-level + spread for spread in range(-2, 3)} for level in (40, 60))
"""A frame of noise is as loud as the whole give or take 0.5 dB (standard deviation of 160 squares)."""


class TestInAMix:
    """What a speaker says after the packet (`media.speaker`)."""

    def setup_method(self):
        self.buffer = bytearray(2048)
        self.statistics = JitterStatistics()
        self.speaker = Speaker(self.buffer, EventReceiver(), PCMA, 8000, lambda *_: None, conceals=True, statistics=self.statistics)

    def hush(self, number, payload):
        self.buffer[:12] = HEADER.pack(0x80, 13, number, 160 * number, 7)
        self.buffer[12 : 12 + len(payload)] = payload
        self.speaker.hush(12 + len(payload), 13, 0.0)

    def speak(self, first, count=1):
        for number in range(first, first + count):
            self.speaker.put(number, 160 * number, PCMA.encode(tones.probe(440, 0.02)), 0.0)

    def levels(self, count):
        heard = [self.speaker.frame() for _ in range(count)]
        return [None if frame is None else round(level_dbfs(frame)) for frame in heard]

    def test_speech_is_followed_by_noise_of_the_level_and_ends_it(self):
        self.speak(0)
        self.hush(1, b"\x28")
        assert self.levels(2) == [None, None]  # the buffer's depth
        said, *noise = self.levels(30)
        assert said == -12
        assert set(noise) <= AT_40
        self.speak(2)  # half a second later
        assert -12 in self.levels(6)
        assert self.statistics.concealed == 3  # nobody said that this spurt is over
        assert self.statistics.late == self.statistics.duplicates == self.statistics.discarded == 0

    def test_an_update_in_a_silence_is_in_force_at_once_and_a_late_one_never(self):
        self.speak(0)
        self.hush(1, b"\x28")
        self.levels(6)
        self.hush(2, b"\x3c")
        assert set(self.levels(5)) <= AT_60
        self.hush(1, b"\x14")
        assert set(self.levels(5)) <= AT_60

    def test_noise_before_anything_was_said_is_heard(self):
        self.hush(0, b"\x28")
        assert set(self.levels(5)) <= AT_40

    def test_another_source_begins_without_the_noise_of_the_last_one(self):
        self.hush(0, b"\x28")
        self.speaker.begin_stream()
        assert self.levels(3) == [None] * 3


def test_a_silence_of_opus_is_the_noise_its_decoder_knows_and_no_loss():
    """DTX (RFC 7587 §3.1.3): noise, then packets each 400 ms only; the level stays about that of the noise."""
    statistics = JitterStatistics()
    speaker = Speaker(bytearray(2048), EventReceiver(), OPUS, 8000, lambda *_: None, conceals=True, statistics=statistics)
    encoder = OPUS.encoder()
    encoder.take_terms("usedtx=1")
    hiss = np.random.default_rng(3).normal(0, 60, (200, 320)).astype(np.int16)
    packets, number, levels = [encoder.encode(part) for part in hiss], 0, []
    assert sum(not packet for packet in packets) >= 100
    for index, packet in enumerate(packets):
        if packet:
            speaker.put(number, 960 * index, packet, 0.0)
            number += 1
        heard = speaker.frame()
        levels.append(None if heard is None else level_dbfs(heard))
    assert None not in levels[5:]
    assert statistics.concealed == 0
    assert np.median(levels[20:]) == pytest.approx(level_dbfs(hiss.ravel()), abs=12)


class TestInARecording:
    """`media.channel` and `media.recorder`."""

    def decoded(self, channel, until, codec="PCMA"):
        kind, audio, present = channel.take(until)
        assert kind == codec
        return ChannelDecoder(concealment=True).decode(kind, audio, present)

    def test_noise_lasts_from_its_packet_to_the_next_one(self):
        channel, said = Channel(), PCMA.encode(tones.probe(440, 0.02))
        channel.place(0, said, 0)
        channel.hush(160, 40, 160)
        channel.hush(1600, 60, 1600)
        channel.place(4000, said, 4000)
        heard = self.decoded(channel, 4160)
        assert [round(level_dbfs(heard[at])) for at in (slice(0, 160), slice(200, 1600), slice(1640, 4000), slice(4040, 4160))] == [
            pytest.approx(level, abs=1) for level in (-12, -40, -60, -12)
        ]

    def test_it_goes_on_over_what_is_taken_meanwhile_and_a_late_packet_does_not_end_it(self):
        channel, said = Channel(), PCMA.encode(tones.probe(440, 0.02))
        channel.hush(160, 40, 160)
        first = self.decoded(channel, 800)
        assert not first[:160].any()
        assert level_dbfs(first[200:]) == pytest.approx(-40, abs=1)
        channel.hush(900, 40, 900)
        channel.place(740, said, 950)
        assert level_dbfs(self.decoded(channel, 8000)[300:]) == pytest.approx(-40, abs=1)

    @pytest.mark.parametrize("ends", ["pause", "close"])
    def test_it_ends_with_its_party(self, ends):
        channel = Channel()
        channel.hush(0, 40, 0)
        channel.take(800)
        channel.pause(paused=True) if ends == "pause" else channel.close()
        assert not self.decoded(channel, 1600).any()

    def test_another_codec_keeps_the_noise(self):
        channel = Channel()
        channel.hush(0, 40, 0)
        channel.place(1600, PCMA.encode(tones.probe(440, 0.02)), 1600)
        channel.switch_codec("opus")
        heard = self.decoded(channel, 1760, "linear")
        assert level_dbfs(heard[:1600]) == pytest.approx(-40, abs=1)
        assert level_dbfs(heard[1600:]) == pytest.approx(-12, abs=1)
