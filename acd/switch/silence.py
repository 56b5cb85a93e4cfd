"""Who must send what, and what it means when he does not (RFC 3550 §6, RFC 3389, RFC 4028).

| the party                                           | must send                                    | after `media.silence_s` without  |
|-----------------------------------------------------|----------------------------------------------|----------------------------------|
| is not answered yet, early media or not             | nothing                                      | nothing                          |
| said that it sends nothing (`recvonly`, `inactive`) | nothing                                      | nothing                          |
| has put us on hold (`sendonly`, `c=0.0.0.0`)        | nothing                                      | nothing                          |
| is being moved to another media worker              | nothing                                      | nothing, until it has moved      |
| waits: queue, menu, announcement, its partner holds | nothing                                      | it is asked                      |
| is in a talk: somebody listens                      | RTP of any kind, comfort noise, keys or RTCP | it is asked                      |

When the talk begins, waiting begins anew. To ask is a re-INVITE that changes nothing, as session timers send it.

| its answer                                        | means                                                               |
|---------------------------------------------------|---------------------------------------------------------------------|
| 2xx, or a refusal of the change (488, 491, …)     | it is there: muted, say; asked again after 2, 4, 8, 16, 24, … times |
| 481                                               | it knows of no call: the leg ends, `media_silent`                   |
| none within 64*T1 = 32 s, or the connection fails | it is gone: the leg ends, `media_silent` (`transport`)              |

So a silence never ends a call by itself, and a party that has gone without a BYE is found `media.silence_s` + 32 s after its last packet.
"""

from __future__ import annotations

ANSWER_WITHIN_S = 40.0
"""A question is answered within 64*T1 = 32 s (RFC 3261 §17.1.1.2, timer B), or not at all; and a round of the loop."""


def watched_s(limit_s: float, *, is_answered: bool = True, receives: bool, holding: bool, is_moving: bool) -> float:
    """After how many seconds without a sign of life its media worker shall speak up; 0: never."""
    return limit_s if is_answered and receives and not holding and not is_moving else 0.0


def cause_of_end(by: str, asked_at: float | None, now: float) -> str | None:
    """Why a leg ended whose session ended by itself; None: somebody hung up."""
    if by == "timeout" and asked_at is not None and now - asked_at <= ANSWER_WITHIN_S:
        return "media_silent"
    return by if by in {"timeout", "transport"} else None
