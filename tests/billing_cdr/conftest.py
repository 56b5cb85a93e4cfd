"""Fixtures of the billing tests."""

from tests.servers import database_url

__all__ = ["database_url"]
