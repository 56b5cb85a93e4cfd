"""Journals that 0.1.0 wrote, read with today's code: every entry is there, and the state after the last one is what 0.1.0 made of it.

DIFFERENCES against 0.1.0, each with its reason:
1. Seconds of the day's figures (talk, hold, wrap-up, waits, idle, busy, not ready): 0.1.0 counted the time from a crash to the next start
   as if everybody had gone on talking and waiting; the records never did. Now the figures end where the records end.
2. Hold of an agent is that of the pair, whoever holds: what was talk for one side while the other held is hold for both
   (docs/figures.md §3).
3. Direct and transferred calls are offered to and answered by an agent like those of a queue (docs/figures.md §8).
4. The first day of the figures ends at midnight of the first schedule's zone, where 0.1.0 ended it at Berlin's whatever the zone. No vector
   has a first schedule elsewhere.

And what is decided otherwise now, given the same input in the same state (DECIDED_OTHERWISE below has the events):
5. Whom a rule lets go (a number, a menu's key that leads to hanging up) is told so: `let_go`, which was `busy` or `hang_up`
   (docs/upgrading.md).
6. No phone rings before the recording notice was heard (docs/figures.md): the caller who hears it is offered to nobody; 0.1.0 rang at once.
7. Whose phone rang all the same and was taken during the notice talks at once and unrecorded (§ 201 StGB); 0.1.0 left both waiting for the
   end of the notice, connected them then and recorded. Now that end leads on to what a waiting caller hears.
8. An offer that was not taken says why (`reason` of OfferEnded): a queue has a limit for each.
9. The end of a hold says whose it was, the desk's or the phone's.
10. A start says how long nothing had run before it.
"""

from collections import Counter

import pytest

from acd.core.ids import TenantId
from acd.core.inputs import ServiceStarted
from tests.releases.read_again import calls_left_up, entries_of, journals, snapshots_in, state_after, tenants_in
from tests.releases.redriven import Kind, redriven
from tests.releases.vectors import HOUSES, vectors
from tests.servers import DATABASES

_OFFERED = ("OfferMade", "LegInitiated", "ChannelReserved", "WorkReserved")
_TAKEN = ("OfferEnded", "QueueLeft", "WorkConnected", "CallEstablished")
DECIDED_OTHERWISE = {
    5: {
        **{Kind("CallArrived", word, word): 3 for word in ("LegCleared", "CallCleared")},
        Kind("DigitPressed", "CallCleared", "CallCleared"): 1,
    },
    6: {Kind("CallArrived", word, None): 1 for word in _OFFERED},
    7: {
        **{Kind("LegAnswered", None, word): 1 for word in _TAKEN},
        **{Kind("SoundsEnded", word, None): 1 for word in (*_TAKEN, "RecordingBegan")},
        Kind("SoundsEnded", None, "SoundsStarted"): 1,
    },
    8: {Kind(word, "OfferEnded", "OfferEnded"): 1 for word in ("Decline", "TimePassed")},
    9: {Kind("Retrieve", "LegRetrieved", "LegRetrieved"): 1},
    10: {Kind("ServiceStarted", "Started", "Started"): 6},
}
"""Number of the difference above -> what it looks like, and how often it is there in the houses of one database."""


@pytest.mark.parametrize(("vector", "tenant"), list(journals("0.1.0")))
def test_the_journal_is_read_whole_and_leads_to_the_state_it_led_to_then(vector, tenant, unpacked):
    told = vector.journals[tenant]
    entries = entries_of(vector, tenant, unpacked)
    found, was = state_after(entries, tenant), told["state"]
    found_figures, former_figures = figures_of(found.pop("statistics")), figures_of(was["statistics"])
    assert found == {name: value for name, value in was.items() if name != "statistics"}
    if sum(isinstance(entry.input, ServiceStarted) for entry in entries) == 1:
        assert found_figures == former_figures
    else:  # DIFFERENCES, 1
        assert found_figures.keys() == former_figures.keys()
        longer = {figure for figure in found_figures if figure.endswith("_s") and found_figures[figure] > former_figures[figure]}
        assert all(figure.endswith("/hold_s") for figure in longer), (
            longer
        )  # DIFFERENCES, 2: what was hold for one side was talk for the other
        for hold in longer:
            talk = hold.replace("/hold_s", "/talk_s")
            assert found_figures[hold] + found_figures[talk] <= former_figures[hold] + former_figures[talk] + 1e-6
        counts = [one for one in found_figures if not one.endswith("_s")]
        more = {one for one in counts if found_figures[one] != former_figures[one]}
        # DIFFERENCES, 3: an agent's direct and transferred calls are offered and answered like those of a queue.
        assert all(
            one.startswith("/agents/") and one.rpartition("/")[2] in {"offered", "answered", "no_answer", "declined"} for one in more
        ), more
        assert all(found_figures[one] > former_figures[one] for one in more)


def figures_of(statistics: dict, where: str = "") -> dict[str, object]:
    """Every figure by its path."""
    found: dict[str, object] = {}
    for name, value in statistics.items():
        found |= figures_of(value, f"{where}/{name}") if isinstance(value, dict) else {f"{where}/{name}": value}
    return found


@pytest.mark.parametrize("kind", DATABASES)
def test_every_input_is_decided_as_it_was_but_for_the_differences_that_are_written_down(kind, unpacked):
    """All entries count, those around a crash too: what was cut is written off by the start, which is an input like any other. What a
    desk asked and was refused left no entry.
    """
    found: Counter[Kind] = Counter()
    for vector in vectors("0.1.0"):
        for tenant in vector.tenants if vector.kind == kind else ():
            found.update(one.kind for one in redriven(entries_of(vector, tenant, unpacked), TenantId(tenant)))
    assert found == {decided: times for number in DECIDED_OTHERWISE.values() for decided, times in number.items()}


@pytest.mark.parametrize("vector", vectors("0.1.0"), ids=str)
def test_a_vector_holds_what_its_readme_says(vector, unpacked):
    """Who takes an entry out of a vector by accident takes a word out of the tests."""
    data = unpacked(vector)
    assert tenants_in(data) == set(HOUSES["0.1.0"][vector.house]) == set(vector.journals)
    snapshots = {"orderly": {"kanzlei", "laden", "muster", "praxis", "werbung"}, "killed": {"hotel"}}
    assert snapshots_in(data) == snapshots[vector.house]
    assert calls_left_up(vector) == {"orderly": {}, "killed": {"cafe": 5, "hotel": 1}}[vector.house]
    assert {tenant for tenant, told in vector.journals.items() if not told["read_by_the_release"]} == {"werbung"} & set(vector.tenants)


@pytest.mark.parametrize("kind", DATABASES)
def test_every_word_of_the_release_occurs(kind):
    """0.1.0 knows 53 events and 33 inputs (`acd/core/events.py`, `acd/core/inputs.py` at that release)."""
    journals = [told for vector in vectors("0.1.0") if vector.kind == kind for told in vector.journals.values()]
    assert len({word for told in journals for word in told["events"]}) == 53
    assert len({word for told in journals for word in told["inputs"]}) == 33
