"""RIFF/WAVE in and out; the writer checked against Python's own reader."""

import io
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.codecs import PCMA
from media.codecs.g711 import ULAW_TO_ALAW
from media.errors import ParseError
from media.wave_file import HEADER_OCTETS, pcm_header, read_as_alaw


def test_header_is_what_pythons_wave_reads():
    samples = np.arange(400, dtype="<i2")
    with wave.open(io.BytesIO(pcm_header(2, samples.nbytes) + samples.tobytes())) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth(), file.getnframes()) == (2, 8000, 2, 200)
    assert len(pcm_header(2, 0)) == HEADER_OCTETS


def test_pcm_written_by_others_is_read():
    samples = np.arange(-8000, 8000, 10).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(samples.tobytes())
    assert read_as_alaw(file.getvalue()) == PCMA.encode(samples.astype(np.int16))


def wav(tag, channels=1, rate=8000, bits=8, data=b"\x10\x20"):
    form = tag.to_bytes(2, "little") + channels.to_bytes(2, "little") + rate.to_bytes(4, "little") + bytes(6) + bits.to_bytes(2, "little")
    chunks = b"LIST\x03\0\0\0abc\0" + b"fmt \x10\0\0\0" + form + b"data" + len(data).to_bytes(4, "little") + data
    return b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WAVE" + chunks


def test_unknown_chunks_are_skipped_and_ulaw_is_converted():
    assert read_as_alaw(wav(7)) == b"\x10\x20".translate(ULAW_TO_ALAW)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "not a RIFF"),
        (b"RIFX0000WAVE", "not a RIFF"),
        (b"RIFF0000WAVE", "without audio"),
        (wav(6, channels=2), "mono"),
        (wav(6, rate=16000), "16000 Hz"),
        (wav(1, bits=24), "24 bit"),
        (wav(85), "format 85"),
    ],
)
def test_other_files_are_refused_with_the_reason(file, reason):
    with pytest.raises(ParseError, match=reason):
        read_as_alaw(file)


@given(
    st.binary(max_size=100)
    | st.binary(max_size=60).map(lambda octets: b"RIFF\0\0\0\0WAVE" + octets)
    | st.integers(0, 60).map(lambda cut: wav(6)[:cut])
)
def test_any_octets_give_audio_or_a_parse_error(file):
    try:
        read_as_alaw(file)
    except ParseError:
        return
