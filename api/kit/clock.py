"""Civil time for the shells of the API: aware UTC (DESIGN.md §5)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present moment; injected as a `Clock`, so that a test can turn it."""
    return datetime.fromtimestamp(time.time(), UTC)
