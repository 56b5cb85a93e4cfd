"""What plays, cut into packets."""

from media.legs.playback import Playback


def played(audio, frames, **fields):
    playback = Playback("p", ("s",), audio, **({"loop": False, "stop_on_digit": False} | fields))
    return [playback.next_frame(0xD5, 4) for _ in range(frames)]


def test_the_last_packet_is_filled_up_with_silence_and_then_it_is_over():
    assert played(b"abcdef", 3) == [b"abcd", b"ef\xd5\xd5", None]
    assert played(b"", 1) == [None]


def test_a_loop_goes_on_without_a_seam_however_short_it_is():
    assert played(b"abcdef", 3, loop=True) == [b"abcd", b"efab", b"cdef"]
    assert played(b"ab", 2, loop=True) == [b"abab", b"abab"]


def test_a_loop_of_nothing_is_over():
    assert played(b"", 1, loop=True) == [None]


def test_another_codec_in_the_middle_goes_on_at_the_same_place():
    playback = Playback("p", ("s",), b"abcdef", loop=False, stop_on_digit=False)
    playback.next_frame(0, 2)
    playback.translate(bytes(octet ^ 0x20 for octet in range(256)))
    assert playback.next_frame(0, 4) == b"CDEF"
