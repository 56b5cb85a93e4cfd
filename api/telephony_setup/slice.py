"""What the telephony setup is made of."""

from __future__ import annotations

from api.kit.slices import Slice
from api.telephony_setup import models
from api.telephony_setup.events import EVENTS
from api.telephony_setup.permissions import PERMISSIONS
from api.telephony_setup.routes import router

_KINDS = ("Queue", "Menu", "Number", "Schedule", "Site", "Trunk", "Reason")

SLICE = Slice(
    tag="telephony setup",
    says="Agents, queues, menus, numbers, hours, lines; effective at the next event.",
    routers=(router,),
    permissions=PERMISSIONS,
    models=(models,),
    events=EVENTS,
    personal={
        "listAgents": "agent",
        "getAgent": "agent",
        "getDevice": "device",
        "getSpending": "spending",
        "getDialling": "dialling",
    },
    impersonal=frozenset({"getSetup", *(name for kind in _KINDS for name in (f"list{kind}s", f"get{kind}"))}),
    answered={"createAgent": "agent", "replaceAgent": "agent", "setDevice": "device", "setDialling": "dialling"},
    unanswered=frozenset(
        {
            *("deleteAgent", "setPin", "deletePin"),  # nothing is answered
            "setSetup",
            *(f"{verb}{kind}" for verb in ("create", "replace", "delete") for kind in _KINDS),
        }
    ),
)
