"""Runs the revisions of the tenant database on the connection that `api.db` hands over (Alembic environment).

Today's tables are not known here: a revision says itself what it makes, names of keys included.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
