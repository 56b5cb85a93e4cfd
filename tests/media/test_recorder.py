"""Channels on one time line, the decoder's concealment, and the writer thread."""

import os
import threading
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import tones
from media.channel import Channel
from media.codecs import CODECS, PCMA, PCMU, clock_scale
from media.frame import level_dbfs
from media.legs.overhearing import Overhearing
from media.recorder import ChannelDecoder, RecordingWriter, _Grow, _Open, salvage
from tests.media.codecs.packets import packets_of


def octets(value, count=160):
    return bytes([value]) * count


def test_packet_lies_where_its_timestamp_says_not_where_jitter_put_it():
    channel = Channel()
    channel.place(5000, octets(1), 0)
    channel.place(5160, octets(2), 310)  # 150 samples late
    channel.place(5320, octets(3), 300)  # 20 early
    codec, audio, present = channel.take(480)
    assert (codec, audio) == ("PCMA", octets(1) + octets(2) + octets(3))
    assert present == b"\x01" * 480


def test_gap_is_marked_absent_and_a_late_packet_still_fills_it():
    channel = Channel()
    channel.place(0, octets(1), 0)
    channel.place(320, octets(3), 320)
    channel.place(160, octets(2), 400)
    channel.place(640, octets(5), 640)
    _, audio, present = channel.take(800)
    assert audio[:480] == octets(1) + octets(2) + octets(3)
    assert present == b"\x01" * 480 + bytes(160) + b"\x01" * 160


def test_packet_that_comes_after_its_place_was_written_is_dropped_and_counted():
    channel = Channel()
    channel.place(0, octets(1), 0)
    channel.take(800)
    channel.place(160, octets(2), 900)  # 740 samples late, below the re-anchoring limit
    assert channel.late == 1
    assert not any(channel.take(1600)[2])


def test_timestamps_may_wrap():
    channel = Channel()
    channel.place(0xFFFFFFFF - 159, octets(1), 0)
    channel.place(0, octets(2), 160)
    assert channel.take(320)[1] == octets(1) + octets(2)


def test_another_time_base_is_anchored_at_its_arrival():
    channel = Channel()
    channel.place(0, octets(1), 0)
    channel.place(3_000_000, octets(2), 4000)
    channel.place(3_000_160, octets(3), 4160)
    audio, present = channel.take(4320)[1:]
    assert audio[4000:] == octets(2) + octets(3)
    assert sum(present) == 480


def test_a_party_whose_first_packets_come_in_a_burst_is_where_it_spoke():
    """Six packets wait in a queue of the network and come at once; the seventh comes in its time."""
    channel = Channel()
    for at in range(6):
        channel.place(160 * at, octets(at), 1000)
    channel.place(160 * 6, octets(6), 160 * 6 + 200)
    present = channel.take(200 + 160 * 7)[2]
    assert present == bytes(200) + b"\x01" * 160 * 7


def test_what_was_before_another_time_base_is_not_drawn_over():
    channel = Channel()
    channel.place(0, octets(1), 0)
    channel.place(3_000_000, octets(2), 400)
    channel.place(3_000_160, octets(3), 200)
    assert channel.take(600)[1:] == (octets(1) + octets(2) + octets(3) + bytes(120), b"\x01" * 480 + bytes(120))


def test_what_the_writer_has_stays_where_it_is():
    channel = Channel()
    channel.place(0, octets(1), 1000)
    channel.take(1010)
    channel.place(160, octets(2), 1000)
    assert channel.take(1320)[2] == b"\x01" * 310


def test_paused_channel_keeps_time_without_audio():
    channel = Channel()
    channel.place(0, octets(1), 0)
    channel.pause(paused=True)
    channel.place(160, octets(2), 160)
    channel.pause(paused=False)
    channel.place(320, octets(3), 320)
    assert channel.take(480)[2] == b"\x01" * 160 + b"\x02" * 160 + b"\x01" * 160


@pytest.mark.parametrize("pieces", [(480,), (240, 480), (160, 320, 480), (80, 200, 250, 400, 480)])
def test_a_pause_is_silence_and_nothing_is_made_up_in_it_wherever_it_is_cut(pieces):
    """A concealer would go on with the last pitch for 60 ms: as if somebody on hold had been recorded."""
    channel = Channel()
    channel.place(0, octets(1), 0)
    channel.pause(paused=True)
    taken = b""
    resumed = placed = False
    at = 0
    for until in pieces:
        if until > 300 and not resumed:
            channel.pause(paused=False)
            resumed = True
        if until > 400 and not placed:
            channel.place(400, octets(3)[:80], 400)
            placed = True
        taken += channel.take(until)[2]
        at = until
    assert at == len(taken) == 480
    assert taken == b"\x01" * 160 + b"\x02" * 240 + b"\x01" * 80


