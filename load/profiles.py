"""How synthetic people behave, pure and seeded: Poisson arrivals (Erlang), talk time and patience after Brown et al. 2005.

Nothing here draws by itself: the caller hands in a `random.Random`, so that a seed names one run exactly. Times are seconds.
Brown et al., "Statistical Analysis of a Telephone Call Center" (JASA 100:469), found lognormal talk times and near-exponential patience.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator
from typing import Literal

import msgspec

Kind = Literal["fixed", "exponential", "lognormal", "uniform"]


class _Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the profiles: frozen, by keyword."""


class ProfileError(ValueError):
    """A profile that cannot be meant; the text names the part."""


class Spread(_Value, frozen=True, kw_only=True):
    """A distribution of durations."""

    kind: Kind = "fixed"
    mean_s: float = 0.0
    sigma: float = 0.6
    """Lognormal only: standard deviation of the logarithm. 0.6 is what talk times of real centres show."""

    def __post_init__(self) -> None:
        if not (self.mean_s >= 0 and math.isfinite(self.mean_s)):
            raise ProfileError(f"a mean of {self.mean_s} s is no duration")
        if self.sigma < 0:
            raise ProfileError(f"sigma {self.sigma} is below 0")

    def draw(self, rng: random.Random) -> float:
        """One duration, never below 0. Uniform runs from 0 to twice the mean; lognormal is shifted so that its mean is `mean_s`."""
        if self.mean_s == 0:
            return 0.0
        match self.kind:
            case "fixed":
                return self.mean_s
            case "exponential":
                return rng.expovariate(1 / self.mean_s)
            case "uniform":
                return rng.uniform(0, 2 * self.mean_s)
            case "lognormal":
                return rng.lognormvariate(math.log(self.mean_s) - self.sigma**2 / 2, self.sigma)

    @classmethod
    def parse(cls, text: str) -> Spread:
        """Read `3`, `fixed:3`, `exponential:120`, `uniform:5` or `lognormal:180,0.6`.

        Raises: ProfileError: anything else.
        """
        kind, colon, figures = text.strip().partition(":")
        if not colon:
            kind, figures = "fixed", kind
        mean, comma, sigma = figures.partition(",")
        try:
            if kind not in {"fixed", "exponential", "lognormal", "uniform"} or (comma and kind != "lognormal"):
                raise ProfileError(f"{text!r} is no duration: write fixed:3, exponential:120, uniform:5 or lognormal:180,0.6")
            fields: dict[str, object] = {"kind": kind, "mean_s": float(mean)}
            if comma:
                fields["sigma"] = float(sigma)
            return msgspec.convert(fields, cls)
        except ProfileError:
            raise
        except ValueError as fault:
            raise ProfileError(f"{text!r} is no duration: {fault}") from fault


# ---------------------------------------------------------------------- when calls begin


class Poisson(_Value, frozen=True, kw_only=True, tag="poisson"):
    """Independent callers: exponential gaps, `rate` calls a second."""

    rate: float

    def times(self, duration_s: float, rng: random.Random) -> Iterator[float]:
        """Seconds after the start at which calls begin, rising."""
        at = rng.expovariate(self.rate) if self.rate > 0 else math.inf
        while at < duration_s:
            yield at
            at += rng.expovariate(self.rate)

    def share(self, count: int) -> Poisson:
        """Its part for one of `count` processes: a Poisson process split at random is Poisson again."""
        return Poisson(rate=self.rate / count)


