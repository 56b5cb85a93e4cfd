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
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect
from sqlalchemy.exc import SQLAlchemyError

from acd.core.errors import UnknownName
from acd.core.live import LiveState
from acd.errors import StreamOverrun
from acd.service import Spending
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
from api.telephony.rules import live_for
from billing_cdr.outage import Unreachable

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api/v1", tags=["telephony"])

REASON_OCTETS = 123
"""What a close frame has room for (RFC 6455 §5.5)."""


def offered(socket: WebSocket) -> list[str]:
    """The subprotocols that a client offers."""
    return [part.strip() for part in socket.headers.get("sec-websocket-protocol", "").split(",")]


def token_of(socket: WebSocket) -> str | None:
    """The token, of a subprotocol or the header; None: none."""
    for part in offered(socket):
        if part.startswith(TOKEN_PREFIX):
            return part.removeprefix(TOKEN_PREFIX)
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else None


async def _enter(socket: WebSocket, in_query: str | None) -> tuple[Principal, str] | None:
    """Accept the socket and find out who it is; None: it was closed."""
    token = token_of(socket)
    if token is None:
        token = in_query
    await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered(socket) else None)
    if in_query is not None and not services(socket).settings.http.token_in_query:
        await socket.close(UNAUTHENTICATED, "a token goes into the Authorization header or the subprotocol bearer.<token>, not the address")
        return None
    try:
        principal = await principal_of(socket, token or "")
    except Unauthenticated as error:
        await socket.close(UNAUTHENTICATED, error.detail)
        return None
    except Exception as error:
        await close_until_later(socket, error)
        return None
    if (lacks := principal.lacks(CALLS_READ)) is not None:
        await socket.close(FORBIDDEN, lacks[:REASON_OCTETS])
        return None
    await record_opened(socket, principal)
    return principal, token or ""


async def record_opened(socket: WebSocket, principal: Principal) -> None:
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


async def close_until_later(socket: WebSocket, error: Exception) -> None:
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
        await close_until_later(socket, error)
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
            await socket.send_text(message if message is not None else _heartbeat(socket))
    finally:
        await outgoing.aclose()


def _heartbeat(socket: WebSocket) -> str:
    return written(Heartbeat(at=services(socket).clock().timestamp()))


async def _until_gone(socket: WebSocket) -> None:
    """What clients say is not listened to, only that they go."""
    with suppress(WebSocketDisconnect):
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return


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
    hubs = shared(socket).part(Boards).hubs
    is_agent = principal.role == Role.AGENT
    async with hubs.listen(voice, tenant, principal.agent, sees_all=not is_agent) as (outbox, state):
        yield _live(live_for(state, principal.agent) if is_agent else state)
        while True:
            try:
                message = await outbox.get(HEARTBEAT_S)
            except EOFError:
                return
            yield message


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

        async def whole() -> str:
            return _live(await board.live(), await voice.spending(tenant))

        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), HEARTBEAT_S)
            if board.ended:
                return
            if not changed.is_set():
                yield None
                continue
            if principal.role == Role.AGENT:
                board.seen(changed)
                yield _live(live_for(await board.live(), principal.agent))
            elif not sees_spending:
                board.seen(changed)
                yield _live(await board.live())
            else:
                yield await board.snapshot(changed, whole)
            await asyncio.sleep(BOARD_EVERY_S)


def _live(state: LiveState, spending: Spending | None = None) -> str:
    return written(live_message(state, spending))
