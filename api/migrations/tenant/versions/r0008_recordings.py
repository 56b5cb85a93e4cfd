"""The list of recordings: which there are, who is on which channel, which were deleted. It is filled from the records that name them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_AT_ONCE = 500
_WITHOUT = '%"recordings":[]%'
"""The form in which records are written; one that tells so elsewhere, in a name, is read for nothing."""
_CDR = sa.table("cdr", sa.column("id", sa.String(191)), sa.column("document", types.LONG_TEXT))
_RECORDING = sa.table(
    "recording",
    sa.column("name", sa.String(191)),
    sa.column("cdr", sa.String(191)),
    sa.column("began_at", types.INSTANT),
    sa.column("duration_ms", sa.BigInteger()),
)
_PARTY = sa.table(
    "recording_party",
    sa.column("recording", sa.String(191)),
    sa.column("channel", sa.Integer()),
    sa.column("leg", sa.String(64)),
    sa.column("role", sa.String(16)),
    sa.column("party", sa.String(64)),
    sa.column("number", sa.String(64)),
)


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    op.create_table(
        "recording",
        sa.Column("name", sa.String(length=191), nullable=False),
        sa.Column("cdr", sa.String(length=191), nullable=False),
        sa.Column("began_at", types.INSTANT, nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", types.INSTANT, nullable=True),
        sa.Column("deleted_by", sa.String(length=80), nullable=True),
        sa.Column("erased_at", types.INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("name"),
        sa.ForeignKeyConstraint(["cdr"], ["cdr.id"], name="fk_recording_cdr_cdr", ondelete="CASCADE"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
    op.create_index("ix_recording_cdr", "recording", ["cdr"], unique=False, if_not_exists=True)
    op.create_index("ix_recording_deleted_began", "recording", ["deleted_at", "began_at", "name"], unique=False, if_not_exists=True)
    op.create_index("ix_recording_erased_deleted", "recording", ["erased_at", "deleted_at"], unique=False, if_not_exists=True)
    op.create_table(
        "recording_party",
        sa.Column("recording", sa.String(length=191), nullable=False),
        sa.Column("channel", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("leg", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("party", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("recording", "channel"),
        sa.ForeignKeyConstraint(["recording"], ["recording.name"], name="fk_recording_party_recording_recording", ondelete="CASCADE"),
        if_not_exists=True,
        **types.BYTEWISE,
    )
    op.create_index("ix_recording_party_party_recording", "recording_party", ["party", "recording"], unique=False, if_not_exists=True)
    op.create_index("ix_recording_party_number_recording", "recording_party", ["number", "recording"], unique=False, if_not_exists=True)
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    """A page of records at a time. What an attempt before has written stays (MariaDB commits at every CREATE)."""
    known = set(connection.scalars(sa.select(_RECORDING.c.name)))
    after = ""
    while True:
        page = sa.select(_CDR.c.id, _CDR.c.document).where(_CDR.c.id > after, _CDR.c.document.not_like(_WITHOUT))
        rows = connection.execute(page.order_by(_CDR.c.id).limit(_AT_ONCE)).all()
        for cdr, text in rows:
            _fill_from(connection, cdr, json.loads(text), known)
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1].id


def _fill_from(connection: sa.Connection, cdr: str, document: dict[str, Any], known: set[str]) -> None:
    keeps_no_zone = connection.dialect.name in {"mysql", "mariadb"}
    for at, duration_ms, name, legs in _recordings(document):
        began_at = at.astimezone(UTC).replace(tzinfo=None) if keeps_no_zone else at.astimezone(UTC)
        if name in known:
            continue
        known.add(name)
        row = {"name": name, "cdr": cdr, "began_at": began_at, "duration_ms": duration_ms}
        connection.execute(sa.insert(_RECORDING).values(row))
        for channel, leg in enumerate(legs, 1):
            told = {"leg": leg["leg"], "role": _fit(leg["role"], 16), "party": _fit(leg["party"]), "number": _fit(leg["number"])}
            connection.execute(sa.insert(_PARTY).values(recording=name, channel=channel, **told))


def _recordings(document: dict[str, Any]) -> list[tuple[datetime, int, str, list[dict[str, Any]]]]:
    """Beginning, duration, name, legs: one begins when the last of its legs began to talk, or when an earlier one of a leg ended."""
    legs = {leg["leg"]: leg for leg in document["legs"]}
    talked: dict[str, datetime] = {}
    for segment in document["segments"]:
        if segment["kind"] == "talk":
            at = datetime.fromisoformat(segment["began_at"])
            talked[segment["leg"]] = min(at, talked.get(segment["leg"], at))
    began = datetime.fromisoformat(document["began_at"])
    answered = datetime.fromisoformat(document["answered_at"] or document["began_at"])
    until: dict[str, datetime] = {}
    found = []
    for one in document["recordings"]:
        known = [talked[leg] for leg in one["legs"] if leg in talked] or [answered]
        began_at = max(*known, *(until[leg] for leg in one["legs"] if leg in until), began)
        until |= dict.fromkeys(one["legs"], began_at + timedelta(milliseconds=one["duration_ms"]))
        name = one["path"].replace("\\", "/").rpartition("/")[2]
        found.append((began_at, one["duration_ms"], name, [legs[leg] for leg in one["legs"] if leg in legs]))
    return found


def _fit(text: str | None, length: int = 64) -> str | None:
    """As it fits its column; PostgreSQL refuses NUL."""
    return None if text is None else text.replace("\0", "\ufffd")[:length]
