"""Lists in pages by key set: `?limit=50&after=<last key of the page before>`; a page stays right while rows come and go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

from api.kit.schema import Limit, Text

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """Some of a list, and where the next page begins."""

    items: list[T]
    next: str | None = None
    """Give it as `after` for the next page; null: this was the last."""


class Cut(NamedTuple):
    """Which page is asked for."""

    limit: int
    after: str | None


def _cut(
    limit: Annotated[Limit, Query()] = 50,
    after: Annotated[Text | None, Query(max_length=200, description="`next` of the page before.")] = None,
) -> Cut:
    return Cut(limit, after)


Paged = Annotated[Cut, Depends(_cut)]


def cut(statement: Select[Any], key: InstrumentedAttribute[str], page: Cut, *, newest_first: bool = False) -> Select[Any]:
    """One row more than asked for, so that we know whether there is a next page."""
    if page.after is not None:
        statement = statement.where(key < page.after if newest_first else key > page.after)
    return statement.order_by(key.desc() if newest_first else key).limit(page.limit + 1)


def paged(rows: Sequence[T], keys: Sequence[str], page: Cut) -> tuple[list[T], str | None]:
    """Rows of the page, and the cursor of the next."""
    items = list(rows[: page.limit])
    return items, keys[len(items) - 1] if len(rows) > page.limit else None
