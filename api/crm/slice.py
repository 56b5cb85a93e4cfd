"""What the CRM is made of."""

from __future__ import annotations

from api.crm import models
from api.crm.events import EVENTS
from api.crm.permissions import PERMISSIONS
from api.crm.routes import router
from api.kit.slices import Slice

SLICE = Slice(
    tag="crm",
    says="Contacts.",
    routers=(router,),
    permissions=PERMISSIONS,
    models=(models,),
    events=EVENTS,
    personal={"listContacts": "contact", "getContact": "contact"},
    answered={"createContact": "contact", "replaceContact": "contact"},
    unanswered=frozenset({"deleteContact"}),
)
