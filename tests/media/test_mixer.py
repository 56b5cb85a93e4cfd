"""Mix-minus and the matrix of who hears whom."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.mixer import gain, mix_matrix, mix_minus, supervise


def frames(*values):
    return np.array([[value] * 160 for value in values], dtype=np.int16)


def test_everybody_hears_the_others_and_not_himself():
    assert mix_minus(frames(100, 20, 3))[:, 0].tolist() == [23, 103, 120]


def test_two_parties_swap():
    assert mix_minus(frames(1, 2))[:, 0].tolist() == [2, 1]


def test_loud_sum_is_saturated_and_never_wraps():
    assert mix_minus(frames(30000, 30000, -1))[:, 0].tolist() == [29999, 29999, 32767]
    assert mix_minus(frames(-30000, -30000, 0))[2, 0] == -32768


def test_one_party_is_nothing_to_mix():
    with pytest.raises(ValueError, match="two parties"):
        mix_minus(frames(1))


@given(st.lists(st.integers(-32768, 32767), min_size=2, max_size=8))
def test_mix_minus_is_the_matrix_of_all_but_the_diagonal(values):
    audio = frames(*values)
    assert np.array_equal(mix_minus(audio), mix_matrix(audio, ~np.eye(len(values), dtype=np.bool_)))


@pytest.mark.parametrize(
    ("mode", "heard"),
    [
        ({}, [20, 1, 21]),
        ({"whispers": True}, [320, 1, 21]),
        ({"barges": True}, [320, 301, 21]),
    ],
)
def test_listening_whispering_and_barging(mode, heard):
    """Agent speaks 1, caller 20, supervisor 300: a whisper never reaches the caller."""
    hears = supervise(agent=0, caller=1, supervisor=2, **mode)
    assert mix_matrix(frames(1, 20, 300), hears)[:, 0].tolist() == heard


def test_matrix_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        mix_matrix(frames(1, 2), np.ones((3, 3), dtype=np.bool_))


def test_six_decibels_double():
    assert gain(frames(1000)[0], 6.0206)[0] == 2000
    assert gain(frames(30000)[0], 6.0206)[0] == 32767