def test_codec_may_change_in_the_middle():
    channel = Channel()
    channel.place(0, octets(0x2A), 0)
    channel.switch_codec("PCMU")
    channel.place(160, octets(0x00), 160)
    codec, audio, _ = channel.take(320)
    assert codec == "PCMU"
    assert audio == PCMU.encode(PCMA.decode(octets(0x2A))) + octets(0)


@given(st.lists(st.tuples(st.integers(0, 0xFFFFFFFF), st.integers(0, 320), st.integers(0, 4000), st.booleans()), max_size=30))
def test_whatever_comes_what_is_taken_has_the_length_of_time(packets):
    channel = Channel()
    now = taken = 0
    for timestamp, size, step, takes in packets:
        now += step
        channel.place(timestamp, bytes(size), now)
        if takes and now > taken:
            _, audio, present = channel.take(now)
            assert len(audio) == len(present) == now - taken
            taken = now


def test_short_gap_is_concealed_long_gap_fades_silence_before_speech_stays():
    audio = tones.tone(tuple(125.0 * each for each in range(1, 9)), 0.4, -30.0, ramp=False)
    present = np.ones(3200, dtype=np.uint8)
    present[:800] = 0
    present[1600:1760] = 0
    encoded = PCMA.encode(audio)
    decoder = ChannelDecoder(concealment=True)
    heard = decoder.decode("PCMA", encoded, present.tobytes()).astype(float)
    assert not heard[:800].any()
    assert np.sqrt((heard[1600:1680] ** 2).mean()) > 0.7 * np.sqrt((audio[1600:1680].astype(float) ** 2).mean())
    rest = decoder.decode("PCMA", bytes(1600), bytes(1600))
    assert rest[:80].any()
    assert not rest[480:].any()


def as_placed(name, audio):
    """Audio at 8 kHz in pieces of 20 ms, as the packet loop lays them into a channel: packets, or what is decoded of uneven ones."""
    codec = CODECS[name]
    if not codec.is_uneven:
        return packets_of(codec, audio)
    overhearing = Overhearing(codec)
    heard = [overhearing.hear(number, 960 * number, payload)[1] for number, payload in enumerate(packets_of(codec, audio))]
    return [piece.tobytes() for piece in heard]


@pytest.mark.parametrize("name", list(CODECS))
def test_every_codec_is_laid_by_its_clock_and_decoded_as_one_stream(name):
    """Two packets of thirty are lost, and what is taken in three pieces is what was said, a decoder's delay later."""
    said = tones.tone((1000.0,), 0.6, -12.0, ramp=False)
    pieces, scale = as_placed(name, said), clock_scale(CODECS[name])
    channel, decoder = Channel(), ChannelDecoder(concealment=True)
    channel.codec = name
    heard = []
    for index in range(30):
        if index not in {14, 15}:
            channel.place(160 * index * scale, pieces[index], 160 * index)
        if index in {6, 17, 29}:
            heard.append(decoder.decode(*channel.take(160 * (index + 1) - 37)))  # in the midst of a packet
    audio = np.concatenate(heard)
    assert audio.size == 4800 - 37
    for part in (audio[400:2200], audio[3600:]):
        assert level_dbfs(part) == pytest.approx(-12.0, abs=0.3 if CODECS[name].is_uneven else 0.1)
        assert tones.dominant_frequency(part) == pytest.approx(1000, abs=2)
    assert level_dbfs(audio[2240:2560]) == pytest.approx(-13.0, abs=2.0)


@pytest.mark.parametrize(("before", "after"), [(one, other) for one in CODECS for other in CODECS if one != other])
def test_a_codec_that_changes_in_a_recording_keeps_what_was_said(before, after):
    """What comes in the new one is a stream of its own, which one that remembers finds into within a fifth of a second."""
    said = tones.tone((1000.0,), 0.6, -12.0, ramp=False)
    channel, decoder = Channel(), ChannelDecoder(concealment=False)
    channel.codec = before
    for name, first in ((before, 0), (after, 10)):
        channel.switch_codec(name)
        pieces, scale = as_placed(name, said[160 * first :]), clock_scale(CODECS[name])
        for index in range(10 if name == before else 20):
            channel.place(160 * (first + index) * scale, pieces[index], 160 * (first + index))
    audio = decoder.decode(*channel.take(4800))
    assert audio.size == 4800
    for part in (audio[400:1500], audio[3200:]):
        assert level_dbfs(part) == pytest.approx(-12.0, abs=0.2)


def test_without_concealment_a_gap_is_silence():
    decoder = ChannelDecoder(concealment=False)
    heard = decoder.decode("PCMA", octets(0x2A, 320), b"\x01" * 160 + bytes(160))
    assert heard[:160].all()
    assert not heard[160:].any()


