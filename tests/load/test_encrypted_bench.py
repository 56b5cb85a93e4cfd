"""The bench of encrypted legs in small: every kind of leg is heard, nothing is lost, every browser that shook hands is counted."""

import pytest

from load.encrypted_bench import KINDS, cost, handshakes, legs, table
from tests.media.rig import free_ports

pytestmark = pytest.mark.slow


async def test_browsers_that_are_bridged_hear_every_packet():
    told = await legs(4, 0.4, free_ports(60))
    assert (told["sent"], told["lost"], told["rejected"], told["dropped_inside"]) == (4 * 20, 0, 0, 0)


async def test_each_kind_of_call_has_a_line():
    told = await cost(1, 0.1, free_ports(70), slice_s=0.04)
    assert told["sent"] == told["heard"] > 0
    assert len(table(told)) == 1 + len(KINDS)


async def test_handshakes_are_made_while_calls_are_relayed():
    told = await handshakes(2, 3, 2.0, free_ports(60))
    assert (told["handshakes"], told["lost"]) == (3, 0)
    assert told["with"]["packets"] == told["without"]["packets"] == 200
