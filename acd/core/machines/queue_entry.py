"""Queue entry, one stay of a contact in one queue: mod_callcenter's `member`, cleaned.

It keeps its place while it is offered. A pair that is not in the table cannot come about: the exchange decides all of these inputs itself.
"""

from __future__ import annotations

from enum import StrEnum

from acd.core.machines.kit import Edge, to


class State(StrEnum):
    WAITING = "waiting"
    ASKED = "asked"
    """Somebody could have it, whose page is asked first whether it is there (`acd.core.steps.asking`)."""
    OFFERED = "offered"
    ANSWERED = "answered"
    ABANDONED = "abandoned"
    OVERFLOWED = "overflowed"
    EXPIRED = "expired"


class Input(StrEnum):
    ASKED = "asked"
    OFFERED = "offered"
    RETURNED = "returned"
    """Nobody took the offer, or what was asked is known: it waits on, at its old place."""
    ANSWERED = "answered"
    ABANDONED = "abandoned"
    OVERFLOWED = "overflowed"
    EXPIRED = "expired"
    """Its stay ended otherwise: exit key, closed queue, queue or call withdrawn."""


class Do(StrEnum):
    STOP_WAIT_LIMIT = "stop_wait_limit"
    """Who is being offered does not overflow."""
    RESUME_WAIT_LIMIT = "resume_wait_limit"
    STAND_IN_LINE = "stand_in_line"
    STEP_OUT_OF_LINE = "step_out_of_line"
    LEAVE = "leave"


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.WAITING: {
        Input.ASKED:      to(State.ASKED, Do.STEP_OUT_OF_LINE),
        Input.OFFERED:    to(State.OFFERED, Do.STEP_OUT_OF_LINE, Do.STOP_WAIT_LIMIT),
        Input.ABANDONED:  to(State.ABANDONED, Do.STEP_OUT_OF_LINE, Do.LEAVE),
        Input.OVERFLOWED: to(State.OVERFLOWED, Do.STEP_OUT_OF_LINE, Do.LEAVE),
        Input.EXPIRED:    to(State.EXPIRED, Do.STEP_OUT_OF_LINE, Do.LEAVE),
    },
    State.ASKED: {  # its limits run on: it waits, and for less than a second
        Input.RETURNED:   to(State.WAITING, Do.STAND_IN_LINE),
        Input.ABANDONED:  to(State.ABANDONED, Do.LEAVE),
        Input.OVERFLOWED: to(State.OVERFLOWED, Do.LEAVE),
        Input.EXPIRED:    to(State.EXPIRED, Do.LEAVE),
    },
    State.OFFERED: {
        Input.RETURNED:   to(State.WAITING, Do.STAND_IN_LINE, Do.RESUME_WAIT_LIMIT),
        Input.ANSWERED:   to(State.ANSWERED, Do.LEAVE),
        Input.ABANDONED:  to(State.ABANDONED, Do.LEAVE),
        Input.EXPIRED:    to(State.EXPIRED, Do.LEAVE),
    },
    State.ANSWERED: {},
    State.ABANDONED: {},
    State.OVERFLOWED: {},
    State.EXPIRED: {},
}
# fmt: on
