"""G.711 against the definition in the recommendation, not against our own tables."""

import math

import numpy as np
import pytest

from media.codecs.g711 import ALAW_TO_ULAW, PCMA, PCMU, ULAW_TO_ALAW


def alaw_compress(sample: int) -> int:
    """What G.191 `alaw_compress` computes, one sample at a time with shifts: another way than ours by tables."""
    magnitude = (~sample) >> 4 if sample < 0 else sample >> 4
    if magnitude > 15:
        exponent = 1
        while magnitude > 16 + 15:
            magnitude >>= 1
            exponent += 1
        magnitude = magnitude - 16 + (exponent << 4)
    if sample >= 0:
        magnitude |= 0x80
    return magnitude ^ 0x55


def alaw_expand(code: int) -> int:
    """G.191 `alaw_expand`."""
    code ^= 0x55
    magnitude = code & 0x7F
    exponent = magnitude >> 4
    mantissa = magnitude & 0x0F
    if exponent > 0:
        mantissa += 16
    mantissa = (mantissa << 4) + 8
    if exponent > 1:
        mantissa <<= exponent - 1
    return mantissa if code > 127 else -mantissa


def ulaw_compress(sample: int) -> int:
    """G.191 `ulaw_compress`."""
    absolute = ((~sample) >> 2) + 33 if sample < 0 else (sample >> 2) + 33
    absolute = min(absolute, 0x1FFF)
    segment = 1
    rest = absolute >> 6
    while rest:
        segment += 1
        rest >>= 1
    high = 8 - segment
    low = 0x0F - ((absolute >> segment) & 0x0F)
    code = (high << 4) | low
    return code | 0x80 if sample >= 0 else code


def ulaw_expand(code: int) -> int:
    """G.191 `ulaw_expand`."""
    sign = -1 if code < 0x80 else 1
    mantissa = ~code & 0xFF
    exponent = (mantissa >> 4) & 7
    step = 4 << (exponent + 1)
    value = (0x80 << exponent) + step * (mantissa & 0x0F) + step // 2 - 4 * 33
    return sign * value


ALL_SAMPLES = range(-32768, 32768)


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "compress"), [(PCMA, alaw_compress), (PCMU, ulaw_compress)])
def test_every_sample_encodes_as_g191_compresses_it(codec, compress):
    ours = codec.encode(np.arange(-32768, 32768).astype(np.int16))
    assert ours == bytes(compress(sample) for sample in ALL_SAMPLES)


@pytest.mark.parametrize(("codec", "expand"), [(PCMA, alaw_expand), (PCMU, ulaw_expand)])
def test_every_code_decodes_as_g191_expands_it(codec, expand):
    assert codec.decode(bytes(range(256))).tolist() == [expand(code) for code in range(256)]


@pytest.mark.parametrize("codec", [PCMA, PCMU])
def test_decoding_and_encoding_again_keeps_every_code(codec):
    codes = bytes(range(256))
    again = codec.encode(codec.decode(codes))
    # µ-law has two zeros; the negative one becomes the positive one.
    assert [code for code in codes if again[code] != code] == ([] if codec is PCMA else [0x7F])


def test_g711_reference_codes():
    """G.711 tables 1a and 2a: zero, full positive and full negative, as sent on the line."""
    audio = np.array([0, 32767, -32768], dtype=np.int16)
    assert PCMA.encode(audio) == bytes([0xD5, 0xAA, 0x2A])
    assert PCMU.encode(audio) == bytes([0xFF, 0x80, 0x00])
    assert PCMA.decode(bytes([0xAA]))[0] == 32256
    assert PCMU.decode(bytes([0x80]))[0] == 32124


def test_silence_octets_are_the_quietest_codes():
    assert abs(int(PCMA.decode(bytes([PCMA.silence]))[0])) == 8
    assert PCMU.decode(bytes([PCMU.silence]))[0] == 0


@pytest.mark.parametrize(("table", "source", "target"), [(ALAW_TO_ULAW, PCMA, PCMU), (ULAW_TO_ALAW, PCMU, PCMA)])
def test_conversion_by_table_equals_decoding_and_encoding(table, source, target):
    codes = bytes(range(256))
    assert codes.translate(table) == target.encode(source.decode(codes))


@pytest.mark.parametrize("codec", [PCMA, PCMU])
def test_a_sine_keeps_35_decibels_of_signal_to_noise(codec):
    """G.712 asks for more than 33 dB over the middle of the range."""
    sine = np.rint(8000 * np.sin(2 * np.pi * 1004 * np.arange(8000) / 8000)).astype(np.int16)
    noise = codec.decode(codec.encode(sine)).astype(float) - sine
    assert 20 * math.log10(np.sqrt((sine.astype(float) ** 2).mean()) / np.sqrt((noise**2).mean())) > 35
