"""Version 1 of the contract written down: `python -m tests.api.contract.golden` writes what it is by now, unless that breaks what it was.

What no release has promised is taken back by `git checkout tests/vectors/contract`, and written anew.

`schemas.json` is the schema of every public type; `documents.json` is one document of each, made of values of ours that have every field,
and one that has none but those that must be there. What may change is what a client of
today does not notice: a new type, a further field, a further word of a list.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NewType, get_args, get_origin

import msgspec

from acd import service
from acd.core import events as ev
from acd.core import live
from api import contract
from api.contract import events
from api.contract.kit import told
from api.contract.openapi import components
from api.contract.sockets import Spending
from billing_cdr.cdr import Cdr
from billing_cdr.charge import Charge
from billing_cdr.quote import Quote
from media.control import Quality

FOLDER = Path(__file__).parents[2] / "vectors" / "contract" / str(contract.VERSION)
SCHEMAS, DOCUMENTS = FOLDER / "schemas.json", FOLDER / "documents.json"
UNSAID = {"description", "title"}
"""Texts are no promise."""


# ---------------------------------------------------------------------- values of ours

_PLAIN: dict[Any, Any] = {
    str: "text",
    bool: True,
    int: 7,
    float: 1.5,
    Decimal: Decimal("0.10"),
    dt.datetime: dt.datetime(2026, 3, 2, 9, 0, 0, 123000, dt.UTC),
    Any: "anything",
}


def sample(hint: Any, *, whole: bool) -> Any:
    """A value of a declared type, always the same: with every field and one of each list, or with what must be there alone."""
    if isinstance(hint, NewType):
        return sample(hint.__supertype__, whole=whole)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _struct(hint, whole=whole)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return next(iter(hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return arguments[0]
    if origin in {typing.Union, types.UnionType}:
        some = [one for one in arguments if one is not type(None)]
        return sample(some[0], whole=whole) if whole or len(some) == len(arguments) else None
    if origin is tuple:
        if arguments[-1] is not Ellipsis:
            return tuple(sample(one, whole=whole) for one in arguments)
        return (sample(arguments[0], whole=whole),) if whole else ()
    if origin is dict:
        key = sample(arguments[0], whole=True) if get_origin(arguments[0]) is Literal else "name"
        return {key: sample(arguments[1], whole=whole)} if whole else {}
    return _PLAIN[hint]


def _struct(kind: type[msgspec.Struct], *, whole: bool) -> Any:
    hints = typing.get_type_hints(kind)
    wanted = [one.name for one in msgspec.structs.fields(kind) if whole or one.required]
    return kind(**{name: _document(name, hints[name], whole=whole) for name in wanted})


_DOCUMENTS = {"quote": Quote, "quality": Quality}
"""What the exchange puts into the fields of these names, where they may hold any document."""


def _document(name: str, hint: Any, *, whole: bool) -> Any:
    is_any = name in _DOCUMENTS and "dict[" in str(hint)
    found = sample(_DOCUMENTS[name] if is_any else hint, whole=whole)
    return msgspec.to_builtins(msgspec.structs.asdict(found)) if is_any else found  # without the tag of a message


def documents() -> dict[str, Any]:
    """Name -> its document, the whole one and the least one."""
    return {f"{name} {size}": json.loads(msgspec.json.encode(one)) for size, whole in SIZES.items() for name, one in _told(whole=whole)}


SIZES = {"whole": True, "least": False}


def _told(*, whole: bool) -> Iterator[tuple[str, Any]]:
    for word, kind in events.FROM_JOURNAL.items():
        if kind is not None:
            yield kind.__name__, contract.event_of(sample(word, whole=whole))
    made, ended = sample(ev.OfferMade, whole=whole), sample(ev.OfferEnded, whole=whole)
    outcomes = [{**msgspec.to_builtins(ended), "at": 2.5}] if whole else []
    yield "DecisionRecord", contract.decision_of({**msgspec.to_builtins(made), "at": 1.5, "outcomes": outcomes})
    yield "Cdr", contract.cdr_of(sample(Cdr, whole=whole))
    yield "Charge", contract.charge_of(sample(Charge, whole=whole))
    yield "Quote", contract.quote_of(sample(Quote, whole=whole) if whole else {})
    yield "Spending", told(Spending, sample(service.Spending, whole=whole))
    spending = sample(service.Spending, whole=True) if whole else None
    yield "LiveMessage", contract.live_message(sample(live.LiveState, whole=whole), spending)
    yield "Heartbeat", contract.Heartbeat(at=1.5)
    for name, event in (("event", sample(ev.Queued, whole=whole)), ("pop", _pop(whole=whole))):
        agent = ev.AgentId("anna") if name == "pop" else None
        one = service.LiveEvent(tenant=service.TenantId("acme"), seq=7, at=1.5, event=event, only_agent=agent)
        yield f"LiveEvent of an {name}" if name == "event" else f"LiveEvent of a {name}", contract.message_of(one)


def _pop(*, whole: bool) -> service.ScreenPop:
    known = {
        "contact": msgspec.to_builtins(sample(contract.KnownContact, whole=True)),
        "tickets": (msgspec.to_builtins(sample(contract.KnownTicket, whole=True)),),
        "appointment": msgspec.to_builtins(sample(contract.KnownAppointment, whole=True)),
    }
    plain = msgspec.structs.replace(sample(service.ScreenPop, whole=False), agent=ev.AgentId("anna"))
    return msgspec.structs.replace(plain, channel="chat", number="+4930", customer="Erika", subject="text", **known) if whole else plain


# ---------------------------------------------------------------------- what may change


def breaches(old: Any, new: Any, at: str = "") -> Iterator[str]:
    """Where a schema of today is not what a client of yesterday was promised. A field may be always there that could be left out."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            here = f"{at}/{key}"
            if key in UNSAID and not at.endswith("/properties"):
                continue
            if key == "required":
                yield from (f"{here}: {one} may be left out now" for one in old.get(key, []) if one not in new.get(key, []))
            elif key in {"enum", "oneOf", "anyOf"}:
                yield from (f"{here}: {one} is gone" for one in old.get(key, []) if one not in new.get(key, []))
                if key == "anyOf":  # null where there was always something
                    yield from (f"{here}: {one} is new" for one in new.get(key, []) if one not in old.get(key, []))
            elif key not in new:
                if (key, old[key]) != ("additionalProperties", False):  # a client lets further fields pass, whatever it was told
                    yield f"{here} is gone"
            elif key not in old:
                if not (at.endswith(("/properties", "/mapping")) or not at):
                    yield f"{here} is new"
            else:
                yield from breaches(old[key], new[key], here)
    elif old != new:
        yield f"{at}: {old} has become {new}"


