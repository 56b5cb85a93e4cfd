"""The purity contract would notice: a module that reaches a clock, through others too, and a shell that is none any more."""

from __future__ import annotations

from typing import Any

import pytest
from grimp import ImportGraph

from tests.linting.purity import PurityContract


def checked(imports: list[tuple[str, str]], shells: list[str]) -> Any:
    graph = ImportGraph()
    for module in ("acd", "acd.core", "acd.runtime", "acd.door", "time"):
        graph.add_module(module, is_squashed=module == "time")
    for importer, imported in imports:
        graph.add_import(importer=importer, imported=imported)
    options = {"packages": ["acd"], "impure": ["time"], "shells": shells}
    return PurityContract("pure", {"root_packages": ["acd"]}, options).check(graph, verbose=False)


def test_shells_may_and_others_may_not() -> None:
    assert checked([("acd.runtime", "time")], ["acd.runtime"]).kept


@pytest.mark.parametrize("through", ["time", "acd.runtime"])
def test_a_module_that_nobody_listed_is_watched(through: str) -> None:
    found = checked([("acd.runtime", "time"), ("acd.door", through)], ["acd.runtime"])
    assert not found.kept
    assert list(found.metadata["chains"]) == ["acd.door"]


def test_what_is_no_shell_any_more_is_taken_off_the_list() -> None:
    found = checked([("acd.runtime", "time")], ["acd.runtime", "acd.door"])
    assert (found.kept, found.metadata["idle"]) == (False, ["acd.door"])
