"""Webhooks at work (shell): the subscriber that leaves a delivery for each endpoint, and the job that makes it.

A delivery is one job of the line of its endpoint and subject: what happens to one thing arrives in order. The answer and what it makes of
the endpoint are one transaction with the end of the try, so a kill leads at most to the same event with the same id once more.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import TenantId
from acd.wire_text import fit
from api.config import Webhooks as WebhookSettings
from api.db import Databases, Unit
from api.kit.jobs import Again, Became, Definition, Done, Held, Inside, Later, Outcome, Outside, Places
from api.kit.jobs.rules import error_text
from api.kit.outbox import Event
from api.kit.reaching import Answer, NotAllowed, NotBegun, NotReached, Reaching
from api.version import VERSION
from api.webhooks import repository, service
from api.webhooks.errors import AddressRefused
from api.webhooks.models import Delivery, Endpoint
from api.webhooks.rules import ANSWERED_WITHIN_S, EXCERPT, RETRIES, is_to_be_disabled, retry_after_s, signature, wants
from api.webhooks.service import DELIVER

log = logging.getLogger(__name__)

FORGET = "webhooks.forget"
FORGET_EVERY_S = 3600.0
FORGET_BATCH, FORGET_MOST = 500, 20_000
OF_TENANT, OWN, OF_ENDPOINT = 20, 4, 4
"""Deliveries at once: a tenant has 20 endpoints at most unless the operator says otherwise (`limits.webhooks`), so that all of them may
hang and none waits for another; so many are a tenant's whatever others do; and so many go to an endpoint that takes them, else one."""
AGAIN_S = 5.0
"""What could not begin begins so much later."""
GONE = 410
"""Standard Webhooks: the endpoint wants nothing more."""


class Delivering(msgspec.Struct):
    """Argument of the job."""

    delivery: str


class _Sending(msgspec.Struct):
    """What a try needs, read before it, so that no transaction is held meanwhile."""

    endpoint: str
    url: str
    headers: dict[str, str]
    body: bytes


class _Tried(msgspec.Struct):
    """What became of it."""

    status: int | None = None
    duration_ms: int | None = None
    error: str | None = None
    excerpt: str | None = None
    after_s: float | None = None

    @property
    def is_taken(self) -> bool:
        return self.error is None


class Webhooks:
    """Of all tenants of one process; a `Subscriber` of the outbox."""

    name = "webhooks"

    def __init__(self, settings: WebhookSettings, databases: Databases, reaching: Reaching) -> None:
        self._databases = databases
        self._reaching = reaching
        self._kept = timedelta(days=settings.days)
        self._places = Places(of_tenant=OF_TENANT, own=OWN, in_all=settings.at_once, of_machine=OF_ENDPOINT)
        self.addresses = service.Addresses(reaching.rule, plain=settings.plain_http)
        self.counters: Counter[tuple[str, TenantId]] = Counter()
        """(what became of a try, tenant) -> how often."""

    @property
    def jobs(self) -> tuple[Definition, ...]:
        """To deliver, and to forget."""
        return (
            Outside(DELIVER, Delivering, self._deliver, RETRIES, limit_s=ANSWERED_WITHIN_S + 15, places=self._places),
            Inside(FORGET, type(None), self._forget, every_s=FORGET_EVERY_S),
        )

    async def wants(self, session: AsyncSession, kinds: Sequence[str]) -> frozenset[str]:
        """See `Subscriber`."""
        endpoints = await repository.active(session)
        return frozenset(name for name in kinds if any(wants(one.events, name) for one in endpoints))

    async def take(self, session: AsyncSession, event: Event, now: datetime) -> None:
        """See `Subscriber`."""
        await service.take(session, event, now)

    # ------------------------------------------------------------------ the job

    async def _deliver(self, tenant: str, given: Delivering, held: Held) -> Outcome:
        sending = await self._read(TenantId(tenant), given.delivery, held.now)
        if sending is None:
            return Done()  # the endpoint was removed, or the delivery is over
        if isinstance(sending, str):
            return self._unsent(tenant, given, sending)
        try:
            tried = await self._try(sending, held.now, tenant)
        except NotBegun:
            return Later(AGAIN_S)
        is_over = tried.is_taken or held.last

        async def note(unit: Unit, _became: Became) -> None:
            await _note(unit.session, given.delivery, tried, held, is_dead=is_over and not tried.is_taken)

        self.counters["taken" if tried.is_taken else "dead" if is_over else "failed", TenantId(tenant)] += 1
        # One that is given up stands among the deliveries, where it is sent again; the job itself is done.
        return Done(note, tried.is_taken) if is_over else Again(tried.error or "", note, tried.after_s)

    def _unsent(self, tenant: str, given: Delivering, why: str) -> Outcome:
        """It is given up without another try: what the last one came to stays to be read."""

        async def note(unit: Unit, _became: Became) -> None:
            row = await repository.delivery(unit.session, given.delivery)
            if row is not None:
                row.state = "dead"
                row.error = why if row.tries == 0 else error_text(f"{why} The last try: {row.error}")
                await unit.session.flush()

        self.counters["dead", TenantId(tenant)] += 1
        return Done(note, is_well=False)

    async def _read(self, tenant: TenantId, delivery: str, now: datetime) -> _Sending | str | None:
        """What is to be sent; a sentence why nothing is; None: there is nothing to say of it either."""
        async with self._databases.unit(tenant) as unit:
            row = await repository.delivery(unit.session, delivery)
            if row is None or row.state != "pending":
                return None
            endpoint = await service.get(unit.session, row.endpoint)
            if not endpoint.active:
                return "The webhook is not active."
            timestamp = int(now.timestamp())
            headers = {
                "content-type": "application/json",
                "user-agent": f"Fernamt/{VERSION}",
                "webhook-id": row.event,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": signature(service.secrets_of(unit.session, endpoint, now), row.event, timestamp, row.body),
            }
            return _Sending(endpoint.id, endpoint.url, headers, row.body.encode())

    async def _try(self, sending: _Sending, now: datetime, by: str) -> _Tried:
        """Raises: NotBegun."""
        try:
            self.addresses.check(sending.url)  # what the operator allows may be otherwise by now
            answer = await self._reaching.post(sending.url, sending.headers, sending.body, ANSWERED_WITHIN_S, by)
        except NotBegun:
            raise
        except AddressRefused as error:
            return _Tried(error=error.detail)
        except (NotAllowed, NotReached) as error:
            return _Tried(error=str(error))
        return _judged(answer, now)

    async def _forget(self, unit: Unit, _argument: None, held: Held) -> None:
        gone = 0
        while gone < FORGET_MOST:
            some = await repository.forget(unit.session, held.now - self._kept, FORGET_BATCH)
            gone += some
            if some < FORGET_BATCH:
                break
        if gone:
            log.info("> %d old deliveries of webhooks are gone", gone)

    def figures(self) -> Mapping[str, float]:
        """For /metrics."""
        return {
            f'fernamt_webhook_tries_total{{tenant="{tenant}",outcome="{outcome}"}}': number
            for (outcome, tenant), number in self.counters.items()
        }


