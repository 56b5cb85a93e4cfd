"""The roster of a line: kept from change to change, it is what would be computed from the state at that moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import SkillRequirement
from acd.core.routing import pick as routing
from acd.core.routing.rosters import Roster
from acd.core.state import skills
from acd.core.state import values as s
from acd.core.state.fold import kit
from acd.core.state.fold.kit import CATEGORIES, FREE
from acd.core.state.line import Line
from acd.core.state.statistics import AgentTally, Statistics
from acd.core.strategies import STRATEGIES
from tests.acd.core.shell import Phone, agent, call, house, open_house, queue

PEOPLE = tuple(agent(f"a{n}", skills={"support": n % 4 + 1}) for n in range(8))
CHANGES = st.lists(
    st.tuples(
        st.sampled_from([one.id for one in PEOPLE] + ["stranger"]),
        st.sampled_from([*CATEGORIES, None]),
        st.integers(0, 3),
        st.integers(0, 2),
    ),
    max_size=40,
)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@given(changes=CHANGES)
def test_a_roster_kept_is_the_roster_computed_anew(strategy, changes):
    state = s.State(tenant="t", statistics=Statistics(), agents={one.id: s.Agent(id=one.id) for one in PEOPLE})
    asked = skills.asked(queue(requirements=(SkillRequirement(skill="support", level=2),)), Line("support"))
    fit = skills.eligibility(asked, PEOPLE)
    category_of: dict[str, str] = {}
    categories: dict[str, set[str]] = {category: set() for category in CATEGORIES}
    kept = Roster(state, "support", strategy, fit, categories)
    for name, category, idle_since, answered in changes:
        if name in state.agents:
            state.agents[name].idle_since = float(idle_since)
            state.statistics.agents[name] = AgentTally(answered=answered, head_starts={"support": answered / 2, "sales": 9.0})
        if name in category_of:
            categories[category_of.pop(name)].discard(name)
        if category is not None:
            category_of[name] = category
            categories[category].add(name)
        kept.update(fit.agents & {name}, category_of)
        anew = Roster(state, "support", strategy, fit, categories)
        assert (kept.names, kept.candidates) == (anew.names, anew.candidates)
        for out in routing.UNAVAILABLE:
            assert kept.out(out) == anew.out(out) == tuple(sorted(fit.agents & categories[out]))
        assert sorted(kept.names) == sorted(fit.agents & categories[FREE])


def chosen_in_turn(shell, names: str) -> str:
    for name in names:
        shell.run(60)
        call(shell, name=name)
        shell.run(20)
        shell.send(inp.LegReleased(leg=f"{name}-in"))
    return "".join(one.decision.chosen[0] for one in shell.of(ev.OfferMade))


def team(strategy: str):
    people = tuple(agent(name) for name in "abc")
    return open_house(house(agents=people, queues=(queue(strategy=strategy),)), **{name: Phone() for name in "abc"})


@pytest.mark.parametrize("strategy", ["longest_idle", "fewest_calls", "round_robin"])
def test_a_list_of_changes_that_was_cut_changes_no_decision(strategy, monkeypatch):
    usual = chosen_in_turn(team(strategy), "stuvwxyz")
    monkeypatch.setattr(kit, "CHANGES_KEPT", 2)
    assert chosen_in_turn(team(strategy), "stuvwxyz") == usual == "abcabcab"


def test_at_midnight_the_calls_answered_count_from_nothing():
    shell = team("fewest_calls")
    assert chosen_in_turn(shell, "xy") == "ab"
    shell.run(86_400)
    shell.send(inp.GoNotReady(agent="c", reason="break"), inp.GoReady(agent="c"))
    call(shell, name="z")
    decision = shell.of(ev.OfferMade)[-1].decision
    assert [(one.agent, one.terms[0]) for one in decision.candidates] == [("a", 0.0), ("b", 0.0), ("c", 0.0)]
