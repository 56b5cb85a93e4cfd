"""A configuration told as what differs from the one before: the words of the journal for a change of the set-up (ADR 0007; pure).

`applied(old, difference(old, new)) == new`, order included. Changes are carried out one after the other, each on the collection as
the one before left it; names are unique in a collection, which `TenantConfiguration.problems()` sees to.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import attrgetter, eq, is_
from typing import Any, Final, Literal, TypeVar

import msgspec

from acd.core.configuration import (
    Agent,
    ChannelCapacity,
    FeatureCodes,
    Menu,
    Number,
    Pages,
    Queue,
    Reason,
    Schedule,
    Site,
    TenantConfiguration,
    Trunk,
    Zone,
    capacity_problems,
    feature_code_problems,
    page_problems,
    problems_of_names,
    problems_of_people,
)
from acd.core.ids import TenantId

Collection = Literal["agents", "queues", "menus", "numbers", "schedules", "sites", "trunks", "reasons"]


class _Change(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Base of all changes: frozen, tagged by class name, without cycles."""


class SettingsPut(_Change, frozen=True, kw_only=True):
    """What belongs to no collection; None: as before."""

    tenant: TenantId | None = None
    language: str | None = None
    recording_notice: bool | None = None
    supervision_notice: bool | None = None
    supervision_tone: bool | None = None
    conversation_keys: str | None = None
    feature_codes: FeatureCodes | None = None
    capacity: tuple[ChannelCapacity, ...] | None = None
    zone: Zone | None = None
    pages: Pages | None = None


class _Put(_Change, frozen=True, kw_only=True):
    """A value at its place: instead of the one of its name if that stands there, else moved in between."""

    at: int
    """Place in the collection, from 0."""


class AgentPut(_Put, frozen=True, kw_only=True):
    value: Agent


class QueuePut(_Put, frozen=True, kw_only=True):
    value: Queue


class MenuPut(_Put, frozen=True, kw_only=True):
    value: Menu


class NumberPut(_Put, frozen=True, kw_only=True):
    value: Number


class SchedulePut(_Put, frozen=True, kw_only=True):
    value: Schedule


class SitePut(_Put, frozen=True, kw_only=True):
    value: Site


class TrunkPut(_Put, frozen=True, kw_only=True):
    value: Trunk


class ReasonPut(_Put, frozen=True, kw_only=True):
    value: Reason


class Removed(_Change, frozen=True, kw_only=True):
    """The value of this name is taken out. One that only moves is removed and put again."""

    collection: Collection
    key: str
    at: int
    """Where it stands, from 0."""


Put = AgentPut | QueuePut | MenuPut | NumberPut | SchedulePut | SitePut | TrunkPut | ReasonPut
Change = SettingsPut | Put | Removed

_PUTS: Final[dict[Collection, Any]] = {
    "schedules": SchedulePut,
    "sites": SitePut,
    "trunks": TrunkPut,
    "agents": AgentPut,
    "queues": QueuePut,
    "menus": MenuPut,
    "numbers": NumberPut,
    "reasons": ReasonPut,
}
_COLLECTION_OF: Final[dict[type, Collection]] = {put: collection for collection, put in _PUTS.items()}
_KEY_OF: Final = {collection: attrgetter({"numbers": "number", "reasons": "code"}.get(collection, "id")) for collection in _PUTS}
"""Collection -> name of one of its values."""
_SETTINGS: Final = (
    "tenant", "language", "recording_notice", "supervision_notice", "supervision_tone", "conversation_keys", "feature_codes", "zone",
    "capacity", "pages",
)  # fmt: skip


# ---------------------------------------------------------------------- finding


def difference(old: TenantConfiguration | None, new: TenantConfiguration) -> tuple[Change, ...]:
    """What makes `new` of `old`; nothing when they are equal. None: of nothing at all."""
    changes: list[Change] = []
    settings = {name: getattr(new, name) for name in _SETTINGS if old is None or getattr(old, name) != getattr(new, name)}
    if settings:
        changes.append(SettingsPut(**settings))
    for collection in _PUTS:
        before, after = getattr(old, collection) if old is not None else (), getattr(new, collection)
        if before is not after:
            changes.extend(_between(collection, before, after))
    return tuple(changes)


def _between(collection: Collection, old: tuple[Any, ...], new: tuple[Any, ...]) -> Iterable[Change]:
    """The changes of one collection."""
    start, before, after = middles(old, new)
    key, put = _KEY_OF[collection], _PUTS[collection]
    stand_still = _standing_still([key(one) for one in before], [key(one) for one in after])
    for at in range(len(before) - 1, -1, -1):  # from behind, so that the places before are still those of `old`
        if key(before[at]) not in stand_still:
            yield Removed(collection=collection, key=key(before[at]), at=start + at)
    known = {key(one): one for one in before}
    for at, value in enumerate(after, start):
        if key(value) not in stand_still or known[key(value)] != value:
            yield put(at=at, value=value)


_Values = TypeVar("_Values")


