"""SIGTERM and SIGINT to a service that is starting or runs (shell): heard from the first moment to the last, so that none is lost.

SIGHUP means "read your files again" to a service that nobody's terminal belongs to; one that was started from a terminal ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Self

INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""


class StopSignals:
    """Hears the signals as long as it is entered; the first counts, who sends more is only impatient.

    A service that runs sees `stopped`. One that starts is cancelled where it stands, since any step of it may take long.
    """

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        """What ends the service; None: nothing yet."""
        self.stopped = asyncio.Event()
        self.on_reload: list[Callable[[], None]] = []
        """What SIGHUP has done, one after the other; none of it blocks. One that comes in the middle of the start does nothing: what it
        would have read is about to be read, or was just now."""
        self._starting: asyncio.Task[object] | None = None
        self._reloads = not _has_terminal()

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._hear, number)
        if self._reloads:
            loop.add_signal_handler(signal.SIGHUP, self._reload)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, *((signal.SIGHUP,) if self._reloads else ())):
            loop.remove_signal_handler(number)

    def _reload(self) -> None:
        for act in self.on_reload:
            act()

    def _hear(self, number: signal.Signals) -> None:
        if self.first is not None:
            return
        self.first = number
        self.stopped.set()
        if self._starting is not None:
            self._starting.cancel()

    @contextlib.contextmanager
    def interrupt(self) -> Iterator[None]:
        """Let a signal cancel what the task does inside.

        Raises: Interrupted: one came. What fails because of it, a child that got the same signal, is no fault of its own.
        """
        self._starting = asyncio.current_task()
        assert self._starting is not None
        try:
            yield
        except (asyncio.CancelledError, Exception) as error:
            if self.first is None:
                raise
            if isinstance(error, asyncio.CancelledError):
                self._starting.uncancel()
            raise Interrupted(self.first) from error
        finally:
            self._starting = None


def _has_terminal() -> bool:
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


class Interrupted(Exception):
    """A signal ended the start."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__("stopped before it was ready")
        self.status = INTERRUPTED if number is signal.SIGINT else 0
        """Exit status: being told to end by SIGTERM is no failure, before the service is ready as after."""
