"""Webhooks: what happens is told to a tenant's own servers, signed (Standard Webhooks), tried again for days, and shown when it failed.

`rules` (signatures, retries, addresses; pure) · `models` · `schemas` · `repository` · `service` · `deliver` (subscriber and job; shell) ·
`events` · `errors` · `routes`. Other slices use what is named here.
"""

from api.webhooks.deliver import Webhooks

__all__ = ["Webhooks"]
