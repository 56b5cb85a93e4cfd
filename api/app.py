"""Composition root of the API: settings + voice service -> FastAPI application (OpenAPI 3.1, RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from acd.core.live import LiveState
from acd.errors import CannotStart
from acd.guard import Guard
from acd.service import VoiceService
from api import demo, errors, identity, security, tenants
from api.billing.routes import router as billing_router
from api.calendar.routes import router as calendar_router
from api.config import Settings
from api.crm.routes import router as crm_router
from api.db import Databases
from api.errors import Unprocessable
from api.health import Health, Readiness
from api.house import House
from api.identity import ForAdmins
from api.identity.routes import router as identity_router
from api.kit.clock import Clock, utc_now
from api.metrics import CountRequests, Metrics
from api.security.door import RefuseBanned
from api.security.routes import router as security_router
from api.telephony.boards import Boards
from api.telephony.routes import router as telephony_router
from api.telephony.stream import router as stream_router
from api.telephony_setup.routes import router as setup_router
from api.tenants.routes import router as tenants_router
from api.tickets.routes import router as tickets_router

log = logging.getLogger(__name__)

WEB = Path(__file__).parent / "web"
TAGS = [
    {"name": "identity", "description": "Log in, users, API keys."},
    {"name": "tenants", "description": "The platform's operator creates tenants."},
    {"name": "telephony setup", "description": "Agents, queues, menus, numbers, hours, lines; effective at the next event."},
    {"name": "telephony", "description": "The desk's commands, the live board, decision records, live events."},
    {"name": "billing", "description": "Tariffs, CDRs, charges with their trace, exports."},
    {"name": "crm", "description": "Contacts."},
    {"name": "tickets", "description": "Tickets; never deleted."},
    {"name": "calendar", "description": "Appointments."},
    {"name": "security", "description": "Who guesses passwords, and who is banned for it."},
    {"name": "service", "description": "Health, metrics, state."},
]

service_router = APIRouter(tags=["service"])


def create_app(
    settings: Settings, voice: VoiceService, databases: Databases | None = None, clock: Clock = utc_now, guard: Guard | None = None
) -> FastAPI:
    """The application; its lifespan migrates the databases and opens every tenant in the voice service.

    Args:
        guard: the one of the voice service; None: one of the application's own.
        databases: open, and closed by the caller after the voice service, which saves its last CDRs there; None: the application's own.
    """
    app = FastAPI(
        title="Fernamt",
        version="0.1.0",
        summary="A telephony-centric virtual ACD and voice service",
        openapi_tags=TAGS,
        lifespan=_lifespan,
        redoc_url=None,
    )
    guard = guard or Guard(security.policy_of(settings))
    furnish(app, House(settings, databases or Databases(settings), voice, clock, guard), owns_databases=databases is None)
    errors.install(app)
    for router in (
        identity_router,
        tenants_router,
        setup_router,
        telephony_router,
        stream_router,
        billing_router,
        crm_router,
        tickets_router,
        calendar_router,
        security_router,
        service_router,
    ):
        app.include_router(router)
    app.mount("/", _Page(directory=WEB, html=True), name="web")
    app.add_middleware(RefuseBanned)
    app.add_middleware(CountRequests)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


class _Page(StaticFiles):
    """The page, which loads nothing from elsewhere and is looked at for changes at every visit."""

    HEADERS: ClassVar = {
        "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file with the headers of the house."""
        response = await super().get_response(path, scope)
        response.headers.update(self.HEADERS)
        return response


