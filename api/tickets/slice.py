"""What tickets are made of."""

from __future__ import annotations

from api.kit.slices import Slice
from api.tickets import models
from api.tickets.events import EVENTS
from api.tickets.permissions import PERMISSIONS
from api.tickets.routes import router

SLICE = Slice(
    tag="tickets",
    says="Tickets; never deleted.",
    routers=(router,),
    permissions=PERMISSIONS,
    models=(models,),
    events=EVENTS,
    personal={"listTickets": "ticket", "getTicket": "ticket"},
    answered={"createTicket": "ticket", "changeTicket": "ticket"},
)
