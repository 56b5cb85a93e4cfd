"""Own sounds: announcements and music that a tenant sends, which its callers hear instead of the packaged ones, or beside them.

`files` (the tenant's folder) · `service` (convert, store, replace, delete) · `schemas` · `errors` · `routes`. What is heard under a name is
`acd.sounds`; the rows are a kind of the telephony setup, which knows what uses them and tells the exchange.
"""

from api.sounds.service import look

__all__ = ["look"]
