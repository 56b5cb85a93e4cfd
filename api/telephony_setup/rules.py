"""From documents to the values of the exchange, and device digests: pure functions over RFC 7616 §3.4.2 and `acd.core.configuration`."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from acd import sounds
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
    Target,
    TenantConfiguration,
    ToAgent,
    ToMenu,
    ToOutside,
    ToQueue,
    Trunk,
)
from acd.core.ids import AgentId, TenantId, TrunkId
from acd.numbers import is_emergency
from acd.resolve import problems_after
from acd.service import AgentDialRules, Device, DialRules, Srtp, TenantSetup, TrunkLine
from acd.strangers import network_of

Documents = Mapping[str, Sequence[Mapping[str, Any]]]
"""Kind -> its documents."""
Plans = tuple[tuple[bytes, ...], dict[TrunkId, tuple[bytes, ...]]]
"""The tenant's own plan versions, and those of its own carriers."""


class Protection(NamedTuple):
    """What a document says of the encryption of phones, which is none of the core's business."""

    srtp: Srtp | None
    is_encrypted: bool
    """They signal under encryption alone."""


FIRST_LANGUAGE = "de"
"""Of a tenant that never said one."""
LANGUAGE_MEMBERS = {"agent": "languages", "number": "language", "general": "language"}
"""Kind -> what may be left out of its documents for the tenant's language."""


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
    named = {
        "#/peer": trunk.get("peer"),
        "#/registration/registrar": registration.get("registrar"),
        "#/registration/outbound_proxy": registration.get("outbound_proxy"),
    }
    return {place: _host_only(text) for place, text in named.items() if text}


def _host_only(text: str) -> str:
    return text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]


def _only(document: Mapping[str, Any], value: type[msgspec.Struct]) -> dict[str, Any]:
    return {name: document[name] for name in value.__struct_fields__ if name in document}


LONGEST_NAME = 63
"""Of a device, as of every name that people choose."""


def default_name(tenant: TenantId, agent: str) -> str:
    """A device's user name where none was chosen: one that no other tenant's device has by accident, if it is not too long for that."""
    name = f"{tenant}-{agent}"
    return name if len(name) <= LONGEST_NAME else agent


def address_of_record(tenant: TenantId, agent: str, username: str | None, realm: str) -> str:
    """The AOR of an agent's device; None: of one that has no credentials yet."""
    return f"{username or default_name(tenant, agent)}@{realm}"


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
            return msgspec.convert(_without_protection(document) | {"device": device}, Agent)
        case "site":
            return msgspec.convert(_without_protection(document), Site)
        case "phone" | "place":
            return Protection(document.get("srtp"), is_encrypted=document.get("signalling") == "encrypted")
        case "trunk":
            return msgspec.convert(_only(document, Trunk), Trunk), msgspec.convert(_only(document, TrunkLine), TrunkLine)
        case "schedule":
            return _schedule(document)
        case "general":
            return document
        case "sound":
            return document["audio"]
        case "dialling":
            return _dial_rules(document)
        case _:
            return msgspec.convert(document, _VALUES[kind])


def _without_protection(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in document.items() if name not in {"srtp", "signalling"}}


def _dial_rules(document: Mapping[str, Any]) -> DialRules:
    return DialRules(
        classes=frozenset(document["classes"]),
        per_hour=_amount(document["per_hour"]),
        agent_per_hour=_amount(document["agent_per_hour"]),
        agents={
            AgentId(name): AgentDialRules(
                classes=None if own["classes"] is None else frozenset(own["classes"]), per_hour=_amount(own["per_hour"])
            )
            for name, own in document["agents"].items()
        },
    )


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


_VALUES: Mapping[str, type[msgspec.Struct]] = {"queue": Queue, "menu": Menu, "number": Number, "reason": Reason}


def problems(setup: TenantSetup, before: TenantSetup | None = None, changed: Iterable[tuple[str, str]] = ()) -> list[str]:
    """What would not hold: the core's own problems and unknown dates, then what only the whole setup shows.

    Args:
        before: a setup that is known to have none; what is as it is there is not looked at again.
        changed: kind and name of what was changed; rules that are younger than the first release hold for that alone, since what breaks
            them may be stored, and a tenant must open with what it has.
    """
    configuration = setup.configuration
    found = problems_after(before.configuration if before is not None else None, configuration)
    trunks = {trunk.id for trunk in configuration.trunks}
    agents = {agent.id for agent in configuration.agents}
    found.extend(f"dialling names the unknown agent {agent}" for agent in setup.dialling.agents if agent not in agents)
    found.extend(f"a tariff holds for the unknown trunk {trunk}" for trunk in setup.trunk_plans if trunk not in trunks)
    if before is None or setup.trunks != before.trunks:
        found.extend(_overlaps(setup.trunks))
    found.extend(_in_plain(setup))
    numbers = {number.number for number in configuration.numbers}
    found.extend(
        f"trunk {line.id} leads to the unknown number {line.default_number}"
        for line in setup.trunks
        if line.default_number is not None and line.default_number not in numbers
    )
    changed = frozenset(changed)
    found.extend(circles(configuration, [node for node in changed if node[0] in _ROUTED]))
    found.extend(_rules_that_ring_for_help(configuration, changed))
    found.extend(_what_is_silent(setup, [name for kind, name in changed if kind == "sound" and name not in setup.own_sounds]))
    return found


