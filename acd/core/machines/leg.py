"""Leg, one party's connection: states after CSTA (ECMA-269) connection states; RFC 3261 §13 behind them.

A pair that is not in the table: a fact about the leg is stale (two messages crossed) and is dropped.
"""

from __future__ import annotations

from enum import StrEnum

from acd.core.machines.kit import Edge, to


class State(StrEnum):
    INITIATED = "initiated"
    ALERTING = "alerting"
    CONNECTED = "connected"
    HELD = "held"
    """By its person at the desk."""
    HELD_BY_PHONE = "held_by_phone"
    HELD_BY_BOTH = "held_by_both"
    FAILED = "failed"
    CLEARED = "cleared"


class Input(StrEnum):
    ALERTED = "alerted"
    CONNECTED = "connected"
    HELD = "held"
    RETRIEVED = "retrieved"
    HELD_BY_PHONE = "held_by_phone"
    RETRIEVED_BY_PHONE = "retrieved_by_phone"
    FAILED = "failed"
    CLEARED = "cleared"


class Do(StrEnum):
    STOP_ANSWER_TIMER = "stop_answer_timer"


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.INITIATED: {
        Input.ALERTED:   to(State.ALERTING),
        Input.CONNECTED: to(State.CONNECTED, Do.STOP_ANSWER_TIMER),
        Input.FAILED:    to(State.FAILED, Do.STOP_ANSWER_TIMER),
        Input.CLEARED:   to(State.CLEARED, Do.STOP_ANSWER_TIMER),
    },
    State.ALERTING: {
        Input.CONNECTED: to(State.CONNECTED, Do.STOP_ANSWER_TIMER),
        Input.FAILED:    to(State.FAILED, Do.STOP_ANSWER_TIMER),
        Input.CLEARED:   to(State.CLEARED, Do.STOP_ANSWER_TIMER),
    },
    State.CONNECTED: {
        Input.HELD:               to(State.HELD),
        Input.HELD_BY_PHONE:      to(State.HELD_BY_PHONE),
        Input.CLEARED:            to(State.CLEARED),
    },
    State.HELD: {
        Input.RETRIEVED:          to(State.CONNECTED),
        Input.HELD_BY_PHONE:      to(State.HELD_BY_BOTH),
        Input.CLEARED:            to(State.CLEARED),
    },
    State.HELD_BY_PHONE: {
        Input.HELD:               to(State.HELD_BY_BOTH),
        Input.RETRIEVED_BY_PHONE: to(State.CONNECTED),
        Input.CLEARED:            to(State.CLEARED),
    },
    State.HELD_BY_BOTH: {
        Input.RETRIEVED:          to(State.HELD_BY_PHONE),
        Input.RETRIEVED_BY_PHONE: to(State.HELD),
        Input.CLEARED:            to(State.CLEARED),
    },
    State.FAILED: {},
    State.CLEARED: {},
}
# fmt: on

ON_HOLD = frozenset({State.HELD, State.HELD_BY_PHONE, State.HELD_BY_BOTH})
"""The party holds, at the desk or by its phone: it is not there until both are over."""
ANSWERED = ON_HOLD | {State.CONNECTED}
"""The party is on the line."""
