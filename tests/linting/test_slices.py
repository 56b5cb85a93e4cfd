"""The contract of slices would notice: whoever reaches into one, a public module that is none any more, and no slice at all."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from grimp import ImportGraph, build_graph

from api.slices import NAMES
from tests.linting.slices import SlicesContract

MODULES = ("api", "api.app", "api.kit", "api.kit.ids", "api.crm", "api.crm.slice", "api.crm.models", "api.crm.schemas")
TICKETS = ("api.tickets", "api.tickets.slice", "api.tickets.service")


def checked(imports: list[tuple[str, str]], public: list[str] | None = None, modules: tuple[str, ...] = MODULES + TICKETS) -> Any:
    graph = ImportGraph()
    for module in modules:
        graph.add_module(module)
    for importer, imported in imports:
        graph.add_import(importer=importer, imported=imported)
    options = {"root": "api", "public": public or []}
    return SlicesContract("slices", {"root_packages": ["api"]}, options).check(graph, verbose=False)


def test_a_slice_imports_its_own_and_what_others_export() -> None:
    own = [("api.crm", "api.crm.models"), ("api.crm.models", "api.crm.schemas")]
    assert checked([*own, ("api.tickets.service", "api.crm"), ("api.crm.models", "api.kit.ids"), ("api.app", "api.crm")]).kept


@pytest.mark.parametrize("importer", ["api.app", "api.kit.ids", "api.tickets.service", "api.tickets"])
def test_whoever_reaches_inside_is_named(importer: str) -> None:
    found = checked([(importer, "api.crm.models")])
    assert (found.kept, found.metadata["wrong"]) == (False, {"api.crm": [(importer, "api.crm.models")]})


def test_a_public_module_may_be_imported_and_is_taken_off_the_list_when_nobody_does() -> None:
    assert checked([("api.app", "api.crm.schemas")], ["api.crm.schemas"]).kept
    assert checked([("api.crm", "api.crm.schemas")], ["api.crm.schemas"]).metadata["needless"] == ["api.crm.schemas"]


def test_without_slices_nothing_is_kept() -> None:
    assert not checked([], modules=("api", "api.app")).kept


def test_it_watches_every_slice_of_the_api() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (ours,) = [one for one in contracts if one["type"] == "slices"]
    options = {key: value for key, value in ours.items() if key not in {"name", "type"}}
    found = SlicesContract("slices", {"root_packages": ["api"]}, options).check(build_graph("api"), verbose=False)
    assert (found.kept, found.metadata["slices"]) == (True, sorted(f"api.{name}" for name in NAMES))
