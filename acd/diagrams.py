"""State tables as Mermaid `stateDiagram-v2`: `python -m acd.diagrams` writes docs/diagrams, `--check` fails when stale.

Picture and code cannot drift apart, because the picture is made from the table that runs.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

CORE = ("call", "leg", "agent", "work", "queue", "queue_entry")
ENCRYPTED_LEG = ("ice", "dtls")
FOLDER = Path("docs/diagrams")


class Arrow(Protocol):
    """An edge of any machine of the house."""

    @property
    def state(self) -> StrEnum: ...
    @property
    def actions(self) -> tuple[StrEnum, ...]: ...


Table = Mapping[StrEnum, Mapping[StrEnum, Arrow]]


def tables() -> Iterable[tuple[str, ModuleType]]:
    """Every module with a state table: the core's six, the switch's, those of the SIP stack, and of an encrypted leg."""
    for name in CORE:
        yield f"core-{name.replace('_', '-')}", importlib.import_module(f"acd.core.machines.{name}")
    yield "switch-screen-pop", importlib.import_module("acd.switch.screen_pop")
    for package in ("sip", "sip.session", "sip.usage", "sip.transaction", "sip.sdp"):
        for found in sorted(pkgutil.iter_modules(importlib.import_module(package).__path__), key=lambda one: one.name):
            module = importlib.import_module(f"{package}.{found.name}")
            if hasattr(module, "TRANSITIONS"):
                name = package.rpartition(".")[2] if found.name == "machine" else found.name
                yield f"sip-{name.replace('_', '-')}", module
    for name in ENCRYPTED_LEG:
        yield f"media-{name}", importlib.import_module(f"media.transport.{name}")


def render(table: Table, title: str) -> str:
    """One table as a diagram: an arrow per state and input, actions after a slash; states without a way out lead to the end."""
    lines = [f"%% {title}", "%% Made by `python -m acd.diagrams`; change the table, not this file.", "stateDiagram-v2"]
    first = next(iter(table))
    lines.append(f"    [*] --> {first.name}")
    for state, row in table.items():
        for step, edge in row.items():
            actions = f" / {', '.join(action.value for action in edge.actions)}" if edge.actions else ""
            lines.append(f"    {state.name} --> {edge.state.name}: {step.name.lower()}{actions}")
        if not row:
            lines.append(f"    {state.name} --> [*]")
    return "\n".join(lines) + "\n"


def diagrams() -> dict[str, str]:
    """File name -> text of every diagram."""
    made = {}
    for name, module in tables():
        title = (module.__doc__ or name).strip().splitlines()[0]
        made[f"{name}.mmd"] = render(cast("Table", module.TRANSITIONS), title)
    return made


def stale(folder: Path) -> list[str]:
    """Names of the diagrams in `folder` that differ from the tables, are missing, or have no table any more."""
    wanted = diagrams()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.mmd")} if folder.is_dir() else {}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def main(arguments: list[str] | None = None) -> int:
    """Write the diagrams, or say which are stale."""
    parser = argparse.ArgumentParser(prog="python -m acd.diagrams", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a diagram is stale")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    old = stale(options.folder)
    if options.check:
        for name in old:
            sys.stderr.write(f"{options.folder / name} is stale; run: python -m acd.diagrams\n")
        return 1 if old else 0
    options.folder.mkdir(parents=True, exist_ok=True)
    wanted = diagrams()
    for name in old:
        path = options.folder / name
        if name in wanted:
            path.write_text(wanted[name], encoding="utf-8")
        else:
            path.unlink()
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
