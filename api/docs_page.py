"""/docs: Swagger UI over /openapi.json, its files from an installed package; nothing is loaded from elsewhere (docs/adr/0012).

The WebSockets have a document of their own, /api/v1/asyncapi.json, shown at /docs/sockets.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse, Response

from api.contract.asyncapi import asyncapi
from api.contract.page import page_of
from api.edge.answers import PAGE_HEADERS
from api.errors import NotFound
from api.version import VERSION

router = APIRouter(include_in_schema=False)

PACKAGE = "fastapi_swagger"
FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Fernamt API</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/docs/swagger-ui.css">
  <style>
    .other { font: 1rem sans-serif; margin: .5rem 1.5rem; text-align: right }
    @media (max-width: 44rem) {
      .swagger-ui .opblock-tag { flex-wrap: wrap }
      .swagger-ui .opblock-tag small { flex-basis: 85%; padding: 0 }
    }
  </style>
  <script src="/docs/swagger-ui-bundle.js" defer></script>
  <script src="/docs/begin.js" defer></script>
</head>
<body>
  <p class="other"><a href="/docs/sockets">WebSockets</a></p>
  <div id="swagger-ui"></div>
  <noscript>This page needs JavaScript; <a href="/openapi.json">/openapi.json</a> is the document it shows.</noscript>
</body>
</html>
"""
BEGIN = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "none",
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
"""A file of its own: scripts inside a page are not run. The validator would be another host's."""


@router.get("/docs")
async def docs() -> Response:
    """The page."""
    return HTMLResponse(PAGE, headers=PAGE_HEADERS)


@router.get("/docs/begin.js")
async def begin() -> Response:
    """What starts Swagger UI."""
    return Response(BEGIN, media_type="text/javascript", headers=PAGE_HEADERS)


@cache
def _sockets() -> tuple[bytes, str]:
    """The document of the WebSockets, and its page: made when somebody asks."""
    document = asyncapi(VERSION)
    return json.dumps(document).encode(), page_of(document)


@router.get("/api/v1/asyncapi.json")
async def sockets_document() -> Response:
    """AsyncAPI 3.0."""
    return Response(_sockets()[0], media_type="application/json")


@router.get("/docs/sockets")
async def sockets() -> Response:
    """The same, to read."""
    return HTMLResponse(_sockets()[1], headers=PAGE_HEADERS)


@router.get("/docs/{file}")
async def part(file: str) -> Response:
    """A file of Swagger UI."""
    if file not in FILES:
        raise NotFound("The page has no such part.")
    return FileResponse(Path(str(resources.files(PACKAGE) / "resources" / file)), media_type=FILES[file], headers=PAGE_HEADERS)
