"""G.722: RFC 3551 §4.5.2, and heard by two other makers' decoders."""

import numpy as np
import pytest

from media import tones
from media.codecs import G722, octets_in, of_payload_type, ticks_in
from tests.media.codecs.g722_makers import MAKERS, delayed_snr, speech


def test_the_clock_is_half_the_rate_by_the_error_of_rfc_1890():
    assert (G722.name, G722.payload_type, G722.clock_rate, G722.rate, G722.octets_a_second) == ("G722", 9, 8000, 16_000, 8000)
    assert (octets_in(G722, 160), ticks_in(G722, 160)) == (160, 160)
    assert of_payload_type(9) is G722


def test_a_stream_in_packets_is_the_stream_at_once():
    audio = speech(1.0)
    encoder, decoder = G722.encoder(), G722.decoder()
    packets = [encoder.encode(audio[at : at + 320]) for at in range(0, audio.size, 320)]
    assert {len(packet) for packet in packets} == {160}
    assert b"".join(packets) == G722.encoder().encode(audio)
    heard = np.concatenate([decoder.decode(packet) for packet in packets])
    assert heard.size == audio.size
    assert np.array_equal(heard, G722.decoder().decode(b"".join(packets)))


def test_two_streams_do_not_touch_each_other():
    audio = speech(0.5)
    alone, beside, other = G722.encoder(), G722.encoder(), G722.encoder()
    mixed = b""
    for at in range(0, audio.size, 320):
        mixed += beside.encode(audio[at : at + 320])
        other.encode(audio[::-1][at : at + 320])
    assert mixed == alone.encode(audio)


def test_whatever_octets_come_are_decoded_and_nothing_breaks():
    rng, decoder = np.random.default_rng(7), G722.decoder()
    for size in (0, 1, 7, 160, 1500):
        heard = decoder.decode(rng.integers(0, 256, size, dtype=np.uint8).tobytes())
        assert (heard.dtype, heard.size) == (np.int16, 2 * size)


def test_the_octet_of_silence_is_silence():
    assert np.abs(G722.decoder().decode(bytes((G722.silence,)) * 8000).astype(int)).max() <= 3


def test_seven_kilohertz_are_heard():
    for frequency in (300.0, 3000.0, 6500.0):
        place = np.arange(32_000) / 16_000
        sent = (8000 * np.sin(2 * np.pi * frequency * place)).astype(np.int16)
        heard = G722.decoder().decode(G722.encoder().encode(sent))[8000:]
        assert tones.dominant_frequency(heard) * 2 == pytest.approx(frequency, abs=2)  # which reckons with 8 kHz
        assert np.std(heard) == pytest.approx(np.std(sent), rel=0.12)


@pytest.mark.parametrize("decoder", MAKERS)
@pytest.mark.parametrize("encoder", MAKERS)
@pytest.mark.parametrize(
    ("seconds", "snr"),
    [(3.0, 33.1), pytest.param(60.0, 34.2, marks=pytest.mark.storm)],
)
def test_each_maker_hears_each_other(encoder, decoder, seconds, snr):
    """All three gave the same octets when this was written, so the nine figures were one."""
    spoken = speech(seconds)
    assert delayed_snr(spoken, MAKERS[decoder]().decode(MAKERS[encoder]().encode(spoken))) == pytest.approx(snr, abs=0.3)
