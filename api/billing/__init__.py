"""Billing: tariff plans as versioned documents, CDRs, charges with their trace, exports, totals of a month.

`plans` (for the voice service) · `service` · `repository` · `models` · `schemas` · `errors` · `routes`.
"""

from api.billing.plans import plan_documents

__all__ = ["plan_documents"]