class Woken:
    """Waits for the writer thread as the worker's loop does."""

    def __init__(self):
        self.semaphore = threading.Semaphore(0)
        self.writer = RecordingWriter(self.semaphore.release)

    def ended(self):
        assert self.semaphore.acquire(timeout=10)
        return self.writer.ended.popleft()


@pytest.fixture
def woken():
    waiting = Woken()
    yield waiting
    assert waiting.writer.finish(10)


def chunk(value, count=800):
    return ("PCMA", octets(value, count), b"\x01" * count)


def test_two_channels_are_interleaved(woken, tmp_path):
    path = tmp_path / "new" / "call.wav"
    woken.writer.open("r", str(path), (True, True))
    for _ in range(3):
        assert woken.writer.write("r", (chunk(0x2A), chunk(0xAA)))
    woken.writer.close("r")
    ended = woken.ended()
    assert (ended.recording, ended.path, ended.duration_ms, ended.error) == ("r", str(path), 300, None)
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(10_000), dtype="<i2").reshape(-1, 2)
    assert samples.shape == (2400, 2)
    assert (samples == [-32256, 32256]).all()


def test_header_is_right_after_every_write_so_a_crash_leaves_a_readable_file(woken, tmp_path):
    path = tmp_path / "a.wav"
    woken.writer.open("r", str(path), (False,))
    woken.writer.write("r", (chunk(0x2A),))
    woken.writer.open("marker", str(tmp_path / "b.wav"), (False,))
    woken.writer.close("marker")
    woken.ended()  # orders are carried out one after the other: the write before it is done, the file still open
    with wave.open(str(path)) as file:
        assert file.getnframes() == 800
    woken.writer.close("r")
    assert woken.ended().duration_ms == 100


def test_existing_file_and_unwritable_folder_are_reported(woken, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"x")
    woken.writer.open("r", str(tmp_path / "a.wav"), (True,))
    assert "exists" in woken.ended().error
    woken.writer.open("s", str(tmp_path / "a.wav" / "b.wav"), (True,))
    assert woken.ended().error is not None


def test_full_disk_is_reported_when_the_recording_ends(woken, tmp_path, monkeypatch):
    """A disk that is full after the first chunk: what was written stays, the error is told."""
    woken.writer.open("r", str(tmp_path / "a.wav"), (True,))
    woken.writer.write("r", (chunk(0x2A),))
    woken.writer.open("marker", str(tmp_path / "b.wav"), (False,))
    woken.writer.close("marker")
    woken.ended()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("media.recorder.os.pwrite", full)
    woken.writer.write("r", (chunk(0x2A),))
    woken.writer.close("r")
    ended = woken.ended()
    assert "No space left" in ended.error
    assert ended.duration_ms == 100


def test_backlog_has_a_limit(woken, monkeypatch):
    monkeypatch.setattr("media.recorder.MAX_BACKLOG_OCTETS", 100)
    assert not woken.writer.write("r", (chunk(1),))


def test_open_files_are_closed_at_the_end(tmp_path):
    waiting = Woken()
    waiting.writer.open("r", str(tmp_path / "a.wav"), (True,))
    waiting.writer.write("r", (chunk(0x2A),))
    assert waiting.writer.finish(10)
    assert waiting.ended().duration_ms == 100


def test_what_a_killed_worker_left_plays_as_long_as_its_header_says(woken, tmp_path):
    path = tmp_path / "a.wav"
    woken.writer.open("r", str(path), (True,))
    woken.writer.write("r", (chunk(0x2A),))
    woken.writer.open("marker", str(tmp_path / "b.wav"), (False,))
    woken.writer.close("marker")
    woken.ended()  # orders are done in turn: the chunk is written, the file is open
    assert salvage(str(path)) == 100
    with wave.open(str(path)) as file:
        assert file.getnframes() == 800


@pytest.mark.parametrize("left", [None, b"", b"RIFF", bytes(44)])
def test_a_file_without_a_header_plays_nothing(tmp_path, left):
    path = tmp_path / "a.wav"
    if left is not None:
        path.write_bytes(left)
    assert salvage(str(path)) == 0


# ------------------------------------------------------------------ a party joins


def read(path):
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, file.getnchannels())