class Burst(_Value, frozen=True, kw_only=True, tag="burst"):
    """`calls` at once (spread evenly over `within_s`), every `every_s` seconds: the advert was just on television."""

    calls: int
    within_s: float = 1.0
    every_s: float = 30.0

    def times(self, duration_s: float, rng: random.Random) -> Iterator[float]:
        """Seconds after the start at which calls begin, rising; the place inside the burst is drawn."""
        if self.every_s <= 0 or self.within_s > self.every_s:
            raise ProfileError("a burst must end before the next begins")
        start = 0.0
        while start < duration_s:
            yield from (at for at in sorted(start + rng.uniform(0, self.within_s) for _ in range(self.calls)) if at < duration_s)
            start += self.every_s

    def share(self, count: int) -> Burst:
        """Its part for one of `count` processes, rounded up."""
        return Burst(calls=-(-self.calls // count), within_s=self.within_s, every_s=self.every_s)


class Concurrent(_Value, frozen=True, kw_only=True, tag="concurrent"):
    """A closed loop: `calls` at any time; one that ends is replaced at once. The first ones come evenly over `ramp_s`."""

    calls: int
    ramp_s: float = 10.0

    def times(self, duration_s: float, rng: random.Random) -> Iterator[float]:
        """Only the first ones: later calls begin when one ends, which a plan cannot know."""
        del rng
        yield from (at for at in (i * self.ramp_s / self.calls for i in range(self.calls)) if at < duration_s)

    def share(self, count: int) -> Concurrent:
        """Its part for one of `count` processes, rounded up."""
        return Concurrent(calls=-(-self.calls // count), ramp_s=self.ramp_s)


Arrivals = Poisson | Burst | Concurrent


# ---------------------------------------------------------------------- who calls, who answers


class CallerProfile(_Value, frozen=True, kw_only=True):
    """A caller: how long it waits, how long it talks, who ends the call."""

    patience: Spread = Spread(kind="exponential", mean_s=120.0)
    """Until it gives up while no agent has answered; mean 0: never."""
    talk: Spread = Spread(kind="lognormal", mean_s=120.0)
    hangs_up: float = 0.5
    """Share of calls the caller ends; the agent ends the others."""


class AgentProfile(_Value, frozen=True, kw_only=True):
    """An agent: how long the phone rings, whether the call is taken at all, and how the shift goes."""

    ring: Spread = Spread(kind="fixed", mean_s=0.2)
    misses: float = 0.0
    """Share of offers that ring until the queue gives up (redirect on no answer)."""
    declines: float = 0.0
    """Share of offers refused with 486."""
    works_for: Spread | None = None
    """Ready for so long, then away; None: ready all the time."""
    away_for: Spread = Spread(kind="exponential", mean_s=5.0)


class Scenario(_Value, frozen=True, kw_only=True):
    """A run, whole: who comes, who is there, for how long."""

    name: str
    duration_s: float
    arrivals: tuple[Arrivals, ...]
    caller: CallerProfile = CallerProfile()
    agent: AgentProfile = AgentProfile()
    agents: int = 10
    after_call_work_s: float = 0.0
    """Given to the queue when the run provisions it."""

    def share(self, index: int, count: int) -> Scenario:
        """The part of process `index` of `count`: its arrivals and its agents (`agent_range`)."""
        first, last = agent_range(self.agents, index, count)
        return msgspec.structs.replace(self, arrivals=tuple(one.share(count) for one in self.arrivals), agents=last - first)


class PlannedCall(_Value, frozen=True, kw_only=True):
    """One call before it happens."""

    index: int
    at_s: float
    patience_s: float
    """`inf`: never gives up."""
    talk_s: float
    ended_by: Literal["caller", "agent"]


def agent_range(agents: int, index: int, count: int) -> tuple[int, int]:
    """Which of the agents `[first, last)` process `index` of `count` plays; the parts tile the whole."""
    return agents * index // count, agents * (index + 1) // count


def plan_call(index: int, at_s: float, profile: CallerProfile, rng: random.Random) -> PlannedCall:
    """Draw the fate of one caller. Always three draws in the same order, so that one changed profile leaves the others' luck alone."""
    patience, talk, ending = random.Random(rng.random()), random.Random(rng.random()), rng.random()
    return PlannedCall(
        index=index,
        at_s=at_s,
        patience_s=profile.patience.draw(patience) if profile.patience.mean_s > 0 else math.inf,
        talk_s=profile.talk.draw(talk),
        ended_by="caller" if ending < profile.hangs_up else "agent",
    )


def plan(scenario: Scenario, rng: random.Random) -> Iterator[PlannedCall]:
    """Every call whose start is known beforehand, in order of time."""
    streams = [one.times(scenario.duration_s, random.Random(rng.random())) for one in scenario.arrivals]
    for index, at_s in enumerate(heapq.merge(*streams)):
        yield plan_call(index, at_s, scenario.caller, rng)


def offered_load(rate: float, busy_s: float, agents: int) -> float:
    """Offered load per agent in Erlang, 1.0 = everybody busy all the time: rate x holding time / agents."""
    return rate * busy_s / agents
