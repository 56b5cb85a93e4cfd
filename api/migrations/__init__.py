"""Alembic migrations: one line of revisions for the control database, one for each tenant's."""
