"""What releases wrote, unpacked and restored (tests/vectors/releases, README.md there).

vector = Vector("0.1.0", "sqlite", "orderly")
data = vector.unpack(tmp_path)                      # the data folder: tmp_path / "data"
entries = list(read(vector.journal(data, "muster")))
assert len(entries) == vector.journals["muster"]["entries"]

async with vector.restored(tmp_path) as left:       # with its databases, on a private server where it needs one
    settings = Settings(data=left.data, database=left.database)
    async with service(tmp_path, **left.environment): ...    # or the whole service on it (tests/journeys/service.py)
"""

from __future__ import annotations

import contextlib
import itertools
import json
import lzma
import subprocess
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from api.config import Database
from tests.servers import DATABASES, databases_to_test, server

FOLDER = Path(__file__).parents[1] / "vectors" / "releases"
KINDS = {"0.1.0": tuple(DATABASES), "0.2.0": ("sqlite",)}
"""Release -> the databases it was run on; what 0.2.0 left has none in it, only journals."""
HOUSES = {
    "0.1.0": {"orderly": ("kanzlei", "laden", "muster", "praxis", "werbung"), "killed": ("cafe", "hotel", "verein")},
    "0.2.0": {
        "orderly": ("kanzlei", "laden", "muster", "praxis", "werbung", "werkstatt"),
        "killed": ("cafe", "hotel", "verein"),
        "given": ("pruefstand",),
    },
}
"""Release -> house -> its tenants."""
CLOSED = frozenset({"laden"})
"""Closed by the operator: never opened by the service, and nothing is said of them."""
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Left:
    """What a release left behind, where today's code finds it."""

    data: Path
    database: Database
    """The group of the settings of `api`."""

    @property
    def environment(self) -> dict[str, str]:
        """The same for `fernamt run`; the data folder is the caller's to name."""
        named = {"FERNAMT_DATABASE__CONTROL": self.database.control, "FERNAMT_DATABASE__TENANT_URL": self.database.tenant_url}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Vector:
    """One house of a release on one kind of database."""

    release: str
    kind: str
    """`sqlite`, `postgresql` or `mariadb`."""
    house: str
    """`orderly`, `killed` or `given`."""

    def __str__(self) -> str:
        return f"{self.release}-{self.kind}-{self.house}"

    @property
    def tenants(self) -> tuple[str, ...]:
        """All of them, the closed ones too."""
        return HOUSES[self.release][self.house]

    @property
    def expectations(self) -> dict[str, Any]:
        """The whole JSON; see the README. Not to be changed: it is read once."""
        return _expectations(self)

    @property
    def said(self) -> dict[str, dict[str, Any]]:
        """Tenant -> what the running release answered just before its end (not for closed tenants)."""
        found: dict[str, dict[str, Any]] = self.expectations["said"]
        return found

    @property
    def journals(self) -> dict[str, dict[str, Any]]:
        """Tenant -> what the release's own fold makes of the journal."""
        found: dict[str, dict[str, Any]] = self.expectations["journals"]
        return found

    def unpack(self, folder: Path) -> Path:
        """Unpack into a folder.

        Returns: the data folder `<folder>/data`, as the release left it; the dumps are in `<folder>/sql`.
        """
        with tarfile.open(self._file("tar.xz")) as archive:
            archive.extractall(folder, filter="data")
        return folder / "data"

    @staticmethod
    def journal(data: Path, tenant: str) -> Path:
        """The folder of a tenant's journal and snapshot."""
        return data / "tenants" / tenant

    @contextlib.asynccontextmanager
    async def restored(self, folder: Path, only: tuple[str, ...] | None = None) -> AsyncIterator[Left]:
        """Unpack, and restore the databases into fresh ones, which are dropped in the end; nothing is migrated yet.

        Args:
            only: of these tenants; None: of all.
        """
        data = self.unpack(folder)
        if self.kind == "sqlite":
            yield Left(data, Database())
            return
        prefix = f"released{next(_numbers)}_"
        names = [prefix + name for name in ("control", *(self.tenants if only is None else only))]
        create = {
            "postgresql": "CREATE DATABASE {};\n\\connect {}\n",
            "mariadb": "CREATE DATABASE {} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin; USE {};\n",
        }
        dumps = [(folder / "sql" / f"{name.removeprefix(prefix)}.sql").read_text(encoding="utf-8") for name in names]
        _run(self.kind, "".join(create[self.kind].format(name, name) + dump for name, dump in zip(names, dumps, strict=True)))
        try:
            yield Left(
                data, Database(control=server(self.kind).url(names[0]), tenant_url=server(self.kind).url(prefix + "{tenant}"), pool=2)
            )
        finally:
            force = " WITH (FORCE)" if self.kind == "postgresql" else ""
            _run(self.kind, "".join(f"DROP DATABASE {name}{force};\n" for name in names))

    def _file(self, suffix: str) -> Path:
        return FOLDER / self.release / self.kind / f"{self.house}.{suffix}"


@lru_cache(maxsize=8)
def _expectations(vector: Vector) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lzma.decompress(vector._file("json.xz").read_bytes()))
    return found


def _run(kind: str, script: str) -> None:
    """Have the server's own command line read a script; it stops at the first error."""
    url = make_url(server(kind).admin_url)
    where = [f"--host={url.host}", f"--port={url.port}"]
    if kind == "postgresql":
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *where, f"--username={url.username}", str(url.database)]
    else:
        command = ["mariadb", "--no-defaults", "--default-character-set=utf8mb4", *where, f"--user={url.username}"]
    done = subprocess.run(command, input=script.encode(), capture_output=True, timeout=60, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stderr.decode(errors='replace')}")


def vectors(release: str) -> list[Vector]:
    """Every vector of a release."""
    return [Vector(release, kind, house) for kind, house in itertools.product(KINDS[release], HOUSES[release])]


def needs_its_server(vector: Vector) -> None:
    """Skip the test when this kind of database is not among those to be tested."""
    if vector.kind not in databases_to_test():
        pytest.skip(f"{vector.kind} is not among FERNAMT_TEST_DATABASES")


def differences(told: Any, found: Any, place: str = "") -> list[str]:
    """Where an answer of today is not what was told then; a member that was not known then may be there.

    Returns: one line each, `place: was ..., is ...`; empty when all is as it was.
    """
    if isinstance(told, dict) and isinstance(found, dict):
        return [line for key, value in told.items() for line in differences(value, found.get(key, "(nothing)"), f"{place}.{key}")]
    if isinstance(told, list) and isinstance(found, list) and len(told) == len(found):
        return [
            line for at, (was, is_now) in enumerate(zip(told, found, strict=True)) for line in differences(was, is_now, f"{place}[{at}]")
        ]
    return [] if told == found and type(told) is type(found) else [f"{place}: was {told!r}, is {found!r}"]
