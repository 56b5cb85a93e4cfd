"""Identity: operators, users, roles, bearer tokens, API keys.

`access` (dependencies of routes) · `rules` (roles, tokens; pure) · `strength` (weak passwords) · `passwords` (Argon2id) · `hashing` (whose
is computed next) · `service` · `repository` · `models` · `schemas` · `errors` · `routes`. Other slices use what is named here.
"""

from api.identity.access import (
    Access,
    ForAdmins,
    ForAll,
    ForAnyone,
    ForBilling,
    ForDesk,
    ForOperators,
    ForReaders,
    ForSupervisors,
    Requires,
    RequiresAudited,
    principal_of,
    record_refused,
)
from api.identity.hashing import Asker, TooManyHashes
from api.identity.passwords import Passwords
from api.identity.repository import user_of_agent
from api.identity.rules import EVERYBODY, Principal, Role
from api.identity.schemas import Password, UserGiven, UserName
from api.identity.service import create_user, first_operator, user
from api.identity.strength import require_strong

__all__ = [
    "EVERYBODY",
    "Access",
    "Asker",
    "ForAdmins",
    "ForAll",
    "ForAnyone",
    "ForBilling",
    "ForDesk",
    "ForOperators",
    "ForReaders",
    "ForSupervisors",
    "Password",
    "Passwords",
    "Principal",
    "Requires",
    "RequiresAudited",
    "Role",
    "TooManyHashes",
    "UserGiven",
    "UserName",
    "create_user",
    "first_operator",
    "principal_of",
    "record_refused",
    "require_strong",
    "user",
    "user_of_agent",
]
