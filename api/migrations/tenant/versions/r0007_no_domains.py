"""The setup's list of domains goes: it was written down and meant nothing. The telephony domain is the operator's to give."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_GENERAL = sa.table("setup_general", sa.column("id", sa.String(64)), sa.column("document", types.LONG_TEXT))


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    connection = op.get_bind()
    for key, text in connection.execute(sa.select(_GENERAL.c.id, _GENERAL.c.document)).all():
        document = json.loads(text)
        if document.pop("domains", None) is not None:
            kept = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            connection.execute(sa.update(_GENERAL).where(_GENERAL.c.id == key).values(document=kept))
