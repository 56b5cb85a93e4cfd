"""Tickets: requests under a number without gaps, never deleted. Minimal; it grows.

`service` · `repository` · `models` · `schemas` · `errors` · `routes`.
"""

from api.tickets.schemas import TicketGiven, TicketTold
from api.tickets.service import create, unsolved_of

__all__ = ["TicketGiven", "TicketTold", "create", "unsolved_of"]
