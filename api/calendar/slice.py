"""What the calendar is made of."""

from __future__ import annotations

from api.calendar import models
from api.calendar.events import EVENTS
from api.calendar.permissions import PERMISSIONS
from api.calendar.routes import router
from api.kit.slices import Slice

SLICE = Slice(
    tag="calendar",
    says="Appointments.",
    routers=(router,),
    permissions=PERMISSIONS,
    models=(models,),
    events=EVENTS,
    personal={"listAppointments": "appointment", "getAppointment": "appointment"},
    answered={"createAppointment": "appointment", "replaceAppointment": "appointment"},
    unanswered=frozenset({"deleteAppointment"}),
)
