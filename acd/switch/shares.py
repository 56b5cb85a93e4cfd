"""Which share of the common resources a call or request takes from: the tenant's, by its weight, and in it the trunk's or the phone's."""

from __future__ import annotations

from collections.abc import Mapping

from acd.core.ids import TenantId, TrunkId
from acd.directory import Directory
from sip.share import Share

PHONES = "phones"
"""The line of all phones of a tenant together; no trunk's, whose names begin with `trunk `."""


class Shares:
    """Follows the directory: a tenant more makes everybody's part smaller from the next call on.

    Args:
        weights: of tenants that count for more, or less, than 1. The operator's to give, not the tenant's.
    """

    def __init__(self, directory: Directory, weights: Mapping[str, float]) -> None:
        self._directory = directory
        self._weights = {TenantId(tenant): weight for tenant, weight in weights.items()}

    def of_trunk(self, tenant: TenantId, trunk: TrunkId, *, urgent: bool = False) -> Share:
        """Of what comes over a trunk."""
        return self._of(tenant, f"trunk {trunk}", 1 / self._lines(tenant), urgent=urgent)

    def of_phone(self, tenant: TenantId, username: str, *, urgent: bool = False) -> Share:
        """Of one phone: it may be one of hundreds, so it has no part of its own, but its turn like every other."""
        return self._of(tenant, f"phone {username}", 0.0, urgent=urgent)

    def of_phones(self, tenant: TenantId, *, urgent: bool = False) -> Share:
        """Of all phones and desks together."""
        return self._of(tenant, PHONES, 1 / self._lines(tenant), urgent=urgent)

    def _lines(self, tenant: TenantId) -> int:
        """Trunks, and the phones."""
        setup = self._directory.setups.get(tenant)
        return 1 + (len(setup.trunks) if setup is not None else 0)

    def _of(self, tenant: TenantId, line: str, line_part: float, *, urgent: bool) -> Share:
        weight = self._weights.get(tenant, 1.0)
        return Share(tenant, line, weight, min(1.0, weight / self._total()), line_part, urgent)

    def _total(self) -> float:
        """The weights of all tenants, of which only those that differ from 1 need a look."""
        setups = self._directory.setups
        return max(1.0, len(setups)) + sum(weight - 1.0 for tenant, weight in self._weights.items() if tenant in setups)
