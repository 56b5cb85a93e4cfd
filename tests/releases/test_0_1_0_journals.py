"""Journals that 0.1.0 wrote, read with today's code: every entry is there, and the state after the last one is what 0.1.0 made of it.

DIFFERENCES against 0.1.0, each with its reason:
1. Seconds of the day's figures (talk, hold, wrap-up, waits, idle, busy, not ready): 0.1.0 counted the time from a crash to the next start
   as if everybody had gone on talking and waiting; the records never did. Now the figures end where the records end.
2. Hold of an agent is that of the pair, whoever holds: what was talk for one side while the other held is hold for both
   (docs/figures.md §3).
3. Direct and transferred calls are offered to and answered by an agent like those of a queue (docs/figures.md §8).
4. The first day of the figures ends at midnight of the first schedule's zone, where 0.1.0 ended it at Berlin's whatever the zone. No vector
   has a first schedule elsewhere.
"""

import pytest

from acd.core.ids import TenantId
from acd.core.inputs import ServiceStarted
from acd.core.replay import fold
from acd.journal import read
from tests.releases.vectors import HOUSES, Vector, vectors
from tests.servers import DATABASES
from tests.vectors.releases.public_state import public_state


def journals():
    for vector in vectors("0.1.0"):
        for tenant in vector.tenants:
            yield pytest.param(vector, tenant, id=f"{vector}-{tenant}")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """Vector -> its data folder, unpacked once; the tests only read."""
    folders = {}

    def folder_of(vector: Vector):
        if vector not in folders:
            folders[vector] = vector.unpack(tmp_path_factory.mktemp(str(vector)))
        return folders[vector]

    return folder_of


@pytest.mark.parametrize(("vector", "tenant"), list(journals()))
def test_the_journal_is_read_whole_and_leads_to_the_state_it_led_to_then(vector, tenant, unpacked):
    told = vector.journals[tenant]
    entries = list(read(vector.journal(unpacked(vector), tenant)))
    assert len(entries) == told["entries"]
    assert (entries[-1].seq, entries[-1].now) == (told["last_seq"], told["last_now"])
    assert [entry.seq for entry in entries] == list(range(1, told["last_seq"] + 1))
    found, was = public_state(fold(entries, TenantId(tenant)).state), told["state"]
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


@pytest.mark.parametrize("vector", vectors("0.1.0"), ids=str)
def test_a_vector_holds_what_its_readme_says(vector, unpacked):
    """Who takes an entry out of a vector by accident takes a word out of the tests."""
    data = unpacked(vector)
    assert {folder.name for folder in (data / "tenants").iterdir()} == set(HOUSES[vector.house]) == set(vector.journals)
    snapshots = {"orderly": {"kanzlei", "laden", "muster", "praxis", "werbung"}, "killed": {"hotel"}}
    assert {file.parent.name for file in data.glob("tenants/*/snapshot")} == snapshots[vector.house]
    up = {tenant: len(told["state"]["calls"]) for tenant, told in vector.journals.items() if told["state"]["calls"]}
    assert up == {"orderly": {}, "killed": {"cafe": 5, "hotel": 1}}[vector.house]
    assert {tenant for tenant, told in vector.journals.items() if not told["read_by_the_release"]} == {"werbung"} & set(vector.tenants)


@pytest.mark.parametrize("kind", DATABASES)
def test_every_word_of_the_release_occurs(kind):
    """0.1.0 knows 53 events and 33 inputs (`acd/core/events.py`, `acd/core/inputs.py` at that release)."""
    journals = [told for vector in vectors("0.1.0") if vector.kind == kind for told in vector.journals.values()]
    assert len({word for told in journals for word in told["events"]}) == 53
    assert len({word for told in journals for word in told["inputs"]}) == 33
