"""Recordings through transfers and conferences, in a real worker: a channel per party, complete to 20 ms."""

import time
import wave

import numpy as np
import pytest

from media import tones
from media.control import PauseRecording, RecordingEnded, RecordLeg, StartRecording, StopRecording
from tests.media.rig import level, talk
from tests.media.test_room import HEARD_DB, HZ, everybody

pytestmark = pytest.mark.interop


def read(path):
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth()) == (8000, 2)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, file.getnchannels())


def sounds(channel):
    """Where a channel is not silent, in seconds: its first and its last sample."""
    loud = np.flatnonzero(np.abs(channel.astype(int)) > 1000)
    return (loud[0] / 8000, loud[-1] / 8000) if loud.size else None


class Tape:
    """A recording and what really happened, on the clock of the test."""

    def __init__(self, rig, path, *legs):
        self.rig = rig
        self.path = path
        self.spoke = {}
        rig.order(StartRecording(recording="r", path=str(path), legs=tuple(leg.name for leg in legs)))
        rig.status()
        self.began = time.monotonic()
        self.legs = list(legs)

    def join(self, leg):
        self.rig.order(RecordLeg(recording="r", leg=leg.name))
        self.rig.status()
        self.legs.append(leg)

    def talk(self, frames, **parties):
        audio = {far_end: tones.probe(HZ[name], 1.0) for name, far_end in parties.items()}
        begins = time.monotonic() - self.began
        ends = talk(audio, frames=frames) - self.began
        for far_end in audio:
            first, _ = self.spoke.get(far_end.name, (begins, None))
            self.spoke[far_end.name] = (first, ends)

    def end(self):
        self.rig.status()
        self.rig.order(StopRecording(recording="r"))
        self.ended = self.rig.wait_for(RecordingEnded)
        assert self.ended.error is None
        return read(self.path)


@pytest.mark.slow
def test_two_transfers_and_a_conference_are_one_recording_with_a_channel_per_party(rig, tmp_path):
    """The caller a is there throughout; b hands on to c, c calls d in, leaves, and d stays alone with the caller."""
    a, b = rig.leg(), rig.leg("PCMU")
    rig.arrange((a, b), (b, a))
    tape = Tape(rig, tmp_path / "a.wav", a, b)
    tape.talk(12, a=a, b=b)
    c = rig.leg()
    tape.join(c)
    tape.join(c)  # which changes nothing
    rig.arrange(*everybody(a, b, c))
    tape.talk(12, a=a, b=b, c=c)
    rig.close_leg(b)
    tape.talk(10, a=a, c=c)
    d = rig.leg()
    tape.join(d)
    rig.arrange(*everybody(a, c, d))
    tape.talk(10, a=a, c=c, d=d)
    rig.close_leg(c)
    tape.talk(10, a=a, d=d)
    audio = tape.end()
    assert audio.shape[1] == 4
    assert tape.ended.duration_ms == audio.shape[0] * 1000 // 8000
    for channel, (name, leg) in enumerate({"a": a, "b": b, "c": c, "d": d}.items()):
        heard = audio[:, channel]
        begins, ends = sounds(heard)
        spoke_from, spoke_to = tape.spoke[leg.name]
        assert begins == pytest.approx(spoke_from, abs=0.02), name
        assert ends == pytest.approx(spoke_to, abs=0.03), name
        there = heard[round(begins * 8000) : round(ends * 8000)]
        found = {other for other, hz in HZ.items() if level(there, hz) > HEARD_DB}
        assert found == {name}
        # Complete: no hole of a packet in what was said without a break.
        assert max(np.diff(np.flatnonzero(np.abs(there.astype(int)) > 1000))) < 160


def test_the_recording_of_a_mix_has_what_came_and_not_what_was_heard(rig, tmp_path):
    a, b, c = rig.leg(), rig.leg(), rig.leg()
    rig.arrange((a, b), (a, c), (b, a))
    tape = Tape(rig, tmp_path / "a.wav", a, b, c)
    tape.talk(15, a=a, b=b, c=c)
    audio = tape.end()
    for channel, name in enumerate("abc"):
        assert {other for other, hz in HZ.items() if level(audio[:2000, channel], hz) > HEARD_DB} == {name}


def test_one_party_can_be_paused_alone_and_all_besides(rig, tmp_path):
    a, b = rig.leg(), rig.leg()
    tape = Tape(rig, tmp_path / "a.wav", a, b)
    parts = [
        (),
        (PauseRecording(recording="r", paused=True, legs=(b.name,)),),
        (PauseRecording(recording="r", paused=True),),
        (PauseRecording(recording="r", paused=False),),
        (PauseRecording(recording="r", paused=False, legs=(b.name,)),),
    ]
    edges = []
    for orders in parts:
        rig.order(*orders)
        rig.status()
        edges.append(time.monotonic() - tape.began)
        tape.talk(10, a=a, b=b)
    edges.append(time.monotonic() - tape.began)
    audio = tape.end()
    for channel, wanted in ((0, [True, True, False, True, True]), (1, [True, False, False, False, True])):
        for part, is_there in enumerate(wanted):
            begins, ends = round((edges[part] + 0.08) * 8000), round((edges[part + 1] - 0.03) * 8000)
            assert (level(audio[begins:ends, channel], HZ["ab"[channel]]) > HEARD_DB) == is_there, (channel, part)


def test_a_party_that_joins_while_all_is_paused_is_paused(rig, tmp_path):
    a, b = rig.leg(), rig.leg()
    tape = Tape(rig, tmp_path / "a.wav", a)
    rig.order(PauseRecording(recording="r", paused=True))
    tape.join(b)
    tape.talk(8, a=a, b=b)
    assert not tape.end().any()


def test_a_recording_goes_on_while_one_of_its_parties_is_there_and_ends_with_the_last(rig, tmp_path):
    a, b = rig.leg(), rig.leg()
    tape = Tape(rig, tmp_path / "a.wav", a)
    tape.join(b)
    rig.close_leg(a)
    tape.talk(5, b=b)
    assert rig.have(RecordingEnded) == []
    rig.close_leg(b)
    assert rig.wait_for(RecordingEnded).error is None
    assert sounds(read(tmp_path / "a.wav")[:, 1]) is not None


def test_a_leg_or_a_recording_that_is_gone_takes_no_channel(rig, tmp_path):
    a = rig.leg()
    rig.order(RecordLeg(recording="gone", leg=a.name))
    tape = Tape(rig, tmp_path / "a.wav", a)
    rig.order(RecordLeg(recording="r", leg="nobody"))
    assert tape.end().shape[1] == 1
