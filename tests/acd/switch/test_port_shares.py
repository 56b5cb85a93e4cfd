"""RTP port pairs by tenant: whoever is let in can be connected, ports rest before they are free, emergencies have some of their own."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from acd.switch.port_shares import REST_S, PortShares
from sip.share import Share


def tenant(name: str, part: float = 0.25, line: str = "trunk", line_part: float = 1.0, *, urgent: bool = False) -> Share:
    return Share(name, line, 1.0, part, line_part, urgent)


def queue_up(ports: PortShares, share: Share, now: float = 0.0, most: int = 10_000) -> list[str]:
    """Callers who wait, until no more is let in."""
    calls = []
    while len(calls) < most and ports.open_leg(f"{share.group}-{len(calls)}", share, now):
        calls.append(f"{share.group}-{len(calls)}")
    return calls


def test_a_full_queue_of_one_tenant_leaves_another_what_it_is_promised():
    ports = PortShares(800, 0, 0.5)
    assert len(queue_up(ports, tenant("b"), most=499)) == 210  # two pairs each: 100 promised, 320 of the 400 that are lent
    assert ports.refused["b"] == 1
    calls = queue_up(ports, tenant("c"), most=50)
    assert len(calls) == 50
    assert all(ports.open_leg(call, tenant("c"), 0.0) for call in calls)


def test_whoever_is_let_in_to_wait_can_be_connected_however_full_it_is():
    ports = PortShares(400, 0, 0.5)
    calls = [call for name in "abcd" for call in queue_up(ports, tenant(name))]
    assert all(ports.open_leg(call, tenant("whatever"), 0.0) for call in calls)


def test_a_third_party_takes_what_is_left_to_lend_and_no_more():
    ports = PortShares(80, 0, 0.5)
    (call,) = queue_up(ports, tenant("a"), most=1)
    legs = 1
    while ports.open_leg(call, tenant("a"), 0.0):
        legs += 1
    assert legs == 10 + 40
    assert len(queue_up(ports, tenant("b"))) == 5


def test_the_pair_of_a_leg_that_is_over_rests_before_it_counts_as_free():
    ports = PortShares(8, 0, 0.5)
    alone = tenant("a", part=1.0)
    calls = queue_up(ports, alone)
    assert len(calls) == 4
    ports.leg_gone(calls[0], 1.0)
    # One pair was taken and rests, the other one was never taken.
    assert ports.holding(alone, 1.0).used == 7
    assert not ports.open_leg("next", alone, 0.9 + REST_S)
    assert ports.open_leg("next", alone, 1.0 + REST_S)


def test_a_call_whose_first_agent_does_not_answer_goes_on_to_the_next():
    ports = PortShares(80, 0, 0.5)
    share = tenant("a")
    assert ports.open_leg("call", share, 0.0)
    for now in range(20):
        assert ports.open_leg("call", share, float(now))
        ports.leg_gone("call", now + 0.5)
    assert ports.holding(share, 19.6).used <= 1 + 3


def test_what_is_kept_is_for_emergency_calls_and_one_tenant_has_half_of_it():
    ports = PortShares(80, 8, 0.5)
    fire = {name: tenant(name, urgent=True) for name in "abcd"}
    for name in fire:
        queue_up(ports, tenant(name))
    while ports.open_leg("emergency takes what is to lend", fire["d"], 0.0):
        pass
    assert not ports.open_leg("call", tenant("a"), 0.0)
    assert [ports.open_leg(f"fire {n}", fire["a"], 0.0) for n in range(3)] == [True, True, False]
    assert ports.kept_used == 8
    assert not ports.open_leg("from a carrier", tenant("b"), 0.0)
    ports.leg_gone("fire 0", 0.0)
    assert ports.open_leg("fire again", fire["a"], REST_S)


def test_few_ports_are_not_kept_away_from_calls_altogether():
    assert PortShares(4, 8, 0.5).kept == 0
    assert PortShares(100, 8, 0.5).kept == 8


@settings(deadline=None, max_examples=60)
@given(st.integers(10, 120), st.integers(0, 8), st.integers(2, 5), st.integers(0, 2**32))
def test_pairs_in_use_never_exceed_those_there_are_and_second_parties_never_fail(pairs, kept, tenants, seed):
    dice = random.Random(seed)
    ports = PortShares(pairs, kept, 0.5)
    shares = [tenant(f"t{n}", 1 / tenants, urgent=dice.random() < 0.1) for n in range(tenants)]
    live: dict[str, int] = {}
    resting: list[float] = []
    now = 0.0
    for step in range(200):
        now += dice.choice([0.0, 0.0, 0.1, 1.0])
        resting = [until for until in resting if until > now]
        if live and dice.random() < 0.6:
            call = dice.choice(list(live))
            if dice.random() < 0.5:
                rested = not any(resting)
                granted = ports.open_leg(call, shares[0], now)
                assert granted or live[call] >= 2 or not rested
                live[call] += granted
            else:
                ports.leg_gone(call, now)
                resting.append(now + REST_S)
                live[call] -= 1
                if not live[call]:
                    del live[call]
        elif ports.open_leg(f"call {step}", dice.choice(shares), now):
            live[f"call {step}"] = 1
        assert sum(live.values()) + len(resting) <= pairs
    for call, legs in live.items():
        for _ in range(legs):
            ports.leg_gone(call, now)
    assert all(ports.holding(share, now + REST_S).used == 0 for share in shares)
    assert (ports.kept_used, ports._calls) == (0, {})
