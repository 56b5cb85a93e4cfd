"""What the service says about itself."""

from __future__ import annotations

from api.about.permissions import PERMISSIONS
from api.about.routes import router
from api.kit.slices import Slice

SLICE = Slice(
    tag="service",
    says="Health, metrics, state.",
    routers=(router,),
    permissions=PERMISSIONS,
    personal={"getState": "state"},
    impersonal=frozenset({"isAlive", "isReady", "getMetrics", "getDemo"}),
    public=frozenset({"isAlive", "isReady", "getMetrics", "getDemo"}),
)
