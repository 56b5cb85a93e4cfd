"""What a speech channel costs, as the core is told by the shell, which knows codecs and headers (ADR 0004), and how a full line saves."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Saving = Literal["longer_ptime", "opus"]
"""How a channel is made to cost less: packets of 40 ms; Opus and nothing else, where both sides have it."""
Step = Literal["longer_ptime", "opus", "other_leg", "refuse"]
"""What a line does, in the order of its plan, with a channel that does not fit as it would usually be: the savings; let another line or
agent have it, where the channel fits as it usually is; refuse it with the figures.
"""
STEPS: Final[tuple[Step, ...]] = ("longer_ptime", "opus", "other_leg", "refuse")
SAVINGS: Final[dict[Step, Saving]] = {"longer_ptime": "longer_ptime", "opus": "opus"}
DEFAULT_PLAN: Final[tuple[Step, ...]] = ("refuse",)


class Cost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One direction of a channel, on the wire."""

    kbits: int
    """With RTCP, rounded up; below 100 where it is."""
    shape: str = ""
    """What it is made of, for people: `PCMA 20 ms IPv4 SRTP`."""


class ChannelCosts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What a channel comes to at worst of all that is offered, and what it would where the line saves."""

    kbits: int
    shape: str = ""
    degraded: dict[Saving, Cost] = {}
    """Only what can be done with this far end."""


def dearest(costs: list[ChannelCosts]) -> ChannelCosts | None:
    """Of a leg that rings several contacts at once: who answers is not known, so each figure is the worst, and saved is only what can be
    at all of them. None: of none.
    """
    if not costs:
        return None
    worst = max(costs, key=lambda one: one.kbits)
    shared = [step for step in worst.degraded if all(step in one.degraded for one in costs)]
    saved = {step: max((one.degraded[step] for one in costs), key=lambda cost: cost.kbits) for step in shared}
    return ChannelCosts(kbits=worst.kbits, shape=worst.shape, degraded=saved)


def plan_problems(whose: str, plan: tuple[Step, ...], from_kbits: int | None, upload_kbits: int | None) -> list[str]:
    """What is wrong with how a line saves, one sentence each."""
    problems = [f"{whose} has the step {one} twice in its plan" for one in dict.fromkeys(plan) if plan.count(one) > 1]
    if "refuse" in plan[:-1]:
        problems.append(f"{whose} has steps behind refuse, which nothing comes after")
    if from_kbits is not None and upload_kbits is not None and from_kbits > upload_kbits:
        problems.append(f"{whose} is to save from {from_kbits} kbit/s, and has {upload_kbits}")
    if from_kbits is not None and upload_kbits is None:
        problems.append(f"{whose} is to save from {from_kbits} kbit/s, and is not limited")
    return problems
