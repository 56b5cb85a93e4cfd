"""Column types that mean the same on SQLite, PostgreSQL and MariaDB (SQLAlchemy 2 Core).

SQLite has neither decimals nor instants: an amount is kept there as a whole number of millionths, so sums stay exact, and an instant as
ISO text in UTC. MariaDB drops microseconds and time zones unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Numeric, String, Text
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.types import TypeDecorator, TypeEngine

from billing_cdr.money import to_micros

MYSQL = ("mysql", "mariadb")


class Amount(TypeDecorator[Decimal]):
    """An exact amount with up to six decimals."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else Numeric(18, 6))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        return to_micros(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        return Decimal(value).scaleb(-6) if dialect.name == "sqlite" else Decimal(value)


class _UtcText(sqlite.DATETIME):
    """SQLAlchemy's own text of an instant, written at once instead of field by field."""

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], str | None]:
        del dialect
        return _utc_text


@lru_cache(maxsize=256)  # a record names each of its instants in several columns
def _utc_text(in_utc: datetime | None) -> str | None:
    return None if in_utc is None else in_utc.isoformat(" ", "microseconds").removesuffix("+00:00")


class Instant(TypeDecorator[datetime]):
    """An aware instant with microseconds, always handed out in UTC."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(_UtcText())  # type: ignore[no-untyped-call]
        if dialect.name in MYSQL:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} names no time zone")
        in_utc = value if value.tzinfo is UTC else value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name in MYSQL else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if dialect.name == "postgresql" else value.replace(tzinfo=UTC)


class Label(TypeDecorator[str]):
    """A name to search by, of at most so many characters. What came over the wire may be longer, or hold a NUL, which PostgreSQL
    refuses: it is cut and cleaned here, for storing and for searching alike, and stands unharmed in the document.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int = 64) -> None:
        super().__init__(length)
        self.length = length

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else value.replace("\0", "\ufffd")[: self.length]


def document() -> TypeEngine[str]:
    """Text of any length: MariaDB's TEXT ends at 64 KiB."""
    long_text = mysql.LONGTEXT()
    return Text().with_variant(long_text, *MYSQL)


def key(length: int = 191) -> TypeEngine[str]:
    """An id of our own: part of a primary key, never cut."""
    return String(length)
