"""Before a key of stored secrets is made: whether there are secrets already that another key has sealed (docs/secrets.md).

Who restores the databases without the key must hear of it at once, and not find a new key under which the next password is sealed.
"""

from __future__ import annotations

import contextlib
from collections import Counter

from sqlalchemy.exc import SQLAlchemyError

from acd.errors import CannotStart
from api import keyring, tenants
from api.config import Settings
from api.db import Databases
from api.kit.sealing import Keys
from api.outages import DataMissing
from api.stored_secrets import sealed_values
from billing_cdr.outage import Unreachable

_SOME = 5
"""So many tenants are named."""


async def refuse(settings: Settings) -> None:
    """Do nothing where the key is there, or nothing was sealed yet.

    Raises: CannotStart: a key would be made though secrets are sealed under another one.
    """
    if not keyring.is_to_be_made(settings):
        return
    databases = Databases(settings)
    under: Counter[str] = Counter()
    whose: list[str] = []
    try:
        # What is not there, does not answer or is of an older release says so itself in a moment, or holds nothing that is sealed.
        with contextlib.suppress(DataMissing, Unreachable, SQLAlchemyError):
            await databases.look(Keys((keyring.new_key(),), "no file"))
            async with databases.unit(None) as unit:
                known = await tenants.every(unit.session)
            for tenant in known:
                with contextlib.suppress(DataMissing, Unreachable, SQLAlchemyError):
                    await databases.look_at_tenant(tenant)
                    async with databases.unit(tenant) as unit:
                        found, _ = await sealed_values(unit.session)
                    of_tenant = Counter({key: number for key, number in found.items() if key is not None})
                    under += of_tenant
                    whose += [tenant] * bool(of_tenant)
    finally:
        await databases.close()
    if under:
        raise CannotStart(_sentence(settings, under, whose))


def _sentence(settings: Settings, under: Counter[str], whose: list[str]) -> str:
    named = ", ".join(whose[:_SOME]) + (f" and {len(whose) - _SOME} more" if len(whose) > _SOME else "")
    keys = " and ".join(f"key {key}" for key in sorted(under))
    path = keyring.place(settings)
    return (
        f"the key of the stored secrets is not there ({path}), and {under.total()} secrets of {named} are sealed under {keys}: put that "
        "key back, from the copy that was kept apart from the backup of the data, or name its file as secrets.key_file. If it is lost for "
        f"good, `fernamt secrets new-key > {path}` begins with a new one; what was sealed must then be set anew (docs/secrets.md)"
    )
