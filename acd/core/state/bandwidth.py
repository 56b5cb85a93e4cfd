"""Lines that speech channels are admitted against: their names, what a channel takes at least, what they have (R9)."""

from __future__ import annotations

from typing import Final

from acd.core.configuration import TenantConfiguration
from acd.core.ids import SiteId, TrunkId

FLOOR_KBITS: Final = 100
"""Never reserve less for a channel: G.711 at 20 ms with Ethernet, preamble and RTCP is 99.96 kbit/s on the wire (DESIGN.md §4)."""


def site_line(site: SiteId) -> str:
    return f"site:{site}"


def trunk_line(trunk: TrunkId) -> str:
    return f"trunk:{trunk}"


def upload_of(configuration: TenantConfiguration | None, line: str) -> int | None:
    """What a line has, None when it is not limited or not configured any more."""
    if configuration is None:
        return None
    kind, _, name = line.partition(":")
    if kind == "site":
        return next((site.upload_kbits for site in configuration.sites if site.id == SiteId(name)), None)
    return next((trunk.upload_kbits for trunk in configuration.trunks if trunk.id == TrunkId(name)), None)
