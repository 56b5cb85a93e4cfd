"""Forwards that go round outside: a number whose target, at a carrier, leads back to it (pure).

What leads from one of our numbers to another stays inside, where `queueing.MAX_HOPS` ends a circle. Out of our sight only Max-Forwards
(RFC 3261 §16.3) counts, and carriers that are back-to-back user agents begin it anew. But each round stands here as one more forward of
the same number, to the same number, for the same caller, that nobody has answered yet; honest callers come one at a time.
"""

from __future__ import annotations

from typing import Final

from acd.core.state import values as s
from acd.core.steps.step import Step

SAME_FORWARDS: Final = 10
"""Of one caller, unanswered at once: a redial while the first call still rings makes two, a company that shows its main number a few."""
WITHHELD_FORWARDS: Final = 30
"""Of callers without a number, who may be as many people."""


def rounds_of(x: Step, call: s.Call, number: str) -> list[s.Call] | None:
    """The calls of a loop that one more forward of `call` to `number` would prolong; None while nothing speaks of one.

    Once there is one, every call that is being forwarded that way belongs to it: the first round still shows its caller, the others may
    show the number that forwarded.
    """
    called = call.number or call.called
    alike = [
        one
        for one in x.state.calls.values()
        if one.forward is not None  # it goes when somebody answers
        and one.forward.number == number
        and (one.number or one.called) == called
    ]
    most = SAME_FORWARDS if call.calling is not None else WITHHELD_FORWARDS
    return alike if sum(one.calling == call.calling for one in alike) >= most else None
