"""What the WebSockets say, how a client comes in, and why they close. `asyncapi` makes a document of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, NamedTuple

import msgspec

from acd import service as inner
from acd.core import live
from api.contract.board import LiveState, board_of
from api.contract.events import Event, event_of
from api.contract.kit import Named, Public, told
from api.contract.pop import ScreenPop, pop_of

VERSION: Final = 1
"""Of the contract: what may change within it stands in docs/api/contract.md."""
SUBPROTOCOL: Final = f"fernamt.v{VERSION}"
TOKEN_PREFIX: Final = "bearer."  # noqa: S105 - what stands before one
"""A subprotocol that begins so holds the token: browsers can set no header."""
HEARTBEAT_S: Final = 15.0
"""Silence after which a heartbeat goes out; so often the token is looked at again, in silence or not."""
BOARD_EVERY_S: Final = 0.5
"""A board is sent at most so often."""


class CloseCode(NamedTuple):
    """Why a socket closes, and what its client does then."""

    code: int
    name: str
    meaning: str


UNAUTHENTICATED, FORBIDDEN, OVERRUN = 4401, 4403, 4408
GOING_AWAY, SERVICE_RESTART, TRY_AGAIN_LATER = 1001, 1012, 1013
CLOSE_CODES: Final = (  # RFC 6455 §7.4; from 4000 on they are ours
    CloseCode(GOING_AWAY, "going away", "The tenant is closed: its exchange has ended the stream."),
    CloseCode(SERVICE_RESTART, "service restart", "The service ends in order: come again."),
    CloseCode(
        TRY_AGAIN_LATER, "try again later", "A database is away, the tenant is not open, or there are too many connections: come later."
    ),
    CloseCode(UNAUTHENTICATED, "unauthenticated", "There is no valid token (any more): log in."),
    CloseCode(FORBIDDEN, "forbidden", "Not for this role; also when the role has changed: come again."),
    CloseCode(OVERRUN, "overrun", "The reader was too slow, and events are lost: come again, the state comes first."),
)


class SpendingAccount(Public, frozen=True, kw_only=True):
    """How one budget stands."""

    account: str
    """`tenant`, `agent:<id>`, `balance`."""
    limit: Decimal | None
    """Null: none."""
    reserved: Decimal
    """Used up in the last hour (of a balance: since it was opened), with what running calls and attempts have reserved."""
    running: Decimal
    """That part of it."""


class Spending(Public, frozen=True, kw_only=True):
    """How all budgets of a tenant stand."""

    currency: str
    accounts: tuple[SpendingAccount, ...]


class LiveMessage(Public, frozen=True, kw_only=True, tag_field="type", tag="live", omit_defaults=True):
    """The live state: first on the stream of events; on the board whenever it has changed."""

    live: LiveState
    spending: Spending | None = None
    """On the board, for supervisors and admins."""


class Heartbeat(Public, frozen=True, kw_only=True, tag_field="type", tag="heartbeat"):
    """Nothing has happened for a while, and the connection holds."""

    at: float
    """Epoch seconds."""


class LiveEvent(Public, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that has happened, on disk when it is told; or a screen pop."""

    tenant: str
    seq: int
    """Of the entry in the tenant's journal; never falls. The events of one entry share it."""
    at: float
    """Epoch seconds, UTC."""
    event: Annotated[Event | ScreenPop, Named("StreamEvent")]
    only_agent: str | None = None
    """For the desk of this agent and nobody else's."""


def message_of(event: inner.LiveEvent) -> LiveEvent:
    """One thing of the stream as it is told.

    Raises: ValueError: it does not leave.
    """
    what = pop_of(event.event) if isinstance(event.event, inner.ScreenPop) else event_of(event.event)
    return LiveEvent(tenant=event.tenant, seq=event.seq, at=event.at, event=what, only_agent=event.only_agent)


def live_message(state: live.LiveState, spending: inner.Spending | None = None) -> LiveMessage:
    """The board as a message; with how the budgets stand, where that is told."""
    return LiveMessage(live=board_of(state), spending=told(Spending, spending) if spending is not None else None)


def written(message: LiveMessage | Heartbeat | LiveEvent) -> str:
    """As it is sent."""
    return msgspec.json.encode(message).decode()
