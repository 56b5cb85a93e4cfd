"""Session timers: RFC 4028. A peer that has vanished without a BYE is noticed, because nobody refreshes the session any more.

Pure values and rules; the timers themselves run in `sip.session`. We refresh by re-INVITE (UPDATE, RFC 3311, is not offered).
"""

import msgspec

from sip.message import Request, Response

OPTION_TAG = "timer"

# RFC 4028 §5: "The absolute minimum for the Min-SE header field is 90 seconds."
ABSOLUTE_MIN_SE_S = 90
# A refusal comes within a round trip: less than this apart, asking again would be a flood.
SOONEST_AGAIN_S = 2.0


class SessionTimerPolicy(msgspec.Struct, frozen=True):
    """What we propose and what we bear, in seconds."""

    interval_s: int = 1800  # RFC 4028 §4 recommends it
    min_se_s: int = ABSOLUTE_MIN_SE_S


class Agreement(msgspec.Struct, frozen=True):
    """What both sides have agreed on for a session."""

    interval_s: int
    we_refresh: bool

    @property
    def refresh_after_s(self) -> float:
        """§10: "It is RECOMMENDED that this refresh request be sent [...] once half the session interval has elapsed"."""
        return self.interval_s / 2

    @property
    def expire_after_s(self) -> float:
        """§10: BYE is sent "slightly before expiration": the minimum of 32 seconds and one third of the session interval."""
        return self.interval_s - min(32.0, self.interval_s / 3)


def ask_again_after_s(refusals: int, left_s: float, retry_after_s: float | None) -> float:
    """How long after a refusal the session is refreshed again.

    §10 leaves it to us: what the peer asks for (Retry-After), else 2, 4, 8, ... seconds; in any case after half of the time that is left,
    so that there are some more attempts in it.

    Args:
        refusals: how many there were in a row, this one included.
        left_s: until the session would be ended.
    """
    wanted = 2.0 ** min(refusals, 16) if retry_after_s is None else retry_after_s
    return max(SOONEST_AGAIN_S, min(wanted, left_s / 2))


def min_se(message: Request | Response) -> int:
    """Min-SE; the absolute minimum where it is missing or malformed."""
    said = message.min_se
    return ABSOLUTE_MIN_SE_S if said is None else max(ABSOLUTE_MIN_SE_S, said.seconds)


def is_too_brief(request: Request, policy: SessionTimerPolicy) -> bool:
    """§9: whether the request is to be answered 422; only to a caller that understands it."""
    asked = request.session_expires
    return asked is not None and asked.seconds < policy.min_se_s and OPTION_TAG in request.supported


def agree_as_uas(request: Request, policy: SessionTimerPolicy) -> Agreement | None:
    """§9: what our 2xx to this INVITE agrees to; nothing where the caller has not asked."""
    asked = request.session_expires
    if asked is None:
        return None
    interval_s = max(asked.seconds, policy.min_se_s, min_se(request))
    if OPTION_TAG not in request.supported:
        return Agreement(interval_s, we_refresh=True)  # Table 2: a proxy put it in; the caller cannot
    return Agreement(interval_s, we_refresh=asked.refresher == "uas")


def agree_as_uac(response: Response) -> Agreement | None:
    """§7.2: what a 2xx to our INVITE has agreed to."""
    granted = response.session_expires
    if granted is None:
        return None
    return Agreement(max(granted.seconds, ABSOLUTE_MIN_SE_S), we_refresh=granted.refresher != "uas")


def headers_of_2xx(agreement: Agreement | None, request: Request) -> list[tuple[str, str]]:
    """§9, Table 2: how the 2xx says it."""
    if agreement is None:
        return []
    fields = [("Session-Expires", f"{agreement.interval_s};refresher={'uas' if agreement.we_refresh else 'uac'}")]
    if not agreement.we_refresh and OPTION_TAG in request.supported:
        fields.append(("Require", OPTION_TAG))
    return fields


def headers_of_request(policy: SessionTimerPolicy, agreement: Agreement | None, interval_s: int | None = None) -> list[tuple[str, str]]:
    """§7.1 for a first INVITE (the callee chooses who refreshes), §7.4 for a refresh (roles stay as they are).

    Args:
        interval_s: the longest Min-SE of a 422 to this INVITE or an earlier one of the dialog (§7.4: "MUST" be repeated).
    """
    if agreement is None:
        value = str(interval_s or policy.interval_s)
    else:
        value = f"{agreement.interval_s};refresher={'uac' if agreement.we_refresh else 'uas'}"
    return [("Session-Expires", value), ("Min-SE", str(max(policy.min_se_s, interval_s or 0)))]
