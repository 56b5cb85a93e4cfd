"""The house tariff that is shipped with the product (`house_plan.toml`); a tenant's first plan until it has its own."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from billing_cdr.tariff import Plan, parse_toml

__all__ = ["house_plan", "house_plan_document"]


def house_plan_document() -> str:
    """Give the TOML document of the house tariff."""
    return (files("billing_cdr") / "house_plan.toml").read_text(encoding="utf-8")


@cache
def house_plan() -> Plan:
    """Read the house tariff."""
    return parse_toml(house_plan_document())
