"""Queue: OPEN, CLOSED by its hours, OVERFLOWING when as many wait as its length limit allows (house).

Who waits when the hours end is still served. A pair that is not in the table means that nothing changes.
"""

from __future__ import annotations

from enum import StrEnum

from acd.core.machines.kit import Edge, to


class State(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    OVERFLOWING = "overflowing"


class Input(StrEnum):
    HOURS_BEGAN = "hours_began"
    HOURS_ENDED = "hours_ended"
    FILLED = "filled"
    DRAINED = "drained"


class Do(StrEnum):
    SET_NEXT_CHANGE = "set_next_change"


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.OPEN: {
        Input.HOURS_ENDED: to(State.CLOSED, Do.SET_NEXT_CHANGE),
        Input.FILLED:      to(State.OVERFLOWING),
    },
    State.CLOSED: {
        Input.HOURS_BEGAN: to(State.OPEN, Do.SET_NEXT_CHANGE),
    },
    State.OVERFLOWING: {
        Input.HOURS_ENDED: to(State.CLOSED, Do.SET_NEXT_CHANGE),
        Input.DRAINED:     to(State.OPEN),
    },
}
# fmt: on

SHUT = frozenset({State.CLOSED})
"""No call is let in; what waits in silence is (`Channel.waits_when_closed`)."""
