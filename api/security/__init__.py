"""Security: who guesses passwords, who is banned, and that both outlive a restart; the counting itself is `acd.guard`.

`service` (settings -> policy, the log file, the keeper) · `door` (HTTP middleware) · `repository` · `models` · `schemas` ·
`errors` · `routes`.
"""

from api.security.door import RefuseBanned
from api.security.service import Keeper, open_log, policy_of

__all__ = ["Keeper", "RefuseBanned", "open_log", "policy_of"]
