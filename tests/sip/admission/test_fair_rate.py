"""A rate shared by weighted max-min fairness, in virtual time."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip.fair_rate import LEAST_OF_A_GROUP, LEAST_OF_A_LINE, MOST_REMEMBERED, FairRate
from sip.share import Share

RATE, BURST = 120.0, 240.0


def group(name: str, part: float = 1 / 3, weight: float = 1.0, line: str = "only", line_part: float = 1.0) -> Share:
    return Share(name, line, weight, part, line_part)


def offered(rates: dict[Share, float], seconds: float, rate: FairRate, begin: float = 0.0) -> dict[Share, list[bool]]:
    """Evenly spaced requests of each, merged in time; what was answered to each."""
    times = sorted((begin + n / per_s, index) for index, per_s in enumerate(rates.values()) for n in range(round(per_s * seconds)))
    shares = list(rates)
    answers: dict[Share, list[bool]] = {share: [] for share in shares}
    for at, index in times:
        answers[shares[index]].append(rate.take(shares[index], at))
    return answers


def served(rates: dict[Share, float], seconds: float = 60.0) -> list[float]:
    """Requests a second that each was granted, once the bursts are used up."""
    rate = FairRate(RATE, BURST)
    offered(rates, 20.0, rate)
    return [sum(granted) / seconds for granted in offered(rates, seconds, rate, begin=20.0).values()]


def test_who_is_alone_gets_the_whole_rate_after_the_whole_burst():
    rate = FairRate(RATE, BURST)
    alone = group("a", part=1.0)
    assert sum(rate.take(alone, 0.0) for _ in range(1000)) == BURST
    assert sum(offered({alone: 300.0}, 10.0, rate)[alone]) == pytest.approx(10 * RATE, abs=1)


def test_who_comes_while_another_floods_is_refused_nothing_within_its_part():
    rate = FairRate(RATE, BURST)
    a, b = group("a", 0.5), group("b", 0.5)
    offered({a: 300.0}, 30.0, rate)
    answers = offered({a: 300.0, b: 60.0}, 30.0, rate, begin=30.0)
    assert all(answers[b])
    assert sum(answers[a]) == pytest.approx(30 * 60, abs=2)


def test_what_one_does_not_ask_for_goes_to_who_asks_for_more_and_comes_back():
    a, b = group("a", 0.5), group("b", 0.5)
    assert served({a: 300.0, b: 10.0}) == pytest.approx([110.0, 10.0], abs=1)
    assert served({a: 300.0, b: 300.0}) == pytest.approx([60.0, 60.0], abs=1)


def test_the_rest_is_shared_evenly_among_those_who_ask_for_more():
    """Max-min: 120 among 1, 50 and 300 is 1, 50 and 69; who asks most often has no more of the rest than others."""
    assert served({group("a"): 300.0, group("b"): 50.0, group("c"): 1.0}) == pytest.approx([69.0, 50.0, 1.0], abs=1)


def test_weights_count():
    assert served({group("a", 0.75, weight=3.0): 300.0, group("b", 0.25): 300.0}) == pytest.approx([90.0, 30.0], abs=1)


def test_lines_of_a_group_share_what_it_has_as_groups_do():
    lines = {group("a", 0.5, line=line, line_part=0.5): rate for line, rate in {"one": 300.0, "two": 20.0}.items()}
    assert served({**lines, group("b", 0.5): 300.0}) == pytest.approx([40.0, 20.0, 60.0], abs=1)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0.5, 4.0), st.floats(1.0, 100.0)), min_size=1, max_size=4),
    st.integers(0, 2**32),
)
def test_nobody_can_make_a_call_within_its_guarantee_be_refused(others, seed):
    """One that asks no faster than its part of the weights of all, and no more at once than its own tokens, is refused nothing.

    The others ask at random moments, in bursts, each from several lines.
    """
    dice = random.Random(seed)
    total = 1.0 + sum(weight for weight, _ in others)
    mine = Share("me", "line", 1.0, 1 / total)
    own = max(LEAST_OF_A_GROUP, BURST / 2 / total)
    rate = FairRate(RATE, BURST)
    events = []
    for index, (weight, per_s) in enumerate(others):
        at = 0.0
        while at < 3.0:
            events += [(at, Share(f"other {index}", str(dice.randrange(3)), weight, weight / total, 1 / 3))] * dice.choice([1, 1, 1, 40])
            at += dice.expovariate(per_s)
    tokens, at, asked = own, 0.0, 0.0
    while at < 3.0:  # as much as the guarantee allows: at once after a pause, then at its rate
        step = dice.choice([0.0, 0.0, total / RATE, dice.uniform(0, 0.5)])
        at, tokens = at + step, min(own, tokens + step * RATE / total)
        if tokens >= 1.0:
            tokens -= 1.0
            asked += 1
            events.append((at, mine))
    events.sort(key=lambda event: event[0])
    answers = [(share, rate.take(share, moment)) for moment, share in events]
    assert all(granted for share, granted in answers if share is mine)
    assert asked > 0
    granted = sum(granted for _, granted in answers)
    # Beyond the rate no more than all tokens that there are: each of three lines has its least, however small its group.
    assert granted <= 3.5 * RATE + BURST + LEAST_OF_A_GROUP * (len(others) + 1) + 3 * LEAST_OF_A_LINE * len(others)


def test_who_has_all_its_tokens_is_not_remembered():
    rate = FairRate(RATE, BURST)
    for number in range(50):
        assert rate.take(group(f"g{number}", 0.02), 0.0)
    assert len(rate) == 50
    assert rate.take(group("late", 0.02), 10.0)
    assert len(rate) == 1


def test_a_flood_from_forged_addresses_leaves_a_bounded_memory_and_a_place_for_who_was_there_before():
    rate = FairRate(200.0, 400.0)
    known = Share("known", part=0.0)
    assert rate.take(known, 0.0)
    for number in range(2 * MOST_REMEMBERED):
        rate.take(Share(f"forged {number}", part=0.0), 0.0)
    assert len(rate) == MOST_REMEMBERED
    assert rate.take(known, 0.0)


def test_alone_is_who_no_other_stands_in_the_way_of():
    rate = FairRate(RATE, BURST)
    a, b = group("a", 0.5), group("b", 0.5)
    assert rate.is_alone(a)
    rate.take(a, 0.0)
    assert rate.is_alone(a)
    assert not rate.is_alone(b)
