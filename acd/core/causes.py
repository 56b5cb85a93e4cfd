"""The one vocabulary of why a leg or a conversation ended, with how it is said to whoever still waits and to carriers (docs/figures.md §6).

Statuses after RFC 3261 §21, numbers of ITU-T Q.850 after RFC 3398 §7.2.4 and §8.2.6. What a cause means to reports stands in
`billing_cdr.causes`; a test proves that both tables and everything that is said in the core know the same words.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Cause(NamedTuple):
    """A row of the table."""

    status: int
    """Final response for a caller who was not answered yet."""
    text: str
    q850: int
    retry_after_s: int | None = None


# fmt: off
CAUSES: Final[dict[str, Cause]] = {
    # somebody ended it
    "hang_up":            Cause(480, "The call was ended.", 16),
    "abandoned":          Cause(487, "The caller hung up.", 16),
    "cancelled":          Cause(487, "The caller hung up.", 16),
    "transferred":        Cause(480, "The call was transferred.", 16),
    "feature_code":       Cause(480, "What the code is for was done.", 16),
    "exit_key":           Cause(480, "The caller left the queue.", 16),
    "supervisor":         Cause(480, "The call was ended by a supervisor.", 16),
    # the called party
    "busy":               Cause(486, "The called party is busy.", 17),
    "no_answer":          Cause(480, "The called party does not answer.", 19),
    "rejected":           Cause(603, "The called party declined.", 21),
    "declined":           Cause(603, "The called party declined.", 21),
    "answered_elsewhere": Cause(480, "Somebody else answered.", 26),
    "forwarded":          Cause(480, "The called device sends its calls elsewhere.", 23),
    "unregistered":       Cause(480, "The called device is not registered.", 20),
    "not_found":          Cause(404, "The number does not exist here.", 1),
    "incomplete":         Cause(484, "The number is not complete.", 28),
    "forbidden":          Cause(403, "The far end does not allow this call.", 21),
    "redirected":         Cause(480, "The called party is elsewhere.", 31),
    # a rule
    "closed":             Cause(480, "Closed.", 31),
    "announced":          Cause(480, "The call ended with an announcement.", 31),
    "let_go":             Cause(486, "A rule ends the call.", 17),
    "queue_removed":      Cause(480, "The queue is not there any more.", 31),
    "routing_loop":       Cause(482, "The configuration sends this call in circles.", 25),
    "not_allowed":        Cause(403, "This is not allowed.", 21),
    "no_bandwidth":       Cause(503, "There is no bandwidth left.", 47, 10),
    "price_refused":      Cause(403, "No price is known for the number, so it is not called.", 21),
    "budget":             Cause(603, "The budget is used up.", 21),
    "time_limit":         Cause(480, "The call has reached its longest duration.", 16),
    # a fault
    "unsupported_media":  Cause(488, "The media offered cannot be used.", 65),
    "congestion":         Cause(503, "The destination cannot be reached.", 42, 10),
    "unreachable":        Cause(503, "The destination cannot be reached.", 27, 10),
    "timeout":            Cause(480, "The line gives no sign of life.", 102),
    "media_silent":       Cause(480, "Nothing was heard on the line.", 41),
    "transport":          Cause(503, "The connection was lost.", 38, 10),
    "error":              Cause(500, "The call could not be set up.", 41),
    # ourselves
    "shutdown":           Cause(503, "The exchange is shutting down.", 41, 30),
    "restart":            Cause(503, "The exchange has started anew.", 41, 10),
    "journal_stopped":    Cause(503, "The exchange cannot take calls.", 41, 30),
}
# fmt: on
