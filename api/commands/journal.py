"""`fernamt journal check | repair | export`: is every entry there, what would a repair lose, what does it say (docs/operating.md)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import sys
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from acd import data_modes
from acd.core.ids import TenantId
from acd.data_lock import DataLock
from acd.errors import CannotStart, VoiceServiceError
from acd.journal import care
from api.config import Settings, SettingsError
from api.db import make_engine, tenant_directory, tenant_url
from billing_cdr import store
from billing_cdr.sink import FEED


class Journal:
    """The subcommand."""

    help = "check, repair or export the journals"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        acts = parser.add_subparsers(dest="act", required=True, metavar="{check,repair,export}")
        for name, text in (
            ("check", "read every entry and say what is not as it was written; changes nothing, also beside a running service"),
            ("repair", "say what a repair would lose; with --accept-loss do it. The service must not run; originals are kept"),
            ("export", "write entries as JSON, one a line"),
        ):
            act = acts.add_parser(name, help=text, description=text)
            act.add_argument("tenant", nargs="?" if name == "check" else None, help="its id" + (", default all" if name == "check" else ""))
            act.add_argument("--config", type=Path, metavar="FILE", help="settings; default FERNAMT_CONFIG, else ./fernamt.toml")
            act.add_argument("--data", type=Path, metavar="DIR", help="data directory; default that of the settings")
        acts.choices["repair"].add_argument("--accept-loss", action="store_true", help="write the repaired journal")
        acts.choices["export"].add_argument("--call", help="only entries about this call")
        acts.choices["export"].add_argument("--first", type=int, default=1, metavar="SEQ", help="from this entry on")
        acts.choices["export"].add_argument("--last", type=int, metavar="SEQ", help="up to this entry")

    def run(self, args: argparse.Namespace) -> int:
        """Exit status 0: sound or done; 1: damaged, or something would be lost; 2: not possible."""
        try:
            settings = Settings.load(args.config)
        except SettingsError as error:
            print("\n".join(error.problems), file=sys.stderr)
            return 2
        if args.data is not None:
            settings = settings.model_copy(update={"data": args.data})
        try:
            return {"check": _check, "repair": _repair, "export": _export}[args.act](settings, args)
        except (OSError, VoiceServiceError) as error:
            print(f"fernamt journal {args.act}: {error}", file=sys.stderr)
            return 2


def _directories(settings: Settings, tenant: str | None) -> list[tuple[TenantId, Path]]:
    """Tenants with a journal.

    Raises: OSError: there is none of that name.
    """
    folder = settings.data / "tenants"
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no data directory with tenants at {settings.data}")
    names = [tenant] if tenant is not None else sorted(path.name for path in folder.glob("*") if path.is_dir())
    found = [(TenantId(name), tenant_directory(settings, TenantId(name))) for name in names]
    for name, directory in found:
        if not directory.is_dir():
            raise FileNotFoundError(f"there is no tenant {name} in {folder}")
    return found


def shut(data: Path) -> None:
    """What is written here is for us alone, and so is what lies beside it.

    Raises: CannotStart: something cannot be mended.
    """
    found = data_modes.mend(data, of=data_modes.OURS)
    if found.mended:
        print(f"{found.mended} of {found.looked} files and folders in {data} were open to others on this machine: mended")
    if found.is_refused:
        raise CannotStart(found.sentence(data))


def _at(instant: float | None) -> str:
    return "-" if instant is None else f"{dt.datetime.fromtimestamp(instant, dt.UTC):%Y-%m-%d %H:%M:%S}"


def _check(settings: Settings, args: argparse.Namespace) -> int:
    sound = True
    for tenant, directory in _directories(settings, args.tenant):
        report = care.check(directory)
        print(f"{tenant}: {sum(file.entries for file in report.files)} entries up to {report.last} in {directory}")
        for file in report.files:
            span = f"{file.first}-{file.last}" if file.entries else "empty"
            versions = ",".join(map(str, sorted(file.words))) or "-"
            print(
                f"  {file.name}  {file.octets} octets  entries {span}  {_at(file.began_at)} to {_at(file.ended_at)} UTC  words {versions}"
            )
        for first, last in report.gaps:
            print(f"  entries {first} to {last} were given up by an earlier repair")
        for trouble in report.troubles:
            meaning = (
                "torn, is kept aside at the next start" if trouble.torn else "written by a later release" if trouble.later else "DAMAGED"
            )
            print(f"  {meaning}: {trouble.sentence()}")
        end = _known(settings, tenant, directory)
        if end > report.last and not report.is_of_a_later_release:
            print(f"  DAMAGED: the journal ends at entry {report.last}, but the database or the snapshot holds entry {end}")
        sound = sound and report.is_sound and end <= report.last
    return 0 if sound else 1


def _known(settings: Settings, tenant: TenantId, directory: Path) -> int:
    """The entry up to which snapshot and database hold something."""

    async def position() -> int:
        engine = make_engine(tenant_url(settings, tenant), 1)
        try:
            return await store.position(engine, FEED) or 0
        finally:
            await engine.dispose()

    known = care.known_to_snapshot(directory)
    url = tenant_url(settings, tenant)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        print(f"  (no database at {url.database}: what it holds is not compared)")
        return known
    try:
        return max(known, asyncio.run(position()))
    except (SQLAlchemyError, OSError) as error:
        print(f"  (the tenant's database does not answer, what it holds is not compared: {str(error).splitlines()[0]})")
        return known


def _repair(settings: Settings, args: argparse.Namespace) -> int:
    ((tenant, directory),) = _directories(settings, args.tenant)
    with DataLock(settings.data):
        shut(settings.data)
        if care.check(directory).is_of_a_later_release:
            raise CannotStart(
                f"tenant {tenant}: a later release has written in {directory}; nothing is damaged, and nothing to be repaired"
            )
        plan = care.plan(directory, tenant, _known(settings, tenant, directory))
        if not plan.is_needed:
            print(f"{tenant}: nothing is damaged")
            return 0
        spans = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in plan.lost)
        print(f"{tenant}: {plan.entries_lost} entries are lost" + (f": {spans}" if spans else ""))
        if plan.doubled:
            print(f"  {plan.doubled} records that stand there twice are left out once")
        print("  calls that lose something: " + (", ".join(plan.calls) if plan.calls else "none that is known"))
        print("  records and charges that are in the database stay there")
        if not args.accept_loss:
            print("  nothing was changed; --accept-loss writes the repaired journal and keeps the originals")
            return 1
        for original in care.repair(plan, "fernamt journal repair"):
            print(f"  kept the original: {original}")
        print(f"{tenant}: repaired; the service can be started")
    return 0


def _export(settings: Settings, args: argparse.Namespace) -> int:
    ((tenant, directory),) = _directories(settings, args.tenant)
    status, entries = 0, 0
    with contextlib.suppress(BrokenPipeError):
        for document in care.export(directory, args.call, args.first, args.last):
            if "trouble" not in document:
                entries += 1
            elif not document["torn"]:
                status = 1
            print(json.dumps(document, ensure_ascii=False))
        if not entries and not status and (args.call is not None or args.first > 1 or args.last is not None):
            raise NothingFound(tenant, args)
    return status


class NothingFound(VoiceServiceError):
    """The journal has no entry like those that were asked for."""

    def __init__(self, tenant: TenantId, args: argparse.Namespace) -> None:
        about = f" about a call {args.call}" if args.call is not None else ""
        span = f" from {args.first}" if args.first > 1 else ""
        span += f" up to {args.last}" if args.last is not None else ""
        super().__init__(f"the journal of {tenant} has no entry{span}{about}; `fernamt journal check {tenant}` says which there are")


command = Journal()
