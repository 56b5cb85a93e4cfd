"""Callbacks: a place in the queue without anybody on the line. Somebody wants to be called instead of waiting by the telephone.

Properties, kept by the score alone (`acd.core.state.score`): nobody is overtaken. Who would be called back and who waits on the line stand
in one order, by when they came (`OpenContact.since`) and the advantage of the queue; neither kind is before the other.

Waiting: the place is kept, in and out of hours. Reached: it is on the screen of an agent whose phone can be rung. Withdrawn: it is not
there any more. Taken: the agent has it, and dials when it likes (`Dial` is allowed beside it), until it says that it is done
(`CloseContact`).
"""

from __future__ import annotations

from acd.core.channels.desk_only import DeskOnly
from acd.core.state import values as s
from acd.core.steps.step import Step


class Callback(DeskOnly):
    """A call that we owe."""

    def can_reach(self, x: Step, agent: s.Agent) -> bool:
        """Who could not call back is not asked."""
        return x.fold.is_reachable(agent)
