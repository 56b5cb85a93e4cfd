"""Alembic migrations: one line of revisions for the control database, one for each tenant's; `types_*` are the column types they use.

A revision that was released never changes, and imports nothing that could: neither today's tables nor today's column types.
"""
