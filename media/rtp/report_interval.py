"""When the next RTCP report is due: RFC 3550 §6.2, §6.3.1 and A.7 `rtcp_interval`."""

from __future__ import annotations

import math

MINIMUM_S = 5.0
"""§6.2: "the recommended value for a fixed minimum interval is 5 seconds"."""
_SENDER_SHARE = 0.25
_COMPENSATION = math.e - 1.5
"""§6.3.1: timer reconsideration converges below the wanted bandwidth; dividing by e - 3/2 makes up for it."""


def rtcp_interval(
    *, members: int, senders: int, rtcp_octets_per_s: float, we_sent: bool, average_octets: float, initial: bool, random_unit: float
) -> float:
    """Seconds until the next report.

    Args:
        rtcp_octets_per_s: the RTCP share of the session bandwidth, 5 % of it (§6.2).
        average_octets: running mean of compound sizes with UDP and IP header (§6.3.3).
        random_unit: evenly drawn from [0, 1) by the caller; spreads the interval over 0.5 to 1.5 of its value.
    """
    minimum = MINIMUM_S / 2 if initial else MINIMUM_S
    count = members
    if senders <= members * _SENDER_SHARE:
        if we_sent:
            rtcp_octets_per_s *= _SENDER_SHARE
            count = senders
        else:
            rtcp_octets_per_s *= 1 - _SENDER_SHARE
            count = members - senders
    interval = max(average_octets * count / rtcp_octets_per_s, minimum)
    return interval * (random_unit + 0.5) / _COMPENSATION


def next_average_octets(average: float, octets: int) -> float:
    """§6.3.3: `avg_rtcp_size = (1/16) * packet_size + (15/16) * avg_rtcp_size`."""
    return octets / 16 + average * 15 / 16
