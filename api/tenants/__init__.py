"""Tenants: the customers of the platform, each with a database of its own.

`service` · `repository` · `models` · `schemas` · `errors` · `routes`.
"""

from api.tenants.schemas import AdminGiven, TenantGiven
from api.tenants.service import create_tenant, every, get, open_all, stop_trying

__all__ = ["AdminGiven", "TenantGiven", "create_tenant", "every", "get", "open_all", "stop_trying"]
