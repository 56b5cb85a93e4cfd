"""Who counts as one source, and how many connections strangers may hold: the rule of `sip`, for the API too."""

from sip.strangers import Network, Strangers, address_of, is_within, source_of

__all__ = ["Network", "Strangers", "address_of", "is_within", "source_of"]
