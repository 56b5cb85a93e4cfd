"""Errors of jobs."""

from __future__ import annotations

from api.errors import Conflict, NotFound


class JobUnknown(NotFound):
    """No such job."""

    def __init__(self, job: str) -> None:
        super().__init__(f"There is no job {job}: it may be done.")


class JobRuns(Conflict):
    """It is being done."""

    def __init__(self, job: str) -> None:
        super().__init__(f"Job {job} is running.")


class JobLives(Conflict):
    """Only what is dead can be dropped."""

    def __init__(self, job: str) -> None:
        super().__init__(f"Job {job} is not dead: it is still going to be done.")


class TenantNotOpen(NotFound):
    """Its jobs are in its database."""

    def __init__(self, tenant: str) -> None:
        super().__init__(f"There is no tenant {tenant} that is open.")
