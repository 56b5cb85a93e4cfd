"""Revisions of the tenant database, oldest first."""
