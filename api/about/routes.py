"""Routes about the service itself."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api import errors
from api.about.permissions import ReadsState
from api.demo import DemoTold
from api.edge.monitoring import require_details, sees_details
from api.health import Readiness
from api.kit.peers import is_from_here
from api.shared import shared

router = APIRouter(tags=["service"])


@router.get("/healthz", operation_id="isAlive")
async def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", operation_id="isReady", response_model=Readiness, responses={503: {"description": "Not ready", "model": Readiness}})
async def ready(request: Request) -> JSONResponse:
    """Whether everything works: databases answer, disks have room, every tenant is served. 503 says what does not, and who is served, to
    the operator and to whom `monitoring` lets in; others get the status.

    One tenant in trouble is a 503 too: an operator must see it. A load balancer that should go on for the others asks /healthz.
    """
    this = shared(request)
    found = await this.health.look() if this.ready else Readiness(status="starting")
    if this.https is not None:
        found.certificate = this.https.told()
    body = found.model_dump(mode="json", exclude_defaults=True) if await sees_details(request) else {"status": found.status}
    if found.status == "ready":
        return JSONResponse(body)
    return JSONResponse(body, 503, {"Retry-After": str(errors.RETRY_AFTER_S)})


@router.get(
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
    return Response(await shared(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


_ANY_STATE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "For people to read: it follows how the exchange is built, and promises nothing.",
        "content": {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
    }
}


@router.get("/debug/state", operation_id="getState", responses=_ANY_STATE, response_class=Response)
async def state(access: ReadsState) -> Response:
    """Everything the voice service knows of this tenant, for people who look for a fault."""
    async with access.outside() as voice:
        described = await voice.describe(access.tenant)
    return Response(msgspec.json.encode(described), media_type="application/json")


@router.get("/api/v1/demo", operation_id="getDemo", response_model_exclude_unset=True)
async def get_demo(request: Request) -> DemoTold:
    """Whether this is the demonstration, and with which credentials the page may fill its form: the password only on this machine."""
    found = shared(request).demo
    if found is None:
        return DemoTold(demo=False)
    told = DemoTold(demo=True, tenant=found.tenant, username="supervisor")
    return told.model_copy(update={"password": found.users["supervisor"]}) if is_from_here(request) else told
