"""The contract's components in the OpenAPI document, and its version."""

from __future__ import annotations

from typing import Any

from api.contract.cdr import Cdr
from api.contract.charge import Charge
from api.contract.decision import DecisionRecord
from api.contract.events import KINDS
from api.contract.kit import MARK, REFERENCE, Public, schemas_of
from api.contract.quote import NothingCharged, Quote
from api.contract.sockets import VERSION, Heartbeat, LiveEvent, LiveMessage
from api.contract.tariff import TariffDocument

ROOTS: tuple[type[Public], ...] = (
    Cdr,
    Charge,
    DecisionRecord,
    Quote,
    NothingCharged,
    TariffDocument,
    LiveMessage,
    LiveEvent,
    Heartbeat,
    *KINDS.values(),
)
SOCKET_MESSAGES: dict[str, type[Public]] = {"live": LiveMessage, "event": LiveEvent, "heartbeat": Heartbeat}


def components() -> dict[str, Any]:
    """Every document of the contract by name, the unions of them too."""
    schemas = schemas_of(ROOTS)
    schemas["Event"] = _one_of(list(KINDS), "Anything that has happened, told apart by `type`.")
    schemas["StreamEvent"] = _one_of([*KINDS, "ScreenPop"], "What the stream tells of: an event, or a screen pop.")
    schemas["LiveEvent"]["properties"]["event"] = _reference("StreamEvent")
    schemas["SocketMessage"] = {
        "title": "SocketMessage",
        "description": "Whatever a WebSocket says. What has an `event` has no `type`.",
        "anyOf": [_reference(kind.__name__) for kind in SOCKET_MESSAGES.values()],
    }
    return schemas


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": REFERENCE.format(name=name)}


def _one_of(names: list[str], text: str) -> dict[str, Any]:
    mapping = {name: REFERENCE.format(name=name) for name in names}
    return {
        "description": text,
        "oneOf": [_reference(name) for name in names],
        "discriminator": {"propertyName": "type", "mapping": mapping},
    }


def enter(document: dict[str, Any]) -> None:
    """Put the contract into the document of the routes: its components, references to them, its version.

    Raises: ValueError: a component of that name is there already.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in components().items():
        if name in schemas:
            raise ValueError(f"there are two components {name}")
        schemas[name] = schema
    document["info"]["x-contract-version"] = str(VERSION)
    _resolve(document)


def _resolve(node: Any) -> None:
    """Where pydantic has put a mark, a reference."""
    if isinstance(node, dict):
        if isinstance(name := node.get(MARK), str):
            del node[MARK]
            node |= _reference(name)
        for one in node.values():
            _resolve(one)
    elif isinstance(node, list):
        for one in node:
            _resolve(one)
