"""The line ledger: a speech channel is admitted against the upload of its site or trunk, or refused with the figures (R9)."""

from __future__ import annotations

from typing import NamedTuple

from acd.core.configuration import Agent, Trunk
from acd.core.ids import SiteId, TrunkId
from acd.core.state.bandwidth import FLOOR_KBITS, site_line, trunk_line
from acd.core.state.values import State

EMERGENCY = frozenset({"110", "112"})
"""Emergency numbers (§ 164 TKG): never refused for want of bandwidth, mode or a second call."""


class Verdict(NamedTuple):
    """What the ledger says to one more channel."""

    line: str
    kbits: int
    reserved_kbits: int
    """Before this channel."""
    upload_kbits: int | None

    @property
    def fits(self) -> bool:
        return self.upload_kbits is None or self.reserved_kbits + self.kbits <= self.upload_kbits

    @property
    def reason(self) -> str:
        """One English sentence with the figures."""
        kind, _, name = self.line.partition(":")
        return f"{kind} {name}: {self.reserved_kbits} of {self.upload_kbits} kbit/s reserved, {self.kbits} needed"


def _verdict(state: State, line: str, kbits: int, upload_kbits: int | None) -> Verdict:
    ledger = state.lines.get(line)
    return Verdict(line, max(kbits, FLOOR_KBITS), ledger.reserved_kbits if ledger else 0, upload_kbits)


def at_site(state: State, sites: dict[SiteId, int], agent: Agent, kbits: int | None = None) -> Verdict | None:
    """One more channel to the agent's site; None when the agent sits nowhere that is limited."""
    if agent.site is None or agent.site not in sites:
        return None
    return _verdict(state, site_line(agent.site), max(kbits or 0, agent.channel_kbits), sites[agent.site])


def to_agent(state: State, sites: dict[SiteId, int], trunks: dict[TrunkId, Trunk], agent: Agent) -> Verdict | None:
    """One more channel to the agent's phone: on the trunk it is behind, else at its site."""
    if agent.trunk is None:
        return at_site(state, sites, agent)
    trunk = trunks.get(agent.trunk)
    return on_trunk(state, trunk) if trunk is not None else None


def on_trunk(state: State, trunk: Trunk, kbits: int | None = None) -> Verdict:
    """One more channel on a trunk."""
    return _verdict(state, trunk_line(trunk.id), max(kbits or 0, trunk.channel_kbits), trunk.upload_kbits)
