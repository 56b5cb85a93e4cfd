"""The main process's end of a control connection: whole messages in, orders out (asyncio shell).

Without streams, whose reader is a task to be woken. Orders without an answer wait a moment for company.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, cast

from media import framing
from media.control import FromWorker, Greeting, NoteLeg, Request
from media.errors import ParseError

log = logging.getLogger("media.client")

GATHER_S: Final = 0.003
"""How long an order without an answer waits for company, a seventh of a packet: the end of a call is four of them."""
MAX_UNREAD_NOTES_OCTETS: Final = 1 << 20
"""Notes wait here, where a newer one replaces them, while the worker has so much unread: many at once are no worker that hangs."""


class ControlConnection(asyncio.Protocol):
    """To one worker.

    Args:
        max_unread_octets: `on_unread` is called when the worker has left so much unread.
        reader: goes on with this one, of a connection whose greeting was read already.
    """

    def __init__(
        self,
        on_message: Callable[[FromWorker], None],
        on_unread: Callable[[], None],
        max_unread_octets: int,
        reader: framing.MessageReader[FromWorker] | None = None,
    ) -> None:
        self._on_message = on_message
        self._on_unread = on_unread
        self._max_unread_octets = max_unread_octets
        self._messages = reader or framing.report_reader()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._unsent: list[bytes] = []
        self._notes: dict[str, NoteLeg] = {}
        """The newest of each leg, to be sent behind what waits."""
        self._gathering: asyncio.TimerHandle | None = None
        self._is_finishing = False
        self.greeted: asyncio.Future[None] = self._loop.create_future()
        if reader is not None:
            self.greeted.set_result(None)
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.broken_by: Exception | None = None
        """What the connection ended by, where it was not closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not derive from it
        self._transport.set_write_buffer_limits(high=self._max_unread_octets)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._messages.feed(data):
                if isinstance(message, Greeting):
                    self._greet()
                else:
                    self._on_message(message)
        except ParseError:
            log.exception("! control connection")
            self._transport.abort()

    def _greet(self) -> None:
        if not self.greeted.done():
            self.greeted.set_result(None)

    def pause_writing(self) -> None:
        if not self._is_finishing:
            self._on_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        self.broken_by = exc
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if not self.ended.done():
            self.ended.set_result(None)

    def write(self, order: Request, *, at_once: bool = False) -> None:
        """Send one order: `at_once` with all that wait, or a little later together with others."""
        self._unsent.append(framing.encode(order))
        if at_once:
            self._flush()
        else:
            self._gather()

    def note(self, note: NoteLeg) -> None:
        """Send a note a little later, unless a newer one of its leg comes before."""
        self._notes[note.leg] = note
        self._gather()

    def _gather(self) -> None:
        if self._gathering is None:
            self._gathering = self._loop.call_later(GATHER_S, self._flush)

    def _flush(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        unsent, self._unsent = self._unsent, []
        if self._transport.is_closing():
            self._notes.clear()
            return
        if self._notes:
            unsent += self._notes_to_send()
        if unsent:
            self._transport.write(b"".join(unsent))
        if self._notes:
            self._gather()

    def _notes_to_send(self) -> list[bytes]:
        """As many as there is room for; all, in the end."""
        room = MAX_UNREAD_NOTES_OCTETS - self._transport.get_write_buffer_size()
        taken: list[bytes] = []
        while self._notes and (room > 0 or self._is_finishing):
            octets = framing.encode(self._notes.pop(next(iter(self._notes))))
            taken.append(octets)
            room -= len(octets)
        return taken

    def finish(self) -> None:
        """Send what waits, and say that this was all; what the other side has sent is read until it closes: `ended`."""
        self._is_finishing = True
        self._flush()
        if not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        """Send what waits, and close."""
        self._is_finishing = True
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close, whatever waits."""
        self._transport.abort()
