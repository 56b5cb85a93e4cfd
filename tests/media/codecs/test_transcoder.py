"""Between codecs: what a tone is after it."""

import numpy as np
import pytest

from media import tones
from media.codecs import CODECS, G722, PCMA, PCMU, Transcoder, decoder_at, encoder_at
from tests.media.codecs.packets import lasts, packets_of

SETTLED = slice(4000, 12_000)


def tone_in(audio, frequency=1000.0):
    """Level in dBFS of the tone, and its distance in dB from everything else, in audio at 8 kHz."""
    heard = audio[SETTLED].astype(float)
    place = 2 * np.pi * frequency * np.arange(heard.size) / 8000
    waves = np.stack([np.sin(place), np.cos(place)], axis=1)
    fitted = waves @ np.linalg.lstsq(waves, heard, rcond=None)[0]
    rest = heard - fitted
    return 20 * np.log10(np.std(fitted) / 32768), 10 * np.log10((fitted @ fitted) / (rest @ rest))


@pytest.mark.parametrize("narrow", [PCMA, PCMU])
def test_a_tone_keeps_its_level_from_g722_to_g711_and_back(narrow):
    """Measured: 0.04 dB off and 34.6 dB clear after G.711, which is G.711's own distance; 34.3 dB back in G.722."""
    spoken = tones.tone((1000,), 2.0, -18.0)
    wire = encoder_at(G722, 8000).encode(spoken)
    there = Transcoder(G722, narrow).transcode(wire)
    level, snr = tone_in(narrow.decode(there))
    assert level == pytest.approx(-18.0, abs=0.1)
    assert snr > 33
    back = decoder_at(G722, 8000).decode(Transcoder(narrow, G722).transcode(there))
    level, snr = tone_in(back)
    assert level == pytest.approx(-18.0, abs=0.5)
    assert snr > 33


@pytest.mark.parametrize(("source", "target"), [(source, target) for source in CODECS for target in CODECS])
def test_packets_keep_their_time_and_their_place_in_the_stream(source, target):
    one, other = CODECS[source], CODECS[target]
    wire = packets_of(one, tones.tone((440,), 0.4))
    by_packet = Transcoder(one, other)
    packets = [by_packet.transcode(payload) for payload in wire]
    assert lasts(other, packets) == {other.clock_rate // 50}
    if not one.is_uneven and not other.is_uneven:
        assert b"".join(packets) == Transcoder(one, other).transcode(b"".join(wire))


@pytest.mark.parametrize(("source", "target"), [(source, target) for source in CODECS for target in CODECS])
def test_a_tone_is_the_same_tone_in_every_other_codec(source, target):
    """Every pair there is: pitch to 1 Hz, level to half a decibel, and whatever else there is 20 dB below it."""
    one, other = CODECS[source], CODECS[target]
    transcoder, decoder = Transcoder(one, other), decoder_at(other, 8000)
    heard = [decoder.decode(transcoder.transcode(payload)) for payload in packets_of(one, tones.tone((1000,), 2.0, -18.0))]
    audio = np.concatenate(heard)
    assert audio.size == 16_000
    assert tones.dominant_frequency(audio[SETTLED]) == pytest.approx(1000, abs=1)
    level, snr = tone_in(audio)
    assert level == pytest.approx(-18.0, abs=0.5)
    assert snr > 20


def test_a_codec_at_its_own_rate_is_used_as_it_is():
    assert decoder_at(PCMA, 8000) is PCMA
    assert encoder_at(PCMU, 8000) is PCMU
