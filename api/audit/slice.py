"""What the audit is made of."""

from __future__ import annotations

from api.audit import models
from api.audit.permissions import PERMISSIONS
from api.audit.retention import keep_short
from api.audit.routes import router
from api.audit.rules import FailedLogIns
from api.kit.slices import Slice
from api.shared import Shared


async def _keep_short(this: Shared) -> None:
    services = this.services
    await keep_short(services.databases, services.settings.audit, services.clock)


SLICE = Slice(
    tag="audit",
    says="Who changed what, who came in or tried to, who read personal data; nothing changes it.",
    routers=(router,),
    permissions=PERMISSIONS,
    models=(models,),
    personal={"listAudit": "audit"},
    impersonal=frozenset({"listOperatorAudit"}),  # the platform's: companies, not people
    parts=(lambda _: FailedLogIns(),),
    beside=(_keep_short,),
    metrics={
        "fernamt_audit_failures_total": (
            "Reads of personal data that were answered though their entry in the audit could not be written. Should stay 0."
        ),
    },
)
