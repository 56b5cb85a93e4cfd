"""What is told of jobs: never what they are about."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from api.kit.schema import Told

JobState = Literal["waiting", "running", "dead"]


class JobTold(Told):
    id: str
    name: str
    state: JobState
    created_at: datetime
    run_at: datetime
    """Not before."""
    attempts: int
    """Tries that have begun."""
    error: str | None
    """Of the last try that failed."""
    failed_at: datetime | None
