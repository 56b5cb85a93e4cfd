"""One alias a module: what CONTRIBUTING lists is what is written, and no room calls a module of ours by two names."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("acd", "sip", "media", "billing_cdr", "api", "load")
FROZEN = ROOT / "tests/vectors"
"""Made with the code of a release."""


def modules() -> set[str]:
    found = set()
    for file in (file for room in (*ROOMS, "tests") for file in (ROOT / room).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def local_names(*folders: str) -> dict[str, dict[str, set[str]]]:
    """Module of ours -> what it is called -> in which files."""
    ours, found = modules(), defaultdict[str, dict[str, set[str]]](lambda: defaultdict(set))
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py") if not file.is_relative_to(FROZEN)):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                for one in node.names:
                    if f"{node.module}.{one.name}" in ours:
                        found[f"{node.module}.{one.name}"][one.asname or one.name].add(str(file.relative_to(ROOT)))
    return found


def listed() -> dict[str, str]:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return dict(re.findall(r"^\s*\| `([a-z0-9_.]+)` \| `([a-z_]+)` \|$", text, re.MULTILINE))


def test_what_is_listed_is_what_is_written_everywhere() -> None:
    names, table = local_names(*ROOMS, "tests"), listed()
    assert len(table) > 8
    for module, alias in table.items():
        assert names[module].keys() == {alias}, {name: sorted(files) for name, files in names[module].items() if name != alias}


def test_no_module_has_two_names() -> None:
    names = local_names(*ROOMS)
    wrong = [f"{module} is called {' and '.join(sorted(known))}" for module, known in sorted(names.items()) if len(known) > 1]
    assert not wrong, "\n".join(wrong)


def test_every_alias_is_listed_where_several_need_it() -> None:
    table = listed()
    for module, known in local_names(*ROOMS).items():
        for name, files in known.items():
            if name != module.rpartition(".")[2] and len(files) > 2:
                assert table.get(module) == name, f"{module} is {name} in {sorted(files)}"
