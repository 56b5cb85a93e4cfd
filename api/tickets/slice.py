"""What tickets are made of."""

from __future__ import annotations

from api.kit.slices import Slice
from api.tickets import models
from api.tickets.routes import router

SLICE = Slice(
    tag="tickets",
    says="Tickets; never deleted.",
    routers=(router,),
    models=(models,),
    personal={"listTickets": "ticket", "getTicket": "ticket"},
    answered={"createTicket": "ticket", "changeTicket": "ticket"},
)
