"""Call (contact), one conversation from first leg to last: states after CSTA (ECMA-269) call events.

A pair that is not in the table: a desk command raises IllegalTransition. Consultation is not in it yet: attended transfer will
bring the state CONSULTING together with its edges.
"""

from __future__ import annotations

from enum import StrEnum

from acd.core.machines.kit import Edge, to


class State(StrEnum):
    OFFERED = "offered"
    TREATMENT = "treatment"
    QUEUED = "queued"
    ALERTING = "alerting"
    ESTABLISHED = "established"
    HELD = "held"
    CLEARED = "cleared"


class Input(StrEnum):
    TREATED = "treated"
    """A menu or an announcement speaks."""
    QUEUED = "queued"
    """It waits, new in a queue."""
    RETURNED = "returned"
    """It waits on, after an offer that nobody took."""
    DELIVERED = "delivered"
    """Somebody's phone is being rung."""
    ESTABLISHED = "established"
    HELD = "held"
    RETRIEVED = "retrieved"
    TRANSFERRED = "transferred"
    CLEARED = "cleared"


class Do(StrEnum):
    STOP_QUEUE_SOUNDS = "stop_queue_sounds"


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.OFFERED: {
        Input.TREATED:     to(State.TREATMENT),
        Input.QUEUED:      to(State.QUEUED),
        Input.DELIVERED:   to(State.ALERTING),
        Input.ESTABLISHED: to(State.ESTABLISHED),  # back at the phone that asked for a transfer, whose target was busy at once
        Input.CLEARED:     to(State.CLEARED),
    },
    State.TREATMENT: {
        Input.TREATED:     to(State.TREATMENT),
        Input.QUEUED:      to(State.QUEUED),
        Input.DELIVERED:   to(State.ALERTING),
        Input.CLEARED:     to(State.CLEARED),
    },
    State.QUEUED: {
        Input.TREATED:     to(State.TREATMENT, Do.STOP_QUEUE_SOUNDS),
        Input.QUEUED:      to(State.QUEUED, Do.STOP_QUEUE_SOUNDS),
        Input.DELIVERED:   to(State.ALERTING),
        Input.ESTABLISHED: to(State.ESTABLISHED, Do.STOP_QUEUE_SOUNDS),  # as above: the queue is closed and sends nobody anywhere
        Input.CLEARED:     to(State.CLEARED, Do.STOP_QUEUE_SOUNDS),
    },
    State.ALERTING: {
        Input.TREATED:     to(State.TREATMENT, Do.STOP_QUEUE_SOUNDS),
        Input.QUEUED:      to(State.QUEUED, Do.STOP_QUEUE_SOUNDS),
        Input.RETURNED:    to(State.QUEUED),
        Input.DELIVERED:   to(State.ALERTING),
        Input.ESTABLISHED: to(State.ESTABLISHED, Do.STOP_QUEUE_SOUNDS),
        Input.CLEARED:     to(State.CLEARED, Do.STOP_QUEUE_SOUNDS),
    },
    State.ESTABLISHED: {
        Input.HELD:        to(State.HELD),
        Input.TRANSFERRED: to(State.OFFERED),
        Input.CLEARED:     to(State.CLEARED),
    },
    State.HELD: {
        Input.HELD:        to(State.HELD),
        Input.RETRIEVED:   to(State.ESTABLISHED),
        Input.TRANSFERRED: to(State.OFFERED),
        Input.CLEARED:     to(State.CLEARED),
    },
    State.CLEARED: {},
}
# fmt: on

TALKING = frozenset({State.ESTABLISHED, State.HELD})
"""Two parties are in conversation, be one of them on hold."""
