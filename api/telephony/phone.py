"""A phone in a page: what it logs in with, and its WebSocket, which carries SIP and nothing else (RFC 7118).

The token comes as in `api.telephony.stream`: in the Authorization header, or as a subprotocol `bearer.<token>` beside `sip`; never in the
address. A page of another origin is refused before the handshake (403), and so is who does not offer `sip` (400). Close codes are those of
the other WebSockets.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.types import Message

from acd.core.errors import UnknownName
from api.contract.sockets import FORBIDDEN, HEARTBEAT_S, TRY_AGAIN_LATER, UNAUTHENTICATED
from api.edge.origin import may_open
from api.errors import Conflict, Forbidden, NotFound, Problem, TooMany, Unauthenticated, Unavailable, of, responses, unavailable
from api.identity import Principal, principal_of
from api.services import ServePage
from api.shared import services, shared
from api.telephony.desk import desk_of
from api.telephony.errors import told
from api.telephony.permissions import DESK_WRITE, WritesDesk
from api.telephony.schemas import PhonePassTold
from api.telephony.stream import REASON_OCTETS, RoleChanged, close_until_later, offered, record_opened, same_view, token_of

log = logging.getLogger(__name__)
router = APIRouter(prefix="/api/v1", tags=["telephony"])

SUBPROTOCOL = "sip"
PATH = "/api/v1/sip"


@router.post("/desk/phone", operation_id="givePhonePass", responses=responses(NotFound, Conflict))
async def give_pass(access: WritesDesk) -> PhonePassTold:
    """What a phone in a page registers and calls with for a while, over a WebSocket of the same user: for the phone of one's own agent.
    Nothing of it is kept; each call gives another.
    """
    agent = desk_of(access, "me")
    async with access.outside() as voice:
        with told():
            found = await voice.phone_pass(access.tenant, agent)
    return PhonePassTold(
        uri=found.uri,
        login=found.login,
        password=found.password,
        realm=found.realm,
        expires_at=datetime.fromtimestamp(found.expires_at, UTC),
        websocket=PATH,
    )


@router.websocket("/sip")
async def sip(socket: WebSocket) -> None:
    """SIP over WebSocket, one message of SIP in each: for who has a desk with a phone."""
    this = services(socket)
    if (refusal := _refusal(socket)) is not None:
        shared(socket).metrics.refused.labels(refusal.kind).inc()
        await socket.receive()
        await of(socket, refusal)(socket.scope, socket.receive, socket.send)
        return
    try:
        principal = await _principal(socket)
        if this.serve_page is None:
            await _turn_away(socket, TRY_AGAIN_LATER, "no SIP is served here")
            return
        await record_opened(socket, principal)
        with shared(socket).metrics.sockets.labels(PATH).track_inprogress():
            await _serve(socket, principal, this.serve_page)
    except Unauthenticated as error:
        await _turn_away(socket, UNAUTHENTICATED, error.detail)
    except Forbidden as error:
        await _turn_away(socket, FORBIDDEN, error.detail)
    except RoleChanged:
        await _turn_away(socket, FORBIDDEN, "the role has changed: come again")
    except UnknownName as error:  # a tenant that is closed, an agent without a phone
        await _turn_away(socket, FORBIDDEN, str(error))
    except Exception as error:
        await _accept(socket)
        await close_until_later(socket, error)


def _refusal(socket: WebSocket) -> Problem | None:
    """Why there is no handshake."""
    headers = socket.headers
    if not may_open(headers.get("origin"), headers.get("host", ""), services(socket).settings.http.origins):
        return Forbidden("A page of another origin opens no phone here; [http] origins names those that may.")
    if SUBPROTOCOL not in offered(socket):
        return NoSubprotocol("The subprotocol sip must be offered (RFC 7118 §4).")
    return None


class NoSubprotocol(Problem):
    """A WebSocket that does not say what it carries."""

    status, kind, title = 400, "no-subprotocol", "The subprotocol is missing"


async def _principal(socket: WebSocket) -> Principal:
    """Who opens it.

    Raises: Unauthenticated, NotServed, TooManyConnections; Forbidden: it has no desk.
    """
    principal = await principal_of(socket, token_of(socket) or "")
    if (lacks := principal.lacks(DESK_WRITE)) is not None:
        raise Forbidden(lacks)
    if principal.agent is None or principal.tenant is None:
        raise Forbidden("You are no agent, so that you have no phone.")
    return principal


async def _accept(socket: WebSocket) -> None:
    """Browsers tell their page of a close code, but of no refused handshake."""
    with suppress(RuntimeError):  # it was accepted before, or is gone
        await socket.accept(SUBPROTOCOL)


async def _turn_away(socket: WebSocket, code: int, reason: str) -> None:
    await _accept(socket)
    with suppress(RuntimeError, WebSocketDisconnect):  # it went by itself meanwhile
        await socket.close(code, reason.encode()[:REASON_OCTETS].decode(errors="ignore"))


async def _serve(socket: WebSocket, entered: Principal, serve_page: ServePage) -> None:
    """Until the page goes, the exchange ends it, or the session does.

    Raises: Unauthenticated, Forbidden, RoleChanged, UnknownName: it is still to be closed.
    """

    async def send(message: Message) -> None:
        try:
            await socket.send(message)
        except (WebSocketDisconnect, RuntimeError) as error:  # the server has ended it, and has not said so yet
            raise ConnectionError("the WebSocket is gone") from error

    assert entered.tenant is not None
    assert entered.agent is not None
    serving = asyncio.create_task(serve_page(socket.scope, socket.receive, send, entered.tenant, entered.agent))
    watching = asyncio.create_task(_watch(socket, entered))
    try:
        await asyncio.wait({serving, watching}, return_when=asyncio.FIRST_COMPLETED)
        for task in (serving, watching):
            if task.done():
                task.result()
    finally:
        for task in (serving, watching):
            task.cancel()
        await asyncio.gather(serving, watching, return_exceptions=True)


async def _watch(socket: WebSocket, entered: Principal) -> None:
    """Look at the session as often as other WebSockets do. Where nobody can say how it stands (a database is away, others wait for their
    turn) the phone stays: a call needs neither.

    Raises: Unauthenticated, Forbidden, RoleChanged
    """
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        try:
            principal = await _principal(socket)
        except Exception as error:
            if not isinstance(error, TooMany | Unavailable) and unavailable(error) is None:
                raise
            log.debug("= phone of %s stays, its session cannot be looked at: %s", entered.name, error)
            continue
        if not same_view(principal, entered):
            raise RoleChanged
