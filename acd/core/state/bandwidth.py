"""Lines that speech channels are admitted against: their names, what they have, and what a channel takes by the plan of each (R9, U10)."""

from __future__ import annotations

from typing import Final, NamedTuple

from acd.core.channel_costs import DEFAULT_PLAN, SAVINGS, ChannelCosts, Saving, Step
from acd.core.configuration import Site, TenantConfiguration, Trunk
from acd.core.ids import SiteId, TrunkId

FLOOR_KBITS: Final = 100
"""Never reserve less for a channel that is as usual: G.711 at 20 ms with Ethernet, preamble and RTCP is 99.96 kbit/s on the wire (DESIGN.md
§4). One that the line's plan has made cheaper takes what it costs."""


def site_line(site: SiteId) -> str:
    return f"site:{site}"


def trunk_line(trunk: TrunkId) -> str:
    return f"trunk:{trunk}"


class Limits(NamedTuple):
    """What a line has, and how it saves."""

    upload_kbits: int | None
    """None: not limited."""
    plan: tuple[Step, ...] = DEFAULT_PLAN
    from_kbits: int | None = None
    """Channels that would take it beyond this are made cheaper; None: beyond the upload."""

    @property
    def usual_kbits(self) -> int | None:
        """So far every channel is as usual."""
        return self.upload_kbits if self.from_kbits is None or self.upload_kbits is None else min(self.from_kbits, self.upload_kbits)


def limits_of(line: Site | Trunk) -> Limits:
    return Limits(line.upload_kbits, line.degrade, line.degrade_from_kbits)


class Way(NamedTuple):
    """How a channel is carried, and what it takes."""

    kbits: int
    shape: str
    step: Saving | None = None
    """Of the plan; None: as usual."""


class Ways(NamedTuple):
    """All ways to carry a channel, in the order of the line's plan."""

    usual: Way
    early: tuple[Way, ...] = ()
    """Before it is looked for somebody else who could have it as usual."""
    late: tuple[Way, ...] = ()
    """After that."""
    seeks: bool = False
    """The plan looks for somebody else."""

    def first(self, limits: Limits, reserved_kbits: int) -> Way | None:
        """That for which nobody else need be looked for; None: there is none."""
        usual = limits.usual_kbits
        if usual is None or reserved_kbits + self.usual.kbits <= usual:
            return self.usual
        found = self._fitting(self.early, limits, reserved_kbits)
        return found if found is not None or self.seeks else self._fitting((self.usual,), limits, reserved_kbits)

    def last(self, limits: Limits, reserved_kbits: int) -> Way | None:
        """The same where there is nobody else."""
        found = self.first(limits, reserved_kbits)
        if found is not None or not self.seeks:
            return found
        return self._fitting((*self.late, self.usual), limits, reserved_kbits)

    @staticmethod
    def _fitting(ways: tuple[Way, ...], limits: Limits, reserved_kbits: int) -> Way | None:
        upload = limits.upload_kbits
        return next((one for one in ways if upload is None or reserved_kbits + one.kbits <= upload), None)


def usual_kbits(kbits: int, configured_kbits: int) -> int:
    """What is reserved for a channel as usual: what it costs, never below the floor, nor what is configured for it."""
    return max(kbits, configured_kbits, FLOOR_KBITS)


def degraded_kbits(kbits: int, configured_kbits: int) -> int:
    """What is reserved for one that was made cheaper: what it costs, and what the configuration has above the floor (a tunnel)."""
    return kbits + max(0, configured_kbits - FLOOR_KBITS)


def ways(costs: ChannelCosts | None, configured_kbits: int, plan: tuple[Step, ...]) -> Ways:
    """Args:
    costs: None: nothing is known of the channel but what is configured.
    """
    known = costs or ChannelCosts(kbits=0)
    usual = Way(usual_kbits(known.kbits, configured_kbits), known.shape)
    around: tuple[list[Way], list[Way]] = ([], [])
    for step in plan:
        cost = known.degraded.get(SAVINGS[step]) if step in SAVINGS else None
        if cost is not None:
            way = Way(degraded_kbits(cost.kbits, configured_kbits), cost.shape, SAVINGS[step])
            if way.kbits < usual.kbits:
                around["other_leg" in plan[: plan.index(step)]].append(way)
    return Ways(usual, tuple(around[0]), tuple(around[1]), "other_leg" in plan)


def upload_of(configuration: TenantConfiguration | None, line: str) -> int | None:
    """What a line has, None when it is not limited or not configured any more."""
    if configuration is None:
        return None
    kind, _, name = line.partition(":")
    if kind == "site":
        return next((site.upload_kbits for site in configuration.sites if site.id == SiteId(name)), None)
    return next((trunk.upload_kbits for trunk in configuration.trunks if trunk.id == TrunkId(name)), None)
