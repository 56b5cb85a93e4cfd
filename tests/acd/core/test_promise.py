"""Is the wait that was promised the wait that came? On a simulated floor (house: the mean within 15 %)."""

from __future__ import annotations

import heapq
import random

import pytest

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import SkillRequirement
from tests.acd.core.shell import Phone, Shell, agent, house, open_house, queue

HANDLE_S = 180.0
HOURS = 9


class Floor:
    """Callers who come at random, talk for an exponential time and leave when their patience ends; time is virtual.

    Every fourth caller has no end of patience: what was promised to them is compared with what they waited.
    """

    def __init__(self, shell: Shell, seed: int, patience_s: float | None) -> None:
        self.shell = shell
        self.rng = random.Random(seed)
        self.patience_s = patience_s
        self.came: dict[str, float] = {}
        self.promised: dict[str, float] = {}
        self.waited: dict[str, float] = {}

    def calls(self, rates_per_h: dict[str, float]) -> None:
        """Let so many an hour call each number, for a morning after an hour of warming up."""
        shell, rng = self.shell, self.rng
        begin = shell.now
        arrivals = []
        for called, per_h in rates_per_h.items():
            at = begin
            while (at := at + rng.expovariate(per_h / 3600)) < begin + HOURS * 3600:
                arrivals.append((at, called))
        for number, (at, called) in enumerate(sorted(arrivals)):
            self.until(at)
            name = f"c{number}"
            stays = self.patience_s is None or number % 4 == 0
            shell.send(inp.CallArrived(call=name, leg=f"{name}-in", trunk="pbx", calling=None, called=called))
            self.came[name] = shell.now
            if stays and at > begin + 3600:
                told = {one.call: one.estimated_wait_s for line in shell.engine.live().queues for one in line.waiting}
                if (promise := told.get(name)) is not None:  # who was put through at once waits for nobody
                    self.promised[name] = promise
            if not stays:
                shell.later(rng.expovariate(1 / (self.patience_s or 1.0)), inp.LegReleased(leg=f"{name}-in"))
        self.until(shell.now + 7200)

    def until(self, at: float) -> None:
        """Let time pass from event to event, and everybody who is connected talk for a while."""
        shell = self.shell
        while True:
            seen = len(shell.journal)
            due = min((shell.engine.next_timeout() or at, shell.agenda[0][0] if shell.agenda else at))
            shell.run(until=min(at, max(due, shell.now)))
            for entry in shell.journal[seen:]:
                for event in entry.events:
                    if isinstance(event, ev.CallEstablished):
                        self.waited[event.call] = entry.now - self.came[event.call]
                        ends = inp.LegReleased(leg=f"{event.call}-in")
                        shell.agenda = [one for one in shell.agenda if one[2] != ends]  # whoever is connected has patience
                        heapq.heapify(shell.agenda)
                        shell.later(self.rng.expovariate(1 / HANDLE_S), ends)
            shell.journal.clear()
            shell.effects.clear()
            if shell.now >= at and (not shell.agenda or shell.agenda[0][0] > at):
                return

    def means(self) -> tuple[float, float, int]:
        """Promised, waited, of how many."""
        both = [name for name in self.promised if name in self.waited]
        return sum(self.promised[one] for one in both) / len(both), sum(self.waited[one] for one in both) / len(both), len(both)


def floor(seed: int, patience_s: float | None, *, shared: bool) -> Floor:
    """Twelve agents of one queue; or eight of two queues, of whom four have both skills."""
    skills = [{"support": 5}] * 12
    if shared:
        skills = [{"support": 5}] * 2 + [{"sales": 5}] * 2 + [{"support": 5, "sales": 5}] * 4
    people = tuple(agent(f"a{number:02}", skills=has) for number, has in enumerate(skills))
    plain = {"greeting": (), "announce_position": False, "after_call_work_s": 0.0}
    queues = (queue("support", **plain), queue("sales", requirements=(SkillRequirement(skill="sales"),), **plain))
    phones = {one.id: Phone(answers_after_s=0.0, alerts=False) for one in people}
    return Floor(open_house(house(agents=people, queues=queues), **phones), seed, patience_s)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_two_queues_that_share_agents(seed: int) -> None:
    """Eight people, 152 calls an hour of three minutes: busy to 95 %."""
    made = floor(seed, None, shared=True)
    made.calls({"601": 76.0, "602": 76.0})
    promised, waited, count = made.means()
    assert count > 500
    assert promised == pytest.approx(waited, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_callers_with_a_minutes_patience(seed: int) -> None:
    """Twelve people, 300 calls an hour, a quarter more than they can take: who does not leave waits as long as promised."""
    made = floor(seed, 60.0, shared=False)
    made.calls({"601": 300.0})
    promised, waited, count = made.means()
    assert count > 300
    assert promised == pytest.approx(waited, rel=0.15)
