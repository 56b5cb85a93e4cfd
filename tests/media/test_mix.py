"""The sum that each listener hears: the matrix of who hears whom over 20 ms of everybody."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.mix import mixed


def frames(*values):
    return np.array([[value] * 160 for value in values], dtype=np.int16)


def all_others(parties):
    return ~np.eye(parties, dtype=np.bool_)


def test_everybody_hears_the_others_and_not_himself():
    assert mixed(frames(100, 20, 3), all_others(3))[:, 0].tolist() == [23, 103, 120]


def test_loud_sum_is_saturated_and_never_wraps():
    assert mixed(frames(30000, 30000, -1), all_others(3))[:, 0].tolist() == [29999, 29999, 32767]
    assert mixed(frames(-30000, -30000, 0), all_others(3))[2, 0] == -32768


@given(st.lists(st.integers(-32768, 32767), min_size=2, max_size=8), st.data())
def test_each_row_is_the_sum_of_whom_it_hears(values, data):
    hears = data.draw(st.lists(st.lists(st.booleans(), min_size=len(values), max_size=len(values)), min_size=1, max_size=8))
    expected = [min(32767, max(-32768, sum(value for value, heard in zip(values, row, strict=True) if heard))) for row in hears]
    assert mixed(frames(*values), np.array(hears, dtype=np.bool_))[:, 0].tolist() == expected


def test_matrix_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        mixed(frames(1, 2), np.ones((3, 3), dtype=np.bool_))
