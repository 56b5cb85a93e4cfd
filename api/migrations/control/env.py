"""Runs the revisions of the control database on the connection that `api.db` hands over (Alembic environment)."""

from __future__ import annotations

from alembic import context

from api.kit.columns import ControlBase

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=ControlBase.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
