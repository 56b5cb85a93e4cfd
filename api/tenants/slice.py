"""What tenants are made of."""

from __future__ import annotations

from api.kit.slices import Slice
from api.tenants import models
from api.tenants.permissions import PERMISSIONS
from api.tenants.routes import router

SLICE = Slice(
    tag="tenants",
    says="The platform's operator creates tenants.",
    routers=(router,),
    permissions=PERMISSIONS,
    models=(models,),
    impersonal=frozenset({"listTenants", "getTenant"}),  # companies, not people
    unanswered=frozenset({"createTenant", "openTenant", "closeTenant"}),
)
