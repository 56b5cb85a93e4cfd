"""What holds of every codec in the registry."""

import pytest

from media.codecs.registry import CODECS, FIRST_DYNAMIC, of_rtpmap
from media.frame import PTIMES_MS

EVENTS = 101
"""The number that our telephone-events have in an offer; those of 48 kHz have 110."""


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_what_is_listed_has_a_clock_that_ours_divides_and_whole_octets_a_tick(codec):
    assert CODECS[codec.name] is codec
    assert codec.clock_rate % 8000 == 0
    assert codec.rate in {8000, 16_000}
    assert codec.is_uneven or codec.octets_a_second % codec.clock_rate == 0
    assert set(codec.ptimes_ms) <= set(PTIMES_MS)
    assert len(bytes((codec.silence,))) == 1


def test_each_has_a_number_of_its_own():
    numbers = [codec.payload_type for codec in CODECS.values()]
    assert len(set(numbers)) == len(numbers)
    assert all(number < FIRST_DYNAMIC or (EVENTS < number <= 127 and number != 110) for number in numbers)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_description_means_it_by_name_rate_and_channels(codec):
    assert of_rtpmap(codec.name.lower(), codec.clock_rate, codec.channels) is codec
    assert of_rtpmap(codec.name, codec.clock_rate * 2, codec.channels) is None
    assert of_rtpmap(codec.name, codec.clock_rate, 3 - codec.channels) is None
    assert of_rtpmap("x-" + codec.name, codec.clock_rate, codec.channels) is None
