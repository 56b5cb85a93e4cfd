"""Revisions of the control database, oldest first."""
