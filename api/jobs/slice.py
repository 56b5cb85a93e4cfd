"""What is seen of jobs is made of."""

from __future__ import annotations

from api.jobs.permissions import PERMISSIONS
from api.jobs.routes import router
from api.kit.jobs import models
from api.kit.slices import Slice

SLICE = Slice(
    tag="jobs",
    says="What is done beside requests, and what could not be done.",
    routers=(router,),
    permissions=PERMISSIONS,
    models=(models,),
    impersonal=frozenset({"listJobs", "listJobsOfTenant"}),
    unanswered=frozenset({"tryJobAgain", "dropJob", "tryJobOfTenantAgain"}),
)
