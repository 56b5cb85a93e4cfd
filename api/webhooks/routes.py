"""Routes of webhooks, and the catalogue of events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response, status

from api.audit import Act, record
from api.errors import Conflict, NotFound, Outdated, responses
from api.identity import Access
from api.kit.jobs.store import times
from api.kit.outbox import Catalogue
from api.kit.paging import Page, Paged, paged
from api.kit.preconditions import IfMatch, etag_of
from api.shared import services, shared
from api.webhooks import service
from api.webhooks.deliver import Webhooks
from api.webhooks.models import Delivery
from api.webhooks.permissions import ReadsWebhooks, WritesWebhooks
from api.webhooks.schemas import (
    DeliveryTold,
    EventTypes,
    EventTypeTold,
    Replayed,
    WebhookCreated,
    WebhookGiven,
    WebhookSecret,
    WebhookTold,
)
from api.webhooks.service import job_key, told

router = APIRouter(prefix="/api/v1", tags=["webhooks"])
Key = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9][a-z0-9_.-]*$")]


@router.get("/event-types", operation_id="listEventTypes")
async def list_event_types(access: ReadsWebhooks, request: Request) -> EventTypes:
    """The catalogue: every kind of event there is, and what its `data` looks like."""
    del access
    return EventTypes(
        items=[
            EventTypeTold(name=one.name, description=one.description, source=one.source, payload=one.schema())
            for one in _catalogue(request)
        ]
    )


@router.get("/webhooks", operation_id="listWebhooks")
async def list_webhooks(access: ReadsWebhooks, page: Paged) -> Page[WebhookTold]:
    """Endpoints, in pages."""
    rows = await service.some(access.session, page)
    items, following = paged(rows, [row.id for row in rows], page)
    return Page(items=items, next=following)


@router.post("/webhooks", operation_id="createWebhook", status_code=status.HTTP_201_CREATED)
async def create_webhook(access: WritesWebhooks, given: WebhookGiven, request: Request, response: Response) -> WebhookCreated:
    """Add an endpoint. Its secret is in this answer and nowhere else. 403 for an API key that may not read what
    a kind tells of: `ticket.*` needs `tickets:read`, `*` the permissions of all (docs/webhooks.md).
    """
    _check(request, access, given)
    row, secret = await service.create(access.session, given, access.now)
    _changed(access, request, "created", row.id, after=service.document(row))
    response.headers["ETag"] = etag_of(told(row))
    return WebhookCreated(**told(row).model_dump(), secret=secret)


@router.get("/webhooks/{webhook}", operation_id="getWebhook", responses=responses(NotFound))
async def get_webhook(access: ReadsWebhooks, webhook: Key, response: Response) -> WebhookTold:
    """One endpoint, and how it does."""
    found = told(await service.get(access.session, webhook))
    response.headers["ETag"] = etag_of(found)
    return found


@router.put("/webhooks/{webhook}", operation_id="replaceWebhook", responses=responses(NotFound, Outdated))
async def replace_webhook(
    access: WritesWebhooks, webhook: Key, given: WebhookGiven, request: Request, response: Response, if_match: IfMatch = None
) -> WebhookTold:
    """Change an endpoint; made active, one that was disabled is sent to again. Its secret stays. 403 for an API key that may not read what
    it is told of, or shall be.
    """
    _check(request, access, given)
    row, before = await service.replace(access.session, webhook, given, access.now, if_match, _may_read(request, access))
    if before is not None:
        _changed(access, request, "changed", webhook, before, service.document(row))
    found = told(row)
    response.headers["ETag"] = etag_of(found)
    return found


@router.delete(
    "/webhooks/{webhook}", operation_id="deleteWebhook", status_code=status.HTTP_204_NO_CONTENT, responses=responses(NotFound, Outdated)
)
async def delete_webhook(access: WritesWebhooks, webhook: Key, request: Request, if_match: IfMatch = None) -> None:
    """Remove an endpoint with everything that was sent to it."""
    before = await service.delete(access.session, webhook, if_match)
    _changed(access, request, "deleted", webhook, before)


@router.post("/webhooks/{webhook}/secret", operation_id="rotateWebhookSecret", responses=responses(NotFound))
async def rotate_secret(access: WritesWebhooks, webhook: Key) -> WebhookSecret:
    """Another secret; for a day deliveries are signed with both."""
    secret, until = await service.rotate(access.session, webhook, access.now)
    record(access.session, access.now, access.by, "changed", "webhook", webhook, details={"what": "another one to sign with"})
    return WebhookSecret(secret=secret, old_secret_until=until)


@router.post(
    "/webhooks/{webhook}/test", operation_id="testWebhook", status_code=status.HTTP_202_ACCEPTED, responses=responses(NotFound, Conflict)
)
async def test_webhook(access: WritesWebhooks, webhook: Key) -> DeliveryTold:
    """Send `webhook.test` to this endpoint; what became of it is among its deliveries."""
    row = await service.test(access.session, webhook, access.now)
    record(access.session, access.now, access.by, "sent", "webhook", webhook, details={"delivery": row.id})
    return DeliveryTold.model_validate(row)


@router.get("/webhooks/{webhook}/deliveries", operation_id="listDeliveries", responses=responses(NotFound))
async def list_deliveries(
    access: ReadsWebhooks,
    webhook: Key,
    page: Paged,
    dead: Annotated[bool, Query(description="Only what was given up.")] = False,
) -> Page[DeliveryTold]:
    """What was sent to an endpoint and what became of it, the newest first."""
    rows = await service.deliveries(access.session, webhook, page, "dead" if dead else None)
    items, following = paged(rows, [row.id for row in rows], page)
    return Page(items=await _deliveries(access, items), next=following)


@router.post(
    "/webhooks/{webhook}/deliveries/{delivery}/replay",
    operation_id="replayDelivery",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(NotFound, Conflict),
)
async def replay_delivery(access: WritesWebhooks, webhook: Key, delivery: Key, request: Request) -> DeliveryTold:
    """Send again what was delivered or given up, under the same `webhook-id`."""
    row = await service.replay(access.session, webhook, delivery, access.now, _may_read(request, access))
    record(access.session, access.now, access.by, "sent", "webhook", webhook, details={"delivery": delivery})
    return (await _deliveries(access, [row]))[0]


@router.post(
    "/webhooks/{webhook}/replay",
    operation_id="replayDeadDeliveries",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(NotFound, Conflict),
)
async def replay_dead(access: WritesWebhooks, webhook: Key, request: Request) -> Replayed:
    """Send again everything that was given up, the oldest first; a thousand at a time."""
    number = await service.replay_dead(access.session, webhook, access.now, _may_read(request, access))
    record(access.session, access.now, access.by, "sent", "webhook", webhook, details={"deliveries": number})
    return Replayed(deliveries=number)


async def _deliveries(access: Access, rows: list[Delivery]) -> list[DeliveryTold]:
    due = await times(access.session, [job_key(row.id) for row in rows if row.state == "pending"])
    return [DeliveryTold.model_validate(row).model_copy(update={"next_try_at": due.get(job_key(row.id))}) for row in rows]


def _catalogue(request: Request) -> Catalogue:
    return shared(request).slices.events


def _check(request: Request, access: Access, given: WebhookGiven) -> None:
    service.check_events(_catalogue(request), given.events)
    service.require_read(_catalogue(request), _lacks(request, access), given.events, "#/events")
    shared(request).part(Webhooks).addresses.check(given.url)


def _lacks(request: Request, access: Access) -> service.Lacks:
    permissions = shared(request).slices.permissions
    return lambda name: access.principal.lacks(permissions[name])


def _may_read(request: Request, access: Access) -> Callable[[Iterable[str]], None]:
    return lambda events: service.require_read(_catalogue(request), _lacks(request, access), events)


def _changed(
    access: Access,
    request: Request,
    act: Act,
    webhook: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """It is audited; once it is committed, what is wanted is asked anew."""
    record(access.session, access.now, access.by, act, "webhook", webhook, before=before, after=after)

    async def ask() -> None:
        await services(request).outbox.ask(access.tenant)

    access.unit.then(ask)
