"""Why a conversation ended, and what it was to who looks at many of them (docs/figures.md §6; house).

The words are the core's (`acd.core.causes`); a test proves that each of them has its outcome here, and that no other has.
"""

from __future__ import annotations

from typing import Final, Literal

Outcome = Literal["answered", "abandoned", "overflowed", "busy", "no_answer", "rejected", "failed", "cut"]

RESTART: Final = "restart"
"""Cause of what a crash has ended, on conversations, legs and segments; records of 0.1.0 say `cut` there too."""
# fmt: off
OUTCOMES: Final[dict[str, Outcome]] = {  # of a conversation in which nobody talked
    "abandoned": "abandoned", "hang_up": "abandoned", "cancelled": "abandoned", "exit_key": "abandoned", "transferred": "abandoned",
    "feature_code": "overflowed",  # as a number that leads to an announcement
    "announced": "overflowed", "closed": "overflowed", "let_go": "overflowed", "queue_removed": "overflowed",
    "busy": "busy", "forwarded": "no_answer",
    "no_answer": "no_answer", "unregistered": "no_answer", "answered_elsewhere": "no_answer",
    "rejected": "rejected", "declined": "rejected", "not_allowed": "rejected", "no_bandwidth": "rejected", "price_refused": "rejected",
    "budget": "rejected", "forbidden": "rejected",
    "supervisor": "rejected", "time_limit": "rejected", "shutdown": "rejected",
    "redirected": "no_answer",
    "not_found": "failed", "incomplete": "failed",
    "unreachable": "failed", "congestion": "failed", "unsupported_media": "failed", "routing_loop": "failed",
    "timeout": "failed", "media_silent": "failed", "transport": "failed", "page_lost": "failed",
    "error": "failed", "journal_stopped": "failed",
    "restart": "cut",
}
# fmt: on
CUTS: Final = frozenset(cause for cause, outcome in OUTCOMES.items() if outcome == "cut")
"""The causes of what a crash has ended: `cut` is then the outcome, also if somebody had talked."""


def outcome_of(cause: str, *, talked: bool) -> Outcome:
    """What a conversation was that ended with `cause`."""
    if cause in CUTS:
        return "cut"
    return "answered" if talked else OUTCOMES.get(cause, "failed")