def test_a_further_channel_is_silent_up_to_now_and_then_as_long_as_the_others(woken, tmp_path):
    path = tmp_path / "a.wav"
    woken.writer.open("r", str(path), (True,))
    woken.writer.write("r", (chunk(0x2A),))
    woken.writer.grow("r", concealment=True)
    woken.writer.write("r", (chunk(0x2A), chunk(0xAA)))
    woken.writer.grow("r", concealment=True)
    woken.writer.grow("r", concealment=True)
    woken.writer.write("r", (chunk(0x2A), chunk(0xAA), chunk(0x2A), chunk(0xAA)))
    woken.writer.close("r")
    ended = woken.ended()
    assert (ended.duration_ms, ended.error) == (300, None)
    audio = read(path)
    low, high = -32256, 32256
    assert audio[::800].tolist() == [[low, 0, 0, 0], [low, high, 0, 0], [low, high, low, high]]
    assert audio.shape == (2400, 4)
    assert [each.name for each in tmp_path.iterdir()] == ["a.wav"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_at_every_moment_of_growing_one_whole_file_plays(tmp_path, monkeypatch):
    """Whatever is interrupted where, the file of that name is the old one or the new one, with everything that was written."""
    monkeypatch.setattr("media.recorder._COPIED_FRAMES", 300)
    path = tmp_path / "a.wav"
    writer = RecordingWriter(lambda: None)
    writer._open(_Open("r", str(path), (False,)))
    opened = writer._files["r"]
    writer._append(opened, (chunk(0x2A, 1000),))
    seen = []

    def look():
        audio = read(path)
        assert (audio[:, 0] == -32256).all()
        assert audio.shape[1] == 1 or (not audio[:1000, 1].any() and (audio[1000:, 1] == 32256).all())
        seen.append(audio.shape)

    for call in ("pwrite", "pread", "fsync"):
        real = getattr(os, call)
        monkeypatch.setattr(f"media.recorder.os.{call}", lambda *given, real=real: (look(), real(*given), look())[1])
    writer._begin_to_grow(_Grow("r", concealment=False))
    for number in range(6):
        if number == 2:  # a second of everybody comes in between
            writer._append(opened, (chunk(0x2A, 1000), chunk(0xAA, 1000)))
        writer._copy_some(opened)
        look()
    writer._close("r")
    assert sorted(set(seen)) == [(1000, 1), (2000, 1), (2000, 2)]
    assert writer.ended[0].duration_ms == 250


def test_a_file_that_cannot_grow_goes_on_with_the_parties_it_has_and_says_so(woken, tmp_path):
    path = tmp_path / "a.wav"
    woken.writer.open("r", str(path), (True,))
    (tmp_path / "a.wav.growing").mkdir()
    woken.writer.write("r", (chunk(0x2A),))
    woken.writer.grow("r", concealment=True)
    woken.writer.write("r", (chunk(0x2A), chunk(0xAA)))
    woken.writer.close("r")
    ended = woken.ended()
    assert ended.duration_ms == 200
    assert "a party that joined is missing" in ended.error
    assert read(path).shape == (1600, 1)


def test_a_recording_that_grows_delays_the_others_by_one_piece_only(tmp_path, monkeypatch):
    monkeypatch.setattr("media.recorder._COPIED_FRAMES", 100)
    writer = RecordingWriter(lambda: None)
    for name in ("long", "other"):
        writer._open(_Open(name, str(tmp_path / f"{name}.wav"), (False,)))
    writer._append(writer._files["long"], (chunk(0x2A, 1000),))
    writer.grow("long", concealment=False)
    for _ in range(3):
        writer.write("other", (chunk(0xAA),))
    copied = []
    for _ in range(4):
        order = writer._next_order()
        if isinstance(order, _Grow):
            writer._begin_to_grow(order)
        growing = writer._files["long"].growing
        copied.append(growing.copied)
    assert copied == [0, 100, 200, 300]
    for name in ("long", "other"):
        writer._close(name)
    assert [ended.error for ended in writer.ended] == [None, None]


def test_salvage_clears_away_what_was_growing_when_the_worker_died(tmp_path):
    path = tmp_path / "a.wav"
    writer = RecordingWriter(lambda: None)
    writer._open(_Open("r", str(path), (False,)))
    writer._append(writer._files["r"], (chunk(0x2A),))
    writer._begin_to_grow(_Grow("r", concealment=False))
    assert (tmp_path / "a.wav.growing").exists()
    assert salvage(str(path)) == 100
    assert [each.name for each in tmp_path.iterdir()] == ["a.wav"]
    writer._close("r")


def test_behind_the_last_packet_of_a_party_that_left_nothing_is_made_up():
    channel = Channel()
    voice = PCMA.encode(tones.tone((125.0, 250.0), 0.1, -20.0, ramp=False))
    channel.place(0, voice, 0)
    channel.close()
    heard = ChannelDecoder(concealment=True).decode(*channel.take(2400))
    assert heard[:800].any()
    assert not heard[800:].any()
    assert not ChannelDecoder(concealment=True).decode(*channel.take(4800)).any()


def test_a_channel_may_begin_late():
    channel = Channel(8000)
    channel.place(5, octets(1), 8000)
    assert channel.take(8000)[1] == b""
    _, audio, present = channel.take(8320)
    assert (audio[:160], present) == (octets(1), b"\x01" * 160 + bytes(160))
