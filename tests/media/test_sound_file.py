"""Sounds that people send: read in every form, resampled without aliases, with their length and level."""

import io
import struct
import subprocess
import wave
from shutil import which

import numpy as np
import pytest

from media import tones
from media.codecs import PCMA, PCMU
from media.errors import ParseError
from media.frame import level_dbfs
from media.sound_file import RATES, SPEECH_DBFS, active_level, convert, levelled, read, resampled
from media.wave_file import read_as_alaw


def sine(hz, rate, seconds=0.5, amplitude=0.25):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)


def wav(tag, bits, rate, channels, octets, *, extensible=False, size=None):
    """A file, written by hand: Python's `wave` knows PCM only."""
    block = channels * bits // 8
    head = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * block, block, bits)
    if extensible:
        head += struct.pack("<HHIH", 22, bits, 0, tag) + bytes.fromhex("000000001000800000aa00389b71")
    junk = b"LIST\x03\0\0\0abc\0"  # chunks of an odd length are filled up
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(head)) + head + junk
    body += b"data" + struct.pack("<I", len(octets) if size is None else size) + octets
    return b"RIFF" + struct.pack("<I", len(body)) + body


def pcm16(audio, rate=8000, channels=1):
    return wav(1, 16, rate, channels, np.rint(audio * 32767).astype("<i2").tobytes())


def as_24(audio):
    return np.rint(audio * (2**23 - 1)).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


TONE = sine(1000, 8000)
FORMS = {
    "PCM 8": (1, 8, np.rint(TONE * 127 + 128).astype(np.uint8).tobytes()),
    "PCM 16": (1, 16, np.rint(TONE * 32767).astype("<i2").tobytes()),
    "PCM 24": (1, 24, as_24(TONE)),
    "PCM 32": (1, 32, np.rint(TONE * (2**31 - 1)).astype("<i4").tobytes()),
    "float 32": (3, 32, TONE.astype("<f4").tobytes()),
    "float 64": (3, 64, TONE.astype("<f8").tobytes()),
    "A-law": (6, 8, PCMA.encode(np.rint(TONE * 32767).astype(np.int16))),
    "µ-law": (7, 8, PCMU.encode(np.rint(TONE * 32767).astype(np.int16))),
}


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("encoding", FORMS)
def test_every_form_is_read_to_the_same_audio(encoding, extensible):
    tag, bits, octets = FORMS[encoding]
    source, audio = read(wav(tag, bits, 8000, 1, octets, extensible=extensible))
    assert (source.encoding, source.rate, source.channels) == (encoding, 8000, 1)
    assert np.abs(audio - TONE).max() < {"PCM 8": 0.01, "A-law": 0.01, "µ-law": 0.01}.get(encoding, 1e-4)


def test_what_other_programs_write_is_read():
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 2, 44100, 0, "NONE", ""))
        writer.writeframes(np.repeat(np.rint(sine(700, 44100) * 32767).astype("<i2"), 2).tobytes())
    assert tones.dominant_frequency(PCMA.decode(read_as_alaw(convert(file.getvalue(), longest_s=1).file))) == pytest.approx(700, abs=2)


@pytest.mark.parametrize("encoding", ["signed-integer", "floating-point"])
def test_what_sox_writes_is_read(encoding, tmp_path):
    if which("sox") is None:
        pytest.skip("sox is not installed")
    path = tmp_path / "tone.wav"
    subprocess.run(["sox", "-n", "-r", "48000", "-b", "32", "-e", encoding, "-c", "2", path, "synth", "0.5", "sine", "500"], check=True)
    converted = convert(path.read_bytes(), longest_s=1)
    assert (converted.source.rate, converted.source.channels, converted.duration_ms) == (48000, 2, 500)
    assert tones.dominant_frequency(PCMA.decode(read_as_alaw(converted.file))) == pytest.approx(500, abs=2)


def test_two_channels_become_their_mean():
    left, right = sine(500, 8000), sine(900, 8000)
    _, audio = read(pcm16(np.column_stack([left, right]).ravel(), channels=2))
    assert np.abs(audio - (left + right) / 2).max() < 1e-4


