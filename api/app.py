"""Composition root of the API: settings + voice service -> FastAPI application (OpenAPI 3.1, RFC 9457)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Scope

from acd.client import VoiceClient
from acd.errors import CannotStart
from acd.guard import Guard
from api import demo, docs_page, errors, identity, security, tenants
from api.config import Settings, networks_of
from api.contract import openapi as contract
from api.contract.openness import open_answers
from api.db import Databases
from api.disk_use import DiskUse
from api.edge.answers import PAGE_HEADERS, HeadAsGet, SafeHeaders
from api.edge.connections import Connections
from api.edge.contract import Contract
from api.edge.counting import CountRequests
from api.edge.requests import Refusals
from api.edge.turns import Turns
from api.health import Health
from api.identity import needed_by, principal_of
from api.kit.blobs import Blobs
from api.kit.clock import Clock, utc_now
from api.kit.outbox import openapi as webhooks
from api.kit.permissions import Permission, told
from api.metrics import Metrics
from api.security import RefuseBanned
from api.services import ServePage, Services
from api.shared import Shared, furnish_with, shared_in
from api.slices import SLICES
from api.version import VERSION
from api.work import compose

WEB = Path(__file__).parent / "web"


def create_app(
    settings: Settings,
    voice: VoiceClient,
    databases: Databases | None = None,
    clock: Clock = utc_now,
    guard: Guard | None = None,
    serve_page: ServePage | None = None,
) -> FastAPI:
    """The application; its lifespan migrates the databases and opens every tenant in the voice service.

    Args:
        guard: the one of the voice service; None: one of the application's own.
        serve_page: where SIP of pages goes; None: nowhere.
        databases: open, and closed by the caller after the voice service, which saves its last CDRs there; None: the application's own.
    """
    app = Application(
        title="Fernamt",
        version=VERSION,
        summary="A telephony-centric virtual ACD and voice service",
        openapi_tags=SLICES.tags,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    guard = guard or Guard(security.policy_of(settings))
    this = Services(settings, databases or Databases(settings), voice, clock, serve_page=serve_page, guard=guard)
    furnish(app, this, owns_databases=databases is None)
    errors.install(app)
    for router in (*(router for one in SLICES.slices for router in one.routers), docs_page.router):
        app.include_router(router)
    app.mount("/", _Page(directory=WEB, html=True), name="web")
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


class Application(FastAPI):
    """FastAPI within what stands before it: also what fails inside, and what is never let in, leaves with the headers of the house."""

    def build_middleware_stack(self) -> ASGIApp:
        """The layers, the outermost first: HEAD becomes GET; the request is counted; headers are added; who is banned is refused, then
        what is too large.
        """
        refusals = Refusals(super().build_middleware_stack(), Contract(self), _logged_in)
        return HeadAsGet(CountRequests(SafeHeaders(RefuseBanned(refusals))))


async def _logged_in(connection: HTTPConnection) -> None:
    """Who sends more than strangers may is somebody.

    Raises: Unauthenticated, NotServed
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    await principal_of(connection, token if scheme.lower() == "bearer" else "")


class _Page(StaticFiles):
    """The page, which loads nothing from elsewhere and is looked at for changes at every visit."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file with the headers of the house; 404 comes before 405."""
        response = await super().get_response(path, {**scope, "method": "GET"})
        if scope["method"] not in {"GET", "HEAD"}:
            raise errors.NotAllowed(("GET", "HEAD"))
        response.headers.update(PAGE_HEADERS)
        return response


def furnish(app: FastAPI, this: Services, *, owns_databases: bool) -> Shared:
    """Put everything that has a state into the application; its routes have none."""
    http = this.settings.http
    connections = Connections(
        http.strangers_per_source, http.strangers, http.connections_per_user, networks_of(http.proxies), http.connections_per_tenant
    )
    ours = Shared(
        services=this,
        slices=SLICES,
        turns=Turns(http.requests_per_tenant, http.waiting_per_tenant, http.wait_s, http.streams_per_tenant),
        connections=connections,
        metrics=Metrics(this.voice, lambda: _figures(ours), SLICES.metrics),
        health=Health(this),
        disk_use=DiskUse(this),
        owns_databases=owns_databases,
    )
    ours.add(make(this) for one in SLICES.slices for make in one.parts)
    compose(ours)
    furnish_with(app, ours)
    return ours


