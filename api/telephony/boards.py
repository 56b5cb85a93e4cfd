"""The live board for all who look at it: one snapshot serves them all, however many walls there are (house)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from acd.client import VoiceClient
from acd.core.ids import TenantId
from acd.core.live import LiveState
from api.telephony.hub import Hub, Hubs

FRESH_S = 0.25
"""A snapshot made for one viewer serves the others for so long; who got one that lacks an event is given another soon."""


class Board:
    """The board of one tenant while somebody looks at it."""

    def __init__(self, voice: VoiceClient, tenant: TenantId, hub: Hub) -> None:
        self._voice = voice
        self._tenant = tenant
        self._hub = hub
        self._version = 0
        self._text: tuple[int, float, str] | None = None
        self._writing = asyncio.Lock()
        self._up_to_date: set[asyncio.Event] = set()
        """Viewers whose flag is down."""
        self.viewers = 0
        self._midnight: asyncio.TimerHandle | None = None
        hub.watchers.add(self._changed)

    @property
    def ended(self) -> bool:
        """Whether the exchange has closed the stream."""
        return self._hub.ended

    def _changed(self) -> None:
        """Any event may change the board; which one does not matter."""
        self._version += 1
        for viewer in self._up_to_date:
            viewer.set()
        self._up_to_date.clear()

    def seen(self, viewer: asyncio.Event) -> None:
        """The viewer has everything until now: its flag goes down."""
        viewer.clear()
        self._up_to_date.add(viewer)

    async def live(self) -> LiveState:
        """The state; at the end of its day there is something to see again, though nothing may have happened."""
        state = await self._voice.live(self._tenant)
        if self._midnight is not None:
            self._midnight.cancel()
        self._midnight = asyncio.get_running_loop().call_later(state.day_ends_at - state.at, self._changed)
        return state

    async def snapshot(self, viewer: asyncio.Event, write: Callable[[], Awaitable[str]]) -> str:
        """What everybody may see; leaves the viewer's flag up when it lacks the newest event."""
        async with self._writing:
            now = time.monotonic()
            if self._text is None or now - self._text[1] > FRESH_S:  # also where nothing has happened: clocks are told as of now
                version = self._version
                self._text = (version, now, await write())
        if self._text[0] == self._version:
            self.seen(viewer)
        return self._text[2]

    def forget(self, viewer: asyncio.Event) -> None:
        """A viewer has gone."""
        self.viewers -= 1
        self._up_to_date.discard(viewer)

    def close(self) -> None:
        """Nobody looks any more."""
        self._hub.watchers.discard(self._changed)
        if self._midnight is not None:
            self._midnight.cancel()


class Boards:
    """The boards that are looked at."""

    def __init__(self, hubs: Hubs) -> None:
        self.hubs = hubs
        self._boards: dict[TenantId, Board] = {}

    @asynccontextmanager
    async def look(self, voice: VoiceClient, tenant: TenantId) -> AsyncIterator[tuple[Board, asyncio.Event]]:
        """Look at a tenant's board; the flag is up when there is something to see. Raises: UnknownName."""
        async with self.hubs.use(voice, tenant) as hub:
            board = self._boards.get(tenant)
            if board is None or board.ended:
                board = self._boards[tenant] = Board(voice, tenant, hub)
            flag = asyncio.Event()
            flag.set()
            board.viewers += 1
            try:
                yield board, flag
            finally:
                board.forget(flag)
                if not board.viewers:
                    if self._boards.get(tenant) is board:
                        del self._boards[tenant]
                    board.close()
