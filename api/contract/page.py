"""The AsyncAPI document as a page for people: channels, close codes, messages, every event with its fields. Loads nothing, runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

HEAD = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Fernamt WebSockets</title>
  <link rel="icon" href="data:,">
  <style>
    body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
    table { border-collapse: collapse; width: 100% }
    td { border-top: 1px solid #ccc; padding: .2rem .6rem .2rem 0; vertical-align: top }
    code { background: #f3f3f3; padding: 0 .2em } h3 { margin: 2rem 0 .3rem } .wide { overflow-x: auto }
  </style>
</head>
<body>
"""
TAIL = "</body>\n</html>\n"


def page_of(document: dict[str, Any]) -> str:
    """The page."""
    return HEAD + "\n".join(_parts(document)) + TAIL


def _parts(document: dict[str, Any]) -> Iterator[str]:
    info, components = document["info"], document["components"]
    yield f"<h1>{escape(info['title'])} {escape(info['version'])}, contract {escape(info['x-contract-version'])}</h1>"
    yield f'<p>{escape(info["description"])} As a document: <a href="/api/v1/asyncapi.json">AsyncAPI</a>. <a href="/docs">HTTP</a>.</p>'
    yield "<h2>Channels</h2>"
    for channel in document["channels"].values():
        messages = ", ".join(_link(components["messages"][name]["payload"]["$ref"]) for name in channel["messages"])
        yield f"<h3><code>{escape(channel['address'])}</code></h3><p>{escape(channel['description'])} It sends {messages}.</p>"
    yield "<h2>Coming in</h2>"
    yield from (f"<p>{_text(one['description'])}</p>" for one in components["securitySchemes"].values())
    yield "<h2>Close codes</h2>"
    yield _table((str(one["code"]), one["name"], one["meaning"]) for one in document["x-close-codes"])
    yield "<h2>Messages and what they hold</h2>"
    first = [one["payload"]["$ref"].rpartition("/")[2] for one in components["messages"].values()]
    for name in (*first, *(one for one in components["schemas"] if one not in first)):
        schema = components["schemas"][name]
        yield f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{_text(schema.get("description", ""))}</p>'
        if "properties" in schema:
            yield _table(_fields(schema))
        else:
            yield f"<p>One of {_type(schema)}.</p>"


def _fields(schema: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", ())
    for name, one in schema["properties"].items():
        yield (
            f"<code>{escape(name)}</code>{'' if name in required else ' (may be left out)'}",
            _type(one),
            _text(one.get("description", "")),
        )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _link(schema["$ref"])
    if "enum" in schema:
        return ", ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_type(one) for one in schema[key])
    if schema.get("type") == "array":
        items = schema.get("items", {})
        return f"list of {_type(items)}" if isinstance(items, dict) else f"[{', '.join(map(_type, items))}]"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"name to {_type(schema['additionalProperties'])}"
    return escape(str(schema.get("format") or schema.get("type", "anything")))


def _link(reference: str) -> str:
    name = escape(reference.rpartition("/")[2])
    return f'<a href="#{name}">{name}</a>'


def _text(text: str) -> str:
    """Text with its words in backquotes as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{one}</code>" if at % 2 else one for at, one in enumerate(parts))


def _table(rows: Iterator[tuple[str, ...]]) -> str:
    cells = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table>{cells}</table></div>'
