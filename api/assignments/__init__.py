"""Assignments: what the platform's operator gives a tenant and no other has: numbers, sources of calls, caller ids, a telephony domain.

`rules` (which network is wide, what a document wants; pure) · `service` · `trail` (what both tenants read of it) ·
`sightings` (what shows that a claim or a peer is meant) · `repository` ·
`models` · `schemas` · `errors` · `routes`. Other slices use what is named here. The control database holds all of it: two tenants cannot
have one thing, whoever asks first.
"""

from api.assignments.rules import wanted
from api.assignments.service import admit, allow, begin, check_peer, claim, end, give_source, has, held, may_be_bare, read, with_assigned
from api.assignments.sightings import Watch
from api.assignments.trail import note_refusal

__all__ = [
    "Watch",
    "admit",
    "allow",
    "begin",
    "check_peer",
    "claim",
    "end",
    "give_source",
    "has",
    "held",
    "may_be_bare",
    "note_refusal",
    "read",
    "wanted",
    "with_assigned",
]
