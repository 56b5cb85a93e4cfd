"""What a tenant's documents want of the platform, and what needs the operator's word: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from acd.core.ids import TenantId
from acd.networks import SPECIAL
from acd.numbers import is_private
from acd.service import TenantSetup
from acd.strangers import Network, network_of

WIDEST = {4: 24, 6: 56}
"""Prefix lengths. A carrier's gateways fit into a /24, a customer's line has a /56 (RIPE-690 §4.2.2); what is wider is many people's."""


class Payment(Protocol):
    """What was paid in, or taken back (below 0)."""

    @property
    def amount(self) -> str: ...
    @property
    def at(self) -> datetime: ...


class Prepaid(NamedTuple):
    """What the payments of a prepaid tenant come to."""

    paid_in: Decimal
    since: datetime
    """The first of them: charges of conversations since then are paid from it."""


def prepaid(payments: Iterable[Payment]) -> Prepaid | None:
    """Add up what was paid in since a tenant is prepaid, in any order; None: it is not."""
    known = list(payments)
    return Prepaid(sum((Decimal(one.amount) for one in known), Decimal(0)), min(one.at for one in known)) if known else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one document, or a whole setup, needs."""

    numbers: frozenset[str] = frozenset()
    """E.164; those of a tenant's own numbering plan are nobody's business."""
    sources: frozenset[str] = frozenset()
    """Networks as text."""
    caller_ids: frozenset[str] = frozenset()
    is_internal: bool = False
    """A trunk over which calls have no price and show any number."""


def wanted(kind: str, document: Mapping[str, Any] | None) -> Wanted:
    """What a document of the telephony setup needs; None: nothing."""
    if document is None:
        return Wanted()
    match kind:
        case "number":
            number = document["number"]
            return Wanted(numbers=frozenset() if is_private(number) else frozenset({number}))
        case "trunk":
            shown = _shown(document.get("caller_id"), internal=bool(document.get("internal")))
            is_internal = bool(document.get("internal"))
            return Wanted(sources=frozenset(document.get("sources") or ()), caller_ids=shown, is_internal=is_internal)
        case "agent":
            return Wanted(caller_ids=_shown(document.get("outbound_caller_id"), internal=False))
        case _:
            return Wanted()


def wanted_by(setup: TenantSetup) -> Wanted:
    """What a whole setup needs."""
    configuration = setup.configuration
    internal = {trunk.id for trunk in configuration.trunks if trunk.internal}
    shown = [_shown(line.caller_id, internal=line.id in internal) for line in setup.trunks]
    shown += [_shown(agent.outbound_caller_id, internal=False) for agent in configuration.agents]
    return Wanted(
        frozenset(one.number for one in configuration.numbers if not is_private(one.number)),
        frozenset(source for line in setup.trunks for source in line.sources),
        frozenset().union(*shown),
        is_internal=bool(internal),
    )


def _shown(number: str | None, *, internal: bool) -> frozenset[str]:
    """To its own PBX a tenant shows what it likes."""
    return frozenset() if number is None or (internal and is_private(number)) else frozenset({number})


def network(text: str) -> Network:
    """A network as it is kept."""
    return network_of(text)


def is_wide(network: Network) -> bool:
    """Whether it needs a grant for its width alone."""
    return network.prefixlen < WIDEST[network.version]


_SPECIAL = tuple(map(network_of, SPECIAL))


def is_special(network: Network) -> bool:
    """Whether it holds addresses that no carrier has: this machine's loopback ones, link-local ones, and the like."""
    return overlaps(network, _SPECIAL)


def places(network: Network) -> int:
    """How many sources it holds: IPv4 addresses, or IPv6 /64."""
    return 1 << max(0, (32 if network.version == 4 else 64) - network.prefixlen)


def own_claims(networks: Sequence[Network], grants: Sequence[Network]) -> list[Network]:
    """Those of a tenant's claims that hold by no grant: they count against what it may take by itself."""
    return [one for one in networks if not covers(one, grants)]


def covers(network: Network, grants: Iterable[Network]) -> bool:
    """Whether one of the grants holds the network whole."""
    return any(network.version == grant.version and network.subnet_of(grant) for grant in grants)  # type: ignore[arg-type]


def overlaps(network: Network, others: Iterable[Network]) -> bool:
    """Whether a call can come from the network and from one of the others."""
    return any(network.version == other.version and network.overlaps(other) for other in others)


def domain_of(tenant: TenantId, realm: str, taken: Iterable[str]) -> str:
    """A telephony domain for a tenant whose operator names none: its name under the realm, as a host name (RFC 1123 §2.1)."""
    label = re.sub(r"-+$", "", tenant.replace("_", "-"))
    occupied, number = set(taken), 1
    while (domain := f"{label}.{realm}" if number == 1 else f"{label}-{number}.{realm}") in occupied:
        number += 1
    return domain
