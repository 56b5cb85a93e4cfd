"""Assignments: what the platform's operator gives a tenant and no other has: numbers, sources of calls, caller ids, a telephony domain.

`rules` (which network is wide, what a document wants; pure) · `service` · `repository` · `models` · `schemas` · `errors` · `routes`. Other
slices use what is named here. The control database holds all of it: two tenants cannot have one thing, whoever asks first.
"""

from api.assignments.rules import Wanted, wanted
from api.assignments.service import admit, begin, claim, end, give_source, has, held, let_claim, read, release, with_assigned

__all__ = [
    "Wanted",
    "admit",
    "begin",
    "claim",
    "end",
    "give_source",
    "has",
    "held",
    "let_claim",
    "read",
    "release",
    "wanted",
    "with_assigned",
]
