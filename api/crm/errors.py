"""What can go wrong with contacts."""

from __future__ import annotations

from api.errors import NotFound


class ContactUnknown(NotFound):
    """No such contact."""

    def __init__(self, contact: str) -> None:
        super().__init__(f"There is no contact {contact}.")
