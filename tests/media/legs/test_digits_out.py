"""Keys that are to be sent, step by step."""

import numpy as np

from media.codecs import PCMU
from media.dtmf import ToneDetector, parse_event
from media.legs.digits_out import DigitsOut


def added(digits, **fields):
    out = DigitsOut()
    values = {"duration_ms": 60, "gap_ms": 40, "as_events": True, "codec": "PCMU", "ptime_ms": 20, "frame": 160}
    out.add("a", digits, **(values | fields))
    return out


def test_a_key_as_an_event_is_its_updates_and_three_ends_and_a_gap_lies_between_two():
    out = added("1#")
    steps = list(out.steps)
    codes = [None if step.payload is None else parse_event(step.payload).code for step in steps]
    assert codes == [1] * 5 + [None] * 2 + [11] * 5
    assert [at for at, step in enumerate(steps) if step.begins] == [0, 7]


def test_a_key_in_band_is_as_long_as_it_shall_be_in_packets_of_that_length():
    out = added("5", as_events=False, duration_ms=100)
    assert {len(step.payload) for step in out.steps} == {160}
    audio = np.concatenate([*[PCMU.decode(step.payload) for step in out.steps], np.zeros(800, dtype=np.int16)])
    assert [(digit.digit, digit.duration_ms) for digit in ToneDetector().receive(audio)] == [("5", 100)]


def test_it_sounds_while_a_key_is_sent_and_not_in_the_gap_behind_it():
    out = added("12", duration_ms=20)
    sounds = []
    while out:
        sounds.append(out.sounds)
        out.steps.popleft()
    assert sounds == [True] * 3 + [False] * 2 + [True] * 3
    assert not out.sounds


def test_what_is_no_key_is_left_out():
    assert not added("x y")
    assert len(added("1x2").steps) == len(added("12").steps)
