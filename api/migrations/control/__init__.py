"""Alembic environment of the control database."""
