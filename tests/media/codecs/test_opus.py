"""Opus: packets by RFC 6716, terms by RFC 7587, loss and silence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import tones
from media.codecs import OPUS, PCMA, encoder_at, ticks_of
from media.codecs.opus import Terms, terms
from media.dtmf import EventReceiver
from media.frame import level_dbfs
from media.jitter_buffer import JitterStatistics
from media.legs.overhearing import Overhearing
from media.speaker import Speaker
from tests.media.codecs.packets import packets_of

SILENCE = np.zeros(320, dtype=np.int16)


def configuration(payload):
    """RFC 6716 table 2: 0 to 3 are narrow-band of SILK, 4 to 7 medium, 8 to 11 wide."""
    return payload[0] >> 3


def voice(seconds, rate=8000, pitch=120):
    """A buzz through no throat, but with the pitch and the swell of speech."""
    at = np.arange(int(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * pitch * n * at) / n for n in range(1, 3400 // pitch))
    return (buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * at)) * 4000).astype(np.int16)


@pytest.mark.parametrize(
    ("payload", "ms"),
    [
        (bytes((0 << 3, 1)), 10),  # SILK, narrow-band, 10 ms
        (bytes((1 << 3, 1)), 20),
        (bytes((11 << 3, 1)), 60),  # SILK, wide-band, 60 ms
        (bytes((12 << 3, 1)), 10),  # hybrid
        (bytes((15 << 3, 1)), 20),
        (bytes((16 << 3, 1)), 2.5),  # CELT
        (bytes((31 << 3, 1)), 20),
        (bytes((31 << 3 | 4, 1)), 20),  # stereo
        (bytes((31 << 3 | 1, 1)), 40),  # two frames of one size
        (bytes((31 << 3 | 2, 1)), 40),  # two frames
        (bytes((31 << 3 | 3, 6)), 120),  # six frames, which is the most: §3.2.5
        (bytes((31 << 3 | 3, 0x80 | 3)), 60),
        (bytes((31 << 3 | 3, 7)), 0),
        (bytes((11 << 3 | 3, 3)), 0),
        (bytes((31 << 3 | 3,)), 0),
        (b"", 0),
    ],
)
def test_a_packet_tells_what_it_lasts_by_its_first_octets(payload, ms):
    """RFC 6716 §3.1, tables 2 and §3.2; in ticks of 48 kHz (RFC 7587 §4.1)."""
    assert OPUS.ticks(payload) == 48 * ms


@pytest.mark.parametrize("ms", OPUS.ptimes_ms)
def test_what_we_make_lasts_what_was_asked_for(ms):
    packets = packets_of(OPUS, voice(0.24), samples=8 * ms)
    assert {ticks_of(OPUS, packet) for packet in packets} == {48 * ms}


def test_audio_of_no_packets_length_is_refused_by_name():
    with pytest.raises(ValueError, match="300 samples"):
        OPUS.encoder().encode(np.zeros(300, dtype=np.int16))


@pytest.mark.parametrize(
    ("fmtp", "said"),
    [
        ("", Terms()),
        ("minptime=10;useinbandfec=1", Terms(fec=True)),  # Chromium
        ("maxplaybackrate=16000; sprop-maxcapturerate=16000; maxaveragebitrate=20000; stereo=1; useinbandfec=1; usedtx=0", None),
        ("UseInbandFEC = 1 ;usedtx=1;cbr=1", Terms(fec=True, dtx=True, is_constant=True)),
        ("useinbandfec=;usedtx=x;maxplaybackrate=-1;maxaveragebitrate=99999999999;=;;", Terms()),
    ],
)
def test_terms_are_read_as_they_are_written(fmtp, said):
    """RFC 7587 §7; the third is the first example of §7.1 with what it leaves out."""
    assert terms(fmtp) == (said or Terms(fec=True, most_rate=16_000, most_bit_rate=20_000))


@given(st.text(max_size=80))
def test_any_terms_are_terms(text):
    OPUS.encoder().take_terms(text)


@pytest.mark.parametrize(("fmtp", "wide"), [("", True), ("maxplaybackrate=16000", True), ("maxplaybackrate=8000", False)])
def test_who_plays_8_khz_gets_narrow_band(fmtp, wide):
    """RFC 7587 §6.1: what is beyond the rate that the far end plays is not sent."""
    encoder = OPUS.encoder()
    encoder.take_terms(fmtp)
    bands = {configuration(encoder.encode(part)) // 4 for part in voice(1.0, 16_000).reshape(-1, 320)}
    assert bands == ({2} if wide else {0})


def test_audio_of_8_khz_is_sent_as_narrow_band_until_there_is_more():
    encoder, said = OPUS.encoder(), voice(1.0, 16_000).reshape(-1, 320)
    encoder.take_rate(8000)
    assert {configuration(encoder.encode(part)) // 4 for part in said} == {0}
    encoder.take_rate(16_000)
    assert configuration([encoder.encode(part) for part in said][-1]) // 4 > 0  # it widens where nobody hears the seam


def test_the_bit_rate_is_the_far_ends_where_that_is_lower():
    hiss = np.random.default_rng(1).normal(0, 2000, (100, 320)).astype(np.int16)

    def kbits(fmtp):
        encoder = OPUS.encoder()
        encoder.take_terms(fmtp)
        return sum(len(encoder.encode(part)) for part in hiss) * 8 / 2000

    assert kbits("") == pytest.approx(24, rel=0.35)
    assert kbits("maxaveragebitrate=10000") == pytest.approx(10, rel=0.35)
    assert kbits("maxaveragebitrate=500000") == kbits("")
    assert kbits("maxaveragebitrate=1") == kbits("")  # below what §6.1 allows


def distance(heard, said):
    """Mean square of the difference over that of what was said, dB."""
    return 10 * np.log10(np.mean((heard.astype(float) - said) ** 2) / np.mean(said.astype(float) ** 2))


def test_a_lost_packet_is_heard_from_its_copy_in_the_next_one():
    """RFC 6716 §2.1.7; only where the far end takes copies and loss is expected. The pitch changes in the lost packet: nothing before it
    tells what was in it.
    """
    said = np.concatenate([voice(0.4, pitch=100), voice(0.4, pitch=230)])
    lost = 20

    def recovered(fmtp, *, by_copy):
        encoder, decoder, whole = OPUS.encoder(), OPUS.decoder_at(8000), OPUS.decoder_at(8000)
        encoder.take_terms(fmtp)
        encoder.expect_loss(0.2)
        packets = packets_of(OPUS, said, encoder_at(OPUS, 8000, encoder))
        for packet in packets[:lost]:
            decoder.decode(packet)
        made = decoder.lost(160, packets[lost + 1] if by_copy else None)
        return distance(made, np.concatenate([whole.decode(packet) for packet in packets])[160 * lost : 160 * (lost + 1)])

    copied, made_up, without = (
        recovered("useinbandfec=1", by_copy=True),
        recovered("useinbandfec=1", by_copy=False),
        recovered("", by_copy=True),
    )
    assert copied < -6
    assert copied < made_up - 3
    assert copied < without - 3


def test_more_copies_are_sent_the_more_is_lost():
    def octets(loss):
        encoder = OPUS.encoder()
        encoder.take_terms("useinbandfec=1")
        encoder.expect_loss(loss)
        decoder, heard = OPUS.decoder_at(8000), 0.0
        for packet in packets_of(OPUS, voice(1.0), encoder_at(OPUS, 8000, encoder)):
            heard += float(np.mean(decoder.lost(160, packet).astype(float) ** 2))
            decoder.decode(packet)
        return heard

    assert octets(0.3) > octets(0.0)


def test_of_three_lost_packets_the_last_is_copied_and_the_others_are_made_up():
    encoder, decoder = OPUS.encoder(), OPUS.decoder_at(16_000)
    encoder.take_terms("useinbandfec=1")
    encoder.expect_loss(0.3)
    packets = packets_of(OPUS, voice(0.6), encoder_at(OPUS, 8000, encoder))
    for packet in packets[:20]:
        decoder.decode(packet)
    made = decoder.lost(960, packets[23])
    assert made.size == 960
    assert level_dbfs(made[:320]) > -40
    assert level_dbfs(made[640:]) > -30
    assert decoder.decode(packets[23]).size == 320


def packets_with_copies(said):
    encoder = OPUS.encoder()
    encoder.take_terms("useinbandfec=1")
    encoder.expect_loss(0.3)
    return packets_of(OPUS, said, encoder_at(OPUS, 8000, encoder))


LOST = {20, 30, 31}


def test_in_a_mix_what_is_lost_is_heard_from_the_packet_behind_it():
    """Jitter buffer and decoder together: nobody hears a hole, and of the packet that has a copy nearly what was in it."""
    said = voice(1.0)
    packets, statistics = packets_with_copies(said), JitterStatistics()
    speaker = Speaker(bytearray(2048), EventReceiver(), OPUS, 8000, lambda *_: None, conceals=True, statistics=statistics)
    heard = []
    for number, packet in enumerate(packets):
        if number not in LOST:
            speaker.put(number, 960 * number, packet, 0.0)
        frame = speaker.frame()
        if frame is not None:
            heard.append(frame)
    decoder = OPUS.decoder_at(8000)
    whole = [decoder.decode(packet) for packet in packets]
    assert statistics.concealed == 3
    assert min(level_dbfs(frame) for frame in heard[5:]) > -45
    assert distance(heard[20], whole[20]) < -6
    assert np.array_equal(heard[10], whole[10])


def test_in_a_recording_it_lies_in_its_place_and_what_comes_late_finds_it_taken():
    said = voice(1.0)
    packets, overhearing = packets_with_copies(said), Overhearing(OPUS)
    line = np.zeros(8000, dtype=np.int16)
    for number, packet in enumerate(packets):
        if number not in LOST:
            timestamp, audio = overhearing.hear(number + 65_500 & 0xFFFF, 960 * number + 0xFFFFF000 & 0xFFFFFFFF, packet)
            at = (timestamp - 0xFFFFF000 & 0xFFFFFFFF) // 6
            line[at : at + audio.size] = audio
    assert min(level_dbfs(line[at : at + 160]) for at in range(800, 8000, 160)) > -45
    assert overhearing.hear(65_530, 960 * 30 + 0xFFFFF000 & 0xFFFFFFFF, packets[30])[1].size == 0
    overhearing.begin_stream()
    assert overhearing.hear(7, 5, packets[0])[0] == 5


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
@pytest.mark.parametrize("samples", [0, 1, 20, 80, 161, 480, 2000])
def test_as_much_is_made_up_as_was_asked_for(rate, samples):
    decoder = OPUS.decoder_at(rate)
    decoder.decode(packets_of(OPUS, voice(0.02))[0])
    assert decoder.lost(samples).size == samples


def test_with_dtx_silence_is_not_sent_and_is_heard_as_silence():
    encoder = OPUS.encoder()
    encoder.take_terms("usedtx=1")
    packets = [encoder.encode(SILENCE) for _ in range(100)]
    sent = [packet for packet in packets[40:] if packet]
    assert 0 < len(sent) <= 8  # a sign of life each 400 ms, and behind it that it was one
    assert {OPUS.is_silence(packet) for packet in sent} == {True, False}
    assert all(encoder.encode(part) for part in voice(0.2, 16_000).reshape(-1, 320)[2:])
    always = OPUS.encoder()
    assert all(always.encode(SILENCE) for _ in range(100))


def test_a_tone_in_stereo_is_heard_once_and_as_loud():
    """RFC 7587 §3.4: a receiver must take both. Made by FFmpeg's libopus, left and right alike."""
    av = pytest.importorskip("av")
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "s16"
    encoder.open()
    said = np.repeat((8000 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.int16), 2)
    packets = []
    for at in range(0, said.size, 1920):
        frame = av.AudioFrame.from_ndarray(said[None, at : at + 1920], format="s16", layout="stereo")
        frame.sample_rate = 48_000
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    assert packets[10][0] & 4, "the TOC's s bit: stereo"
    decoder = OPUS.decoder_at(8000)
    heard = np.concatenate([decoder.decode(packet) for packet in packets])[1600:]
    assert tones.dominant_frequency(heard) == pytest.approx(440, abs=1)
    assert level_dbfs(heard) == pytest.approx(level_dbfs(said), abs=0.3)


@given(st.binary(max_size=200))
def test_whatever_comes_is_decoded_or_made_up_for_as_long_as_it_says(payload):
    decoder = OPUS.decoder_at(8000)
    assert decoder.decode(payload).size == OPUS.ticks(payload) // 6


def test_a_rate_that_it_has_not_is_refused():
    with pytest.raises(ValueError, match="11025"):
        OPUS.decoder_at(11_025)
    assert encoder_at(PCMA, 8000) is PCMA