def lost(old: Any, new: Any, at: str = "") -> Iterator[str]:
    """What a document of yesterday had, and that of today has not, or otherwise."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, one in old.items():
            yield from lost(one, new[key], f"{at}/{key}") if key in new else [f"{at}/{key} is gone"]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (before, now) in enumerate(zip(old, new, strict=True)):
            yield from lost(before, now, f"{at}/{number}")
    elif old != new or type(old) is not type(new):
        yield f"{at}: {old!r} has become {new!r}"


def read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else {}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def forgotten(from_journal: Mapping[Any, Any], kinds: Iterable[Any]) -> list[str]:
    """What the contract lacks of an event that `FROM_JOURNAL` tells of, or has of one that it does not: half a contract is none."""
    where = "api/contract/events.py"
    of_words, kinds = {kind for kind in from_journal.values() if kind is not None}, list(kinds)
    words = get_args(ev.Event)
    return [
        *(
            f"{where}: {one.__name__} has no row in FROM_JOURNAL: its public class, or None if nobody outside is told"
            for one in words
            if one not in from_journal
        ),
        *(
            f"{where}: {one.__name__} is in FROM_JOURNAL, and no word of acd/core/events.py's union"
            for one in from_journal
            if one not in words
        ),
        *(f"{where}: {one.__name__} has a row in FROM_JOURNAL and no place in `_Kinds`" for one in sorted(of_words - set(kinds), key=str)),
        *(f"{where}: {one.__name__} is in `_Kinds`, and no row of FROM_JOURNAL leads to it" for one in kinds if one not in of_words),
    ]


if __name__ == "__main__":
    if wrong := forgotten(events.FROM_JOURNAL, events.KINDS.values()):
        raise SystemExit("nothing was written:\n" + "\n".join(wrong))
    found = [*breaches(read(SCHEMAS), components()), *lost(read(DOCUMENTS), documents())]
    if found:
        undo = "what no release has promised is taken back first: git checkout tests/vectors/contract, to the state of the newest release"
        raise SystemExit("this needs version 2 of the contract:\n" + "\n".join(found) + f"\n({undo})")
    write(SCHEMAS, components())
    write(DOCUMENTS, documents())
