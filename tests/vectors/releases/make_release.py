"""Makes the vectors of a release by running it: real processes, real phones, real databases (see README.md beside it).

    git worktree add ../released v0.2.0
    python tests/vectors/releases/make_release.py --release ../released --out tests/vectors/releases/0.3.0

`--release` is a checkout of the release: its code and the tools of its tests are what runs, with the interpreter this is started with; this
folder only tells them what to play. `--only sqlite` makes one kind of database, `--journals-only` leaves the databases out. What exists is
replaced.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import io
import json
import lzma
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

HOUSES = ("orderly", "killed", "given")
PRESET = 9 | lzma.PRESET_EXTREME
LEFT_OUT = (".wav", ".sqlite-wal", ".sqlite-shm", ".sqlite")
"""Recordings are sounds; SQLite files go in by `VACUUM INTO`, which takes the write-ahead log with it."""
JOURNAL = ("journal", "snapshot")
READABLE = """
import sys
from pathlib import Path
from acd.journal import read
for entry in read(Path(sys.argv[1])):
    pass
"""
QUOTE_AS_DECLARED, QUOTE_AS_WRITTEN = "    quote: dict[str, str] | None = None\n", "    quote: dict[str, Any] | None = None\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, required=True, help="a checkout of the release")
    parser.add_argument("--out", type=Path, required=True, help="the folder of its vectors")
    parser.add_argument("--only", nargs="*", default=["sqlite", "postgresql", "mariadb"], help="kinds of databases")
    parser.add_argument("--journals-only", action="store_true", help="leave out the databases and what belongs to them")
    parser.add_argument("--houses", nargs="*", default=list(HOUSES), help="which of the houses")
    given = parser.parse_args()
    release = given.release.resolve()
    if os.environ.get("PYTHONPATH") != str(release):  # the release's code and nothing else: begin again with it
        words = ["--release", str(release), "--out", str(given.out.resolve()), "--only", *given.only, "--houses", *given.houses]
        words += ["--journals-only"] if given.journals_only else []
        environment = os.environ | {"PYTHONPATH": str(release)}
        sys.exit(
            subprocess.run([sys.executable, str(Path(__file__).resolve()), *words], env=environment, cwd=release, check=False).returncode
        )
    _correct_the_quote()
    for kind in given.only:
        for house in given.houses:
            with tempfile.TemporaryDirectory(prefix="fernamt-vector-") as folder:
                _make(kind, house, Path(folder), given.out, journals_only=given.journals_only)


def _correct_the_quote() -> None:
    """0.1.0 declares `CallOffered.quote` as a dictionary of strings and writes other things into it. To fold such a journal at all the type
    is set right here, in memory; the running service does not see it. Releases that declare it right are not touched.
    """
    spec = importlib.util.find_spec("acd.core.events")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    if QUOTE_AS_DECLARED not in source:
        return
    assert "acd.core.events" not in sys.modules, "the type was read already"
    module = ModuleType(spec.name)
    module.__spec__, module.__file__, module.__package__ = spec, spec.origin, "acd.core"
    sys.modules[spec.name] = module
    exec(compile(source.replace(QUOTE_AS_DECLARED, QUOTE_AS_WRITTEN), spec.origin, "exec"), module.__dict__)


def _make(kind: str, house: str, folder: Path, out: Path, *, journals_only: bool) -> None:
    from scenario import played

    settings: dict[str, str] = {}
    databases: dict[str, str] = {}
    if kind != "sqlite":
        from tests.servers import server

        settings = {
            "FERNAMT_DATABASE__CONTROL": server(kind).url(f"{house}_control"),
            "FERNAMT_DATABASE__TENANT_URL": server(kind).url(f"{house}_{{tenant}}"),
        }

    async def play() -> dict[str, Any]:
        async with played(house, folder, settings) as told:
            return told
        raise AssertionError("it does not come to this")

    told = asyncio.run(play())
    data = folder / "data"
    tenants = [one["id"] for one in told["tenants"]]
    journals = {tenant: _folded(data / "tenants" / tenant, tenant) for tenant in tenants}
    if kind != "sqlite":
        databases = {name: _dumped(kind, f"{house}_{name}") for name in ["control", *tenants]}
    target = out / kind
    target.mkdir(parents=True, exist_ok=True)
    _pack(target / f"{house}.tar.xz", data, databases, journals_only=journals_only)
    document = told | {"database": kind, "journals": journals}
    (target / f"{house}.json.xz").write_bytes(lzma.compress(json.dumps(document, indent=1, ensure_ascii=False).encode(), preset=PRESET))
    for tenant in tenants:
        cdrs = len(told["said"][tenant]["cdrs"]) if tenant in told["said"] else "-"
        journal = journals[tenant]
        print(f"{kind} {house} {tenant}: {journal['entries']} entries, {cdrs} records, snapshot: {journal['snapshot']}", flush=True)  # noqa: T201


def _folded(directory: Path, tenant: str) -> dict[str, Any]:
    """What the release makes of the journal it wrote."""
    from public_state import public_state

    from acd.core.ids import TenantId
    from acd.core.replay import fold
    from acd.journal import read

    (place,) = {file.parent for file in directory.rglob("journal-*.log")}
    entries = list(read(place))
    readable = subprocess.run([sys.executable, "-c", READABLE, str(place)], capture_output=True, text=True, check=False)
    inputs = Counter(type(entry.input).__name__ for entry in entries)
    events = Counter(type(event).__name__ for entry in entries for event in entry.events)
    return {
        "entries": len(entries),
        "last_seq": entries[-1].seq,
        "last_now": entries[-1].now,
        "inputs": dict(sorted(inputs.items())),
        "events": dict(sorted(events.items())),
        "words": _words(entries),
        "snapshot": any(directory.rglob("snapshot")),
        "read_by_the_release": readable.returncode == 0,
        "why_not": None if readable.returncode == 0 else readable.stderr.strip().splitlines()[-1].replace(str(place), "journal"),
        "state": public_state(fold(entries, TenantId(tenant)).state),
    }


def _words(entries: list[Any]) -> dict[str, list[str]]:
    """Every kind of value that was written, and which of its fields held something else than their default at least once."""
    found: dict[str, set[str]] = {}
    defaults: dict[type, dict[str, Any]] = {}

    def walk(value: Any) -> None:
        if isinstance(value, msgspec.Struct):
            kind = type(value)
            if kind not in defaults:
                defaults[kind] = {one.name: one.default for one in msgspec.structs.fields(kind)}
            told = {name: getattr(value, name) for name in defaults[kind]}
            found.setdefault(kind.__name__, set()).update(name for name, one in told.items() if one != defaults[kind][name])
            for one in told.values():
                walk(one)
        elif isinstance(value, dict | list | tuple):
            for one in value.values() if isinstance(value, dict) else value:
                walk(one)

    for entry in entries:
        walk((entry.input, entry.events))
    return {name: sorted(fields) for name, fields in sorted(found.items())}


def _dumped(kind: str, database: str) -> str:
    """The database as SQL text that the database's own command line reads."""
    from sqlalchemy import make_url

    from tests.servers import server

    url = make_url(server(kind).url(database))
    where = [f"--host={url.host}", f"--port={url.port}", f"--user={url.username}"]
    if kind == "postgresql":
        command = ["pg_dump", *where, "--inserts", "--no-owner", "--no-privileges", "--no-comments", database]
    else:
        command = [
            "mariadb-dump",
            *where,
            "--skip-dump-date",
            "--default-character-set=utf8mb4",
            "--no-tablespaces",
            "--hex-blob",
            database,
        ]
    done = subprocess.run(command, capture_output=True, check=True)
    lines = done.stdout.decode("utf-8").splitlines(keepends=True)
    # Commands of this version's own command line, which others refuse.
    return "".join(line for line in lines if not line.startswith(("\\", "/*M!999999", "-- ", "--\n", "SET transaction_timeout")))


