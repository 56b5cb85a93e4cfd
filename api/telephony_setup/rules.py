"""From documents to the values of the exchange, and device digests: pure functions over RFC 7616 §3.4.2 and `acd.core.configuration`."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
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
    TenantConfiguration,
    Trunk,
)
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


def _only(document: Mapping[str, Any], value: type[msgspec.Struct]) -> dict[str, Any]:
    return {name: document[name] for name in value.__struct_fields__ if name in document}


def address_of_record(username: str, realm: str) -> str:
    """The device's AOR."""
    return f"{username}@{realm}"


def tenant_setup(tenant: TenantId, documents: Documents, devices: Sequence[Device], realm: str, plans: Plans) -> TenantSetup:
    """All documents of a tenant as the value the voice service takes."""
    usernames = {device.agent: device.username for device in devices}
    general = next(iter(documents["general"]), {})
    agents = [
        msgspec.convert(
            {**document, "device": address_of_record(usernames.get(document["id"], f"{tenant}-{document['id']}"), realm)}, Agent
        )
        for document in documents["agent"]
    ]
    configuration = TenantConfiguration(
        tenant=tenant,
        agents=tuple(agents),
        queues=tuple(msgspec.convert(document, Queue) for document in documents["queue"]),
        menus=tuple(msgspec.convert(document, Menu) for document in documents["menu"]),
        numbers=tuple(msgspec.convert(document, Number) for document in documents["number"]),
        schedules=tuple(_schedule(document) for document in documents["schedule"]),
        sites=tuple(msgspec.convert(document, Site) for document in documents["site"]),
        trunks=tuple(msgspec.convert(_only(document, Trunk), Trunk) for document in documents["trunk"]),
        reasons=tuple(msgspec.convert(document, Reason) for document in documents["reason"]),
        language=general.get("language", "de"),
        recording_notice=general.get("recording_notice", True),
    )
    return TenantSetup(
        configuration=configuration,
        devices=tuple(devices),
        trunks=tuple(msgspec.convert(_only(document, TrunkLine), TrunkLine) for document in documents["trunk"]),
        domains=tuple(general.get("domains", ())),
        plans=plans[0],
        trunk_plans=plans[1],
    )


def problems(setup: TenantSetup) -> list[str]:
    """What would not hold: the core's own problems, then what only the whole setup shows."""
    configuration = setup.configuration
    found = configuration.problems()
    trunks = {trunk.id for trunk in configuration.trunks}
    found.extend(f"a tariff holds for the unknown trunk {trunk}" for trunk in setup.trunk_plans if trunk not in trunks)
    networks = [(trunk.id, ipaddress.ip_network(source)) for trunk in setup.trunks for source in trunk.sources]
    found.extend(
        f"trunks {one} and {other} both take calls from {network if network.prefixlen >= second.prefixlen else second}"
        for index, (one, network) in enumerate(networks)
        for other, second in networks[index + 1 :]
        if one != other and network.version == second.version and network.overlaps(second)
    )
    return found


def digests(agent: AgentId, username: str, realm: str, password: str) -> Device:
    """HA1 = H(username ":" realm ":" password), by MD5 and by SHA-256 (RFC 7616 §3.4.2); all that is kept of the password."""
    secret = f"{username}:{realm}:{password}".encode()
    return Device(
        agent=agent,
        username=username,
        ha1_md5=hashlib.md5(secret, usedforsecurity=False).hexdigest(),
        ha1_sha256=hashlib.sha256(secret).hexdigest(),
    )
