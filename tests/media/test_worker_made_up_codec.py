"""The seam: a worker whose registry has one row more plays, records, cuts and measures in it, and nothing else was told."""

import wave

import numpy as np
import pytest

from media import tones
from media.control import Play, PlayEnded, RecordingEnded, StartRecording, StopRecording
from media.frame import level_dbfs
from tests.media.codecs.made_up import MADE_UP, ROWS
from tests.media.rig import Rig

pytestmark = pytest.mark.interop


@pytest.fixture
def rig(monkeypatch, tmp_path):
    for table, key, value in ROWS:
        monkeypatch.setitem(table, key, value)
    running = Rig(tmp_path, pairs=20, program=("-m", "tests.media.codecs.made_up"))
    yield running
    running.clear()
    running.end()


@pytest.mark.slow
def test_a_codec_of_one_row_is_spoken_heard_cut_recorded_and_named(rig, tmp_path):
    a, b = rig.leg(MADE_UP.name), rig.leg(MADE_UP.name, ptime_ms=10, asks_ptime=True)
    rig.order(Play(leg=a.name, play="p", sounds=("tone/beep",)))
    heard = a.hear(20)
    assert {(packet.payload_type, len(packet.payload)) for packet in heard} == {(118, 320)}
    assert {(packet.timestamp - heard[0].timestamp) & 0xFFFFFFFF for packet in heard} == {160 * each for each in range(20)}
    assert tones.dominant_frequency(a.audio(heard)) == pytest.approx(1000, abs=2)
    rig.wait_for(PlayEnded)

    rig.bridge(a, b)
    path = tmp_path / "call.wav"
    rig.order(StartRecording(recording="r", path=str(path), legs=(a.name,)))
    rig.status()
    sent = tones.probe(440, 0.4)
    a.speak(sent, pace=True)
    cut = b.hear(40)
    assert {len(packet.payload) for packet in cut} == {160}
    assert {(packet.timestamp - cut[0].timestamp) & 0xFFFFFFFF for packet in cut} == {80 * each for each in range(40)}
    assert np.array_equal(b.audio(cut), sent)
    rig.order(StopRecording(recording="r"))
    assert rig.wait_for(RecordingEnded).error is None
    with wave.open(str(path)) as file:
        recorded = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    spoken = recorded[np.flatnonzero(recorded)[0] - 1 :][:3000]  # the tone's first sample is 0
    assert np.array_equal(spoken, sent[:3000])
    assert level_dbfs(spoken) == pytest.approx(-12.0, abs=0.1)

    quality = rig.close_leg(a)
    assert (quality.codec, quality.packets_received, quality.mos, quality.r_factor) == (MADE_UP.name, 20, None, None)