def _pack(path: Path, data: Path, databases: dict[str, str], *, journals_only: bool) -> None:
    """The data folder as `data/`, the dumps as `sql/<name>.sql`; or of it all only the tenants' journals and snapshots."""
    with lzma.open(path, "wb", preset=PRESET) as packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in sorted(one for one in data.rglob("*") if one.is_file()):
            if journals_only and not file.name.startswith(JOURNAL):
                continue
            name = f"data/{file.relative_to(data)}"
            if file.suffix == ".sqlite":
                _add(archive, name, _vacuumed(file))
            elif not file.name.endswith(LEFT_OUT):
                _add(archive, name, file.read_bytes())
        for database, text in () if journals_only else sorted(databases.items()):
            _add(archive, f"sql/{database}.sql", text.encode())


def _vacuumed(file: Path) -> bytes:
    small = file.with_suffix(".vacuumed")
    connection = sqlite3.connect(file)
    connection.execute("VACUUM INTO ?", (str(small),))
    connection.close()
    octets = small.read_bytes()
    small.unlink()
    return octets


def _add(archive: tarfile.TarFile, name: str, octets: bytes) -> None:
    told = tarfile.TarInfo(name)
    told.size, told.mode = len(octets), 0o644
    archive.addfile(told, io.BytesIO(octets))


if __name__ == "__main__":
    main()
