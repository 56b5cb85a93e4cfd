"""One watcher a tenant for all who look at its board: the exchange writes each event once, however many walls there are (house)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from acd.core.ids import TenantId
from acd.core.live import LiveState
from acd.errors import StreamOverrun
from acd.service import VoiceService

FRESH_S = 0.25
"""A snapshot made for one viewer serves the others for so long; who got one that lacks an event is given another soon."""


class Board:
    """The board of one tenant while somebody looks at it."""

    def __init__(self, voice: VoiceService, tenant: TenantId) -> None:
        self._voice = voice
        self._tenant = tenant
        self._version = 0
        self._text: tuple[int, float, str] | None = None
        self.viewers: set[asyncio.Event] = set()
        self.ended = False
        self._midnight: asyncio.TimerHandle | None = None
        self._watching = asyncio.create_task(self._watch(), name=f"board of {tenant}")

    async def _watch(self) -> None:
        """Any event may change the board; which one does not matter, so to be too slow means nothing here."""
        try:
            while True:
                stream = self._voice.stream(self._tenant)
                try:
                    async for _ in stream:
                        self._changed()
                    return
                except StreamOverrun:
                    self._changed()
                finally:
                    close: Callable[[], Any] | None = getattr(stream, "aclose", None)
                    if close is not None:
                        await close()
        finally:
            self.ended = True
            self._changed()

    def _changed(self) -> None:
        self._version += 1
        for viewer in self.viewers:
            viewer.set()

    def live(self) -> LiveState:
        """The state; at the end of its day there is something to see again, though nothing may have happened."""
        state = self._voice.live(self._tenant)
        if self._midnight is not None:
            self._midnight.cancel()
        self._midnight = asyncio.get_running_loop().call_later(state.day_ends_at - state.at, self._changed)
        return state

    def snapshot(self, viewer: asyncio.Event, write: Callable[[], str]) -> str:
        """What everybody may see; leaves the viewer's flag up when it lacks the newest event."""
        now = time.monotonic()
        if self._text is None or now - self._text[1] > FRESH_S:  # also where nothing has happened: clocks are told as of now
            self._text = (self._version, now, write())
        if self._text[0] == self._version:
            viewer.clear()
        return self._text[2]

    async def close(self) -> None:
        """Nobody looks any more."""
        if self._midnight is not None:
            self._midnight.cancel()
        self._watching.cancel()
        with suppress(asyncio.CancelledError):
            await self._watching


class Boards:
    """The boards that are looked at."""

    def __init__(self) -> None:
        self._boards: dict[TenantId, Board] = {}

    @asynccontextmanager
    async def look(self, voice: VoiceService, tenant: TenantId) -> AsyncIterator[tuple[Board, asyncio.Event]]:
        """Look at a tenant's board; the flag is up when there is something to see."""
        board = self._boards.get(tenant)
        if board is None or board.ended:
            board = self._boards[tenant] = Board(voice, tenant)
        flag = asyncio.Event()
        flag.set()
        board.viewers.add(flag)
        try:
            yield board, flag
        finally:
            board.viewers.discard(flag)
            if not board.viewers:
                if self._boards.get(tenant) is board:
                    del self._boards[tenant]
                await board.close()
