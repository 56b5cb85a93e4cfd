import itertools
import math
import random
import statistics

import pytest

from load.profiles import (
    Burst,
    CallerProfile,
    Concurrent,
    Poisson,
    ProfileError,
    Scenario,
    Spread,
    agent_range,
    offered_load,
    plan,
    plan_call,
)
from load.scenarios import SCENARIOS


@pytest.mark.parametrize("kind", ["fixed", "exponential", "lognormal", "uniform"])
def test_every_distribution_has_the_mean_it_is_named_by(kind):
    rng = random.Random(7)
    draws = [Spread(kind=kind, mean_s=30.0).draw(rng) for _ in range(20_000)]
    assert statistics.fmean(draws) == pytest.approx(30.0, rel=0.03)
    assert min(draws) >= 0


def test_exponential_has_a_standard_deviation_equal_to_its_mean():
    rng = random.Random(11)
    draws = [Spread(kind="exponential", mean_s=5.0).draw(rng) for _ in range(20_000)]
    assert statistics.stdev(draws) == pytest.approx(5.0, rel=0.03)


def test_lognormal_has_the_sigma_it_was_given():
    rng = random.Random(13)
    logs = [math.log(Spread(kind="lognormal", mean_s=180.0, sigma=0.8).draw(rng)) for _ in range(20_000)]
    assert statistics.stdev(logs) == pytest.approx(0.8, rel=0.03)


def test_poisson_gaps_are_exponential_with_mean_one_over_rate():
    times = list(Poisson(rate=50.0).times(400.0, random.Random(3)))
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert len(times) == pytest.approx(20_000, rel=0.03)
    assert statistics.fmean(gaps) == pytest.approx(0.02, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(0.02, rel=0.03)
    assert times == sorted(times)


def test_poisson_with_rate_zero_never_calls():
    assert list(Poisson(rate=0.0).times(100.0, random.Random(1))) == []


def test_burst_puts_all_its_calls_inside_its_window():
    times = list(Burst(calls=20, within_s=1.0, every_s=10.0).times(25.0, random.Random(5)))
    assert len(times) == 60
    assert all(at % 10.0 <= 1.0 for at in times)


def test_burst_that_never_ends_is_refused():
    with pytest.raises(ProfileError, match="must end"):
        list(Burst(calls=1, within_s=5.0, every_s=2.0).times(10.0, random.Random(1)))


def test_concurrent_plans_only_the_first_calls_evenly_over_the_ramp():
    assert list(Concurrent(calls=4, ramp_s=2.0).times(60.0, random.Random(1))) == [0.0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_same_seed_gives_the_same_calls_and_another_seed_others(name):
    scenario = SCENARIOS[name]()
    first = list(plan(scenario, random.Random("42/0")))
    assert first == list(plan(scenario, random.Random("42/0")))
    assert first != list(plan(scenario, random.Random("43/0")))
    assert first
    assert [call.at_s for call in first] == sorted(call.at_s for call in first)
    assert [call.index for call in first] == list(range(len(first)))


def test_changing_the_patience_leaves_talk_times_and_endings_alone():
    patient = Scenario(name="x", duration_s=20.0, arrivals=(Poisson(rate=5.0),))
    hasty = Scenario(
        name="x", duration_s=20.0, arrivals=(Poisson(rate=5.0),), caller=CallerProfile(patience=Spread(kind="lognormal", mean_s=1.0))
    )
    a, b = (list(plan(one, random.Random(9))) for one in (patient, hasty))
    assert [(call.at_s, call.talk_s, call.ended_by) for call in a] == [(call.at_s, call.talk_s, call.ended_by) for call in b]
    assert [call.patience_s for call in a] != [call.patience_s for call in b]


def test_patience_of_zero_means_never_gives_up():
    assert plan_call(0, 0.0, CallerProfile(patience=Spread(mean_s=0.0)), random.Random(1)).patience_s == math.inf


def test_share_of_calls_ended_by_the_caller_is_as_asked():
    rng = random.Random(2)
    ends = [plan_call(i, 0.0, CallerProfile(hangs_up=0.3), rng).ended_by for i in range(5_000)]
    assert ends.count("caller") / len(ends) == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(("agents", "count"), [(200, 3), (5, 8), (1, 1), (0, 2)])
def test_processes_tile_the_agents(agents, count):
    ranges = [agent_range(agents, index, count) for index in range(count)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == agents
    assert all(a[1] == b[0] for a, b in itertools.pairwise(ranges))
    assert sum(Scenario(name="x", duration_s=1.0, arrivals=(), agents=agents).share(i, count).agents for i in range(count)) == agents


def test_processes_share_the_rate():
    scenario = Scenario(name="x", duration_s=1.0, arrivals=(Poisson(rate=30.0), Burst(calls=100), Concurrent(calls=300)))
    assert scenario.share(0, 3).arrivals == (Poisson(rate=10.0), Burst(calls=34), Concurrent(calls=100))


def test_120_percent_offered_load_at_20_agents_and_2_s_calls_is_12_calls_a_second():
    assert offered_load(rate=12.0, busy_s=2.0, agents=20) == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("text", "spread"),
    [
        ("3", Spread(kind="fixed", mean_s=3.0)),
        ("fixed:2.5", Spread(kind="fixed", mean_s=2.5)),
        ("exponential:120", Spread(kind="exponential", mean_s=120.0)),
        ("lognormal:180,0.9", Spread(kind="lognormal", mean_s=180.0, sigma=0.9)),
    ],
)
def test_spread_is_read_from_the_command_line(text, spread):
    assert Spread.parse(text) == spread


@pytest.mark.parametrize("text", ["", "soon", "gamma:3", "fixed:x", "fixed:3,4", "-1", "exponential:inf", "lognormal:3,-1"])
def test_what_is_no_duration_is_refused_by_name(text):
    with pytest.raises(ProfileError):
        Spread.parse(text)
