"""Work, one contact at one agent: after OpenACD's `agent_channel`. How much of it an agent can have at once: `acd.core.state.capacity`.

A pair that is not in the table: a desk command raises IllegalTransition.
"""

from __future__ import annotations

from enum import StrEnum

from acd.core.machines.kit import Edge, to


class State(StrEnum):
    RESERVED = "reserved"
    ALERTING = "alerting"
    CONNECTED = "connected"
    HELD = "held"
    AFTER_CALL_WORK = "after_call_work"
    DONE = "done"


class Input(StrEnum):
    ALERTED = "alerted"
    CONNECTED = "connected"
    HELD = "held"
    RETRIEVED = "retrieved"
    CALL_ENDED = "call_ended"
    DONE = "done"


class Do(StrEnum):
    START_AFTER_CALL_WORK = "start_after_call_work"
    STOP_AFTER_CALL_WORK = "stop_after_call_work"


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.RESERVED: {
        Input.ALERTED:    to(State.ALERTING),
        Input.CONNECTED:  to(State.CONNECTED),
        Input.DONE:       to(State.DONE),
    },
    State.ALERTING: {
        Input.CONNECTED:  to(State.CONNECTED),
        Input.DONE:       to(State.DONE),
    },
    State.CONNECTED: {
        Input.HELD:       to(State.HELD),
        Input.CALL_ENDED: to(State.AFTER_CALL_WORK, Do.START_AFTER_CALL_WORK),
        Input.DONE:       to(State.DONE),
    },
    State.HELD: {
        Input.RETRIEVED:  to(State.CONNECTED),
        Input.CALL_ENDED: to(State.AFTER_CALL_WORK, Do.START_AFTER_CALL_WORK),
        Input.DONE:       to(State.DONE),
    },
    State.AFTER_CALL_WORK: {
        Input.DONE:       to(State.DONE, Do.STOP_AFTER_CALL_WORK),
    },
    State.DONE: {},
}
# fmt: on

RINGING = frozenset({State.RESERVED, State.ALERTING})
TALKING = frozenset({State.CONNECTED, State.HELD})
WRAPPING = frozenset({State.AFTER_CALL_WORK})
ON_THE_LINE = RINGING | TALKING
