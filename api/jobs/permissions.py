"""Who may do what in this slice, and what its routes write for it."""

from __future__ import annotations

from typing import Annotated

from api.identity import Access, needs
from api.kit.permissions import Role, permission

JOBS_READ = permission("jobs:read", "What is done beside requests.", Role.ADMIN)
JOBS_WRITE = permission("jobs:write", "Try jobs again, take dead ones away.", Role.ADMIN)
TENANTS_JOBS_READ = permission("tenants-jobs:read", "What is done beside requests in each tenant.", Role.OPERATOR)
TENANTS_JOBS_WRITE = permission("tenants-jobs:write", "Try jobs of a tenant again.", Role.OPERATOR)
PERMISSIONS = (JOBS_READ, JOBS_WRITE, TENANTS_JOBS_READ, TENANTS_JOBS_WRITE)

ReadsJobs = Annotated[Access, needs(JOBS_READ)]
WritesJobs = Annotated[Access, needs(JOBS_WRITE)]
ReadsJobsOfTenants = Annotated[Access, needs(TENANTS_JOBS_READ)]
WritesJobsOfTenants = Annotated[Access, needs(TENANTS_JOBS_WRITE)]
