"""WebSockets of telephony: the stream of live events, and the live board as snapshots.

The token comes in the Authorization header, or as a subprotocol `bearer.<token>` beside `fernamt.v1` (browsers can set no header). In the
address, `?token=`, proxies write it down (RFC 6750 §5.3): so it is taken from there only with `http.token_in_query`.
Close codes: 4401 no valid token (any more), 4403 without the permission `calls:read`, 4408 overrun: fetch the live state and come again,
1013 try again later (RFC 6455 registry): a database is away, the tenant is not open, or the user holds too many connections.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect
from sqlalchemy.exc import SQLAlchemyError

from acd.core.errors import UnknownName
from acd.core.live import LiveState
from acd.errors import StreamOverrun
from acd.outage import Unreachable
from acd.service import LiveEvent, Spending
from api.audit import By, record_read, source_of
from api.contract import SUBPROTOCOL, Heartbeat, live_message, written
from api.contract.sockets import BOARD_EVERY_S, FORBIDDEN, GOING_AWAY, HEARTBEAT_S, OVERRUN, TOKEN_PREFIX, TRY_AGAIN_LATER, UNAUTHENTICATED
from api.db import UnknownTenant
from api.errors import TooMany, Unauthenticated, Unavailable, unavailable
from api.identity import Principal, Role, principal_of
from api.outages import say
from api.shared import services, shared
from api.telephony.boards import Boards
from api.telephony.permissions import CALLS_READ
from api.telephony.rules import AgentView, for_everybody, live_for, told_live

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api/v1", tags=["telephony"])

REASON_OCTETS = 123
"""What a close frame has room for (RFC 6455 §5.5)."""


def _token(socket: WebSocket, in_query: str | None) -> tuple[str | None, str | None]:
    """The token, and the subprotocol to accept."""
    offered = [part.strip() for part in socket.headers.get("sec-websocket-protocol", "").split(",")]
    accepted = SUBPROTOCOL if SUBPROTOCOL in offered else None
    for part in offered:
        if part.startswith(TOKEN_PREFIX):
            return part.removeprefix(TOKEN_PREFIX), accepted
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    return (token if scheme.lower() == "bearer" else in_query), accepted


async def _enter(socket: WebSocket, in_query: str | None) -> tuple[Principal, str] | None:
    """Accept the socket and find out who it is; None: it was closed."""
    token, subprotocol = _token(socket, in_query)
    await socket.accept(subprotocol)
    if in_query is not None and not services(socket).settings.http.token_in_query:
        await socket.close(UNAUTHENTICATED, "a token goes into the Authorization header or the subprotocol bearer.<token>, not the address")
        return None
    try:
        principal = await principal_of(socket, token or "")
    except Unauthenticated as error:
        await socket.close(UNAUTHENTICATED, error.detail)
        return None
    except Exception as error:
        await _close_until_later(socket, error)
        return None
    if (lacks := principal.lacks(CALLS_READ)) is not None:
        await socket.close(FORBIDDEN, lacks[:REASON_OCTETS])
        return None
    await _record_opened(socket, principal)
    return principal, token or ""


async def _record_opened(socket: WebSocket, principal: Principal) -> None:
    """Whoever looks at calls live stands in the audit once, from when the socket opens; it is served also when that cannot be written."""
    this, path = services(socket), socket.url.path
    by = By(principal.name, source_of(socket.client.host if socket.client else None))
    try:
        async with this.databases.unit(principal.tenant) as unit:
            await record_read(unit.session, this.clock(), by, shared(socket).slices.sockets[path], path, {})
    except (SQLAlchemyError, UnknownTenant, Unreachable) as error:
        shared(socket).metrics.audit_failures.inc()
        say(log, error, "! %s opened %s, and the audit could not be written", principal.name, path)


Outgoing = AsyncGenerator[str | None]
"""Messages; None when nothing happened for a while."""


async def _close_until_later(socket: WebSocket, error: Exception) -> None:
    """Close for an outage, or for want of room; anything else is raised again."""
    problem = error if isinstance(error, Unavailable | TooMany) else unavailable(error)
    if problem is None:
        raise error
    await socket.close(TRY_AGAIN_LATER, problem.detail[:REASON_OCTETS])


async def _serve(socket: WebSocket, token: str, entered: Principal, outgoing: Outgoing) -> None:
    """Send until the client goes, the token ends, or the client is too slow."""
    gone = asyncio.create_task(_until_gone(socket))
    sending = asyncio.create_task(_send(socket, token, entered, outgoing))
    try:
        await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            return
        sending.result()
        await socket.close(GOING_AWAY, "the exchange closed the stream")
    except Unauthenticated as error:
        await socket.close(UNAUTHENTICATED, error.detail)
    except RoleChanged:
        await socket.close(FORBIDDEN, "the role has changed: come again")
    except StreamOverrun:
        await socket.close(OVERRUN, "too slow: fetch the live state and come again")
    except UnknownName as error:
        await socket.close(UNAUTHENTICATED, str(error))
    except (WebSocketDisconnect, RuntimeError) as error:  # the client went while we were sending
        log.debug("< live stream: %s", error)
    except Exception as error:
        await _close_until_later(socket, error)
    finally:
        for task in (sending, gone):
            task.cancel()
        await asyncio.gather(sending, gone, return_exceptions=True)


class RoleChanged(Exception):
    """Who listens may see other things by now than when the socket opened."""


def same_view(now: Principal, entered: Principal) -> bool:
    """Whether somebody may still see what the socket was opened for."""
    return (now.role, now.agent, now.tenant) == (entered.role, entered.agent, entered.tenant)


async def _send(socket: WebSocket, token: str, entered: Principal, outgoing: Outgoing) -> None:
    looked_at = time.monotonic()
    try:
        async for message in outgoing:
            if message is None or time.monotonic() - looked_at >= HEARTBEAT_S:  # a stream that is never silent ends with its token too
                if not same_view(await principal_of(socket, token), entered):
                    raise RoleChanged
                looked_at = time.monotonic()
            await socket.send_text(message if message is not None else written(Heartbeat(at=services(socket).clock().timestamp())))
    finally:
        await outgoing.aclose()


async def _until_gone(socket: WebSocket) -> None:
    """What clients say is not listened to, only that they go."""
    with suppress(WebSocketDisconnect):
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return


async def _with_silences(stream: AsyncIterator[LiveEvent], silence_s: float) -> AsyncGenerator[LiveEvent | None]:
    """The stream, with None for every silence; the pending read is kept, so that no event is lost."""
    pending: asyncio.Task[LiveEvent] | None = None
    try:
        while True:
            if pending is None:
                pending = asyncio.ensure_future(_next(stream))
            done, _ = await asyncio.wait({pending}, timeout=silence_s)
            if not done:
                yield None
                continue
            try:
                event = pending.result()
            except _Ended:
                return
            pending = None
            yield event
    finally:
        if pending is not None:
            pending.cancel()
            with suppress(asyncio.CancelledError, _Ended, StreamOverrun):
                await pending
        close: Callable[[], Any] | None = getattr(stream, "aclose", None)
        if close is not None:
            await close()


class _Ended(Exception):
    """The exchange closed the stream."""


async def _next(stream: AsyncIterator[LiveEvent]) -> LiveEvent:
    try:
        return await anext(stream)
    except StopAsyncIteration as error:  # a task cannot raise it
        raise _Ended from error


@router.websocket("/events")
async def events(socket: WebSocket, token: Annotated[str | None, Query(max_length=200)] = None) -> None:
    """Live events as JSON: `{"tenant", "seq", "at", "event": {"type": …}}`; first the live state as `{"type": "live", "live": …}`."""
    entered = await _enter(socket, token)
    if entered is None:
        return
    principal, bearer = entered
    with shared(socket).metrics.sockets.labels("/api/v1/events").track_inprogress():
        await _serve(socket, bearer, principal, _events(socket, principal))


async def _events(socket: WebSocket, principal: Principal) -> Outgoing:
    voice, tenant = services(socket).voice, principal.tenant
    assert tenant is not None
    own = AgentView(principal.agent)
    is_agent = principal.role == Role.AGENT
    source = _with_silences(voice.stream(tenant, agent=principal.agent), HEARTBEAT_S)
    first = asyncio.ensure_future(anext(source))
    try:
        await asyncio.sleep(0)  # the stream is subscribed now: nothing falls between the state and the first event
        state = voice.live(tenant)
        own.begins_at(state)
        yield _live(live_for(state, principal.agent) if is_agent else state)
        event = await first
        while True:
            if event is None:
                yield None
            elif own.admits(event) or (not is_agent and for_everybody(event)):  # a supervisor who takes calls gets the own pops too
                yield told_live(event)
            event = await anext(source)
    except StopAsyncIteration:
        return
    finally:
        if not first.done():
            first.cancel()
            with suppress(asyncio.CancelledError):
                await first
        await source.aclose()


@router.websocket("/board")
async def board(socket: WebSocket, token: Annotated[str | None, Query(max_length=200)] = None) -> None:
    """The live board: a snapshot at once, then another whenever something changed, at most two a second, and when a day of the tenant
    begins; for supervisors with how the budgets stand.
    """
    entered = await _enter(socket, token)
    if entered is None:
        return
    principal, bearer = entered
    with shared(socket).metrics.sockets.labels("/api/v1/board").track_inprogress():
        await _serve(socket, bearer, principal, _boards(socket, principal))


async def _boards(socket: WebSocket, principal: Principal) -> Outgoing:
    voice, tenant = services(socket).voice, principal.tenant
    assert tenant is not None
    boards = shared(socket).part(Boards)
    sees_spending = principal.lacks(shared(socket).slices.permissions["spending:read"]) is None
    async with boards.look(voice, tenant) as (board, changed):
        await asyncio.sleep(0)  # the watcher has subscribed: nothing falls between the snapshot and the first event
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), HEARTBEAT_S)
            if board.ended:
                return
            if not changed.is_set():
                yield None
                continue
            if principal.role == Role.AGENT:
                changed.clear()
                yield _live(live_for(board.live(), principal.agent))
            elif not sees_spending:
                changed.clear()
                yield _live(board.live())
            else:
                yield board.snapshot(changed, lambda: _live(board.live(), voice.spending(tenant)))
            await asyncio.sleep(BOARD_EVERY_S)


def _live(state: LiveState, spending: Spending | None = None) -> str:
    return written(live_message(state, spending))
