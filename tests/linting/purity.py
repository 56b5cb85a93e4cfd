"""A contract for the import linter: all but the shells that are listed is pure, so that a new module is watched from its first line."""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.domain.helpers import module_expressions_to_modules


class PurityContract(Contract):
    """No module of the packages reaches the impure ones by whatever way, unless it is a shell; and each shell reaches one, or is no shell.

    Options: packages, shells, impure (lists of modules).
    """

    type_name = "purity"

    packages = fields.ListField(subfield=fields.StringField())
    shells = fields.ListField(subfield=fields.ModuleExpressionField())
    impure = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - the linter's own signature
        impure = [one for one in self.impure if one in graph.modules]
        reaching = {module for one in impure for module in graph.find_downstream_modules(one)}
        ours = {one for one in graph.modules if any(one == package or one.startswith(f"{package}.") for package in self.packages)}
        shells = {module.name for module in module_expressions_to_modules(graph, self.shells)}
        wrong = sorted(ours & reaching - shells)
        chains = {one: next(filter(None, (graph.find_shortest_chain(one, to) for to in impure))) for one in wrong}
        idle = sorted(shells - reaching)
        return ContractCheck(kept=not chains and not idle, metadata={"chains": chains, "idle": idle})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for chain in check.metadata["chains"].values():
            output.print_error(f"{' -> '.join(chain)}: it is no shell")
        for one in check.metadata["idle"]:
            output.print_error(f"{one} is listed as a shell and does nothing that shells do")
