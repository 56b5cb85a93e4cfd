"""From documents to the values of the exchange, and device digests: pure functions over RFC 7616 §3.4.2 and `acd.core.configuration`."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from acd.core.configuration import (
    Agent,
    Exception_,
    Menu,
    Number,
    Opening,
    Queue,
    Reason,
    Schedule,
    Site,
    Trunk,
)
from acd.core.configuration_changes import problems_after
from acd.core.ids import AgentId, TenantId, TrunkId
from acd.service import Device, TenantSetup, TrunkLine

Documents = Mapping[str, Sequence[Mapping[str, Any]]]
"""Kind -> its documents."""
Plans = tuple[tuple[bytes, ...], dict[TrunkId, tuple[bytes, ...]]]
"""The tenant's own plan versions, and those of its own carriers."""


def minutes(clock: str) -> int:
    """`08:30` -> 510."""
    hours, _, rest = clock.partition(":")
    return int(hours) * 60 + int(rest)


def _schedule(document: Mapping[str, Any]) -> Schedule:
    return Schedule(
        id=document["id"],
        timezone=document["timezone"],
        openings=tuple(
            Opening(weekday=one["weekday"], opens=minutes(one["opens"]), closes=minutes(one["closes"])) for one in document["openings"]
        ),
        holiday_region=document["holiday_region"],
        exceptions=tuple(
            msgspec.convert(
                {"date": one["date"], "openings": [(minutes(o["opens"]), minutes(o["closes"])) for o in one["openings"]]}, Exception_
            )
            for one in document["exceptions"]
        ),
    )


def hosts_of(trunk: Mapping[str, Any]) -> dict[str, str]:
    """Place -> host, of every address in a trunk's document that requests are sent to."""
    registration = trunk.get("registration") or {}
    named = {"#/peer": trunk.get("peer"), "#/registration/registrar": registration.get("registrar")}
    return {place: _host_only(text) for place, text in named.items() if text}


def _host_only(text: str) -> str:
    return text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]


def _only(document: Mapping[str, Any], value: type[msgspec.Struct]) -> dict[str, Any]:
    return {name: document[name] for name in value.__struct_fields__ if name in document}


def address_of_record(tenant: TenantId, agent: str, username: str | None, realm: str) -> str:
    """The AOR of an agent's device; None: of one that has no credentials yet."""
    return f"{username or f'{tenant}-{agent}'}@{realm}"


def name_of(kind: str, document: Mapping[str, Any]) -> str:
    """What a document is called."""
    return str(document.get({"number": "number", "reason": "code"}.get(kind, "id"), kind))


def value(kind: str, document: Mapping[str, Any], device: str) -> Any:
    """A document as the exchange takes it; a trunk as its two sides, what is general as it is.

    Args:
        device: the AOR, of an agent.
    """
    match kind:
        case "agent":
            return msgspec.convert({**document, "device": device}, Agent)
        case "trunk":
            return msgspec.convert(_only(document, Trunk), Trunk), msgspec.convert(_only(document, TrunkLine), TrunkLine)
        case "schedule":
            return _schedule(document)
        case "general":
            return document
        case _:
            return msgspec.convert(document, _VALUES[kind])


_VALUES: Mapping[str, type[msgspec.Struct]] = {"queue": Queue, "menu": Menu, "number": Number, "site": Site, "reason": Reason}


def problems(setup: TenantSetup, before: TenantSetup | None = None) -> list[str]:
    """What would not hold: the core's own problems, then what only the whole setup shows.

    Args:
        before: a setup that is known to have none; what is as it is there is not looked at again.
    """
    configuration = setup.configuration
    found = problems_after(before.configuration if before is not None else None, configuration)
    trunks = {trunk.id for trunk in configuration.trunks}
    found.extend(f"a tariff holds for the unknown trunk {trunk}" for trunk in setup.trunk_plans if trunk not in trunks)
    if before is None or setup.trunks != before.trunks:
        found.extend(_overlaps(setup.trunks))
    return found


def _overlaps(trunks: Sequence[TrunkLine]) -> Iterator[str]:
    networks = [(trunk.id, ipaddress.ip_network(source)) for trunk in trunks for source in trunk.sources]
    for index, (one, network) in enumerate(networks):
        for other, second in networks[index + 1 :]:
            if one != other and network.version == second.version and network.overlaps(second):
                yield f"trunks {one} and {other} both take calls from {network if network.prefixlen >= second.prefixlen else second}"


def digests(agent: AgentId, username: str, realm: str, password: str) -> Device:
    """HA1 = H(username ":" realm ":" password), by MD5 and by SHA-256 (RFC 7616 §3.4.2); all that is kept of the password."""
    secret = f"{username}:{realm}:{password}".encode()
    return Device(
        agent=agent,
        username=username,
        ha1_md5=hashlib.md5(secret, usedforsecurity=False).hexdigest(),
        ha1_sha256=hashlib.sha256(secret).hexdigest(),
    )
