"""What assignments are made of."""

from __future__ import annotations

from api.assignments import models
from api.assignments.permissions import PERMISSIONS
from api.assignments.routes import router
from api.assignments.sightings import Watch
from api.kit.slices import Slice
from api.shared import Shared


async def _start(this: Shared) -> None:
    await this.part(Watch).start()


async def _keep(this: Shared) -> None:
    await this.part(Watch).keep()


async def _stop(this: Shared) -> None:
    await this.part(Watch).write()


SLICE = Slice(
    tag="assignments",
    says="Numbers, sources, caller ids and the telephony domain that a tenant has and no other.",
    routers=(router,),
    permissions=PERMISSIONS,
    models=(models,),
    impersonal=frozenset(
        {
            *("getAssignments", "listAssignedNumbers"),
            "getPrepaidOfTenant",  # what a tenant has paid
            *("getAssignmentsOfTenant", "listNumbersOfTenant", "listSources"),  # the platform's: companies, not people
        }
    ),
    unanswered=frozenset(
        {
            *("setRightsOfTenant", "assignNumbers", "withdrawNumber", "grantSource", "withdrawSource"),
            *("grantCallerId", "withdrawCallerId", "payIn", "endPrepaid"),
        }
    ),
    parts=(Watch,),
    starts=(_start,),
    beside=(_keep,),
    stops=(_stop,),
)
