"""Use cases of webhooks: endpoints of a tenant, their secrets, what was sent to them and is sent again."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncSession

from acd.networks import Reach
from api.db import sealer_of
from api.kit.ids import drawn_id, timed_id
from api.kit.jobs import forget, put
from api.kit.outbox import Catalogue, Event
from api.kit.paging import Cut
from api.kit.preconditions import require_match
from api.kit.schema import nearest
from api.webhooks import repository, rules
from api.webhooks.errors import AddressRefused, BeyondWhatItReads, DeliveryUnknown, NoSuchEvent, NotActive, StillOnItsWay, WebhookUnknown
from api.webhooks.events import TEST, WebhookRef
from api.webhooks.models import Delivery, Endpoint
from api.webhooks.rules import OLD_SECRET, SECRET_OCTETS, body_of, checked_url, secret_of, wants
from api.webhooks.schemas import WebhookGiven, WebhookTold

TABLE = Endpoint.__tablename__
DELIVER = "webhooks.deliver"
"""The job."""
REPLAYED_AT_ONCE = 1000
Lacks = Callable[[str], str | None]
"""Why whoever asks has not the permission of this name, in a sentence; None: has it."""
_order = itertools.count()
"""Deliveries of one moment keep their order."""


def job_key(delivery: str) -> str:
    """Of the job that makes a delivery."""
    return f"{DELIVER}:{delivery}"


class Addresses:
    """Where webhooks may go, as far as it can be said when they are written down."""

    def __init__(self, rule: Reach, *, plain: bool) -> None:
        self._rule = rule
        self._plain = plain

    def check(self, url: str) -> str:
        """Raises: AddressRefused."""
        try:
            checked_url(url, plain=self._plain)
        except ValueError as error:
            raise AddressRefused(f"{str(error)[0].upper()}{str(error)[1:]}.") from None
        if not self._rule.allows_name(urlsplit(url).hostname or ""):
            raise AddressRefused("The operator does not allow this address.")
        return url


def check_events(catalogue: Catalogue, events: Sequence[str]) -> None:
    """Raises: NoSuchEvent."""
    for index, name in enumerate(events):
        if name not in catalogue and name != rules.EVERYTHING:
            raise NoSuchEvent(name, index, nearest(name, catalogue.names))


def require_read(catalogue: Catalogue, lacks: Lacks, events: Iterable[str], pointer: str | None = None) -> None:
    """Whoever has an endpoint told of something may read it.

    Args:
        events: kinds, or `*`; of one that the catalogue has no more nothing comes.
        pointer: where they stand in what was given.
    Raises: BeyondWhatItReads
    """
    for index, name in enumerate(events):
        kinds = catalogue.names if name == rules.EVERYTHING else (name,) if name in catalogue else ()
        for kind in kinds:
            if (why := lacks(catalogue[kind].shown_by)) is not None:
                raise BeyondWhatItReads(kind, why, f"{pointer}/{index}" if pointer is not None else None)


async def some(session: AsyncSession, page: Cut) -> list[WebhookTold]:
    """A page of them, and one more."""
    return [told(row) for row in await repository.some(session, page)]


async def get(session: AsyncSession, endpoint: str) -> Endpoint:
    """One endpoint.

    Raises: WebhookUnknown
    """
    found = await repository.get(session, endpoint)
    if found is None:
        raise WebhookUnknown(endpoint)
    return found


async def create(session: AsyncSession, given: WebhookGiven, now: datetime) -> tuple[Endpoint, str]:
    """Add one; returns it and its secret, which is shown this once."""
    key, secret = drawn_id(), secret_of(secrets.token_bytes(SECRET_OCTETS))
    row = Endpoint(
        id=key,
        url=given.url,
        description=given.description,
        wanted={"events": list(dict.fromkeys(given.events))},
        active=given.active,
        secret=sealer_of(session).seal(secret, TABLE, key, "secret"),
        created_at=now,
        changed_at=now,
    )
    session.add(row)
    await session.flush()
    return row, secret


async def replace(
    session: AsyncSession,
    endpoint: str,
    given: WebhookGiven,
    now: datetime,
    if_match: str | None,
    may_read: Callable[[Iterable[str]], None],
) -> tuple[Endpoint, Mapping[str, Any] | None]:
    """Change one; returns it, and how the audit shows it before, None where nothing became otherwise. One that was disabled is so no more
    when it is made active.

    Args:
        may_read: refuses whoever may not read what it is told of as yet: with another address that would come there.
    Raises: WebhookUnknown, Outdated, BeyondWhatItReads
    """
    row = await _held(session, endpoint, if_match)
    may_read(row.events)
    before = document(row)
    wanted = (given.url, given.description, list(dict.fromkeys(given.events)), given.active)
    if (row.url, row.description, row.events, row.active) == wanted:
        return row, None
    if given.active and (not row.active or given.url != row.url):
        row.failing_since = row.disabled_at = row.disabled_because = None
    row.url, row.description, row.wanted, row.active = given.url, given.description, {"events": wanted[2]}, given.active
    row.changed_at = now
    await session.flush()
    return row, before


async def delete(session: AsyncSession, endpoint: str, if_match: str | None) -> Mapping[str, Any]:
    """Remove one with everything that was sent to it; what is on its way is not sent. Returns how the audit shows it.

    Raises: WebhookUnknown, Outdated
    """
    before = document(await _held(session, endpoint, if_match))
    session.expunge_all()
    await repository.remove(session, endpoint)
    await forget(session, DELIVER, endpoint)
    return before


async def rotate(session: AsyncSession, endpoint: str, now: datetime) -> tuple[str, datetime]:
    """Give it another secret; for a day it is signed with both. Returns it, and until when the old one is used.

    A second change within that day leaves the first secret its day, and the one in between is used no more: whoever changes so soon has not
    got it to the endpoint, which knows the first.

    Raises: WebhookUnknown
    """
    row = await _held(session, endpoint, None)
    sealer = sealer_of(session)
    secret, before = secret_of(secrets.token_bytes(SECRET_OCTETS)), sealer.open(row.secret, TABLE, row.id, "secret")
    if row.old_secret is None or row.old_until is None or row.old_until <= now:
        row.old_secret, row.old_until = sealer.seal(before, TABLE, row.id, "old_secret"), now + OLD_SECRET
    row.secret, row.changed_at = sealer.seal(secret, TABLE, row.id, "secret"), now
    await session.flush()
    return secret, row.old_until


def secrets_of(session: AsyncSession, row: Endpoint, now: datetime) -> list[str]:
    """The secrets to sign with at this moment, the newest first.

    Raises: SealError
    """
    sealer = sealer_of(session)
    found = [sealer.open(row.secret, TABLE, row.id, "secret")]
    if row.old_secret is not None and row.old_until is not None and now < row.old_until:
        found.append(sealer.open(row.old_secret, TABLE, row.id, "old_secret"))
    return found


async def _held(session: AsyncSession, endpoint: str, if_match: str | None) -> Endpoint:
    await repository.hold(session, endpoint)
    row = await get(session, endpoint)
    await session.refresh(row)
    require_match(if_match, told(row))
    return row


def document(row: Endpoint) -> dict[str, Any]:
    """An endpoint as the audit shows it: of its address no query, where services want a token."""
    return {"url": rules.shown_url(row.url), "description": row.description, "events": row.events, "active": row.active}


def told(row: Endpoint) -> WebhookTold:
    """An endpoint as it is answered: without its secrets."""
    return WebhookTold(
        id=row.id,
        url=row.url,
        events=row.events,
        description=row.description,
        active=row.active,
        created_at=row.created_at,
        changed_at=row.changed_at,
        taken_at=row.taken_at,
        failing_since=row.failing_since,
        disabled_at=row.disabled_at,
        disabled_because=row.disabled_because,
        old_secret_until=row.old_until if row.old_secret is not None else None,
    )


# ---------------------------------------------------------------------- deliveries


async def take(session: AsyncSession, event: Event, now: datetime) -> None:
    """An event goes to every endpoint that wants it: a delivery, and the job that makes it."""
    for endpoint in await repository.active(session):
        if wants(endpoint.events, event.kind) and event.at >= endpoint.created_at:
            await send(session, endpoint, event, now)


async def send(session: AsyncSession, endpoint: Endpoint, event: Event, now: datetime) -> Delivery:
    """An event goes to one endpoint."""
    row = Delivery(
        id=timed_id(now, f"{next(_order) % 0x1_0000:04x}{drawn_id(4)}"),
        endpoint=endpoint.id,
        event=event.id,
        kind=event.kind,
        subject=event.subject,
        body=body_of(event),
        state="pending",
        created_at=now,
        tries=0,
    )
    session.add(row)
    await session.flush()
    await _have_delivered(session, row, now)
    return row


async def _have_delivered(session: AsyncSession, row: Delivery, now: datetime) -> None:
    await put(session, DELIVER, {"delivery": row.id}, now, key=job_key(row.id), line=f"{row.endpoint}/{row.subject}"[:250])


async def test(session: AsyncSession, endpoint: str, now: datetime) -> Delivery:
    """Send an event that says nothing, to this one alone.

    Raises: WebhookUnknown, NotActive
    """
    row = await _active(session, endpoint)
    payload = WebhookRef(endpoint=endpoint)
    return await send(session, row, Event(secrets.token_hex(16), TEST.name, TEST.subject(payload), now, payload.model_dump()), now)


async def _active(session: AsyncSession, endpoint: str) -> Endpoint:
    row = await get(session, endpoint)
    if not row.active:
        raise NotActive(endpoint)
    return row


async def deliveries(session: AsyncSession, endpoint: str, page: Cut, state: str | None) -> Sequence[Delivery]:
    """A page of what was sent to an endpoint, the newest first, and one more.

    Raises: WebhookUnknown
    """
    await get(session, endpoint)
    return await repository.deliveries(session, endpoint, page, state)


async def replay(session: AsyncSession, endpoint: str, delivery: str, now: datetime, may_read: Callable[[Iterable[str]], None]) -> Delivery:
    """Send again what is over, under the same id: whoever had it knows it.

    Raises: WebhookUnknown, NotActive, DeliveryUnknown, StillOnItsWay, BeyondWhatItReads
    """
    await _active(session, endpoint)
    row = await repository.delivery(session, delivery)
    if row is None or row.endpoint != endpoint:
        raise DeliveryUnknown(delivery)
    if row.state == "pending":
        raise StillOnItsWay(delivery)
    may_read([row.kind])
    await _again(session, row, now)
    return row


async def replay_dead(session: AsyncSession, endpoint: str, now: datetime, may_read: Callable[[Iterable[str]], None]) -> int:
    """Send again, oldest first, what could not be delivered; returns how many (a thousand at most).

    Raises: WebhookUnknown, NotActive, BeyondWhatItReads: nothing is sent
    """
    await _active(session, endpoint)
    rows = await repository.dead(session, endpoint, REPLAYED_AT_ONCE)
    may_read(sorted({row.kind for row in rows}))
    for row in rows:
        await _again(session, row, now)
    return len(rows)


async def _again(session: AsyncSession, row: Delivery, now: datetime) -> None:
    row.state, row.tries = "pending", 0
    await session.flush()
    await _have_delivered(session, row, now)
