"""Identity: operators, users, roles, bearer tokens, API keys.

`access` (dependencies of routes) · `rules` (roles, tokens; pure) · `strength` (weak passwords) · `passwords` (Argon2id) · `hashing` (whose
is computed next) · `service` · `repository` · `models` · `schemas` · `errors` · `routes`. Other slices use what is named here.
"""

from api.identity.access import (
    Access,
    needed_by,
    needs,
    principal_of,
    record_refused,
)
from api.identity.hashing import Asker, TooManyHashes
from api.identity.passwords import Passwords
from api.identity.repository import user_of_agent
from api.identity.rules import Principal
from api.identity.schemas import Password, UserGiven, UserName
from api.identity.service import create_user, first_operator, user
from api.identity.strength import require_strong
from api.kit.permissions import EVERYBODY, Role

__all__ = [
    "EVERYBODY",
    "Access",
    "Asker",
    "Password",
    "Passwords",
    "Principal",
    "Role",
    "TooManyHashes",
    "UserGiven",
    "UserName",
    "create_user",
    "first_operator",
    "needed_by",
    "needs",
    "principal_of",
    "record_refused",
    "require_strong",
    "user",
    "user_of_agent",
]
