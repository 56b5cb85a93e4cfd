"""Identity: operators, users, roles, bearer tokens, API keys.

`access` (dependencies of routes) · `rules` (roles, tokens, failure window; pure) · `passwords` (Argon2id) · `service` · `repository` ·
`models` · `schemas` · `errors` · `routes`. Other slices use what is named here.
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
    principal_of,
)
from api.identity.passwords import Passwords
from api.identity.repository import user_of_agent
from api.identity.rules import EVERYBODY, FailureWindow, Principal, Role
from api.identity.schemas import Password, UserGiven, UserName
from api.identity.service import create_user, first_operator, user

__all__ = [
    "EVERYBODY",
    "Access",
    "FailureWindow",
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
    "Role",
    "UserGiven",
    "UserName",
    "create_user",
    "first_operator",
    "principal_of",
    "user",
    "user_of_agent",
]
