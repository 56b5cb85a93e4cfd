"""The kinds of events in the OpenAPI document (pure): what servers of tenants are sent, as `webhooks` of OpenAPI 3.1, its types named.

`TicketCreatedWebhook` is a whole body, `TicketCreatedData` its `data`, `WebhookEvent` any body, told apart by `type`.
"""

from __future__ import annotations

from typing import Any

from api.kit.outbox.catalogue import Catalogue, EventType

REFERENCE = "#/components/schemas/{}"
HEADERS = {
    "webhook-id": "The event's id, the same at each try: remember it.",
    "webhook-timestamp": "When it was sent, in seconds since 1970: refuse what is more than five minutes away.",
    "webhook-signature": "`v1,` and base64 of the HMAC-SHA256 of `webhook-id.webhook-timestamp.body`; of several one fits.",
}
"""Standard Webhooks."""


def enter(document: dict[str, Any], kinds: Catalogue) -> None:
    """Put every kind into the document.

    Raises: ValueError: a component of that name is there already.
    """
    new: dict[str, Any] = {}
    for one in kinds:
        new[f"{_camel(one)}Data"] = one.schema() | {"title": f"{_camel(one)}Data"}
        new[f"{_camel(one)}Webhook"] = _body(one)
    bodies = {one.name: REFERENCE.format(f"{_camel(one)}Webhook") for one in kinds}
    new["WebhookEvent"] = {
        "description": "Whatever a webhook is sent, told apart by `type`.",
        "oneOf": [{"$ref": reference} for reference in bodies.values()],
        "discriminator": {"propertyName": "type", "mapping": bodies},
    }
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    if twice := sorted(schemas.keys() & new.keys()):
        raise ValueError(f"there are two components {twice[0]}")
    schemas.update(new)
    document["webhooks"] = {one.name: {"post": _operation(one)} for one in kinds}


def _camel(kind: EventType[Any]) -> str:
    return "".join(word.capitalize() for word in kind.name.replace(".", "_").split("_"))


def _body(kind: EventType[Any]) -> dict[str, Any]:
    return {
        "title": f"{_camel(kind)}Webhook",
        "description": kind.description,
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": kind.name, "type": "string"},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it became true."},
            "data": {"$ref": REFERENCE.format(f"{_camel(kind)}Data")},
        },
    }


def _operation(kind: EventType[Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": REFERENCE.format(f"{_camel(kind)}Webhook")}}}
    return {
        "tags": ["webhooks"],
        "summary": kind.description,
        "operationId": f"on{_camel(kind)}",
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": text}
            for name, text in HEADERS.items()
        ],
        "requestBody": {"required": True, "content": content},
        "responses": {"2XX": {"description": "It is taken."}, "410": {"description": "The endpoint wants nothing more."}},
    }
