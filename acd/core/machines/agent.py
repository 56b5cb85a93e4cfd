"""Agent availability, the person's wish: states as in CSTA and TAPI. Busy is derived from unfinished work, never stored here.

A wish may change at any time, during a call too: it is what holds after the call. A pair that is not in the table: IllegalTransition.
"""

from __future__ import annotations

from enum import StrEnum

from acd.core.machines.kit import Edge, to


class State(StrEnum):
    LOGGED_OFF = "logged_off"
    NOT_READY = "not_ready"
    READY = "ready"


class Input(StrEnum):
    LOG_ON = "log_on"
    LOG_OFF = "log_off"
    GO_READY = "go_ready"
    GO_NOT_READY = "go_not_ready"


class Do(StrEnum):
    RESTART_IDLE_CLOCK = "restart_idle_clock"
    """Longest idle counts from here."""
    STAY = "stay"
    """The wish to leave, if any, is taken back."""


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.LOGGED_OFF: {
        Input.LOG_ON:       to(State.NOT_READY, Do.STAY),
    },
    State.NOT_READY: {
        Input.GO_READY:     to(State.READY, Do.RESTART_IDLE_CLOCK, Do.STAY),
        Input.GO_NOT_READY: to(State.NOT_READY),
        Input.LOG_OFF:      to(State.LOGGED_OFF, Do.STAY),
    },
    State.READY: {
        Input.GO_READY:     to(State.READY, Do.STAY),  # a second click must not cost the place among the idle
        Input.GO_NOT_READY: to(State.NOT_READY),
        Input.LOG_OFF:      to(State.LOGGED_OFF, Do.STAY),
    },
}
# fmt: on

LOGGED_ON = frozenset({State.NOT_READY, State.READY})
WILLING = frozenset({State.READY})
