"""/docs: Swagger UI over /openapi.json, its files from an installed package; nothing is loaded from elsewhere (docs/adr/0012)."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse, Response

from api.edge.answers import PAGE_HEADERS
from api.errors import NotFound

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
    @media (max-width: 44rem) {
      .swagger-ui .opblock-tag { flex-wrap: wrap }
      .swagger-ui .opblock-tag small { flex-basis: 85%; padding: 0 }
    }
  </style>
  <script src="/docs/swagger-ui-bundle.js" defer></script>
  <script src="/docs/begin.js" defer></script>
</head>
<body>
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


@router.get("/docs/{file}")
async def part(file: str) -> Response:
    """A file of Swagger UI."""
    if file not in FILES:
        raise NotFound("The page has no such part.")
    return FileResponse(Path(str(resources.files(PACKAGE) / "resources" / file)), media_type=FILES[file], headers=PAGE_HEADERS)