def middles(old: tuple[_Values, ...], new: tuple[_Values, ...]) -> tuple[int, tuple[_Values, ...], tuple[_Values, ...]]:
    """What is left of both when what they have in common at both ends is taken off, and where it begins."""
    start = len(old) if old is new else _common(old, new)
    shorter = min(len(old), len(new)) - start
    end = _common(old[::-1][:shorter], new[::-1][:shorter])
    return start, old[start : len(old) - end], new[start : len(new) - end]


def _common(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many values at the beginning are equal: a thousand agents are passed over without a step of ours each."""
    same = _first_false(list(map(is_, one, other)))
    return same + _first_false(list(map(eq, one[same:], other[same:])))


def _first_false(alike: list[bool]) -> int:
    return alike.index(False) if False in alike else len(alike)


def _standing_still(old: Sequence[str], new: Sequence[str]) -> frozenset[str]:
    """As many names as possible that are in both and in the same order: the longest increasing subsequence of their places."""
    place = {name: at for at, name in enumerate(old)}
    lasts: list[int] = []
    """Place in which the best sequence of each length ends."""
    before: dict[int, int | None] = {}
    for name in new:
        if name in place:
            at = place[name]
            length = bisect_left(lasts, at)
            before[at] = lasts[length - 1] if length else None
            lasts[length : length + 1] = [at]
    found: list[str] = []
    at_last = lasts[-1] if lasts else None
    while at_last is not None:
        found.append(old[at_last])
        at_last = before[at_last]
    return frozenset(found)


# ---------------------------------------------------------------------- carrying out


def applied(old: TenantConfiguration | None, changes: Iterable[Change]) -> TenantConfiguration:
    """The configuration after the changes.

    Raises: ValueError: they do not fit `old`: they were made for another one.
    """
    settings: dict[str, Any] = {}
    lists: dict[str, list[Any]] = {}

    def of(collection: Collection) -> list[Any]:
        if collection not in lists:
            lists[collection] = list(getattr(old, collection, ()))
        return lists[collection]

    for change in changes:
        match change:
            case SettingsPut():
                settings.update((name, value) for name in _SETTINGS if (value := getattr(change, name)) is not None)
            case Removed(collection=collection, key=name, at=at):
                line = of(collection)
                if not 0 <= at < len(line) or _KEY_OF[collection](line[at]) != name:
                    raise ValueError(f"{name} does not stand at place {at} of the {collection}")
                del line[at]
            case _:
                _put(of(_COLLECTION_OF[type(change)]), _COLLECTION_OF[type(change)], change)
    settings.update((collection, tuple(line)) for collection, line in lists.items())
    if old is not None:
        return msgspec.structs.replace(old, **settings)
    if "tenant" not in settings:
        raise ValueError("a first configuration must say whose it is")
    return TenantConfiguration(**settings)


def _put(line: list[Any], collection: Collection, change: Put) -> None:
    key, at = _KEY_OF[collection], change.at
    if not 0 <= at <= len(line):
        raise ValueError(f"{key(change.value)} cannot be put at place {at} of {len(line)} {collection}")
    if at < len(line) and key(line[at]) == key(change.value):
        line[at] = change.value
    else:
        line.insert(at, change.value)


# ---------------------------------------------------------------------- looking


def touched(changes: Iterable[Change]) -> dict[Collection, dict[Any, Any]]:
    """Collection -> name -> what stands under it after the changes, None when nothing does; names that only moved are in it too."""
    found: dict[Collection, dict[Any, Any]] = {collection: {} for collection in _PUTS}
    for change in changes:
        if isinstance(change, Removed):
            found[change.collection][change.key] = None
        elif not isinstance(change, SettingsPut):
            collection = _COLLECTION_OF[type(change)]
            found[collection][_KEY_OF[collection](change.value)] = change.value
    return found


def problems_after(old: TenantConfiguration | None, new: TenantConfiguration) -> list[str]:
    """As `new.problems()`, where `old` is known to have none: what is as it was there is not looked at again."""
    if old is None or not _names(old.sites) <= _names(new.sites) or not _names(old.trunks) <= _names(new.trunks):
        return new.problems()
    _, before, after = middles(old.agents, new.agents)
    gone = {one.id for one in before} - {one.id for one in after}
    if gone or any(getattr(old, one) != getattr(new, one) for one in _PUTS if one != "agents"):
        return new.problems(after)
    wrong = problems_of_people(new, after)
    if _called(before) != _called(after):
        wrong += problems_of_names(new)
    if _called(before) != _called(after) or old.feature_codes != new.feature_codes or old.conversation_keys != new.conversation_keys:
        wrong += feature_code_problems(new)
    if old.capacity != new.capacity:
        wrong += capacity_problems("the tenant", new.capacity)
    if old.pages != new.pages:
        wrong += page_problems(new.pages)
    return wrong


def _names(values: Iterable[Site | Trunk]) -> set[str]:
    return {one.id for one in values}


def _called(agents: Iterable[Agent]) -> list[tuple[str, str, str]]:
    """What agents are called and found by."""
    return sorted((one.id, one.device, one.extension or "") for one in agents)
