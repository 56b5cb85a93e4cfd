"""Column types of the revisions from 0017 on, beside those of 0001."""

from __future__ import annotations

import sqlalchemy as sa

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A primary key that counts up; SQLite does that for INTEGER alone."""
