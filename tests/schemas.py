"""The contract's schemas as a judge: what is sent must be what the documents say, and nothing besides."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs

from api.contract.asyncapi import asyncapi
from api.contract.openapi import components


def closed(node: Any) -> Any:
    """The schema, and no member that it does not name; clients have to let those pass, we have to name them."""
    if isinstance(node, list):
        return [closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    said = {key: closed(one) for key, one in node.items()}
    return {"additionalProperties": False, **said} if "properties" in said and said.get("type") == "object" else said


@cache
def of_openapi(name: str) -> jsonschema_rs.Draft202012Validator:
    """The judge of a component, by JSON Schema 2020-12, which OpenAPI 3.1 is made from."""
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": closed(components())}}, validate_formats=True
    )


@cache
def of_asyncapi(name: str) -> jsonschema_rs.Draft7Validator:
    """The judge of a message of a channel, `events/live`, by draft 07, which AsyncAPI is made from."""
    document = asyncapi("test")
    channel, _, message = name.partition("/")
    message_at = document["channels"][channel]["messages"][message]["$ref"].rpartition("/")[2]
    payload = document["components"]["messages"][message_at]["payload"]
    return jsonschema_rs.Draft7Validator(
        {"allOf": [payload], "components": {"schemas": closed(document["components"]["schemas"])}}, validate_formats=True
    )


def check(judge: jsonschema_rs.Draft202012Validator | jsonschema_rs.Draft7Validator, document: Any) -> None:
    """Fails where the document is not what its schema says, with the place."""
    for error in judge.iter_errors(document):
        raise AssertionError(f"at {'/'.join(map(str, error.instance_path))}: {error.message[:400]}\nin {str(document)[:1000]}")


def check_message(channel: str, message: dict[str, Any]) -> None:
    """A message of a WebSocket, as its channel declares it."""
    kind = "event" if "event" in message else message["type"]
    if kind == "event":  # the kinds are eighty, and the one that it says it is must fit
        check(of_openapi(message["event"]["type"]), message["event"])
    check(of_asyncapi(f"{channel}/{kind}"), message)


def untyped(node: Any, at: str = "") -> Iterator[str]:
    """Where a document lets anything be: objects of which no member is told, and schemas that say nothing."""
    if isinstance(node, list):
        for number, one in enumerate(node):
            yield from untyped(one, f"{at}/{number}")
    if not isinstance(node, dict):
        return
    is_object = node.get("type") == "object"
    says_nothing = not ({"properties", "patternProperties"} & node.keys()) and not isinstance(node.get("additionalProperties"), dict)
    if is_object and says_nothing and node.get("additionalProperties") is not False:
        yield at
    for key, one in node.items():
        if key in {"schema", "items", "additionalProperties"} and one == {}:
            yield f"{at}/{key}"
        if key not in {"default", "example", "examples"}:
            yield from untyped(one, f"{at}/{key}")
