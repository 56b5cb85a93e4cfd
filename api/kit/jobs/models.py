"""The table of jobs: in each tenant's database, so that putting one, and what it does there, is part of a transaction of the tenant's."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from api.kit.columns import LongText, Sequence, TenantBase, UtcDateTime


class JobRow(TenantBase):
    """One job that is not done yet."""

    __tablename__ = "job"
    unlimited = "work that is to be done: what asks for it has a limit, and it is gone when it is done"
    __table_args__ = (
        Index("ix_job_state_run_at", "state", "run_at"),
        Index("ix_job_line_seq", "line", "seq"),
        Index("uq_job_id", "id", unique=True),
        Index("uq_job_key", "key", unique=True),
    )

    seq: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=True)
    """In the order in which they were put."""
    id: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(64))
    """Which definition it is of."""
    argument: Mapped[str] = mapped_column(LongText)
    """JSON of the definition's type: ids, not what they stand for."""
    key: Mapped[str | None] = mapped_column(String(200))
    """Of the jobs with one key there is one at a time."""
    line: Mapped[str | None] = mapped_column(String(250))
    """Jobs of one line run one after the other, as they were put; a dead one lets the next pass."""
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    run_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """Not before."""
    attempts: Mapped[int]
    """Tries that have begun."""
    lease: Mapped[str | None] = mapped_column(String(40))
    """Drawn for each try: who has another one has lost the job."""
    leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(String(500))
    """Of the last try that failed."""
    failed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
