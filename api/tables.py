"""Every table of the API, imported once so that both metadata are whole: for migrations and their test."""

from __future__ import annotations

from api.assignments import models as assignments
from api.audit import models as audit
from api.billing import models as billing
from api.calendar import models as calendar
from api.crm import models as crm
from api.identity import models as identity
from api.kit.blobs import models as blobs
from api.kit.jobs import models as jobs
from api.kit.mail import models as mail
from api.kit.outbox import models as outbox
from api.security import models as security
from api.telephony_setup import models as telephony_setup
from api.tenants import models as tenants
from api.tickets import models as tickets
from api.webhooks import models as webhooks

__all__ = [
    "assignments",
    "audit",
    "billing",
    "blobs",
    "calendar",
    "crm",
    "identity",
    "jobs",
    "mail",
    "outbox",
    "security",
    "telephony_setup",
    "tenants",
    "tickets",
    "webhooks",
]
