"""How long a call may last, whatever sets an end to it, and when whoever is on our side of it is told (pure; house).

A leg has an end for each cause that sets one: `time_limit` of a number that is cut (0900: 60 minutes, § 113 TKG), `budget` where nobody
pays for more. The earliest holds. The end is an instant of the state: it is set, moved and lifted while an event is folded (`Fold.limit`),
so a replay has the same.
"""

from __future__ import annotations

from typing import Final

from acd.core.state import values as s

WARNINGS_S: Final = (30.0, 10.0)
"""So long before the end the party hears a warning tone: 30 s as in mobile networks (3GPP TS 23.078 §4.5.7.1.2), and once more at 10 s."""
TIME_LIMIT: Final = "time_limit"
BUDGET: Final = "budget"


def end_of(leg: s.Leg) -> tuple[float, str] | None:
    """When the leg is to end and for which cause; of two at one instant the first by name. None: it may last."""
    return min(((at, cause) for cause, at in leg.limits.items()), default=None)


def next_warning(leg: s.Leg, now: float) -> float | None:
    """The first warning that is still to come."""
    end = end_of(leg)
    return None if end is None else min((end[0] - before for before in WARNINGS_S if end[0] - before > now), default=None)