def _figures(ours: Shared) -> Mapping[str, float]:
    """Those that are not the voice service's."""
    this = ours.services
    found: dict[str, float] = {
        "fernamt_tenants_failed": len(this.failed),
        "fernamt_databases_away": len(this.databases.outages.now()),
        **ours.connections.figures(),
        **ours.turns.figures(),
        **this.databases.quotas.figures(),
        **ours.disk_use.figures(),
        **this.jobs.figures(),
        **this.outbox.figures(),
        **ours.part(Blobs).figures(),
        **(ours.https.figures() if ours.https is not None else {}),
    }
    for one in SLICES.slices:
        for figures in one.figures:
            found |= figures(ours)
    return found


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    ours = shared_in(app)
    this = ours.services
    if ours.owns_databases:
        await this.databases.open()
    try:
        for one in SLICES.slices:
            for start in one.starts:
                await start(ours)
        await tenants.open_all(this)
        if demo.TENANT in this.failed and this.settings.demo:
            raise CannotStart(f"the tenant {demo.TENANT} of --demo cannot be opened: {this.failed[demo.TENANT].reason}")
        ours.demo = await demo.ensure(this, ours.part(identity.Passwords)) if this.settings.demo else None
        ours.ready = True
        for work in (*(work(ours) for one in SLICES.slices for work in one.beside), ours.disk_use.keep_looking()):
            this.tasks.add(asyncio.create_task(work, name=getattr(work, "__qualname__", None)))
        yield
    finally:
        ours.ready = False
        await tenants.stop_trying(this)
        await this.jobs.close()
        for one in reversed(SLICES.slices):
            for stop in one.stops:
                await stop(ours)
        await ours.health.close()
        if ours.owns_databases:
            await this.databases.close()


def _needed() -> dict[str, Permission]:
    """Operation -> what it needs."""
    routes = [route for one in SLICES.slices for router in one.routers for route in router.routes if isinstance(route, APIRoute)]
    return {str(route.operation_id): found for route in routes if (found := needed_by(route.dependant)) is not None}


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, and in it the problem document, the live state and the errors every guarded route can answer with."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes, tags=SLICES.tags, openapi_version=app.openapi_version
    )
    told(document, _needed())
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    contract.enter(document)
    webhooks.enter(document, SLICES.events)
    problem = errors.ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["ProblemDocument"] = problem
    for leftover in ("HTTPValidationError", "ValidationError"):
        schemas.pop(leftover, None)
    reference = {errors.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    for operations in document["paths"].values():
        for method, operation in operations.items():
            answers = operation["responses"]
            answers["422"] = {"description": "Invalid request", "content": reference}
            if "requestBody" in operation:
                answers.setdefault("400", {"description": "The body is no text", "content": reference})
            answers.setdefault("413", {"description": "The body is too large", "content": reference})
            answers.setdefault("414", {"description": "The address is too long", "content": reference})
            answers.setdefault("431", {"description": "The header is too large", "content": reference})
            if "security" in operation and method in {"post", "put", "patch"}:
                answers.setdefault("409", {"description": "A conflict, or as much is stored as may be", "content": reference})
            if "security" in operation:
                answers.setdefault("429", {"description": "Too often, or over too many connections", "content": reference})
                answers.setdefault("401", {"description": "Log in first", "content": reference})
                answers.setdefault("403", {"description": "Not allowed", "content": reference})
                answers.setdefault("503", {"description": "A database is away, or the tenant is not open", "content": reference})
    open_answers(document)
    app.openapi_schema = document
    return document
