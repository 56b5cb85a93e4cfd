"""Numbers of contacts that were given as E.164 without plus (`491711234567`) and stored with the country code twice are put right.

Only where the stored one is impossible and the right one certain: behind +49 stand 49 and a whole German mobile number (015, 016, 017).
Taken for a landline of an area that begins with 49 it would have at least twelve digits, and such numbers have eleven at most.
"""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_NUMBERS = sa.table("contact_number", sa.column("contact_id", sa.String(64)), sa.column("number", sa.String(20)))
_TWICE = re.compile(r"\+49(49(?:15[0-9]{9}|1[67][0-9]{8,9}))")


def upgrade() -> None:
    """Apply the revision; see 0001 for what it may find."""
    connection = op.get_bind()
    stored = connection.execute(sa.select(_NUMBERS.c.contact_id, _NUMBERS.c.number).where(_NUMBERS.c.number.like("+4949%"))).all()
    for contact, number in stored:
        found = _TWICE.fullmatch(number)
        if found is None:
            continue
        this = sa.and_(_NUMBERS.c.contact_id == contact, _NUMBERS.c.number == number)
        right = f"+{found[1]}"
        if connection.scalar(sa.select(sa.func.count()).where(_NUMBERS.c.contact_id == contact, _NUMBERS.c.number == right)):
            connection.execute(sa.delete(_NUMBERS).where(this))  # the contact has the right one too
        else:
            connection.execute(sa.update(_NUMBERS).where(this).values(number=right))
