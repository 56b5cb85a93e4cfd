"""What can go wrong with tenants."""

from __future__ import annotations

from api.errors import Conflict, NotFound, Unavailable


class TenantUnknown(NotFound):
    """No such tenant."""

    def __init__(self, tenant: str) -> None:
        super().__init__(f"There is no tenant {tenant}.")


class TenantExists(Conflict):
    """The id is taken, also by a tenant that was closed."""

    def __init__(self, tenant: str) -> None:
        super().__init__(f"There is a tenant {tenant} already.")


class TenantLeft(Conflict):
    """It is not known, but its data are there: nothing of them may be used or removed by accident."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}: restore the control database that knows it, or move the data away.")


class TenantElsewhere(Conflict):
    """Another process serves a tenant of this name in the same database."""


class TenantClosed(Conflict):
    """It was closed before."""

    def __init__(self, tenant: str) -> None:
        super().__init__(f"The tenant {tenant} is closed already.")


class TenantOpen(Conflict):
    """There is nothing to open."""

    def __init__(self, tenant: str) -> None:
        super().__init__(f"The tenant {tenant} is open already.")


class TenantNotOpen(Unavailable):
    """It was tried again, and the reason is still there."""

    def __init__(self, tenant: str, reason: str) -> None:
        super().__init__(f"The tenant {tenant} is not open: {reason}")
