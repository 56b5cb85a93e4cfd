"""What calls tell of, and what became of them: from the journal's facts and the records (pure).

A call's events come from the journal, so they are told in its order; that its record is rated comes from another source, has a subject of
its own and may come before or after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from acd.core import events as ev
from api.contract.words import CallOutcome, Direction
from api.kit.outbox import EventType, Payload, row_of
from api.kit.outbox.catalogue import event_id
from billing_cdr.cdr import Cdr
from billing_cdr.charge import Charge


class CallOffered(Payload):
    call: str
    direction: Direction
    trunk: str | None
    at: datetime


class CallQueued(Payload):
    call: str
    queue: str
    position: int
    at: datetime


class CallAlerted(Payload):
    call: str
    queue: str
    agents: tuple[str, ...]
    at: datetime


class CallAnswered(Payload):
    call: str
    agent: str
    at: datetime


class CallCleared(Payload):
    call: str
    cause: str
    at: datetime


class CdrRated(Payload):
    id: str
    """Of the call; `GET /api/v1/cdrs/{id}` has the whole record."""
    direction: Direction
    outcome: CallOutcome
    cause: str
    queue: str | None
    agent: str | None
    began_at: datetime
    answered_at: datetime | None
    ended_at: datetime
    duration_ms: int
    queue_ms: int
    talk_ms: int
    status: Literal["rated", "unrated"]
    currency: str | None
    gross: Decimal | None
    """With VAT; null: it has no price (yet), or one in two currencies."""


OFFERED = EventType("call.offered", "A call has begun.", CallOffered, "call", "calls:read", "calls")
QUEUED = EventType("call.queued", "A call, or another contact, stands in a queue.", CallQueued, "call", "calls:read", "calls")
ALERTED = EventType("call.alerted", "It is offered to agents.", CallAlerted, "call", "calls:read", "calls")
ANSWERED = EventType("call.answered", "An agent has taken it.", CallAnswered, "call", "calls:read", "calls")
CLEARED = EventType("call.cleared", "A call is over.", CallCleared, "call", "calls:read", "calls")
RATED = EventType("cdr.rated", "The record of a call is stored, with its price.", CdrRated, "id", "cdrs:read", "calls")
OF_CALLS = (OFFERED, QUEUED, ALERTED, ANSWERED, CLEARED)
EVENTS = (*OF_CALLS, RATED)

Told = tuple[EventType[Any], Payload]


def _offered(event: ev.CallOffered, at: datetime) -> Told:
    return OFFERED, CallOffered(call=event.call, direction=event.direction, trunk=event.trunk, at=at)


def _queued(event: ev.Queued, at: datetime) -> Told:
    return QUEUED, CallQueued(call=event.contact, queue=event.queue, position=event.position, at=at)


def _alerted(event: ev.OfferMade, at: datetime) -> Told:
    return ALERTED, CallAlerted(call=event.contact, queue=event.queue, agents=tuple(event.decision.chosen), at=at)


def _answered(event: ev.WorkConnected, at: datetime) -> Told:
    return ANSWERED, CallAnswered(call=event.contact, agent=event.agent, at=at)


def _cleared(event: ev.CallCleared, at: datetime) -> Told:
    return CLEARED, CallCleared(call=event.call, cause=event.cause, at=at)


_TOLD: Mapping[type[Any], Callable[[Any, datetime], Told]] = {
    ev.CallOffered: _offered,
    ev.Queued: _queued,
    ev.OfferMade: _alerted,
    ev.WorkConnected: _answered,
    ev.CallCleared: _cleared,
}


def rows_of(seq: int, at: float, events: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    """The rows of the outbox that an entry of the journal gives; the same ids however often it is read."""
    for event in events:
        made = _TOLD.get(type(event))
        if made is not None:
            moment = datetime.fromtimestamp(at, UTC)
            kind, payload = made(event, moment)
            yield row_of(kind, payload, moment, event_id(seq, kind.name, kind.subject(payload), payload.model_dump_json()))


def rated(cdr: Cdr, charge: Charge | None, at: datetime) -> dict[str, Any]:
    """The row for a record that is stored."""
    total = charge.totals[0] if charge is not None and charge.status == "rated" and len(charge.totals) == 1 else None
    payload = CdrRated(
        id=cdr.id,
        direction=cdr.direction,
        outcome=cdr.outcome,
        cause=cdr.cause,
        queue=cdr.queue,
        agent=cdr.agent,
        began_at=cdr.began_at,
        answered_at=cdr.answered_at,
        ended_at=cdr.ended_at,
        duration_ms=cdr.duration_ms,
        queue_ms=cdr.queue_ms,
        talk_ms=cdr.talk_ms,
        status=charge.status if charge is not None else "unrated",
        currency=total.currency if total is not None else None,
        gross=total.gross if total is not None else None,
    )
    return row_of(RATED, payload, at, event_id("cdr.rated", cdr.id))
