"""Calendar: appointments with contacts. Minimal; it grows.

`service` · `repository` · `models` · `schemas` · `errors` · `routes`.
"""

from api.calendar.schemas import AppointmentGiven, AppointmentTold
from api.calendar.service import create, next_of

__all__ = ["AppointmentGiven", "AppointmentTold", "create", "next_of"]
