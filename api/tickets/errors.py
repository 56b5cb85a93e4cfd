"""What can go wrong with tickets."""

from __future__ import annotations

from api.errors import NotFound, Place, Unprocessable


class TicketUnknown(NotFound):
    """No such ticket."""

    def __init__(self, number: int) -> None:
        super().__init__(f"There is no ticket {number}.")


class NoSuchContact(Unprocessable):
    """The ticket names a contact that is not there."""

    def __init__(self, contact: str) -> None:
        super().__init__(f"There is no contact {contact}.", [Place(detail="no such contact", pointer="#/contact")])
