"""The code `*27` (supervise) is taken from tenants whose own codes mean something else by it: they would not open.

As revision 0014 has it of `*26`: only where codes were set, and also where a code that takes digits begins alike (`*2` and a 7). A longer
code of theirs, `*271`, is meant before this one and stays what it was.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from api.migrations import types_0001 as types

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_GENERAL = sa.table("setup_general", sa.column("id", sa.String(64)), sa.column("document", types.LONG_TEXT))
_SUPERVISE = "*27"
_WITH_DIGITS = frozenset({"not_ready", "tag", "hot_desk"})


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    connection = op.get_bind()
    for key, text in connection.execute(sa.select(_GENERAL.c.id, _GENERAL.c.document)).all():
        document = json.loads(text)
        codes = document.get("feature_codes") or {}
        if "supervise" in codes or not any(code == _SUPERVISE or _begins_it(name, code) for name, code in codes.items()):
            continue
        codes["supervise"] = ""
        kept = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        connection.execute(sa.update(_GENERAL).where(_GENERAL.c.id == key).values(document=kept))


def _begins_it(name: str, code: str) -> bool:
    return name in _WITH_DIGITS and code != "" and _SUPERVISE.startswith(code)
