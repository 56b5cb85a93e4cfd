"""Column types of the revisions from 0001 on, as they were when those were written: never changed, since what was migrated with them is.

A revision stands alone: it imports nothing of ours but such a module (`tests/api/test_databases.py` sees to it). One that needs another
type brings it along, in a module `types_<revision>`.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

UTC = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
"""UTC without a zone, to the microsecond: MariaDB cuts to whole seconds unless told otherwise."""
INSTANT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
"""The same of the billing tables; PostgreSQL keeps the zone."""
LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
"""Text and JSON documents: MariaDB's TEXT ends at 64 KiB."""
AMOUNT = sa.Numeric(18, 6).with_variant(sa.BigInteger(), "sqlite")
"""Six decimals; SQLite has none, and keeps millionths."""
BYTEWISE = {
    f"{name}_{option}": value
    for name in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", "utf8mb4_bin"))
}
"""Options of the billing tables on MariaDB: its default would take call-1a for call-1A."""
