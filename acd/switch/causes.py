"""How the causes of the core are said by SIP, and what is heard by SIP means to the core: RFC 3261 §21, RFC 3326 and RFC 6432, RFC 3398."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from acd.core.inputs import FailureCause
from sip.errors import ParseError
from sip.grammar import quote
from sip.headers.reason import Reason, parse_reasons
from sip.status import reason_phrase


class Telling(NamedTuple):
    """How a cause is said."""

    status: int
    """Final response for a caller who was not answered yet (RFC 3261 §21)."""
    q850: int
    """Cause of ITU-T Q.850, after RFC 3398 §7.2.4 and §8.2.6."""
    retry_after_s: int | None = None


# fmt: off
TELLINGS: Final[dict[str, Telling]] = {
    # somebody ended it
    "hang_up":            Telling(480, 16),
    "abandoned":          Telling(487, 16),
    "cancelled":          Telling(487, 16),
    "transferred":        Telling(480, 16),
    "feature_code":       Telling(480, 16),
    "exit_key":           Telling(480, 16),
    "supervisor":         Telling(480, 16),
    # the called party
    "busy":               Telling(486, 17),
    "no_answer":          Telling(480, 19),
    "rejected":           Telling(603, 21),
    "declined":           Telling(603, 21),
    "answered_elsewhere": Telling(480, 26),
    "forwarded":          Telling(480, 23),
    "unregistered":       Telling(480, 20),
    "not_found":          Telling(404, 1),
    "incomplete":         Telling(484, 28),
    "forbidden":          Telling(403, 21),
    "redirected":         Telling(480, 31),
    # a rule
    "closed":             Telling(480, 31),
    "announced":          Telling(480, 31),
    "let_go":             Telling(486, 17),
    "queue_removed":      Telling(480, 31),
    "routing_loop":       Telling(482, 25),
    "not_allowed":        Telling(403, 21),
    "no_bandwidth":       Telling(503, 47, retry_after_s=10),
    "price_refused":      Telling(403, 21),
    "budget":             Telling(603, 21),
    "time_limit":         Telling(480, 16),
    # a fault
    "unsupported_media":  Telling(488, 65),
    "congestion":         Telling(503, 42, retry_after_s=10),
    "unreachable":        Telling(503, 27, retry_after_s=10),
    "timeout":            Telling(480, 102),
    "media_silent":       Telling(480, 41),
    "transport":          Telling(503, 38, retry_after_s=10),
    "page_lost":          Telling(480, 41),
    "error":              Telling(500, 41),
    # ourselves
    "shutdown":           Telling(503, 41, retry_after_s=30),
    "restart":            Telling(503, 41, retry_after_s=10),
    "journal_stopped":    Telling(503, 41, retry_after_s=30),
}
"""Every cause of `acd.core.causes`."""
# fmt: on


def telling(cause: str) -> Telling:
    """How to say it; of a word that is none, as a fault."""
    return TELLINGS.get(cause, TELLINGS["error"])


BUSY = {486, 600}
REJECTED = {603, 607, 608, 433}
FORBIDDEN = {403}
NO_ANSWER = {408, 480, 487}
NOT_FOUND = {404, 410, 485, 604, 416}
INCOMPLETE = {484}
CONGESTION = {500, 503, 580}
UNSUPPORTED_MEDIA = {415, 488, 606}
UNREACHABLE = {502, 504, 513}
LOOP = {482, 483}
"""RFC 3261 §21.4.19, .20: another trunk would be one more way round."""
REDIRECTED = set(range(300, 400))

_TABLE: tuple[tuple[set[int], FailureCause], ...] = (
    (BUSY, "busy"),
    (REJECTED, "rejected"),
    (FORBIDDEN, "forbidden"),
    (NO_ANSWER, "no_answer"),
    (NOT_FOUND, "not_found"),
    (INCOMPLETE, "incomplete"),
    (CONGESTION, "congestion"),
    (UNSUPPORTED_MEDIA, "unsupported_media"),
    (UNREACHABLE, "unreachable"),
    (LOOP, "routing_loop"),
    (REDIRECTED, "redirected"),
)

_OF_PHONES: Final[dict[FailureCause, FailureCause]] = {"forbidden": "rejected", "redirected": "forwarded"}
# fmt: off
STATUS_OF_Q850: Final[dict[int, int]] = {
    1: 404, 2: 404, 3: 404,                                  # unallocated number, no route to network, no route to destination
    17: 486, 18: 408, 19: 480, 20: 480, 21: 403, 22: 410, 23: 410, 26: 404, 27: 502, 28: 484, 29: 501, 31: 480,
    34: 503, 38: 503, 41: 503, 42: 503, 47: 503,             # class "resource unavailable"
    55: 403, 57: 403, 58: 503,                               # class "service or option not available"
    65: 488, 70: 488, 79: 501, 87: 403, 88: 503, 102: 504, 111: 500, 127: 500,
}
"""RFC 3398 §7.2.4.1: the status that stands for a cause of ITU-T Q.850. 16, normal clearing, is a BYE and says nothing of a refusal."""
VAGUE: Final = frozenset({400, 480, 487, 500, 502, 503, 504, 580})
"""Statuses that say less than a cause from the telephone network behind them does (RFC 6432 §1): many gateways answer 500 or 503 to all."""
Q850_TEXTS: Final[dict[int, str]] = {
    1: "Unallocated number", 16: "Normal call clearing", 17: "User busy", 19: "No answer from user", 20: "Subscriber absent",
    21: "Call rejected", 23: "Redirection to new destination", 25: "Exchange routing error", 26: "Non-selected user clearing",
    27: "Destination out of order", 28: "Invalid number format", 31: "Normal, unspecified", 38: "Network out of order",
    41: "Temporary failure", 42: "Switching equipment congestion", 47: "Resource unavailable", 65: "Bearer capability not implemented",
    102: "Recovery on timer expiry",
}
"""What ITU-T Q.850 calls the numbers of `TELLINGS`."""
# fmt: on


def failure_cause(status: int, *, of_phone: bool = False) -> FailureCause:
    """What a final status of our INVITE means for the core; `error` for the rest.

    Args:
        of_phone: an agent's phone says it. It does not judge who may call, as a carrier's 403 does: it declines; and one that redirects
            sends its calls elsewhere, by its person's wish.
    """
    for statuses, cause in _TABLE:
        if status in statuses:
            return _OF_PHONES.get(cause, cause) if of_phone else cause
    return "error"


def meant_by(status: int, reasons: Sequence[str]) -> int:
    """The status that a refusal amounts to, with what its Reason header says of the network behind (RFC 6432, RFC 3398 §7.2.4.1).

    Args:
        reasons: the values of its Reason headers.
    """
    if status not in VAGUE:
        return status
    try:
        told = parse_reasons(list(reasons))
    except ParseError:
        return status
    for reason in told:
        if reason.protocol.upper() == "Q.850" and reason.cause in STATUS_OF_Q850:
            return STATUS_OF_Q850[reason.cause]
    return status


def q850_told(reasons: Sequence[str]) -> int | None:
    """The first cause of ITU-T Q.850 (1 to 127) in Reason headers, which is what the telephone network says (RFC 3326 §2); None: none."""
    try:
        told = parse_reasons(list(reasons))
    except ParseError:
        return None
    return next((one.cause for one in told if one.protocol.upper() == "Q.850" and one.cause is not None and 1 <= one.cause <= 127), None)


def worst_of(statuses: list[int]) -> int:
    """The status that speaks for a leg whose every contact failed: the best response of RFC 3261 §16.7 step 6.

    6xx before all, then the lowest class, in it the one that says most (busy before timeout).
    """
    return min(statuses, key=lambda status: (status < 600, status // 100, status not in BUSY, status in NO_ANSWER, status))


def release_status(cause: str) -> int:
    """The final status for a caller who was not answered and whose leg is released with this cause."""
    return telling(cause).status


def ended_all(status: int, text: str) -> str:
    """The Reason for a phone that stops ringing since another of the same person has refused for all (RFC 3326 §2)."""
    return f"SIP;cause={status};text={quote(text)}"


def refusal_reason(cause: str) -> str | None:
    """The Reason header of a refusal: of a response RFC 6432 §2 has the cause of Q.850 alone."""
    row = TELLINGS.get(cause)
    return None if row is None else str(Reason("Q.850", row.q850, Q850_TEXTS[row.q850]))


def reason_header(cause: str, q850: int | None = None) -> str | None:
    """The Reason header of a CANCEL or BYE (RFC 3326 §2): a status and a cause of Q.850, from the one table there is.

    So a phone shows no missed call when a colleague took it, and a carrier knows a restart from a hang-up. What was cleared normally has
    no status: none of a final response fits it.

    Args:
        q850: what the telephone network behind the other party said; it is passed on by itself.
    """
    if q850 is not None:
        return str(Reason("Q.850", q850, Q850_TEXTS.get(q850, "")))
    row = TELLINGS.get(cause)
    if row is None:
        return None
    told = [Reason("Q.850", row.q850, Q850_TEXTS[row.q850])]
    if cause == "answered_elsewhere":
        # RFC 3326 §3.1: 200, though the row has what a caller is told.
        told.insert(0, Reason("SIP", 200, "Call completed elsewhere"))
    elif row.q850 != NORMAL_CLEARING:
        told.insert(0, Reason("SIP", row.status, reason_phrase(row.status)))
    return ", ".join(map(str, told))


NORMAL_CLEARING: Final = 16
TIMED_OUT: Final = reason_header("timeout") or ""
"""Of a BYE or CANCEL by which the SIP engine ends what gives no sign of life: no ACK, no refresh, no answer."""
FORKED: Final = reason_header("answered_elsewhere") or ""
"""Of its BYE to a second callee that has answered."""
