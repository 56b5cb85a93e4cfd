"""Mail that is submitted to the operator's server (RFC 6409): put by a transaction, sent afterwards at least once (ADR 0022).

`compose` (message and addresses; pure) · `models` · `store` (all SQL) · `submit` (SMTP; shell) · `sender` (the job). Slices `put` a mail.
"""

from api.kit.mail.compose import AddressWrong, address
from api.kit.mail.sender import Mail
from api.kit.mail.store import put

__all__ = ["AddressWrong", "Mail", "address", "put"]
