"""What a job is: a name, the type of its argument, a function that is given `now`, and when it is tried again (house).

`Inside` works in the tenant's database alone: its effects and its completion are one transaction, so they come about exactly once,
whenever the process is killed. `Outside` speaks to somebody else, who may have heard it before: it is done at least once, with the job's
id as the key by which the other side knows a second time; what it leaves in the database is one transaction with its completion too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.db import Unit
from api.kit.jobs.pools import Places
from api.kit.jobs.rules import RETRY, Became, Retry

Then = Callable[[Unit, Became], Awaitable[None]]
"""What a try leaves in the database, told what became of the job; one transaction with that."""


@dataclass(frozen=True, slots=True)
class Held:
    """A job that is being run: what its function may know of it."""

    id: str
    name: str
    attempt: int
    """From 1."""
    now: datetime
    last: bool
    """Whether there is no further try after this one."""


@dataclass(frozen=True, slots=True)
class Done:
    """It is done."""

    then: Then | None = None
    is_well: bool = True
    """False: nothing is left to do, but whom it was for has not taken it."""


@dataclass(frozen=True, slots=True)
class Again:
    """It has failed and may be tried again, `after_s` from now if that is said, else as the definition has it."""

    error: str
    then: Then | None = None
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Never:
    """It has failed and will never succeed."""

    error: str
    then: Then | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """It could not even begin: it is put back, and no try is counted."""

    after_s: float


Outcome = Done | Again | Never | Later


@dataclass(frozen=True, slots=True)
class Inside:
    """A job whose effects are all in the tenant's database."""

    name: str
    argument: type[Any]
    """A struct of msgspec, or None."""
    run: Callable[[Unit, Any, Held], Awaitable[None]]
    """Raises: whatever; the transaction is rolled back, and the job tried again."""
    retry: Retry = RETRY
    limit_s: float = 30.0
    """A try that takes longer has failed."""
    every_s: float | None = None
    """It comes again and again, so long after it was done or given up; no argument."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A job that has effects elsewhere; no transaction is held while it runs."""

    name: str
    argument: type[Any]
    run: Callable[[str, Any, Held], Awaitable[Outcome]]
    """Told the tenant. Raises: whatever; it is tried again."""
    retry: Retry = RETRY
    limit_s: float = 60.0
    every_s: float | None = None
    places: Places | None = None
    """None: those of the jobs inside, which wait for nobody."""


Definition = Inside | Outside