def spectrum(audio):
    """Amplitude by Hz, of half a second at 8 kHz without its edges."""
    window = np.hanning(audio.size)
    return np.abs(np.fft.rfft(audio * window)) * 2 / window.sum()


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate > 8000])
@pytest.mark.parametrize("hz", [300, 1000, 3400])
def test_the_telephone_band_is_kept_at_every_rate(rate, hz):
    found = resampled(sine(hz, rate, 1.0).astype(np.float32), rate)
    assert found.size == 8000
    amplitudes = spectrum(found[400:-400])
    at = round(hz * (found.size - 800) / 8000)
    assert 20 * np.log10(amplitudes[at - 1 : at + 2].max() / 0.25) == pytest.approx(0, abs=0.1)
    others = np.concatenate([amplitudes[: at - 4], amplitudes[at + 5 :]])
    assert 20 * np.log10(others.max() / 0.25) < -65


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate > 11025])
@pytest.mark.parametrize("hz", [4200, 5000, 7300])
def test_what_lies_above_the_band_does_not_fold_into_it(rate, hz):
    """5 kHz would be heard at 3 kHz by whoever leaves samples out."""
    found = resampled(sine(hz, rate, 1.0).astype(np.float32), rate)
    assert 20 * np.log10(spectrum(found[400:-400]).max() / 0.25) < -65


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("samples", [1, 7, 800, 1001])
def test_a_click_stays_where_it_was(rate, samples):
    audio = np.zeros(round(rate * 0.2) + samples, np.float32)
    audio[round(rate * 0.1)] = 1
    found = resampled(audio, rate)
    assert found.size == -(-audio.size * 8000 // rate)
    assert abs(int(np.argmax(np.abs(found))) - 800) <= 1


def test_audio_that_is_as_it_should_be_stays_octet_for_octet():
    stored = PCMA.encode(tones.tone((440,), 0.5))
    assert read_as_alaw(convert(wav(6, 8, 8000, 1, stored), longest_s=1).file) == stored


def test_length_and_level_are_told():
    converted = convert(pcm16(sine(440, 16000, 2.0, 0.5), 16000), longest_s=10)
    assert converted.duration_ms == 2000
    assert converted.level_dbfs == pytest.approx(-9.0, abs=0.2)
    assert converted.peak_dbfs == pytest.approx(-6.0, abs=0.1)
    assert not converted.clipped


def test_pauses_do_not_count_as_quiet():
    speech = np.concatenate([sine(440, 8000, 0.5), np.zeros(16000)]) * 32768
    assert active_level(speech) == pytest.approx(-15.05, abs=0.1)
    assert level_dbfs(speech.astype(np.int16)) < -20


def test_what_is_cut_off_is_told():
    assert convert(pcm16(np.clip(sine(440, 8000, amplitude=2.0), -1, 1)), longest_s=1).clipped


@pytest.mark.parametrize("amplitude", [0.004, 0.1, 1.0])
def test_normalising_gives_the_level_of_the_packaged_sounds_without_clipping(amplitude):
    converted = convert(pcm16(sine(440, 8000, amplitude=amplitude)), longest_s=1, normalise=True)
    assert converted.level_dbfs == pytest.approx(SPEECH_DBFS, abs=0.3)
    assert np.abs(PCMA.decode(read_as_alaw(converted.file)).astype(int)).max() < 32000


def test_levelling_silence_is_silence():
    assert not levelled(np.zeros(800), SPEECH_DBFS).any()


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "no WAV file"),
        (b"RIFX\x04" + bytes(100), "no WAV file; send a WAV file: PCM of 8"),
        (b"RIFF\0\0\0\0WAVE", "without audio"),
        (wav(1, 16, 8000, 1, b""), "without audio"),
        (wav(1, 16, 8000, 1, b"")[:30], "format chunk is cut short"),
        (wav(2, 4, 8000, 1, bytes(8000)), "format 2 with 4 bit"),
        (wav(1, 16, 7000, 1, bytes(8000)), "7000 Hz"),
        (wav(1, 16, 8000, 6, bytes(9600)), "6 channel"),
        (wav(1, 16, 8000, 0, bytes(9600)), "0 channel"),
        (pcm16(sine(440, 8000, 1.2)), "plays 1.2 s"),
        (pcm16(sine(440, 8000, 0.05)), "plays 0.05 s"),
        (pcm16(np.zeros(4000)), "nothing to hear"),
        (pcm16(sine(440, 8000, amplitude=0.0003)), "nothing to hear"),
        (pcm16(sine(9000, 48000) * np.hanning(24000), 48000), "nothing to hear"),
        (wav(3, 32, 8000, 1, np.full(4000, np.nan, "<f4").tobytes()), "no numbers"),
    ],
)
def test_what_cannot_be_played_is_refused_with_its_reason(file, why):
    with pytest.raises(ParseError, match=why):
        convert(file, longest_s=1)


@pytest.mark.parametrize(
    ("begins", "what"), [(b"ID3\x04", "MP3"), (b"\xff\xfb\x90\x64", "MP3"), (b"OggS\x00", "OGG"), (b"fLaC\x00", "FLAC")]
)
def test_other_formats_are_called_by_their_names(begins, what):
    with pytest.raises(ParseError, match=f"it is {what}, no WAV file"):
        read(begins + bytes(5000))


def test_a_file_that_is_cut_off_is_no_shorter_sound():
    octets = np.rint(TONE * 32767).astype("<i2").tobytes()
    whole = wav(1, 16, 8000, 1, octets)
    with pytest.raises(ParseError, match=f"cut off: {len(octets)} octets of audio are announced, {len(octets) - 1000} are there"):
        read(whole[:-1000])


def test_a_file_that_was_streamed_says_no_length_and_is_read_to_its_end():
    octets = np.rint(TONE * 32767).astype("<i2").tobytes()
    assert read(wav(1, 16, 8000, 1, octets, size=0xFFFFFFFF))[1].size == TONE.size
