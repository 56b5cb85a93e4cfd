"""What identity is made of."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from api.errors import Unprocessable
from api.identity import models
from api.identity.events import EVENTS
from api.identity.passwords import Passwords
from api.identity.permissions import PERMISSIONS
from api.identity.routes import router
from api.identity.service import first_operator
from api.kit.slices import Slice
from api.shared import Shared

log = logging.getLogger(__name__)


async def _first_operator(this: Shared) -> None:
    services, passwords = this.services, this.part(Passwords)
    operator = services.settings.operator
    password = operator.password.get_secret_value() if operator.password is not None else None
    try:
        await passwords.accept(password, (operator.username,), "operator.password")
    except Unprocessable as error:  # it goes on working: who runs the platform is told at each start
        log.warning("! the operator's password in the settings: %s", error.detail)
    async with services.databases.unit(None) as unit:
        this.operator_password = await first_operator(unit.session, passwords, operator.username, password, services.clock())


def _figures(this: Shared) -> Mapping[str, float]:
    return this.part(Passwords).hashing.figures()


SLICE = Slice(
    tag="identity",
    says="Log in, users, API keys.",
    routers=(router,),
    permissions=PERMISSIONS,
    models=(models,),
    events=EVENTS,
    personal={"listUsers": "user", "getUser": "user"},
    impersonal=frozenset({"whoAmI", "listApiKeys"}),  # what the asker knows; programs
    answered={"createUser": "user", "changeUser": "user"},
    # nothing is answered, or what the asker knows
    unanswered=frozenset({"logIn", "logOut", "changePassword", "deleteUser", "createApiKey", "deleteApiKey"}),
    public=frozenset({"logIn"}),
    parts=(lambda services: Passwords(services.settings.login),),
    starts=(_first_operator,),
    figures=(_figures,),
    metrics={
        "fernamt_password_hashes": "Passwords that are being computed, and requests that wait for theirs.",
        "fernamt_password_hashes_refused_total": "Log-ins that were told to come again because too many wanted to be judged at once.",
    },
)
