"""Pairs of instants that bound something, and their order: of queries and of bodies alike."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, NamedTuple

from fastapi import Depends, Query

from api.errors import Place, Unprocessable
from api.kit.schema import Moment


def require_order(first: datetime | None, last: datetime | None, names: tuple[str, str]) -> None:
    """See that there can be something between two instants; one that is left out bounds nothing.

    Args:
        names: of the two, as the client wrote them.
    Raises: ValueError: a sentence with both.
    """
    if first is not None and last is not None and first >= last:
        raise ValueError(f"`{names[0]}` ({first.isoformat()}) is not before `{names[1]}` ({last.isoformat()}): nothing can lie between")


class Began(NamedTuple):
    """When what is asked for began."""

    first: datetime | None
    """Then or later; None: whenever."""
    before: datetime | None


def _began(
    began_from: Annotated[Moment | None, Query(description="Began then or later.")] = None,
    began_before: Annotated[Moment | None, Query(description="Began before; later than `began_from`.")] = None,
) -> Began:
    try:
        require_order(began_from, began_before, ("began_from", "began_before"))
    except ValueError as wrong:
        raise Unprocessable(str(wrong), [Place(detail=str(wrong), parameter="began_before")]) from None
    return Began(began_from, began_before)


Period = Annotated[Began, Depends(_began)]
"""`began_from` and `began_before` of a query."""
