"""The AsyncAPI 3.0 document of the WebSockets: channels, how a client comes in, messages, heartbeat, close codes.

Its schemas are those of OpenAPI, said in JSON Schema draft 07, which AsyncAPI's own Schema Object is made from.
"""

from __future__ import annotations

from typing import Any

from api.contract.openapi import SOCKET_MESSAGES, components
from api.contract.sockets import BOARD_EVERY_S, CLOSE_CODES, HEARTBEAT_S, SUBPROTOCOL, TOKEN_PREFIX, VERSION

_CHANNELS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "events": (
        "/api/v1/events",
        "The live state first, then every event that the role may see, once it is on disk.",
        ("live", "event", "heartbeat"),
    ),
    "board": (
        "/api/v1/board",
        f"The live state at once, whenever it has changed (at most every {BOARD_EVERY_S:g} s), and when a day of the tenant begins.",
        ("live", "heartbeat"),
    ),
}
_MESSAGE_TEXTS = {
    "live": "The live state",
    "event": "Something has happened, or a screen pop",
    "heartbeat": "Nothing has happened for a while",
}
_WHO = "For agents, supervisors and admins; an agent is told of its own contacts, and without the numbers of others' customers."
_WHAT = (
    f"What the WebSockets of Fernamt tell. After {HEARTBEAT_S:g} s of silence a heartbeat goes out; as often the token is looked at again. "
    "Clients send nothing. What happens while a socket is away, for whatever reason it went, is not told later: the live state, which "
    "comes first, says how things stand, and the call records (`GET /api/v1/cdrs`) how they ended. What may change within a version of the "
    "contract: docs/api/contract.md."
)


def asyncapi(version: str) -> dict[str, Any]:
    """The document.

    Args:
        version: of the service.
    """
    schemas = {name: _in_draft_07(one) for name, one in components().items()}
    needed = _reached(schemas, [kind.__name__ for kind in SOCKET_MESSAGES.values()])
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Fernamt live",
            "version": version,
            "description": _WHAT,
            "license": {"name": "Apache-2.0"},
            "x-contract-version": str(VERSION),
        },
        "defaultContentType": "application/json",
        "servers": {
            "secure": _server("wss", "Behind the operator's proxy, which speaks TLS."),
            "plain": _server("ws", "The service itself, on the same machine or in a network of one's own."),
        },
        "channels": {name: _channel(*row) for name, row in _CHANNELS.items()},
        "operations": {f"receive_{name}": _operation(name, messages) for name, (_, _, messages) in _CHANNELS.items()},
        "components": {
            "messages": {name: _message(name, kind.__name__) for name, kind in SOCKET_MESSAGES.items()},
            "schemas": {name: one for name, one in schemas.items() if name in needed},
            "securitySchemes": _security(),
        },
        "x-close-codes": [{"code": one.code, "name": one.name, "meaning": one.meaning} for one in CLOSE_CODES],
        "x-heartbeat-s": HEARTBEAT_S,
    }


def _server(protocol: str, text: str) -> dict[str, Any]:
    """Where it runs is the operator's business."""
    host = {"default": "localhost:8080", "description": "Name or address, and the port unless it is the usual one."}
    return {"host": "{host}", "protocol": protocol, "description": text, "variables": {"host": host}}


def _channel(address: str, text: str, messages: tuple[str, ...]) -> dict[str, Any]:
    protocol = {"type": "string", "description": f"`{SUBPROTOCOL}`, and `{TOKEN_PREFIX}<token>` where no header can be set."}
    return {
        "address": address,
        "title": text,
        "description": f"{text} {_WHO}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "ws": {
                "method": "GET",
                "headers": {"type": "object", "properties": {"Sec-WebSocket-Protocol": protocol, "Authorization": {"type": "string"}}},
                "bindingVersion": "0.1.0",
            }
        },
        "x-close-codes": [one.code for one in CLOSE_CODES],
    }


def _operation(channel: str, messages: tuple[str, ...]) -> dict[str, Any]:
    """AsyncAPI tells it from the service's side: it sends."""
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in _security()],
    }


def _message(name: str, schema: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": _MESSAGE_TEXTS[name],
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{schema}"},
    }


def _security() -> dict[str, Any]:
    return {
        "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer <token>`."},
        "subprotocol": {
            "type": "httpApiKey",
            "in": "header",
            "name": "Sec-WebSocket-Protocol",
            "description": f"`{SUBPROTOCOL}, {TOKEN_PREFIX}<token>`: what browsers can do. The service answers with `{SUBPROTOCOL}`. A "
            "token in the address (`?token=`) is refused unless the operator allows it.",
        },
    }


def _in_draft_07(node: Any) -> Any:
    """A schema of draft 2020-12 in the words of draft 07; AsyncAPI's discriminator is the field's name, its values are the schemas'."""
    if isinstance(node, list):
        return [_in_draft_07(one) for one in node]
    if not isinstance(node, dict):
        return node
    said = {key: _in_draft_07(one) for key, one in node.items()}
    if isinstance(said.get("prefixItems"), list):
        said |= {"items": said.pop("prefixItems"), "additionalItems": False}
    if "mapping" in (found := said.get("discriminator") or {}):
        said["discriminator"] = found["propertyName"]
    return said


def _reached(schemas: dict[str, Any], names: list[str]) -> set[str]:
    """These schemas, and all that they refer to."""
    found: set[str] = set()
    while names:
        name = names.pop()
        if name not in found:
            found.add(name)
            names += _references(schemas[name])
    return found


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for one in node for name in _references(one)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"].rpartition("/")[2]] if isinstance(node.get("$ref"), str) else []
    return own + [name for one in node.values() for name in _references(one)]