def _in_plain(setup: TenantSetup) -> Iterator[str]:
    """Trunks that must signal under encryption, and are set up to do so in plain."""
    for line in setup.trunks:
        if line.transport == "tls":
            continue
        if line.signalling == "encrypted":
            yield f"trunk {line.id}: signalling is encrypted, and transport is {line.transport}; it must be tls"
        elif line.tls_identity is not None:
            yield f"trunk {line.id}: tls_identity is proved under TLS alone, and transport is {line.transport}; it must be tls"
        elif setup.signalling == "encrypted":
            yield f"trunk {line.id}: the tenant's signalling is encrypted (general), and transport is {line.transport}; it must be tls"


_SOUND_MEMBERS = frozenset({"sounds", "invalid_sounds", "greeting", "music", "labels"})
"""Of documents of queues, menus and numbers, and of the targets in them: what stands there are names of sounds."""
SOUNDING = frozenset({"queue", "menu", "number"})
"""Kinds of documents in which sounds are named."""


def sounds_in(document: Any, place: str = "#") -> Iterator[tuple[str, str]]:
    """Every name of a sound in a document, with its place."""
    if isinstance(document, Mapping):
        for member, value in document.items():
            inner = f"{place}/{member}"
            yield from _texts(value, inner) if member in _SOUND_MEMBERS else sounds_in(value, inner)
    elif isinstance(document, list | tuple):
        for index, value in enumerate(document):
            yield from sounds_in(value, f"{place}/{index}")


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping | list | tuple):
        for member, one in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _texts(one, f"{place}/{member}")


def _what_is_silent(setup: TenantSetup, deleted: Collection[str]) -> Iterator[str]:
    """What names a sound that is not there any more, and has no other of its name."""
    if not deleted:
        return
    meant = {*deleted, *(name.partition("/")[2] for name in deleted)}
    configuration = setup.configuration
    for kind, some, key in (
        ("queue", configuration.queues, "id"),
        ("menu", configuration.menus, "id"),
        ("number", configuration.numbers, "number"),
    ):
        for one in some:
            for place, name in sounds_in(msgspec.to_builtins(one)):
                if name in meant and sounds.missing(name, setup.own_sounds):
                    yield f"{kind} {getattr(one, key)} plays the sound {name} ({place})"


def _rules_that_ring_for_help(configuration: TenantConfiguration, changed: Collection[tuple[str, str]]) -> Iterator[str]:
    """110 and 112 are dialled by somebody in need, and transferred to by somebody who heard of it: no rule sends strangers there, past
    every limit and with our number (§ 164 TKG).
    """
    for (kind, name), numbers in _sent_outside(configuration):
        if (kind, name) in changed and any(is_emergency(number) for number in numbers):
            yield f"{kind} {name} leads to an emergency number, which people dial and no rule does"


def _sent_outside(configuration: TenantConfiguration) -> Iterator[tuple[tuple[str, str], list[str]]]:
    def outside(*targets: Target | None) -> list[str]:
        return [target.number for target in targets if isinstance(target, ToOutside)]

    for number in configuration.numbers:
        yield ("number", number.number), outside(number.target)
    for menu in configuration.menus:
        yield ("menu", menu.id), outside(*menu.options.values(), menu.fallback, menu.closed)
    for queue in configuration.queues:
        yield ("queue", queue.id), outside(*(one.target for one in queue.overflow), queue.closed, queue.exit_target)
    for agent in configuration.agents:
        forwarding = agent.forwarding
        ways = (forwarding.always, forwarding.busy, forwarding.no_answer, forwarding.unregistered, agent.reached_at)
        yield ("agent", agent.id), [way for way in ways if way]


Node = tuple[str, str]
"""Kind and id of a number, an agent, a menu or a queue."""
_ROUTED = frozenset({"number", "agent", "menu", "queue"})
_CONDITIONS = ("busy", "no_answer", "unregistered")
"""Of a forwarding. Two that forward to each other when busy are a circle; by different conditions, as head and deputy do, they are none."""


