"""Legs say whose phone they are, recordings the queue of the talk they recorded: filled from the records, which stay as they are."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_AT_ONCE = 500
_CDR = sa.table("cdr", sa.column("id", sa.String(191)), sa.column("document", types.LONG_TEXT))
_LEG = sa.table("cdr_leg", sa.column("cdr", sa.String(191)), sa.column("leg", sa.String(64)), sa.column("agent", sa.String(64)))
_RECORDING = sa.table("recording", sa.column("name", sa.String(191)), sa.column("queue", sa.String(64)))
_CONNECTED = ("talk", "hold")


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    _add("cdr_leg", "agent")
    _add("recording", "queue")
    # Filled before the indexes are made, which is cheaper; what an attempt before has filled is filled once more with the same.
    _fill(op.get_bind())
    op.create_index("ix_cdr_leg_agent_began", "cdr_leg", ["agent", "began_at"], unique=False, if_not_exists=True)
    op.create_index("ix_recording_queue_began", "recording", ["queue", "began_at"], unique=False, if_not_exists=True)


def _add(table: str, name: str) -> None:
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    if name not in there:
        op.add_column(table, sa.Column(name, sa.String(length=64), nullable=True))


def _fill(connection: sa.Connection) -> None:
    """A page of records at a time."""
    of_leg = sa.update(_LEG).where(_LEG.c.cdr == sa.bindparam("of"), _LEG.c.leg == sa.bindparam("its"))
    of_leg = of_leg.values(agent=sa.bindparam("who"))
    of_recording = sa.update(_RECORDING).where(_RECORDING.c.name == sa.bindparam("its")).values(queue=sa.bindparam("where"))
    after = ""
    while True:
        page = sa.select(_CDR.c.id, _CDR.c.document).where(_CDR.c.id > after)
        rows = connection.execute(page.order_by(_CDR.c.id).limit(_AT_ONCE)).all()
        told = [(cdr, json.loads(text)) for cdr, text in rows]
        if people := [{"of": cdr, "its": leg, "who": _fit(agent)} for cdr, document in told for leg, agent in _people(document)]:
            connection.execute(of_leg, people)
        if places := [{"its": name, "where": _fit(queue)} for _, document in told for name, queue in _places(document)]:
            connection.execute(of_recording, places)
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1].id


def _people(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Leg, agent. The records of 0.1.0 name an agent as the party of a leg of that role, and nowhere else."""
    named = [(leg["leg"], leg.get("agent") or (leg["party"] if leg["role"] == "agent" else None)) for leg in document["legs"]]
    return [(leg, agent) for leg, agent in named if agent]


def _places(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Recording, queue: the one in which a leg of it waited last before the talk that went on when it began."""
    if not document["recordings"]:
        return []
    talks: dict[str, list[tuple[datetime, str | None]]] = {}
    talked: dict[str, datetime] = {}
    waited: dict[str, str] = {}
    connected: set[str] = set()
    for one in document["segments"]:
        leg, at = one["leg"], datetime.fromisoformat(one["began_at"])
        if one["kind"] == "talk":
            talked[leg] = min(at, talked.get(leg, at))
        if one["kind"] not in _CONNECTED:
            connected.discard(leg)
            if one["kind"] == "queue":
                waited[leg] = one["party"]
        elif leg not in connected:
            connected.add(leg)
            talks.setdefault(leg, []).append((at, waited.pop(leg, None)))
    found = []
    for name, legs, begun in _begun(document, talked):
        running = [[queue for began_at, queue in talks.get(leg, ()) if began_at <= begun] for leg in legs]
        found += [(name, queues[-1]) for queues in running if queues and queues[-1]][:1]
    return found


def _begun(document: dict[str, Any], talked: dict[str, datetime]) -> list[tuple[str, list[str], datetime]]:
    """Name, legs and beginning of each, as revision 0008 has it."""
    began = datetime.fromisoformat(document["began_at"])
    answered = datetime.fromisoformat(document["answered_at"] or document["began_at"])
    until: dict[str, datetime] = {}
    found = []
    for one in document["recordings"]:
        known = [talked[leg] for leg in one["legs"] if leg in talked] or [answered]
        began_at = max(*known, *(until[leg] for leg in one["legs"] if leg in until), began)
        until |= dict.fromkeys(one["legs"], began_at + timedelta(milliseconds=one["duration_ms"]))
        found.append((one["path"].replace("\\", "/").rpartition("/")[2], one["legs"], began_at))
    return found


def _fit(text: str) -> str:
    """As it fits its column; PostgreSQL refuses NUL."""
    return text.replace("\0", "\ufffd")[:64]
