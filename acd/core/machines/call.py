"""Call (contact), one conversation from first leg to last: states after CSTA (ECMA-269) call events.

A pair that is not in the table: a desk command raises IllegalTransition.

While somebody consults, whoever is asked may ring, wait, be announced to or talk: the call is CONSULTING all the while, and what becomes of
it says how it goes on (`acd.core.steps.consultation`).
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
    CONSULTING = "consulting"
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
    CONSULTED = "consulted"
    """A party holds the others and asks somebody."""
    RECONNECTED = "reconnected"
    """The consultation is over, and those who are left are in conversation."""
    HANDED_ON = "handed_on"
    """The consultation is over before anybody took its call, and who was held waits for that."""
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
        Input.CONSULTED:   to(State.CONSULTING),
        Input.CLEARED:     to(State.CLEARED),
    },
    State.HELD: {
        Input.HELD:        to(State.HELD),
        Input.RETRIEVED:   to(State.ESTABLISHED),
        Input.TRANSFERRED: to(State.OFFERED),
        Input.CONSULTED:   to(State.CONSULTING),
        Input.CLEARED:     to(State.CLEARED),
    },
    State.CONSULTING: {
        Input.TREATED:     to(State.CONSULTING, Do.STOP_QUEUE_SOUNDS),
        Input.QUEUED:      to(State.CONSULTING, Do.STOP_QUEUE_SOUNDS),
        Input.RETURNED:    to(State.CONSULTING),
        Input.DELIVERED:   to(State.CONSULTING),
        Input.ESTABLISHED: to(State.CONSULTING, Do.STOP_QUEUE_SOUNDS),
        Input.RECONNECTED: to(State.ESTABLISHED, Do.STOP_QUEUE_SOUNDS),
        Input.HANDED_ON:   to(State.OFFERED),  # and from there to where the call of who consulted stands
        Input.CLEARED:     to(State.CLEARED, Do.STOP_QUEUE_SOUNDS),
    },
    State.CLEARED: {},
}
# fmt: on

TALKING = frozenset({State.ESTABLISHED, State.HELD})
"""Two parties or more are in conversation, be one of them on hold."""