def circles(configuration: TenantConfiguration, changed: Iterable[Node]) -> list[str]:
    """Where a caller who does nothing is led back to where it was: by target, forwarding, fallback, closed hours and overflow, never by a
    key that was pressed.

    The exchange ends such a call after a number of steps; whoever writes it down means something else. A key that leads back is none:
    "press * to hear this again". A number "outside" that is one of ours stays inside, and so its target is looked at.

    Args:
        changed: what a circle is reported for; one that was there before is no reason to refuse another change.
    """
    changed = tuple(changed)
    found: dict[frozenset[Node], str] = {}
    for condition in _CONDITIONS:
        ways = _ways_without_a_key(configuration, condition)
        for start in changed:
            circle = _way_back(ways, start)
            if circle is not None:
                found.setdefault(frozenset(node for node, _ in circle), _told(circle))
    return list(found.values())


def _ways_without_a_key(configuration: TenantConfiguration, condition: str) -> dict[Node, list[tuple[str, Node]]]:
    """From each number, agent, menu and queue: by what, and to which; agents forward always, and under this condition."""
    ways: dict[Node, list[tuple[str, Node]]] = {}
    own: dict[str, Node] = {agent.extension: ("agent", agent.id) for agent in configuration.agents if agent.extension}
    own |= {number.number: ("number", number.number) for number in configuration.numbers}

    def add(start: Node, by: str, target: Target) -> None:
        node = _node_of(target, own)
        if node is not None:
            ways.setdefault(start, []).append((by, node))

    for number in configuration.numbers:
        add(("number", number.number), "target", number.target)
    for agent in configuration.agents:
        for by in ("always", condition):
            if forwarded := getattr(agent.forwarding, by):
                add(("agent", agent.id), f"forwarding {by}", ToOutside(number=forwarded))
    for menu in configuration.menus:
        add(("menu", menu.id), "fallback", menu.fallback)
        if menu.schedule is not None:
            add(("menu", menu.id), "closed", menu.closed)
    for queue in configuration.queues:
        for overflow in queue.overflow:
            add(("queue", queue.id), "overflow", overflow.target)
        if queue.schedule is not None:
            add(("queue", queue.id), "closed", queue.closed)
    return ways


def _node_of(target: Target, own: Mapping[str, Node]) -> Node | None:
    match target:
        case ToQueue(queue=queue):
            return "queue", queue
        case ToMenu(menu=menu):
            return "menu", menu
        case ToAgent(agent=agent):
            return "agent", agent
        case ToOutside(number=number):
            return own.get(number)
        case _:
            return None


def _way_back(ways: Mapping[Node, Sequence[tuple[str, Node]]], start: Node) -> list[tuple[Node, str]] | None:
    """The shortest way from a node back to it: each node, and by what it is left."""
    came: dict[Node, tuple[Node, str]] = {}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for by, following in ways.get(node, ()):
            if following not in came:
                came[following] = (node, by)
                waiting.append(following)
    if start not in came:
        return None
    circle: list[tuple[Node, str]] = []
    node = start
    while not circle or node != start:
        node, by = came[node]
        circle.append((node, by))
    return circle[::-1]


def _told(circle: Sequence[tuple[Node, str]]) -> str:
    steps = ", ".join(f"{kind} {name} by {by}" for (kind, name), by in circle)
    kind, name = circle[0][0]
    return f"a caller who presses nothing goes in a circle: {steps}, and is at {kind} {name} again"


def _overlaps(trunks: Sequence[TrunkLine]) -> Iterator[str]:
    networks = [(trunk.id, network_of(source)) for trunk in trunks for source in trunk.sources]
    for index, (one, network) in enumerate(networks):
        for other, second in networks[index + 1 :]:
            if one != other and network.version == second.version and network.overlaps(second):
                yield f"trunks {one} and {other} both take calls from {network if network.prefixlen >= second.prefixlen else second}"


def long_name(username: str, domain: str) -> str:
    """What a device proves itself by under whatever domain: its name and its tenant's."""
    return f"{username}@{domain}"


def digests(agent: AgentId, username: str, realm: str, password: str, domain: str, *, bare: bool) -> Device:
    """HA1 = H(username ":" realm ":" password), by MD5 and by SHA-256 (RFC 7616 §3.4.2), of the short name and of the long one.

    That is all that is kept of the password.
    """
    short_md5, short_sha256 = _ha1(username, realm, password)
    long_md5, long_sha256 = _ha1(long_name(username, domain), realm, password)
    return Device(
        agent=agent,
        username=username,
        ha1_md5=short_md5,
        ha1_sha256=short_sha256,
        bare=bare,
        long_md5=long_md5,
        long_sha256=long_sha256,
    )


def _ha1(username: str, realm: str, password: str) -> tuple[str, str]:
    secret = f"{username}:{realm}:{password}".encode()
    return hashlib.md5(secret, usedforsecurity=False).hexdigest(), hashlib.sha256(secret).hexdigest()