def _judged(answer: Answer, now: datetime) -> _Tried:
    excerpt = fit(" ".join(answer.body.decode(errors="replace").split()), EXCERPT) or None
    tried = _Tried(status=answer.status, duration_ms=answer.duration_ms, excerpt=excerpt)
    if 200 <= answer.status < 300:
        return tried
    tried.error = f"It answered {answer.status}{', and redirects are not followed' if 300 <= answer.status < 400 else ''}."
    tried.after_s = retry_after_s(answer.headers.get("retry-after"), now) if answer.status in {429, 503} else None
    return tried


async def _note(session: AsyncSession, delivery: str, tried: _Tried, held: Held, *, is_dead: bool) -> None:
    """The answer goes into the delivery, and what it says of the endpoint into that."""
    row = await repository.delivery(session, delivery)
    if row is None:  # removed with its endpoint meanwhile
        return
    _note_delivery(row, tried, held, is_dead=is_dead)
    await repository.hold(session, row.endpoint)
    endpoint = await service.get(session, row.endpoint)
    await session.refresh(endpoint)
    if endpoint.active:
        _note_endpoint(endpoint, tried, held.now)
    await session.flush()


def _note_delivery(row: Delivery, tried: _Tried, held: Held, *, is_dead: bool) -> None:
    row.state = "delivered" if tried.is_taken else "dead" if is_dead else "pending"
    row.tries, row.tried_at = held.attempt, held.now
    row.status, row.duration_ms, row.excerpt = tried.status, tried.duration_ms, tried.excerpt
    row.error = error_text(tried.error) if tried.error is not None else None


def _note_endpoint(endpoint: Endpoint, tried: _Tried, now: datetime) -> None:
    if tried.is_taken:
        endpoint.taken_at, endpoint.failing_since = now, None
        return
    endpoint.failing_since = endpoint.failing_since or now
    if tried.status == GONE:
        why = "It answered 410: it wants nothing more."
    elif is_to_be_disabled(endpoint.failing_since, now):
        why = f"It has taken nothing since {endpoint.failing_since.isoformat(timespec='seconds')}. At last: {tried.error}"
    else:
        return
    endpoint.active, endpoint.disabled_at, endpoint.disabled_because = False, now, error_text(why)
    log.warning("! webhook %s is disabled: %s", endpoint.id, why)
