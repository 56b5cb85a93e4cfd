"""Assignments: what the platform's operator gives a tenant and no other has: numbers, sources of calls, caller ids, a telephony domain.

`rules` (which network is wide, what a document wants; pure) · `service` · `trail` (what both tenants read of it) · `repository` ·
`models` · `schemas` · `errors` · `routes`. Other slices use what is named here. The control database holds all of it: two tenants cannot
have one thing, whoever asks first.
"""

from api.assignments.rules import wanted
from api.assignments.service import admit, allow, begin, claim, end, has, held, may_be_bare, read, with_assigned
from api.assignments.trail import note_refusal

__all__ = ["admit", "allow", "begin", "claim", "end", "has", "held", "may_be_bare", "note_refusal", "read", "wanted", "with_assigned"]
