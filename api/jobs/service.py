"""Use cases: list jobs, try one again, drop one that is dead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from api.jobs.errors import JobLives, JobRuns, JobUnknown
from api.jobs.schemas import JobState
from api.kit.jobs import store
from api.kit.jobs.models import JobRow
from api.kit.jobs.rules import State
from api.kit.paging import Cut


async def some(session: AsyncSession, page: Cut, state: JobState | None, name: str | None) -> Sequence[JobRow]:
    """A page, as they were put, and one more."""
    return await store.some(session, page, State(state) if state is not None else None, name)


async def try_again(session: AsyncSession, job: str, now: datetime) -> JobRow:
    """Do it at once, with as many tries as a new one.

    Raises: JobUnknown, JobRuns
    """
    if not await store.try_again(session, job, now):
        if await store.get(session, job) is None:
            raise JobUnknown(job)
        raise JobRuns(job)
    found = await store.get(session, job)
    assert found is not None
    return found


async def drop(session: AsyncSession, job: str) -> None:
    """Take a dead one away.

    Raises: JobUnknown, JobLives
    """
    if not await store.drop(session, job):
        if await store.get(session, job) is None:
            raise JobUnknown(job)
        raise JobLives(job)
