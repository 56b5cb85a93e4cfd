"""Alembic environment of the tenant database."""
