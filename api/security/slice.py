"""What security is made of."""

from __future__ import annotations

from collections.abc import Mapping

from api.kit.slices import Slice
from api.security import models
from api.security.permissions import PERMISSIONS
from api.security.routes import router
from api.security.service import Keeper
from api.shared import Shared


async def _start(this: Shared) -> None:
    await this.part(Keeper).start()


async def _stop(this: Shared) -> None:
    await this.part(Keeper).close()


def _figures(this: Shared) -> Mapping[str, float]:
    return this.services.guard.figures()


SLICE = Slice(
    tag="security",
    says="Who guesses passwords, and who is banned for it.",
    routers=(router,),
    permissions=PERMISSIONS,
    models=(models,),
    impersonal=frozenset({"listBans", "listAttempts"}),  # the platform's: companies, not people
    unanswered=frozenset({"liftBan"}),
    parts=(Keeper,),
    starts=(_start,),
    stops=(_stop,),
    figures=(_figures,),
    metrics={
        "fernamt_security_attempts_total": "Log-ins tried, by protocol and outcome: failed, throttled (password not looked at), succeeded.",
        "fernamt_security_bans": "Addresses that are banned at this moment.",
        "fernamt_security_bans_total": "Bans that were made since the start.",
        "fernamt_security_kept": "Users, addresses and pairs of both of which something is remembered because of wrong passwords.",
    },
)
