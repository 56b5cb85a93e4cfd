"""Column types that mean the same on SQLite, PostgreSQL and MariaDB (DESIGN.md §5), and the two roots of the tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, MetaData, Text
from sqlalchemy.dialects.mysql import DATETIME, LONGTEXT
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class ControlBase(DeclarativeBase):
    """Tables of the control database: the platform's own."""

    metadata = MetaData(naming_convention=NAMING)


class TenantBase(DeclarativeBase):
    """Tables of each tenant's database: everything the tenant owns. How many rows it may have of each is said with the table
    (`api.quotas`).
    """

    metadata = MetaData(naming_convention=NAMING)
    limit: ClassVar[str | None] = None
    """Which one of `[limits]` holds; a name that has no setting there shares the number of `others`."""
    unlimited: ClassVar[str | None] = None
    """Why nobody is refused a row."""
    sealed: ClassVar[tuple[str, ...]] = ()
    """Attributes that hold sealed values alone, in the place of the row's `id` and the attribute's name (`api.stored_secrets`)."""

    def __init_subclass__(cls, **given: Any) -> None:
        """Raises: TypeError: a table says neither, or both."""
        super().__init_subclass__(**given)
        if (cls.limit is None) == (cls.unlimited is None):
            raise TypeError(f"{cls.__module__}.{cls.__name__}: say either `limit` or `unlimited`, how many rows a tenant may have of it")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC, to the microsecond; kept as UTC without zone, since SQLite and MariaDB know none."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """MariaDB cuts to whole seconds unless told otherwise."""
        return dialect.type_descriptor(DATETIME(fsp=6) if dialect.name in {"mysql", "mariadb"} else DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times at the door."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        del dialect
        return None if value is None else value.replace(tzinfo=UTC)


LongText = Text().with_variant(LONGTEXT(), "mysql", "mariadb")
"""MariaDB's TEXT ends at 64 KiB."""


Sequence = BigInteger().with_variant(Integer(), "sqlite")
"""A primary key that counts up; SQLite does that for INTEGER alone."""


class Document(TypeDecorator[dict[str, Any]]):
    """A JSON object as text: the same bytes on every database."""

    impl = LongText
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        """Canonical: sorted keys, no blanks."""
        del dialect
        return None if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        """The object again."""
        del dialect
        if value is None:
            return None
        loaded: dict[str, Any] = json.loads(value)
        return loaded
