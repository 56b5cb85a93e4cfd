"""Who counts as one source, and how many connections strangers may hold: the rule of `sip`, for the API too."""

from sip.source import Network, address_of, is_within, network_of, source_of
from sip.strangers import Strangers

__all__ = ["Network", "Strangers", "address_of", "is_within", "network_of", "source_of"]
