"""`fernamt secrets check | reseal | new-key`: what is stored under which key, and a change of the key (docs/secrets.md)."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from acd.core.ids import TenantId
from acd.data_lock import DataLock
from acd.errors import CannotStart, VoiceServiceError
from api import keyring, tenants
from api.commands.journal import shut
from api.config import Secrets as SecretsSettings
from api.config import Settings, SettingsError
from api.db import Databases, tenant_url
from api.kit.sealing import Keys
from api.outages import DataMissing, place, sentence
from api.stored_secrets import reseal, sealed_values

_SOME = 3
"""So many values that do not open are named, of each tenant."""


class Secrets:
    """The subcommand."""

    help = "check the keys of stored secrets, seal everything anew under the first, draw a key"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        acts = parser.add_subparsers(dest="act", required=True, metavar="{check,reseal,new-key}")
        for name, text in (
            ("check", "say what is sealed under which key and whether it opens; changes nothing, also beside a running service"),
            ("reseal", "seal everything under the first key, closed tenants too. The service must not run"),
            ("new-key", "print a new key for the file of keys, with its name in a comment above it"),
        ):
            act = acts.add_parser(name, help=text, description=text)
            if name != "new-key":
                act.add_argument("--config", type=Path, metavar="FILE", help="settings; default FERNAMT_CONFIG, else ./fernamt.toml")
                act.add_argument("--data", type=Path, metavar="DIR", help="data directory; default that of the settings")
                act.add_argument("--key-file", type=Path, metavar="FILE", help="file of keys, where the service has it as a credential")

    def run(self, args: argparse.Namespace) -> int:
        """Exit status 0: well or done; 1: something stands in clear, under an older key or does not open; 2: not possible."""
        if args.act == "new-key":
            print(keyring.told(keyring.new_key()))
            return 0
        try:
            settings = Settings.load(args.config)
        except SettingsError as error:
            print("\n".join(error.problems), file=sys.stderr)
            return 2
        if args.data is not None:
            settings = settings.model_copy(update={"data": args.data})
        if args.key_file is not None:
            settings = settings.model_copy(update={"secrets": SecretsSettings(key_file=args.key_file)})
        try:
            if args.act == "check":
                return asyncio.run(_check(settings, _keys_to_check(settings)))
            keyring.load(settings, make=False)  # a key made here would be another than the service's
            with DataLock(settings.data):
                shut(settings.data)
                return asyncio.run(_reseal(settings))
        except (OSError, VoiceServiceError, SQLAlchemyError, DataMissing) as error:
            print(f"fernamt secrets {args.act}: {sentence(error) or error}", file=sys.stderr)
            return 2


def _keys_to_check(settings: Settings) -> Keys | None:
    """Those there are; None: our own file is not there, which is said, and what it would have to hold can be told all the same.

    Raises: CannotStart
    """
    try:
        return keyring.load(settings, make=False)
    except CannotStart as error:
        if not keyring.is_to_be_made(settings):
            raise
        print(f"fernamt secrets check: {error}", file=sys.stderr)
        return None


async def _check(settings: Settings, given: Keys | None) -> int:
    keys = given or Keys((keyring.new_key(),), "no file")  # under one that nobody has, nothing is sealed
    if given is not None:
        print(f"keys in {keys.source}: {', '.join(key.id for key in keys.every)}; new values are sealed under {keys.first.id}")
    databases = Databases(settings)
    status = 0
    try:
        await databases.look(keys)
        async with databases.unit(None) as unit:
            known = await tenants.every(unit.session)
        for tenant, is_active in known.items():
            with _told(settings, tenant, is_active=is_active) as failed:
                await databases.look_at_tenant(tenant)
                async with databases.unit(tenant) as unit:
                    under, troubles = await sealed_values(unit.session)
                print(f"{tenant}: {_counted(under, keys)}")
                for trouble in troubles[:_SOME]:
                    print(f"  {trouble}")
                if len(troubles) > _SOME:
                    print(f"  … and {len(troubles) - _SOME} more")
                status |= bool(troubles) or bool(under.keys() - {keys.first.id})
            status |= bool(failed)
    finally:
        await databases.close()
    return status


def _counted(under: Counter[str | None], keys: Keys) -> str:
    if not under:
        return "no secrets"
    known = {key.id for key in keys.every}
    told = [
        f"{number} in clear" if key is None else f"{number} under key {key}{'' if key in known else ', WHICH IS MISSING'}"
        for key, number in sorted(under.items(), key=str)
    ]
    return "; ".join(told)


async def _reseal(settings: Settings) -> int:
    databases = Databases(settings)
    status = 0
    try:
        await databases.open()
        print(f"sealing under key {databases.keys.first.id}, the first of {databases.keys.source}")
        async with databases.unit(None) as unit:
            known = await tenants.every(unit.session)
        for tenant, is_active in known.items():
            with _told(settings, tenant, is_active=is_active) as failed:
                await databases.open_tenant(tenant)
                async with databases.unit(tenant) as unit:
                    sealed = await reseal(unit.session)
                await databases.scrub(tenant, anew=True)
                await databases.close_tenant(tenant)
                print(f"{tenant}: {sealed} secrets were sealed anew")
            status |= bool(failed)
    finally:
        await databases.close()
    if status:
        print("keep the older keys: not everything is under the first one", file=sys.stderr)
    return status


@contextmanager
def _told(settings: Settings, tenant: TenantId, *, is_active: bool) -> Iterator[list[str]]:
    """What keeps one tenant from its turn is said, and the others have theirs. Of a closed one the data may have been removed."""
    failed: list[str] = []
    try:
        yield failed
    except Exception as error:
        told = sentence(error, place(tenant_url(settings, tenant)))
        if told is None:
            raise
        if is_active or not isinstance(error, DataMissing):
            failed.append(told)
        print(f"{tenant}{'' if is_active else ' (closed)'}: {told}", file=sys.stderr)


command = Secrets()
