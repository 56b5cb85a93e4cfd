"""Whose password is computed next, when many want to be judged at once: so many at a time, and the turn goes round (house).

One hash takes a twentieth of a second of a core and 19 MiB. A thousand addresses with an attempt each are within every bucket of the guard;
together they would take all cores, and threads that files are read in. So there are threads for this alone. Whoever is known to come from
there (the guard's word), or acts with a token already, goes before strangers, three to one; among the others the turn goes round the
sources, and within a source round the users. When too many wait, it is the source with the most waiting that is told to come again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from api.errors import TooMany

T = TypeVar("T")

MOST_WAITING = 200
"""Of a kind (known, strangers): at two threads and a twentieth of a second each, the last one waits five seconds."""
WAIT_S = 10.0
KNOWN_IN_A_ROW = 3
"""Then a stranger, if one waits: administrators who make users all day long keep no owner at a new address out."""


@dataclass(frozen=True, slots=True)
class Asker:
    """For whom a password is computed."""

    source: str
    """Where the request comes from; of who acts with a token, the tenant."""
    user: str = ""
    is_known: bool = False


OURSELVES = Asker("(ourselves)", is_known=True)


class TooManyHashes(TooMany):
    """More want to be judged at once than can be."""

    def __init__(self) -> None:
        super().__init__("Too many log-ins are being judged at this moment; try again in a moment.", 2)


class _Queue:
    """Those that wait: source -> user -> in order; the first source is next, and its first user."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, OrderedDict[str, deque[asyncio.Future[None]]]] = OrderedDict()
        self._waiting: Counter[str] = Counter()
        self.count = 0

    def add(self, asker: Asker, turn: asyncio.Future[None]) -> None:
        self._sources.setdefault(asker.source, OrderedDict()).setdefault(asker.user, deque()).append(turn)
        self._waiting[asker.source] += 1
        self.count += 1

    def next(self) -> asyncio.Future[None] | None:
        """Whose turn it is; those that gave up meanwhile are passed over."""
        while self._sources:
            source, users = self._sources.popitem(last=False)
            user, queue = users.popitem(last=False)
            turn = queue.popleft()
            if queue:
                users[user] = queue
            self._took(source, users)
            if not turn.done():
                return turn
        return None

    def largest(self) -> tuple[str, int]:
        """The source of which most wait, and how many."""
        return max(self._waiting.items(), key=lambda one: one[1], default=("", 0))

    def drop_last_of(self, source: str) -> asyncio.Future[None]:
        """Take out the last one of the source's user of whom most wait; of several such users, of the one that came last."""
        users = self._sources[source]
        user = max(reversed(users), key=lambda name: len(users[name]))
        turn = users[user].pop()
        if not users[user]:
            del users[user]
        del self._sources[source]
        self._took(source, users)
        return turn

    def _took(self, source: str, users: OrderedDict[str, deque[asyncio.Future[None]]]) -> None:
        if users:
            self._sources[source] = users
        self._waiting[source] -= 1
        self.count -= 1
        if not self._waiting[source]:
            del self._waiting[source]

    def waiting_of(self, source: str) -> int:
        return self._waiting[source]


class Hashing:
    """Of a process; it belongs to the loop that uses it first."""

    def __init__(self, at_once: int, most_waiting: int = MOST_WAITING, wait_s: float = WAIT_S) -> None:
        self._at_once, self._most_waiting, self._wait_s = at_once, most_waiting, wait_s
        self._threads = ThreadPoolExecutor(at_once, "password")
        self._known, self._strangers = _Queue(), _Queue()
        self._in_a_row = 0
        self.running = 0
        self.refused = 0

    async def run(self, act: Callable[[], T], asker: Asker = OURSELVES) -> T:
        """Compute beside the loop, when it is this one's turn.

        Raises: TooManyHashes
        """
        await self._turn(asker)
        loop = asyncio.get_running_loop()
        computed = self._threads.submit(act)
        computed.add_done_callback(lambda _: _tell(loop, self._end))  # a client that goes frees nothing: the thread goes on to the end
        return await asyncio.wrap_future(computed)

    async def _turn(self, asker: Asker) -> None:
        if self.running < self._at_once:
            self.running += 1
            return
        queue = self._known if asker.is_known else self._strangers
        if queue.count >= self._most_waiting:
            self._make_room(queue, asker)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.add(asker, turn)
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:  # it came at the very moment
                self._end()
            if isinstance(error, TimeoutError):
                self.refused += 1
                raise TooManyHashes from None
            raise

    def _make_room(self, queue: _Queue, asker: Asker) -> None:
        source, most = queue.largest()
        self.refused += 1
        if queue.waiting_of(asker.source) + 1 >= most:
            raise TooManyHashes
        turn = queue.drop_last_of(source)
        if not turn.done():
            turn.set_exception(TooManyHashes())

    def _end(self) -> None:
        turn = self._next()
        if turn is None:
            self.running -= 1
        else:
            turn.set_result(None)  # the place goes on to it

    def _next(self) -> asyncio.Future[None] | None:
        first, second = self._known, self._strangers
        if self._in_a_row >= KNOWN_IN_A_ROW:
            first, second = second, first
        for queue in (first, second):
            turn = queue.next()
            if turn is not None:
                self._in_a_row = self._in_a_row + 1 if queue is self._known else 0
                return turn
        return None

    def figures(self) -> dict[str, float]:
        """For /metrics."""
        return {
            'fernamt_password_hashes{state="running"}': self.running,
            'fernamt_password_hashes{state="waiting"}': self._known.count + self._strangers.count,
            "fernamt_password_hashes_refused_total": self.refused,
        }


def _tell(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile, and nobody waits
        loop.call_soon_threadsafe(act)
