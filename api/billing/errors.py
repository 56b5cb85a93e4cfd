"""What can go wrong with billing."""

from __future__ import annotations

from api.errors import Conflict, NotFound, Place, Unprocessable


class PricesOfTheHouse(Conflict):
    """Whoever says the prices says what a limit in money is worth."""

    kind, title = "prices-of-the-house", "The prices of the house hold"

    def __init__(self) -> None:
        super().__init__(
            "The platform's operator limits what this tenant spends, in the prices of the house: own tariffs are not in force."
        )


class CdrUnknown(NotFound):
    """No such record."""

    def __init__(self, cdr: str) -> None:
        super().__init__(f"There is no record of a conversation {cdr}.")


class Unpriced(NotFound):
    """The record has no charge."""

    def __init__(self, cdr: str) -> None:
        super().__init__(f"The conversation {cdr} has no charge (yet).")


class TariffUnknown(NotFound):
    """No such plan version."""

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no tariff {key}.")


class TariffExists(Conflict):
    """A version never changes: a new price is a new version."""

    def __init__(self, key: str) -> None:
        super().__init__(f"There is a tariff {key} already; a version never changes, a new price is a new version.")


class TariffWrong(Unprocessable):
    """The document is no plan; the place is named."""

    def __init__(self, detail: str, pointer: str) -> None:
        super().__init__(detail, [Place(detail=detail, pointer=pointer)])


class WrongCursor(Unprocessable):
    """`after` is none of ours."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, [Place(detail=detail, parameter="query.after")])


class NotInvoiced(Conflict):
    """A conversation of the month has no price yet; nobody is sent half an invoice."""


class RatedOtherwise(Conflict):
    """Since the dry run something has changed: other charges would change now."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"What would change is no longer what {digest} named: look at it again with a dry run.")


class TooMuchChanges(Conflict):
    """More charges would change than one request changes."""

    def __init__(self, most: int) -> None:
        super().__init__(f"More than {most} charges would change; choose a shorter period.")
