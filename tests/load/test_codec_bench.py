"""The bench of codecs: what it sends is speech in each codec, and a run costs something."""

import pytest

from load.codec_bench import KINDS, run_kind, spoken
from media.codecs import CODECS
from tests.media.codecs.packets import lasts
from tests.media.rig import free_ports


@pytest.mark.parametrize("codec", list(CODECS))
def test_speech_is_in_packets_of_20_ms(codec):
    assert lasts(CODECS[codec], spoken(codec)) == {CODECS[codec].clock_rate // 50}


def test_every_codec_is_measured():
    assert {codec for kind in KINDS for codec in kind} >= set(CODECS) - {"PCMU"}


@pytest.mark.interop
async def test_a_run_costs_something():
    assert await run_kind(("PCMA", "opus"), 1, 0.3, free_ports(60)) > 0
