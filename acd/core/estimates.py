"""How long somebody will wait: a simple, stated formula (house; a calibrated one with quantiles is U8)."""

from __future__ import annotations

DEFAULT_HANDLE_S = 180.0
"""Until a queue has handled anything today: a usual call of three minutes."""


def estimated_wait_s(position: int, free: int, staff: int, average_handle_time_s: float | None) -> float | None:
    """Expected wait of who stands at `position` (1 is next).

    With `staff` people serving, somebody becomes free every AHT / staff seconds on average, and `position` of these must pass; who is
    within the number of free agents waits nothing. It shrinks as the position does and never grows with the time already waited.

    Returns: seconds, or None when nobody serves the queue: no promise then.
    """
    if staff <= 0:
        return None
    if position <= free:
        return 0.0
    return (position - free) * (average_handle_time_s or DEFAULT_HANDLE_S) / staff
