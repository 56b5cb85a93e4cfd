"""The one vocabulary of why a leg or a conversation ended: a word and a sentence each (docs/figures.md §6).

How a cause is said to phones and carriers stands in `acd.switch.causes`, what it means to reports in `billing_cdr.causes`, who ended a
conversation by it in `acd.enders`; a test proves that all of them and everything that is said in the core know the same words.
"""

from __future__ import annotations

from typing import Final

# fmt: off
CAUSES: Final[dict[str, str]] = {
    # somebody ended it
    "hang_up":            "The call was ended.",
    "abandoned":          "The caller hung up.",
    "cancelled":          "The caller hung up.",
    "transferred":        "The call was transferred.",
    "feature_code":       "What the code is for was done.",
    "exit_key":           "The caller left the queue.",
    "supervisor":         "The call was ended by a supervisor.",
    # the called party
    "busy":               "The called party is busy.",
    "no_answer":          "The called party does not answer.",
    "rejected":           "The called party declined.",
    "declined":           "The called party declined.",
    "answered_elsewhere": "Somebody else answered.",
    "forwarded":          "The called device sends its calls elsewhere.",
    "unregistered":       "The called device is not registered.",
    "not_found":          "The number does not exist here.",
    "incomplete":         "The number is not complete.",
    "forbidden":          "The far end does not allow this call.",
    "redirected":         "The called party is elsewhere.",
    # a rule
    "closed":             "Closed.",
    "announced":          "The call ended with an announcement.",
    "let_go":             "A rule ends the call.",
    "queue_removed":      "The queue is not there any more.",
    "routing_loop":       "The configuration sends this call in circles.",
    "not_allowed":        "This is not allowed.",
    "no_bandwidth":       "There is no bandwidth left.",
    "price_refused":      "No price is known for the number, so it is not called.",
    "budget":             "The budget is used up.",
    "time_limit":         "The call has reached its longest duration.",
    # a fault
    "unsupported_media":  "The media offered cannot be used.",
    "congestion":         "The destination cannot be reached.",
    "unreachable":        "The destination cannot be reached.",
    "timeout":            "The line gives no sign of life.",
    "media_silent":       "Nothing was heard on the line.",
    "transport":          "The connection was lost.",
    "page_lost":          "The page of the person spoken with was lost.",
    "error":              "The call could not be set up.",
    # ourselves
    "shutdown":           "The exchange is shutting down.",
    "restart":            "The exchange has started anew.",
    "journal_stopped":    "The exchange cannot take calls.",
}
# fmt: on


def sentence(cause: str) -> str:
    """What the cause says to whoever still waits; of a word that is none, that of a fault."""
    return CAUSES.get(cause, CAUSES["error"])
