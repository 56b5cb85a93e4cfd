"""DTMF: RFC 4733 in and out; tones in band after Q.23 and Q.24."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import tones
from media.codecs import PCMA
from media.dtmf import DIGITS, Digit, EventReceiver, TelephoneEvent, ToneDetector, detect_frame, event_packets, parse_event
from media.errors import ParseError
from media.prompts import PACKAGED_SOUNDS, SoundLibrary


def test_event_payload_octet_by_octet():
    """RFC 4733 §2.3: event 11 is '#', E bit, volume 10, duration 800."""
    event = TelephoneEvent(11, is_end=True, volume=10, duration=800)
    assert bytes(event) == bytes.fromhex("0b8a0320")
    assert parse_event(bytes(event)) == event


def test_reserved_bit_is_ignored():
    """§2.3.3: the R bit "MUST be ignored by the receiver"."""
    assert parse_event(bytes.fromhex("014a00a0")) == TelephoneEvent(1, is_end=False, volume=10, duration=160)


@given(st.binary(max_size=12))
def test_any_payload_gives_an_event_or_a_parse_error(payload):
    try:
        parse_event(payload)
    except ParseError:
        assert len(payload) < 4


def test_digit_of_100_ms_is_four_updates_and_three_ends():
    """§2.5.1.4: the final packet three times; duration counts from the beginning in timestamp units."""
    packets = event_packets("5", 100)
    events = [parse_event(packet.payload) for packet in packets]
    assert [event.duration for event in events] == [160, 320, 480, 640, 800, 800, 800]
    assert [event.is_end for event in events] == [False] * 4 + [True] * 3
    assert [packet.marker for packet in packets] == [True] + [False] * 6
    assert {event.code for event in events} == {5}


def test_shortest_digit_still_begins_with_the_marker():
    packets = event_packets("*", 5)
    assert [packet.marker for packet in packets] == [True, False, False]
    assert all(parse_event(packet.payload).is_end for packet in packets)


@pytest.mark.parametrize("text", ["", "E", "12", "é"])
def test_what_is_no_digit_is_refused(text):
    with pytest.raises(ValueError, match="no DTMF digit"):
        event_packets(text, 100)


def receive(receiver, digit, timestamp, duration_ms=100, lose=(), now=0.0):
    """The digits reported for one sent digit of which some packets are lost."""
    digits = []
    for index, packet in enumerate(event_packets(digit, duration_ms)):
        if index not in lose:
            number = timestamp // 160 + index & 0xFFFF  # numbers go on with time, as they do between two audio packets
            event = parse_event(packet.payload)
            digits += receiver.receive(timestamp, event, now + index * 0.02, number=number, marker=packet.marker)
    return digits


@pytest.mark.parametrize("digit", DIGITS)
def test_every_digit_is_reported_once_with_its_length(digit):
    assert receive(EventReceiver(), digit, 1000) == [Digit(digit, 100)]


@pytest.mark.parametrize("lose", [{0}, {0, 1, 2, 3}, {4}, {4, 5}, {1, 3, 5, 6}])
def test_one_end_packet_is_enough_and_loss_reports_no_digit_twice(lose):
    assert receive(EventReceiver(), "7", 1000, lose=lose) == [Digit("7", 100)]


def test_lost_end_is_made_up_for_by_the_next_digit():
    receiver = EventReceiver()
    assert receive(receiver, "1", 1000, lose={4, 5, 6}) == []
    assert receive(receiver, "1", 3000) == [Digit("1", 80), Digit("1", 100)]


def test_lost_end_is_made_up_for_by_quiet():
    receiver = EventReceiver()
    receive(receiver, "1", 1000, lose={4, 5, 6}, now=5.0)
    assert receiver.expire(5.1) == ()
    assert receiver.expire(5.5) == (Digit("1", 80),)
    assert receiver.expire(9.0) == ()


def test_events_that_are_no_digits_are_no_digits():
    """RFC 4733 §3.2: 16 is hook flash; RFC 4734: 36 is the fax CNG tone."""
    receiver = EventReceiver()
    for code in (16, 36, 255):
        assert receiver.receive(1, TelephoneEvent(code, is_end=True, volume=0, duration=800), 0.0, number=code, marker=True) == ()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20), st.booleans(), st.integers(0, 0xFFFF), st.booleans())))
def test_receiver_never_reports_more_digits_than_key_presses(packets):
    receiver = EventReceiver()
    reported = 0
    changes = 0
    key = None
    for number, (timestamp, code, is_end, duration, marker) in enumerate(packets):
        if code < 16 and ((timestamp, code) != key or marker):
            key, changes = (timestamp, code), changes + 1
        event = TelephoneEvent(code, is_end=is_end, volume=0, duration=duration)
        reported += len(receiver.receive(timestamp, event, 0.0, number=number, marker=marker))
    reported += len(receiver.expire(10.0))
    assert reported <= changes


def press(first, begins, durations, *, ends=3, moves=0, moves_all=False, marker=True):
    """(number, timestamp, duration, end, marker) of a press: updates with these durations, the last of them in the end packets."""
    packets = [
        (first + at, begins + (moves * at if moves_all else 0), length, False, marker and at == 0) for at, length in enumerate(durations)
    ]
    moved = moves * len(durations) if moves_all else 0
    return packets + [(first + len(durations) + at, begins + moved + moves * at, durations[-1] + 160, True, False) for at in range(ends)]


UPDATES = (160, 320, 480, 640)
PUBLIC = {
    "right": (press(1, 8000, UPDATES), 1),
    "duplicated packets": ([one for one in press(1, 8000, UPDATES) for _ in range(2)], 1),
    "end packets with new timestamps": (press(1, 8000, UPDATES, moves=160), 1),
    "every packet with a new timestamp": (press(1, 8000, UPDATES, moves=160, moves_all=True), 1),
    "new timestamps, and the second end lost": ([one for one in press(1, 8000, UPDATES, moves=160) if one[0] != 6], 1),
    "new timestamps, and the first end lost": ([one for one in press(1, 8000, UPDATES, moves=160) if one[0] != 5], 1),
    "no end": (press(1, 8000, UPDATES, ends=0), 1),
    "no end, then the key again": (press(1, 8000, UPDATES, ends=0) + press(8, 9120, UPDATES), 2),
    "no end and no marker, then the key again": (press(1, 8000, UPDATES, ends=0, marker=False) + press(8, 9600, UPDATES, marker=False), 2),
    "only one end": (press(1, 8000, UPDATES, ends=1), 1),
    "five ends": (press(1, 8000, UPDATES, ends=5), 1),
    "the key twice, quickly": (press(1, 8000, UPDATES) + press(8, 9280, UPDATES), 2),
    "the key twice, quickly, with new timestamps of the ends": (press(1, 8000, UPDATES, moves=160) + press(8, 9280, UPDATES, moves=160), 2),
    "the key twice, quickly, without audio or marker between": (press(1, 8000, UPDATES) + press(8, 9280, UPDATES, marker=False), 2),
    "the key twice under one timestamp": (press(1, 8000, UPDATES) + press(20, 8000, UPDATES), 2),
    "the shortest press twice": ([(1, 8000, 160, True, True), (2, 8000, 160, True, False), (5, 8640, 160, True, True)], 2),
    "held for 20 s: three segments (RFC 4733, 2.5.1.3)": (
        [
            *((1, 8000, 800, False, True), (2, 8000, 65535, False, False)),
            *((3, 73535, 800, False, False), (4, 73535, 65535, False, False)),
            *((5, 139070, 800, False, False), (6, 139070, 28930, True, False), (7, 139070, 28930, True, False)),
        ],
        1,
    ),
    "an update overtaken by the end": (sorted(press(1, 8000, UPDATES), key=lambda one: 7 if one[0] == 4 else one[0]), 1),
    "updates without the marker": (press(1, 8000, UPDATES, marker=False), 1),
    "all but one end lost": (press(1, 8000, UPDATES)[-1:], 1),
}


@pytest.mark.parametrize("seen", PUBLIC)
def test_one_press_is_one_digit_whatever_devices_make_of_it(seen):
    packets, digits = PUBLIC[seen]
    receiver = EventReceiver()
    found = []
    for at, (number, timestamp, duration, is_end, marker) in enumerate(packets):
        event = TelephoneEvent(2, is_end=is_end, volume=10, duration=duration)
        found += receiver.receive(timestamp, event, at * 0.02, number=number, marker=marker)
    found += receiver.expire(60.0)
    assert [one.digit for one in found] == ["2"] * digits


def test_an_end_that_was_overtaken_by_the_next_key_is_no_third_press():
    receiver = EventReceiver()
    found = []
    for code, number, timestamp, is_end in ((1, 1, 0, False), (1, 2, 0, True), (2, 4, 800, False), (1, 3, 0, True), (2, 5, 800, True)):
        event = TelephoneEvent(code, is_end=is_end, volume=10, duration=160 * number)
        found += receiver.receive(timestamp, event, number * 0.02, number=number, marker=False)
    assert [one.digit for one in found] == ["1", "2"]


def test_a_long_press_has_its_whole_length():
    receiver = EventReceiver()
    found = []
    for number, timestamp, duration, is_end, marker in PUBLIC["held for 20 s: three segments (RFC 4733, 2.5.1.3)"][0]:
        event = TelephoneEvent(2, is_end=is_end, volume=10, duration=duration)
        found += receiver.receive(timestamp, event, 0.0, number=number, marker=marker)
    assert found == [Digit("2", 20_000)]


@pytest.mark.parametrize("digit", DIGITS)
def test_every_tone_in_band_is_detected_once(digit):
    silence = np.zeros(800, dtype=np.int16)
    audio = np.concatenate([silence, tones.dtmf(digit, 100), silence])
    assert ToneDetector().receive(audio) == (Digit(digit, 100),)


def test_detection_does_not_depend_on_the_cut_of_packets():
    audio = np.concatenate([np.zeros(333, dtype=np.int16), tones.dtmf("9", 120), np.zeros(900, dtype=np.int16), tones.dtmf("9", 80)])
    audio = np.concatenate([audio, np.zeros(900, dtype=np.int16)])
    detector = ToneDetector()
    digits = [digit.digit for cut in range(0, audio.size, 240) for digit in detector.receive(audio[cut : cut + 240])]
    assert digits == ["9", "9"]


def test_tone_of_one_frame_is_too_short():
    """Q.24: signals shorter than about 20 ms must not be taken for digits."""
    audio = np.concatenate([np.zeros(160, dtype=np.int16), tones.dtmf("1", 20), np.zeros(480, dtype=np.int16)])
    assert ToneDetector().receive(audio) == ()


@pytest.mark.parametrize("shift", [0.985, 1.015])
def test_frequencies_within_a_percent_and_a_half_are_accepted(shift):
    """Q.24: operation within +-1.5 %."""
    low, high = tones.frequencies_of("6")
    audio = tones.tone((low * shift, high * shift), 0.1, -12.0)
    assert [digit.digit for digit in ToneDetector().receive(np.concatenate([audio, np.zeros(480, dtype=np.int16)]))] == ["6"]


def test_noise_single_tones_and_ringing_are_no_digits():
    noise = np.random.default_rng(7).normal(0, 4000, 80_000).astype(np.int16)
    for audio in (noise, tones.ringback(), tones.tone((770,), 1.0), tones.tone((1336,), 1.0), tones.tone((770, 852), 1.0)):
        assert ToneDetector().receive(audio) == ()


def test_too_much_twist_is_refused():
    audio = (tones.tone((770,), 0.02, -6.0, ramp=False) + tones.tone((1336,), 0.02, -20.0, ramp=False)).astype(np.int16)
    assert detect_frame(audio) == ""
    assert detect_frame(audio[:80]) == ""


@pytest.mark.slow
def test_speech_of_the_prompts_is_never_taken_for_digits():
    """Talk-off: every packaged announcement, some minutes of speech."""
    library = SoundLibrary(PACKAGED_SOUNDS)
    heard = {}
    for path in sorted(PACKAGED_SOUNDS.glob("*/*.wav")):
        name = f"{path.parent.name}/{path.stem}"
        digits = ToneDetector().receive(PCMA.decode(library.encoded(name, "PCMA")))
        if digits:
            heard[name] = digits
    assert heard == {}


def test_keys_beside_opus_last_as_long_by_its_clock():
    """RFC 4733 §2.1: by the clock of the audio; 100 ms are 4800 ticks of 48 kHz."""
    packets = event_packets("5", 100, clock_rate=48_000)
    assert [parse_event(packet.payload).duration for packet in packets] == [960, 1920, 2880, 3840, 4800, 4800, 4800]
    receiver = EventReceiver(48_000)
    digits = []
    for number, packet in enumerate(packets):
        digits += receiver.receive(1000, parse_event(packet.payload), 0.02 * number, number=number, marker=packet.marker)
    assert digits == [Digit("5", 100)]


def test_a_key_that_is_down_when_the_clock_changes_is_over():
    receiver = EventReceiver()
    receiver.receive(0, parse_event(event_packets("5", 100)[1].payload), 0.0, number=0, marker=True)
    assert receiver.run_at(8000) == ()
    assert receiver.run_at(48_000) == (Digit("5", 40),)
    assert not receiver.is_open
