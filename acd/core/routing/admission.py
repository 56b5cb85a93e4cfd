"""The line ledger: a speech channel is admitted against the upload of its site or trunk as the line's plan says, or refused with the
figures (R9, U10).
"""

from __future__ import annotations

from typing import NamedTuple

from acd.core.channel_costs import ChannelCosts, Saving
from acd.core.configuration import Agent, Trunk
from acd.core.state.bandwidth import Limits, Ways, site_line, trunk_line, ways
from acd.core.state.index import Index
from acd.core.state.values import State

EMERGENCY = frozenset({"110", "112"})
"""Emergency numbers (§ 164 TKG): never refused for want of bandwidth, mode or a second call, and never made cheaper."""


class Verdict(NamedTuple):
    """What the ledger says to one more channel."""

    line: str
    kbits: int
    reserved_kbits: int
    """Before this channel."""
    upload_kbits: int | None
    fits: bool
    shape: str = ""
    """What the channel is made of, for people."""
    step: Saving | None = None
    """Of the line's plan, where it was needed; None: as usual."""
    instead: tuple[tuple[Saving, int], ...] = ()
    """Where it does not fit: what it would have taken by the plan."""

    @property
    def reason(self) -> str:
        """One English sentence with the figures."""
        kind, _, name = self.line.partition(":")
        others = "".join(f", {kbits} by {step}" for step, kbits in self.instead)
        return f"{kind} {name}: {self.reserved_kbits} of {self.upload_kbits} kbit/s reserved, {self.kbits} needed{others}"


def _verdict(state: State, line: str, limits: Limits, channel: Ways, *, alone: bool, whatever: bool) -> Verdict:
    ledger = state.lines.get(line)
    reserved = ledger.reserved_kbits if ledger else 0
    way = channel.usual if whatever else (channel.last if alone else channel.first)(limits, reserved)
    if way is not None:
        return Verdict(line, way.kbits, reserved, limits.upload_kbits, True, way.shape, way.step)
    instead = tuple((one.step, one.kbits) for one in (*channel.early, *channel.late) if one.step is not None)
    usual = channel.usual
    return Verdict(line, usual.kbits, reserved, limits.upload_kbits, False, usual.shape, None, instead)


def at_site(state: State, index: Index, agent: Agent, costs: ChannelCosts | None, *, whatever: bool = False) -> Verdict | None:
    """One more channel to the agent's site; None when the agent sits nowhere that is limited.

    Args:
        whatever: it is for help: it fits, as usual.
    """
    if agent.site is None or agent.site not in index.sites:
        return None
    line = site_line(agent.site)
    limits = index.lines[line]
    return _verdict(state, line, limits, ways(costs, agent.channel_kbits, limits.plan), alone=True, whatever=whatever)


def to_agent(state: State, index: Index, agent: Agent, *, whatever: bool = False) -> Verdict | None:
    """One more channel to the agent's phone: on the trunk it is behind, else at its site."""
    if agent.trunk is None:
        return at_site(state, index, agent, index.costs.get(agent.id), whatever=whatever)
    trunk = index.trunks.get(agent.trunk)
    return on_trunk(state, index, trunk, trunk.channel, whatever=whatever) if trunk is not None else None


def on_trunk(
    state: State, index: Index, trunk: Trunk, costs: ChannelCosts | None, *, alone: bool = True, whatever: bool = False
) -> Verdict:
    """One more channel on a trunk.

    Args:
        costs: of this channel, as offered; of one that we offer: `trunk.channel`.
        alone: no other trunk is to be looked for.
        whatever: as for `at_site`.
    """
    line = trunk_line(trunk.id)
    limits = index.lines[line]
    return _verdict(state, line, limits, ways(costs, trunk.channel_kbits, limits.plan), alone=alone, whatever=whatever)
