"""States of a job, when it is tried again, what may stand in its last error. Pure; house machine.

A pair that is missing from the table cannot happen to a row: whoever wants it has lost the row to somebody else, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from acd.wire_text import fit


class State(StrEnum):
    """Of a row; one that is done is there no more."""

    WAITING = "waiting"
    """For its time, or for those before it in its line."""
    RUNNING = "running"
    """Somebody has it until its lease ends."""
    DEAD = "dead"
    """It was tried as often as it may be, or can never succeed; somebody must look."""
    DONE = "done"


class Input(StrEnum):
    CLAIMED = "claimed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """It may be tried again."""
    PUT_BACK = "put_back"
    """It could not begin."""
    GIVEN_UP = "given_up"
    LEASE_ENDED = "lease_ended"
    """The process that had it was killed, or hangs."""
    TRIED_AGAIN = "tried_again"
    """By somebody who has looked."""
    DROPPED = "dropped"


TRANSITIONS: dict[State, dict[Input, State]] = {
    State.WAITING: {Input.CLAIMED: State.RUNNING},
    State.RUNNING: {
        Input.SUCCEEDED: State.DONE,
        Input.FAILED: State.WAITING,
        Input.PUT_BACK: State.WAITING,
        Input.GIVEN_UP: State.DEAD,
        Input.LEASE_ENDED: State.WAITING,
    },
    State.DEAD: {Input.TRIED_AGAIN: State.WAITING, Input.DROPPED: State.DONE},
    State.DONE: {},
}
Became = Literal["done", "waiting", "dead"]
"""What a try has made of a job."""

JITTER = 0.1
"""Jobs that failed together do not all come back together."""


@dataclass(frozen=True, slots=True)
class Retry:
    """After which try how long is waited, in seconds; after the last a job is dead."""

    delays_s: tuple[float, ...]

    def after(self, attempts: int, chance: float) -> float | None:
        """Seconds from the failure of the `attempts`-th try to the next; None: there is none.

        Args:
            chance: drawn by the shell, from 0 up to 1: up to a tenth longer.
        """
        if attempts > len(self.delays_s):
            return None
        return self.delays_s[attempts - 1] * (1 + JITTER * chance)

    @property
    def most(self) -> int:
        """Tries altogether."""
        return len(self.delays_s) + 1


RETRY = Retry((5, 30, 120, 600, 3600, 14_400))
"""Six tries within five hours: a server that is restarted, a network that is mended, a disk that is cleared."""

MOST_ERROR = 500
"""Letters of an error that are kept."""


def error_text(text: str) -> str:
    """One line of bounded length: foreign texts stand in it."""
    return fit(" ".join(text.split()), MOST_ERROR)


def next_run(now: datetime, every_s: float) -> datetime:
    """When a job that comes again and again comes next."""
    return now + timedelta(seconds=every_s)
