"""Audio in packets of another length: nothing lost, nothing moved in time."""

from hypothesis import given
from hypothesis import strategies as st

from media.rtp.repacketiser import MOST_FILLED, Repacketiser

SILENCE = 0xD5


def cut(samples, *packets):
    made = Repacketiser(samples, SILENCE)
    return [one for timestamp, payload in packets for one in made.put(timestamp, payload)]


@given(st.integers(0, 0xFFFFFFFF), st.binary(min_size=1, max_size=3000), st.sampled_from([80, 160, 240, 320, 480]), st.integers(1, 500))
def test_audio_is_the_same_whatever_it_is_cut_into(begins, audio, samples, length):
    packets = [((begins + at) & 0xFFFFFFFF, audio[at : at + length]) for at in range(0, len(audio), length)]
    found = cut(samples, *packets)
    whole = len(audio) // samples * samples
    assert b"".join(payload for _, payload, _ in found) == audio[:whole]
    assert [timestamp for timestamp, _, _ in found] == [(begins + at) & 0xFFFFFFFF for at in range(0, whole, samples)]
    assert [begins for _, _, begins in found] == [True] * bool(found) + [False] * (len(found) - 1)


def test_a_lost_packet_is_silence_of_its_length():
    found = cut(80, (0, b"a" * 160), (320, b"c" * 160))
    assert b"".join(payload for _, payload, _ in found) == b"a" * 160 + bytes((SILENCE,)) * 160 + b"c" * 160
    assert [timestamp for timestamp, _, _ in found] == [0, 80, 160, 240, 320, 400]


def test_after_a_pause_of_the_speaker_a_new_talk_spurt_begins_where_it_is_in_time():
    later = 160 + MOST_FILLED + 1
    found = cut(240, (0, b"a" * 160), (later, b"b" * 240))
    assert found == [(0, b"a" * 160 + bytes((SILENCE,)) * 80, True), (later, b"b" * 240, True)]


def test_what_comes_late_is_left_out():
    assert cut(160, (0, b"a" * 160), (320, b"c" * 160), (160, b"b" * 160))[-1] == (320, b"c" * 160, False)
