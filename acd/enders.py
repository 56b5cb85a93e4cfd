"""Who ended a conversation, by its cause (docs/figures.md §5; house).

One rule for every cause, read by the ledger; a test proves that the table has each word of `acd.core.causes` and no other.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Ender(StrEnum):
    """Where to look for who it was."""

    CRASH = "crash"
    SUPERVISOR = "supervisor"
    SERVED = "served"
    """Whoever was served left by a key."""
    WENT_FIRST = "went_first"
    """Whose leg went first at that instant, by itself or by hand; nobody's: we ourselves."""
    HUNG_UP = "hung_up"
    """As `WENT_FIRST`, but nobody's: what sent the served leg there, since 0.1.0 said `hang_up` of a rule that ends the call."""
    REFUSED = "refused"
    """Who refused the last attempt to reach somebody; nobody did: we ourselves, since it was known before anything rang."""
    RULE = "rule"
    """What sent the served leg to its end."""
    EXCHANGE = "exchange"
    """We ourselves: a line was found dead, nobody was there, there was no way on, or a limit was reached."""


# fmt: off
ENDED_BY: Final[dict[str, Ender]] = {
    "restart": Ender.CRASH,
    "supervisor": Ender.SUPERVISOR,
    "exit_key": Ender.SERVED,
    "hang_up": Ender.HUNG_UP,
    **dict.fromkeys(("abandoned", "cancelled"), Ender.WENT_FIRST),
    **dict.fromkeys(("timeout", "media_silent", "transport", "page_lost"), Ender.EXCHANGE),  # nobody hung up: we did, since a line was dead
    **dict.fromkeys(("busy", "rejected", "declined", "forbidden", "forwarded", "redirected"), Ender.REFUSED),
    **dict.fromkeys(("announced", "closed", "let_go", "feature_code"), Ender.RULE),
    **dict.fromkeys(("no_answer", "unregistered", "not_found", "incomplete"), Ender.EXCHANGE),
    **dict.fromkeys(("queue_removed", "routing_loop", "not_allowed", "no_bandwidth", "price_refused", "budget", "time_limit"),
                    Ender.EXCHANGE),
    **dict.fromkeys(("unsupported_media", "congestion", "unreachable", "error", "shutdown", "journal_stopped"), Ender.EXCHANGE),
    **dict.fromkeys(("transferred", "answered_elsewhere"), Ender.EXCHANGE),  # of legs; a conversation goes on
}
# fmt: on
REFUSALS: Final = frozenset(cause for cause, ender in ENDED_BY.items() if ender is Ender.REFUSED)
