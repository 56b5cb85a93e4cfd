"""A room: who hears whom in one call, declared by the exchange, and how that is carried out (HOUSE.md §4; house).

| in the room                                                              | is carried out by                                            |
|--------------------------------------------------------------------------|--------------------------------------------------------------|
| two legs that hear each other and nobody else, codecs with a table        | a `Bridge`: packets are relayed                              |
| between them                                                              |                                                              |
| anything else: three and more, one way, codecs without a table            | a `Mix`: decoded, mixed and encoded once a tick              |
| two groups of which nobody hears anybody of the other                     | each by itself                                               |

A leg hears one continuous stream whatever carries it (`media.rtp.outgoing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from media.codecs.registry import CONVERSIONS
from media.legs.bridge import Bridge
from media.mix import Mix

if TYPE_CHECKING:
    from media.legs.host import Host
    from media.legs.leg import Leg

Pairs: TypeAlias = "frozenset[tuple[Leg, Leg]]"
"""(listener, speaker)."""


class Room:
    """Of one call."""

    def __init__(self, host: Host, name: str) -> None:
        self.name = name
        self.hears: Pairs = frozenset()
        self.bridges: list[Bridge] = []
        self.mixes: list[Mix] = []
        self._host = host

    @property
    def legs(self) -> set[Leg]:
        return {leg for pair in self.hears for leg in pair}

    def arrange(self, hears: Pairs, now: float) -> None:
        """Who hears whom from now on; the same again changes nothing."""
        self.hears = hears
        groups = [(legs, frozenset(pair for pair in hears if pair[0] in legs)) for legs in _groups(hears)]
        bridged = [legs for legs, pairs in groups if _is_bridged(legs, pairs)]
        mixed = [(legs, pairs) for legs, pairs in groups if not _is_bridged(legs, pairs)]
        # What ends ends first, so that nobody is in two of them at once.
        kept = [bridge for bridge in self.bridges if frozenset(bridge.legs) in bridged]
        for bridge in self.bridges:
            if bridge not in kept:
                bridge.end(now)
        going = self._match(mixed)
        for mix in self.mixes:
            if mix not in going:
                mix.end()
        for mix, (_, pairs) in zip(going, mixed, strict=True):
            mix.arrange(pairs, now)
        known = [frozenset(bridge.legs) for bridge in kept]
        self.bridges = kept + [_bridge(legs, now) for legs in bridged if legs not in known]
        self.mixes = going

    def _match(self, mixed: list[tuple[frozenset[Leg], Pairs]]) -> list[Mix]:
        """For each group the mix that has most of it already, so that its members are heard on without a break; else a new one."""
        free = list(self.mixes)
        found: list[Mix] = []
        for legs, _ in mixed:
            best = max(free, key=lambda mix: len(mix.legs & legs), default=None)
            if best is not None and best.legs & legs:
                free.remove(best)
                found.append(best)
            else:
                found.append(Mix(self._host, f"room={self.name}"))
        return found

    def fit(self, now: float) -> None:
        """One of them was described anew: another codec, another packet time."""
        self.arrange(self.hears, now)
        for bridge in self.bridges:
            bridge.fit()

    def leave(self, leg: Leg, now: float) -> None:
        """It hears nobody and is not heard."""
        self.arrange(frozenset(pair for pair in self.hears if leg not in pair), now)


def _groups(hears: Pairs) -> list[frozenset[Leg]]:
    """Legs between whom there is any way of hearing."""
    groups: list[set[Leg]] = []
    for listener, speaker in sorted(hears, key=lambda pair: (pair[0].name, pair[1].name)):
        touched = [group for group in groups if listener in group or speaker in group]
        groups = [group for group in groups if group not in touched]
        groups.append({listener, speaker}.union(*touched))
    return [frozenset(group) for group in groups]


def _bridge(legs: frozenset[Leg], now: float) -> Bridge:
    a, b = sorted(legs, key=lambda leg: leg.name)
    return Bridge(a, b, now)


def _is_bridged(legs: frozenset[Leg], pairs: Pairs) -> bool:
    if len(legs) != 2 or len(pairs) != 2:
        return False
    a, b = legs
    return (a.codec, b.codec) in CONVERSIONS and (b.codec, a.codec) in CONVERSIONS
