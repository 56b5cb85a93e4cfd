"""What can go wrong with appointments."""

from __future__ import annotations

from api.errors import NotFound, Place, Unprocessable


class AppointmentUnknown(NotFound):
    """No such appointment."""

    def __init__(self, appointment: str) -> None:
        super().__init__(f"There is no appointment {appointment}.")


class NoSuchContact(Unprocessable):
    """The appointment names a contact that is not there."""

    def __init__(self, contact: str) -> None:
        super().__init__(f"There is no contact {contact}.", [Place(detail="no such contact", pointer="#/contact")])
