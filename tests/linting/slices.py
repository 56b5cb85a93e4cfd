"""A contract for the import linter: what is inside a slice is imported by that slice alone; `protected` for each folder that is one."""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.contracts.protected import ProtectedContract


class SlicesContract(Contract):
    """A package with a module `slice` is a slice: others use what its `__init__` exports, or the modules that are listed as public. It
    needs no line of its own here, so that nobody forgets it.

    Options: root (the package of the slices), public (modules of theirs that anybody may import).
    """

    type_name = "slices"

    root = fields.StringField()
    public = fields.ListField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        slices = sorted(one for one in graph.find_children(self.root) if f"{one}.slice" in graph.modules)
        public = list(self.public or [])
        wrong = {one: links for one in slices if (links := self._intruders(graph, one, public, verbose=verbose))}
        needless = [one for one in public if not self._is_needed(graph, one)]
        return ContractCheck(
            kept=bool(slices) and not wrong and not needless, metadata={"slices": slices, "wrong": wrong, "needless": needless}
        )

    def _intruders(self, graph: ImportGraph, one: str, public: list[str], *, verbose: bool) -> list[tuple[str, str]]:
        inside = sorted(graph.find_children(one) - set(public))
        options = {"protected_modules": inside, "allowed_importers": [one]}
        found = ProtectedContract(f"the inside of {one} is its own", self.session_options, options).check(graph, verbose)
        return [(link["importer"], link["imported"]) for some in found.metadata["illegal_imports"] for link in some.illegal_links]

    def _is_needed(self, graph: ImportGraph, module: str) -> bool:
        owner = module.rpartition(".")[0]
        return module in graph.modules and any(
            importer != owner and not importer.startswith(f"{owner}.") for importer in graph.find_modules_that_directly_import(module)
        )

    def render_broken_contract(self, check: ContractCheck) -> None:
        if not check.metadata["slices"]:
            output.print_error(f"{self.root} has no slice")
        for one, links in check.metadata["wrong"].items():
            for importer, imported in links:
                output.print_error(f"{importer} imports {imported}: only {one} may; others use what {one} exports in its __init__")
        for one in check.metadata["needless"]:
            output.print_error(f"{one} is listed as public, and nobody else imports it")
