"""Composition root of the API: settings + voice service -> FastAPI application (OpenAPI 3.1, RFC 9457)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Scope

from acd.core.live import LiveState
from acd.errors import CannotStart
from acd.guard import Guard
from acd.service import VoiceService
from api import assignments, audit, demo, docs_page, errors, identity, security, tenants
from api.assignments.routes import router as assignments_router
from api.audit.retention import keep_short
from api.audit.routes import router as audit_router
from api.billing.routes import router as billing_router
from api.calendar.routes import router as calendar_router
from api.config import Settings, networks_of
from api.crm.routes import router as crm_router
from api.db import Databases
from api.disk_use import DiskUse
from api.edge.answers import PAGE_HEADERS, HeadAsGet, SafeHeaders
from api.edge.connections import Connections
from api.edge.contract import Contract
from api.edge.monitoring import require_details, sees_details
from api.edge.requests import Refusals
from api.edge.turns import Turns
from api.errors import Unprocessable
from api.health import Health, Readiness
from api.identity import ForAdmins, principal_of
from api.identity.routes import router as identity_router
from api.jobs.routes import router as jobs_router
from api.kit.clock import Clock, utc_now
from api.kit.peers import is_from_here
from api.mails.routes import router as mails_router
from api.metrics import CountRequests, Metrics
from api.recordings import retention
from api.recordings.routes import router as recordings_router
from api.security.door import RefuseBanned
from api.security.routes import router as security_router
from api.services import Services
from api.sounds.routes import router as sounds_router
from api.telephony.boards import Boards
from api.telephony.contacts import router as contacts_router
from api.telephony.routes import router as telephony_router
from api.telephony.stream import router as stream_router
from api.telephony_setup.routes import router as setup_router
from api.tenants.routes import router as tenants_router
from api.tickets.routes import router as tickets_router
from api.version import VERSION
from api.webhooks.routes import router as webhooks_router
from api.work import work_of

log = logging.getLogger(__name__)

WEB = Path(__file__).parent / "web"
TAGS = [
    {"name": "identity", "description": "Log in, users, API keys."},
    {"name": "tenants", "description": "The platform's operator creates tenants."},
    {"name": "assignments", "description": "Numbers, sources, caller ids and the telephony domain that a tenant has and no other."},
    {"name": "telephony setup", "description": "Agents, queues, menus, numbers, hours, lines; effective at the next event."},
    {"name": "sounds", "description": "The tenant's own announcements and music."},
    {"name": "audit", "description": "Who changed what, who came in or tried to, who read personal data; nothing changes it."},
    {"name": "telephony", "description": "The desk's commands, the live board, decision records, live events."},
    {"name": "billing", "description": "Tariffs, CDRs, charges with their trace, exports."},
    {"name": "recordings", "description": "Listed, heard and deleted; every access is in the audit."},
    {"name": "crm", "description": "Contacts."},
    {"name": "tickets", "description": "Tickets; never deleted."},
    {"name": "calendar", "description": "Appointments."},
    {"name": "webhooks", "description": "Events sent to the tenant's own servers, signed; the catalogue of events."},
    {"name": "mails", "description": "Mails that were sent, and those that were given up."},
    {"name": "jobs", "description": "What is done beside requests, and what could not be done."},
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
    app = Application(
        title="Fernamt",
        version=VERSION,
        summary="A telephony-centric virtual ACD and voice service",
        openapi_tags=TAGS,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
    )
    guard = guard or Guard(security.policy_of(settings))
    furnish(app, Services(settings, databases or Databases(settings), voice, clock, guard), owns_databases=databases is None)
    errors.install(app)
    for router in (
        identity_router,
        tenants_router,
        assignments_router,
        setup_router,
        sounds_router,
        audit_router,
        telephony_router,
        contacts_router,
        stream_router,
        billing_router,
        recordings_router,
        crm_router,
        tickets_router,
        calendar_router,
        webhooks_router,
        jobs_router,
        mails_router,
        security_router,
        service_router,
        docs_page.router,
    ):
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
        self.state.contract = Contract(self)
        refusals = Refusals(super().build_middleware_stack(), self.state.contract, _logged_in)
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


def furnish(app: FastAPI, this: Services, *, owns_databases: bool) -> None:
    """Put everything that has a state into the application; its routes have none."""
    app.state.services = this
    app.state.owns_databases = owns_databases
    app.state.ready = False
    app.state.boards = Boards()
    app.state.health = Health(this)
    app.state.demo = None
    app.state.passwords = identity.Passwords(this.settings.login)
    app.state.failed_log_ins = audit.FailedLogIns()
    http = this.settings.http
    connections = Connections(
        http.strangers_per_source, http.strangers, http.connections_per_user, networks_of(http.proxies), http.connections_per_tenant
    )
    app.state.turns = Turns(http.requests_per_tenant, http.waiting_per_tenant, http.wait_s, http.streams_per_tenant)
    app.state.connections = connections
    app.state.work = work_of(this)
    disk_use = app.state.disk_use = DiskUse(this)
    app.state.metrics = Metrics(
        this.voice,
        lambda: {
            "fernamt_tenants_failed": len(this.failed),
            "fernamt_databases_away": len(this.databases.outages.now()),
            **connections.figures(),
            **app.state.turns.figures(),
            **this.lane.figures(),
            **app.state.passwords.hashing.figures(),
            **this.databases.quotas.figures(),
            **disk_use.figures(),
            **this.guard.figures(),
            **this.jobs.figures(),
            **app.state.work.figures(),
        },
    )
    app.state.keeper = security.Keeper(this)
    app.state.watch = assignments.Watch(this)
    app.state.operator_password = None


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    this: Services = app.state.services
    if app.state.owns_databases:
        await this.databases.open()
    try:
        await app.state.keeper.start()
        await app.state.watch.start()
        await _first_operator(app, this)
        await tenants.open_all(this)
        if demo.TENANT in this.failed and this.settings.demo:
            raise CannotStart(f"the tenant {demo.TENANT} of --demo cannot be opened: {this.failed[demo.TENANT].reason}")
        app.state.demo = await demo.ensure(this, app.state.passwords) if this.settings.demo else None
        app.state.ready = True
        this.tasks.add(asyncio.create_task(keep_short(this.databases, this.settings.audit, this.clock), name="keep the audit short"))
        keep_recordings_short = retention.keep_short(this, app.state.metrics.recordings_deleted)
        this.tasks.add(asyncio.create_task(keep_recordings_short, name="keep recordings no longer than they may be"))
        this.tasks.add(asyncio.create_task(app.state.disk_use.keep_looking(), name="octets of tenants"))
        this.tasks.add(asyncio.create_task(app.state.watch.keep(), name="what is seen of trunks"))
        yield
    finally:
        app.state.ready = False
        await tenants.stop_trying(this)
        await this.jobs.close()
        await app.state.work.close()
        await app.state.watch.write()
        await app.state.keeper.close()
        await app.state.health.close()
        if app.state.owns_databases:
            await this.databases.close()


async def _first_operator(app: FastAPI, this: Services) -> None:
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
    """Whether everything works: databases answer, disks have room, every tenant is served. 503 says what does not, and who is served, to
    the operator and to whom `monitoring` lets in; others get the status.

    One tenant in trouble is a 503 too: an operator must see it. A load balancer that should go on for the others asks /healthz.
    """
    found = await request.app.state.health.look() if request.app.state.ready else Readiness(status="starting")
    body = found.model_dump(exclude_defaults=True) if await sees_details(request) else {"status": found.status}
    if found.status == "ready":
        return JSONResponse(body)
    return JSONResponse(body, 503, {"Retry-After": str(errors.RETRY_AFTER_S)})


@service_router.get(
    "/metrics",
    operation_id="getMetrics",
    response_class=Response,
    responses={
        200: {"description": "The text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **errors.responses(errors.Unauthenticated),
    },
)
async def metrics(request: Request) -> Response:
    """Figures for Prometheus: with the token of `monitoring.token`, from a network of `monitoring.sources`, or for the operator."""
    await require_details(request)
    found: Metrics = request.app.state.metrics
    return Response(found.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@service_router.get("/debug/state", operation_id="getState")
async def state(access: ForAdmins) -> Response:
    """Everything the voice service knows of this tenant, for people who look for a fault."""
    described = access.services.voice.describe(access.tenant)
    return Response(msgspec.json.encode(described), media_type="application/json")


@service_router.get("/api/v1/demo", operation_id="getDemo")
async def get_demo(request: Request) -> dict[str, Any]:
    """Whether this is the demonstration, and with which credentials the page may fill its form: the password only on this machine."""
    found: demo.Demo | None = request.app.state.demo
    if found is None:
        return {"demo": False}
    told = {"demo": True, "tenant": found.tenant, "username": "supervisor"}
    return {**told, "password": found.users["supervisor"]} if is_from_here(request) else told
