"""SIP statuses and the words of the core for the same thing: RFC 3261 §21, RFC 3326 (Reason), after RFC 3398 §8 for causes."""

from __future__ import annotations

from acd.core.causes import CAUSES
from acd.core.clearing import refusal
from acd.core.inputs import FailureCause
from sip.grammar import quote

BUSY = {486, 600}
REJECTED = {403, 603, 607, 608, 433}
NO_ANSWER = {408, 480, 487}
NOT_FOUND = {404, 410, 484, 485, 604, 416}
CONGESTION = {500, 503, 580}
UNSUPPORTED_MEDIA = {415, 488, 606}
UNREACHABLE = {502, 504, 513}
LOOP = {482, 483}
"""RFC 3261 §21.4.19, .20: another trunk would be one more way round."""

_TABLE: tuple[tuple[set[int], FailureCause], ...] = (
    (BUSY, "busy"),
    (REJECTED, "rejected"),
    (NO_ANSWER, "no_answer"),
    (NOT_FOUND, "not_found"),
    (CONGESTION, "congestion"),
    (UNSUPPORTED_MEDIA, "unsupported_media"),
    (UNREACHABLE, "unreachable"),
    (LOOP, "routing_loop"),
)


def failure_cause(status: int) -> FailureCause:
    """What a final status of our INVITE means for the core; `error` for the rest."""
    for statuses, cause in _TABLE:
        if status in statuses:
            return cause
    return "error"


def device_cause(status: int) -> FailureCause:
    """The same for a phone: one that redirects sends its calls elsewhere, by somebody's wish."""
    return "forwarded" if 300 <= status < 400 else failure_cause(status)


def worst_of(statuses: list[int]) -> int:
    """The status that speaks for a leg whose every contact failed: the best response of RFC 3261 §16.7 step 6.

    6xx before all, then the lowest class, in it the one that says most (busy before timeout).
    """
    return min(statuses, key=lambda status: (status < 600, status // 100, status not in BUSY, status in NO_ANSWER, status))


Q850_TEXTS = {
    16: "Normal call clearing", 17: "User busy", 19: "No answer from user", 21: "Call rejected", 26: "Call completed elsewhere",
    41: "Temporary failure",
}  # fmt: skip
TOLD = frozenset(
    {"answered_elsewhere", "busy", "no_answer", "budget", "not_allowed", "price_refused", "time_limit", "restart", "journal_stopped"}
)
"""Causes that a CANCEL, BYE or refusal names. ITU-T Q.850, class "resource unavailable", says of a restart: the network does not work as it
should, it will not last, another attempt may succeed at once; RFC 3398 §7.2.4.1 has it for 503. RFC 4411's "Preemption" would say that
another call took the resource, which none did."""


def release_status(cause: str) -> int:
    """The final status for a caller who was not answered and whose leg is released with this cause."""
    return refusal(cause).status


def ended_all(status: int, text: str) -> str:
    """The Reason for a phone that stops ringing since another of the same person has refused for all (RFC 3326 §2)."""
    return f"SIP;cause={status};text={quote(text)}"


def reason_header(cause: str) -> str | None:
    """A Reason header for CANCEL and BYE (RFC 3326 §2) and for a refusal (RFC 6432), so that a phone shows no missed call when a
    colleague took it, and a carrier knows a restart from a hang-up.
    """
    if cause == "answered_elsewhere":
        return 'SIP;cause=200;text="Call completed elsewhere"'
    if cause in TOLD:
        number = CAUSES[cause].q850
        return f'Q.850;cause={number};text="{Q850_TEXTS[number]}"'
    return None
