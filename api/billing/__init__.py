"""Billing: tariff plans as versioned documents, CDRs, charges with their trace, exports, a month and its invoice, rating again.

`plans` (for the voice service, and as a book to rate by) · `service` · `repository` · `models` · `schemas` · `errors` · `routes`.
"""

from api.billing.plans import plan_documents

__all__ = ["plan_documents"]
