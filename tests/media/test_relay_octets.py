"""A plain call is the same on the wire whatever is built around it."""

import json

import pytest

from tests.media.relay_octets import CALLS, VECTOR, digests

pytestmark = pytest.mark.interop


def test_bridged_calls_are_octet_for_octet_what_they_were_in_0_2(tmp_path):
    """Numbers, timestamps, SSRC, markers, payload: of clean, lost, late, doubled and strange packets, keys, hold and a new bridge."""
    expected = json.loads(VECTOR.read_text())
    assert list(expected) == list(CALLS)
    assert digests(tmp_path) == expected