def furnish(app: FastAPI, this: House, *, owns_databases: bool) -> None:
    """Put everything that has a state into the application; its routes have none."""
    app.state.house = this
    app.state.owns_databases = owns_databases
    app.state.ready = False
    app.state.boards = Boards()
    app.state.health = Health(this)
    app.state.demo = None
    app.state.passwords = identity.Passwords(this.settings.login)
    app.state.metrics = Metrics(
        this.voice,
        lambda: {
            "fernamt_tenants_failed": len(this.failed),
            "fernamt_databases_away": len(this.databases.outages.now()),
            **this.guard.figures(),
        },
    )
    app.state.keeper = security.Keeper(this)
    app.state.operator_password = None


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    this: House = app.state.house
    if app.state.owns_databases:
        await this.databases.open()
    try:
        await app.state.keeper.start()
        await _first_operator(app, this)
        await tenants.open_all(this)
        if demo.TENANT in this.failed and this.settings.demo:
            raise CannotStart(f"the tenant {demo.TENANT} of --demo cannot be opened: {this.failed[demo.TENANT].reason}")
        app.state.demo = await demo.ensure(this, app.state.passwords) if this.settings.demo else None
        app.state.ready = True
        yield
    finally:
        app.state.ready = False
        await tenants.stop_trying(this)
        await app.state.keeper.close()
        await app.state.health.close()
        if app.state.owns_databases:
            await this.databases.close()


async def _first_operator(app: FastAPI, this: House) -> None:
    operator = this.settings.operator
    password = operator.password.get_secret_value() if operator.password is not None else None
    try:
        await app.state.passwords.accept(password, (operator.username,), "operator.password")
    except Unprocessable as error:  # it goes on working: who runs the platform is told at each start
        log.warning("! the operator's password in the settings: %s", error.detail)
    async with this.databases.unit(None) as unit:
        drawn = await identity.first_operator(unit.session, app.state.passwords, operator.username, password, this.clock())
    app.state.operator_password = drawn


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, and in it the problem document, the live state and the errors every guarded route can answer with."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes, tags=TAGS, openapi_version=app.openapi_version
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _, live = msgspec.json.schema_components([LiveState], ref_template="#/components/schemas/{name}")
    schemas.update(live)
    problem = errors.ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["ProblemDocument"] = problem
    for leftover in ("HTTPValidationError", "ValidationError"):
        schemas.pop(leftover, None)
    reference = {errors.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    for operations in document["paths"].values():
        for operation in operations.values():
            answers = operation["responses"]
            if "422" in answers:
                answers["422"] = {"description": "Invalid request", "content": reference}
            if "requestBody" in operation:
                answers.setdefault("400", {"description": "The body is no text", "content": reference})
            if "security" in operation:
                answers.setdefault("401", {"description": "Log in first", "content": reference})
                answers.setdefault("403", {"description": "Not allowed", "content": reference})
                answers.setdefault("503", {"description": "A database is away, or the tenant is not open", "content": reference})
    app.openapi_schema = document
    return document


# ---------------------------------------------------------------------- service


@service_router.get("/healthz", operation_id="isAlive")
async def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@service_router.get(
    "/readyz", operation_id="isReady", response_model=Readiness, responses={503: {"description": "Not ready", "model": Readiness}}
)
async def ready(request: Request) -> JSONResponse:
    """Whether everything works: databases answer, disks have room, every tenant is served. 503 says what does not, and who is served.

    One tenant in trouble is a 503 too: an operator must see it. A load balancer that should go on for the others asks /healthz.
    """
    found = await request.app.state.health.look() if request.app.state.ready else Readiness(status="starting")
    body = found.model_dump(exclude_defaults=True)
    if found.status == "ready":
        return JSONResponse(body)
    return JSONResponse(body, 503, {"Retry-After": str(errors.RETRY_AFTER_S)})


@service_router.get("/metrics", operation_id="getMetrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    found: Metrics = request.app.state.metrics
    return Response(found.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@service_router.get("/debug/state", operation_id="getState")
async def state(access: ForAdmins) -> Response:
    """Everything the voice service knows of this tenant, for people who look for a fault."""
    described = access.house.voice.describe(access.tenant)
    return Response(msgspec.json.encode(described), media_type="application/json")


@service_router.get("/api/v1/demo", operation_id="getDemo")
async def get_demo(request: Request) -> dict[str, Any]:
    """Whether this is the demonstration, and with which credentials the page may fill its form."""
    found: demo.Demo | None = request.app.state.demo
    if found is None:
        return {"demo": False}
    return {"demo": True, "tenant": found.tenant, "username": "supervisor", "password": found.users["supervisor"]}
