"""Durable jobs of a tenant: put into its database by the transaction that wants them done, and run afterwards (ADR 0022).

`rules` (states, retries; pure) · `pools` (who may begin; pure) · `models` · `store` (all SQL) · `definitions` (what a job is) · `runner`
(the shell). Slices use what is named here: they define jobs, and `put` them.
"""

from api.kit.jobs.definitions import Again, Definition, Done, Held, Inside, Later, Never, Outcome, Outside
from api.kit.jobs.pools import Places
from api.kit.jobs.rules import RETRY, Became, Retry
from api.kit.jobs.runner import Jobs
from api.kit.jobs.store import forget, put

__all__ = [
    "RETRY",
    "Again",
    "Became",
    "Definition",
    "Done",
    "Held",
    "Inside",
    "Jobs",
    "Later",
    "Never",
    "Outcome",
    "Outside",
    "Places",
    "Retry",
    "forget",
    "put",
]
